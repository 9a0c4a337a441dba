//! Operations on traffic, by command: maintenance, settings of the proxy, a canary, a release that is taken back.

use minipaas::api::TrafficMode;

use http::{StatusCode, header};

use super::release::TestApp;
use super::traffic::Poller;
use super::world::TestBox;
use crate::support::client::{Client, get, tls};

#[tokio::test(flavor = "multi_thread")]
async fn maintenance_outlives_the_daemon_and_a_deploy() {
    let on = TestBox::new();
    let project = on.project("shop");
    let first = on.serve(&[]).await;
    project.deploy(&TestApp::version("one")).await.success();
    let run = project.start(&["maintenance", "on", "--allow", "127.0.0.0/8", "--cookie"]).finish().await;
    assert_eq!(run.success().stdout.trim().len(), 32, "the cookie's value");
    first.kill();

    let _daemon = on.serve(&[]).await;
    let app = on.serving("shop").await;
    let TrafficMode::Maintenance(found) = app.traffic else { panic!("{app:?}") };
    assert_eq!((found.allow, found.has_cookie), (vec!["127.0.0.0/8".to_owned()], true));
    let said =
        ["v2 of `shop` serves", "`shop` is in maintenance for all but `127.0.0.0/8`, who has the cookie"];
    project.deploy(&TestApp::version("two")).await.success().saying(&said);
    on.run(&["pause", "shop"])
        .await
        .ends_with(1)
        .saying(&["app `shop` is in maintenance", "maintenance off"]);

    on.run(&["maintenance", "off", "-a", "shop"]).await.success();
    on.run(&["maintenance", "off", "-a", "shop"]).await.success();
    on.run(&["pause", "shop", "--wait", "2s"]).await.success();
    assert_eq!(on.serving("shop").await.traffic, TrafficMode::Paused { wait_ms: 2_000 });
    on.run(&["resume", "shop"]).await.success();
    assert_eq!(on.serving("shop").await.traffic, TrafficMode::Open);
    let reply = on.get("shop.localhost", "/").await;
    assert!(reply.body.contains("version=two"), "{reply:?}");
    on.run(&["resume", "shpo"]).await.ends_with(1).saying(&["there is no app `shpo`", "`shop`"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn canary_waits_through_a_crash_and_takes_over_when_it_is_told_to() {
    let on = TestBox::new();
    let project = on.project("shop");
    let first = on.serve(&[]).await;
    project.deploy(&TestApp::version("one")).await.success();
    let canary = |version| TestApp::version(version).table("[deploy]\ncanary = { percent = 50 }");
    let poller = Poller::start(&on, "shop.localhost").await;
    let said = ["v2 of `shop` gets 50 % of clients", "minipaas canary promote"];
    project.deploy(&canary("two")).await.success().saying(&said);
    let before = on.containers().await;
    assert_eq!(before.len(), 2);
    poller.finish().await.only(&["version=one", "version=two"]);
    first.kill();

    let _daemon = on.serve(&[]).await;
    let app = on.serving("shop").await;
    assert_eq!(app.canary.map(|canary| (canary.release, canary.percent)), Some(("v2".to_owned(), 50)));
    assert_eq!(on.containers().await, before, "no container noticed anything");
    let poller = Poller::start(&on, "shop.localhost").await;
    on.run(&["canary", "-a", "shop", "--percent", "100"]).await.success();
    on.run(&["canary", "promote", "-a", "shop"]).await.success();
    on.settled(1, "v2").await;
    poller.finish().await.only(&["version=one", "version=two"]);

    let poller = Poller::start(&on, "shop.localhost").await;
    project.deploy(&canary("three")).await.success();
    on.run(&["canary", "abort", "-a", "shop"]).await.success();
    on.settled(1, "v2").await;
    poller.finish().await.only(&["version=two", "version=three"]);
    on.run(&["canary", "abort", "-a", "shop"]).await.ends_with(1).saying(&["app `shop` has no canary"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_that_errs_is_taken_back() {
    let on = TestBox::new();
    let project = on.project("shop");
    let watched = |version| TestApp::version(version).table("[deploy]\nwatch_window = \"20s\"");
    project.deploy(&watched("one")).await.success();
    let poller = Poller::start(&on, "shop.localhost").await;
    project.write("minipaas.toml", &watched("two").toml());
    let mut up = project.start_up();
    up.says("=> watch v2 for 20s").await;
    // One poller's requests are answered, a hundred a second; enough fail to be a twentieth of them and more.
    poller.finish().await.only(&["version=one", "version=two"]);
    while up.is_running() {
        on.get("shop.localhost", "/status/500").await;
    }
    up.finish().await.ends_with(1).saying(&[
        "error: release v2 of `shop` failed clearly more often than the one before it",
        "/status/500 500",
        "v1 serves again",
    ]);
    let poller = Poller::start(&on, "shop.localhost").await;
    on.settled(1, "v1").await;
    poller.finish().await.only(&["version=one"]);
    assert_eq!(on.serving("shop").await.release.as_deref(), Some("v1"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_by_command_is_asked_for_after_a_crash_before_the_engine_answers() {
    let on = TestBox::new();
    let project = on.project("shop");
    let first = on.serve(&[]).await;
    project.deploy(&TestApp::version("one")).await.success();
    assert_eq!(on.get("shop.localhost", "/").await.status, StatusCode::OK);
    let hash = bcrypt::hash("horse", 4).expect("a hash");
    let setting = format!("basic_auth={{ ann = \"{hash}\" }}");
    let run = on.run(&["proxy", "set", &setting, "-a", "shop"]).await.success();
    assert!(!run.stdout.contains("$2") && !run.stderr.contains("$2"), "{run:?}");
    assert_eq!(on.get("shop.localhost", "/").await.status, StatusCode::UNAUTHORIZED, "at once");
    assert!(!first.stderr().contains("$2"), "{}", first.stderr());
    first.kill();

    let away = on.serve(&[("DOCKER_HOST", "unix:///no/such/docker.sock")]).await;
    assert_eq!(on.get("shop.localhost", "/").await.status, StatusCode::UNAUTHORIZED);
    let stream = tls(on.https(), &on.ca().await, "shop.localhost", "http/1.1").await;
    let mut request = get("shop.localhost", "/");
    request.headers_mut().insert(header::AUTHORIZATION, "Basic YW5uOmhvcnNl".parse().expect("a value"));
    let reply = Client::over(stream).await.send(request).await;
    assert_eq!((reply.status, reply.body.contains("version=one")), (StatusCode::OK, true), "{reply:?}");
    assert!(on.status().await.engine.error.is_some(), "the engine has not answered");
    away.kill();

    let _daemon = on.serve(&[]).await;
    on.serving("shop").await;
    let said = ["v2 of `shop` serves", "set by command, over the manifest: `basic_auth`"];
    project.deploy(&TestApp::version("two")).await.success().saying(&said);
    assert_eq!(on.get("shop.localhost", "/").await.status, StatusCode::UNAUTHORIZED, "after a deploy");
    let shown = on.run(&["proxy", "-a", "shop", "--json"]).await.success().stdout;
    assert!(shown.contains("***") && !shown.contains("$2"), "{shown}");
    on.run(&["proxy", "unset", "basic_auth", "-a", "shop"]).await.success();
    assert_eq!(on.get("shop.localhost", "/").await.status, StatusCode::OK);
    let run = on.run(&["proxy", "set", "body_mx=1", "-a", "shop"]).await.ends_with(2);
    run.saying(&["unknown key `body_mx` in [proxy]", "did you mean `body_max`?"]);
}
