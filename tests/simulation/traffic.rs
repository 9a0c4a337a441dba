//! Operations on traffic: maintenance and pausing outlive the daemon, a canary waits for a word, a release that errs goes.

use std::sync::Arc;
use std::time::Duration;

use minipaas::controller::{CanaryChange, TrafficChange};
use minipaas::engine::fake::Behaviour;
use minipaas::rollout::Phase;
use minipaas::route::{Maintenance, Mode, Share};
use minipaas::traffic::Outcome;

use super::world::{Daemon, World, image_of};
use super::{SECOND, never_ready};

/// A second release that is a canary first.
const CANARY: &str = "[deploy]\ncanary = { percent = 10 }\n[env]\nN = \"2\"\n";
/// One that takes over by itself.
const TIMED: &str = "[deploy]\ncanary = { percent = 10, for = \"10m\" }\n[env]\nN = \"2\"\n";
/// A second release that is watched.
const WATCHED: &str = "[deploy]\nwatch_window = \"30s\"\n[env]\nN = \"2\"\n";
const VOLUME: &str = "[volume.data]\npath = \"/data\"\n";

fn mode(daemon: &Daemon) -> Mode {
    daemon.routes.load().table().find("shop.localhost", "/").expect("the app has a route").1.mode.clone()
}

/// The canary in the table: its release and percentage, and how many upstreams each release has.
fn shares(daemon: &Daemon) -> (Option<(u64, u8)>, Vec<u64>) {
    let live = daemon.routes.load();
    let route = live.table().find("shop.localhost", "/").expect("the app has a route").1;
    let canary = route.canary.as_ref().map(|canary| (canary.release.number(), canary.share.percent));
    (canary, route.upstreams.iter().map(|upstream| upstream.release.number()).collect())
}

#[test]
fn maintenance_and_a_pause_outlive_the_daemon_and_every_deploy() {
    let closed = Maintenance { cookie: Some(Maintenance::digest(b"secret")), ..Maintenance::default() };
    let closed = Arc::new(closed);
    let wait = Duration::from_secs(20);
    for (change, expected, end) in [
        (
            TrafficChange::Maintain(Arc::clone(&closed)),
            Mode::Maintenance(closed),
            TrafficChange::EndMaintenance,
        ),
        (TrafficChange::Pause { wait }, Mode::Paused { wait }, TrafficChange::Resume),
    ] {
        let mut world = World::new();
        world.life(async |daemon| {
            daemon.deploy("shop", "").await.unwrap();
            for _ in 0..2 {
                assert_eq!(daemon.traffic("shop", change.clone()).await.unwrap(), expected);
                assert_eq!(mode(daemon), expected);
            }
            daemon.engine.disconnect();
        });
        world.life(async |daemon| {
            assert_eq!(mode(daemon), expected, "before the engine is asked");
            assert_eq!(daemon.upstreams("shop.localhost").len(), 1);
            // It can be ended before the engine answers, and that takes nobody out of the table.
            assert_eq!(daemon.traffic("shop", end.clone()).await.unwrap(), Mode::Open);
            assert_eq!((mode(daemon), daemon.upstreams("shop.localhost").len()), (Mode::Open, 1));
            daemon.traffic("shop", change.clone()).await.unwrap();
            daemon.engine.reconnect();
            daemon.deploy("shop", SECOND).await.unwrap();
            assert_eq!(mode(daemon), expected, "a deploy changes nothing about it");
            daemon.traffic("shop", end.clone()).await.unwrap();
            daemon.settle().await;
            assert_eq!(mode(daemon), Mode::Open);
            daemon.check_settled(&["shop"]).await;
        });
    }
}

#[test]
fn an_unknown_app_has_no_traffic_to_change() {
    World::new().life(async |daemon| {
        let error = daemon.traffic("shop", TrafficChange::Resume).await.unwrap_err();
        assert_eq!(error.to_string(), "there is no app `shop`");
        let error = daemon.canary("shop", CanaryChange::Promote).await.unwrap_err();
        assert_eq!(error.to_string(), "there is no app `shop`");
        daemon.deploy("shop", "").await.unwrap();
        let error = daemon.canary("shop", CanaryChange::Abort).await.unwrap_err();
        assert_eq!(error.to_string(), "app `shop` has no canary");
    });
}

