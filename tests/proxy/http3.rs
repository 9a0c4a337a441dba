//! HTTP/3, from client to app.

use std::net::UdpSocket;
use std::time::Duration;

use bytes::{Buf, Bytes};
use futures_util::FutureExt;
use futures_util::future::join_all;
use h3::error::Code;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use minipaas::proxy::{ProxyConfig, Timeouts};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::watch;

use super::BLOG;
use super::drain::halting;
use crate::support::backend::{AnyBody, Backend, Seen, full};
use crate::support::client::{Client, Client2, Raw, get, tls};
use crate::support::http3::{Client3, Exchange, code, quic};
use crate::support::proxy::TestProxy;
use crate::support::{SOON, eventually, soon};

const URI: &str = "https://blog.localhost/";

fn config() -> ProxyConfig {
    ProxyConfig { http3: true, ..ProxyConfig::new("localhost") }
}

async fn serving(backend: &Backend) -> TestProxy {
    let proxy = TestProxy::start(config()).await;
    proxy.publish([proxy.route(BLOG, &[backend])]);
    proxy
}

async fn connect(proxy: &TestProxy) -> Client3 {
    Client3::connect(proxy.https, &proxy.root, BLOG).await
}

async fn echo(seen: Seen) -> Response<AnyBody> {
    Response::new(full(seen.body))
}

#[tokio::test]
async fn http3_becomes_http1_for_the_app() {
    let app = Backend::replying("app").start().await;
    let proxy = serving(&app).await;
    let mut client = connect(&proxy).await;
    let request = Request::get("https://blog.localhost:8443/a?b")
        .header("cookie", "a=1")
        .header("cookie", "b=2")
        .header("x-forwarded-proto", "http")
        .body(())
        .unwrap();
    let reply = client.send(request, "").await;
    assert_eq!((reply.status, &*reply.body), (StatusCode::OK, "app"));
    assert_eq!(reply.header("content-length"), Some("3"));
    assert!(reply.header("date").is_some());
    let seen = &app.seen()[0];
    assert_eq!(seen.uri, "/a?b");
    for (name, value) in [
        ("host", "blog.localhost:8443"),
        ("cookie", "a=1; b=2"),
        ("x-forwarded-for", "127.0.0.1"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-port", "443"),
    ] {
        assert_eq!(seen.header(name), Some(value), "{name}");
    }
    assert!(seen.header("transfer-encoding").is_none(), "a request without a body says so");
    let global = proxy.routes.snapshot().global;
    assert_eq!((global.https.opened, global.https.open, global.handshakes), (1, 1, 1));
}

#[tokio::test]
async fn a_body_goes_to_the_app_with_and_without_its_length() {
    let app = Backend::answering(echo).start().await;
    let proxy = serving(&app).await;
    let mut client = connect(&proxy).await;
    let with = Request::post(URI).header("content-length", "4").body(()).unwrap();
    assert_eq!(client.send(with, "body").await.body, "body");
    assert_eq!(app.seen()[0].header("content-length"), Some("4"));
    assert_eq!(client.send(Request::post(URI).body(()).unwrap(), "body").await.body, "body");
    assert_eq!(app.seen()[1].header("transfer-encoding"), Some("chunked"));
    assert_eq!(client.send(Request::post(URI).body(()).unwrap(), "").await.status, 200);
}

#[tokio::test]
async fn much_goes_both_ways_at_once() {
    const MUCH: usize = 1 << 20;
    // Sends back what it gets, as it gets it.
    let app = Backend::speaking(|stream| async move {
        let (mut read, mut write) = stream.into_split();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(read.read_u8().await.unwrap());
        }
        let length = format!("HTTP/1.1 200 OK\r\ncontent-length: {MUCH}\r\n\r\n");
        write.write_all(length.as_bytes()).await.unwrap();
        let _ = tokio::io::copy(&mut read, &mut write).await;
    });
    let app = app.start().await;
    let proxy = serving(&app).await;
    let mut client = connect(&proxy).await;
    let request = Request::post(URI).header("content-length", MUCH).body(()).unwrap();
    let exchange = client.begin(request).await;
    let (mut send, mut recv) = exchange.0.split();
    let sent: Bytes = (0..MUCH).map(|at| (at % 251) as u8).collect();
    let sending = async {
        for at in (0..MUCH).step_by(10_000) {
            send.send_data(sent.slice(at..MUCH.min(at + 10_000))).await.unwrap();
        }
        send.finish().await.unwrap();
    };
    let receiving = async {
        assert_eq!(recv.recv_response().await.unwrap().status(), 200);
        let mut body = Vec::new();
        while let Some(mut data) = recv.recv_data().await.unwrap() {
            let length = data.remaining();
            body.extend_from_slice(&data.copy_to_bytes(length));
        }
        body
    };
    let ((), received) = soon(async { tokio::join!(sending, receiving) }).await;
    assert!(received == sent, "{} bytes came back", received.len());
}

