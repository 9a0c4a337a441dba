//! `minipaas proxy`, as it is typed and as it is told.

use axum::http::StatusCode;
use expect_test::expect;
use serde_json::{Value, json};

use super::command::Folder;
use super::daemon::{FakeDaemon, Reply};
use super::ok;

fn settings() -> Value {
    let setting = |key: &str, value: &str, from: &str| json!({"key": key, "value": value, "from": from});
    json!({
        "settings": [setting("https_redirect", "true", "default"), setting("body_max", "\"20M\"", "command"),
                     setting("basic_auth", "{ \"ann\" = \"***\" }", "manifest")],
        "routes": [{"route": "shop.localhost/admin", "settings": [setting("body_max", "false", "manifest")]}],
        "ignored": [{"route": "shop.localhost/old", "key": "retries", "reason": "the app has no route"},
                    {"route": null, "key": "timeout", "reason": "it never passes"}],
    })
}

fn daemon() -> FakeDaemon {
    FakeDaemon::start([
        ("GET /v1/apps/shop/proxy", ok(settings())),
        ("PATCH /v1/apps/shop/proxy", ok(json!({"settings": [], "routes": [], "ignored": []}))),
    ])
}

#[tokio::test]
async fn settings_are_a_table_with_their_origin() {
    let (daemon, folder) = (daemon(), Folder::with([]));
    expect![[r#"
        exit: 0
        --- stdout
        KEY             VALUE              FROM      ROUTE
        https_redirect  true               default
        body_max        "20M"              command
        basic_auth      { "ann" = "***" }  manifest
        body_max        false              manifest  shop.localhost/admin
        --- stderr
        warning: `retries` was set by command for `shop.localhost/old` and is ignored: the app has no route
        warning: `timeout` was set by command and is ignored: it never passes
    "#]]
    .assert_eq(&folder.run(&daemon, "proxy").await.text());
    let run = folder.run(&daemon, "proxy --json -a shop").await;
    let json: Value = serde_json::from_str(&run.stdout).expect("JSON");
    assert_eq!((&json["app"], &json["settings"][1]["from"]), (&json!("shop"), &json!("command")));
    assert_eq!(json["ignored"][0]["route"], "shop.localhost/old");
}

#[tokio::test]
async fn values_are_typed_as_words_or_as_toml() {
    let (daemon, folder) = (daemon(), Folder::with([("gone.html", "<p>gone</p>")]));
    expect![[r#"
        exit: 0
        --- stdout
        `shop`, route `/admin`: set `allow`, `body_max`, `compress`
        --- stderr
    "#]]
    .assert_eq(
        &folder
            .run(&daemon, "proxy set body_max=20M compress=true allow=[\"10.0.0.0/8\"] --route /admin")
            .await
            .text(),
    );
    folder.run(&daemon, "proxy:set error_pages={404=\"gone.html\"}").await;
    folder.run(&daemon, "proxy unset body_max compress").await;
    folder.run(&daemon, "proxy reset --route /admin").await;
    folder.run(&daemon, "proxy password ann --remove").await;
    expect![[r#"
        PATCH /v1/apps/shop/proxy {"route":"/admin","set":{"allow":"[\"10.0.0.0/8\"]","body_max":"\"20M\"","compress":"true"},"reset":false}
        PATCH /v1/apps/shop/proxy {"route":null,"set":{"error_pages":"{404=\"gone.html\"}"},"files":{"gone.html":"<p>gone</p>"},"reset":false}
        PATCH /v1/apps/shop/proxy {"route":null,"unset":["body_max","compress"],"reset":false}
        PATCH /v1/apps/shop/proxy {"route":"/admin","reset":true}
        PATCH /v1/apps/shop/proxy {"route":null,"user":["ann",null],"reset":false}
    "#]]
    .assert_eq(&(daemon.requests().join("\n") + "\n"));
}

#[tokio::test]
async fn a_password_is_hashed_before_it_is_sent_and_never_told() {
    let (daemon, folder) = (daemon(), Folder::with([]));
    let run = folder.run_with(&daemon, "proxy password ann", "correct horse\n").await;
    expect![[r#"
        exit: 0
        --- stdout
        `shop`: user `ann` comes in with this password
        --- stderr
    "#]]
    .assert_eq(&run.text());
    let sent = daemon.requests()[0].clone();
    assert!(!sent.contains("horse"), "{sent}");
    let body: Value =
        serde_json::from_str(sent.split_once('{').map(|(_, rest)| format!("{{{rest}")).unwrap().as_str())
            .unwrap();
    let hash = body["user"][1].as_str().expect("a hash");
    assert!(bcrypt::verify("correct horse", hash).unwrap(), "{hash}");
    let json = folder.run_with(&daemon, "proxy password ann --json", "correct horse\n").await;
    assert!(!json.stdout.contains("$2") && !json.stdout.contains("horse"), "{}", json.stdout);
    for (typed, said) in [("\n", "the password is empty"), (&*"x".repeat(73), "72 bytes at most")] {
        let run = folder.run_with(&daemon, "proxy password ann", typed).await;
        assert_eq!((run.code, run.stderr.contains(said)), (Some(2), true), "{}", run.text());
    }
    assert_eq!(daemon.requests().len(), 2);
}

#[tokio::test]
async fn what_is_no_setting_is_exit_code_2() {
    let failure = json!({"code": "manifest", "message": "unknown key `body_mx` in [proxy]",
                         "hints": ["did you mean `body_max`?"]});
    let daemon =
        FakeDaemon::start([("PATCH /v1/apps/shop/proxy", Reply::Json(StatusCode::BAD_REQUEST, failure))]);
    let folder = Folder::with([("long.html", &*"x".repeat(65 * 1024))]);
    expect![[r#"
        exit: 2
        --- stdout
        --- stderr
        error: unknown key `body_mx` in [proxy]

        hint: did you mean `body_max`?
    "#]]
    .assert_eq(&folder.run(&daemon, "proxy set body_mx=1").await.text());
    for (typed, said) in [
        ("proxy set body_max", "`body_max` is no setting; write `key=value`"),
        ("proxy set allow=[10.0.0.0/8", "the value of `allow` is not valid TOML"),
        ("proxy set allow=[10.0.0.0/8", "hint: such as `minipaas proxy set 'allow=[\"10.0.0.0/8\"]'`"),
        ("proxy set retries=1 retries=2", "`retries` is set twice"),
        ("proxy set error_pages={404=\"long.html\"}", "`long.html` is larger than 64 KiB"),
        ("proxy set", "required"),
    ] {
        let run = folder.run(&daemon, typed).await;
        assert_eq!(run.code, Some(2), "{typed}: {}", run.text());
        assert!(run.stderr.contains(said), "{typed}: {}", run.stderr);
    }
    assert_eq!(daemon.requests().len(), 1);
}
