//! Certificates that somebody brings: what is taken, what is refused in which words, and the swap.

use std::path::Path;

use expect_test::{Expect, expect};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};

use super::commands::Program;
use super::*;
use crate::support::client::{Client, get, try_tls};

/// A root, an intermediate that it has signed, and what those sign.
struct Ca {
    root: rcgen::Certificate,
    intermediate: rcgen::Certificate,
    issuer: Issuer<'static, KeyPair>,
}

impl Ca {
    fn new() -> Self {
        let params = |name: &str| {
            let mut params = CertificateParams::new(Vec::new()).unwrap();
            params.distinguished_name.push(DnType::CommonName, name);
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            params
        };
        let root_key = KeyPair::generate().unwrap();
        let root = params("Test Root").self_signed(&root_key).unwrap();
        let root_issuer = Issuer::new(params("Test Root"), root_key);
        let key = KeyPair::generate().unwrap();
        let intermediate = params("Test Intermediate").signed_by(&key, &root_issuer).unwrap();
        Self { root, intermediate, issuer: Issuer::new(params("Test Intermediate"), key) }
    }

    /// A certificate and its key, until the end of a year.
    fn leaf(&self, names: &[&str], year: i32) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(year, 12, 31);
        (params.signed_by(&key, &self.issuer).unwrap().pem(), key.serialize_pem())
    }

    fn chain(&self, leaf: &str) -> String {
        format!("{leaf}{}", self.intermediate.pem())
    }
}

async fn program() -> Program {
    let (mut program, _) = Program::new().await;
    program.set("ACME_DIRECTORY", "off");
    program.start().await;
    program
}

