use std::sync::Arc;
use std::time::Duration;

use http::Response;
use minipaas::proxy::ProxyConfig;
use minipaas::route::Mode;
use tokio::sync::Notify;

use super::BLOG;
use crate::support::backend::{Backend, full};
use crate::support::client::{Client, get};
use crate::support::eventually;
use crate::support::proxy::TestProxy;

const LONG: Duration = Duration::from_secs(3600);

#[tokio::test]
async fn requests_of_a_paused_app_wait_and_go_on() {
    let app = Backend::replying("app").start().await;
    let proxy = TestProxy::start(ProxyConfig::new("localhost")).await;
    let open = proxy.route(BLOG, &[&app]);
    let mut paused = open.clone();
    paused.mode = Mode::Paused { wait: LONG };
    proxy.publish([paused]);
    let addr = proxy.http;
    let waiting: Vec<_> = (0..10)
        .map(|_| tokio::spawn(async move { Client::connect(addr).await.send(get(BLOG, "/")).await }))
        .collect();
    // One that does not wait for long shows that the app gets none of them.
    let mut soon_over = proxy.route("other.localhost", &[&app]);
    soon_over.mode = Mode::Paused { wait: Duration::from_millis(20) };
    let mut paused = open.clone();
    paused.mode = Mode::Paused { wait: LONG };
    proxy.publish([paused, soon_over]);
    assert_eq!(proxy.send(get("other.localhost", "/")).await.status, 503);
    assert_eq!(app.seen().len(), 0);
    proxy.publish([open]);
    for request in waiting {
        assert_eq!(request.await.unwrap().body, "app");
    }
}

#[tokio::test]
async fn a_pause_that_takes_too_long_is_503() {
    let app = Backend::replying("app").start().await;
    let proxy = TestProxy::start(ProxyConfig::new("localhost")).await;
    let mut route = proxy.route(BLOG, &[&app]);
    route.mode = Mode::Paused { wait: Duration::from_millis(20) };
    proxy.publish([route]);
    let mut request = get(BLOG, "/");
    request.headers_mut().insert("accept", "application/json".parse().unwrap());
    let reply = proxy.send(request).await;
    assert_eq!((reply.status.as_u16(), reply.header("retry-after")), (503, Some("1")));
    assert!(reply.body.contains("\"pause-expired\""), "{}", reply.body);
}

#[tokio::test]
async fn a_request_that_is_under_way_is_not_paused() {
    let go_on = Arc::new(Notify::new());
    let waits = Arc::clone(&go_on);
    let app = Backend::answering(move |_| {
        let waits = Arc::clone(&waits);
        async move {
            waits.notified().await;
            Response::new(full("app"))
        }
    });
    let app = app.start().await;
    let proxy = TestProxy::with_route(BLOG, &[&app]).await;
    let addr = proxy.http;
    let request = tokio::spawn(async move { Client::connect(addr).await.send(get(BLOG, "/")).await });
    eventually("the app has the request", || app.seen().len() == 1).await;
    let mut route = proxy.route(BLOG, &[&app]);
    route.mode = Mode::Paused { wait: LONG };
    proxy.publish([route]);
    go_on.notify_one();
    assert_eq!(request.await.unwrap().body, "app");
}
