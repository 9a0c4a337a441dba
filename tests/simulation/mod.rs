//! The real controller, rollouts and store against a scripted engine, in paused time.
//!
//! A [`World`] outlives its daemons: each [`World::life`] is a runtime of its own, and dropping it is `kill -9`. Scripts are
//! made from seeds; after every step the [`invariants`] are checked, and the seed is part of every failure's text
//! (`MINIPAAS_SEED=n cargo test simulation` runs that one alone).

mod external;
mod formation;
mod invariants;
mod proxy;
mod release;
mod script;
mod traffic;
mod volume;
mod world;

use std::time::Duration;

use minipaas::controller::Change;
use minipaas::engine::fake::Behaviour;
use minipaas::rollout::Phase;

use script::Script;
use world::{Daemon, World, image_of};

/// How many seeds run by default.
const SEEDS: u64 = 100;
/// How many steps each script has.
const STEPS: usize = 40;
/// A manifest that differs from the empty one.
const SECOND: &str = "[env]\nN = \"2\"\n";

fn never_ready() -> Behaviour {
    Behaviour { ready_after: None, ..Behaviour::default() }
}

#[test]
fn seeded_faults_break_no_invariant() {
    let seeds = match std::env::var("MINIPAAS_SEED") {
        Ok(seed) => vec![seed.parse().expect("MINIPAAS_SEED is a number")],
        Err(_) => (0..SEEDS).collect(),
    };
    for seed in seeds {
        let run = std::panic::catch_unwind(|| Script::new(seed, STEPS).play());
        assert!(run.is_ok(), "seed {seed} failed; MINIPAAS_SEED={seed} repeats it");
    }
}

#[test]
fn a_swap_serves_at_every_moment() {
    let mut world = World::new();
    world.life(async |daemon| {
        daemon.deploy("shop", "").await.unwrap();
        let client = daemon.client("shop.localhost");
        daemon.deploy("shop", "[env]\nN = \"2\"\n").await.unwrap();
        daemon.settle().await;
        client.finish().await;
        daemon.check_settled(&["shop"]).await;
    });
}

#[test]
fn a_release_that_is_never_ready_leaves_the_old_one_serving() {
    let mut world = World::new();
    world.life(async |daemon| {
        daemon.deploy("shop", "").await.unwrap();
        let before = daemon.upstreams("shop.localhost");
        daemon.engine.behave(image_of("shop", SECOND), never_ready());
        let error = daemon.deploy("shop", SECOND).await.unwrap_err();
        assert_eq!(error.to_string(), "release v2 of `shop` was not ready within 60s");
        assert_eq!(daemon.upstreams("shop.localhost"), before);
        daemon.settle().await;
        daemon.check_settled(&["shop"]).await;
    });
}

#[test]
fn an_exit_at_start_ends_the_rollout_at_once() {
    let mut world = World::new();
    world.life(async |daemon| {
        let dies = Behaviour {
            ready_after: None,
            exits_after: Some((Duration::from_millis(300), 7)),
            says: vec!["boom".to_owned()],
            ..Behaviour::default()
        };
        daemon.engine.behave("shop", dies);
        let start = tokio::time::Instant::now();
        let error = daemon.deploy("shop", "").await.unwrap_err();
        assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
        assert_eq!(error.to_string(), "release v1 of `shop` exited before it was ready");
        let minipaas::controller::DeployError::Aborted(abort) = error else { panic!("{error}") };
        assert_eq!(abort.detail().unwrap(), "`web.1` exited with code 7");
        assert_eq!(abort.log, ["boom"]);
        daemon.settle().await;
        assert_eq!(daemon.containers().await.len(), 0);
    });
}

#[test]
fn a_volume_app_is_held_not_failed_and_comes_back_when_the_new_release_fails() {
    let volume = "[volume.data]\npath = \"/data\"\n";
    let mut world = World::new();
    world.life(async |daemon| {
        daemon.deploy("shop", volume).await.unwrap();
        daemon.deploy("shop", &format!("{volume}[env]\nN = \"2\"\n")).await.unwrap();
        assert!(daemon.was_held("shop"), "requests waited during the swap");
        let third = format!("{volume}[env]\nN = \"3\"\n");
        daemon.engine.behave(image_of("shop", &third), never_ready());
        daemon.deploy("shop", &third).await.unwrap_err();
        daemon.settle().await;
        daemon.check_settled(&["shop"]).await;
        assert_eq!(daemon.serving_release("shop"), "v2");
    });
}

