//! Maintenance, pausing and canaries, as they are typed and as they are told.

use axum::http::StatusCode;
use expect_test::expect;
use serde_json::{Value, json};

use super::command::Folder;
use super::daemon::{FakeDaemon, Reply};
use super::{app, ok};

fn closed() -> Value {
    json!({"mode": "maintenance", "allow": ["10.0.0.0/8"], "has-cookie": false, "has-page": true,
           "retry-after-ms": 300_000, "health-path": "/healthz"})
}

fn with(key: &str, value: Value) -> Value {
    let mut app = app();
    app[key] = value;
    app
}

fn canary() -> Value {
    json!({"release": "v4", "percent": 10, "cookie": "beta", "header": null})
}

#[tokio::test]
async fn maintenance_begins_and_ends() {
    let daemon = FakeDaemon::start([
        ("PUT /v1/apps/shop/maintenance", ok(closed())),
        ("DELETE /v1/apps/shop/maintenance", ok(json!({"mode": "open"}))),
        ("GET /v1/apps/shop", ok(with("traffic", closed()))),
    ]);
    let folder = Folder::with([("soon.html", "<h1>soon</h1>")]);
    let on = "maintenance on --allow 10.0.0.0/8 --allow ::1 --page soon.html --retry-after 5m --health-path /healthz";
    expect![[r#"
        exit: 0
        --- stdout
        `shop` is in maintenance for all but `10.0.0.0/8`; `minipaas maintenance off -a shop` ends it
        --- stderr
    "#]]
    .assert_eq(&folder.run(&daemon, on).await.text());
    assert_eq!(folder.run(&daemon, "maintenance").await.text(), folder.run(&daemon, on).await.text());
    expect![[r#"
        exit: 0
        --- stdout
        `shop` takes requests
        --- stderr
    "#]]
    .assert_eq(&folder.run(&daemon, "maintenance:off").await.text());
    expect![[r#"
        exit: 0
        --- stdout
        {"app":"shop","traffic":{"mode":"open"}}
        --- stderr
    "#]]
    .assert_eq(&folder.run(&daemon, "maintenance off --json").await.text());
    assert_eq!(
        daemon.requests()[0],
        "PUT /v1/apps/shop/maintenance {\"allow\":[\"10.0.0.0/8\",\"::1/128\"],\"cookie-sha256\":null,\
         \"page\":\"<h1>soon</h1>\",\"retry-after-ms\":300000,\"health-path\":\"/healthz\"}"
    );
}

#[tokio::test]
async fn the_cookies_value_is_printed_once_and_never_sent() {
    let daemon = FakeDaemon::start([("PUT /v1/apps/shop/maintenance", ok(closed()))]);
    let folder = Folder::with([]);
    let run = folder.run(&daemon, "maintenance on --cookie").await;
    let value = run.stdout.trim_end().to_owned();
    assert_eq!(value.len(), 32, "{value}");
    assert!(value.bytes().all(|byte| byte.is_ascii_hexdigit()), "{value}");
    expect![[r#"
        exit: 0
        --- stdout
        [VALUE]
        --- stderr
        `shop` is in maintenance for all but `10.0.0.0/8`; `minipaas maintenance off -a shop` ends it
        who sends this value as the cookie `minipaas_bypass` passes; it is not shown again
        in a browser's console, on the app's page: document.cookie = "minipaas_bypass=[VALUE]; path=/; secure"
    "#]]
    .assert_eq(&run.text().replace(&value, "[VALUE]"));
    let sent = daemon.requests()[0].clone();
    assert!(!sent.contains(&value), "{sent}");
    let digest = minipaas::hex::encode(minipaas::route::Maintenance::digest(value.as_bytes()));
    assert!(sent.contains(&digest), "{sent}");
    let json = folder.run(&daemon, "maintenance on --cookie --json").await;
    let json: Value = serde_json::from_str(&json.stdout).expect("JSON");
    assert_eq!(json["cookie"].as_str().map(str::len), Some(32));
}

#[tokio::test]
async fn what_is_no_network_time_or_page_is_exit_code_2() {
    let daemon = FakeDaemon::start([]);
    let folder = Folder::with([]);
    for (typed, said) in [
        ("maintenance on --allow 10.0.0.0/33", "`10.0.0.0/33` is no network; write one such as `10.0.0.0/8`"),
        ("maintenance on --retry-after soon", "`soon` is not a duration"),
        ("maintenance on --health-path up", "`up` is no path; it begins with `/`, such as `/up`"),
        ("maintenance on --page missing.html", "cannot read the page `missing.html`"),
        ("pause --wait 6m", "`6m` is longer than a request may wait, which is 5m"),
        ("canary --percent 101", "101 is not in 0..=100"),
    ] {
        let run = folder.run(&daemon, typed).await;
        assert_eq!(run.code, Some(2), "{typed}: {}", run.text());
        assert!(run.stderr.contains(said), "{typed}: {}", run.stderr);
    }
    assert!(daemon.requests().is_empty());
}

#[tokio::test]
async fn a_pause_says_for_how_long() {
    let daemon = FakeDaemon::start([
        ("PUT /v1/apps/shop/pause", ok(json!({"mode": "paused", "wait-ms": 30_000}))),
        ("DELETE /v1/apps/shop/pause", ok(json!({"mode": "open"}))),
    ]);
    let folder = Folder::with([]);
    expect![[r#"
        exit: 0
        --- stdout
        `shop` is paused: requests wait up to 30s; `minipaas resume shop` ends it
        --- stderr
    "#]]
    .assert_eq(&folder.run(&daemon, "pause").await.text());
    assert_eq!(daemon.requests(), ["PUT /v1/apps/shop/pause {\"wait-ms\":30000}"]);
    expect![[r#"
        exit: 0
        --- stdout
        `shop` takes requests
        --- stderr
    "#]]
    .assert_eq(&folder.run(&daemon, "resume shop").await.text());
}

#[tokio::test]
async fn lists_say_what_an_operator_wants() {
    let both = json!([with("traffic", closed()), with("canary", canary())]);
    let daemon = FakeDaemon::start([("GET /v1/apps", ok(both))]);
    let folder = Folder::with([]);
    expect![[r#"
        exit: 0
        --- stdout
        APP   STATE                   RELEASE  URL
        shop  degraded (maintenance)  v3       https://shop.localhost
        shop  degraded (canary v4)    v3       https://shop.localhost
        --- stderr
    "#]]
    .assert_eq(&folder.run(&daemon, "apps").await.text());
    let ps = folder.run(&daemon, "ps").await;
    expect![[r#"
        `shop` is in maintenance for all but `10.0.0.0/8`; `minipaas maintenance off -a shop` ends it
        v4 of `shop` gets 10 % of clients, those with the cookie `beta` (not `0` or `never`); v3 has the others
    "#]]
    .assert_eq(&ps.stderr);
}

#[tokio::test]
async fn a_canary_is_shown_changed_promoted_and_aborted() {
    let reply =
        |serving: &str, canary: Value| ok(json!({"release": "v4", "serving": serving, "canary": canary}));
    let daemon = FakeDaemon::start([
        ("GET /v1/apps/shop", ok(with("canary", canary()))),
        ("PATCH /v1/apps/shop/canary", reply("v3", canary())),
        ("POST /v1/apps/shop/canary/promote", reply("v4", Value::Null)),
        ("DELETE /v1/apps/shop/canary", reply("v3", Value::Null)),
    ]);
    let folder = Folder::with([]);
    expect![[r#"
        exit: 0
        --- stdout
        v4 of `shop` gets 10 % of clients, those with the cookie `beta` (not `0` or `never`); v3 has the others
        --- stderr
        `minipaas canary promote` lets it take over, `minipaas canary abort` takes it away
    "#]]
    .assert_eq(&folder.run(&daemon, "canary").await.text());
    expect![[r#"
        exit: 0
        --- stdout
        v4 of `shop` gets 50 % of clients now
        --- stderr
        `minipaas canary promote` lets it take over, `minipaas canary abort` takes it away
    "#]]
    .assert_eq(&folder.run(&daemon, "canary --percent 50").await.text());
    expect![[r#"
        exit: 0
        --- stdout
        v4 of `shop` serves
        --- stderr
    "#]]
    .assert_eq(&folder.run(&daemon, "canary promote").await.text());
    expect![[r#"
        exit: 0
        --- stdout
        v4 of `shop` is no canary any more; v3 serves everybody
        --- stderr
    "#]]
    .assert_eq(&folder.run(&daemon, "canary abort").await.text());
    expect![[r#"
        exit: 0
        --- stdout
        {"app":"shop","serving":"v4","canary":null}
        --- stderr
    "#]]
    .assert_eq(&folder.run(&daemon, "canary promote --json").await.text());
}

#[tokio::test]
async fn a_canary_tells_its_header_and_the_time_that_is_left() {
    let until = minipaas::clock::now() + 9 * 60_000 + 30_000;
    let canary = json!({"release": "v4", "percent": 0, "cookie": null, "header": "x-canary",
                        "header-value": "yes", "until": until});
    let daemon = FakeDaemon::start([("GET /v1/apps/shop", ok(with("canary", canary)))]);
    expect![[r#"
        exit: 0
        --- stdout
        v4 of `shop` gets those with the header `x-canary: yes`; v3 has the others; in 9m it takes over, unless it fails clearly more often
        --- stderr
        `minipaas canary promote` lets it take over, `minipaas canary abort` takes it away
    "#]]
    .assert_eq(&Folder::with([]).run(&daemon, "canary").await.text());
}

#[tokio::test]
async fn a_refusal_of_the_daemon_is_told() {
    let failure =
        json!({"code": "no-canary", "message": "app `shop` has no canary", "hints": ["deploy one"]});
    let daemon =
        FakeDaemon::start([("DELETE /v1/apps/shop/canary", Reply::Json(StatusCode::CONFLICT, failure))]);
    expect![[r#"
        exit: 1
        --- stdout
        --- stderr
        error: app `shop` has no canary

        hint: deploy one
    "#]]
    .assert_eq(&Folder::with([]).run(&daemon, "canary abort").await.text());
}
