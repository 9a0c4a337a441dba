//! A client's HTTP/1 connection: what follows what, when it goes on and when it ends.

use std::sync::Arc;
use std::time::Duration;

use http::Response;
use http_body_util::BodyExt;
use minipaas::policy::{Policy, Protocol};
use rustix::net::sockopt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Notify;

use super::BLOG;
use crate::support::backend::{Backend, full};
use crate::support::client::Raw;
use crate::support::proxy::TestProxy;
use crate::support::{eventually, soon};

/// A GET of this path, with these further header lines.
fn get(path: &str, headers: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: {BLOG}\r\n{headers}\r\n")
}

/// An app that answers with the path.
async fn naming() -> Backend {
    Backend::answering(|seen| async move { Response::new(full(format!("<{}>", seen.uri.path()))) })
        .start()
        .await
}

#[tokio::test]
async fn requests_that_are_sent_ahead_are_answered_in_their_order() {
    let app = naming().await;
    let proxy = TestProxy::with_route(BLOG, &[&app]).await;
    let mut raw = Raw::connect(proxy.http).await;
    raw.send(&["/a", "/b", "/c"].map(|path| get(path, "")).concat()).await;
    for path in ["/a", "/b", "/c"] {
        assert!(raw.until(&format!("<{path}>")).await.starts_with("HTTP/1.1 200 OK\r\n"), "{path}");
    }
    assert_eq!(
        app.seen().iter().map(|seen| seen.uri.path().to_owned()).collect::<Vec<_>>(),
        ["/a", "/b", "/c"]
    );
}

#[tokio::test]
async fn an_empty_line_before_a_request_is_passed_over() {
    let app = naming().await;
    let proxy = TestProxy::with_route(BLOG, &[&app]).await;
    let mut raw = Raw::connect(proxy.http).await;
    raw.send(&format!("\r\n{}", get("/a", ""))).await;
    raw.until("</a>").await;
}

#[tokio::test]
async fn a_connection_ends_when_its_client_asks_for_it() {
    let app = naming().await;
    let proxy = TestProxy::with_route(BLOG, &[&app]).await;
    let old = |headers: &str| format!("GET /a HTTP/1.0\r\nHost: {BLOG}\r\n{headers}\r\n");
    for request in [get("/a", "Connection: close\r\n"), get("/a", "Connection: TE, Close\r\n"), old("")] {
        let mut raw = Raw::connect(proxy.http).await;
        raw.send(&request).await;
        let reply = String::from_utf8(raw.rest().await).unwrap();
        assert!(reply.contains("\r\nconnection: close\r\n") && reply.ends_with("</a>"), "{request}: {reply}");
    }
    let mut raw = Raw::connect(proxy.http).await;
    for _ in 0..2 {
        raw.send(&old("Connection: keep-alive\r\n")).await;
        assert!(raw.until("</a>").await.contains("\r\nconnection: keep-alive\r\n"));
    }
}

#[tokio::test]
async fn a_body_is_asked_for_once_somebody_reads_it() {
    let app = Backend::answering(|seen| async move { Response::new(full(seen.body)) });
    let app = app.start().await;
    let proxy = TestProxy::with_route(BLOG, &[&app]).await;
    let mut raw = Raw::connect(proxy.http).await;
    let head =
        format!("POST / HTTP/1.1\r\nHost: {BLOG}\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n");
    raw.send(&head).await;
    assert_eq!(raw.until("\r\n\r\n").await, "HTTP/1.1 100 Continue\r\n\r\n");
    raw.send("body").await;
    assert!(raw.until("body").await.starts_with("HTTP/1.1 200 OK\r\n"));
    // Nobody reads what is for an unknown host: it is refused, and the body never asked for.
    raw.send(&head.replace(BLOG, "nobody.localhost")).await;
    assert!(String::from_utf8(raw.rest().await).unwrap().starts_with("HTTP/1.1 404 Not Found\r\n"));
}

#[tokio::test]
async fn an_answer_before_the_end_of_a_body_can_be_read() {
    let proxy = TestProxy::with_route(BLOG, &[]).await;
    let mut raw = Raw::connect(proxy.http).await;
    raw.send(&format!("POST / HTTP/1.1\r\nHost: {BLOG}\r\nContent-Length: 1000000\r\n\r\n")).await;
    raw.send(&"x".repeat(500_000)).await;
    let reply = String::from_utf8(raw.rest().await).unwrap();
    assert!(reply.starts_with("HTTP/1.1 503 "), "{reply}");
}

#[tokio::test]
async fn a_client_that_leaves_takes_its_request_along() {
    let begun = Arc::new(Notify::new());
    let signal = Arc::clone(&begun);
    let app = Backend::answering(move |_| {
        signal.notify_one();
        std::future::pending()
    });
    let app = app.start().await;
    let proxy = TestProxy::with_route(BLOG, &[&app]).await;
    let mut raw = Raw::connect(proxy.http).await;
    raw.send(&get("/", "")).await;
    soon(begun.notified()).await;
    assert_eq!(proxy.upstream().in_flight(), 1);
    drop(raw);
    eventually("the request is over", || proxy.upstream().in_flight() == 0).await;
}

