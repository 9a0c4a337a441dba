//! Probes against a real app: gRPC, the health-checks API, and one that says when the others may begin.

use minipaas::api::Health;

use super::release::TestApp;
use super::world::TestBox;

async fn health(on: &TestBox, app: &str) -> Health {
    let run = on.run(&["health", app, "--json"]).await.success();
    let mut all: Vec<Health> = serde_json::from_str(&run.stdout).expect("JSON");
    all.remove(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn grpc_and_hootsuite_probes_say_when_an_app_is_ready() {
    let on = TestBox::new();
    let grpc = on.project("grpc");
    let app = TestApp::version("v1")
        .env("READY_AFTER_MS", "1500")
        .web("ready = { grpc = true, interval = \"50ms\", deadline = \"30s\" }");
    grpc.deploy(&app).await.success();
    assert_eq!(health(&on, "grpc").await.processes[0].ready, "gRPC health within 30s");

    let suite = on.project("suite");
    let app = TestApp::version("v1")
        .env("READY_AFTER_MS", "1500")
        .env("WARN", "1")
        .web("ready = { hootsuite = true, interval = \"50ms\", deadline = \"30s\" }");
    suite.deploy(&app).await.success();
    let found = health(&on, "suite").await;
    let probe = &found.processes[0].instances[0].probes[0];
    assert_eq!((probe.kind.as_str(), probe.passes, probe.failures), ("ready", true, 0));
    assert_eq!(probe.said.as_deref(), Some("WARN: disk: nearly full"));

    let never = TestApp::version("v2").env("READY_AFTER_MS", "3600000");
    let critical = never.clone().web("ready = { hootsuite = true, interval = \"50ms\", deadline = \"2s\" }");
    suite
        .deploy(&critical)
        .await
        .ends_with(1)
        .saying(&["GET /status/aggregate says CRIT: warming up: not yet"]);
    let critical = never.web("ready = { grpc = \"shop.Orders\", interval = \"50ms\", deadline = \"2s\" }");
    grpc.deploy(&critical).await.ends_with(1).saying(&["gRPC health of shop.Orders says NOT_SERVING"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_asked_before_the_startup_probe_passes() {
    let on = TestBox::new();
    let slow = on.project("slow");
    let app = TestApp::version("v1")
        .env("READY_AFTER_MS", "2000")
        .web("startup = { http = \"/up\", interval = \"50ms\", deadline = \"30s\" }")
        // Would end the instance at once, were it asked before.
        .web("live = { http = \"/up\", interval = \"100ms\", failures = 1 }")
        .web("ready = { tcp = true, interval = \"50ms\", deadline = \"30s\" }");
    slow.deploy(&app).await.success();
    let found = health(&on, "slow").await;
    let kinds: Vec<_> =
        found.processes[0].instances[0].probes.iter().map(|probe| probe.kind.as_str()).collect();
    assert_eq!(kinds[..2], ["startup", "ready"]);
    assert_eq!(on.containers().await.len(), 1, "it was never replaced");

    let late = TestApp::version("v2")
        .env("READY_AFTER_MS", "3600000")
        .web("startup = { hootsuite = \"/status/aggregate\", interval = \"50ms\", deadline = \"1s\" }");
    let late = on.project("late").deploy(&late).await.ends_with(1);
    late.saying(&["it did not start within 1s: GET /status/aggregate says CRIT: warming up"]);
}
