//! Server-sent events: each reaches the client as it was sent.

use http::Response;
use http_body_util::BodyExt;
use hyper::body::Frame;
use minipaas::policy::{Encoding, Policy, Protocol};
use tokio::sync::mpsc;

use super::BLOG;
use crate::support::backend::{Backend, Builder, full, streaming};
use crate::support::client::{Client2, Raw, get, tls};
use crate::support::proxy::TestProxy;
use crate::support::{eventually, soon};

type Senders = mpsc::UnboundedReceiver<mpsc::UnboundedSender<Frame<bytes::Bytes>>>;

/// An app whose streams of events a test writes.
fn telling(is_http2: bool) -> (Builder, Senders) {
    let (senders, begun) = mpsc::unbounded_channel();
    let answer = move || {
        let (sender, body) = streaming();
        senders.send(sender).unwrap();
        Response::builder().header("content-type", "text/event-stream").body(body).unwrap()
    };
    if is_http2 {
        let answer = move |_| std::future::ready(answer());
        (Backend::http2(answer), begun)
    } else {
        let answer = move |_| std::future::ready(answer());
        (Backend::answering(answer), begun)
    }
}

fn compressing() -> Policy {
    Policy { compress: vec![Encoding::Gzip, Encoding::Brotli], ..Policy::default() }
}

#[tokio::test]
async fn each_event_comes_at_once_and_whole() {
    for (is_http2, mut policy) in
        [(false, Policy::default()), (false, compressing()), (true, Policy::default())]
    {
        policy.protocol = if is_http2 { Protocol::Http2 } else { Protocol::Auto };
        let (app, mut begun) = telling(is_http2);
        let app = app.start().await;
        let proxy = TestProxy::with_policy(BLOG, &[&app], policy).await;
        let mut client = Raw::connect(proxy.http).await;
        client.send("GET / HTTP/1.1\r\nHost: blog.localhost\r\nAccept-Encoding: gzip\r\n\r\n").await;
        let sender = soon(begun.recv()).await.unwrap();
        let head = client.until("\r\n\r\n").await;
        assert!(!head.contains("content-encoding"), "{head}");
        for number in 0..3 {
            let event = format!("data: {number}\n\n");
            sender.send(Frame::data(event.clone().into())).unwrap();
            assert_eq!(client.until("\n\n\r\n").await, format!("9\r\n{event}\r\n"));
        }
    }
}

#[tokio::test]
async fn each_event_comes_at_once_over_http2() {
    let (app, mut begun) = telling(false);
    let app = app.start().await;
    let proxy = TestProxy::with_policy(BLOG, &[&app], compressing()).await;
    let mut client = Client2::over(tls(proxy.https, &proxy.root, BLOG, "h2").await).await;
    let mut request = get(BLOG, "https://blog.localhost/").map(|_| full(""));
    request.headers_mut().insert("accept-encoding", "gzip".parse().unwrap());
    let mut response = client.open(request).await;
    let sender = soon(begun.recv()).await.unwrap();
    for number in 0..3 {
        let event = format!("data: {number}\n\n");
        sender.send(Frame::data(event.clone().into())).unwrap();
        let frame = soon(response.body_mut().frame()).await.unwrap().unwrap();
        assert_eq!(frame.into_data().unwrap(), event);
    }
}

#[tokio::test]
async fn a_stream_that_is_packed_is_flushed_at_every_piece() {
    let (senders, mut begun) = mpsc::unbounded_channel();
    let app = Backend::answering(move |_| {
        let (sender, body) = streaming();
        senders.send(sender).unwrap();
        async { Response::builder().header("content-type", "application/x-ndjson").body(body).unwrap() }
    });
    let app = app.start().await;
    let proxy = TestProxy::with_policy(BLOG, &[&app], compressing()).await;
    let mut client = Client2::connect(proxy.http).await;
    let mut request = get(BLOG, "http://blog.localhost/").map(|_| full(""));
    request.headers_mut().insert("accept-encoding", "gzip".parse().unwrap());
    let mut response = client.open(request).await;
    assert_eq!(response.headers()["content-encoding"], "gzip");
    let sender = soon(begun.recv()).await.unwrap();
    for _ in 0..3 {
        sender.send(Frame::data("{\"some\": \"json\"}\n".into())).unwrap();
        soon(response.body_mut().frame()).await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn a_client_that_leaves_ends_the_stream_of_the_app() {
    for is_http2 in [false, true] {
        let (app, mut begun) = telling(false);
        let app = app.start().await;
        let proxy = TestProxy::with_route(BLOG, &[&app]).await;
        if is_http2 {
            let mut client = Client2::connect(proxy.http).await;
            let response = client.open(get(BLOG, "http://blog.localhost/").map(|_| full(""))).await;
            drop(response);
        } else {
            let mut client = Raw::connect(proxy.http).await;
            client.send("GET / HTTP/1.1\r\nHost: blog.localhost\r\n\r\n").await;
            client.until("\r\n\r\n").await;
        }
        let sender = soon(begun.recv()).await.unwrap();
        soon(sender.closed()).await;
        eventually("the request is uncounted", || proxy.upstream().is_idle()).await;
    }
}