#[test]
fn a_canary_serves_beside_the_release_that_serves_until_it_is_promoted() {
    World::new().life(async |daemon| {
        daemon.deploy("shop", "").await.unwrap();
        let client = daemon.client("shop.localhost");
        let deployed = daemon.deploy("shop", CANARY).await.unwrap();
        assert_eq!(deployed.release.number(), 2);
        assert_eq!(shares(daemon), (Some((2, 10)), vec![1, 2]));
        assert_eq!(daemon.serving_release("shop"), "v1");
        let again = daemon.deploy("shop", CANARY).await.unwrap();
        assert!(again.is_unchanged && again.release.number() == 2, "{again:?}");
        let changed = daemon.canary("shop", CanaryChange::Percent(50)).await.unwrap();
        assert_eq!(changed.share, Some(Share { percent: 50, ..Share::default() }));
        daemon.settle().await;
        assert_eq!(shares(daemon), (Some((2, 50)), vec![1, 2]), "it waits for as long as nobody decides");
        let promoted = daemon.canary("shop", CanaryChange::Promote).await.unwrap();
        assert_eq!(promoted.serving, Some(promoted.release));
        assert_eq!(shares(daemon), (None, vec![2]));
        daemon.settle().await;
        client.finish().await;
        daemon.check_settled(&["shop"]).await;
        assert_eq!(daemon.releases("shop").await, ["v1 superseded", "v2 active"]);
    });
}

#[test]
fn an_aborted_canary_leaves_the_release_that_serves_and_nothing_of_its_own() {
    World::new().life(async |daemon| {
        daemon.deploy("shop", "").await.unwrap();
        daemon.deploy("shop", CANARY).await.unwrap();
        let client = daemon.client("shop.localhost");
        daemon.canary("shop", CanaryChange::Abort).await.unwrap();
        assert_eq!(shares(daemon), (None, vec![1]));
        daemon.settle().await;
        client.finish().await;
        daemon.check_settled(&["shop"]).await;
        assert_eq!(daemon.releases("shop").await, ["v1 active", "v2 failed"]);
    });
}

#[test]
fn a_later_deploy_takes_the_canarys_place() {
    World::new().life(async |daemon| {
        daemon.deploy("shop", "").await.unwrap();
        daemon.deploy("shop", CANARY).await.unwrap();
        let ended = daemon.start_deploy("shop", &format!("{CANARY}M = \"3\"\n")).await.ended().await;
        assert!(ended.said.iter().any(|said| said.contains("v2 is a canary no longer")), "{:?}", ended.said);
        assert_eq!(shares(daemon), (Some((3, 10)), vec![1, 3]));
        // What serves is deployed again: the canary goes, and nothing else happens.
        assert!(daemon.deploy("shop", "").await.unwrap().is_unchanged);
        assert_eq!(shares(daemon), (None, vec![1]));
        daemon.settle().await;
        daemon.check_settled(&["shop"]).await;
        assert_eq!(daemon.releases("shop").await, ["v1 active", "v2 failed", "v3 failed"]);
    });
}

#[test]
fn a_canary_is_refused_beside_a_volume_before_anything_is_touched() {
    World::new().life(async |daemon| {
        daemon.deploy("shop", VOLUME).await.unwrap();
        let error = daemon.deploy("shop", &format!("{VOLUME}{CANARY}")).await.unwrap_err();
        assert_eq!(
            error.to_string(),
            "app `shop` has a volume, which has one writer, and so can have no `canary` beside the release that serves"
        );
        assert_eq!(daemon.releases("shop").await, ["v1 active"]);
    });
}

#[test]
fn a_canary_that_is_never_ready_fails_as_any_release() {
    World::new().life(async |daemon| {
        daemon.deploy("shop", "").await.unwrap();
        daemon.engine.behave(image_of("shop", CANARY), never_ready());
        daemon.deploy("shop", CANARY).await.unwrap_err();
        assert_eq!(shares(daemon), (None, vec![1]));
        daemon.settle().await;
        daemon.check_settled(&["shop"]).await;
    });
}

#[test]
fn a_first_release_is_no_canary() {
    World::new().life(async |daemon| {
        daemon.deploy("shop", CANARY).await.unwrap();
        assert_eq!(shares(daemon), (None, vec![1]));
        daemon.settle().await;
        daemon.check_settled(&["shop"]).await;
    });
}

#[test]
fn a_crash_at_the_canary_keeps_both_releases() {
    for is_halted in [true, false] {
        let mut world = World::new();
        world.life(async |daemon| {
            daemon.deploy("shop", "").await.unwrap();
            daemon.settle().await;
            if is_halted {
                daemon.halt_at(Phase::Canary);
                daemon.start_deploy("shop", CANARY).await;
                daemon.until_phase(Phase::Canary).await;
            } else {
                daemon.deploy("shop", CANARY).await.unwrap();
                daemon.canary("shop", CanaryChange::Percent(25)).await.unwrap();
            }
        });
        world.life(async |daemon| {
            let expected = if is_halted { 10 } else { 25 };
            if !is_halted {
                assert_eq!(shares(daemon), (Some((2, 25)), vec![1, 2]), "before the engine is asked");
            }
            daemon.settle().await;
            assert_eq!(shares(daemon), (Some((2, expected)), vec![1, 2]));
            let containers = daemon.containers().await.len();
            assert_eq!(containers, 2, "nothing was started that ran");
            daemon.kill("shop", "web.1").await;
            daemon.settle().await;
            assert_eq!(shares(daemon), (Some((2, expected)), vec![1, 2]), "what crashes is replaced");
            daemon.canary("shop", CanaryChange::Promote).await.unwrap();
            daemon.settle().await;
            daemon.check_settled(&["shop"]).await;
            assert_eq!(daemon.releases("shop").await, ["v1 superseded", "v2 active"]);
        });
    }
}

