//! Who gets to an app, and what is done to headers and bodies on the way.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use http::header::{HeaderName, HeaderValue};
use http::{Response, Version};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use minipaas::policy::{Access, HeaderEdits, Hsts, Policy, Redirect, Timeouts};
use minipaas::proxy::ProxyConfig;
use minipaas::route::{Maintenance, Mode};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

use super::BLOG;
use crate::support::backend::{AnyBody, Backend, full};
use crate::support::client::{Client, Client2, Raw, get, post, tls};
use crate::support::proxy::TestProxy;
use crate::support::{eventually, soon};

/// A body that says something and then nothing more.
fn endless(first: &'static str) -> AnyBody {
    let first = futures_util::stream::iter([Ok(Frame::data(Bytes::from(first)))]);
    let body = StreamBody::new(first.chain(futures_util::stream::pending()));
    BodyExt::boxed(body)
}

fn with_header(
    target: &str,
    name: &'static str,
    value: &'static str,
) -> http::Request<http_body_util::Full<Bytes>> {
    let mut request = get(BLOG, target);
    request.headers_mut().insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    request
}

#[tokio::test]
async fn an_app_in_maintenance_answers_those_who_may_pass() {
    let app = Backend::replying("app").start().await;
    let proxy = TestProxy::start(ProxyConfig::new("localhost")).await;
    let maintenance = |allow: &str| {
        Mode::Maintenance(Arc::new(Maintenance {
            allow: vec![allow.parse().unwrap()],
            cookie: Some(Maintenance::digest(b"secret")),
            page: Some("<p>back at noon {status}</p>".into()),
            retry_after: Some(Duration::from_secs(600)),
            health_path: Some("/up".to_owned()),
        }))
    };
    let publish = |allow: &str| {
        let mut route = proxy.route(BLOG, &[&app]);
        route.mode = maintenance(allow);
        proxy.publish([route]);
    };
    publish("192.0.2.0/24");
    let reply = proxy.send(get(BLOG, "/")).await;
    assert_eq!((reply.status.as_u16(), reply.body.as_str()), (503, "<p>back at noon 503</p>"));
    assert_eq!(reply.header("retry-after"), Some("600"));
    let json = proxy.send(with_header("/", "accept", "application/json")).await;
    assert!(json.body.contains("\"code\":\"maintenance\""), "{}", json.body);
    assert_eq!(proxy.send(get(BLOG, "/up")).await.status, 200);
    assert_eq!(app.seen().len(), 0);
    let cookies = "a=b; minipaas_bypass=secret; c=d";
    assert_eq!(proxy.send(with_header("/", "cookie", cookies)).await.body, "app");
    assert_eq!(app.seen()[0].header("cookie"), Some("a=b; c=d"), "the app does not learn what passes");
    publish("127.0.0.0/8");
    assert_eq!(proxy.send(get(BLOG, "/")).await.body, "app");
}

#[tokio::test]
async fn another_host_leads_to_the_canonical_one() {
    let app = Backend::replying("app").start().await;
    let proxy = TestProxy::start(ProxyConfig::new("localhost")).await;
    let policy = Policy {
        https_redirect: false,
        canonical_host: Some("www.blog.localhost".parse().unwrap()),
        ..Policy::default()
    };
    let routes = [BLOG, "www.blog.localhost"].map(|host| {
        let mut route = proxy.route(host, &[&app]);
        route.policy = Arc::new(policy.clone());
        route
    });
    proxy.publish(routes);
    let reply = proxy.send(get("blog.localhost:8080", "/a?b=c")).await;
    assert_eq!(reply.status, 308);
    assert_eq!(reply.header("location"), Some("http://www.blog.localhost:8080/a?b=c"));
    assert_eq!(proxy.send(get("www.blog.localhost:8080", "/")).await.body, "app");
}

#[tokio::test]
async fn a_path_that_moved_is_redirected() {
    let app = Backend::replying("app").start().await;
    let redirect = |from: &str, to: &str, status| Redirect { from: from.into(), to: to.into(), status };
    let redirects = vec![redirect("/old/*", "/new/*", 301), redirect("/", "https://elsewhere.example/", 302)];
    let proxy = TestProxy::with_policy(BLOG, &[&app], Policy { redirects, ..Policy::default() }).await;
    for (target, status, location) in
        [("/old/a?b", 301, "/new/a?b"), ("/", 302, "https://elsewhere.example/")]
    {
        let reply = proxy.send(get(BLOG, target)).await;
        assert_eq!((reply.status.as_u16(), reply.header("location")), (status, Some(location)));
    }
    assert_eq!(proxy.send(get(BLOG, "/other")).await.body, "app");
}

