use futures_util::{SinkExt, StreamExt};
use http::StatusCode;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::{WebSocketStream, accept_async, client_async};

use super::BLOG;
use crate::support::backend::{Backend, Builder};
use crate::support::client::{Raw, get};
use crate::support::proxy::TestProxy;
use crate::support::{SOON, eventually, soon};

const ASK: &str = "GET / HTTP/1.1\r\nHost: blog.localhost\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n";
const SWITCH: &str = "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n";

/// A WebSocket app that echoes, and tells what message it got last.
fn echoing() -> (Builder, mpsc::UnboundedReceiver<Message>) {
    let (told, last) = mpsc::unbounded_channel();
    let builder = Backend::speaking(move |stream| {
        let told = told.clone();
        async move {
            let mut socket = accept_async(stream).await.unwrap();
            while let Some(Ok(message)) = socket.next().await {
                let _ = told.send(message.clone());
                if message.is_text() && socket.send(message).await.is_err() {
                    break;
                }
            }
        }
    });
    (builder, last)
}

async fn open(proxy: &TestProxy) -> WebSocketStream<TcpStream> {
    let stream = TcpStream::connect(proxy.http).await.unwrap();
    let (socket, response) = soon(client_async("ws://blog.localhost/", stream)).await.unwrap();
    assert_eq!(response.status(), StatusCode::SWITCHING_PROTOCOLS);
    socket
}

fn close_code(message: &Message) -> Option<CloseCode> {
    match message {
        Message::Close(frame) => frame.as_ref().map(|frame| frame.code),
        _ => None,
    }
}

async fn next(socket: &mut WebSocketStream<TcpStream>) -> Message {
    soon(socket.next()).await.unwrap().unwrap()
}

#[tokio::test]
async fn a_websocket_passes_and_is_counted_apart() {
    let (app, _) = echoing();
    let app = app.start().await;
    let proxy = TestProxy::with_route(BLOG, &[&app]).await;
    let mut socket = open(&proxy).await;
    for text in ["short", &"long".repeat(50_000)] {
        socket.send(Message::text(text)).await.unwrap();
        assert_eq!(next(&mut socket).await, Message::text(text));
    }
    let upstream = proxy.upstream();
    assert_eq!((upstream.in_flight(), upstream.upgraded()), (0, 1));
    assert_eq!(upstream.drain(SOON).await.cut, 0, "a drain of requests does not wait for it");
    socket.close(None).await.unwrap();
    while soon(socket.next()).await.is_some_and(|message| message.is_ok()) {}
    eventually("the tunnel is uncounted", || upstream.is_idle()).await;
}

#[tokio::test]
async fn the_client_of_an_instance_that_died_gets_a_close_frame() {
    let app = Backend::speaking(|stream| async move {
        let mut socket = accept_async(stream).await.unwrap();
        socket.send(Message::text("hello")).await.unwrap();
    });
    let app = app.start().await;
    let proxy = TestProxy::with_route(BLOG, &[&app]).await;
    let mut socket = open(&proxy).await;
    assert_eq!(next(&mut socket).await, Message::text("hello"));
    assert_eq!(close_code(&next(&mut socket).await), Some(CloseCode::Away));
    assert!(soon(socket.next()).await.is_none_or(|end| end.is_err()));
    eventually("the tunnel is uncounted", || proxy.upstream().is_idle()).await;
}

#[tokio::test]
async fn no_close_frame_is_put_inside_a_frame() {
    let app = Backend::speaking(|stream| async move {
        let socket = accept_async(stream).await.unwrap();
        // A text frame of ten bytes, of which three are sent.
        socket.into_inner().write_all(b"\x81\x0aabc").await.unwrap();
    });
    let app = app.start().await;
    let proxy = TestProxy::with_route(BLOG, &[&app]).await;
    let mut raw = Raw::connect(proxy.http).await;
    raw.send("GET / HTTP/1.1\r\nHost: blog.localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n").await;
    raw.send("Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n").await;
    raw.until("\r\n\r\n").await;
    assert_eq!(raw.rest().await, b"\x81\x0aabc");
}

#[tokio::test]
async fn a_farewell_closes_both_sides_of_a_websocket() {
    let (app, mut told) = echoing();
    let app = app.start().await;
    let proxy = TestProxy::with_route(BLOG, &[&app]).await;
    let mut socket = open(&proxy).await;
    let upstream = proxy.upstream();
    upstream.close_upgraded();
    assert_eq!(close_code(&next(&mut socket).await), Some(CloseCode::Away));
    // The client's side goes on until it closes, so that nothing it has sent is lost.
    while soon(socket.next()).await.is_some_and(|message| message.is_ok()) {}
    assert_eq!(close_code(&soon(told.recv()).await.unwrap()), Some(CloseCode::Away));
    assert_eq!(soon(upstream.drain_upgraded(SOON)).await.cut, 0);
}

