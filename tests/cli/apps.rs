//! Apps that are only routes, as they are typed and as they are told.

use axum::http::StatusCode;
use expect_test::expect;
use serde_json::{Value, json};

use super::command::Folder;
use super::daemon::{FakeDaemon, Reply};
use super::{app, ok};

/// An app with an upstream that is ready, one that is not, and one whose name is not found.
fn legacy() -> Value {
    let since = app()["instances"][0]["since"].clone();
    let instance = |slot: &str, id: &str, addr: &str, state: &str, detail: Option<&str>| {
        json!({"slot": slot, "release": "-", "id": id, "addr": addr, "state": state, "since": since,
               "detail": detail, "restarts": 0})
    };
    let upstream =
        |slot: &str, url: &str, problem: Option<&str>| json!({"slot": slot, "url": url, "problem": problem});
    json!({
        "name": "legacy", "release": null, "state": "degraded", "origin": "", "deploy": null,
        "urls": ["https://legacy.localhost/"],
        "instances": [
            instance("upstream.1", "00000001", "10.0.0.5:8080", "ready", None),
            instance("upstream.2", "00000002", "10.0.0.6:80", "unready", Some("GET /up returned 503")),
        ],
        "external": {"health": "/up", "upstreams": [
            upstream("upstream.1", "http://10.0.0.5:8080", None),
            upstream("upstream.2", "http://10.0.0.6", None),
            upstream("upstream.3", "http://app.internal", Some("`app.internal` was not found")),
        ]},
    })
}

