//! `minipaas certs`, as it is typed and as it tells.

use axum::http::StatusCode;
use expect_test::expect;
use serde_json::{Value, json};

use super::command::Folder;
use super::daemon::{FakeDaemon, Reply};
use super::ok;

/// The 1st of January 2100, when nobody runs these tests.
const FAR: u64 = 4_102_444_800_000;

/// A name as the daemon tells of it.
fn certificate(name: &str, state: &str, signer: &str) -> Value {
    json!({"name": name, "state": state, "signer": signer, "authority": null, "hosts": [name], "apps": ["shop"],
           "certificate": null, "problem": null, "next": null, "warning": null})
}

fn facts(names: &[&str], issuer: &str) -> Value {
    json!({"id": "00c0ffee00c0ffee", "names": names, "issuer": issuer, "serial": "01:02", "fingerprint": "AB:CD",
           "key": "ecdsa", "not-before": 1_767_225_600_000_u64, "not-after": FAR})
}

fn all() -> Value {
    let mut local = certificate("shop.localhost", "valid", "local");
    local["hosts"] = json!(["shop.localhost"]);
    let mut issued = certificate("*.example.com", "valid", "acme");
    issued["authority"] = json!("letsencrypt");
    issued["hosts"] = json!(["blog.example.com", "shop.example.com"]);
    issued["certificate"] = facts(&["*.example.com"], "R10 (Let's Encrypt)");
    issued["next"] = json!(FAR - 1);
    let mut own = certificate("own.example.org", "valid", "own");
    own["certificate"] = facts(&["own.example.org", "www.example.org"], "Corp CA");
    own["certificate"]["id"] = json!("0fab0fab0fab0fab");
    let mut failed = certificate("new.example.net", "failed", "acme");
    let message =
        "`new.example.net` has no address in the DNS; add an A or AAAA record that leads to this box";
    failed["problem"] = json!({"kind": "unresolved", "message": message, "at": 1_767_225_600_000_u64});
    failed["warning"] = json!(format!("there is no certificate for `new.example.net`: {message}"));
    json!([issued, failed, own, local])
}

/// Years from now change the text.
fn redact(text: &str) -> String {
    text.lines()
        .map(|line| {
            let words = line.split(' ').map(|word| {
                let is_age = word.strip_suffix('d').is_some_and(|days| days.parse::<u32>().is_ok());
                if is_age { "DAYS" } else { word }
            });
            words.collect::<Vec<_>>().join(" ") + "\n"
        })
        .collect()
}