#[tokio::test]
async fn a_client_that_does_not_answer_a_close_frame_is_cut() {
    let (app, mut told) = echoing();
    let app = app.start().await;
    let proxy = TestProxy::with_route(BLOG, &[&app]).await;
    let mut raw = Raw(open(&proxy).await.into_inner());
    let upstream = proxy.upstream();
    upstream.close_upgraded();
    let mut close = [0; 4];
    soon(raw.0.read_exact(&mut close)).await.unwrap();
    assert_eq!(close, [0x88, 0x02, 0x03, 0xe9]);
    assert_eq!(
        close_code(&soon(told.recv()).await.unwrap()),
        Some(CloseCode::Away),
        "the app is told in its stead"
    );
    assert_eq!(soon(upstream.drain_upgraded(SOON)).await.cut, 0);
    assert_eq!(raw.rest().await, b"");
}

#[tokio::test]
async fn a_shutdown_closes_websockets() {
    let (app, _) = echoing();
    let app = app.start().await;
    let proxy = TestProxy::with_route(BLOG, &[&app]).await;
    let mut socket = open(&proxy).await;
    let client = async {
        assert_eq!(close_code(&next(&mut socket).await), Some(CloseCode::Away));
        while soon(socket.next()).await.is_some_and(|message| message.is_ok()) {}
    };
    let (drained, ()) = soon(async { tokio::join!(proxy.stop(SOON), client) }).await;
    assert_eq!(drained.cut, 0);
}

#[tokio::test]
async fn another_protocol_passes_respects_half_close_and_is_cut_at_farewell() {
    let app = Backend::speaking(|stream| async move {
        let mut raw = Raw(stream);
        let head = raw.until("\r\n\r\n").await.to_lowercase();
        assert!(head.contains("upgrade: echo") && head.contains("connection: upgrade"), "{head}");
        raw.send(SWITCH).await;
        let said = raw.rest().await;
        raw.send(&format!("you said {}", String::from_utf8(said).unwrap())).await;
        let _ = raw.0.shutdown().await;
    });
    let app = app.start().await;
    let proxy = TestProxy::with_route(BLOG, &[&app]).await;
    let mut raw = Raw::connect(proxy.http).await;
    raw.send(ASK).await;
    assert!(raw.until("\r\n\r\n").await.to_lowercase().contains("upgrade: echo"));
    raw.send("hello").await;
    raw.0.shutdown().await.unwrap();
    assert_eq!(raw.rest().await, b"you said hello");

    let mut raw = Raw::connect(proxy.http).await;
    raw.send(ASK).await;
    raw.until("\r\n\r\n").await;
    proxy.upstream().close_upgraded();
    assert_eq!(raw.rest().await, b"");
}

#[tokio::test]
async fn an_upgrade_that_the_app_declines_is_an_answer() {
    let app = Backend::replying("no").start().await;
    let proxy = TestProxy::with_route(BLOG, &[&app]).await;
    let mut raw = Raw::connect(proxy.http).await;
    raw.send(ASK).await;
    raw.until("\r\n\r\nno").await;
    assert_eq!(proxy.upstream().upgraded(), 0);
}

#[tokio::test]
async fn an_upgrade_that_nobody_asked_for_is_502() {
    let app = Backend::speaking(|stream| async move {
        let mut raw = Raw(stream);
        raw.until("\r\n\r\n").await;
        raw.send(SWITCH).await;
        raw.rest().await;
    });
    let app = app.start().await;
    let proxy = TestProxy::with_route(BLOG, &[&app]).await;
    assert_eq!(proxy.send(get(BLOG, "/")).await.status, 502);
    eventually("the request is uncounted", || proxy.upstream().is_idle()).await;
}

#[tokio::test]
async fn h2c_is_not_passed_on() {
    let app = Backend::replying("plain").start().await;
    let proxy = TestProxy::with_route(BLOG, &[&app]).await;
    let mut raw = Raw::connect(proxy.http).await;
    raw.send(
        "GET / HTTP/1.1\r\nHost: blog.localhost\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n",
    )
    .await;
    raw.send("HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n\r\n").await;
    raw.until("plain").await;
    assert!(app.seen()[0].headers.keys().all(|name| !["upgrade", "http2-settings"].contains(&name.as_str())));
}
