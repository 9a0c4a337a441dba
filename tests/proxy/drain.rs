use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use http::Response;
use minipaas::proxy::{ProxyConfig, Timeouts};
use tokio::io::AsyncWriteExt;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use super::BLOG;
use crate::support::backend::{Backend, full};
use crate::support::client::{Client, Client2, Raw, get, tls};
use crate::support::proxy::TestProxy;
use crate::support::{SOON, eventually, soon};

/// An app that sends half of its answer, and the rest once it is told to.
pub(super) async fn halting() -> (Backend, Arc<Notify>) {
    let go_on = Arc::new(Notify::new());
    let told = Arc::clone(&go_on);
    let app = Backend::speaking(move |stream| {
        let told = Arc::clone(&told);
        async move {
            let mut raw = Raw(stream);
            raw.until("\r\n\r\n").await;
            raw.send("HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\nhalf").await;
            told.notified().await;
            raw.send("rest").await;
            let _ = raw.rest().await;
        }
    });
    (app.start().await, go_on)
}

#[tokio::test]
async fn a_drain_waits_for_the_last_byte_of_a_body() {
    let (app, go_on) = halting().await;
    let proxy = TestProxy::with_route(BLOG, &[&app]).await;
    let mut client = Raw::connect(proxy.http).await;
    client.send("GET / HTTP/1.1\r\nHost: blog.localhost\r\n\r\n").await;
    client.until("half").await;
    let upstream = proxy.upstream();
    assert_eq!(upstream.in_flight(), 1);
    proxy.publish([]);
    let drain = tokio::spawn(async move { upstream.drain(SOON).await });
    tokio::task::yield_now().await;
    assert!(!drain.is_finished());
    go_on.notify_one();
    client.until("rest").await;
    assert_eq!(soon(drain).await.unwrap().cut, 0);
}

/// An app whose answer to a whole request is its body's length.
fn counting() -> crate::support::backend::Builder {
    Backend::answering(|seen| async move { Response::new(full(seen.body.len().to_string())) })
}

#[tokio::test]
async fn a_drain_waits_for_an_upload() {
    let (old, new) = (counting().start().await, counting().start().await);
    let proxy = TestProxy::with_route(BLOG, &[&old]).await;
    let mut client = Raw::connect(proxy.http).await;
    client.send("POST / HTTP/1.1\r\nHost: blog.localhost\r\nContent-Length: 8\r\n\r\nhalf").await;
    let upstream = proxy.upstream();
    eventually("the request is counted", || upstream.in_flight() == 1).await;
    proxy.publish([proxy.route(BLOG, &[&new])]);
    let drain = tokio::spawn(async move { upstream.drain(SOON).await });
    tokio::task::yield_now().await;
    assert!(!drain.is_finished());
    client.send("rest").await;
    client.until("\r\n\r\n8").await;
    assert_eq!(soon(drain).await.unwrap().cut, 0);
    assert_eq!((old.seen().len(), new.seen().len()), (1, 0));
}

/// An app that sends an event, and once it is told to, what ends the stream.
async fn streaming(end: &'static str) -> (Backend, CancellationToken) {
    let stopping = CancellationToken::new();
    let told = stopping.clone();
    let app = Backend::speaking(move |stream| {
        let told = told.clone();
        async move {
            let mut raw = Raw(stream);
            raw.until("\r\n\r\n").await;
            let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked";
            raw.send(&format!("{head}\r\n\r\n9\r\ndata: 1\n\n\r\n")).await;
            told.cancelled().await;
            raw.send(end).await;
        }
    });
    (app.start().await, stopping)
}