/// What is said of these files, with ids and times replaced.
async fn check_add(program: &Program, chain: &str, key: &str, expected: Expect) {
    program.write("chain.pem", chain);
    program.write("key.pem", key);
    let run = program.try_run("certs add chain.pem key.pem").await;
    let mut text = run.text();
    let id = run.stdout.trim();
    if !id.is_empty() {
        text = text.replace(id, "ID");
    }
    let text = match text.split_once("it is valid for ") {
        Some((before, after)) => {
            format!("{before}it is valid for DAYS{}", &after[after.find('\n').unwrap()..])
        }
        None => text,
    };
    expected.assert_eq(&text);
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_cannot_be_served_are_refused_with_the_reason() {
    let (program, ca) = (program().await, Ca::new());
    program.create("blog", &["blog.example.com"]).await;
    let (leaf, key) = ca.leaf(&["blog.example.com"], 2040);
    let (_, other_key) = ca.leaf(&["blog.example.com"], 2040);
    check_add(&program, &ca.chain(&leaf), &other_key, expect![[r#"
        exit: 1
        --- stdout
        --- stderr
        error: the key does not belong to the certificate for `blog.example.com`; give the key that this certificate was requested with
    "#]]).await;
    let (old, old_key) = ca.leaf(&["blog.example.com"], 2021);
    check_add(&program, &ca.chain(&old), &old_key, expect![[r#"
        exit: 1
        --- stdout
        --- stderr
        error: the certificate `blog.example.com` expired on 2021-12-31 at 00:00 UTC; get a new one from its issuer
    "#]]).await;
    // Of three, the one between is missing.
    check_add(&program, &format!("{leaf}{}", ca.root.pem()), &key, expect![[r#"
        exit: 1
        --- stdout
        --- stderr
        error: `Test Root` in the chain did not sign `blog.example.com`; put in the certificate of `Test Intermediate`, which did, or take out `Test Root`
    "#]]).await;
    check_add(
        &program,
        &key,
        &leaf,
        expect![[r#"
        exit: 2
        --- stdout
        --- stderr
        error: `chain.pem` is the key; name the certificates first
    "#]],
    )
    .await;
    check_add(&program, "", &key, expect![[r#"
        exit: 1
        --- stdout
        --- stderr
        error: there is no certificate in the chain; give the certificate of the host and those of its issuers as PEM
    "#]]).await;
    check_add(&program, &leaf[..leaf.len() / 2], &key, expect![[r#"
        exit: 1
        --- stdout
        --- stderr
        error: the chain is broken PEM; each certificate is `-----BEGIN CERTIFICATE-----`, base64, and `-----END CERTIFICATE-----`
    "#]]).await;
    let listed = program.run("certs").await;
    assert!(!listed.stdout.contains("added") && listed.stderr.is_empty(), "{}", listed.text());
    let secret = key.lines().nth(1).unwrap();
    assert!(!program.log().contains(secret), "{}", program.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chain_that_ends_at_somebody_unknown_is_taken_with_a_warning() {
    let (program, ca) = (program().await, Ca::new());
    let (leaf, key) = ca.leaf(&["blog.example.com", "www.example.com"], 2040);
    check_add(&program, &leaf, &key, expect![[r#"
        exit: 0
        --- stdout
        ID
        --- stderr
        new connections to `blog.example.com`, `www.example.com` get it; it is valid for DAYS
        warning: no route has such a host yet
        warning: `blog.example.com` is signed by `Test Intermediate`, which is neither in the chain nor known to this machine: clients that do not know it refuse the certificate; put the certificates of its issuers behind it
    "#]]).await;
    // With its root, which is not sent, the chain is whole: whoever serves for an authority of his own knows that.
    program.run("certs remove blog.example.com").await;
    check_add(
        &program,
        &format!("{}{}", ca.chain(&leaf), ca.root.pem()),
        &key,
        expect![[r#"
        exit: 0
        --- stdout
        ID
        --- stderr
        new connections to `blog.example.com`, `www.example.com` get it; it is valid for DAYS
        warning: no route has such a host yet
    "#]],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_listed_swapped_and_removed_and_no_connection_is_cut() {
    let (program, ca) = (program().await, Ca::new());
    program.create("blog", &["blog.example.com"]).await;
    let mut before = program.meets_box("blog.example.com").await;

    let (leaf, key) = ca.leaf(&["blog.example.com"], 2040);
    let first = add(&program, &ca.chain(&leaf), &key).await;
    let mut during = connect(&program, ca.root.der()).await;
    let (leaf, key) = ca.leaf(&["blog.example.com"], 2041);
    let second = add(&program, &ca.chain(&leaf), &key).await;
    assert_ne!(first, second);
    let mut after = connect(&program, ca.root.der()).await;
    for client in [&mut before, &mut during, &mut after] {
        assert_eq!(client.send(get("blog.example.com", "/")).await.body, "app");
    }
    let info = program.run(&format!("certs info {second}")).await.stdout;
    assert!(info.contains("issuer     Test Intermediate"), "{info}");

    let run = program.try_run("certs renew blog.example.com").await;
    expect![[r#"
        exit: 1
        --- stdout
        --- stderr
        error: `blog.example.com` is not ordered from a certificate authority; `minipaas certs` tells who signs for which name

        hint: `minipaas certs` lists all certificates, and who signs them
    "#]]
    .assert_eq(&run.text());
    let run = program.try_run("certs remove blog.localhost").await;
    expect![[r#"
        exit: 1
        --- stdout
        --- stderr
        error: `blog.localhost` is renewed by the box; only certificates that were added can be removed

        hint: `minipaas certs` lists all certificates, and who signs them
    "#]]
    .assert_eq(&run.text());
    for id in [&second, &first] {
        program.run(&format!("certs remove {id}")).await;
    }
    let run = program.try_run(&format!("certs remove {first}")).await;
    expect![[r#"
        exit: 1
        --- stdout
        --- stderr
        error: no app has a host `ID`, and no certificate is called so

        hint: `minipaas certs` lists all
    "#]]
    .assert_eq(&run.text().replace(&first, "ID"));
    program.meets_box("blog.example.com").await;
    for client in [&mut before, &mut during, &mut after] {
        assert_eq!(client.send(get("blog.example.com", "/")).await.body, "app");
    }
    // They survive a restart, as does what was removed.
    let third = add(&program, &ca.chain(&leaf), &key).await;
    assert!(Path::new(&program.home.path().join(format!("certs/{third}.pem"))).exists());
}

async fn add(program: &Program, chain: &str, key: &str) -> String {
    program.write("chain.pem", chain);
    program.write("key.pem", key);
    program.run("certs add chain.pem key.pem").await.stdout.trim().to_owned()
}

async fn connect(program: &Program, root: &CertificateDer<'static>) -> Client {
    let stream = try_tls(program.https, root, "blog.example.com", "http/1.1").await.unwrap();
    let mut client = Client::over(stream).await;
    assert_eq!(client.send(get("blog.example.com", "/")).await.body, "app");
    client
}
