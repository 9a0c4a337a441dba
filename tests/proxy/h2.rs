//! HTTP/2 with clients.

use std::time::Duration;

use http::Response;
use http_body_util::BodyExt;
use hyper::body::Frame;
use minipaas::proxy::{ProxyConfig, Timeouts};

use super::BLOG;
use crate::support::backend::{Backend, full};
use crate::support::client::{Client2, Raw, get, tls};
use crate::support::proxy::TestProxy;
use crate::support::soon;

#[tokio::test]
async fn the_plain_port_takes_clients_that_know_it_speaks_http2() {
    let app = Backend::replying("app").start().await;
    let proxy = TestProxy::with_route(BLOG, &[&app]).await;
    let mut client = Client2::connect(proxy.http).await;
    for _ in 0..3 {
        assert_eq!(client.send(get(BLOG, "http://blog.localhost/a")).await.body, "app");
    }
    assert_eq!(app.seen()[0].header("x-forwarded-proto"), Some("http"));
}

#[tokio::test]
async fn a_request_that_begins_as_the_preface_does_is_http1_all_the_same() {
    let app = Backend::replying("app").start().await;
    let proxy = TestProxy::with_route(BLOG, &[&app]).await;
    let mut client = Raw::connect(proxy.http).await;
    for piece in ["P", "ROPFIND /x HTTP/1.1\r\nHost: blog.loc", "alhost\r\n\r\n"] {
        client.send(piece).await;
        tokio::task::yield_now().await;
    }
    client.until("app").await;
    assert_eq!(app.seen()[0].method, "PROPFIND");
}

#[tokio::test]
async fn half_a_preface_is_not_waited_for_for_ever() {
    let timeouts = Timeouts { head: Duration::from_millis(50), ..Timeouts::default() };
    let proxy = TestProxy::start(ProxyConfig { timeouts, ..ProxyConfig::new("localhost") }).await;
    let mut client = Raw::connect(proxy.http).await;
    client.send("PRI * HTTP/2.0\r\n").await;
    assert_eq!(client.rest().await, b"");
}

async fn idling(idle: Duration) -> TestProxy {
    let timeouts = Timeouts { idle, ..Timeouts::default() };
    TestProxy::start(ProxyConfig { timeouts, ..ProxyConfig::new("localhost") }).await
}

#[tokio::test]
async fn a_connection_without_streams_is_closed_after_a_while() {
    let app = Backend::replying("app").start().await;
    let proxy = idling(Duration::from_millis(50)).await;
    proxy.publish([proxy.route(BLOG, &[&app])]);
    let mut client = Client2::over(tls(proxy.https, &proxy.root, BLOG, "h2").await).await;
    assert_eq!(client.send(get(BLOG, "https://blog.localhost/")).await.body, "app");
    client.closed().await;
}

#[tokio::test]
async fn a_connection_whose_response_goes_on_is_not_idle() {
    let (senders, mut begun) = tokio::sync::mpsc::unbounded_channel();
    let app = Backend::answering(move |_| {
        let (sender, body) = crate::support::backend::streaming();
        senders.send(sender).unwrap();
        async { Response::new(body) }
    });
    let app = app.start().await;
    let proxy = idling(Duration::from_millis(20)).await;
    proxy.publish([proxy.route(BLOG, &[&app])]);
    let mut client = Client2::connect(proxy.http).await;
    let request = get(BLOG, "http://blog.localhost/").map(|_| full(""));
    let mut response = client.open(request).await;
    let sender = soon(begun.recv()).await.unwrap();
    // Many times the limit, in steps that each prove that the stream is there.
    for _ in 0..20 {
        tokio::time::sleep(Duration::from_millis(10)).await;
        sender.send(Frame::data("x".into())).unwrap();
        soon(response.body_mut().frame()).await.unwrap().unwrap();
    }
    drop(sender);
    assert!(soon(response.into_body().collect()).await.unwrap().to_bytes().is_empty());
    client.closed().await;
}
