//! A copy of a box without its key: nothing in it is a private key or a token, in whatever form.
//!
//! The test has the key. It opens what is sealed, and looks for what it finds, and for what it has put in itself.

use std::path::Path;

use base64::prelude::{BASE64_STANDARD_NO_PAD, BASE64_URL_SAFE_NO_PAD, Engine as _};
use minipaas::seal::BoxKey;
use minipaas::store::Store;
use rustls::pki_types::PrivatePkcs8KeyDer;
use walkdir::WalkDir;

use super::commands::Program;
use super::gate::{Act, Gate};
use super::*;
use crate::dns::named::SECRET;

const HOST: &str = "blog.example.com";
const EAB_KEY: &str = "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W";

/// What must not be found, and what it is.
#[derive(Default)]
pub(super) struct Secrets(Vec<(String, Vec<u8>)>);

impl Secrets {
    /// As it is, in hexadecimal digits, and in base64, wherever in a longer text that begins.
    pub(super) fn add(&mut self, what: &str, secret: &[u8]) {
        let hex: String = secret.iter().map(|byte| format!("{byte:02x}")).collect();
        let mut forms = vec![secret.to_vec(), hex.clone().into_bytes(), hex.to_uppercase().into_bytes()];
        for skipped in 0..3 {
            let whole = (secret.len() - skipped) / 3 * 3;
            let part = &secret[skipped..skipped + whole];
            forms.push(BASE64_STANDARD_NO_PAD.encode(part).into_bytes());
            forms.push(BASE64_URL_SAFE_NO_PAD.encode(part).into_bytes());
        }
        self.0.extend(forms.into_iter().map(|form| (what.to_owned(), form)));
    }

    pub(super) fn add_text(&mut self, what: &str, text: &str) {
        self.0.push((what.to_owned(), text.as_bytes().to_vec()));
    }

    /// A key: whole, its lines as PEM, and the number in it that is the secret.
    fn add_key(&mut self, what: &str, pkcs8: &[u8]) {
        self.add(what, pkcs8);
        for line in BASE64_STANDARD_NO_PAD.encode(pkcs8).as_bytes().chunks(64).filter(|line| line.len() == 64)
        {
            self.0.push((what.to_owned(), line.to_vec()));
        }
        // ECPrivateKey (RFC 5915): version 1, then the octets.
        let at = pkcs8.windows(5).position(|window| window == [2, 1, 1, 4, 32]).expect("a key on P-256") + 5;
        self.add(what, &pkcs8[at..at + 32]);
    }

    fn add_pem(&mut self, what: &str, pem: &str) {
        let key = PrivatePkcs8KeyDer::from_pem_slice(pem.as_bytes()).unwrap();
        self.add_key(what, key.secret_pkcs8_der());
    }

    fn check(&self, place: &str, bytes: &[u8]) {
        for (what, form) in &self.0 {
            assert!(!contains(bytes, form), "{place} has {what}");
        }
    }
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    memchr::memmem::find(bytes, part).is_some()
}

