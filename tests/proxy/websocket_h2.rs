//! WebSockets of clients that speak HTTP/2 (RFC 8441).

use futures_util::{SinkExt, StreamExt};
use http::{Request, Response, StatusCode};
use hyper::ext::Protocol;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::Role;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::{WebSocketStream, accept_async};

use super::BLOG;
use crate::support::backend::{AnyBody, Backend, Builder, full};
use crate::support::client::{Client2, Raw, get, tls};
use crate::support::proxy::TestProxy;
use crate::support::{SOON, eventually, soon};

type Socket = WebSocketStream<TokioIo<Upgraded>>;

fn echoing() -> Builder {
    Backend::speaking(|stream| async move {
        let Ok(mut socket) = accept_async(stream).await else { return };
        while let Some(Ok(message)) = socket.next().await {
            if message.is_text() && socket.send(message).await.is_err() {
                break;
            }
        }
    })
}

/// An app that answers the handshake with this.
fn answering(head: &'static str) -> Builder {
    Backend::speaking(move |stream| async move {
        let mut raw = Raw(stream);
        raw.until("\r\n\r\n").await;
        raw.send(head).await;
        raw.rest().await;
    })
}

fn connect_request(protocol: Option<&'static str>) -> Request<AnyBody> {
    let mut request = Request::connect("https://blog.localhost/chat?room=1")
        .header("sec-websocket-version", "13")
        .header("sec-websocket-protocol", "chat")
        .body(full(""))
        .unwrap();
    if let Some(protocol) = protocol {
        request.extensions_mut().insert(Protocol::from_static(protocol));
    }
    request
}

async fn ask(client: &mut Client2) -> Response<hyper::body::Incoming> {
    // The server must have said that it knows extended CONNECT.
    client.send(get("other.localhost", "https://other.localhost/")).await;
    client.open(connect_request(Some("websocket"))).await
}

async fn client_of(proxy: &TestProxy) -> Client2 {
    Client2::over(tls(proxy.https, &proxy.root, BLOG, "h2").await).await
}

async fn open(proxy: &TestProxy) -> (Client2, Socket) {
    let mut client = client_of(proxy).await;
    let response = ask(&mut client).await;
    assert_eq!(response.status(), StatusCode::OK);
    for name in ["upgrade", "connection", "sec-websocket-accept"] {
        assert!(!response.headers().contains_key(name), "{name}");
    }
    let upgraded = soon(hyper::upgrade::on(response)).await.unwrap();
    let socket = WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Client, None).await;
    (client, socket)
}

fn close_code(message: &Message) -> Option<CloseCode> {
    match message {
        Message::Close(frame) => frame.as_ref().map(|frame| frame.code),
        _ => None,
    }
}

async fn next(socket: &mut Socket) -> Message {
    soon(socket.next()).await.unwrap().unwrap()
}

#[tokio::test]
async fn a_websocket_passes_over_one_stream_and_is_counted_apart() {
    let app = echoing().start().await;
    let proxy = TestProxy::with_route(BLOG, &[&app]).await;
    let (mut client, mut socket) = open(&proxy).await;
    for text in ["short", &"long".repeat(50_000)] {
        socket.send(Message::text(text)).await.unwrap();
        assert_eq!(next(&mut socket).await, Message::text(text));
    }
    let upstream = proxy.upstream();
    assert_eq!((upstream.in_flight(), upstream.upgraded()), (0, 1));
    let other = client.send(get("other.localhost", "https://other.localhost/")).await;
    assert_eq!(other.status, 404, "the connection carries other requests beside");
    socket.close(None).await.unwrap();
    while soon(socket.next()).await.is_some_and(|message| message.is_ok()) {}
    eventually("the tunnel is uncounted", || upstream.is_idle()).await;
}

#[tokio::test]
async fn the_app_gets_an_ordinary_handshake_with_a_key_of_ours() {
    let app = Backend::replying("no").start().await;
    let proxy = TestProxy::with_route(BLOG, &[&app]).await;
    ask(&mut client_of(&proxy).await).await;
    let seen = app.seen().pop().unwrap();
    assert_eq!((seen.method.as_str(), seen.uri.to_string().as_str()), ("GET", "/chat?room=1"));
    assert_eq!(seen.header("host"), Some(BLOG));
    assert_eq!(seen.header("upgrade"), Some("websocket"));
    assert_eq!(seen.header("connection"), Some("upgrade"));
    assert_eq!(seen.header("sec-websocket-version"), Some("13"));
    assert_eq!(seen.header("sec-websocket-protocol"), Some("chat"));
    assert_eq!(seen.header("sec-websocket-key").unwrap().len(), 24);
}

#[tokio::test]
async fn an_app_that_does_not_switch_is_an_answer_or_502() {
    let wrong = "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\
        Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
    for (head, expected) in [
        ("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n", 403),
        ("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 502),
        (wrong, 502),
    ] {
        let app = answering(head).start().await;
        let proxy = TestProxy::with_route(BLOG, &[&app]).await;
        let response = ask(&mut client_of(&proxy).await).await;
        assert_eq!(response.status(), expected, "{head}");
        eventually("nothing is counted", || proxy.upstream().is_idle()).await;
    }
}

#[tokio::test]
async fn any_other_connect_is_refused() {
    let app = echoing().start().await;
    let proxy = TestProxy::with_route(BLOG, &[&app]).await;
    let mut client = client_of(&proxy).await;
    client.send(get("other.localhost", "https://other.localhost/")).await;
    assert_eq!(client.open(connect_request(Some("connect-udp"))).await.status(), 405);
    let plain = Request::connect("blog.localhost:443").body(full("")).unwrap();
    assert_eq!(client.open(plain).await.status(), 405);
}

#[tokio::test]
async fn a_farewell_closes_the_socket_with_a_frame() {
    let app = echoing().start().await;
    let proxy = TestProxy::with_route(BLOG, &[&app]).await;
    let (_client, mut socket) = open(&proxy).await;
    let upstream = proxy.upstream();
    upstream.close_upgraded();
    assert_eq!(close_code(&next(&mut socket).await), Some(CloseCode::Away));
    while soon(socket.next()).await.is_some_and(|message| message.is_ok()) {}
    assert_eq!(soon(upstream.drain_upgraded(SOON)).await.cut, 0);
}

#[tokio::test]
async fn a_shutdown_closes_the_socket_and_then_the_connection() {
    let app = echoing().start().await;
    let proxy = TestProxy::with_route(BLOG, &[&app]).await;
    let (mut client, mut socket) = open(&proxy).await;
    let leaving = async {
        assert_eq!(close_code(&next(&mut socket).await), Some(CloseCode::Away));
        while soon(socket.next()).await.is_some_and(|message| message.is_ok()) {}
        drop(socket);
        client.closed().await;
    };
    let (drained, ()) = soon(async { tokio::join!(proxy.stop(SOON), leaving) }).await;
    assert_eq!(drained.cut, 0);
}

#[tokio::test]
async fn a_client_that_vanishes_ends_the_socket_of_the_app() {
    let app = echoing().start().await;
    let proxy = TestProxy::with_route(BLOG, &[&app]).await;
    let (client, socket) = open(&proxy).await;
    assert_eq!(proxy.upstream().upgraded(), 1);
    drop((client, socket));
    eventually("the tunnel is uncounted", || proxy.upstream().is_idle()).await;
}