#[tokio::test]
async fn requests_of_a_connection_do_not_wait_for_each_other() {
    let silent = Backend::answering(|_| std::future::pending()).start().await;
    let app = Backend::answering(|seen| async move { Response::new(full(seen.uri.path().to_owned())) });
    let app = app.start().await;
    let proxy = TestProxy::start(config()).await;
    proxy.publish([proxy.route(BLOG, &[&app]), proxy.route("silent.localhost", &[&silent])]);
    let mut client = connect(&proxy).await;
    let _waiting = client.begin(Request::get("https://silent.localhost/").body(()).unwrap()).await;
    let mut exchanges = Vec::new();
    for number in 0..100 {
        let uri = format!("https://blog.localhost/{number}");
        let mut exchange = client.begin(Request::get(uri).body(()).unwrap()).await;
        exchanges.push(async move {
            exchange.0.finish().await.unwrap();
            assert_eq!(exchange.reply().await.unwrap().0.body, format!("/{number}"));
        });
    }
    join_all(exchanges).await;
    assert_eq!(proxy.routes.snapshot().global.https.opened, 1);
}

#[tokio::test]
async fn trailers_go_both_ways() {
    let app = Backend::speaking(|stream| async move {
        let mut raw = Raw(stream);
        let request = raw.until("\r\nchecksum: 42\r\n\r\n").await;
        assert!(request.ends_with("4\r\nbody\r\n0\r\nchecksum: 42\r\n\r\n"), "{request}");
        let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: status\r\n\r\n";
        raw.send(&format!("{head}3\r\napp\r\n0\r\nstatus: done\r\n\r\n")).await;
        raw.rest().await;
    });
    let app = app.start().await;
    let proxy = serving(&app).await;
    let mut client = connect(&proxy).await;
    let mut exchange = client.begin(Request::post(URI).header("te", "trailers").body(()).unwrap()).await;
    exchange.0.send_data(Bytes::from_static(b"body")).await.unwrap();
    let mut trailers = HeaderMap::new();
    trailers.insert("checksum", HeaderValue::from_static("42"));
    exchange.0.send_trailers(trailers).await.unwrap();
    exchange.0.finish().await.unwrap();
    let (reply, trailers) = exchange.reply().await.unwrap();
    assert_eq!(reply.body, "app");
    assert_eq!(trailers.unwrap()["status"], "done");
}

#[tokio::test]
async fn responses_without_a_body_have_none() {
    let app = Backend::answering(|seen| async move {
        let status = seen.uri.path()[1..].parse::<u16>().unwrap();
        let body = if status == 200 { "12345" } else { "" };
        Response::builder().status(status).body(full(body)).unwrap()
    });
    let app = app.start().await;
    let proxy = serving(&app).await;
    let mut client = connect(&proxy).await;
    let head = client.send(Request::head("https://blog.localhost/200").body(()).unwrap(), "").await;
    assert_eq!((head.header("content-length"), &*head.body), (Some("5"), ""));
    for status in [204, 304] {
        let reply = client.get(&format!("https://blog.localhost/{status}")).await;
        assert_eq!((reply.status.as_u16(), &*reply.body), (status, ""));
        assert_eq!(reply.header("content-length"), None);
    }
    let unknown = Request::head("https://nobody.localhost/").body(()).unwrap();
    let unknown = client.send(unknown, "").await;
    assert_eq!((unknown.status, &*unknown.body), (StatusCode::NOT_FOUND, ""));
}