#[test]
fn a_canary_with_a_time_takes_over_by_itself() {
    let mut world = World::new();
    world.life(async |daemon| {
        daemon.deploy("shop", "").await.unwrap();
        daemon.deploy("shop", TIMED).await.unwrap();
        daemon.answer("shop.localhost", 97, 3);
        tokio::time::sleep(Duration::from_secs(9 * 60)).await;
        assert_eq!(shares(daemon), (Some((2, 10)), vec![1, 2]));
    });
    world.life(async |daemon| {
        daemon.recovered().await;
        tokio::time::sleep(Duration::from_secs(9 * 60)).await;
        assert_eq!(shares(daemon), (Some((2, 10)), vec![1, 2]), "a start has the time begin anew");
        let client = daemon.client("shop.localhost");
        daemon.until("the canary has taken over", |daemon| daemon.serving_release("shop") == "v2").await;
        daemon.settle().await;
        client.finish().await;
        daemon.check_settled(&["shop"]).await;
        assert_eq!(daemon.releases("shop").await, ["v1 superseded", "v2 active"]);
    });
}

#[test]
fn a_canary_that_fails_more_often_goes_by_itself() {
    World::new().life(async |daemon| {
        daemon.deploy("shop", "").await.unwrap();
        daemon.answer("shop.localhost", 0, 100);
        daemon.deploy("shop", TIMED).await.unwrap();
        // Let the comparison see what was before it: that counts for neither.
        tokio::time::sleep(Duration::from_secs(2)).await;
        let live = daemon.routes.load();
        for upstream in &live.table().find("shop.localhost", "/").unwrap().1.upstreams {
            let failing = if upstream.release.number() == 2 { 5 } else { 1 };
            let upstream = daemon.routes.upstream(&upstream.instance).unwrap();
            (0..20 - failing).for_each(|_| upstream.report(Outcome::Ok));
            (0..failing).for_each(|_| upstream.report(Outcome::ServerError));
        }
        daemon.until("the canary is gone", |daemon| shares(daemon) == (None, vec![1])).await;
        daemon.settle().await;
        daemon.check_settled(&["shop"]).await;
        assert_eq!(daemon.releases("shop").await, ["v1 active", "v2 failed"]);
        let reason = daemon.failure("shop", 2).await;
        assert!(
            reason.starts_with(
                "as a canary it failed clearly more often than v1: 20 requests, 5 failed within "
            ) && reason.ends_with("; v1: 20 requests, 1 failed"),
            "{reason}"
        );
    });
}

#[test]
fn a_canary_with_a_time_can_be_decided_about_before() {
    for change in [CanaryChange::Promote, CanaryChange::Abort] {
        World::new().life(async |daemon| {
            daemon.deploy("shop", "").await.unwrap();
            daemon.deploy("shop", TIMED).await.unwrap();
            daemon.canary("shop", change).await.unwrap();
            let serving = daemon.serving_release("shop");
            daemon.settle().await;
            daemon.check_settled(&["shop"]).await;
            assert_eq!(daemon.serving_release("shop"), serving, "{change:?}");
        });
    }
}

#[test]
fn a_canarys_app_that_is_taken_down_leaves_nothing() {
    World::new().life(async |daemon| {
        daemon.deploy("shop", "").await.unwrap();
        daemon.deploy("shop", CANARY).await.unwrap();
        daemon.start_down("shop").await.await.unwrap().unwrap();
        daemon.settle().await;
        assert_eq!(daemon.containers().await.len(), 0);
    });
}

#[test]
fn a_release_that_fails_clearly_more_often_is_taken_back() {
    World::new().life(async |daemon| {
        daemon.deploy("shop", "").await.unwrap();
        daemon.answer("shop.localhost", 98, 2);
        let started = daemon.start_deploy("shop", WATCHED).await;
        daemon.until("the new release serves", |daemon| daemon.serving_release("shop") == "v2").await;
        let client = daemon.client("shop.localhost");
        let old = daemon.containers().await.len();
        assert_eq!(old, 2, "the old instance is kept");
        daemon.answer("shop.localhost", 17, 3);
        let ended = started.ended().await;
        let error = ended.result.unwrap_err();
        assert_eq!(
            error.to_string(),
            "release v2 of `shop` failed clearly more often than the one before it"
        );
        let minipaas::controller::DeployError::Aborted(abort) = error else { panic!("{error}") };
        let detail = abort.detail().unwrap();
        assert!(detail.starts_with("20 requests, 3 failed within "), "{detail}");
        assert!(detail.ends_with("the release before: 100 requests, 2 failed"), "{detail}");
        assert_eq!(daemon.serving_release("shop"), "v1");
        daemon.settle().await;
        client.finish().await;
        daemon.check_settled(&["shop"]).await;
        assert_eq!(daemon.releases("shop").await, ["v1 active", "v2 failed"]);
    });
}