/// Every file of the home but the key, and how many there are.
pub(super) fn check_home(home: &Path, secrets: &Secrets) -> usize {
    let files = WalkDir::new(home).into_iter().map(Result::unwrap);
    let files = files.filter(|file| file.file_type().is_file() && file.file_name() != "box.key");
    files
        .map(|file| secrets.check(&file.path().display().to_string(), &std::fs::read(file.path()).unwrap()))
        .count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_without_the_box_key_reveals_nothing() {
    let (mut program, mut options) = Program::new().await;
    options.eab = Some(("kid-1", EAB_KEY));
    let pebble = Arc::new(options.start().await);
    let gate = Gate::start(&pebble).await;
    program.trust(&[&pebble]);
    program.set("ACME_DIRECTORY", &gate.directory());
    program.set("DNS", &pebble.dns.to_string());
    let eab = program.write("eab", &format!("{} kid-1 {EAB_KEY}\n", gate.directory()));
    program.set("ACME_EAB_FILE", &eab);
    let hook = program.write("hook", "#!/bin/sh\nexit 0\n");
    let credentials = format!("HOOK_COMMAND={hook}\nRFC2136_TSIG_SECRET={SECRET}\nDO_AUTH_TOKEN={SECRET}\n");
    let credentials = program.write("dns.env", &credentials);
    program.set("ACME_DNS_FILE", &credentials);

    // Killed while an order is under way, whose key is that of the certificate later on.
    gate.set(|seen| if seen.uri.path().starts_with("/chalZ") { Act::Hold } else { Act::Pass });
    program.start().await;
    let stuck = gate.stuck();
    tokio::join!(stuck, program.create("blog", &[HOST]));
    let arguments = std::fs::read(format!("/proc/{}/cmdline", program.pid())).unwrap();
    program.stop().await;

    let mut secrets = Secrets::default();
    for secret in [SECRET, EAB_KEY] {
        secrets.add_text("a credential", secret);
    }
    secrets.add("the key of the EAB", &BASE64_URL_SAFE_NO_PAD.decode(EAB_KEY).unwrap());
    let home = program.home.path().to_owned();
    let key = BoxKey::open_or_create(&home.join("box.key")).unwrap();
    secrets.add("the box's key", &std::fs::read(home.join("box.key")).unwrap());
    {
        let store = Store::open(&home).unwrap();
        let name = &gate.directory()["https://".len()..];
        let account = store.acme_account(name).await.unwrap().expect("an account");
        let account = key.open(&format!("the account at {name}"), &account).unwrap();
        let account: serde_json::Value = serde_json::from_slice(&account).unwrap();
        let account = BASE64_URL_SAFE_NO_PAD.decode(account["key_pkcs8"].as_str().unwrap()).unwrap();
        secrets.add_key("the key of the account", &account);
        let order = store.certificate_order(HOST).await.unwrap().expect("an order under way");
        let order = key.open(&format!("the key of the order for {HOST}"), &order.key).unwrap();
        secrets.add_pem("the key of the order", std::str::from_utf8(&order).unwrap());
    }
    let ca = std::fs::read(home.join("ca/ca.key")).unwrap();
    let ca =
        key.open("the key of the local CA", ca.strip_prefix(b"minipaas sealed key 1\n").unwrap()).unwrap();
    secrets.add_pem("the key of the local CA", std::str::from_utf8(&ca).unwrap());
    assert!(check_home(&home, &secrets) > 4);

    // The order is gone on with; somebody comes back by a ticket; a certificate is brought.
    gate.set(|_| Act::Pass);
    program.start().await;
    program.has_certificate(HOST, HOST, &pebble).await;
    let own_key = rcgen::KeyPair::generate().unwrap();
    let own = rcgen::CertificateParams::new(["own.example.com".to_owned()]).unwrap();
    program.write("chain.pem", &own.self_signed(&own_key).unwrap().pem());
    program.write("key.pem", &own_key.serialize_pem());
    program.run("certs add chain.pem key.pem").await;
    secrets.add_key("the key that was added", own_key.serialized_der());
    for command in
        ["certs --json", "certs info own.example.com --json", "status --json", "apps --json", "doctor --json"]
    {
        let run = program.try_run(command).await;
        secrets.check(command, run.text().as_bytes());
    }
    secrets.check("the list of processes", &arguments);
    program.stop().await;
    let tickets = key.open("session ticket keys", &std::fs::read(home.join("tickets")).unwrap()).unwrap();
    for ticket in tickets[1..].chunks(16 + 32 + 8) {
        secrets.add("a key of tickets", &ticket[16..48]);
    }
    assert!(check_home(&home, &secrets) > 6);

    // What is looked for would be found, and what is no secret is.
    let log = std::fs::read(home.join("daemon.log")).unwrap();
    assert!(contains(&log, HOST.as_bytes()));
    let mut plain = Secrets::default();
    plain.add("the name", HOST.as_bytes());
    assert!(plain.0.iter().any(|(_, form)| contains(&log, form)));

    // With another key nothing opens: the box says so, or goes on without.
    std::fs::remove_file(home.join("box.key")).unwrap();
    let other = BoxKey::open_or_create(&home.join("box.key")).unwrap();
    let store = Store::open(&home).unwrap();
    let account = store.acme_account(&gate.directory()["https://".len()..]).await.unwrap().unwrap();
    assert!(
        other.open(&format!("the account at {}", &gate.directory()["https://".len()..]), &account).is_err()
    );
}
