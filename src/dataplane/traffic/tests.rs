//! Claims, drains and new tables, and which of them sees which.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;

use super::{Client, Found, InFlight, Refusal, Routes};
use crate::name::{InstanceId, ProcessType, ReleaseId, Slot};
use crate::route::{Mode, Route, RouteTable, Upstream};

const LONG: Duration = Duration::from_secs(30);

pub(super) fn table(generation: u64, instances: &[u32]) -> RouteTable {
    let upstreams = instances
        .iter()
        .map(|bits| Upstream {
            instance: InstanceId::from_bits(*bits),
            slot: Slot { process: ProcessType::web(), number: *bits },
            release: ReleaseId::FIRST,
            addr: ([127, 0, 0, 1], 1000 + u16::try_from(*bits).unwrap()).into(),
        })
        .collect();
    let route = Route {
        app: "blog".parse().unwrap(),
        process: ProcessType::web(),
        host: "blog.localhost".parse().unwrap(),
        path: "/".parse().unwrap(),
        strip_prefix: false,
        policy: Arc::default(),
        mode: Mode::Open,
        canary: None,
        is_held: false,
        is_scaled_to_zero: false,
        upstreams,
    };
    RouteTable::new(generation, vec![route])
}

fn pick(routes: &Routes) -> Result<InFlight, Refusal> {
    pick_from(routes.load().find("blog.localhost", "/").unwrap(), None)
}

fn pick_from(found: Found<'_>, except: Option<&InstanceId>) -> Result<InFlight, Refusal> {
    found.pick(&Client { ip: Ipv4Addr::LOCALHOST.into(), headers: &HeaderMap::new() }, except)
}

#[tokio::test(start_paused = true)]
async fn a_drain_waits_for_requests_in_flight() {
    let routes = Routes::new();
    routes.publish(table(1, &[1]));
    let request = pick(&routes).unwrap();
    let upstream = request.upstream().clone();
    let drain = tokio::spawn(async move { upstream.drain(LONG).await });
    tokio::task::yield_now().await;
    assert!(!drain.is_finished());
    drop(request);
    assert_eq!(drain.await.unwrap().cut, 0);
}

#[tokio::test(start_paused = true)]
async fn a_drain_ends_at_its_limit_and_says_what_it_cut() {
    let routes = Routes::new();
    routes.publish(table(1, &[1]));
    let request = pick(&routes).unwrap();
    assert_eq!(request.upstream().drain(LONG).await.cut, 1);
}

#[tokio::test]
async fn a_draining_upstream_refuses_and_the_new_table_serves() {
    let routes = Routes::new();
    routes.publish(table(1, &[1]));
    let stale = routes.load();
    routes.publish(table(2, &[2]));
    let old = routes
        .upstream(&InstanceId::from_bits(1))
        .expect("kept until it is forgotten: a stale table may claim it");
    old.drain(LONG).await;
    assert!(pick_from(stale.find("blog.localhost", "/").unwrap(), None).is_err());
    assert_eq!(pick(&routes).unwrap().upstream().instance(), &InstanceId::from_bits(2));
}

#[tokio::test(start_paused = true)]
async fn counts_survive_a_publication() {
    let routes = Routes::new();
    routes.publish(table(1, &[1]));
    let request = pick(&routes).unwrap();
    routes.publish(table(2, &[1, 2]));
    assert_eq!(request.upstream().in_flight(), 1);
    // One that is new among others starts slowly.
    tokio::time::advance(LONG).await;
    assert_eq!(
        pick(&routes).unwrap().upstream().instance(),
        &InstanceId::from_bits(2),
        "the idle one is picked"
    );
}

#[tokio::test(start_paused = true)]
async fn an_upgraded_connection_is_counted_apart() {
    let routes = Routes::new();
    routes.publish(table(1, &[1]));
    let upgraded = pick(&routes).unwrap().upgrade();
    let upstream = upgraded.upstream().clone();
    assert_eq!(upstream.drain(LONG).await.cut, 0);
    assert_eq!(upstream.drain_upgraded(LONG).await.cut, 1);
    assert!(!upstream.farewell().is_cancelled());
    upstream.close_upgraded();
    assert!(upstream.farewell().is_cancelled());
    drop(upgraded);
    assert_eq!(upstream.drain_upgraded(LONG).await.cut, 0);
}

#[test]
fn an_upstream_tried_in_vain_is_not_picked_again() {
    let routes = Routes::new();
    routes.publish(table(1, &[1]));
    let live = routes.load();
    assert!(pick_from(live.find("blog.localhost", "/").unwrap(), Some(&InstanceId::from_bits(1))).is_err());
}

#[test]
fn the_state_of_a_route_is_kept_as_long_as_the_route_is_there() {
    let routes = Routes::new();
    let state = || Arc::clone(routes.load().find("blog.localhost", "/").unwrap().state());
    routes.publish(table(1, &[1]));
    let first = state();
    routes.publish(table(2, &[2]));
    assert!(Arc::ptr_eq(&first, &state()), "whatever its upstreams are");
    routes.publish(RouteTable::new(3, Vec::new()));
    routes.publish(table(4, &[2]));
    assert!(!Arc::ptr_eq(&first, &state()), "a route that was gone starts anew");
}
