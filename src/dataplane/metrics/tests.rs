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
    upstream.set_now(1, true);
    metrics.refused().inc();
    let open = metrics.https().open();
    metrics.handshakes().inc();
    metrics.errors().inc("not-ready");
    expect![[r##"
        # HELP minipaas_http_requests Requests that have ended, by class of status; 499 are those whose client went away before it was answered.
        # TYPE minipaas_http_requests counter
        minipaas_http_requests_total{app="shop",route="shop.example/api",status="1xx"} 1
        minipaas_http_requests_total{app="shop",route="shop.example/api",status="2xx"} 2
        minipaas_http_requests_total{app="shop",route="shop.example/api",status="3xx"} 0
        minipaas_http_requests_total{app="shop",route="shop.example/api",status="4xx"} 1
        minipaas_http_requests_total{app="shop",route="shop.example/api",status="499"} 1
        minipaas_http_requests_total{app="shop",route="shop.example/api",status="5xx"} 1
        # HELP minipaas_http_request_duration_seconds Time from the head of a request to the last byte of its response.
        # TYPE minipaas_http_request_duration_seconds histogram
        # UNIT minipaas_http_request_duration_seconds seconds
        minipaas_http_request_duration_seconds_sum{app="shop",route="shop.example/api"} 70.035
        minipaas_http_request_duration_seconds_count{app="shop",route="shop.example/api"} 5
        minipaas_http_request_duration_seconds_bucket{le="0.001",app="shop",route="shop.example/api"} 2
        minipaas_http_request_duration_seconds_bucket{le="0.002",app="shop",route="shop.example/api"} 2
        minipaas_http_request_duration_seconds_bucket{le="0.005",app="shop",route="shop.example/api"} 3
        minipaas_http_request_duration_seconds_bucket{le="0.01",app="shop",route="shop.example/api"} 3
        minipaas_http_request_duration_seconds_bucket{le="0.025",app="shop",route="shop.example/api"} 3
        minipaas_http_request_duration_seconds_bucket{le="0.05",app="shop",route="shop.example/api"} 4
        minipaas_http_request_duration_seconds_bucket{le="0.1",app="shop",route="shop.example/api"} 4
        minipaas_http_request_duration_seconds_bucket{le="0.25",app="shop",route="shop.example/api"} 4
        minipaas_http_request_duration_seconds_bucket{le="0.5",app="shop",route="shop.example/api"} 4
        minipaas_http_request_duration_seconds_bucket{le="1.0",app="shop",route="shop.example/api"} 4
        minipaas_http_request_duration_seconds_bucket{le="2.5",app="shop",route="shop.example/api"} 4
        minipaas_http_request_duration_seconds_bucket{le="5.0",app="shop",route="shop.example/api"} 4
        minipaas_http_request_duration_seconds_bucket{le="10.0",app="shop",route="shop.example/api"} 4
        minipaas_http_request_duration_seconds_bucket{le="60.0",app="shop",route="shop.example/api"} 4
        minipaas_http_request_duration_seconds_bucket{le="+Inf",app="shop",route="shop.example/api"} 5
        # HELP minipaas_http_requests_in_flight Requests that have not ended.
        # TYPE minipaas_http_requests_in_flight gauge
        minipaas_http_requests_in_flight{app="shop",route="shop.example/api"} 1
        # HELP minipaas_http_request_body_bytes Bytes of requests' bodies.
        # TYPE minipaas_http_request_body_bytes counter
        # UNIT minipaas_http_request_body_bytes bytes
        minipaas_http_request_body_bytes_total{app="shop",route="shop.example/api"} 35
        # HELP minipaas_http_response_body_bytes Bytes of responses' bodies.
        # TYPE minipaas_http_response_body_bytes counter
        # UNIT minipaas_http_response_body_bytes bytes
        minipaas_http_response_body_bytes_total{app="shop",route="shop.example/api"} 500
        # HELP minipaas_http_retries Requests that were sent again.
        # TYPE minipaas_http_retries counter
        minipaas_http_retries_total{app="shop",route="shop.example/api"} 1
        # HELP minipaas_http_held Requests that waited for an upstream.
        # TYPE minipaas_http_held counter
        minipaas_http_held_total{app="shop",route="shop.example/api"} 0
        # HELP minipaas_upstream_requests Requests that were sent to the instance, and have ended.
        # TYPE minipaas_upstream_requests counter
        minipaas_upstream_requests_total{app="shop",slot="web.1",release="v1",id="00000001"} 2
        # HELP minipaas_upstream_failures Requests to the instance without a whole response, or with one of status 500 and above.
        # TYPE minipaas_upstream_failures counter
        minipaas_upstream_failures_total{app="shop",slot="web.1",release="v1",id="00000001"} 1
        # HELP minipaas_upstream_ejections How often the instance was left alone as it failed.
        # TYPE minipaas_upstream_ejections counter
        minipaas_upstream_ejections_total{app="shop",slot="web.1",release="v1",id="00000001"} 0
        # HELP minipaas_upstream_requests_in_flight Requests that the instance has now.
        # TYPE minipaas_upstream_requests_in_flight gauge
        minipaas_upstream_requests_in_flight{app="shop",slot="web.1",release="v1",id="00000001"} 1
        # HELP minipaas_upstream_ejected Whether the instance is left alone now.
        # TYPE minipaas_upstream_ejected gauge
        minipaas_upstream_ejected{app="shop",slot="web.1",release="v1",id="00000001"} 1
        # HELP minipaas_certificate_expiry_timestamp_seconds When certificates run out, those of the box's own CA apart.
        # TYPE minipaas_certificate_expiry_timestamp_seconds gauge
        # UNIT minipaas_certificate_expiry_timestamp_seconds seconds
        # HELP minipaas_certificate_problem Whether a certificate, or its successor, cannot be had.
        # TYPE minipaas_certificate_problem gauge
        # HELP minipaas_connections Connections accepted.
        # TYPE minipaas_connections counter
        minipaas_connections_total{listener="http"} 0
        minipaas_connections_total{listener="https"} 1
        # HELP minipaas_connections_open Connections open.
        # TYPE minipaas_connections_open gauge
        minipaas_connections_open{listener="http"} 0
        minipaas_connections_open{listener="https"} 1
        # HELP minipaas_connections_refused Connections closed at once, because their client had enough.
        # TYPE minipaas_connections_refused counter
        minipaas_connections_refused_total 1
        # HELP minipaas_tls_handshakes TLS handshakes.
        # TYPE minipaas_tls_handshakes counter
        minipaas_tls_handshakes_total{result="ok"} 1
        minipaas_tls_handshakes_total{result="failed"} 0
        # HELP minipaas_errors Requests that no app answered, by the code of the error.
        # TYPE minipaas_errors counter
        minipaas_errors_total{code="not-ready"} 1
        # HELP minipaas_access_log_dropped Lines that the access log had no room for.
        # TYPE minipaas_access_log_dropped counter
        minipaas_access_log_dropped_total 0
        # HELP minipaas_metrics_left_out Routes, upstreams and ports that were too many to be counted here.
        # TYPE minipaas_metrics_left_out counter
        minipaas_metrics_left_out_total 0
        # EOF
    "##]].assert_eq(&metrics.snapshot().to_text());
    drop(open);
}