#[test]
fn a_crashed_instance_is_replaced_at_once_then_ever_later() {
    let mut world = World::new();
    world.life(async |daemon| {
        daemon.deploy("shop", "[process.web]\nreplicas = 2\n").await.unwrap();
        for pause in [0, 10, 20, 40] {
            let start = tokio::time::Instant::now();
            daemon.kill("shop", "web.1").await;
            daemon
                .until("web.1 is ready again", |daemon| daemon.upstreams("shop.localhost").len() == 2)
                .await;
            let took = start.elapsed().as_secs();
            assert!((pause..pause + 3).contains(&took), "replaced after {took} s, not {pause} s");
        }
    });
}

#[test]
fn the_crash_of_the_only_instance_holds_requests_until_it_is_back() {
    let mut world = World::new();
    world.life(async |daemon| {
        daemon.deploy("shop", "").await.unwrap();
        let client = daemon.client("shop.localhost");
        daemon.kill("shop", "web.1").await;
        assert!(daemon.was_held("shop"), "the first replacement is at once");
        daemon.until("web.1 is ready again", |daemon| daemon.upstreams("shop.localhost").len() == 1).await;
        client.finish().await;
        daemon.kill("shop", "web.1").await;
        assert!(
            !daemon.is_held("shop.localhost"),
            "the second is 10 s later: an answer is better than a wait"
        );
        let start = tokio::time::Instant::now();
        daemon.until("requests are held again", |daemon| daemon.is_held("shop.localhost")).await;
        assert!((4..6).contains(&start.elapsed().as_secs()), "{:?}", start.elapsed());
        daemon.settle().await;
        daemon.check_settled(&["shop"]).await;
    });
}

#[test]
fn readiness_is_asked_for_as_long_as_an_instance_runs() {
    let mut world = World::new();
    world.life(async |daemon| {
        daemon.deploy("shop", "").await.unwrap();
        let only = daemon.upstreams("shop.localhost");
        daemon.engine.ail(&only[0], true);
        daemon.until("it is out of rotation", |daemon| daemon.upstreams("shop.localhost").is_empty()).await;
        assert!(!daemon.is_held("shop.localhost"), "nobody knows when it will be well again");
        daemon.engine.ail(&only[0], false);
        daemon.until("it is back", |daemon| daemon.upstreams("shop.localhost") == only).await;
    });
}

#[test]
fn an_engine_that_is_away_takes_nobody_out_of_rotation() {
    let mut world = World::new();
    world.life(async |daemon| {
        daemon.deploy("shop", "").await.unwrap();
        let before = daemon.upstreams("shop.localhost");
        daemon.engine.disconnect();
        daemon.settle().await;
        assert_eq!(daemon.upstreams("shop.localhost"), before);
        daemon.deploy("shop", "[env]\nN = \"2\"\n").await.unwrap_err();
        assert_eq!(daemon.upstreams("shop.localhost"), before);
        daemon.engine.reconnect();
        daemon.settle().await;
        daemon.check_settled(&["shop"]).await;
    });
}

#[test]
fn what_the_store_knows_is_listed_before_the_engine_answers() {
    let mut world = World::new();
    world.life(async |daemon| {
        daemon
            .deploy("shop", "[process.web]\nport = 80\n[process.worker]\ncommand = \"work\"\n")
            .await
            .unwrap();
        daemon.engine.disconnect();
    });
    world.life(async |daemon| {
        let listed = |daemon: &Daemon| {
            let view = daemon.controller.view();
            let instances = view.apps.iter().flat_map(|app| app.instances.clone()).collect::<Vec<_>>();
            instances
                .into_iter()
                .map(|one| (one.slot.to_string(), one.state, one.id.is_some()))
                .collect::<Vec<_>>()
        };
        daemon.until("the store is read", |daemon| !daemon.controller.view().apps.is_empty()).await;
        let unknown = |slot: &str, is_known| (slot.to_owned(), "unknown", is_known);
        assert_eq!(listed(daemon), [unknown("web.1", true), unknown("worker.1", false)]);
        daemon.engine.reconnect();
        daemon.settle().await;
        assert!(
            listed(daemon).iter().all(|(_, state, is_known)| *state == "ready" && *is_known),
            "{:?}",
            listed(daemon)
        );
    });
}

#[test]
fn a_crash_in_every_phase_leaves_one_release_serving_and_nothing_behind() {
    for volume in ["", "[volume.data]\npath = \"/data\"\n"] {
        for phase in
            [Phase::Starting, Phase::AwaitingReadiness, Phase::Switching, Phase::Draining, Phase::Stopping]
        {
            let mut world = World::new();
            let first = world.life(async |daemon| {
                daemon.deploy("shop", volume).await.unwrap();
                daemon.settle().await;
                let slow = Behaviour {
                    start_delay: Duration::from_millis(500),
                    ready_after: Some(Duration::from_secs(2)),
                    ..Behaviour::default()
                };
                daemon.engine.behave("shop", slow);
                let first = daemon.upstreams("shop.localhost");
                // Something is in flight, so that draining takes time and can be interrupted.
                let _client = daemon.hold_request("shop.localhost");
                daemon.halt_at(phase);
                daemon.start_deploy("shop", &format!("{volume}[env]\nN = \"2\"\n")).await;
                daemon.until_phase(phase).await;
                first
            });
            world.life(async |daemon| {
                if volume.is_empty() && phase < Phase::Switching {
                    assert_eq!(
                        daemon.upstreams("shop.localhost"),
                        first,
                        "serves before the engine is asked: {phase:?}"
                    );
                }
                daemon.settle().await;
                daemon.check_settled(&["shop"]).await;
                assert_eq!(daemon.serving_release("shop"), "v2", "after a crash in {phase:?}");
                assert_eq!(
                    daemon.releases("shop").await,
                    ["v1 superseded", "v2 active"],
                    "after a crash in {phase:?}"
                );
            });
        }
    }
}

