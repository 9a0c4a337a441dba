//! HTTP/2 with apps, on routes that insist on it.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{Request, Response, Version};
use http_body_util::BodyExt;
use hyper::body::{Frame, Incoming};
use minipaas::policy::{Balance, Policy, Protocol};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;

use super::BLOG;
use crate::support::backend::{Backend, Builder, full, streaming};
use crate::support::client::{Client, Raw, get, post};
use crate::support::proxy::TestProxy;
use crate::support::{SOON, eventually, soon};

/// Kinds of frames (RFC 9113, 6).
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;

const REFUSED_STREAM: u32 = 7;
const INTERNAL_ERROR: u32 = 2;

/// A connection on which HTTP/2 is spoken frame by frame.
struct Frames(TcpStream);

impl Frames {
    async fn accept(mut stream: TcpStream) -> Self {
        let mut preface = [0; 24];
        stream.read_exact(&mut preface).await.unwrap();
        assert_eq!(&preface, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
        let mut frames = Self(stream);
        frames.send(SETTINGS, 0, 0, &[]).await;
        frames
    }

    async fn send(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        let mut frame = vec![0, 0, payload.len() as u8, kind, flags];
        frame.extend(stream.to_be_bytes());
        frame.extend(payload);
        self.0.write_all(&frame).await.unwrap();
    }

    /// The next frame: kind, stream, payload.
    async fn next(&mut self) -> Option<(u8, u32, Vec<u8>)> {
        let mut head = [0; 9];
        self.0.read_exact(&mut head).await.ok()?;
        let mut payload = vec![0; usize::from(head[1]) << 8 | usize::from(head[2])];
        self.0.read_exact(&mut payload).await.ok()?;
        Some((head[3], u32::from_be_bytes([head[5], head[6], head[7], head[8]]), payload))
    }

    async fn until(&mut self, kind: u8) -> Option<(u32, Vec<u8>)> {
        loop {
            let (next, stream, payload) = self.next().await?;
            if next == kind {
                return Some((stream, payload));
            }
        }
    }

    /// Answers with 200 and nothing else.
    async fn answer(&mut self, stream: u32) {
        self.send(HEADERS, 0x5, stream, &[0x88]).await;
    }
}

async fn proxy(backends: &[&Backend]) -> TestProxy {
    let policy = Policy { protocol: Protocol::Http2, balance: Balance::RoundRobin, ..Policy::default() };
    TestProxy::with_policy(BLOG, backends, policy).await
}

/// An app that says which version it was asked in, and what with.
fn telling() -> Builder {
    Backend::http2(|request: Request<Incoming>| async {
        assert_eq!(request.version(), Version::HTTP_2);
        let said = format!("{} {}", request.method(), request.uri());
        let body = request.into_body().collect().await.unwrap().to_bytes();
        Response::new(full(format!("{said} {}", String::from_utf8_lossy(&body))))
    })
}

#[tokio::test]
async fn a_policy_has_every_request_go_by_http2() {
    let app = telling().start().await;
    let proxy = proxy(&[&app]).await;
    let mut client = Client::connect(proxy.http).await;
    for _ in 0..3 {
        assert_eq!(client.send(get(BLOG, "/a?b")).await.body, "GET http://blog.localhost/a?b ");
        assert_eq!(client.send(post(BLOG, "/", "body")).await.body, "POST http://blog.localhost/ body");
    }
    assert_eq!(app.connections(), 1);
    assert!(proxy.upstream().is_idle());
}

#[tokio::test]
async fn an_app_that_speaks_http1_alone_is_502() {
    let app = Backend::replying("http1").start().await;
    let proxy = proxy(&[&app]).await;
    assert_eq!(proxy.send(get(BLOG, "/")).await.status, 502);
}

#[tokio::test]
async fn a_refused_connection_is_tried_on_another_app() {
    let (gone, app) = (Backend::refusing().await, telling().start().await);
    let proxy = proxy(&[&gone, &app]).await;
    for _ in 0..4 {
        assert_eq!(proxy.send(post(BLOG, "/", "body")).await.status, 200);
    }
}

#[tokio::test]
async fn a_refused_stream_is_sent_again_with_its_body() {
    let (told, mut bodies) = mpsc::unbounded_channel();
    let app = Backend::speaking(move |stream| {
        let told = told.clone();
        async move {
            let mut frames = Frames::accept(stream).await;
            for is_refused in [true, false] {
                let (stream, body) = frames.until(DATA).await.unwrap();
                told.send(body).unwrap();
                if is_refused {
                    frames.send(RST_STREAM, 0, stream, &REFUSED_STREAM.to_be_bytes()).await;
                } else {
                    frames.answer(stream).await;
                }
            }
            frames.until(GOAWAY).await;
        }
    });
    let app = app.start().await;
    let proxy = proxy(&[&app]).await;
    assert_eq!(proxy.send(post(BLOG, "/", "body")).await.status, 200);
    for _ in 0..2 {
        assert_eq!(bodies.recv().await.unwrap(), b"body");
    }
}

#[tokio::test]
async fn a_stream_that_breaks_is_not_sent_again_unless_that_is_harmless() {
    let seen = Arc::new(Mutex::new(0));
    let count = Arc::clone(&seen);
    let app = Backend::speaking(move |stream| {
        let count = Arc::clone(&count);
        async move {
            let mut frames = Frames::accept(stream).await;
            while let Some((stream, _)) = frames.until(HEADERS).await {
                *count.lock().unwrap() += 1;
                frames.send(RST_STREAM, 0, stream, &INTERNAL_ERROR.to_be_bytes()).await;
            }
        }
    });
    let app = app.start().await;
    let proxy = proxy(&[&app]).await;
    assert_eq!(proxy.send(post(BLOG, "/", "body")).await.status, 502);
    assert_eq!(*seen.lock().unwrap(), 1);
    assert_eq!(proxy.send(get(BLOG, "/")).await.status, 502);
    assert_eq!(*seen.lock().unwrap(), 3, "a GET has one retry");
}

#[tokio::test]
async fn a_goaway_before_the_request_has_it_sent_on_a_new_connection() {
    let connections = Arc::new(Mutex::new(0));
    let count = Arc::clone(&connections);
    let app = Backend::speaking(move |stream| {
        let number = {
            let mut count = count.lock().unwrap();
            *count += 1;
            *count
        };
        async move {
            let mut frames = Frames::accept(stream).await;
            let (stream, _) = frames.until(DATA).await.unwrap();
            if number == 1 {
                // Nothing was processed, and there is no error.
                frames.send(GOAWAY, 0, 0, &[0; 8]).await;
            } else {
                frames.answer(stream).await;
            }
            frames.until(GOAWAY).await;
        }
    });
    let app = app.start().await;
    let proxy = proxy(&[&app]).await;
    assert_eq!(proxy.send(post(BLOG, "/", "body")).await.status, 200);
    assert_eq!(*connections.lock().unwrap(), 2);
}

#[tokio::test]
async fn a_connection_that_was_closed_is_dialled_again() {
    let app = Backend::speaking(|stream| async move {
        let mut frames = Frames::accept(stream).await;
        let (stream, _) = frames.until(HEADERS).await.unwrap();
        frames.answer(stream).await;
    });
    let app = app.start().await;
    let proxy = proxy(&[&app]).await;
    for _ in 0..10 {
        assert_eq!(proxy.send(get(BLOG, "/")).await.status, 200);
    }
    assert_eq!(app.connections(), 10);
}

#[tokio::test]
async fn a_drain_waits_for_streams_and_then_closes_the_connection() {
    let (told, mut closed) = mpsc::unbounded_channel();
    let (senders, mut begun) = mpsc::unbounded_channel();
    let app = Backend::speaking(move |stream| {
        let (told, senders) = (told.clone(), senders.clone());
        async move {
            let service = hyper::service::service_fn(move |_| {
                let (sender, body) = streaming();
                sender.send(Frame::data("half".into())).unwrap();
                senders.send(sender).unwrap();
                async { Ok::<_, std::convert::Infallible>(Response::new(body)) }
            });
            let _ = hyper::server::conn::http2::Builder::new(hyper_util::rt::TokioExecutor::new())
                .serve_connection(hyper_util::rt::TokioIo::new(stream), service)
                .await;
            told.send(()).unwrap();
        }
    });
    let app = app.start().await;
    let proxy = proxy(&[&app]).await;
    let mut client = Raw::connect(proxy.http).await;
    client.send("GET / HTTP/1.1\r\nHost: blog.localhost\r\n\r\n").await;
    client.until("half\r\n").await;
    let upstream = proxy.upstream();
    proxy.publish([]);
    let drain = tokio::spawn(async move { upstream.drain(SOON).await });
    tokio::task::yield_now().await;
    assert!(!drain.is_finished() && closed.try_recv().is_err());
    let sender = begun.recv().await.unwrap();
    sender.send(Frame::data(Bytes::from("rest"))).unwrap();
    drop(sender);
    client.until("rest\r\n0\r\n\r\n").await;
    assert_eq!(soon(drain).await.unwrap().cut, 0);
    soon(closed.recv()).await.unwrap();
}

#[tokio::test]
async fn a_response_that_breaks_off_breaks_off_for_the_client() {
    let app = Backend::speaking(|stream| async move {
        let mut frames = Frames::accept(stream).await;
        let (stream, _) = frames.until(HEADERS).await.unwrap();
        frames.send(HEADERS, 0x4, stream, &[0x88]).await;
        frames.send(DATA, 0, stream, b"half").await;
        frames.send(RST_STREAM, 0, stream, &INTERNAL_ERROR.to_be_bytes()).await;
        frames.until(GOAWAY).await;
    });
    let app = app.start().await;
    let proxy = proxy(&[&app]).await;
    let mut client = Raw::connect(proxy.http).await;
    client.send("GET / HTTP/1.1\r\nHost: blog.localhost\r\n\r\n").await;
    let read = String::from_utf8(client.rest().await).unwrap();
    assert!(!read.ends_with("0\r\n\r\n"), "{read}");
    eventually("the request is uncounted", || proxy.upstream().is_idle()).await;
    assert_eq!(proxy.upstream().tally().failures, 1);
}

#[tokio::test]
async fn a_client_that_waits_for_100_is_told_when_the_body_is_asked_for() {
    let app = telling().start().await;
    let proxy = proxy(&[&app]).await;
    let mut raw = Raw::connect(proxy.http).await;
    let framing = "Content-Length: 4\r\nExpect: 100-continue\r\nConnection: close\r\n";
    raw.send(&format!("POST /a HTTP/1.1\r\nHost: {BLOG}\r\n{framing}\r\n")).await;
    assert_eq!(raw.until("\r\n\r\n").await, "HTTP/1.1 100 Continue\r\n\r\n");
    raw.send("body").await;
    assert!(String::from_utf8(raw.rest().await).unwrap().ends_with("POST http://blog.localhost/a body"));
}
