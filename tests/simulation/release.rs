//! Releases with a command of their own: when it is run, what its failure means, and what a crash makes of it.

use std::time::Duration;

use minipaas::engine::OneOffKind;
use minipaas::engine::fake::Behaviour;
use minipaas::rollout::Phase;

use super::world::{Daemon, World};

const FIRST: &str = "[release]\ncommand = \"migrate\"\n";
const SECOND: &str = "[release]\ncommand = \"migrate\"\n[env]\nN = \"2\"\n";

/// A command that takes so long and ends so.
fn takes(time: Duration, code: i64) -> Behaviour {
    Behaviour { exits_after: Some((time, code)), says: vec!["migrating".to_owned()], ..Behaviour::default() }
}

/// Containers of a release that there ever were: its command's runs, its instances.
fn made(daemon: &Daemon, release: &str) -> (usize, usize) {
    let all = daemon.engine.containers_ever();
    let of_release = all.iter().filter(|one| one.container.labels.release.to_string() == release);
    let (instances, runs): (Vec<_>, Vec<_>) = of_release.partition(|one| one.container.is_instance());
    assert!(runs.iter().all(|one| one.container.one_off == Some(OneOffKind::Release)));
    (runs.len(), instances.len())
}

#[test]
fn the_command_runs_once_before_any_instance() {
    let mut world = World::new();
    world.life(async |daemon| {
        daemon.engine.behave("shop/release", takes(Duration::from_secs(30), 0));
        let deploy = daemon.start_deploy("shop", FIRST).await;
        daemon.until_phase(Phase::Releasing).await;
        daemon.until("the command runs", |daemon| made(daemon, "v1") == (1, 0)).await;
        let ended = deploy.ended().await;
        assert_eq!(ended.result.unwrap().release.number(), 1);
        let at = |text: &str| ended.said.iter().position(|line| line == text);
        assert!(at("release `migrate`") < at("log migrating"), "{:?}", ended.said);
        assert!(at("log migrating") < at("start web.1"), "{:?}", ended.said);
        daemon.settle().await;
        daemon.check_settled(&["shop"]).await;
        assert_eq!(made(daemon, "v1"), (1, 1));
    });
}

#[test]
fn a_command_that_fails_or_takes_too_long_leaves_the_old_release() {
    let mut world = World::new();
    world.life(async |daemon| {
        daemon.deploy("shop", FIRST).await.unwrap();
        daemon.engine.behave("shop/release", takes(Duration::from_secs(1), 3));
        let error = daemon.deploy("shop", SECOND).await.unwrap_err();
        assert_eq!(error.to_string(), "the release command of v2 of `shop` failed");
        daemon.engine.behave("shop/release", takes(Duration::from_secs(2 * 60 * 60), 0));
        let error = daemon.deploy("shop", SECOND).await.unwrap_err();
        assert_eq!(error.to_string(), "the release command of v3 of `shop` did not end within 3600s");
        daemon.settle().await;
        daemon.check_settled(&["shop"]).await;
        assert_eq!(daemon.serving_release("shop"), "v1");
        assert_eq!((made(daemon, "v2"), made(daemon, "v3")), ((1, 0), (1, 0)));
    });
}

#[test]
fn a_cancelled_command_is_ended() {
    let mut world = World::new();
    world.life(async |daemon| {
        daemon.deploy("shop", FIRST).await.unwrap();
        daemon.engine.behave("shop/release", takes(Duration::from_secs(60), 0));
        let deploy = daemon.start_deploy("shop", SECOND).await;
        daemon.until("the command runs", |daemon| made(daemon, "v2") == (1, 0)).await;
        daemon.cancel("shop", 2).await;
        let ended = deploy.ended().await;
        assert_eq!(ended.result.unwrap_err().to_string(), "release v2 of `shop` was cancelled");
        daemon.settle().await;
        daemon.check_settled(&["shop"]).await;
        assert_eq!(daemon.serving_release("shop"), "v1");
        assert_eq!(made(daemon, "v2"), (1, 0));
    });
}

#[test]
fn a_crash_while_it_runs_has_it_run_again_from_its_start() {
    for volume in ["", "[volume.data]\npath = \"/data\"\n"] {
        for has_begun in [false, true] {
            let mut world = World::new();
            let (first, second) = (format!("{volume}{FIRST}"), format!("{volume}{SECOND}"));
            world.life(async |daemon| {
                daemon.deploy("shop", &first).await.unwrap();
                daemon.settle().await;
                daemon.engine.behave("shop/release", takes(Duration::from_secs(60), 0));
                if has_begun {
                    daemon.start_deploy("shop", &second).await;
                    daemon.until("the command runs", |daemon| made(daemon, "v2") == (1, 0)).await;
                } else {
                    daemon.halt_at(Phase::Releasing);
                    daemon.start_deploy("shop", &second).await;
                    daemon.until_phase(Phase::Releasing).await;
                }
            });
            world.life(async |daemon| {
                daemon.settle().await;
                daemon.check_settled(&["shop"]).await;
                assert_eq!(daemon.serving_release("shop"), "v2");
                assert_eq!(made(daemon, "v2"), (1 + usize::from(has_begun), 1));
            });
        }
    }
}

#[test]
fn a_crash_after_it_has_it_not_run_again() {
    let mut world = World::new();
    world.life(async |daemon| {
        daemon.deploy("shop", FIRST).await.unwrap();
        daemon.halt_at(Phase::Starting);
        daemon.start_deploy("shop", SECOND).await;
        daemon.until_phase(Phase::Starting).await;
    });
    world.life(async |daemon| {
        daemon.settle().await;
        daemon.check_settled(&["shop"]).await;
        assert_eq!(daemon.serving_release("shop"), "v2");
        assert_eq!(made(daemon, "v2"), (1, 1));
    });
}
