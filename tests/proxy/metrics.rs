use std::collections::{BTreeMap, BTreeSet};

use http::Response;
use minipaas::metrics::{RouteSample, Snapshot};
use minipaas::route::Route;

use super::BLOG;
use crate::support::backend::{Backend, full};
use crate::support::client::{Client, Raw, get, post, tls};
use crate::support::eventually;
use crate::support::proxy::TestProxy;

fn route(snapshot: &Snapshot) -> &RouteSample {
    &snapshot.routes[0]
}

/// The ends of the first route's requests: 1xx, 2xx, 3xx, 4xx, 499, 5xx.
async fn ended(proxy: &TestProxy, expected: [u64; 6]) {
    eventually("the requests are counted", || route(&proxy.routes.snapshot()).ended == expected).await;
}

#[tokio::test]
async fn requests_are_counted_by_class_with_their_bytes() {
    let app = Backend::answering(|seen| async move {
        let status = seen.uri.path().trim_start_matches('/').parse().unwrap();
        Response::builder().status::<u16>(status).body(full("12345")).unwrap()
    });
    let app = app.start().await;
    let proxy = TestProxy::with_route(BLOG, &[&app]).await;
    for path in ["/200", "/201", "/302", "/404", "/500"] {
        proxy.send(post(BLOG, path, "body")).await;
    }
    ended(&proxy, [0, 2, 1, 1, 0, 1]).await;
    let snapshot = proxy.routes.snapshot();
    let RouteSample { app: name, route: at, latency, bytes_in, bytes_out, in_flight, .. } = route(&snapshot);
    assert_eq!((&**name, &**at), ("blog", "blog.localhost/"));
    assert_eq!((latency.count(), *bytes_in, *bytes_out, *in_flight), (5, 20, 25, 0));
    let upstream = &snapshot.upstreams[0];
    assert_eq!((upstream.requests, upstream.failures, &*upstream.slot), (5, 1, "web.1"));
}

#[tokio::test]
async fn the_bytes_of_a_request_are_those_that_came() {
    let app = Backend::replying("app").start().await;
    let proxy = TestProxy::with_route(BLOG, &[&app]).await;
    let mut client = Raw::connect(proxy.http).await;
    client.send("POST / HTTP/1.1\r\nHost: blog.localhost\r\nTransfer-Encoding: chunked\r\n\r\n").await;
    client.send("3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n").await;
    client.until("app").await;
    client.send("POST / HTTP/1.1\r\nHost: blog.localhost\r\nContent-Length: 100\r\n\r\nabcde").await;
    drop(client);
    eventually("both have ended", || route(&proxy.routes.snapshot()).ended.iter().sum::<u64>() == 2).await;
    assert_eq!(route(&proxy.routes.snapshot()).bytes_in, 10);
}

#[tokio::test]
async fn a_request_is_in_flight_until_its_client_goes_away() {
    let silent = Backend::answering(|_| std::future::pending()).start().await;
    let proxy = TestProxy::with_route(BLOG, &[&silent]).await;
    let mut client = Raw::connect(proxy.http).await;
    client.send("GET / HTTP/1.1\r\nHost: blog.localhost\r\n\r\n").await;
    eventually("the app got the request", || silent.seen().len() == 1).await;
    let snapshot = proxy.routes.snapshot();
    assert_eq!((route(&snapshot).in_flight, snapshot.upstreams[0].in_flight), (1, 1));
    assert_eq!(snapshot.global.http.open, 1);
    drop(client);
    ended(&proxy, [0, 0, 0, 0, 1, 0]).await;
    let gone = || {
        let snapshot = proxy.routes.snapshot();
        route(&snapshot).in_flight == 0
            && snapshot.upstreams[0].in_flight == 0
            && snapshot.global.http.open == 0
    };
    eventually("nothing is in flight", gone).await;
    assert_eq!(proxy.routes.snapshot().upstreams[0].failures, 0, "the app is not to blame");
}

#[tokio::test]
async fn a_retry_is_counted_once_and_blamed_on_the_first() {
    let (refusing, app) = (Backend::refusing().await, Backend::replying("app").start().await);
    let proxy = TestProxy::with_route(BLOG, &[&refusing, &app]).await;
    while proxy.routes.snapshot().upstreams[0].requests == 0 {
        assert_eq!(proxy.send(get(BLOG, "/")).await.status, 200);
    }
    let snapshot = proxy.routes.snapshot();
    assert_eq!(route(&snapshot).retries, 1);
    let refused = &snapshot.upstreams[0];
    assert_eq!((refused.requests, refused.failures), (1, 1));
    eventually("the other is counted, too", || {
        let snapshot = proxy.routes.snapshot();
        let upstream = &snapshot.upstreams[1];
        upstream.requests == route(&snapshot).ended[1] && upstream.failures == 0
    })
    .await;
}

