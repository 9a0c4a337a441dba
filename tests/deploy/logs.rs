//! `minipaas logs` across whatever happens to instances, the engine's view of them, and the daemon.

use tokio::time::timeout;

use super::command::{PATIENCE, until};
use super::release::TestApp;
use super::world::TestBox;

/// How often this is in the app's log.
async fn count(on: &TestBox, args: &[&str], text: &str) -> usize {
    let run = on.run(&[&["logs", "shop", "-n", "100000"], args].concat()).await.success();
    run.stdout.lines().filter(|line| line.contains(text)).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_goes_on_over_a_deploy_and_a_kill_of_the_daemon() {
    let on = TestBox::new();
    let project = on.project("shop");
    let first = on.serve(&[]).await;
    project.deploy(&TestApp::version("one")).await.success();
    let follower = project.start(&["logs", "-f"]);
    until("the history is there", || follower.stdout().contains("app[web.1]: test app one started")).await;
    project.deploy(&TestApp::version("two")).await.success();
    until("following goes on", || follower.stdout().contains("app[web.1]: test app two started")).await;
    until("the box speaks", || {
        let said = follower.stdout();
        let all = ["minipaas[release]: v2 deployed", "minipaas[web.1]: up", "minipaas[web.1]: stopped"];
        all.iter().all(|text| said.contains(text))
    })
    .await;
    first.kill();

    let _second = on.serve(&[]).await;
    on.serving("shop").await;
    on.get("shop.localhost", "/status/418").await;
    let mut follower = project.start(&["logs", "-f", "-p", "web"]);
    until("the request is told", || follower.stdout().contains("GET /status/418 418")).await;
    assert!(follower.is_running());
    for text in ["test app one started", "test app two started", "GET /status/418 418"] {
        assert_eq!(count(&on, &["--source", "app"], text).await, 1, "{text}");
    }
    assert_eq!(count(&on, &["--release", "v1", "--source", "app"], "test app two").await, 0);
    let router = "minipaas[router]: at=info method=GET path=\"/status/418\"";
    let told = async { while count(&on, &["--source", "router"], router).await == 0 {} };
    timeout(PATIENCE, told).await.expect("the router's line comes");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_is_told_with_what_the_instance_wrote_last() {
    let on = TestBox::new();
    let project = on.project("shop");
    let _daemon = on.serve(&[]).await;
    let app = TestApp::version("one").env("EXIT_AFTER_MS", "3000").env("EXIT_CODE", "7");
    project.deploy(&app).await.success();
    let follower = project.start(&["logs", "-f"]);
    until("it crashed twice, and was started again", || {
        let said = follower.stdout();
        let count = |text: &str| said.lines().filter(|line| line.contains(text)).count();
        count("app[web.1]: boom: a fatal error") >= 2
            && count("minipaas[web.1]: crashed: exit code 7") >= 2
            && count("minipaas[web.1]: restarting in 10s") >= 1
    })
    .await;
    on.run(&["down", "shop"]).await.success();
    on.run(&["logs", "shop"]).await.ends_with(1);
}