#[tokio::test]
async fn they_are_a_table_and_what_is_wrong_is_said_below() {
    let daemon = FakeDaemon::start([("GET /v1/certs", ok(all()))]);
    let folder = Folder::with([]);
    expect![[r#"
        exit: 0
        --- stdout
        NAME             STATE   SIGNED BY        VALID FOR  ID                APPS
        *.example.com    valid   letsencrypt      DAYS     00c0ffee00c0ffee  shop
        new.example.net  failed  -                -          -                 shop
        own.example.org  valid   Corp CA (added)  DAYS     0fab0fab0fab0fab  shop
        shop.localhost   valid   the box          -          -                 shop
        --- stderr
        warning: there is no certificate for `new.example.net`: `new.example.net` has no address in the DNS; add an A or AAAA record that leads to this box
    "#]].assert_eq(&redact(&folder.run(&daemon, "certs").await.text()));
    let run = folder.run(&daemon, "certs --json").await;
    assert_eq!(serde_json::from_str::<Value>(&run.stdout).expect("JSON"), all());
    let none = FakeDaemon::start([("GET /v1/certs", ok(json!([])))]);
    expect![[r#"
        exit: 0
        --- stdout
        NAME  STATE  SIGNED BY  VALID FOR  ID  APPS
        --- stderr
    "#]]
    .assert_eq(&folder.run(&none, "certs").await.text());
}

#[tokio::test]
async fn one_is_told_of_by_its_name_a_host_or_its_id() {
    let daemon = FakeDaemon::start([("GET /v1/certs", ok(all()))]);
    let folder = Folder::with([]);
    let run = folder.run(&daemon, "certs info blog.example.com").await;
    expect![[r#"
        exit: 0
        --- stdout
        NAME       *.example.com
        state      valid
        signed by  letsencrypt
        apps       shop
        hosts      blog.example.com, shop.example.com
        issuer     R10 (Let's Encrypt)
        names      *.example.com
        valid      from 2026-01-01 00:00 UTC to 2100-01-01 00:00 UTC
        key        ecdsa
        serial     01:02
        sha-256    AB:CD
        id         00c0ffee00c0ffee
        renewal    2099-12-31 23:59 UTC
        --- stderr
    "#]]
    .assert_eq(&run.text());
    assert_eq!(folder.run(&daemon, "certs info 00c0ffee00c0ffee").await.text(), run.text());
    expect![[r#"
        exit: 0
        --- stdout
        NAME       new.example.net
        state      failed
        signed by  -
        apps       shop
        hosts      new.example.net
        problem    `new.example.net` has no address in the DNS; add an A or AAAA record that leads to this box (unresolved, 2026-01-01 00:00 UTC)
        --- stderr
        warning: there is no certificate for `new.example.net`: `new.example.net` has no address in the DNS; add an A or AAAA record that leads to this box
    "#]].assert_eq(&folder.run(&daemon, "certs info new.example.net").await.text());
    let json = folder.run(&daemon, "certs info www.example.org --json").await.stdout;
    assert_eq!(serde_json::from_str::<Value>(&json).expect("JSON"), all()[2]);
}

#[tokio::test]
async fn a_name_that_is_not_known_is_answered_with_one_that_is() {
    let daemon = FakeDaemon::start([("GET /v1/certs", ok(all()))]);
    let folder = Folder::with([]);
    let run = folder.run(&daemon, "certs info shop.localhots").await;
    expect![[r#"
        exit: 1
        --- stdout
        --- stderr
        error: no app has a host `shop.localhots`, and no certificate is called so

        hint: did you mean `shop.localhost`? `minipaas certs` lists all
    "#]]
    .assert_eq(&run.text());
    for command in ["certs remove shop.localhots", "certs renew shop.localhots"] {
        assert_eq!(folder.run(&daemon, command).await.text(), run.text(), "{command}");
    }
    expect![[r#"
        exit: 1
        --- stdout
        --- stderr
        error: no app has a host `xyz`, and no certificate is called so

        hint: `minipaas certs` lists all
    "#]]
    .assert_eq(&folder.run(&daemon, "certs renew xyz").await.text());
    let none = FakeDaemon::start([("GET /v1/certs", ok(json!([])))]);
    expect![[r#"
        exit: 1
        --- stdout
        --- stderr
        error: no app has a host `xyz`, and no certificate is called so

        hint: there is no route yet; `minipaas up` makes one
    "#]]
    .assert_eq(&folder.run(&none, "certs renew xyz").await.text());
    assert_eq!(daemon.requests(), ["GET /v1/certs"; 4], "nothing was changed");
}

#[tokio::test]
async fn one_is_renewed_and_one_removed() {
    let refusal = json!({"code": "wrong-kind", "message": "`own.example.org` is not ordered from a certificate authority",
                         "hints": ["`minipaas certs` lists all certificates, and who signs them"]});
    let daemon = FakeDaemon::start([
        ("GET /v1/certs", ok(all())),
        ("POST /v1/certs/%2A.example.com/renew", Reply::Json(StatusCode::ACCEPTED, json!(null))),
        ("POST /v1/certs/own.example.org/renew", Reply::Json(StatusCode::CONFLICT, refusal)),
        ("DELETE /v1/certs/www.example.org", Reply::Json(StatusCode::NO_CONTENT, json!(null))),
    ]);
    let folder = Folder::with([]);
    expect![[r#"
        exit: 0
        --- stdout
        --- stderr
        `*.example.com` is being ordered; `minipaas certs` tells how it goes
    "#]]
    .assert_eq(&folder.run(&daemon, "certs renew blog.example.com").await.text());
    expect![[r#"
        exit: 1
        --- stdout
        --- stderr
        error: `own.example.org` is not ordered from a certificate authority

        hint: `minipaas certs` lists all certificates, and who signs them
    "#]]
    .assert_eq(&folder.run(&daemon, "certs renew own.example.org").await.text());
    expect![[r#"
        exit: 0
        --- stdout
        --- stderr
        `www.example.org` is not used any more
    "#]]
    .assert_eq(&folder.run(&daemon, "certs remove www.example.org").await.text());
    assert_eq!(folder.run(&daemon, "certs remove www.example.org --quiet").await.stderr, "");
}

#[tokio::test]
async fn files_that_cannot_be_read_are_usage() {
    let daemon = FakeDaemon::start([]);
    let folder = Folder::with([("chain.pem", "x")]);
    expect![[r#"
        exit: 2
        --- stdout
        --- stderr
        error: the following required arguments were not provided:
          <KEY>

        Usage: minipaas certs add <CHAIN> <KEY>

        For more information, try '--help'.
    "#]]
    .assert_eq(&folder.run(&daemon, "certs add chain.pem").await.text());
    expect![[r#"
        exit: 2
        --- stdout
        --- stderr
        error: cannot read `key.pem`
          caused by: No such file or directory (os error 2)
    "#]]
    .assert_eq(&folder.run(&daemon, "certs add chain.pem key.pem").await.text());
    folder.write("large.pem", &"x".repeat((1 << 20) + 1));
    expect![[r#"
        exit: 2
        --- stdout
        --- stderr
        error: cannot read `large.pem`
          caused by: it is too large for a certificate or a key
    "#]]
    .assert_eq(&folder.run(&daemon, "certs add large.pem chain.pem").await.text());
    let directory = folder.run(&daemon, "certs add . chain.pem").await;
    expect![[r#"
        exit: 2
        --- stdout
        --- stderr
        error: cannot read `.`
          caused by: Is a directory (os error 21)
    "#]]
    .assert_eq(&directory.text());
    assert_eq!(daemon.requests(), [""; 0]);
}

#[tokio::test]
async fn a_certificate_is_added_with_what_there_is_to_say() {
    let mut added = all()[2].clone();
    added["hosts"] = json!([]);
    added["warning"] = json!("the certificate for `own.example.org` runs out in 3 days");
    let daemon = FakeDaemon::start([("POST /v1/certs", ok(added.clone()))]);
    let folder = Folder::with([("chain.pem", "C"), ("key.pem", "K")]);
    expect![[r#"
        exit: 0
        --- stdout
        0fab0fab0fab0fab
        --- stderr
        new connections to `own.example.org`, `www.example.org` get it; it is valid for DAYS
        warning: no route has such a host yet
        warning: the certificate for `own.example.org` runs out in 3 days
    "#]]
    .assert_eq(&redact(&folder.run(&daemon, "certs add chain.pem key.pem").await.text()));
    let json = folder.run(&daemon, "certs add chain.pem key.pem --json").await.stdout;
    assert_eq!(serde_json::from_str::<Value>(&json).expect("JSON"), added);
    assert_eq!(daemon.requests()[0], r#"POST /v1/certs {"chain":"C","key":"K"}"#);
}

#[tokio::test]
async fn without_a_daemon_it_is_exit_code_3() {
    let home = tempfile::tempdir().expect("a temporary directory");
    let folder = Folder::with([("chain.pem", "C"), ("key.pem", "K")]);
    for command in ["certs", "certs info x", "certs add chain.pem key.pem", "certs remove x", "certs renew x"]
    {
        let run = folder.start(home.path(), command, &[]).finish().await;
        assert_eq!(run.code, Some(3), "{command}: {}", run.text());
        assert!(run.stderr.starts_with("error: no daemon answers on "), "{command}: {}", run.text());
    }
}

#[tokio::test]
async fn help_says_what_there_is() {
    let daemon = FakeDaemon::start([]);
    let folder = Folder::with([]);
    expect![[r#"
        List the certificates of all hosts, add one of your own, or look at one

        Usage: minipaas certs [OPTIONS] [COMMAND]

        Commands:
          info    Show all that is known of a name's certificate
          add     Use a certificate of your own: it goes before any that the box orders
          remove  Use a certificate of your own no longer
          renew   Order the certificate of a name now, whatever went wrong before
          help    Print this message or the help of the given subcommand(s)

        Options:
          -h, --help  Print help

        Options of every command:
          -a, --app <APP>      The app [default: the manifest's `app`, else the folder's name]
          -r, --remote <NAME>  The box, by its name in `minipaas remotes`; `local` is this machine's
                               [default: MINIPAAS_REMOTE]
              --json           Print the result as JSON
          -y, --yes            Say yes to every question
          -q, --quiet          Print the result and errors alone
    "#]]
    .assert_eq(&folder.run(&daemon, "certs --help").await.stdout);
    expect![[r#"
        Use a certificate of your own: it goes before any that the box orders

        Usage: minipaas certs add [OPTIONS] <CHAIN> <KEY>

        Arguments:
          <CHAIN>  The certificate, and those of its issuers behind it (PEM)
          <KEY>    Its private key (PEM)

        Options:
          -h, --help  Print help

        Options of every command:
          -a, --app <APP>      The app [default: the manifest's `app`, else the folder's name]
          -r, --remote <NAME>  The box, by its name in `minipaas remotes`; `local` is this machine's
                               [default: MINIPAAS_REMOTE]
              --json           Print the result as JSON
          -y, --yes            Say yes to every question
          -q, --quiet          Print the result and errors alone
    "#]]
    .assert_eq(&folder.run(&daemon, "certs add --help").await.stdout);
}
