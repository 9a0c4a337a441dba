//! How many instances run: by command, by a rule, and new ones in the place of old ones, under load; jobs that run at times.

use std::time::Duration;

use http::StatusCode;
use minipaas::api::{AppState, Job, JobRun};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::command::PATIENCE;
use super::release::TestApp;
use super::traffic::Poller;
use super::world::TestBox;
use crate::support::client::{Client, get, tls};
use crate::support::image::test_app_image;

async fn slots(on: &TestBox) -> Vec<String> {
    let app = on.serving("shop").await;
    app.instances.iter().map(|instance| format!("{} {}", instance.slot, instance.state)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scale_loses_no_request_and_outlives_deploys_rollbacks_and_the_daemon() {
    let on = TestBox::new();
    let project = on.project("shop");
    let first = on.serve(&[]).await;
    project.deploy(&TestApp::version("one")).await.success();
    assert_eq!(project.start(&["scale"]).finish().await.success().stdout, "web=1\n");

    let poller = Poller::start(&on, "shop.localhost").await;
    let run = project.start(&["ps:scale", "web=3"]).finish().await.success();
    let said =
        ["=> start web.2, web.3", "=> wait for web.2, web.3", "=> switch", "`minipaas scale --reset web`"];
    assert_eq!(run.saying(&said).stdout, "web=3\n");
    assert_eq!(slots(&on).await, ["web.1 ready", "web.2 ready", "web.3 ready"]);
    let run = project.start(&["scale", "web-1"]).finish().await.success();
    assert_eq!(run.saying(&["=> stop web.3"]).stdout, "web=2\n");
    on.settled(2, "v1").await;
    let said = ["web: 2 by command, over the manifest's 1", "v2 of `shop` serves"];
    project.deploy(&TestApp::version("two")).await.success().saying(&said);
    on.settled(2, "v2").await;
    poller.finish().await.only(&["version=one", "version=two"]);
    first.kill();

    let _daemon = on.serve(&[]).await;
    assert_eq!(slots(&on).await, ["web.1 ready", "web.2 ready"]);
    let poller = Poller::start(&on, "shop.localhost").await;
    assert_eq!(project.start(&["scale", "--reset"]).finish().await.success().stdout, "web=1\n");
    on.settled(1, "v2").await;
    poller.finish().await.only(&["version=two"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_app_at_0_says_so_and_comes_back() {
    let on = TestBox::new();
    let project = on.project("shop");
    project.deploy(&TestApp::version("one")).await.success();
    project.start(&["scale", "web=0"]).finish().await.success();
    on.settled(0, "v1").await;
    let reply = on.get("shop.localhost", "/").await;
    assert_eq!(reply.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(reply.body.contains("scaled to 0"), "{reply:?}");
    let ps = project.start(&["ps"]).finish().await.success().stdout;
    assert!(ps.contains("scaled to 0"), "{ps}");
    project.start(&["ps:wait"]).finish().await.success();
    project.start(&["scale", "web+1"]).finish().await.success();
    assert_eq!(on.get("shop.localhost", "/").await.status, StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_scaled_says_why() {
    let on = TestBox::new();
    let project = on.project("shop");
    project.deploy(&TestApp::version("one").web("memory = \"64M\"")).await.success();
    let refused = |args: &'static [&'static str], code, said: &'static [&'static str]| {
        let run = project.start(args);
        async move { run.finish().await.ends_with(code).saying(said) }
    };
    refused(&["scale", "wbe=2"], 1, &["there is no process type `wbe`", "did you mean `web`?"]).await;
    refused(&["scale", "web=101"], 2, &["100 is the most"]).await;
    refused(&["scale", "web-2"], 1, &["`web` has 1 and cannot have 2 fewer"]).await;
    refused(&["scale", "web"], 2, &["write `web=3`, `web+1` or `web-1`"]).await;
    refused(&["restart", "web.7"], 1, &["`shop` has no instance `web.7`"]).await;
    refused(&["restart", "wbe"], 1, &["there is no process type `wbe`"]).await;
    refused(&["ps:type", "web=standard"], 2, &["`memory` and `cpu`"]).await;
    refused(&["scale", "-a", "shpo", "web=2"], 1, &["there is no app `shpo`"]).await;
    let huge = TestApp::version("two").web("memory = \"900G\"");
    project.deploy(&huge).await;
    refused(&["scale", "web=100"], 1, &["the memory limits of all instances would be"]).await;
    assert_eq!(slots(&on).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_is_rolling_and_loses_no_request() {
    let on = TestBox::new();
    let project = on.project("shop");
    let app = TestApp::version("one").web("replicas = 2");
    project.deploy(&app).await.success();
    let before = on.containers().await;
    let poller = Poller::start(&on, "shop.localhost").await;
    let said = ["=> start web.1", "=> stop the old web.1", "=> start web.2", "=> stop the old web.2"];
    project.start(&["restart"]).finish().await.success().saying(&said);
    on.settled(2, "v1").await;
    let after = on.containers().await;
    assert!(after.iter().all(|new| before.iter().all(|old| old.id != new.id)), "{before:?} {after:?}");
    let run = project.start(&["ps:stop", "web.1"]).finish().await.success();
    assert_eq!(run.stdout, "web.1 of `shop` was restarted\n");
    on.settled(2, "v1").await;
    let last = on.containers().await;
    assert_eq!(last.iter().filter(|one| after.contains(one)).count(), 1, "web.2 was left alone");
    poller.finish().await.only(&["version=one"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_with_a_volume_stops_first_and_requests_wait() {
    let on = TestBox::new();
    let project = on.project("shop");
    project.deploy(&TestApp::version("one").table("[volume.data]\npath = \"/data\"")).await.success();
    let before = on.containers().await;
    let poller = Poller::start(&on, "shop.localhost").await;
    project.start(&["restart", "web"]).finish().await.success().saying(&["its volume has one writer"]);
    on.settled(1, "v1").await;
    assert_ne!(on.containers().await, before);
    poller.finish().await.only(&["version=one"]);
    let said = ["`web` has a volume, which has one writer"];
    project.start(&["scale", "web=2"]).finish().await.ends_with(1).saying(&said);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rule_follows_the_requests_in_flight_within_its_bounds() {
    let on = TestBox::new().env("MINIPAAS_AUTOSCALE_MILLIS", "200");
    let project = on.project("shop");
    project.deploy(&TestApp::version("one")).await.success();
    let run = project
        .start(&["autoscale", "set", "web", "--max", "3", "--in-flight", "2"])
        .finish()
        .await
        .success();
    assert!(run.stdout.contains("in-flight=2"), "{run:?}");
    let (addr, ca) = (on.https(), on.ca().await);
    let mut clients = JoinSet::new();
    for _ in 0..8 {
        let ca = ca.clone();
        clients.spawn(async move {
            loop {
                let stream = tls(addr, &ca, "shop.localhost", "http/1.1").await;
                let reply = Client::over(stream).await.send(get("shop.localhost", "/slow?ms=1000")).await;
                assert_eq!(reply.status, StatusCode::OK);
            }
        });
    }
    let deadline = Instant::now() + PATIENCE;
    while on.serving("shop").await.instances.len() < 3 {
        assert!(Instant::now() < deadline, "it never grows");
        assert!(clients.try_join_next().is_none(), "a client has failed");
    }
    let listed = project.start(&["autoscale"]).finish().await.success().stdout;
    assert!(listed.contains("3 is the most"), "{listed}");
    clients.shutdown().await;
    project.start(&["autoscale", "unset", "web"]).finish().await.success().saying(&["`shop` has no rule"]);
    assert_eq!(on.serving("shop").await.instances.len(), 3, "it stays as it is");
}

fn jobs_table() -> &'static str {
    "[cron.tick]\nschedule = \"* * * * * *\"\ncommand = [\"/testapp\"]\n"
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_run_at_their_times_and_when_they_are_told_to() {
    let on = TestBox::new();
    let project = on.project("shop");
    // The app ends by itself with the code that its environment says.
    let app = TestApp::version("one").env("LISTEN_PORT", "8080");
    let image = tokio::task::block_in_place(test_app_image);
    assert!(!image.is_empty());
    project.deploy(&app.table(jobs_table())).await.success();
    let deadline = Instant::now() + PATIENCE;
    let runs = loop {
        let listed = project.start(&["cron", "history", "tick", "--json"]).finish().await.success().stdout;
        let runs: Vec<JobRun> = serde_json::from_str(&listed).expect("JSON");
        if !runs.is_empty() {
            break runs;
        }
        assert!(Instant::now() < deadline, "it never runs");
    };
    assert_eq!((runs[0].number, runs[0].release.as_deref()), (1, Some("v1")));
    assert_eq!(on.serving("shop").await.state, AppState::Serving);
    project.start(&["cron", "suspend", "tick"]).finish().await.success();
    let listed = project.start(&["cron", "--json"]).finish().await.success().stdout;
    let jobs: Vec<Job> = serde_json::from_str(&listed).expect("JSON");
    assert!(jobs[0].suspended && jobs[0].next.is_none(), "{jobs:?}");
    project
        .start(&["cron", "run", "tock"])
        .finish()
        .await
        .ends_with(1)
        .saying(&["has no job `tock`", "`tick`"]);
    tokio::time::timeout(Duration::from_secs(1), async {}).await.expect("at once");
}