#[tokio::test]
async fn a_client_that_leaves_after_its_body_takes_its_request_along() {
    let begun = Arc::new(Notify::new());
    let (signal, other) = (Arc::clone(&begun), Arc::clone(&begun));
    let app = Backend::answering(move |_| {
        signal.notify_one();
        std::future::pending()
    });
    let app2 = Backend::http2(move |request| {
        let signal = Arc::clone(&other);
        async move {
            request.into_body().collect().await.unwrap();
            signal.notify_one();
            std::future::pending().await
        }
    });
    let (app, app2) = (app.start().await, app2.start().await);
    for (protocol, app) in [(Protocol::Http1, &app), (Protocol::Http2, &app2)] {
        let policy = Policy { protocol, ..Policy::default() };
        let proxy = TestProxy::with_policy(BLOG, &[app], policy).await;
        let mut raw = Raw::connect(proxy.http).await;
        raw.send(&format!("POST / HTTP/1.1\r\nHost: {BLOG}\r\nContent-Length: 4\r\n\r\nbody")).await;
        soon(begun.notified()).await;
        assert_eq!(proxy.upstream().in_flight(), 1);
        drop(raw);
        eventually("the request is over", || proxy.upstream().in_flight() == 0).await;
    }
}

#[tokio::test]
async fn empty_lines_without_end_are_refused() {
    let app = naming().await;
    let proxy = TestProxy::with_route(BLOG, &[&app]).await;
    let mut raw = Raw::connect(proxy.http).await;
    raw.send(&format!("{}{}", "\r\n".repeat(8), get("/a", ""))).await;
    raw.until("</a>").await;
    for _ in 0..9 {
        raw.send("\r\n").await;
    }
    assert!(String::from_utf8(raw.rest().await).unwrap().starts_with("HTTP/1.1 400 "));
}

#[tokio::test]
async fn a_head_may_come_byte_by_byte() {
    let app = naming().await;
    let proxy = TestProxy::with_route(BLOG, &[&app]).await;
    let mut raw = Raw::connect(proxy.http).await;
    for _ in 0..2 {
        for byte in get("/a", "X-Long: some value\r\n").chars() {
            raw.send(byte.encode_utf8(&mut [0; 4])).await;
            tokio::task::yield_now().await;
        }
        raw.until("</a>").await;
    }
    // What can no longer become a request is refused as soon as its line has ended.
    raw.send("GET /a HTTP/1.1\r\nNo").await;
    raw.send(" colon\r\n").await;
    assert!(String::from_utf8(raw.rest().await).unwrap().starts_with("HTTP/1.1 400 "));
}

#[tokio::test]
async fn a_kept_connection_that_is_reset_costs_no_retry() {
    let app = Backend::speaking(|mut stream| async move {
        let mut request = [0; 4096];
        assert!(stream.read(&mut request).await.unwrap() > 0);
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello").await.unwrap();
        if stream.read(&mut request).await.unwrap_or_default() > 0 {
            sockopt::set_socket_linger(&stream, Some(Duration::ZERO)).unwrap();
        }
    });
    let app = app.start().await;
    let proxy = TestProxy::with_route(BLOG, &[&app]).await;
    let mut raw = Raw::connect(proxy.http).await;
    for _ in 0..2 {
        raw.send(&get("/", "")).await;
        assert!(raw.until("hello").await.starts_with("HTTP/1.1 200 OK\r\n"));
    }
    assert_eq!(proxy.routes.load().find(BLOG, "/").unwrap().state().budget().retries(), 0);
}

#[tokio::test]
async fn a_connection_between_two_requests_ends_with_the_proxy() {
    let app = naming().await;
    let proxy = TestProxy::with_route(BLOG, &[&app]).await;
    let mut raw = Raw::connect(proxy.http).await;
    raw.send(&get("/a", "")).await;
    raw.until("</a>").await;
    proxy.shutdown.cancel();
    assert!(raw.rest().await.is_empty());
    assert_eq!(soon(proxy.proxy.finish(Duration::from_secs(10))).await.cut, 0);
}

#[tokio::test]
async fn a_response_to_head_has_the_length_of_the_body_it_leaves_out() {
    let app = Backend::replying("hello").start().await;
    let proxy = TestProxy::with_route(BLOG, &[&app]).await;
    let mut raw = Raw::connect(proxy.http).await;
    raw.send(&get("/", "").replacen("GET", "HEAD", 1)).await;
    let head = raw.until("\r\n\r\n").await;
    assert!(head.contains("content-length: 5\r\n") && head.contains("\r\ndate: "), "{head}");
    raw.send(&get("/", "Connection: close\r\n")).await;
    assert!(raw.rest().await.starts_with(b"HTTP/1.1 200 OK\r\n"), "nothing of the first body came");
}

#[tokio::test]
async fn a_body_of_unknown_length_goes_in_chunks_or_to_the_end() {
    let app = Backend::speaking(|mut stream| async move {
        let mut request = [0; 4096];
        assert!(stream.read(&mut request).await.unwrap() > 0);
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\nhello").await.unwrap();
    });
    let app = app.start().await;
    let proxy = TestProxy::with_route(BLOG, &[&app]).await;
    for (version, expected) in [("1.1", "\r\n\r\n5\r\nhello\r\n0\r\n\r\n"), ("1.0", "\r\n\r\nhello")] {
        let mut raw = Raw::connect(proxy.http).await;
        raw.send(&get("/", "Connection: close\r\n").replace("1.1", version)).await;
        let reply = String::from_utf8(raw.rest().await).unwrap();
        assert!(reply.ends_with(expected), "{version}: {reply}");
    }
}

#[tokio::test]
async fn what_came_before_a_response_broke_off_is_seen() {
    let app = Backend::speaking(|mut stream| async move {
        let mut request = [0; 4096];
        assert!(stream.read(&mut request).await.unwrap() > 0);
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhello").await.unwrap();
    });
    let app = app.start().await;
    let proxy = TestProxy::with_route(BLOG, &[&app]).await;
    let mut raw = Raw::connect(proxy.http).await;
    raw.send(&get("/", "")).await;
    let reply = String::from_utf8(raw.rest().await).unwrap();
    assert!(reply.starts_with("HTTP/1.1 200 OK\r\n") && reply.ends_with("hello"), "{reply}");
}