#[test]
fn two_deploys_of_one_app_are_carried_out_in_turn() {
    let mut world = World::new();
    world.life(async |daemon| {
        let slow = Behaviour { ready_after: Some(Duration::from_secs(5)), ..Behaviour::default() };
        daemon.engine.behave("shop", slow);
        let first = daemon.start_deploy("shop", "").await;
        let second = daemon.start_deploy("shop", "[env]\nN = \"2\"\n").await;
        let (first, second) = (first.ended().await, second.ended().await);
        assert_eq!(first.result.unwrap().release.number(), 1);
        assert_eq!(second.result.unwrap().release.number(), 2);
        assert!(second.said.iter().any(|line| line.contains("another deploy of `shop` (v1) is under way")));
        daemon.settle().await;
        daemon.check_settled(&["shop"]).await;
    });
}

#[test]
fn a_queued_deploy_that_comes_to_nothing_lets_the_next_one_begin() {
    let mut world = World::new();
    world.life(async |daemon| {
        let first = daemon.start_deploy("shop", "").await;
        let same = daemon.start_deploy("shop", "").await;
        let refused = daemon.start_change("shop", Change::Rollback(None)).await;
        let last = daemon.start_deploy("shop", SECOND).await;
        assert!(first.ended().await.result.is_ok());
        assert!(same.ended().await.result.is_ok_and(|deployed| deployed.is_unchanged));
        assert!(refused.ended().await.result.is_err());
        assert_eq!(last.ended().await.result.expect("it serves").release.number(), 2);
        daemon.settle().await;
        daemon.check_settled(&["shop"]).await;
    });
}

#[test]
fn a_cancelled_deploy_leaves_the_old_release_and_nothing_of_the_new() {
    let mut world = World::new();
    world.life(async |daemon| {
        daemon.deploy("shop", "").await.unwrap();
        daemon.engine.behave(image_of("shop", SECOND), never_ready());
        let deploy = daemon.start_deploy("shop", SECOND).await;
        daemon.until_phase(Phase::AwaitingReadiness).await;
        daemon.cancel("shop", 2).await;
        let ended = deploy.ended().await;
        assert_eq!(ended.result.unwrap_err().to_string(), "release v2 of `shop` was cancelled");
        daemon.settle().await;
        daemon.check_settled(&["shop"]).await;
        assert_eq!(daemon.serving_release("shop"), "v1");
    });
}

#[test]
fn a_deploy_that_changes_nothing_makes_no_release() {
    let mut world = World::new();
    world.life(async |daemon| {
        daemon.deploy("shop", "").await.unwrap();
        let again = daemon.deploy("shop", "").await.unwrap();
        assert!(again.is_unchanged);
        assert_eq!(daemon.releases("shop").await, ["v1 active"]);
    });
}

#[test]
fn a_host_and_a_name_have_one_owner() {
    let mut world = World::new();
    world.life(async |daemon| {
        daemon.deploy("shop", "").await.unwrap();
        let steal = "[[route]]\nhost = \"shop.localhost\"\n";
        let error = daemon.deploy("blog", steal).await.unwrap_err();
        assert_eq!(error.to_string(), "`shop.localhost/` is already routed to app `shop`");
        let error = daemon.deploy_from("/elsewhere", "shop", "").await.unwrap_err();
        assert_eq!(error.to_string(), "app `shop` was deployed from `/home/ann/project`");
    });
}

#[test]
fn down_removes_everything_and_a_crash_in_it_leaves_nothing() {
    let mut world = World::new();
    world.life(async |daemon| {
        daemon.deploy("shop", "").await.unwrap();
        let _client = daemon.hold_request("shop.localhost");
        daemon.start_down("shop").await;
        daemon.until("the app is forgotten", |daemon| daemon.controller.view().apps.is_empty()).await;
    });
    world.life(async |daemon| {
        daemon.settle().await;
        assert_eq!(daemon.containers().await.len(), 0);
        assert!(daemon.routes.load().table().routes().is_empty());
    });
}
