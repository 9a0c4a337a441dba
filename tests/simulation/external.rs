//! Apps that are only routes: servers that run elsewhere come, go, move and fail.

use std::sync::Arc;
use std::time::Duration;

use minipaas::controller::{AppView, TrafficChange};
use minipaas::route::Mode;

use super::world::{Daemon, World};

const FIRST: &str = "10.0.0.5:8080";
const SECOND: &str = "10.0.0.6:8080";
const URL_FIRST: &str = "http://10.0.0.5:8080";
const URL_SECOND: &str = "http://10.0.0.6:8080";
const HOST: &str = "legacy.localhost";

impl Daemon {
    /// The addresses behind the host.
    fn addrs(&self) -> Vec<String> {
        let live = self.routes.load();
        let route = live.table().find(HOST, "/").map(|(_, route)| route.upstreams.clone());
        route.unwrap_or_default().iter().map(|upstream| upstream.addr.to_string()).collect()
    }

    async fn until_addrs(&mut self, addrs: &[&str]) {
        self.until(&format!("{addrs:?} serve"), |daemon| daemon.addrs() == addrs).await;
    }

    fn legacy(&self) -> AppView {
        let view = self.controller.view();
        view.apps.iter().find(|app| app.name.as_str() == "legacy").expect("the app is there").clone()
    }
}

#[test]
fn an_upstream_that_fails_is_out_and_comes_back_as_the_same() {
    let mut world = World::new();
    world.life(async |daemon| {
        // No engine ever answers, and nothing here needs one.
        daemon.engine.disconnect();
        daemon.network.answers(FIRST, true);
        daemon.network.answers(SECOND, true);
        daemon.lead("legacy", &[URL_FIRST, URL_SECOND]).await.unwrap();
        assert!(daemon.is_held(HOST), "until somebody was asked");
        daemon.until_addrs(&[FIRST, SECOND]).await;
        let before = daemon.upstreams(HOST);

        daemon.network.answers(SECOND, false);
        let start = tokio::time::Instant::now();
        daemon.until_addrs(&[FIRST]).await;
        assert!(start.elapsed() < Duration::from_secs(14), "{:?}", start.elapsed());
        let legacy = daemon.legacy();
        assert_eq!((legacy.instances[0].state, legacy.instances[1].state), ("ready", "unready"));
        assert_eq!(legacy.instances[1].detail.as_deref(), Some("nothing accepts connections on port 8080"));
        daemon.network.answers(SECOND, true);
        daemon.until("it is back", |daemon| daemon.upstreams(HOST) == before).await;

        daemon.network.answers(FIRST, false);
        daemon.network.answers(SECOND, false);
        daemon.until_addrs(&[]).await;
        assert!(!daemon.is_held(HOST), "nobody knows when one will be well again");
    });
}

#[test]
fn a_restart_serves_the_last_table_before_anything_is_asked() {
    let mut world = World::new();
    world.network.answers(FIRST, true);
    world.network.name("app.internal", &["10.0.1.1:80", "10.0.1.2:80"]);
    world.network.answers("10.0.1.1:80", true);
    world.network.answers("10.0.1.2:80", true);
    let all = [FIRST, "10.0.1.1:80", "10.0.1.2:80"];
    let before = world.life(async |daemon| {
        daemon.lead("legacy", &[URL_FIRST, "http://app.internal"]).await.unwrap();
        daemon.until_addrs(&all).await;
        daemon.upstreams(HOST)
    });
    world.network.answers(FIRST, false);
    world.network.name("app.internal", &[]);
    world.life(async |daemon| {
        daemon.engine.disconnect();
        assert_eq!(daemon.upstreams(HOST), before, "as soon as it is there");
        daemon.until_addrs(&["10.0.1.1:80", "10.0.1.2:80"]).await;
        daemon.settle().await;
        assert_eq!(daemon.addrs(), ["10.0.1.1:80", "10.0.1.2:80"], "a failed lookup changes nothing");
        let problem = daemon.legacy().external.unwrap().upstreams[1].problem.clone();
        assert_eq!(problem.as_deref(), Some("`app.internal` was not found: no such name"));
        daemon.network.answers(FIRST, true);
        daemon.until("it is the same as before", |daemon| daemon.upstreams(HOST) == before).await;
    });
}

