//! Changes of what runs for a release: scales, restarts, and what happens to them when something goes wrong meanwhile.

use minipaas::controller::{Command, Reform, ReformError, ReformUpdate, ReformWanted};
use tokio::sync::mpsc;

use super::world::{Daemon, World, image_of};
use super::{SECOND, never_ready};

const VOLUME: &str = "[volume.data]\npath = \"/data\"\n";
const HOST: &str = "shop.localhost";

/// Asks for a change; hears how it ended.
async fn ask(daemon: &Daemon, wanted: ReformWanted) -> mpsc::UnboundedReceiver<ReformUpdate> {
    daemon.recovered().await;
    let (updates, said) = mpsc::unbounded_channel();
    let reform = Reform { app: "shop".parse().unwrap(), wanted, updates };
    daemon.controller.send(Command::Reform(reform)).await.unwrap();
    said
}

async fn ended(mut said: mpsc::UnboundedReceiver<ReformUpdate>) -> Result<(), ReformError> {
    while let Some(update) = said.recv().await {
        if let ReformUpdate::Ended(result) = update {
            return result;
        }
    }
    panic!("it never ended");
}

async fn scale(daemon: &Daemon, change: &str) -> Result<(), ReformError> {
    ended(ask(daemon, ReformWanted::Scale(vec![change.parse().unwrap()])).await).await
}

fn running(daemon: &Daemon) -> Vec<String> {
    let view = daemon.controller.view();
    let app = view.apps.iter().find(|app| app.name.as_str() == "shop").unwrap();
    let current = app.instances.iter().filter(|one| Some(one.release) == app.release && one.state == "ready");
    current.map(|one| one.slot.to_string()).collect()
}

#[test]
fn a_scale_serves_at_every_moment_and_outlives_deploys_and_the_daemon() {
    let mut world = World::new();
    world.life(async |daemon| {
        daemon.deploy("shop", "").await.unwrap();
        let client = daemon.client(HOST);
        scale(daemon, "web=3").await.unwrap();
        assert_eq!(daemon.upstreams(HOST).len(), 3);
        scale(daemon, "web-1").await.unwrap();
        assert_eq!(running(daemon), ["web.1", "web.2"], "the highest numbers go");
        daemon.deploy("shop", SECOND).await.unwrap();
        daemon.settle().await;
        client.finish().await;
        assert_eq!(running(daemon), ["web.1", "web.2"]);
        daemon.check_settled(&["shop"]).await;
    });
    world.life(async |daemon| {
        daemon.recovered().await;
        daemon.settle().await;
        assert_eq!(running(daemon), ["web.1", "web.2"]);
        ended(ask(daemon, ReformWanted::Reset(Vec::new())).await).await.unwrap();
        daemon.settle().await;
        assert_eq!(running(daemon), ["web.1"]);
        daemon.check_settled(&["shop"]).await;
    });
}

#[test]
fn a_scale_that_is_never_ready_leaves_everything_as_it_was() {
    let mut world = World::new();
    world.life(async |daemon| {
        daemon.deploy("shop", "").await.unwrap();
        let before = daemon.upstreams(HOST);
        daemon.engine.behave(image_of("shop", ""), never_ready());
        let error = scale(daemon, "web=3").await.unwrap_err();
        assert_eq!(error.to_string(), "`web.2` of `shop` did not become ready, and everything is as it was");
        assert_eq!(error.hints(), ["v1 is still serving"]);
        assert_eq!(daemon.upstreams(HOST), before);
        daemon.settle().await;
        daemon.check_settled(&["shop"]).await;
    });
}

#[test]
fn an_app_at_zero_has_nothing_and_comes_back() {
    let mut world = World::new();
    world.life(async |daemon| {
        daemon.deploy("shop", "").await.unwrap();
        scale(daemon, "web=0").await.unwrap();
        daemon.settle().await;
        assert!(daemon.containers().await.is_empty() && !daemon.is_held(HOST));
        daemon.deploy("shop", SECOND).await.unwrap();
        assert!(daemon.containers().await.is_empty(), "a deploy does not wake it");
    });
    world.life(async |daemon| {
        daemon.recovered().await;
        scale(daemon, "web=1").await.unwrap();
        daemon.settle().await;
        daemon.check_settled(&["shop"]).await;
    });
}

