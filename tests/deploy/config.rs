//! The ledger of releases: config, limits and rollbacks, each a release of its own that takes over under load.

use super::release::TestApp;
use super::traffic::Poller;
use super::world::TestBox;
use crate::support::docker::docker;

#[tokio::test(flavor = "multi_thread")]
async fn config_is_a_release_and_can_be_staged() {
    let on = TestBox::new();
    let project = on.project("shop");
    on.run(&["config", "-a", "shop"]).await.ends_with(3);
    let _daemon = on.serve(&[]).await;
    on.run(&["config", "set", "A=1", "-a", "shop"]).await.ends_with(1).saying(&["there is no app `shop`"]);

    // Set before the first deploy, it waits for it.
    on.run(&["apps", "create", "shop"]).await.success();
    on.run(&["config:set", "GREETING=hello", "-a", "shop"])
        .await
        .success()
        .saying(&["1 change of `shop` waits"]);
    project.deploy(&TestApp::version("one")).await.success();
    let run = on.run(&["config", "--json", "-a", "shop"]).await.success();
    let config: serde_json::Value = serde_json::from_str(&run.stdout).expect("JSON");
    assert_eq!((&config["GREETING"], &config["VERSION"]), (&"hello".into(), &"one".into()));

    let poller = Poller::start(&on, "shop.localhost").await;
    let run = on.run(&["config", "set", "VERSION=two", "COLOUR=red", "-a", "shop"]).await.success();
    assert_eq!(run.stdout, "v2\n");
    run.saying(&["v2 of `shop` serves: added COLOUR, VERSION"]);
    on.settled(1, "v2").await;
    poller.finish().await.only(&["version=one", "version=two"]);
    on.run(&["config", "set", "COLOUR=red", "-a", "shop"]).await.success().saying(&["nothing has changed"]);

    on.run(&["config", "set", "--no-restart", "COLOUR=blue", "-a", "shop"]).await.success();
    on.run(&["config", "unset", "--no-restart", "GREETING", "-a", "shop"]).await.success();
    on.run(&["config", "-a", "shop"]).await.success().printing(&["blue", "config, from the next release"]);
    on.run(&["config", "unset", "VERSION", "-a", "shop"])
        .await
        .success()
        .saying(&["v3 of `shop` serves: changed COLOUR and removed GREETING, VERSION"]);
    on.run(&["config", "get", "COLOUR", "-a", "shop"]).await.success().printing(&["blue"]);
    on.run(&["config", "unset", "COLUOR", "-a", "shop"])
        .await
        .ends_with(1)
        .saying(&["has no variable `COLUOR`", "did you mean `COLOUR`?"]);
    on.run(&["config", "set", "PORT=1", "-a", "shop"]).await.ends_with(2).saying(&["set by minipaas"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_reaches_the_app_and_nobody_else() {
    let on = TestBox::new();
    let project = on.project("shop");
    project.deploy(&TestApp::version("one")).await.success();
    let secret = "hunter2-is-not-shown";
    let set = format!("TOKEN={secret}");
    let run = on.run(&["config", "set", "--secret", &set, "-a", "shop"]).await.success();
    let run = run.saying(&["is in your shell's history", "v2 of `shop` serves: added TOKEN"]);
    assert!(!run.stderr.contains(secret) && !run.stdout.contains(secret));

    on.settled(1, "v2").await;
    let container = &on.containers().await[0].id;
    let env = docker(["inspect", "-f", "{{.Config.Env}}", container]);
    assert!(env.contains("TOKEN_FILE=/run/secrets/TOKEN") && !env.contains(secret), "{env}");
    let file = on.home().join("token");
    docker(["cp", &format!("{container}:/run/secrets/TOKEN"), file.to_str().expect("a path")]);
    assert_eq!(std::fs::read_to_string(&file).expect("the secret"), secret);

    for args in [
        &["config"][..],
        &["config", "--json"],
        &["config", "--shell"],
        &["releases", "info", "v2"],
        &["status", "--json"],
    ] {
        let args = [args, &["-a", "shop"]].concat();
        let run = on.run(&args).await.success();
        assert!(!run.stdout.contains(secret) && !run.stderr.contains(secret), "{args:?}: {}", run.stdout);
    }
    on.run(&["config", "get", "TOKEN", "-a", "shop"]).await.ends_with(1).saying(&["never shown"]);
    let log = std::fs::read_to_string(on.home().join("daemon.log")).expect("the log");
    assert!(!log.contains(secret));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollback_brings_code_and_config_back_under_load() {
    let on = TestBox::new();
    let project = on.project("shop");
    project.deploy(&TestApp::version("one")).await.success();
    project.deploy(&TestApp::version("two")).await.success();
    on.run(&["config", "set", "VERSION=three", "-a", "shop"]).await.success();
    on.settled(1, "v3").await;

    // A release that never serves changes nothing, and is skipped.
    on.run(&["config", "set", "EXIT_AFTER_MS=1", "-a", "shop"])
        .await
        .ends_with(1)
        .saying(&["v3 is still serving"]);
    on.run(&["config", "get", "EXIT_AFTER_MS", "-a", "shop"]).await.ends_with(1).saying(&["has no variable"]);
    let bad = TestApp::version("bad").env("EXIT_AFTER_MS", "1");
    project.deploy(&bad).await.ends_with(1).saying(&["v3 is still serving"]);

    let poller = Poller::start(&on, "shop.localhost").await;
    let run = on.run(&["rollback", "-a", "shop"]).await.success();
    run.saying(&["serves: rolled back to v2"]);
    poller.finish().await.only(&["version=three", "version=two"]);
    assert!(on.get("shop.localhost", "/").await.body.contains("version=two"));
    // Once more goes farther back, not forth.
    on.run(&["releases:rollback", "-a", "shop"]).await.success().saying(&["serves: rolled back to v1"]);
    on.run(&["rollback", "-a", "shop"]).await.ends_with(1).saying(&["no release of `shop` served before"]);
    on.run(&["rollback", "v3", "-a", "shop"]).await.success();
    assert!(on.get("shop.localhost", "/").await.body.contains("version=three"));
    on.run(&["rollback", "v4", "-a", "shop"]).await.ends_with(1).saying(&["never served"]);
    on.run(&["rollback", "v99", "-a", "shop"]).await.ends_with(1).saying(&["has no release v99"]);
    let run = on.run(&["releases", "-a", "shop"]).await.success();
    run.printing(&["serves", "rolled back to v3", "failed", "added VERSION"]);
    on.run(&["releases", "info", "v2", "-a", "shop"]).await.success().printing(&[
        "-VERSION = \"one\"",
        "+VERSION = \"two\"",
        "(as before)",
    ]);
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_are_a_release() {
    let on = TestBox::new();
    let project = on.project("shop");
    project.deploy(&TestApp::version("one")).await.success();
    on.run(&["limits", "set", "web=64M", "-a", "shop"])
        .await
        .success()
        .saying(&["v2 of `shop` serves: changed limits"]);
    on.settled(1, "v2").await;
    let container = &on.containers().await[0].id;
    assert_eq!(docker(["inspect", "-f", "{{.HostConfig.Memory}}", container]).trim(), "67108864");
    on.run(&["limits:set", "--cpu", "web=500m", "-a", "shop"]).await.success();
    on.run(&["limits", "-a", "shop"]).await.success().printing(&["64M", "0.5", "command"]);
    on.run(&["limits", "set", "wbe=64M", "-a", "shop"])
        .await
        .ends_with(1)
        .saying(&["no process type `wbe`", "`web`"]);
    on.run(&["limits", "set", "web=64Q", "-a", "shop"]).await.ends_with(1).saying(&["64Q"]);
    on.run(&["limits", "unset", "web", "-a", "shop"]).await.success();
    on.settled(1, "v4").await;
    let container = &on.containers().await[0].id;
    assert_eq!(docker(["inspect", "-f", "{{.HostConfig.Memory}}", container]).trim(), "0");
}