#[tokio::test]
async fn create_says_where_it_leads_and_what_is_not_well() {
    let daemon = FakeDaemon::start([("PUT /v1/apps/legacy/upstreams", ok(legacy()))]);
    let folder = Folder::with([("proxy.toml", "[proxy]\nretries = 2\n")]);
    let typed = "apps create legacy --upstream http://10.0.0.5:8080 --upstream http://10.0.0.6/ \
                 --upstream http://App.internal --host old.example.com --path /x --health /up -f proxy.toml";
    expect![[r#"
        exit: 0
        --- stdout
        https://legacy.localhost/
        --- stderr
        warning: `http://10.0.0.6` at 10.0.0.6:80 is not ready: GET /up returned 503
        warning: `http://app.internal`: `app.internal` was not found
        `legacy` leads to 2 places, 1 of them ready
    "#]]
    .assert_eq(&folder.run(&daemon, typed).await.text());
    assert_eq!(
        daemon.requests(),
        [
            "PUT /v1/apps/legacy/upstreams {\"upstreams\":[\"http://10.0.0.5:8080\",\"http://10.0.0.6\",\"http://app.internal\"],\
          \"hosts\":[\"old.example.com\"],\"path\":\"/x\",\"health\":\"/up\",\
          \"source\":{\"toml\":\"[proxy]\\nretries = 2\\n\",\"procfile\":null,\"files\":{}}}"
        ]
    );
    let json = folder.run(&daemon, "apps:create -a legacy --upstream http://10.0.0.5:8080 --json").await;
    let parsed: Value = serde_json::from_str(&json.stdout).expect("JSON");
    assert_eq!(parsed["external"], legacy()["external"]);
}

#[tokio::test]
async fn create_refuses_what_cannot_be() {
    let daemon = FakeDaemon::start([]);
    let folder = Folder::with([("minipaas.toml", "[process.web]\ncommand = \"x\"\n")]);
    expect![[r#"
        exit: 2
        --- stdout
        --- stderr
        error: nothing says where `legacy` leads, and only an app that is a route has hosts of its own here

        hint: add `--upstream http://10.0.0.5:8080`
    "#]]
    .assert_eq(&folder.run(&daemon, "apps create legacy --host a.example.com").await.text());
    expect![[r#"
        exit: 2
        --- stdout
        --- stderr
        error: invalid value 'https://10.0.0.5' for '--upstream <URL>': upstream `https://10.0.0.5` is https, and requests go to upstreams in plain http; name its http port, or a proxy beside it that speaks https to it

        For more information, try '--help'.
    "#]]
    .assert_eq(&folder.run(&daemon, "apps create legacy --upstream https://10.0.0.5").await.text());
    expect![[r#"
        exit: 2
        --- stdout
        --- stderr
        error: minipaas.toml:1: `process` means nothing to an app that is only a route; keep [proxy], [tls] and [[route]]
    "#]]
    .assert_eq(
        &folder.run(&daemon, "apps create legacy --upstream http://10.0.0.5 -f minipaas.toml").await.text(),
    );
    assert!(daemon.requests().is_empty());
}

#[tokio::test]
async fn lists_show_upstreams() {
    let traffic = json!({"at": 0, "routes": [], "upstreams": [{
        "app": "legacy", "slot": "upstream.1", "release": "v1", "id": "00000001", "requests": 7, "failures": 0,
        "ejections": 0, "in-flight": 4}]});
    let daemon = FakeDaemon::start([
        ("GET /v1/apps", ok(json!([legacy()]))),
        ("GET /v1/apps/legacy", ok(legacy())),
        ("GET /v1/traffic", ok(traffic)),
    ]);
    let folder = Folder::with([]);
    expect![[r#"
        exit: 0
        --- stdout
        APP     STATE     RELEASE   URL
        legacy  degraded  external  https://legacy.localhost/
        --- stderr
    "#]]
    .assert_eq(&folder.run(&daemon, "apps").await.text());
    expect![[r#"
        exit: 0
        --- stdout
        APP     SLOT        RELEASE  STATE    SINCE  LIMITS  DETAIL
        legacy  upstream.1  -        ready    3m     -       10.0.0.5:8080
        legacy  upstream.2  -        unready  3m     -       10.0.0.6:80 GET /up returned 503
        --- stderr
        warning: upstream.3 of `legacy`: `app.internal` was not found
    "#]]
    .assert_eq(&folder.run(&daemon, "ps").await.text());
    expect![[r#"
        exit: 0
        --- stdout
        APP    legacy
        state  degraded
        ready  /up
        url    https://legacy.localhost/

        SLOT        UPSTREAM              ADDRESS        STATE    SINCE  IN-FLIGHT  DETAIL
        upstream.1  http://10.0.0.5:8080  10.0.0.5:8080  ready    3m     4
        upstream.2  http://10.0.0.6       10.0.0.6:80    unready  3m     0          GET /up returned 503
        upstream.3  http://app.internal   -              unknown  -      -          `app.internal` was not found
        --- stderr
    "#]]
    .assert_eq(&folder.run(&daemon, "apps info legacy").await.text());
    let json = folder.run(&daemon, "apps info legacy --json").await;
    let parsed: Value = serde_json::from_str(&json.stdout).expect("JSON");
    assert_eq!((&parsed["in-flight"]["00000001"], &parsed["name"]), (&json!(4), &json!("legacy")));
}

#[tokio::test]
async fn destroy_wants_to_be_sure() {
    let daemon = FakeDaemon::start([
        ("GET /v1/apps/legacy", ok(legacy())),
        ("DELETE /v1/apps/legacy", ok(json!({"instances": 0, "upstreams": 2, "volumes": []}))),
    ]);
    let folder = Folder::with([]);
    expect![[r#"
        exit: 2
        --- stdout
        --- stderr
        error: there is nobody to ask whether `legacy` may go

        hint: `--confirm legacy` or `--yes` says so
    "#]]
    .assert_eq(&folder.run(&daemon, "apps destroy legacy").await.text());
    assert_eq!(daemon.requests(), ["GET /v1/apps/legacy"]);
    expect![[r#"
        exit: 0
        --- stdout
        `legacy` is gone: its upstreams get no requests any more
        --- stderr
    "#]]
    .assert_eq(&folder.run(&daemon, "apps destroy legacy -y").await.text());
    expect![[r#"
        exit: 0
        --- stdout
        {"app":"legacy","instances":0,"upstreams":2,"volumes":[]}
        --- stderr
    "#]]
    .assert_eq(&folder.run(&daemon, "down legacy --json").await.text());
}

#[tokio::test]
async fn what_the_daemon_refuses_is_told_with_its_hints() {
    let failure = json!({"code": "deployed", "message": "app `shop` is deployed, and cannot be a route to upstreams as well",
                         "hints": ["choose another name"]});
    let refused = Reply::Json(StatusCode::CONFLICT, failure);
    let daemon = FakeDaemon::start([("PUT /v1/apps/shop/upstreams", refused)]);
    expect![[r#"
        exit: 1
        --- stdout
        --- stderr
        error: app `shop` is deployed, and cannot be a route to upstreams as well

        hint: choose another name
    "#]]
    .assert_eq(&Folder::with([]).run(&daemon, "apps create shop --upstream http://10.0.0.5").await.text());
}