#[tokio::test]
async fn an_event_stream_ends_as_its_app_ends_it_and_breaks_where_it_breaks() {
    for (end, is_whole) in [("0\r\n\r\n", true), ("", false), ("9\r\ndata", false)] {
        let (app, stopping) = streaming(end).await;
        let proxy = TestProxy::with_route(BLOG, &[&app]).await;
        let mut client = Raw::connect(proxy.http).await;
        let head = "GET / HTTP/1.1\r\nHost: blog.localhost\r\n";
        client.send(&format!("{head}Connection: close\r\n\r\n")).await;
        client.until("9\r\ndata: 1\n\n\r\n").await;
        let mut other = Client2::over(tls(proxy.https, &proxy.root, BLOG, "h2").await).await;
        let over_tls = || get(BLOG, "https://blog.localhost/");
        let ended = async {
            eventually("both are streamed", || proxy.upstream().in_flight() == 2).await;
            stopping.cancel();
            client.rest().await
        };
        let (over_h2, over_h1) = soon(async { tokio::join!(other.try_send(over_tls()), ended) }).await;
        let over_h1 = String::from_utf8(over_h1).unwrap();
        assert_eq!(over_h1.ends_with("0\r\n\r\n"), is_whole, "{end:?}: {over_h1:?}");
        match over_h2 {
            Ok(reply) => assert!(is_whole && reply.body == "data: 1\n\n", "{end:?}: {reply:?}"),
            Err(error) => assert!(!is_whole, "{end:?}: {error:?}"),
        }
        eventually("the requests are uncounted", || proxy.upstream().is_idle()).await;
        // A stream that was reset leaves the connection as it was.
        proxy.publish([]);
        assert_eq!(other.send(over_tls()).await.status, 404, "{end:?}");
    }
}