#[tokio::test]
async fn errors_connections_and_handshakes_are_counted() {
    let app = Backend::replying("app").start().await;
    let proxy = TestProxy::with_route(BLOG, &[&app]).await;
    proxy.send(get("nobody.localhost", "/")).await;
    let mut client = Client::over(tls(proxy.https, &proxy.root, BLOG, "http/1.1").await).await;
    client.send(get(BLOG, "/")).await;
    let mut confused = Raw::connect(proxy.https).await;
    confused.send("GET / HTTP/1.1\r\n\r\n").await;
    confused.rest().await;
    let global = || proxy.routes.snapshot().global;
    eventually("the failure is counted", || global().handshakes_failed == 1).await;
    assert_eq!(global().errors, [("no-route", 1)]);
    assert_eq!((global().http.opened, global().https.opened, global().handshakes), (1, 2, 1));
}

#[tokio::test]
async fn a_held_request_is_counted() {
    let app = Backend::replying("app").start().await;
    let proxy = TestProxy::with_route(BLOG, &[]).await;
    proxy.publish([Route { is_held: true, ..proxy.route(BLOG, &[]) }]);
    let held = async { proxy.send(get(BLOG, "/")).await };
    let come = async {
        eventually("it is held", || route(&proxy.routes.snapshot()).held == 1).await;
        proxy.publish([proxy.route(BLOG, &[&app])]);
    };
    let (reply, ()) = tokio::join!(held, come);
    assert_eq!(reply.status, 200);
}

#[tokio::test]
async fn prometheus_reads_every_line() {
    let app = Backend::replying("app").start().await;
    let proxy = TestProxy::with_route(BLOG, &[&app]).await;
    proxy.send(get(BLOG, "/")).await;
    ended(&proxy, [0, 1, 0, 0, 0, 0]).await;
    let text = proxy.routes.snapshot().to_text();
    let samples = parse(&text);
    let value = |series: &str| samples.get(series).copied();
    let labels = "app=\"blog\",route=\"blog.localhost/\"";
    assert_eq!(value(&format!("minipaas_http_requests_total{{{labels},status=\"2xx\"}}")), Some(1.0));
    assert_eq!(value(&format!("minipaas_http_requests_in_flight{{{labels}}}")), Some(0.0));
    let bucket = format!("minipaas_http_request_duration_seconds_bucket{{le=\"+Inf\",{labels}}}");
    assert_eq!(value(&bucket), Some(1.0), "{text}");
    assert_eq!(value(&format!("minipaas_http_response_body_bytes_total{{{labels}}}")), Some(3.0));
    assert_eq!(value("minipaas_access_log_dropped_total"), Some(0.0));
}

/// The samples of a text, by name and labels. Panics where OpenMetrics is broken.
fn parse(text: &str) -> BTreeMap<String, f64> {
    let mut families = BTreeSet::new();
    let mut family = String::new();
    let mut samples = BTreeMap::new();
    let text = text.strip_suffix("# EOF\n").expect("it says where it ends");
    for line in text.lines() {
        if let Some(about) = line.strip_prefix("# ") {
            let (word, rest) = about.split_once(' ').unwrap();
            let (name, rest) = rest.split_once(' ').unwrap();
            match word {
                "HELP" => {
                    assert!(families.insert(name.to_owned()), "{name} is in one piece");
                    name.clone_into(&mut family);
                }
                "TYPE" => assert!(["counter", "gauge", "histogram"].contains(&rest), "{line}"),
                "UNIT" => assert!(name.ends_with(&format!("_{rest}")), "{line}"),
                _ => panic!("{line}"),
            }
            assert_eq!(name, family, "{line}");
            continue;
        }
        let (series, value) = line.rsplit_once(' ').unwrap();
        let name = series.split('{').next().unwrap();
        let suffix = name.strip_prefix(&family).unwrap_or_else(|| panic!("{line} is in no family"));
        assert!(["", "_total", "_sum", "_count", "_bucket"].contains(&suffix), "{line}");
        let known = samples.insert(series.to_owned(), value.parse().unwrap());
        assert_eq!(known, None, "{series} is there twice");
    }
    samples
}