#[tokio::test]
async fn hosts_are_routed_and_the_others_get_a_page() {
    let (blog, shop) = (Backend::replying("blog").start().await, Backend::replying("shop").start().await);
    let proxy = TestProxy::start(config()).await;
    proxy.publish([proxy.route(BLOG, &[&blog]), proxy.route("shop.localhost", &[&shop])]);
    let mut client = connect(&proxy).await;
    assert_eq!(client.get(URI).await.body, "blog");
    assert_eq!(client.get("https://shop.localhost/").await.body, "shop");
    let page = client.get("https://nobody.localhost/").await;
    assert_eq!(page.status, 404);
    assert!(page.body.contains("no app answers at this address"), "{}", page.body);
    assert_eq!(page.header("content-length"), Some(&*page.body.len().to_string()));
    let tunnel = client.send(Request::connect("blog.localhost:443").body(()).unwrap(), "").await;
    assert_eq!(tunnel.status, 405);
}

#[tokio::test]
async fn a_client_that_cancels_is_uncounted() {
    let silent = Backend::answering(|_| std::future::pending()).start().await;
    let proxy = serving(&silent).await;
    let mut client = connect(&proxy).await;
    let mut exchange = client.begin(Request::get(URI).body(()).unwrap()).await;
    exchange.0.finish().await.unwrap();
    eventually("the app got the request", || silent.seen().len() == 1).await;
    assert_eq!(proxy.upstream().in_flight(), 1);
    exchange.cancel();
    eventually("the request is uncounted", || proxy.upstream().is_idle()).await;

    let (app, _go_on) = halting().await;
    proxy.publish([proxy.route(BLOG, &[&app])]);
    let mut exchange = client.begin(Request::get(URI).body(()).unwrap()).await;
    exchange.0.finish().await.unwrap();
    exchange.head().await.unwrap();
    assert_eq!(exchange.data().await.unwrap().unwrap(), "half");
    drop(exchange);
    eventually("the request is uncounted", || proxy.upstream().is_idle()).await;

    let mut upload = client.begin(Request::post(URI).body(()).unwrap()).await;
    upload.0.send_data(Bytes::from_static(b"some of it")).await.unwrap();
    eventually("the upload is counted", || proxy.upstream().in_flight() == 1).await;
    upload.0.stop_stream(Code::H3_REQUEST_CANCELLED);
    eventually("the upload is uncounted", || proxy.upstream().is_idle()).await;
    let ended = || proxy.routes.snapshot().routes[0].ended;
    // The second had its status already; what the third is told as depends on which of its ends is heard of first.
    eventually("all are told of", || ended()[4] >= 1 && ended().iter().sum::<u64>() == 3).await;
}

#[tokio::test]
async fn a_client_that_vanishes_is_uncounted() {
    let silent = Backend::answering(|_| std::future::pending()).start().await;
    let proxy = serving(&silent).await;
    let mut client = connect(&proxy).await;
    let mut exchange = client.begin(Request::get(URI).body(()).unwrap()).await;
    exchange.0.finish().await.unwrap();
    eventually("the app got the request", || silent.seen().len() == 1).await;
    client.quic.close(0_u32.into(), b"");
    eventually("the request is uncounted", || proxy.upstream().is_idle()).await;
    eventually("so is the connection", || proxy.routes.snapshot().global.https.open == 0).await;
}

#[tokio::test]
async fn a_response_that_breaks_off_is_no_whole_one() {
    let app = Backend::speaking(|stream| async move {
        let mut raw = Raw(stream);
        raw.until("\r\n\r\n").await;
        raw.send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n").await;
    });
    let app = app.start().await;
    let proxy = serving(&app).await;
    let mut client = connect(&proxy).await;
    let mut exchange = client.begin(Request::get(URI).body(()).unwrap()).await;
    exchange.0.finish().await.unwrap();
    let error = exchange.reply().await.unwrap_err();
    assert_eq!(code(&error), Code::H3_INTERNAL_ERROR);
}

#[tokio::test]
async fn a_body_of_another_length_is_not_taken_for_a_request() {
    let app = Backend::answering(echo).start().await;
    let proxy = serving(&app).await;
    let mut client = connect(&proxy).await;
    for body in ["too short", "too long for what it said"] {
        let request = Request::post(URI).header("content-length", "12").body(()).unwrap();
        let mut exchange = client.begin(request).await;
        exchange.0.send_data(Bytes::from_static(body.as_bytes())).await.unwrap();
        exchange.0.finish().await.unwrap();
        match exchange.reply().await {
            Ok((reply, _)) => assert_eq!(reply.status, 400),
            Err(error) => assert_eq!(code(&error), Code::H3_MESSAGE_ERROR),
        }
    }
    assert!(app.seen().is_empty());
    assert_eq!(client.get(URI).await.status, 200, "the connection goes on");
}

