//! Trailers, and `100-continue`, from end to end.

use http::header;
use tokio::io::AsyncWriteExt;

use super::BLOG;
use crate::support::backend::Backend;
use crate::support::client::{Client2, Raw, get, tls};
use crate::support::proxy::TestProxy;

const CHUNKED: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n4\r\nbody\r\n0\r\nX-Sum: 7\r\n\r\n";

/// An app that sends this once it has read a request up to `end`.
async fn app(
    end: &'static str,
    answer: &'static str,
) -> (Backend, tokio::sync::mpsc::UnboundedReceiver<String>) {
    let (told, read) = tokio::sync::mpsc::unbounded_channel();
    let app = Backend::speaking(move |stream| {
        let told = told.clone();
        async move {
            let mut raw = Raw(stream);
            told.send(raw.until(end).await).unwrap();
            raw.send(answer).await;
            raw.rest().await;
        }
    });
    (app.start().await, read)
}

#[tokio::test]
async fn trailers_of_an_upload_reach_the_app() {
    let (app, mut read) = app("0\r\nx-sum: 7\r\n\r\n", "HTTP/1.1 204 No Content\r\n\r\n").await;
    let proxy = TestProxy::with_route(BLOG, &[&app]).await;
    let mut client = Raw::connect(proxy.http).await;
    client
        .send(
            "POST / HTTP/1.1\r\nHost: blog.localhost\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n",
        )
        .await;
    client.send("4\r\nbody\r\n0\r\nX-Sum: 7\r\n\r\n").await;
    client.until("\r\n\r\n").await;
    assert!(read.recv().await.unwrap().contains("trailer: X-Sum\r\n"));
}

#[tokio::test]
async fn trailers_of_a_response_reach_a_client_that_takes_them() {
    let (app, mut read) = app("\r\n\r\n", CHUNKED).await;
    let proxy = TestProxy::with_route(BLOG, &[&app]).await;
    let mut client = Raw::connect(proxy.http).await;
    client.send("GET / HTTP/1.1\r\nHost: blog.localhost\r\nTE: trailers\r\nConnection: TE\r\n\r\n").await;
    let head = client.until("\r\n\r\n").await.to_lowercase();
    assert!(head.contains("trailer: x-sum\r\n"), "{head}");
    assert_eq!(client.until("\r\n\r\n").await.to_lowercase(), "4\r\nbody\r\n0\r\nx-sum: 7\r\n\r\n");
    assert!(read.recv().await.unwrap().contains("te: trailers\r\n"));
}

#[tokio::test]
async fn a_client_that_takes_no_trailers_gets_the_body_without() {
    let (app, _read) = app("\r\n\r\n", CHUNKED).await;
    let proxy = TestProxy::with_route(BLOG, &[&app]).await;
    let mut client = Raw::connect(proxy.http).await;
    client.send("GET / HTTP/1.1\r\nHost: blog.localhost\r\n\r\n").await;
    client.until("\r\n\r\n").await;
    assert_eq!(client.until("0\r\n\r\n").await, "4\r\nbody\r\n0\r\n\r\n");
}

#[tokio::test]
async fn trailers_of_a_response_reach_a_client_of_http2() {
    let (app, _read) = app("\r\n\r\n", CHUNKED).await;
    let proxy = TestProxy::with_route(BLOG, &[&app]).await;
    let mut client = Client2::over(tls(proxy.https, &proxy.root, BLOG, "h2").await).await;
    let mut request = get(BLOG, "https://blog.localhost/");
    request.headers_mut().remove(header::HOST);
    let reply = client.send(request).await;
    assert_eq!((reply.body.as_str(), reply.trailer("x-sum")), ("body", Some("7")));
}

const EXPECTING: &str =
    "POST / HTTP/1.1\r\nHost: blog.localhost\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n";

#[tokio::test]
async fn a_client_that_waits_is_told_to_go_on_when_the_app_says_so() {
    let app = Backend::speaking(|stream| async move {
        let mut raw = Raw(stream);
        let head = raw.until("\r\n\r\n").await;
        assert!(head.contains("expect: 100-continue"), "{head}");
        raw.send("HTTP/1.1 100 Continue\r\n\r\n").await;
        raw.until("body").await;
        raw.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone").await;
        raw.rest().await;
    });
    let app = app.start().await;
    let proxy = TestProxy::with_route(BLOG, &[&app]).await;
    let mut client = Raw::connect(proxy.http).await;
    client.send(EXPECTING).await;
    assert!(client.until("\r\n\r\n").await.starts_with("HTTP/1.1 100"));
    client.send("body").await;
    client.until("\r\n\r\ndone").await;
}

#[tokio::test]
async fn a_client_that_waits_hears_a_refusal_without_sending_its_body() {
    let (app, _read) = app("\r\n\r\n", "HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno").await;
    let proxy = TestProxy::with_route(BLOG, &[&app]).await;
    let mut client = Raw::connect(proxy.http).await;
    client.send(EXPECTING).await;
    let head = client.until("\r\n\r\nno").await;
    assert!(head.starts_with("HTTP/1.1 413"), "{head}");
    let _ = client.0.shutdown().await;
}