#[test]
fn a_release_that_is_not_clearly_worse_stays() {
    for (answered, failed) in [(1, 18), (0, 2), (96, 4), (0, 0)] {
        World::new().life(async |daemon| {
            daemon.deploy("shop", "").await.unwrap();
            let started = daemon.start_deploy("shop", WATCHED).await;
            daemon.until("the new release serves", |daemon| daemon.serving_release("shop") == "v2").await;
            let start = tokio::time::Instant::now();
            daemon.answer("shop.localhost", answered, failed);
            let ended = started.ended().await;
            assert_eq!(ended.result.unwrap().release.number(), 2);
            assert!(start.elapsed() >= Duration::from_secs(29), "it was watched for {:?}", start.elapsed());
            assert!(ended.said.iter().any(|said| said.starts_with("watch v2 for 30s")), "{:?}", ended.said);
            daemon.settle().await;
            daemon.check_settled(&["shop"]).await;
            assert_eq!(daemon.releases("shop").await, ["v1 superseded", "v2 active"]);
        });
    }
}

#[test]
fn what_the_old_release_did_long_ago_does_not_count() {
    World::new().life(async |daemon| {
        daemon.deploy("shop", "").await.unwrap();
        daemon.answer("shop.localhost", 0, 1000);
        tokio::time::sleep(Duration::from_secs(10 * 60)).await;
        daemon.answer("shop.localhost", 100, 0);
        let started = daemon.start_deploy("shop", WATCHED).await;
        daemon.until("the new release serves", |daemon| daemon.serving_release("shop") == "v2").await;
        daemon.answer("shop.localhost", 15, 5);
        started.ended().await.result.unwrap_err();
    });
}

#[test]
fn a_release_that_has_a_volume_is_not_watched() {
    World::new().life(async |daemon| {
        daemon.deploy("shop", VOLUME).await.unwrap();
        let start = tokio::time::Instant::now();
        daemon.deploy("shop", &format!("{VOLUME}{WATCHED}")).await.unwrap();
        assert!(start.elapsed() < Duration::from_secs(20));
        daemon.settle().await;
        daemon.check_settled(&["shop"]).await;
    });
}

#[test]
fn a_crash_during_the_watch_keeps_the_new_release() {
    let mut world = World::new();
    world.life(async |daemon| {
        daemon.deploy("shop", "").await.unwrap();
        daemon.start_deploy("shop", WATCHED).await;
        daemon.until("the new release serves", |daemon| daemon.serving_release("shop") == "v2").await;
    });
    world.life(async |daemon| {
        daemon.settle().await;
        daemon.check_settled(&["shop"]).await;
        assert_eq!(daemon.releases("shop").await, ["v1 superseded", "v2 active"]);
    });
}

#[test]
fn an_app_is_taken_down_during_the_watch() {
    World::new().life(async |daemon| {
        daemon.deploy("shop", "").await.unwrap();
        let slow = Behaviour { ignores_term: true, ..Behaviour::default() };
        daemon.engine.behave("shop", slow);
        daemon.start_deploy("shop", WATCHED).await;
        daemon.until("the new release serves", |daemon| daemon.serving_release("shop") == "v2").await;
        daemon.start_down("shop").await.await.unwrap().unwrap();
        daemon.settle().await;
        assert_eq!(daemon.containers().await.len(), 0);
    });
}

#[test]
fn a_promoted_canary_is_watched_for_what_it_does_from_then_on() {
    World::new().life(async |daemon| {
        let both = "[deploy]\ncanary = { percent = 10 }\nwatch_window = \"30s\"\n";
        daemon.deploy("shop", "").await.unwrap();
        daemon.deploy("shop", both).await.unwrap();
        // As the canary it failed, and somebody let it take over all the same.
        daemon.answer("shop.localhost", 0, 100);
        daemon.canary("shop", CanaryChange::Promote).await.unwrap();
        tokio::time::sleep(Duration::from_secs(5)).await;
        assert_eq!(daemon.serving_release("shop"), "v2");
        daemon.answer("shop.localhost", 20, 0);
        daemon.settle().await;
        daemon.check_settled(&["shop"]).await;
        assert_eq!(daemon.serving_release("shop"), "v2");
    });
}
