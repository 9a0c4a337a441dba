//! A volume has one writer, whatever was left by whom. The watcher looks after every 50 ms of each of these.

use std::time::Duration;

use minipaas::engine::fake::{Behaviour, Fault, Operation};
use minipaas::rollout::Phase;

use super::never_ready;
use super::world::{Daemon, World, image_of};

const VOLUME: &str = "[volume.data]\npath = \"/data\"\n";

/// A manifest with the volume that differs from others of another number.
fn numbered(number: u32) -> String {
    format!("{VOLUME}[env]\nN = \"{number}\"\n")
}

/// Takes SIGKILL to end, and is otherwise well.
fn stubborn() -> Behaviour {
    Behaviour { ignores_term: true, ..Behaviour::default() }
}

/// The releases of which a container runs.
fn running(daemon: &Daemon) -> Vec<u64> {
    let stories = daemon.engine.containers_ever().into_iter().filter(|story| story.container.is_running());
    stories.map(|story| story.container.labels.release.number()).collect()
}

#[test]
fn a_swap_that_goes_on_after_a_kill_waits_for_what_an_earlier_release_left() {
    let mut world = World::new();
    world.life(async |daemon| {
        daemon.engine.behave(image_of("shop", VOLUME), stubborn());
        daemon.deploy("shop", VOLUME).await.unwrap();
        // Without the volume it takes over while v1 runs, which is then given its time to stop.
        daemon.deploy("shop", "").await.unwrap();
        let _third = daemon.start_deploy("shop", &numbered(3)).await;
        daemon.until("v1 is all that runs", |daemon| running(daemon) == [1]).await;
    });
    world.life(async |daemon| {
        daemon.until("v3 runs", |daemon| running(daemon) == [3]).await;
        daemon.settle().await;
        daemon.check_settled(&["shop"]).await;
        assert_eq!(daemon.serving_release("shop"), "v3");
    });
}

#[test]
fn the_old_release_comes_back_when_a_failed_one_that_would_not_stop_is_gone() {
    let mut world = World::new();
    world.life(async |daemon| {
        daemon.deploy("shop", VOLUME).await.unwrap();
        daemon.engine.behave(image_of("shop", &numbered(2)), never_ready());
        let second = daemon.start_deploy("shop", &numbered(2)).await;
        daemon.until("v2 runs", |daemon| running(daemon) == [2]).await;
        daemon.engine.fail_next(Operation::Stop, Fault::Refused("no".to_owned()));
        second.ended().await.result.unwrap_err();
        assert_eq!(running(daemon), [2], "it was not stopped");
        daemon.until("v1 runs", |daemon| running(daemon) == [1]).await;
        daemon.settle().await;
        daemon.check_settled(&["shop"]).await;
        assert_eq!(daemon.serving_release("shop"), "v1");
    });
}

#[test]
fn after_a_kill_the_old_release_comes_back_when_the_failed_one_is_gone() {
    let mut world = World::new();
    world.life(async |daemon| {
        daemon.deploy("shop", VOLUME).await.unwrap();
        daemon.engine.behave(image_of("shop", &numbered(2)), Behaviour { ready_after: None, ..stubborn() });
        let _second = daemon.start_deploy("shop", &numbered(2)).await;
        daemon.until_phase(Phase::AwaitingReadiness).await;
        daemon.until("v2 runs", |daemon| running(daemon) == [2]).await;
        daemon.cancel("shop", 2).await;
        daemon.until_phase(Phase::Aborted).await;
        assert_eq!(running(daemon), [2], "it is still being stopped");
    });
    world.life(async |daemon| {
        daemon.until("v1 runs", |daemon| running(daemon) == [1]).await;
        daemon.settle().await;
        daemon.check_settled(&["shop"]).await;
        assert_eq!(daemon.serving_release("shop"), "v1");
    });
}

#[test]
fn a_release_waits_for_what_a_failed_first_one_left() {
    let mut world = World::new();
    world.life(async |daemon| {
        daemon.engine.behave(image_of("shop", VOLUME), never_ready());
        let first = daemon.start_deploy("shop", VOLUME).await;
        daemon.until("v1 runs", |daemon| running(daemon) == [1]).await;
        daemon.engine.fail_next(Operation::Stop, Fault::Refused("no".to_owned()));
        first.ended().await.result.unwrap_err();
        let start = tokio::time::Instant::now();
        daemon.deploy("shop", &numbered(2)).await.unwrap();
        // It is found when the engine is next asked what there is.
        assert!(start.elapsed() < Duration::from_secs(60), "{:?}", start.elapsed());
        daemon.settle().await;
        daemon.check_settled(&["shop"]).await;
        assert_eq!(daemon.serving_release("shop"), "v2");
    });
}
