use http::{HeaderName, HeaderValue, Method, Response};

use super::BLOG;
use crate::support::backend::{Backend, full};
use crate::support::client::{Client, Raw, get};
use crate::support::proxy::TestProxy;

#[tokio::test]
async fn the_app_learns_of_its_client_from_the_proxy_alone() {
    let app = Backend::replying("app").start().await;
    let proxy = TestProxy::with_route(BLOG, &[&app]).await;
    let mut request = get(BLOG, "/");
    for name in ["x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "x-request-id", "forwarded"] {
        request.headers_mut().insert(HeaderName::from_static(name), HeaderValue::from_static("forged"));
    }
    proxy.send(request).await;
    let seen = &app.seen()[0];
    assert_eq!(seen.header("x-forwarded-for"), Some("127.0.0.1"));
    assert_eq!(seen.header("x-forwarded-proto"), Some("http"));
    assert_eq!(seen.header("x-forwarded-host"), Some(BLOG));
    assert_eq!(seen.header("x-forwarded-port"), Some(proxy.http.port().to_string().as_str()));
    assert_eq!(seen.header("forwarded"), Some("for=127.0.0.1;host=blog.localhost;proto=http"));
    assert_eq!(seen.header("x-request-id").map(str::len), Some(32));
    assert!(seen.header("x-request-start").unwrap().parse::<u64>().unwrap() > 1_700_000_000_000);
}

#[tokio::test]
async fn headers_of_one_connection_do_not_pass() {
    let app = Backend::answering(|_| async {
        let mut response = Response::new(full("app"));
        for (name, value) in [
            ("connection", "x-mine, keep-alive"),
            ("x-mine", "1"),
            ("keep-alive", "timeout=5"),
            ("x-kept", "1"),
        ] {
            response.headers_mut().insert(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        response
    });
    let app = app.start().await;
    let proxy = TestProxy::with_route(BLOG, &[&app]).await;
    let mut request = get(BLOG, "/");
    for (name, value) in
        [("connection", "x-secret"), ("x-secret", "1"), ("te", "gzip"), ("proxy-authorization", "x")]
    {
        request.headers_mut().insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    let reply = proxy.send(request).await;
    let mut names: Vec<_> = reply.headers.keys().map(HeaderName::as_str).collect();
    names.sort_unstable();
    assert_eq!(names, ["content-length", "date", "x-kept"]);
    let seen = &app.seen()[0];
    for name in ["connection", "x-secret", "te", "proxy-authorization"] {
        assert_eq!(seen.header(name), None, "{name}");
    }
}

#[tokio::test]
async fn a_response_to_head_keeps_its_length() {
    let app = Backend::replying("twelve bytes").start().await;
    let proxy = TestProxy::with_route(BLOG, &[&app]).await;
    let mut client = Client::connect(proxy.http).await;
    let mut request = get(BLOG, "/");
    *request.method_mut() = Method::HEAD;
    let reply = client.send(request).await;
    assert_eq!((reply.header("content-length"), reply.body.as_str()), (Some("12"), ""));
    assert_eq!(app.seen()[0].method, Method::HEAD);
    assert_eq!(client.send(get(BLOG, "/")).await.body, "twelve bytes", "the connection goes on");
}

#[tokio::test]
async fn one_message_cannot_be_read_as_two() {
    let app = Backend::replying("app").start().await;
    let proxy = TestProxy::with_route(BLOG, &[&app]).await;
    let mut raw = Raw::connect(proxy.http).await;
    raw.send(
        "POST / HTTP/1.1\r\nHost: blog.localhost\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n",
    )
    .await;
    raw.send("3\r\nabc\r\n0\r\n\r\n").await;
    raw.send("GET /second HTTP/1.1\r\nHost: blog.localhost\r\nConnection: close\r\n\r\n").await;
    raw.rest().await;
    let seen = app.seen();
    assert!(seen.iter().all(|request| request.header("content-length").is_none() || request.body.is_empty()));
    assert!(seen.is_empty() || seen[0].body == "abc", "{seen:?}");
}

#[tokio::test]
async fn a_head_that_is_too_long_is_refused() {
    let app = Backend::replying("app").start().await;
    let proxy = TestProxy::with_route(BLOG, &[&app]).await;
    let mut raw = Raw::connect(proxy.http).await;
    raw.send(&format!("GET / HTTP/1.1\r\nHost: blog.localhost\r\nX-Long: {}\r\n", "a".repeat(70_000))).await;
    assert!(raw.until("\r\n").await.starts_with("HTTP/1.1 431 "));
    assert_eq!(app.connections(), 0);
}