#[tokio::test]
async fn a_client_that_goes_away_is_uncounted() {
    let (app, _go_on) = halting().await;
    let proxy = TestProxy::with_route(BLOG, &[&app]).await;
    let mut client = Raw::connect(proxy.http).await;
    client.send("GET / HTTP/1.1\r\nHost: blog.localhost\r\n\r\n").await;
    client.until("half").await;
    drop(client);
    eventually("the request is uncounted", || proxy.upstream().is_idle()).await;

    let silent = Backend::answering(|_| std::future::pending()).start().await;
    proxy.publish([proxy.route(BLOG, &[&silent])]);
    let mut client = Raw::connect(proxy.http).await;
    client.send("GET / HTTP/1.1\r\nHost: blog.localhost\r\n\r\n").await;
    eventually("the app got the request", || silent.seen().len() == 1).await;
    assert_eq!(proxy.upstream().in_flight(), 1);
    drop(client);
    eventually("the request is uncounted", || proxy.upstream().is_idle()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_request_fails_or_reaches_a_drained_instance_while_tables_are_swapped() {
    const CLIENTS: usize = 64;
    const SWAPS: usize = 500;
    /// Requests that are answered before the next two swaps come, however busy the machine is.
    const REQUESTS: usize = 2;
    let misled = Arc::new(AtomicUsize::new(0));
    let mut apps = Vec::new();
    for _ in 0..4 {
        let is_open = Arc::new(AtomicBool::new(false));
        let (misled, open) = (Arc::clone(&misled), Arc::clone(&is_open));
        let app = Backend::answering(move |_| {
            let was_closed = !open.load(Ordering::SeqCst);
            misled.fetch_add(usize::from(was_closed), Ordering::SeqCst);
            async { Response::new(full("served")) }
        });
        apps.push((app.start().await, is_open));
    }
    apps[0].1.store(true, Ordering::SeqCst);
    let proxy = TestProxy::with_route(BLOG, &[&apps[0].0]).await;
    let (done, is_done) = watch::channel(false);
    let (answered, mut all_answered) = watch::channel(0);
    let clients: Vec<_> = (0..CLIENTS)
        .map(|_| {
            let (addr, is_done, answered) = (proxy.http, is_done.clone(), answered.clone());
            tokio::spawn(async move {
                let mut client = Client::connect(addr).await;
                let mut served = 0;
                while !*is_done.borrow() {
                    match client.try_send(get(BLOG, "/")).await {
                        Ok(reply) if reply.body == "served" => served += 1,
                        other => panic!("{other:?}"),
                    }
                    answered.send_modify(|count| *count += 1);
                }
                served
            })
        })
        .collect();
    for swap in 1..=SWAPS {
        let old = proxy.upstream();
        let ((app, is_open), (_, was_open)) = (&apps[swap % 4], &apps[(swap - 1) % 4]);
        is_open.store(true, Ordering::SeqCst);
        proxy.publish([proxy.route(BLOG, &[app])]);
        assert_eq!(old.drain(SOON).await.cut, 0);
        was_open.store(false, Ordering::SeqCst);
        assert!(old.is_idle());
        proxy.routes.forget(old.instance());
        // Two at once, so that a request may meet both.
        if swap % 2 == 0 {
            let enough = *all_answered.borrow() + REQUESTS;
            soon(all_answered.wait_for(|count| *count >= enough)).await.unwrap();
        }
    }
    done.send(true).unwrap();
    let mut total = 0;
    for client in clients {
        total += client.await.unwrap();
    }
    assert_eq!(misled.load(Ordering::SeqCst), 0);
    assert!(total >= SWAPS / 2 * REQUESTS, "{total} requests");
}

#[tokio::test]
async fn a_held_route_waits_for_its_instance() {
    let app = Backend::replying("app").start().await;
    let proxy = TestProxy::with_route(BLOG, &[]).await;
    let mut held = proxy.route(BLOG, &[]);
    held.is_held = true;
    proxy.publish([held.clone()]);
    let mut clients = Vec::new();
    for _ in 0..10 {
        let mut client = Client::connect(proxy.http).await;
        clients.push(tokio::spawn(async move { client.send(get(BLOG, "/")).await }));
    }
    proxy.publish([held]);
    tokio::task::yield_now().await;
    assert!(clients.iter().all(|client| !client.is_finished()));
    proxy.publish([proxy.route(BLOG, &[&app])]);
    for client in clients {
        assert_eq!(client.await.unwrap().body, "app");
    }
}

#[tokio::test]
async fn a_held_route_does_not_hold_for_ever() {
    let timeouts = Timeouts { hold: Duration::from_millis(20), ..Timeouts::default() };
    let proxy = TestProxy::start(ProxyConfig { timeouts, ..ProxyConfig::new("localhost") }).await;
    let mut held = proxy.route(BLOG, &[]);
    held.is_held = true;
    proxy.publish([held]);
    let reply = proxy.send(get(BLOG, "/")).await;
    assert_eq!(reply.status, 503);
    assert!(reply.body.contains("no instance of the app became ready in time"));
}

#[tokio::test]
async fn a_slow_client_stops_the_app() {
    const MUCH: usize = 256 << 20;
    let (written, mut has_written) = watch::channel(0);
    let app = Backend::speaking(move |mut stream| {
        let written = written.clone();
        async move {
            stream
                .write_all(format!("HTTP/1.1 200 OK\r\ncontent-length: {MUCH}\r\n\r\n").as_bytes())
                .await
                .unwrap();
            let piece = vec![b'x'; 64 << 10];
            while *written.borrow() < MUCH && stream.write_all(&piece).await.is_ok() {
                written.send_modify(|count| *count += piece.len());
            }
        }
    });
    let app = app.start().await;
    let proxy = TestProxy::with_route(BLOG, &[&app]).await;
    let mut client = Raw::connect(proxy.http).await;
    client.send("GET / HTTP/1.1\r\nHost: blog.localhost\r\n\r\n").await;
    client.until("\r\n\r\n").await;
    // It has stopped when it moves no more.
    while tokio::time::timeout(Duration::from_millis(300), has_written.changed()).await.is_ok() {}
    let stopped_at = *has_written.borrow();
    assert!(stopped_at < MUCH / 8, "the kernel's buffers and ours hold some MiB, not {stopped_at} bytes");
}

#[tokio::test]
async fn a_shutdown_finishes_what_has_begun() {
    let (app, go_on) = halting().await;
    let proxy = TestProxy::with_route(BLOG, &[&app]).await;
    let mut client = Raw::connect(proxy.http).await;
    client.send("GET / HTTP/1.1\r\nHost: blog.localhost\r\n\r\n").await;
    client.until("half").await;
    let mut idle = Raw::connect(proxy.http).await;
    let stop = proxy.stop(SOON);
    tokio::pin!(stop);
    let all = async {
        assert_eq!(idle.rest().await, b"", "an idle connection is closed at once");
        go_on.notify_one();
        client.until("rest").await;
        assert_eq!(client.rest().await, b"");
    };
    let (drained, ()) = soon(async { tokio::join!(&mut stop, all) }).await;
    assert_eq!(drained.cut, 0);
    assert!(tokio::net::TcpStream::connect(proxy.http).await.is_err(), "nothing is accepted any more");
}

#[tokio::test]
async fn a_shutdown_cuts_what_does_not_end() {
    let (app, _go_on) = halting().await;
    let proxy = TestProxy::with_route(BLOG, &[&app]).await;
    let mut client = Raw::connect(proxy.http).await;
    client.send("GET / HTTP/1.1\r\nHost: blog.localhost\r\n\r\n").await;
    client.until("half").await;
    assert_eq!(proxy.stop(Duration::from_millis(20)).await.cut, 1);
    assert_eq!(client.rest().await, b"");
    eventually("the request is uncounted", || proxy.upstream().is_idle()).await;
}