#[tokio::test]
async fn a_denied_address_stays_out() {
    let app = Backend::replying("app").start().await;
    let access = Access { deny: vec!["127.0.0.0/8".parse().unwrap()], ..Access::default() };
    let proxy = TestProxy::with_policy(BLOG, &[&app], Policy { access, ..Policy::default() }).await;
    let reply = proxy.send(with_header("/", "accept", "application/json")).await;
    assert_eq!(reply.status, 403);
    assert!(reply.body.contains("address-denied"));
    let access = Access { allow: vec!["127.0.0.0/8".parse().unwrap()], ..Access::default() };
    let proxy = TestProxy::with_policy(BLOG, &[&app], Policy { access, ..Policy::default() }).await;
    assert_eq!(proxy.send(get(BLOG, "/")).await.body, "app");
}

#[tokio::test]
async fn a_body_that_is_too_large_is_refused_before_it_is_sent() {
    let app = Backend::replying("app").start().await;
    let policy = Policy { body_max: Some(5), ..Policy::default() };
    let proxy = TestProxy::with_policy(BLOG, &[&app], policy).await;
    assert_eq!(proxy.send(post(BLOG, "/", "12345")).await.body, "app");
    let mut raw = Raw::connect(proxy.http).await;
    raw.send("POST / HTTP/1.1\r\nHost: blog.localhost\r\nContent-Length: 6\r\n\r\n").await;
    let reply = String::from_utf8(raw.rest().await).unwrap();
    assert!(reply.starts_with("HTTP/1.1 413 ") && reply.contains("connection: close"), "{reply}");
    assert_eq!(app.seen().len(), 1);
}

#[tokio::test]
async fn a_body_that_becomes_too_large_is_refused_as_it_does() {
    let app = Backend::replying("app").start().await;
    let policy = Policy { body_max: Some(5), ..Policy::default() };
    let proxy = TestProxy::with_policy(BLOG, &[&app], policy).await;
    let mut raw = Raw::connect(proxy.http).await;
    raw.send("POST / HTTP/1.1\r\nHost: blog.localhost\r\nTransfer-Encoding: chunked\r\n\r\n").await;
    raw.send("5\r\n12345\r\n1\r\n6\r\n").await;
    let reply = String::from_utf8(raw.rest().await).unwrap();
    assert!(reply.starts_with("HTTP/1.1 413 ") && reply.contains("connection: close"), "{reply}");
    assert_eq!(app.seen().len(), 0);
    eventually("the request is uncounted", || proxy.upstream().is_idle()).await;
}

#[tokio::test]
async fn a_body_that_does_not_go_on_is_408() {
    let app = Backend::replying("app").start().await;
    let timeouts = Timeouts { idle: Some(Duration::from_millis(50)), ..Timeouts::default() };
    let proxy = TestProxy::with_policy(BLOG, &[&app], Policy { timeouts, ..Policy::default() }).await;
    let mut raw = Raw::connect(proxy.http).await;
    raw.send("POST / HTTP/1.1\r\nHost: blog.localhost\r\nContent-Length: 10\r\n\r\nhalf").await;
    let reply = String::from_utf8(raw.rest().await).unwrap();
    assert!(reply.starts_with("HTTP/1.1 408 ") && reply.contains("connection: close"), "{reply}");
    assert!(proxy.upstream().is_idle());
}

#[tokio::test]
async fn a_request_that_takes_too_long_is_504_or_cut() {
    let app = Backend::answering(|seen| async move {
        if seen.uri.path() == "/silent" {
            std::future::pending().await
        } else {
            Response::new(endless("some"))
        }
    });
    let app = app.start().await;
    let timeouts = Timeouts { whole: Some(Duration::from_millis(80)), ..Timeouts::default() };
    let proxy = TestProxy::with_policy(BLOG, &[&app], Policy { timeouts, ..Policy::default() }).await;
    let reply = proxy.send(with_header("/silent", "accept", "application/json")).await;
    assert_eq!(reply.status, 504);
    assert!(reply.body.contains("request-timeout"), "{}", reply.body);
    let mut client = Client::connect(proxy.http).await;
    assert!(client.try_send(get(BLOG, "/endless")).await.is_err());
    eventually("both are uncounted", || proxy.upstream().is_idle()).await;
}

