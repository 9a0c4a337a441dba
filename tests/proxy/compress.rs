//! Responses that are compressed on their way.

use std::io::{Read, Write};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response};
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Frame;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use minipaas::policy::{Encoding, Policy};
use tokio::net::TcpStream;

use super::BLOG;
use crate::support::backend::{AnyBody, Backend, full};
use crate::support::client::get;
use crate::support::proxy::TestProxy;
use crate::support::soon;

const ALL: [Encoding; 3] = [Encoding::Zstd, Encoding::Brotli, Encoding::Gzip];

async fn proxy(app: &Backend) -> TestProxy {
    TestProxy::with_policy(BLOG, &[app], Policy { compress: ALL.to_vec(), ..Policy::default() }).await
}

fn accepting(encoding: &'static str, target: &str) -> Request<Full<Bytes>> {
    let mut request = get(BLOG, target);
    request.headers_mut().insert("accept-encoding", encoding.parse().unwrap());
    request
}

/// Sends a request and returns the response as it begins.
async fn begin(proxy: &TestProxy, request: Request<Full<Bytes>>) -> Response<hyper::body::Incoming> {
    let stream = TcpStream::connect(proxy.http).await.unwrap();
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    soon(sender.send_request(request)).await.unwrap()
}

async fn fetch(proxy: &TestProxy, request: Request<Full<Bytes>>) -> (HeaderMap, Bytes) {
    let (parts, body) = begin(proxy, request).await.into_parts();
    (parts.headers, soon(body.collect()).await.unwrap().to_bytes())
}

fn decoded(encoding: &str, body: &[u8]) -> String {
    let mut text = String::new();
    match encoding {
        "gzip" => flate2::read::GzDecoder::new(body).read_to_string(&mut text).unwrap(),
        "br" => brotli::Decompressor::new(body, 4096).read_to_string(&mut text).unwrap(),
        "zstd" => zstd::stream::read::Decoder::new(body).unwrap().read_to_string(&mut text).unwrap(),
        other => panic!("{other}"),
    };
    text
}

/// An app whose answer has the content type that the path names, and whatever other headers.
async fn app(text: &'static str, headers: &'static [(&'static str, &'static str)]) -> Backend {
    let answer = move |seen: crate::support::backend::Seen| async move {
        let mut response = Response::builder().header("content-type", &seen.uri.path()[1..]);
        for (name, value) in headers {
            response = response.header(*name, *value);
        }
        response.body(full(text)).unwrap()
    };
    Backend::answering(answer).start().await
}

#[tokio::test]
async fn a_client_gets_the_coding_that_it_takes() {
    let text = &*"a page of the blog, ".repeat(50_000).leak();
    let app = app(text, &[("etag", "\"x\""), ("accept-ranges", "bytes")]).await;
    let proxy = proxy(&app).await;
    for encoding in ["gzip", "br", "zstd"] {
        let (headers, body) = fetch(&proxy, accepting(encoding, "/text/html")).await;
        assert_eq!(headers["content-encoding"], encoding);
        assert_eq!(headers["vary"], "accept-encoding");
        assert_eq!(headers["etag"], "W/\"x\"");
        assert!(!headers.contains_key("content-length") && !headers.contains_key("accept-ranges"));
        assert!(body.len() < text.len() / 20, "{encoding}: {}", body.len());
        assert!(decoded(encoding, &body) == text, "{encoding}");
    }
    let (headers, body) = fetch(&proxy, accepting("identity", "/text/html")).await;
    assert!(!headers.contains_key("content-encoding") && body == text);
    assert_eq!(
        (&headers["vary"], &headers["etag"]),
        (&"accept-encoding".parse().unwrap(), &"\"x\"".parse().unwrap())
    );
}

#[tokio::test]
async fn what_gains_nothing_is_left_alone() {
    let long = &*"x".repeat(1000).leak();
    for (what, text, headers) in [
        ("image/png", long, &[][..]),
        ("text/event-stream", long, &[]),
        ("text/plain", &long[..255], &[]),
        ("text/plain", long, &[("content-encoding", "br")]),
        ("text/plain", long, &[("cache-control", "public, no-transform")]),
        ("text/plain", long, &[("content-range", "bytes 0-999/2000")]),
    ] {
        let app = app(text, headers).await;
        let proxy = proxy(&app).await;
        let (reply, body) = fetch(&proxy, accepting("gzip", &format!("/{what}"))).await;
        assert_eq!(body, text, "{what} {headers:?}");
        assert!(reply.contains_key("content-length") && !reply.contains_key("vary"), "{what} {headers:?}");
    }
}

#[tokio::test]
async fn a_head_has_no_body_to_compress() {
    let app = app("x".repeat(1000).leak(), &[]).await;
    let proxy = proxy(&app).await;
    let mut request = accepting("gzip", "/text/plain");
    *request.method_mut() = Method::HEAD;
    let (headers, body) = fetch(&proxy, request).await;
    assert!(!headers.contains_key("content-encoding") && body.is_empty());
    assert_eq!(headers["vary"], "accept-encoding");
}

#[tokio::test]
async fn a_stream_stays_live() {
    let (tx, rx) = tokio::sync::mpsc::unbounded_channel::<Bytes>();
    let rx = std::sync::Arc::new(std::sync::Mutex::new(Some(rx)));
    let app = Backend::answering(move |_| {
        let mut rx = rx.lock().unwrap().take().unwrap();
        async move {
            let pieces = futures_util::stream::poll_fn(move |cx| rx.poll_recv(cx));
            let body: AnyBody =
                StreamBody::new(futures_util::StreamExt::map(pieces, |piece| Ok(Frame::data(piece)))).boxed();
            Response::builder().header("content-type", "application/json").body(body).unwrap()
        }
    });
    let app = app.start().await;
    let proxy = proxy(&app).await;

    tx.send(Bytes::from_static(b"{\"first\":1}\n")).unwrap();
    let mut body = begin(&proxy, accepting("gzip", "/")).await.into_body();
    let (mut packed, mut text) = (Vec::new(), String::new());
    let mut read_until = async |end: &str| {
        while !text.ends_with(end) {
            packed.extend(soon(body.frame()).await.unwrap().unwrap().into_data().unwrap());
            text.clear();
            // The end is missing, which the decoder says after it gave what there is.
            let _ = flate2::read::GzDecoder::new(&packed[..]).read_to_string(&mut text);
        }
    };
    read_until("1}\n").await;
    tx.send(Bytes::from_static(b"{\"second\":2}\n")).unwrap();
    read_until("2}\n").await;
}

#[tokio::test]
async fn a_compressed_request_reaches_the_app_as_it_is() {
    let app = Backend::replying("app").start().await;
    let proxy = proxy(&app).await;
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    // What unpacks to a thousand times its size.
    packed.write_all(&[0; 1_000_000]).unwrap();
    let packed = Bytes::from(packed.finish().unwrap());
    for policy in [Policy::default(), Policy { compress: ALL.to_vec(), ..Policy::default() }] {
        let limited = Policy { body_max: Some(packed.len() as u64), https_redirect: false, ..policy };
        proxy.publish([super::with_policy(proxy.route(BLOG, &[&app]), |policy| *policy = limited)]);
        let mut request = get(BLOG, "/");
        *request.method_mut() = Method::POST;
        request.headers_mut().insert("content-encoding", "gzip".parse().unwrap());
        *request.body_mut() = Full::new(packed.clone());
        assert_eq!(fetch(&proxy, request).await.1, "app");
        let seen = app.seen().pop().unwrap();
        assert_eq!((seen.header("content-encoding"), &seen.body), (Some("gzip"), &packed));
    }
}
