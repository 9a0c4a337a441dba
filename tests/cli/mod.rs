//! The real program against a control API that says what a test has written down.
//!
//! Whole outputs are compared. None of it is on a terminal.

mod apps;
mod certs;
pub(crate) mod command;
mod daemon;
mod import;
mod install;
mod proxy;
mod traffic;
mod up;

use std::time::{SystemTime, UNIX_EPOCH};

use axum::http::StatusCode;
use expect_test::expect;
use minipaas::seal::BoxKey;
use minipaas::tls::LocalCa;
use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use command::Folder;
use daemon::{FakeDaemon, Reply};

/// A box with a working engine.
fn status() -> Reply {
    status_of(7)
}

/// A box whose daemon is this process.
fn status_of(pid: u32) -> Reply {
    Reply::Json(
        StatusCode::OK,
        json!({
            "version": env!("CARGO_PKG_VERSION"), "pid": pid, "box-id": "1a2b3c4d", "domain": "localhost",
            "http": "0.0.0.0:80", "https": "0.0.0.0:443", "generation": 3, "apps": [app()],
            "engine": {"endpoint": "unix:///var/run/docker.sock", "version": "20.10.24", "error": null},
        }),
    )
}

/// An app with an instance that is well and one that is not, since three minutes and a half.
fn app() -> Value {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after the epoch").as_millis();
    let since = u64::try_from(now).expect("a time") - 210_000;
    let instance = |slot: &str, state: &str, detail: Option<&str>, restarts: u32| {
        json!({"slot": slot, "release": "v3", "id": "00c0ffee", "state": state, "since": since,
               "detail": detail, "restarts": restarts})
    };
    json!({
        "name": "shop", "release": "v3", "state": "degraded", "origin": "/src/shop", "deploy": null,
        "urls": ["https://shop.localhost", "https://shop.example.com"],
        "instances": [instance("web.1", "ready", None, 0),
                      instance("web.2", "crashed", Some("exit code 1"), 2)],
    })
}

fn ok(value: Value) -> Reply {
    Reply::Json(StatusCode::OK, value)
}

