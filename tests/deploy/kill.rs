//! `kill -9` of the daemon in every phase of a rollout, for both orders of update.
//!
//! The daemon is told to halt once a phase is stored and before its effect, which is the worst moment there is for each.
//! What must hold: containers do not notice; the next daemon makes exactly one release serve and removes the rest; no
//! release is lost, and no number is given twice.

use http::StatusCode;

use super::command::until;
use super::release::TestApp;
use super::traffic::Poller;
use super::world::{Container, TestBox, containers};

/// How an instance is replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    StartFirst,
    /// As a volume forces it.
    StopFirst,
}

const REPLICAS: usize = 2;

impl Order {
    fn app(self, version: &str) -> TestApp {
        let app = TestApp::version(version).web("stop_grace = \"5s\"");
        match self {
            Self::StartFirst => app.web(&format!("replicas = {REPLICAS}")),
            Self::StopFirst => app.table("[volume.data]\npath = \"/data\""),
        }
    }

    fn slots(self) -> usize {
        match self {
            Self::StartFirst => REPLICAS,
            Self::StopFirst => 1,
        }
    }
}

async fn killed_while(phase: &str, order: Order) {
    let on = TestBox::new();
    let project = on.project("shop");
    let first = on.serve(&[]).await;
    project.deploy(&order.app("one")).await.success();
    let id = on.id().await;
    first.kill();

    let mut halting = on.serve(&[("MINIPAAS_HALT_AT", phase)]).await;
    on.serving("shop").await;
    let poller = Poller::start(&on, "shop.localhost").await;
    // Requests wait while a stop-first swap is under way, and this one never ends.
    let poller = match order {
        Order::StartFirst => Some(poller),
        Order::StopFirst => {
            poller.finish().await.only(&["version=one"]);
            None
        }
    };
    project.write("minipaas.toml", &order.app("two").toml());
    let up = project.start_up();
    halting.says("halted").await;
    // Containers may still be about to start; what matters is that they are left alone from here on.
    if phase != "starting" {
        until("the new instances run", || running(&id, "v2").len() == order.slots()).await;
    }
    if let Some(poller) = poller {
        poller.finish().await.only(&["version=one", "version=two"]);
    }
    let waiting = if phase == "draining" || phase == "stopping" {
        // The new release serves; nobody waits for the end of the old one.
        up.finish().await.success();
        None
    } else {
        Some(up)
    };
    halting.kill();

    let left = containers(&id);
    let before: Vec<_> = left.into_iter().filter(|container| container.is_running).collect();
    assert!(!before.is_empty(), "something runs without a daemon");
    let _daemon = on.serve(&[]).await;
    if let Some(up) = waiting {
        let up = up.finish().await;
        if phase == "starting" {
            // It was killed before it could say which release it is.
            up.ends_with(3).saying(&["the daemon ended the connection"]);
        } else {
            up.success().saying(&["the connection to the daemon broke", "v2 of `shop` serves"]);
        }
    }
    let poller = match order {
        Order::StartFirst => Some(Poller::start(&on, "shop.localhost").await),
        Order::StopFirst => None,
    };
    let app = on.serving("shop").await;
    if let Some(poller) = poller {
        poller.finish().await.only(&["version=one", "version=two"]);
    }

    assert_eq!(app.release.as_deref(), Some("v2"), "a release that was accepted is not lost");
    on.settled(order.slots(), "v2").await;
    let after = on.containers().await;
    for container in &after {
        let same = before.iter().find(|other| other.id == container.id);
        assert!(same.is_none_or(|same| same == container), "{container:?} was restarted, before: {before:?}");
        assert!(same.is_some() || phase == "starting", "{container:?} was made anew, before: {before:?}");
    }
    let reply = on.get("shop.localhost", "/").await;
    assert_eq!((reply.status, reply.body.contains("version=two")), (StatusCode::OK, true), "{reply:?}");

    let third = project.deploy(&order.app("three")).await.success();
    third.saying(&["v3 of `shop` serves"]);
    on.settled(order.slots(), "v3").await;
}

fn running(id: &str, release: &str) -> Vec<Container> {
    containers(id).into_iter().filter(|found| found.is_running && found.release == release).collect()
}

async fn killed_in_both(phase: &str) {
    tokio::join!(killed_while(phase, Order::StartFirst), killed_while(phase, Order::StopFirst));
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_while_starting() {
    killed_in_both("starting").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_while_awaiting_readiness() {
    killed_in_both("awaiting-readiness").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_while_switching() {
    killed_in_both("switching").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_while_draining() {
    killed_in_both("draining").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_while_stopping() {
    killed_in_both("stopping").await;
}
