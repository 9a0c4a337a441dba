//! Clients that attack HTTP/2 itself: each loses its connection or its stream, and others are served meanwhile.

use std::time::Duration;

use http::Response;
use minipaas::proxy::{ProxyConfig, Timeouts};

use super::BLOG;
use crate::support::backend::{Backend, full};
use crate::support::client::{Client2, get, tls};
use crate::support::eventually;
use crate::support::frames::{
    CONTINUATION, DATA, Frames, HEADERS, PING, RST_STREAM, SETTINGS, WHOLE, frame, get_block,
};
use crate::support::proxy::TestProxy;

/// INITIAL_WINDOW_SIZE (RFC 9113, 6.5.2).
const INITIAL_WINDOW: u16 = 4;
const REFUSED_STREAM: u32 = 7;
const CANCEL: u32 = 8;
const ENHANCE_YOUR_CALM: u32 = 11;

/// A proxy whose patience with its clients is short.
async fn impatient(app: &Backend) -> TestProxy {
    let timeouts = Timeouts { write: Duration::from_millis(300), ..Timeouts::default() };
    let proxy = TestProxy::start(ProxyConfig { timeouts, ..ProxyConfig::new("localhost") }).await;
    proxy.publish([proxy.route(BLOG, &[app])]);
    proxy
}

async fn others_are_served(proxy: &TestProxy) {
    let mut client = Client2::over(tls(proxy.https, &proxy.root, BLOG, "h2").await).await;
    let request = http::Request::get(format!("https://{BLOG}/")).body(Default::default()).unwrap();
    assert_eq!(client.send(request).await.body, "app");
    assert_eq!(proxy.send(get(BLOG, "/")).await.body, "app");
}

#[tokio::test]
async fn streams_without_a_window_hold_no_instance_for_ever() {
    let app = Backend::replying("app").start().await;
    let proxy = impatient(&app).await;
    let mut client = Frames::connect(&proxy, BLOG, &[(INITIAL_WINDOW, 0)]).await;
    for number in 0..200 {
        client.send(&frame(HEADERS, WHOLE, 2 * number + 1, &get_block(BLOG))).await.unwrap();
    }
    eventually("all reach the app", || app.seen().len() == 200).await;
    others_are_served(&proxy).await;
    let mut reset = 0;
    while reset < 200 {
        let frame = client.next().await.expect("the connection itself goes on");
        assert_ne!(frame.kind, DATA, "there is no window");
        if frame.kind == RST_STREAM {
            assert_eq!(frame.payload, CANCEL.to_be_bytes());
            reset += 1;
        }
    }
    eventually("no request is counted", || proxy.upstream().is_idle()).await;
}

#[tokio::test]
async fn a_stream_whose_app_is_slow_is_not_the_clients_fault() {
    let app = Backend::answering(|_| async {
        tokio::time::sleep(Duration::from_millis(900)).await;
        Response::new(full("app"))
    });
    let app = app.start().await;
    let proxy = impatient(&app).await;
    others_are_served(&proxy).await;
}

#[tokio::test]
async fn more_streams_than_allowed_are_refused() {
    let silent = Backend::answering(|_| std::future::pending()).start().await;
    let proxy = impatient(&silent).await;
    let mut client = Frames::connect(&proxy, BLOG, &[]).await;
    for number in 0..210 {
        client.send(&frame(HEADERS, WHOLE, 2 * number + 1, &get_block(BLOG))).await.unwrap();
    }
    for _ in 0..10 {
        let refused = loop {
            let frame = client.next().await.expect("the connection goes on");
            if frame.kind == RST_STREAM {
                break frame;
            }
        };
        assert!(refused.stream > 400, "{refused:?}");
        assert_eq!(refused.payload, REFUSED_STREAM.to_be_bytes());
    }
    eventually("the others reach the app", || silent.seen().len() == 200).await;
}

#[tokio::test]
async fn a_flood_of_resets_ends_the_connection() {
    let app = Backend::replying("app").start().await;
    let proxy = impatient(&app).await;
    let mut client = Frames::connect(&proxy, BLOG, &[]).await;
    let burst: Vec<u8> = (0..2_000)
        .flat_map(|number| {
            let stream = 2 * number + 1;
            let request = frame(HEADERS, WHOLE, stream, &get_block(BLOG));
            [request, frame(RST_STREAM, 0, stream, &CANCEL.to_be_bytes())].concat()
        })
        .collect();
    // The connection may end before all was written.
    let _ = client.send(&burst).await;
    let error = client.go_away().await;
    assert!(error.is_none_or(|error| error == ENHANCE_YOUR_CALM), "{error:?}");
    others_are_served(&proxy).await;
    assert!(app.seen().len() < 1_000, "{} requests reached the app", app.seen().len());
    eventually("no request is counted", || proxy.upstream().is_idle()).await;
}

#[tokio::test]
async fn floods_that_must_be_answered_are_not_read_for_ever() {
    let app = Backend::replying("app").start().await;
    let proxy = impatient(&app).await;
    for one in [frame(SETTINGS, 0, 0, &[]), frame(PING, 0, 0, &[0; 8])] {
        let mut client = Frames::connect(&proxy, BLOG, &[]).await;
        // Some megabytes fit into what sockets hold.
        let burst = one.repeat(1_000);
        tokio::join!(client.flood(&burst, 5_000), others_are_served(&proxy));
    }
}

#[tokio::test]
async fn a_head_without_end_ends_the_connection() {
    let app = Backend::replying("app").start().await;
    let proxy = impatient(&app).await;
    let mut client = Frames::connect(&proxy, BLOG, &[]).await;
    client.send(&frame(HEADERS, 1, 1, &get_block(BLOG))).await.unwrap();
    // A literal header, not indexed: `a: b`.
    let more = frame(CONTINUATION, 0, 1, &[0x00, 1, b'a', 1, b'b'].repeat(200));
    client.flood(&more, 10_000).await;
    others_are_served(&proxy).await;
    assert_eq!(app.seen().len(), 2);
}

#[tokio::test]
async fn a_head_that_is_too_large_is_refused() {
    let app = Backend::replying("app").start().await;
    let proxy = impatient(&app).await;
    let mut client = Client2::over(tls(proxy.https, &proxy.root, BLOG, "h2").await).await;
    let mut request = http::Request::get(format!("https://{BLOG}/"));
    for number in 0..70 {
        request = request.header(format!("x-{number}"), "x".repeat(1000));
    }
    assert_eq!(client.send(request.body(Default::default()).unwrap()).await.status, 431);
    assert!(app.seen().is_empty());
    others_are_served(&proxy).await;
}

#[tokio::test]
async fn a_connection_without_streams_is_closed_whatever_else_it_says() {
    let timeouts = Timeouts { idle: Duration::from_millis(100), ..Timeouts::default() };
    let proxy = TestProxy::start(ProxyConfig { timeouts, ..ProxyConfig::new("localhost") }).await;
    let mut silent = Frames::connect(&proxy, BLOG, &[]).await;
    assert_eq!(silent.go_away().await, Some(0));
    let mut pinging = Frames::connect(&proxy, BLOG, &[]).await;
    let ping = async {
        while pinging.send(&frame(PING, 0, 0, &[0; 8])).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    ping.await;
}