#[test]
fn a_restart_replaces_all_and_serves_at_every_moment() {
    let mut world = World::new();
    world.life(async |daemon| {
        daemon.deploy("shop", "[process.web]\nreplicas = 3\n").await.unwrap();
        let before = daemon.upstreams(HOST);
        let client = daemon.client(HOST);
        ended(ask(daemon, ReformWanted::RestartAll).await).await.unwrap();
        daemon.settle().await;
        client.finish().await;
        let after = daemon.upstreams(HOST);
        assert!(after.len() == 3 && after.iter().all(|id| !before.contains(id)), "{before:?} {after:?}");
        daemon.check_settled(&["shop"]).await;
    });
}

#[test]
fn a_restart_that_is_never_ready_leaves_the_rest_alone() {
    let mut world = World::new();
    world.life(async |daemon| {
        daemon.deploy("shop", "[process.web]\nreplicas = 2\n").await.unwrap();
        let before = daemon.upstreams(HOST);
        daemon.engine.behave(image_of("shop", "[process.web]\nreplicas = 2\n"), never_ready());
        let restarted = ask(daemon, ReformWanted::RestartAll).await;
        assert!(matches!(ended(restarted).await, Err(ReformError::NotReady(_))));
        assert_eq!(daemon.upstreams(HOST), before);
        daemon.settle().await;
        daemon.check_settled(&["shop"]).await;
    });
}

#[test]
fn a_restart_with_a_volume_stops_first_and_requests_are_held() {
    let mut world = World::new();
    world.life(async |daemon| {
        daemon.deploy("shop", VOLUME).await.unwrap();
        let before = daemon.upstreams(HOST);
        let client = daemon.client(HOST);
        ended(ask(daemon, ReformWanted::Restart("web.1".parse().unwrap())).await).await.unwrap();
        daemon.settle().await;
        client.finish().await;
        assert_ne!(daemon.upstreams(HOST), before);
        assert!(daemon.was_held("shop"));
        daemon.check_settled(&["shop"]).await;
        let error = scale(daemon, "web=2").await.unwrap_err();
        assert!(matches!(error, ReformError::OneWriter { .. }), "{error}");
    });
}

#[test]
fn changes_and_deploys_wait_for_each_other() {
    let mut world = World::new();
    world.life(async |daemon| {
        daemon.deploy("shop", "").await.unwrap();
        let deploy = daemon.start_deploy("shop", SECOND).await;
        let scaled = ask(daemon, ReformWanted::Scale(vec!["web=2".parse().unwrap()])).await;
        let third = daemon.start_deploy("shop", "[env]\nN = \"3\"\n").await;
        assert!(deploy.ended().await.result.is_ok());
        ended(scaled).await.unwrap();
        assert!(third.ended().await.result.is_ok());
        daemon.settle().await;
        assert_eq!((running(daemon).len(), daemon.serving_release("shop").as_str()), (2, "v3"));
        daemon.check_settled(&["shop"]).await;
    });
}

#[test]
fn a_kill_during_a_scale_leaves_what_was() {
    let mut world = World::new();
    world.life(async |daemon| {
        daemon.deploy("shop", "").await.unwrap();
        daemon.settle().await;
        daemon.engine.behave(image_of("shop", ""), never_ready());
        drop(ask(daemon, ReformWanted::Scale(vec!["web=3".parse().unwrap()])).await);
        daemon.until("the new ones run", |daemon| daemon.engine.log().len() > 4).await;
    });
    world.life(async |daemon| {
        daemon.recovered().await;
        daemon.settle().await;
        assert_eq!(running(daemon), ["web.1"]);
        daemon.check_settled(&["shop"]).await;
    });
}

#[test]
fn an_app_that_goes_down_during_a_scale_leaves_nothing() {
    let mut world = World::new();
    world.life(async |daemon| {
        daemon.deploy("shop", "").await.unwrap();
        daemon.engine.behave(image_of("shop", ""), never_ready());
        let scaled = ask(daemon, ReformWanted::Scale(vec!["web=3".parse().unwrap()])).await;
        let down = daemon.start_down("shop").await;
        assert!(ended(scaled).await.is_err());
        down.await.unwrap().unwrap();
        daemon.settle().await;
        assert!(daemon.containers().await.is_empty());
    });
}

#[test]
fn a_canary_that_takes_over_has_the_number_of_a_scale_before() {
    let mut world = World::new();
    world.life(async |daemon| {
        daemon.deploy("shop", "").await.unwrap();
        let canary = "[deploy]\ncanary = { percent = 10 }\n";
        daemon.deploy("shop", canary).await.unwrap();
        scale(daemon, "web=2").await.unwrap();
        daemon.canary("shop", minipaas::controller::CanaryChange::Promote).await.unwrap();
        daemon.settle().await;
        assert_eq!((running(daemon).len(), daemon.serving_release("shop").as_str()), (2, "v2"));
        daemon.check_settled(&["shop"]).await;
    });
}