#[tokio::test]
async fn a_response_that_falls_silent_is_cut() {
    let app = Backend::answering(|_| async { Response::new(endless("some")) }).start().await;
    let timeouts = Timeouts { idle: Some(Duration::from_millis(50)), ..Timeouts::default() };
    let proxy = TestProxy::with_policy(BLOG, &[&app], Policy { timeouts, ..Policy::default() }).await;
    assert!(Client::connect(proxy.http).await.try_send(get(BLOG, "/")).await.is_err());
    eventually("it is uncounted", || proxy.upstream().is_idle()).await;
}

#[tokio::test]
async fn headers_are_removed_and_set_in_both_directions() {
    let app = Backend::answering(|_| async {
        Response::builder().header("server", "app").header("x-a", "1").body(full("body")).unwrap()
    });
    let app = app.start().await;
    let name = HeaderName::from_static;
    let value = HeaderValue::from_static;
    let policy = Policy {
        request_headers: HeaderEdits {
            remove: vec![name("x-secret")],
            set: vec![(name("x-env"), value("test"))],
        },
        response_headers: HeaderEdits {
            remove: vec![name("server"), name("content-length")],
            set: vec![(name("x-a"), value("2"))],
        },
        ..Policy::default()
    };
    let proxy = TestProxy::with_policy(BLOG, &[&app], policy).await;
    let reply = proxy.send(with_header("/", "x-secret", "1")).await;
    assert_eq!((reply.header("server"), reply.header("x-a")), (None, Some("2")));
    assert_eq!(reply.header("content-length"), Some("4"), "a length is not a policy's to remove");
    let seen = app.seen().remove(0);
    assert_eq!((seen.header("x-secret"), seen.header("x-env")), (None, Some("test")));
}

#[tokio::test]
async fn hsts_is_said_over_https_alone() {
    let app = Backend::replying("app").start().await;
    let hsts = Hsts { max_age: Duration::from_secs(60), subdomains: true, preload: false };
    let policy = Policy { hsts: Some(hsts), ..Policy::default() };
    let proxy = TestProxy::with_policy(BLOG, &[&app], policy).await;
    assert_eq!(proxy.send(get(BLOG, "/")).await.header("strict-transport-security"), None);
    let stream = tls(proxy.https, &proxy.root, BLOG, "h2").await;
    let mut request = get(BLOG, "https://blog.localhost/");
    *request.version_mut() = Version::HTTP_2;
    let reply = Client2::over(stream).await.send(request).await;
    assert_eq!(reply.header("strict-transport-security"), Some("max-age=60; includeSubDomains"));
}

#[tokio::test]
async fn an_app_behind_a_stripped_prefix_keeps_its_cookies_and_redirects_there() {
    let app = Backend::answering(|_| async {
        let response = Response::builder().status(302).header("location", "/login");
        response.header("set-cookie", "a=b; Path=/x").header("set-cookie", "c=d").body(full("")).unwrap()
    });
    let app = app.start().await;
    let proxy = TestProxy::start(ProxyConfig::new("localhost")).await;
    for (scope_cookies, cookies) in
        [(true, ["a=b; Path=/api/x", "c=d; Path=/api"]), (false, ["a=b; Path=/x", "c=d"])]
    {
        let mut route = proxy.route(BLOG, &[&app]);
        (route.path, route.strip_prefix) = ("/api".parse().unwrap(), true);
        route.policy = Arc::new(Policy { https_redirect: false, scope_cookies, ..Policy::default() });
        proxy.publish([route]);
        let reply = proxy.send(get(BLOG, "/api/y")).await;
        assert_eq!(reply.header("location"), Some("/api/login"));
        assert_eq!(reply.headers.get_all("set-cookie").iter().collect::<Vec<_>>(), cookies);
    }
}

#[tokio::test]
async fn a_client_has_so_many_connections_and_no_more() {
    let config = ProxyConfig {
        client_connections_max: 2,
        unlimited_clients: Vec::new(),
        ..ProxyConfig::new("localhost")
    };
    let proxy = TestProxy::start(config).await;
    let (mut first, mut second) = (Client::connect(proxy.http).await, Client::connect(proxy.http).await);
    assert_eq!(first.send(get(BLOG, "/")).await.status, 404);
    assert_eq!(second.send(get(BLOG, "/")).await.status, 404);
    let mut third = TcpStream::connect(proxy.http).await.unwrap();
    assert!(matches!(soon(third.read(&mut [0])).await, Ok(0) | Err(_)));
    assert_eq!(proxy.routes.snapshot().global.refused, 1);
    drop(first);
    let mut fourth = None;
    while fourth.is_none() {
        let mut client = Client::connect(proxy.http).await;
        fourth = client.try_send(get(BLOG, "/")).await.ok();
    }
}