#[tokio::test]
async fn large_headers_are_refused() {
    let app = Backend::replying("app").start().await;
    let proxy = serving(&app).await;
    let (mut client, driver) = Client3::undriven(proxy.https, &proxy.root, BLOG).await;
    let large = |bytes: usize| Request::get(URI).header("x-large", "x".repeat(bytes)).body(()).unwrap();
    let mut exchange = client.begin(large(70_000)).await;
    exchange.0.finish().await.unwrap();
    // It may be stopped before all of it is sent.
    let larger = soon(client.requests.send_request(large(300_000))).await;
    let mut client = client.driven(driver);
    assert_eq!(exchange.head().await.unwrap().status(), 431);
    if let Ok(larger) = larger {
        assert!(Exchange(larger).head().await.is_err());
    }
    assert_eq!(client.get(URI).await.body, "app", "the connection goes on");
    assert_eq!(app.seen().len(), 1);
}

/// A HEADERS frame of `POST https://blog.localhost/`, with names of QPACK's static table (RFC 9204, A).
fn post_head() -> Vec<u8> {
    let fields = [b"\0\0\xd4\xd7\xc1\x50\x0e".as_slice(), BLOG.as_bytes()].concat();
    [&[0x01, u8::try_from(fields.len()).unwrap()], fields.as_slice()].concat()
}

#[tokio::test]
async fn frames_that_h3_does_not_expect_break_their_request_alone() {
    let app = Backend::answering(echo).start().await;
    let proxy = serving(&app).await;
    let mut client = connect(&proxy).await;
    // A frame that says that it is of 1 GiB; one that is unknown; data that ends before its end.
    for bytes in [
        b"\x01\xc0\0\0\0\x40\0\0\0".to_vec(),
        b"\x21\xc0\0\0\0\x40\0\0\0".to_vec(),
        [post_head(), b"\0\x05hel".to_vec()].concat(),
    ] {
        let (mut send, mut recv) = client.quic.open_bi().await.unwrap();
        send.write_all(&bytes).await.unwrap();
        // Its end comes later than the rest.
        tokio::task::yield_now().await;
        let _ = send.finish();
        let _ = soon(recv.read_to_end(1 << 20)).await;
    }
    assert!(app.seen().is_empty());
    let (mut send, mut recv) = client.quic.open_bi().await.unwrap();
    let empty_between = [post_head(), b"\0\0\0\x02hi\0\0\0\x01!".to_vec()].concat();
    send.write_all(&empty_between).await.unwrap();
    send.finish().unwrap();
    let response = soon(recv.read_to_end(1 << 20)).await.unwrap();
    assert!(response.ends_with(b"\0\x03hi!"), "{response:?}");
    assert_eq!(client.get(URI).await.status, 200);
}

#[tokio::test]
async fn a_slow_client_stops_the_app() {
    const MUCH: usize = 256 << 20;
    let (written, mut has_written) = watch::channel(0);
    let app = Backend::speaking(move |mut stream| {
        let written = written.clone();
        async move {
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {MUCH}\r\n\r\n");
            stream.write_all(head.as_bytes()).await.unwrap();
            let piece = vec![b'x'; 64 << 10];
            while *written.borrow() < MUCH && stream.write_all(&piece).await.is_ok() {
                written.send_modify(|count| *count += piece.len());
            }
        }
    });
    let app = app.start().await;
    let proxy = serving(&app).await;
    let mut client = connect(&proxy).await;
    let mut exchange = client.begin(Request::get(URI).body(()).unwrap()).await;
    exchange.0.finish().await.unwrap();
    exchange.head().await.unwrap();
    // It has stopped when it moves no more.
    while tokio::time::timeout(Duration::from_millis(300), has_written.changed()).await.is_ok() {}
    let stopped_at = *has_written.borrow();
    assert!(stopped_at < MUCH / 8, "our buffers and the kernel's hold some MiB, not {stopped_at} bytes");
}

