//! Bodies that are collected before they are passed on.

use std::sync::Arc;
use std::time::Duration;

use http::Response;
use http_body_util::BodyExt;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use minipaas::policy::{Buffering, Policy, Timeouts};
use tokio::net::TcpStream;
use tokio::sync::Notify;

use super::BLOG;
use crate::support::backend::{Backend, full};
use crate::support::client::{Client, Raw, get, post};
use crate::support::proxy::TestProxy;
use crate::support::{eventually, soon};

fn buffering(requests: bool, responses: bool) -> Policy {
    Policy { buffering: Buffering { requests, responses }, ..Policy::default() }
}

#[tokio::test]
async fn a_request_reaches_the_app_once_it_is_complete() {
    let app = Backend::answering(|seen| async move { Response::new(full(seen.body)) }).start().await;
    let proxy = TestProxy::with_policy(BLOG, &[&app], buffering(true, false)).await;
    let mut raw = Raw::connect(proxy.http).await;
    raw.send("POST / HTTP/1.1\r\nHost: blog.localhost\r\nExpect: 100-continue\r\n").await;
    raw.send("Transfer-Encoding: chunked\r\n\r\n").await;
    // Sent as the proxy reads the body, so it has come that far.
    raw.until("100 Continue\r\n\r\n").await;
    assert_eq!((app.connections(), proxy.upstream().in_flight()), (0, 0));
    raw.send("3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n").await;
    raw.until("\r\n\r\nabcdefg").await;
    assert_eq!(app.seen()[0].header("content-length"), Some("7"));
    let long = &*"0123456789abcdef".repeat(20_000).leak();
    assert!(proxy.send(post(BLOG, "/", long)).await.body == long, "beyond what is kept in memory");
    assert_eq!(proxy.send(get(BLOG, "/")).await.body, "");
}

#[tokio::test]
async fn no_more_is_collected_than_the_body_may_have() {
    let app = Backend::replying("app").start().await;
    let policy = Policy { body_max: Some(5), ..buffering(true, false) };
    let proxy = TestProxy::with_policy(BLOG, &[&app], policy).await;
    assert_eq!(proxy.send(post(BLOG, "/", "12345")).await.body, "app");
    let mut raw = Raw::connect(proxy.http).await;
    raw.send("POST / HTTP/1.1\r\nHost: blog.localhost\r\nTransfer-Encoding: chunked\r\n\r\n").await;
    raw.send("6\r\n123456\r\n").await;
    assert!(raw.rest().await.starts_with(b"HTTP/1.1 413 "));
    assert_eq!(app.seen().len(), 1);
}

#[tokio::test]
async fn a_request_that_breaks_off_never_reaches_the_app() {
    let app = Backend::replying("app").start().await;
    let proxy = TestProxy::with_policy(BLOG, &[&app], buffering(true, false)).await;
    let mut raw = Raw::connect(proxy.http).await;
    raw.send("POST / HTTP/1.1\r\nHost: blog.localhost\r\nTransfer-Encoding: chunked\r\n\r\n").await;
    raw.send("3\r\nabc\r\nnonsense\r\n").await;
    assert!(raw.rest().await.starts_with(b"HTTP/1.1 400 "));
    assert_eq!(app.connections(), 0);
}

#[tokio::test]
async fn an_app_is_rid_of_a_response_that_its_client_does_not_read() {
    let long = &*"0123456789abcdef".repeat(1_000_000).leak();
    let app = Backend::answering(move |_| async move { Response::new(full(long)) }).start().await;
    for (policy, is_idle) in [(buffering(false, true), true), (Policy::default(), false)] {
        let proxy = TestProxy::with_policy(BLOG, &[&app], policy).await;
        let stream = TcpStream::connect(proxy.http).await.unwrap();
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        let response = soon(sender.send_request(get(BLOG, "/"))).await.unwrap();
        // The response has begun and nobody has read its body, which does not fit into what sockets hold.
        assert_eq!(proxy.upstream().is_idle(), is_idle);
        let body = soon(response.into_body().collect()).await.unwrap().to_bytes();
        assert!(body == long);
        eventually("it is uncounted", || proxy.upstream().is_idle()).await;
    }
}

#[tokio::test]
async fn a_buffered_response_that_does_not_go_on_is_504() {
    let app = Backend::speaking(|stream| async move {
        let mut raw = Raw(stream);
        raw.until("\r\n\r\n").await;
        raw.send("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf").await;
        std::future::pending::<()>().await;
    });
    let app = app.start().await;
    let timeouts = [
        ("response-timeout", Timeouts { idle: Some(Duration::from_millis(50)), ..Timeouts::default() }),
        ("request-timeout", Timeouts { whole: Some(Duration::from_millis(50)), ..Timeouts::default() }),
    ];
    for (code, timeouts) in timeouts {
        let policy = Policy { timeouts, ..buffering(false, true) };
        let proxy = TestProxy::with_policy(BLOG, &[&app], policy).await;
        let mut request = get(BLOG, "/");
        request.headers_mut().insert("accept", "application/json".parse().unwrap());
        let reply = proxy.send(request).await;
        assert_eq!(reply.status, 504);
        assert!(reply.body.contains(code), "{}", reply.body);
    }
}

#[tokio::test]
async fn half_a_response_is_an_error_that_can_be_told() {
    let close = Arc::new(Notify::new());
    let closing = Arc::clone(&close);
    let app = Backend::speaking(move |stream| {
        let closing = Arc::clone(&closing);
        async move {
            let mut raw = Raw(stream);
            raw.until("\r\n\r\n").await;
            raw.send("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf").await;
            closing.notified().await;
        }
    });
    let app = app.start().await;
    let proxy = TestProxy::with_policy(BLOG, &[&app], buffering(false, true)).await;
    close.notify_one();
    let mut request = get(BLOG, "/");
    request.headers_mut().insert("accept", "application/json".parse().unwrap());
    let reply = Client::connect(proxy.http).await.send(request).await;
    assert_eq!(reply.status, 502);
    assert!(reply.body.contains("response-broken"), "{}", reply.body);
}
