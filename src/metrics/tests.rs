//! Which series there are, for how long, and how they read.

use std::time::Duration;

use expect_test::expect;

use super::{Metrics, limits};
use crate::name::{InstanceId, ProcessType, ReleaseId, Slot};

fn route(metrics: &Metrics, host: &str) -> std::sync::Arc<super::RouteMetrics> {
    metrics.route(&"shop".parse().unwrap(), &host.parse().unwrap(), &"/api".parse().unwrap())
}

fn upstream(metrics: &Metrics) -> std::sync::Arc<super::UpstreamMetrics> {
    let slot = Slot { process: ProcessType::web(), number: 1 };
    metrics.upstream(&"shop".parse().unwrap(), &slot, ReleaseId::FIRST, &InstanceId::from_bits(1))
}

#[tokio::test(start_paused = true)]
async fn a_series_goes_a_while_after_its_last_handle() {
    let metrics = Metrics::default();
    let held = route(&metrics, "held.example");
    drop(route(&metrics, "gone.example"));
    let names = || metrics.snapshot().routes.iter().map(|r| r.route.to_string()).collect::<Vec<_>>();
    assert_eq!(names(), ["gone.example/api", "held.example/api"]);
    tokio::time::advance(limits::RETENTION).await;
    assert_eq!(names(), ["held.example/api"]);
    drop(held);
}

#[tokio::test(start_paused = true)]
async fn what_comes_back_goes_on_counting() {
    let metrics = Metrics::default();
    let first = route(&metrics, "a.example");
    first.begin();
    first.end(200, Some(Duration::from_millis(3)), 0, 5);
    drop(first);
    assert_eq!(metrics.snapshot().routes.len(), 1);
    let again = route(&metrics, "a.example");
    tokio::time::advance(limits::RETENTION * 2).await;
    assert_eq!(metrics.snapshot().routes[0].ended[1], 1);
    drop(again);
}

#[tokio::test(start_paused = true)]
async fn series_beyond_the_limit_are_left_out_and_counted() {
    let metrics = Metrics::default();
    let held: Vec<_> =
        (0..limits::ROUTES_MAX + 3).map(|number| route(&metrics, &format!("h{number}.example"))).collect();
    let snapshot = metrics.snapshot();
    assert_eq!((snapshot.routes.len(), snapshot.left_out), (limits::ROUTES_MAX, 3));
    // It counts for itself, and its name is right in the log.
    let last = held.last().unwrap();
    last.begin();
    assert_eq!((last.in_flight(), last.app()), (1, "shop"));
}

#[test]
fn errors_are_counted_by_code() {
    let metrics = Metrics::default();
    for code in ["no-route", "not-ready", "no-route"] {
        metrics.errors().inc(code);
    }
    assert_eq!(metrics.snapshot().global.errors, [("no-route", 2), ("not-ready", 1)]);
}

#[tokio::test]
async fn text_is_what_prometheus_reads() {
    let metrics = Metrics::default();
    let (route, upstream) = (route(&metrics, "shop.example"), upstream(&metrics));
    for (status, millis) in [(200, 3), (200, 30), (404, 1), (499, 70_000), (503, 1)] {
        route.begin();
        route.end(status, Some(Duration::from_millis(millis)), 7, 100);
    }
    route.begin();
    route.end(101, None, 0, 0);
    route.begin();
    route.retries().inc();
    upstream.end(false);
    upstream.end(true);
    upstream.set_in_flight(1);
    let open = metrics.https().open();
    metrics.handshakes().inc();
    metrics.errors().inc("not-ready");
    expect![[r#""#]].assert_eq(&metrics.snapshot().to_text());
    drop(open);
}
