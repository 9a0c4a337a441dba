use std::sync::Arc;

use http::{Method, Response};
use minipaas::proxy::ProxyConfig;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Notify;

use super::{BLOG, taking_turns};
use crate::support::backend::{Backend, full};
use crate::support::client::{Client, Raw, get, post};
use crate::support::proxy::TestProxy;
use crate::support::{eventually, soon};

/// An app that reads a whole request and closes the connection.
fn dying() -> crate::support::backend::Builder {
    Backend::speaking(|stream| async move {
        let mut raw = Raw(stream);
        let head = raw.until("\r\n\r\n").await;
        if head.starts_with("POST") {
            raw.until("body").await;
        }
    })
}

#[tokio::test]
async fn a_refused_connection_is_tried_on_another_instance() {
    let (gone, app) = (Backend::refusing().await, Backend::replying("app").start().await);
    let proxy = TestProxy::start(ProxyConfig::new("localhost")).await;
    proxy.publish([taking_turns(proxy.route(BLOG, &[&gone, &app]))]);
    // Whatever the method and body: nobody has seen any of it. Enough of them for each to have its turn at being first.
    for _ in 0..4 {
        assert_eq!(proxy.send(get(BLOG, "/")).await.body, "app");
        assert_eq!(proxy.send(post(BLOG, "/", "body")).await.body, "app");
    }
    assert_eq!(app.seen()[1].body, "body");
}

#[tokio::test]
async fn a_post_that_was_read_is_not_sent_again() {
    let (dying, app) = (dying().start().await, Backend::replying("app").start().await);
    let proxy = TestProxy::start(ProxyConfig::new("localhost")).await;
    proxy.publish([taking_turns(proxy.route(BLOG, &[&dying, &app]))]);
    let mut failed = 0;
    for _ in 0..4 {
        failed += usize::from(proxy.send(post(BLOG, "/", "body")).await.status == 502);
    }
    assert!(failed > 0 && failed == dying.connections(), "{failed} of {}", dying.connections());
    assert_eq!(app.seen().len(), 4 - failed);
}

#[tokio::test]
async fn a_get_that_was_read_is_sent_again_once() {
    let (dying, app) = (dying().start().await, Backend::replying("app").start().await);
    let proxy = TestProxy::start(ProxyConfig::new("localhost")).await;
    proxy.publish([taking_turns(proxy.route(BLOG, &[&dying, &app]))]);
    for _ in 0..4 {
        assert_eq!(proxy.send(get(BLOG, "/")).await.body, "app");
    }
    assert!(dying.connections() > 0);
    proxy.publish([proxy.route(BLOG, &[&dying])]);
    let before = dying.connections();
    assert_eq!(proxy.send(get(BLOG, "/")).await.status, 502);
    assert_eq!(dying.connections() - before, 2);
}

#[tokio::test]
async fn connections_to_an_instance_are_kept() {
    let app = Backend::replying("app").start().await;
    let proxy = TestProxy::with_route(BLOG, &[&app]).await;
    for _ in 0..20 {
        assert_eq!(proxy.send(get(BLOG, "/")).await.body, "app");
    }
    assert_eq!(app.connections(), 1);
}

#[tokio::test]
async fn a_kept_connection_that_died_is_replaced() {
    let close = Arc::new(Notify::new());
    let closing = Arc::clone(&close);
    let app = Backend::speaking(move |stream| {
        let closing = Arc::clone(&closing);
        async move {
            let mut raw = Raw(stream);
            let head = raw.until("\r\n\r\n").await;
            let length = if head.starts_with("POST") { raw.until("body").await.len() } else { 0 };
            raw.send(&format!("HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n{}", length.min(1))).await;
            closing.notified().await;
        }
    });
    let app = app.start().await;
    let proxy = TestProxy::with_route(BLOG, &[&app]).await;
    for round in 1..=10 {
        assert_eq!(proxy.send(get(BLOG, "/")).await.status, 200);
        assert_eq!(app.connections(), round);
        close.notify_one();
    }
}

#[tokio::test]
async fn an_early_answer_does_not_poison_the_connection() {
    let app = Backend::speaking(|stream| async move {
        let mut raw = Raw(stream);
        raw.until("\r\n\r\n").await;
        raw.send("HTTP/1.1 413 Too Large\r\ncontent-length: 0\r\n\r\n").await;
        let _ = raw.0.read_to_end(&mut Vec::new()).await;
    });
    let app = app.start().await;
    let proxy = TestProxy::with_route(BLOG, &[&app]).await;
    for round in 1..=3 {
        let mut raw = Raw::connect(proxy.http).await;
        raw.send("POST / HTTP/1.1\r\nHost: blog.localhost\r\nContent-Length: 1000000\r\n\r\n").await;
        raw.send("some of it").await;
        assert!(raw.until("\r\n\r\n").await.starts_with("HTTP/1.1 413 "));
        assert_eq!(app.connections(), round);
    }
}

#[tokio::test]
async fn bodies_pass_in_both_directions_as_they_are() {
    let app = Backend::answering(|seen| async move { Response::new(full(seen.body)) }).start().await;
    let proxy = TestProxy::with_route(BLOG, &[&app]).await;
    let text: &str = "0123456789abcdef".repeat(100_000).leak();
    assert_eq!(proxy.send(post(BLOG, "/", text)).await.body, text);
    let mut raw = Raw::connect(proxy.http).await;
    raw.send("PUT / HTTP/1.1\r\nHost: blog.localhost\r\nTransfer-Encoding: chunked\r\n\r\n").await;
    raw.send("3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n").await;
    raw.until("\r\n\r\nabcdefg").await;
}

#[tokio::test]
async fn a_response_that_breaks_off_breaks_off_for_the_client() {
    let app = Backend::speaking(|stream| async move {
        let mut raw = Raw(stream);
        raw.until("\r\n\r\n").await;
        raw.send("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf").await;
    });
    let app = app.start().await;
    let proxy = TestProxy::with_route(BLOG, &[&app]).await;
    let mut client = Client::connect(proxy.http).await;
    assert!(client.try_send(get(BLOG, "/")).await.is_err());
    eventually("the request is uncounted", || proxy.upstream().is_idle()).await;
}

#[tokio::test]
async fn connect_is_no_method_of_ours() {
    let proxy = TestProxy::start(ProxyConfig::new("localhost")).await;
    let mut request = get("a:443", "a:443");
    *request.method_mut() = Method::CONNECT;
    assert_eq!(proxy.send(request).await.status, 405);
}

#[tokio::test]
async fn requests_of_one_client_take_turns_on_its_connection() {
    let app = Backend::answering(|seen| async move { Response::new(full(seen.uri.path().to_owned())) });
    let app = app.start().await;
    let proxy = TestProxy::with_route(BLOG, &[&app]).await;
    let mut stream = TcpStream::connect(proxy.http).await.unwrap();
    let requests: String =
        (0..5).map(|n| format!("GET /number-{n} HTTP/1.1\r\nHost: blog.localhost\r\n\r\n")).collect();
    stream.write_all(requests.as_bytes()).await.unwrap();
    let mut raw = Raw(stream);
    for n in 0..5 {
        soon(raw.until(&format!("/number-{n}"))).await;
    }
}