#[tokio::test]
async fn ps_lists_instances() {
    let daemon = FakeDaemon::start([("GET /v1/apps", ok(json!([app()]))), ("GET /v1/apps/shop", ok(app()))]);
    let folder = Folder::with([]);
    let all = folder.run(&daemon, "ps").await;
    expect![[r#"
        exit: 0
        --- stdout
        APP   SLOT   RELEASE  STATE    SINCE  LIMITS  DETAIL
        shop  web.1  v3       ready    3m     -
        shop  web.2  v3       crashed  3m     -       exit code 1 (2 restarts)
        --- stderr
    "#]]
    .assert_eq(&all.text());
    assert_eq!(folder.run(&daemon, "ps shop").await.text(), all.text());
    assert_eq!(folder.run(&daemon, "-a shop ps").await.text(), all.text());
    let json = folder.run(&daemon, "ps --json").await;
    let parsed: Value = serde_json::from_str(&json.stdout).expect("JSON");
    assert_eq!(parsed[0]["instances"][1]["detail"], "exit code 1");
}

#[tokio::test]
async fn apps_and_status_are_tables() {
    let daemon = FakeDaemon::start([("GET /v1/apps", ok(json!([app()]))), ("GET /v1/status", status())]);
    let folder = Folder::with([]);
    expect![[r#"
        exit: 0
        --- stdout
        APP   STATE     RELEASE  URL
        shop  degraded  v3       https://shop.localhost
        --- stderr
    "#]]
    .assert_eq(&folder.run(&daemon, "apps").await.text());
    expect![[r#"
        exit: 0
        --- stdout
        BOX     1a2b3c4d
        daemon  0.1.0, pid 7
        engine  unix:///var/run/docker.sock, 20.10.24
        domain  localhost
        http    0.0.0.0:80
        https   0.0.0.0:443
        home    [HOME]

        APP   STATE     RELEASE  URL
        shop  degraded  v3       https://shop.localhost
        --- stderr
    "#]]
    .assert_eq(&folder.run(&daemon, "status").await.text());
}

/// The traffic of one app at this second, after so many requests of 3 ms.
fn traffic(second: u64, requests: u64) -> Value {
    json!({
        "at": second * 1000,
        "routes": [{
            "app": "shop", "route": "shop.localhost/", "in-flight": 2,
            "requests": {"1xx": 0, "2xx": requests, "3xx": 0, "4xx": 0, "499": 0, "5xx": requests / 3},
            "latency": {"bounds": [1, 5], "counts": [0, requests, 0], "sum-micros": 3_000 * requests},
            "bytes-in": 100, "bytes-out": 2048 * requests, "retries": 0, "held": 0,
        }],
        "upstreams": [{"app": "shop", "slot": "web.1", "release": "v3", "id": "00c0ffee", "requests": requests,
                       "failures": 1, "ejections": 0, "in-flight": 2}],
        "ports": [{"app": "shop", "port": 5432, "connections": requests, "open": 2, "failed": 1,
                   "duration": {"bounds": [1, 5], "counts": [0, requests, 0], "sum-micros": 3_000 * requests},
                   "bytes-in": 100, "bytes-out": 2048 * requests}],
        "calls": [],
    })
}

#[tokio::test]
async fn metrics_are_a_table_since_the_start() {
    let daemon = FakeDaemon::start([("GET /v1/traffic", ok(traffic(1, 300)))]);
    let folder = Folder::with([]);
    expect![[r#"
        exit: 0
        --- stdout
        APP   ROUTE            REQUESTS  ERRORS  P50    P95    P99    IN-FLIGHT  IN     OUT
        shop  shop.localhost/  400       25.00%  3.0ms  4.8ms  5.0ms  2          100 B  600 KiB

        APP   PORT  CONNECTIONS  FAILED  P50    P95    P99    OPEN  IN     OUT
        shop  5432  300          1       3.0ms  4.8ms  5.0ms  2     100 B  600 KiB
        --- stderr
    "#]]
    .assert_eq(&folder.run(&daemon, "metrics").await.text());
    expect![[r#"
        exit: 0
        --- stdout
        APP   ROUTE            REQUESTS  ERRORS  P50    P95    P99    IN-FLIGHT  IN     OUT
        shop  shop.localhost/  400       25.00%  3.0ms  4.8ms  5.0ms  2          100 B  600 KiB

        APP   PORT  CONNECTIONS  FAILED  P50    P95    P99    OPEN  IN     OUT
        shop  5432  300          1       3.0ms  4.8ms  5.0ms  2     100 B  600 KiB

        SLOT   RELEASE  REQUESTS  FAILED  EJECTED  IN-FLIGHT
        web.1  v3       300       1       0        2
        --- stderr
    "#]]
    .assert_eq(&folder.run(&daemon, "metrics -a shop").await.text());
    let json = folder.run(&daemon, "metrics --json").await;
    let parsed: Value = serde_json::from_str(&json.stdout).expect("JSON");
    assert_eq!(parsed, traffic(1, 300));
    assert_eq!(daemon.requests(), ["GET /v1/traffic", "GET /v1/traffic?app=shop", "GET /v1/traffic"]);
}

#[tokio::test]
async fn top_is_the_difference_of_two_readings() {
    let readings = || Reply::Turns(vec![traffic(10, 300), traffic(12, 600)]);
    let daemon = FakeDaemon::start([("GET /v1/traffic", readings())]);
    let folder = Folder::with([]);
    expect![[r#"
        exit: 0
        --- stdout
        APP   ROUTE            REQ/S  ERRORS  P50    P95    P99    IN-FLIGHT  IN/S  OUT/S
        shop  shop.localhost/  200.0  25.00%  3.0ms  4.8ms  5.0ms  2          0 B   300 KiB
        --- stderr
    "#]]
    .assert_eq(&folder.run(&daemon, "top").await.text());
    let daemon = FakeDaemon::start([("GET /v1/traffic", readings())]);
    expect![[r#"
        exit: 0
        --- stdout
        [{"app":"shop","route":"shop.localhost/","requests-per-second":200.0,"error-share":0.25,"p50-ms":3.0,"p95-ms":4.8,"p99-ms":4.96,"in-flight":2,"bytes-in-per-second":0.0,"bytes-out-per-second":307200.0}]
        --- stderr
    "#]].assert_eq(&folder.run(&daemon, "top --json").await.text());
}

#[tokio::test]
async fn logs_are_lines_with_time_and_slot() {
    let line = |slot: &str, text: &str| json!({"at": 1_767_225_600_123_u64, "slot": slot, "release": "v3", "is-stderr": false, "text": text});
    let daemon = FakeDaemon::start([(
        "GET /v1/apps/shop/logs",
        Reply::Lines(vec![line("web.1", "listening"), line("worker.1", "  idle")]),
    )]);
    let folder = Folder::with([]);
    expect![[r#"
        exit: 0
        --- stdout
        2026-01-01T00:00:00.123Z app[web.1]: listening
        2026-01-01T00:00:00.123Z app[worker.1]:   idle
        --- stderr
    "#]]
    .assert_eq(&folder.run(&daemon, "logs -f -n 5 -p web").await.text());
    expect![[r#"
        exit: 0
        --- stdout
        {"at":1767225600123,"slot":"web.1","release":"v3","is-stderr":false,"text":"listening"}
        {"at":1767225600123,"slot":"worker.1","release":"v3","is-stderr":false,"text":"  idle"}
        --- stderr
    "#]]
    .assert_eq(&folder.run(&daemon, "logs --json").await.text());
    assert_eq!(
        daemon.requests(),
        ["GET /v1/apps/shop/logs?follow=true&process=web&tail=5", "GET /v1/apps/shop/logs?follow=false"]
    );
}

#[tokio::test]
async fn reader_that_stops_reading_is_no_failure() {
    let line =
        json!({"at": 0, "slot": "web.1", "release": "v3", "is-stderr": false, "text": "x".repeat(1000)});
    let daemon = FakeDaemon::start([("GET /v1/apps/shop/logs", Reply::Lines(vec![line; 1000]))]);
    let folder = Folder::with([]);
    let mut running = folder.start(daemon.home(), "logs", &[]);
    running.close_stdout();
    let run = running.finish().await;
    assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""));
}

#[tokio::test]
async fn interrupted_logs_end_without_a_word() {
    let gate = std::sync::Arc::default();
    let line = json!({"at": 0, "slot": "web.1", "release": "v3", "is-stderr": false, "text": "hello"});
    let daemon = FakeDaemon::start([("GET /v1/apps/shop/logs", Reply::Gated(vec![line], gate, Vec::new()))]);
    let folder = Folder::with([]);
    let mut running = folder.start(daemon.home(), "logs -f", &[]);
    running.says_on_stdout("hello").await;
    running.signal(Signal::INT);
    let run = running.finish().await;
    assert_eq!((run.code, run.stderr.as_str()), (Some(130), ""));
}

#[tokio::test]
async fn no_daemon_is_exit_code_3() {
    let home = tempfile::tempdir().expect("a temporary directory");
    expect![[r#"
        exit: 3
        --- stdout
        --- stderr
        error: no daemon answers on `[HOME]/minipaas.sock`
          caused by: No such file or directory (os error 2)

        hint: start it with `minipaas up` in a project's folder, or with `minipaas server`
    "#]]
    .assert_eq(&Folder::with([]).start(home.path(), "ps", &[]).finish().await.text());
}

#[tokio::test]
async fn daemon_that_cannot_start_is_explained() {
    let home = tempfile::tempdir().expect("a temporary directory");
    let folder = Folder::with([("index.html", "hello")]);
    expect![[r#"
        exit: 3
        --- stdout
        --- stderr
        no daemon answers: starting one, which logs to `[HOME]/box/daemon.log`
        error: the daemon could not start
          last lines of `[HOME]/box/daemon.log`:
            error: `MINIPAAS_DOMAIN` is `*`, which is no domain; use a name such as `apps.example.com`

        hint: `minipaas server` runs it in the foreground; `minipaas doctor` looks for the reason
    "#]]
    .assert_eq(
        &folder
            .start(&home.path().join("box"), "up", &[("MINIPAAS_DOMAIN", "*")])
            .finish()
            .await
            .text()
            .replace(&home.path().display().to_string(), "[HOME]")
            .replace("`[HOME]/daemon.log`", "`[HOME]/box/daemon.log`"),
    );
}

#[tokio::test]
async fn unknown_app_is_the_daemons_failure_with_a_hint() {
    let daemon = FakeDaemon::start([]);
    expect![[r#"
        exit: 1
        --- stdout
        --- stderr
        error: there is nothing at `GET /v1/apps/blog`

        hint: `minipaas apps` lists the apps of this box
    "#]]
    .assert_eq(&Folder::with([]).run(&daemon, "open blog").await.text());
}

#[tokio::test]
async fn volumes_are_not_removed_without_a_yes() {
    let daemon = FakeDaemon::start([
        ("GET /v1/apps/shop", ok(app())),
        ("DELETE /v1/apps/shop", ok(json!({"instances": 2, "volumes": ["data"]}))),
    ]);
    let folder = Folder::with([]);
    expect![[r#"
        exit: 2
        --- stdout
        --- stderr
        error: there is nobody to ask whether the volumes of `shop` may go

        hint: `--yes` says so
    "#]]
    .assert_eq(&folder.run(&daemon, "down --volumes").await.text());
    assert_eq!(daemon.requests(), ["GET /v1/apps/shop"]);
    expect![[r#"
        exit: 0
        --- stdout
        `shop` is down: 2 instances stopped
        volume `data` is removed
        --- stderr
    "#]]
    .assert_eq(&folder.run(&daemon, "down --volumes --yes").await.text());
    assert_eq!(daemon.requests().last().map(String::as_str), Some("DELETE /v1/apps/shop?volumes=true"));
    expect![[r#"
        exit: 0
        --- stdout
        {"app":"shop","instances":2,"volumes":["data"]}
        --- stderr
    "#]]
    .assert_eq(&folder.run(&daemon, "down --json").await.text());
}

#[tokio::test]
async fn what_is_typed_wrong_is_exit_code_2_with_a_suggestion() {
    let daemon = FakeDaemon::start([]);
    let folder = Folder::with([]);
    expect![[r#"
        exit: 2
        --- stdout
        --- stderr
        error: unrecognized subcommand 'doctro'

          tip: a similar subcommand exists: 'doctor'

        Usage: minipaas [OPTIONS] <COMMAND>

        For more information, try '--help'.
    "#]]
    .assert_eq(&folder.run(&daemon, "doctro").await.text());
    let colon = folder.run(&daemon, "completions:bash").await;
    assert_eq!((colon.code, colon.stderr.as_str()), (Some(0), ""));
    assert!(colon.stdout.contains("_minipaas"), "{}", colon.stdout);
    assert_eq!(folder.run(&daemon, "version --json").await.stdout, "{\"version\":\"0.1.0\"}\n");
    assert_eq!(folder.run(&daemon, "--version").await.stdout, "minipaas 0.1.0\n");
}

#[tokio::test]
async fn doctor_tells_what_it_found_in_the_daemon() {
    let daemon = FakeDaemon::start([("GET /v1/status", status())]);
    let run = Folder::with([]).run(&daemon, "doctor --json").await;
    let findings: Vec<Value> = serde_json::from_str(&run.stdout).expect("JSON");
    let verdict = |check: &str| {
        let finding = findings.iter().find(|finding| finding["check"] == check).expect("the check is made");
        finding["verdict"].as_str().expect("a verdict").to_owned()
    };
    assert_eq!(verdict("home"), "ok");
    assert_eq!(verdict("daemon"), "ok");
    assert_eq!(verdict("engine"), "ok");
    assert_eq!(verdict("https"), "ok");
    assert_eq!(verdict("certs"), "ok");
    assert_eq!(verdict("trust"), "warn");
    assert_eq!(verdict("domains"), "ok");
    assert_eq!(findings.len(), 11);
}

#[tokio::test]
async fn server_is_stopped_and_waited_for() {
    let mut process =
        tokio::process::Command::new("sleep").arg("600").kill_on_drop(true).spawn().expect("sleep");
    let pid = process.id().expect("it runs");
    let daemon = FakeDaemon::start([("GET /v1/status", status_of(pid))]);
    let text = Folder::with([]).run(&daemon, "server --stop").await.text();
    expect![[r#"
        exit: 0
        --- stdout
        --- stderr
        the daemon, pid [PID], finishes its requests
        the daemon has ended; apps go on running in Docker
    "#]]
    .assert_eq(&text.replace(&pid.to_string(), "[PID]"));
    let status = process.wait().await.expect("an end");
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(Signal::TERM.as_raw()));
}

#[tokio::test]
async fn certificate_is_printed_as_it_is() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let ca = LocalCa::open_or_create(dir.path(), &BoxKey::new(&[7; 32]), &[]).expect("a CA");
    let pem = ca.certificate_pem().to_owned();
    let daemon = FakeDaemon::start([("GET /v1/ca.pem", Reply::Text(pem.clone()))]);
    let run = Folder::with([]).run(&daemon, "trust --print").await;
    assert_eq!((run.code, run.stdout, run.stderr.as_str()), (Some(0), pem, ""));
}

#[tokio::test]
async fn static_server_serves_until_it_is_told_to_end() {
    let folder = Folder::with([("index.html", "hello")]);
    let home = tempfile::tempdir().expect("a temporary directory");
    let variables = [("MINIPAAS_LOG", "info"), ("PORT", "0"), ("NO_COLOR", "1")];
    let mut running = folder.start(home.path(), "static-server --root .", &variables);
    running.says("serving").await;
    let port = running.seen().trim_end().rsplit_once(':').expect("an address").1.to_owned();
    let mut stream = tokio::net::TcpStream::connect(format!("127.0.0.1:{port}")).await.expect("it listens");
    stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.expect("a request");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("hello"), "{answer}");
    running.signal(Signal::TERM);
    assert_eq!(running.finish().await.code, Some(0));
}