#[test]
fn a_change_loses_no_request_and_drains_what_is_left() {
    let mut world = World::new();
    world.life(async |daemon| {
        daemon.network.answers(FIRST, true);
        daemon.network.answers(SECOND, true);
        daemon.lead("legacy", &[URL_FIRST]).await.unwrap();
        daemon.until_addrs(&[FIRST]).await;
        let first = daemon.upstreams(HOST);
        let client = daemon.client(HOST);
        let in_flight = daemon.hold_request(HOST);

        daemon.lead("legacy", &[URL_SECOND]).await.unwrap();
        assert_eq!(daemon.addrs(), [FIRST], "it stays until the other was asked");
        daemon.until_addrs(&[SECOND]).await;
        let states: Vec<_> = daemon.legacy().instances.iter().map(|one| one.state).collect();
        assert_eq!(states, ["ready", "draining"]);
        // Back, while its life before has not ended: it must not be refused as one that drains.
        daemon.lead("legacy", &[URL_FIRST]).await.unwrap();
        daemon.until_addrs(&[FIRST]).await;
        assert_ne!(daemon.upstreams(HOST), first);
        client.finish().await;
        drop(in_flight);
        daemon.settle().await;
        assert_eq!(daemon.legacy().instances.len(), 1);
        assert!(daemon.routes.upstream(&first[0]).is_none(), "it is forgotten");

        let generation = daemon.routes.load().table().generation();
        daemon.lead("legacy", &[URL_FIRST]).await.unwrap();
        daemon.settle().await;
        assert_eq!(daemon.routes.load().table().generation(), generation, "the same again is no change");
    });
}

#[test]
fn the_addresses_of_a_name_are_its_upstreams() {
    let mut world = World::new();
    world.life(async |daemon| {
        for addr in ["10.0.1.1:80", "10.0.1.2:80", "10.0.1.3:80"] {
            daemon.network.answers(addr, true);
        }
        daemon.lead("legacy", &["http://app.internal"]).await.unwrap();
        daemon.settle().await;
        assert_eq!(daemon.addrs(), [""; 0], "it has none yet");
        daemon.network.name("app.internal", &["10.0.1.2:80", "10.0.1.1:80"]);
        daemon.until_addrs(&["10.0.1.1:80", "10.0.1.2:80"]).await;
        let kept = daemon.upstreams(HOST)[1].clone();
        daemon.network.name("app.internal", &["10.0.1.3:80", "10.0.1.2:80"]);
        daemon.until_addrs(&["10.0.1.2:80", "10.0.1.3:80"]).await;
        assert_eq!(daemon.upstreams(HOST)[0], kept);
        daemon.network.name("app.internal", &["127.0.0.1:80"]);
        daemon.settle().await;
        assert_eq!(daemon.addrs(), ["10.0.1.2:80", "10.0.1.3:80"]);
        let problem = daemon.legacy().external.unwrap().upstreams[0].problem.clone();
        assert_eq!(problem.as_deref(), Some("`app.internal` is this box itself"));
    });
}

#[test]
fn a_name_is_either_deployed_or_a_route() {
    let mut world = World::new();
    world.life(async |daemon| {
        daemon.deploy("shop", "[[route]]\nhost = \"legacy.localhost\"\n").await.unwrap();
        let error = daemon.lead("shop", &[URL_FIRST]).await.unwrap_err();
        assert_eq!(error.to_string(), "app `shop` is deployed, and cannot be a route to upstreams as well");
        let error = daemon.lead("legacy", &[URL_FIRST]).await.unwrap_err();
        assert_eq!(error.to_string(), "`legacy.localhost/` is already routed to app `shop`");
        let error = daemon.lead("blog", &["http://127.0.0.1:80"]).await.unwrap_err();
        assert_eq!(
            error.to_string(),
            "upstream `http://127.0.0.1` is this box itself: its requests would come back to it"
        );
        daemon.lead("blog", &[URL_FIRST]).await.unwrap();
        let error = daemon.deploy("blog", "").await.unwrap_err();
        assert_eq!(
            error.to_string(),
            "app `blog` is only a route to upstreams, and nothing can be deployed to it"
        );
        let error = daemon.deploy("web", "[[route]]\nhost = \"blog.localhost\"\n").await.unwrap_err();
        assert_eq!(error.to_string(), "`blog.localhost/` is already routed to app `blog`");
        let down = daemon.start_down("blog").await.await.unwrap().unwrap();
        assert_eq!((down.instances, down.upstreams), (0, 1));
        daemon.deploy("blog", "").await.unwrap();
        daemon.settle().await;
        daemon.check_settled(&["shop", "blog"]).await;
    });
}

#[test]
fn maintenance_and_a_pause_are_for_routes_too_and_need_no_engine() {
    let mut world = World::new();
    world.network.answers(FIRST, true);
    world.life(async |daemon| {
        daemon.engine.disconnect();
        daemon.lead("legacy", &[URL_FIRST]).await.unwrap();
        daemon.until_addrs(&[FIRST]).await;
        daemon.traffic("legacy", TrafficChange::Maintain(Arc::default())).await.unwrap();
    });
    world.life(async |daemon| {
        let mode = |daemon: &Daemon| {
            let live = daemon.routes.load();
            live.table().find(HOST, "/").map(|(_, route)| route.mode.clone())
        };
        assert!(matches!(mode(daemon), Some(Mode::Maintenance(_))));
        daemon.traffic("legacy", TrafficChange::EndMaintenance).await.unwrap();
        let wait = Duration::from_secs(5);
        daemon.traffic("legacy", TrafficChange::Pause { wait }).await.unwrap();
        assert_eq!(mode(daemon), Some(Mode::Paused { wait }));
        assert_eq!(daemon.addrs(), [FIRST]);
    });
}
