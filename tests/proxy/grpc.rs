use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, Version};
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Frame, Incoming};
use minipaas::policy::{Policy, RateLimit};

use super::BLOG;
use crate::support::backend::{AnyBody, Backend, Builder, full, streaming};
use crate::support::client::{Client2, tls};
use crate::support::proxy::TestProxy;
use crate::support::soon;

/// A call with one message.
fn call(method: &str, message: &'static str) -> Request<Full<Bytes>> {
    Request::post(format!("https://blog.localhost/{method}"))
        .header("content-type", "application/grpc+proto")
        .header("te", "trailers")
        .body(Full::from(message))
        .unwrap()
}

fn trailers(status: &'static str) -> Frame<Bytes> {
    let (name, value) = (HeaderName::from_static("grpc-status"), HeaderValue::from_static(status));
    Frame::trailers(HeaderMap::from_iter([(name, value)]))
}

/// An app that sends back each message, and what the call ended with after the last one.
fn echoing() -> Builder {
    Backend::http2(|request: Request<Incoming>| async {
        assert_eq!(request.version(), Version::HTTP_2);
        assert_eq!(request.uri().authority().unwrap(), BLOG);
        assert_eq!(request.headers()["te"], "trailers");
        assert!(!request.headers().contains_key("host"));
        let (sender, body) = streaming();
        let mut messages = request.into_body();
        tokio::spawn(async move {
            while let Some(Ok(frame)) = messages.frame().await {
                let _ = sender.send(frame);
            }
            let _ = sender.send(trailers("0"));
        });
        Response::builder().header("content-type", "application/grpc").body(body).unwrap()
    })
}

async fn connect(proxy: &TestProxy) -> Client2 {
    Client2::over(tls(proxy.https, &proxy.root, BLOG, "h2").await).await
}

async fn data(body: &mut Incoming) -> Bytes {
    soon(body.frame()).await.unwrap().unwrap().into_data().unwrap()
}

#[tokio::test]
async fn a_call_reaches_its_app_over_http2_and_ends_with_trailers() {
    let app = echoing().start().await;
    let proxy = TestProxy::with_route(BLOG, &[&app]).await;
    let reply = connect(&proxy).await.send(call("echo", "message")).await;
    assert_eq!((reply.status.as_u16(), reply.body.as_str()), (200, "message"));
    assert_eq!(reply.header("content-type"), Some("application/grpc"));
    assert_eq!(reply.trailer("grpc-status"), Some("0"));
    assert!(proxy.upstream().is_idle());
}

#[tokio::test]
async fn messages_pass_both_ways_as_they_come() {
    let app = echoing().start().await;
    let proxy = TestProxy::with_route(BLOG, &[&app]).await;
    let mut client = connect(&proxy).await;
    let (sender, body) = streaming();
    let (head, _) = call("chat", "").into_parts();
    let mut response = client.open(Request::from_parts(head, body)).await;
    for message in ["one", "two", "three"] {
        sender.send(Frame::data(message.into())).unwrap();
        assert_eq!(data(response.body_mut()).await, message);
    }
    assert_eq!(proxy.upstream().in_flight(), 1);
    drop(sender);
    let last = soon(response.body_mut().frame()).await.unwrap().unwrap();
    assert_eq!(last.trailers_ref().unwrap()["grpc-status"], "0");
    assert!(soon(response.body_mut().frame()).await.is_none());
    assert!(proxy.upstream().is_idle());
}

#[tokio::test]
async fn calls_share_a_connection_that_is_dialled_once() {
    let app = echoing().start().await;
    let proxy = TestProxy::with_route(BLOG, &[&app]).await;
    let client = connect(&proxy).await;
    let calls: Vec<_> = (0..50)
        .map(|_| {
            let mut client = client.clone();
            tokio::spawn(async move { client.send(call("echo", "message")).await.body })
        })
        .collect();
    for call in calls {
        assert_eq!(call.await.unwrap(), "message");
    }
    assert_eq!(app.connections(), 1);
}

#[tokio::test]
async fn more_calls_than_a_connection_takes_get_another() {
    let app = Backend::http2(|_| async { Response::new(streaming_for_ever()) }).start().await;
    let proxy = TestProxy::with_route(BLOG, &[&app]).await;
    let mut client = connect(&proxy).await;
    let mut calls = Vec::new();
    for number in 1..=101 {
        calls.push(client.open(call("watch", "").map(BodyExt::boxed)).await);
        assert_eq!(app.connections(), if number > 100 { 2 } else { 1 });
    }
}