#[tokio::test]
async fn a_shutdown_finishes_what_has_begun() {
    let (app, go_on) = halting().await;
    let proxy = serving(&app).await;
    let mut client = connect(&proxy).await;
    let idle = connect(&proxy).await;
    let mut exchange = client.begin(Request::get(URI).body(()).unwrap()).await;
    exchange.0.finish().await.unwrap();
    exchange.head().await.unwrap();
    assert_eq!(exchange.data().await.unwrap().unwrap(), "half");
    let stop = proxy.stop(SOON);
    tokio::pin!(stop);
    let all = async {
        assert_eq!(idle.closed().await, Code::H3_NO_ERROR.value(), "an idle connection is closed at once");
        // GOAWAY has come when the client begins nothing more.
        eventually("a goaway", || {
            let begun = client.requests.send_request(Request::get(URI).body(()).unwrap());
            matches!(begun.now_or_never(), Some(Err(_)))
        })
        .await;
        go_on.notify_one();
        assert_eq!(exchange.rest().await.unwrap(), b"rest");
        assert_eq!(client.closed().await, Code::H3_NO_ERROR.value());
    };
    let (drained, ()) = soon(async { tokio::join!(&mut stop, all) }).await;
    assert_eq!(drained.cut, 0);
}

#[tokio::test]
async fn a_shutdown_cuts_what_does_not_end() {
    let (app, _go_on) = halting().await;
    let proxy = serving(&app).await;
    let mut client = connect(&proxy).await;
    let mut exchange = client.begin(Request::get(URI).body(()).unwrap()).await;
    exchange.0.finish().await.unwrap();
    exchange.head().await.unwrap();
    assert_eq!(proxy.stop(Duration::from_millis(20)).await.cut, 1);
    assert!(exchange.rest().await.is_err());
    eventually("the request is uncounted", || proxy.upstream().is_idle()).await;
    eventually("the socket is closed", || UdpSocket::bind(proxy.https).is_ok()).await;
}

#[tokio::test]
async fn an_idle_connection_is_closed() {
    let app = Backend::replying("app").start().await;
    let timeouts = Timeouts { head: Duration::from_millis(100), ..Timeouts::default() };
    let proxy = TestProxy::start(ProxyConfig { timeouts, ..config() }).await;
    proxy.publish([proxy.route(BLOG, &[&app])]);
    let mut client = connect(&proxy).await;
    assert_eq!(client.get(URI).await.body, "app");
    assert_eq!(client.closed().await, Code::H3_NO_ERROR.value());
    eventually("it is uncounted", || proxy.routes.snapshot().global.https.open == 0).await;
}

#[tokio::test]
async fn a_client_has_so_many_connections() {
    let config = ProxyConfig { client_connections_max: 1, unlimited_clients: Vec::new(), ..config() };
    let proxy = TestProxy::start(config).await;
    let first = connect(&proxy).await;
    let refused = quic(proxy.https, &proxy.root, BLOG).await.unwrap_err();
    assert!(matches!(refused, quinn::ConnectionError::ConnectionClosed(_)), "{refused}");
    assert_eq!(proxy.routes.snapshot().global.refused, 1);
    drop(first);
}

#[tokio::test]
async fn http3_is_told_of_over_https_alone() {
    let app = Backend::answering(|_| async {
        Response::builder().header("alt-svc", "h3=\":1\"").body(full("app")).unwrap()
    });
    let app = app.start().await;
    let told = async |proxy: &TestProxy| {
        let plain = proxy.send(get(BLOG, "/")).await;
        let mut http1 = Client::over(tls(proxy.https, &proxy.root, BLOG, "http/1.1").await).await;
        let mut http2 = Client2::over(tls(proxy.https, &proxy.root, BLOG, "h2").await).await;
        let mut request = get(BLOG, URI);
        request.headers_mut().remove("host");
        let replies = [plain, http1.send(get(BLOG, "/")).await, http2.send(request).await];
        replies.map(|reply| reply.header("alt-svc").map(str::to_owned).unwrap_or_default())
    };
    let (ours, theirs) = ("h3=\":443\"; ma=86400", "h3=\":1\"");
    let proxy = serving(&app).await;
    assert_eq!(told(&proxy).await, [theirs, ours, ours]);
    assert_eq!(connect(&proxy).await.get(URI).await.header("alt-svc"), Some(theirs));
    proxy.publish([]);
    let mut client = Client::over(tls(proxy.https, &proxy.root, BLOG, "http/1.1").await).await;
    assert_eq!(client.send(get(BLOG, "/")).await.header("alt-svc"), Some(ours), "pages say so, too");

    let off = TestProxy::with_route(BLOG, &[&app]).await;
    assert_eq!(told(&off).await, [theirs; 3]);
    assert!(UdpSocket::bind(off.https).is_ok(), "nobody has the port");
}