fn streaming_for_ever() -> AnyBody {
    let (sender, body) = streaming();
    sender.send(Frame::data("first".into())).unwrap();
    tokio::spawn(async move { sender.closed().await });
    body
}

#[tokio::test]
async fn other_requests_of_the_same_client_stay_http1() {
    let app = Backend::replying("http1").start().await;
    let proxy = TestProxy::with_route(BLOG, &[&app]).await;
    let mut client = connect(&proxy).await;
    for content_type in ["application/grpc-web", "application/json"] {
        let (mut head, body) = call("x", "message").into_parts();
        head.headers.insert("content-type", HeaderValue::from_static(content_type));
        assert_eq!(client.send(Request::from_parts(head, body)).await.body, "http1");
    }
}

#[tokio::test]
async fn errors_of_the_proxy_are_told_as_grpc_tells_them() {
    let gone = Backend::refusing().await;
    let silent = Backend::http2(|_| std::future::pending()).start().await;
    let dying = Backend::speaking(|stream| async { drop(stream) }).start().await;
    let app = echoing().start().await;
    let rate = |policy: &mut Policy| {
        policy.rate_limit = Some(RateLimit { requests: 1, per: Duration::from_secs(600), burst: 1 });
    };
    type Change = Box<dyn Fn(&mut Policy)>;
    let cases: [(&str, &Backend, Change, u32); 6] = [
        ("14", &gone, Box::new(|_| ()), 502),
        ("14", &dying, Box::new(|_| ()), 502),
        ("4", &silent, Box::new(|policy| policy.timeouts.first_byte = Duration::from_millis(20)), 504),
        ("7", &app, Box::new(|policy| policy.access.deny = vec!["127.0.0.1/32".parse().unwrap()]), 403),
        ("8", &app, Box::new(|policy| policy.body_max = Some(3)), 413),
        ("8", &app, Box::new(rate), 429),
    ];
    for (status, backend, change, http) in cases {
        let mut policy = Policy::default();
        change(&mut policy);
        let proxy = TestProxy::with_policy(BLOG, &[backend], policy).await;
        let mut client = connect(&proxy).await;
        if http == 429 {
            client.send(call("echo", "message")).await;
        }
        let response = client.open(call("echo", "message").map(BodyExt::boxed)).await;
        assert_eq!(response.status(), 200, "{http}");
        assert_eq!(response.headers()["content-type"], "application/grpc");
        assert_eq!(response.headers()["grpc-status"], status, "{http}");
        assert!(response.headers()["grpc-message"].to_str().unwrap().len() > 10);
        assert!(response.body().is_end_stream(), "nothing but headers: {http}");
    }
    let proxy = TestProxy::with_route("other.localhost", &[&app]).await;
    let reply = connect(&proxy).await.send(call("echo", "message")).await;
    assert_eq!((reply.status.as_u16(), reply.header("grpc-status")), (200, Some("12")), "no route");
}

#[tokio::test]
async fn a_client_that_leaves_a_call_ends_it_for_the_app() {
    let (told, mut left) = tokio::sync::mpsc::unbounded_channel();
    let app = Backend::http2(move |_| {
        let told = told.clone();
        async move {
            let (sender, body) = streaming();
            sender.send(Frame::data("first".into())).unwrap();
            tokio::spawn(async move {
                sender.closed().await;
                let _ = told.send(());
            });
            Response::new(body)
        }
    });
    let app = app.start().await;
    let proxy = TestProxy::with_route(BLOG, &[&app]).await;
    let mut client = connect(&proxy).await;
    let mut response = client.open(call("watch", "").map(BodyExt::boxed)).await;
    assert_eq!(data(response.body_mut()).await, "first");
    drop(response);
    soon(left.recv()).await.unwrap();
    crate::support::eventually("the call is uncounted", || proxy.upstream().is_idle()).await;
    let ended = Request::from_parts(call("x", "").into_parts().0, full(""));
    let again = client.open(ended).await;
    assert_eq!(app.connections(), 1, "the connection goes on: {:?}", again.status());
}
