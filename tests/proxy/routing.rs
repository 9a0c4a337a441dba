use std::sync::Arc;

use http::Method;
use minipaas::proxy::ProxyConfig;
use minipaas::route::Mode;
use minipaas::tls::CA_PATH;

use super::BLOG;
use crate::support::backend::Backend;
use crate::support::client::{Client, Raw, Reply, get, post, tls};
use crate::support::proxy::TestProxy;

#[tokio::test]
async fn the_host_chooses_the_app() {
    let (blog, shop) = (Backend::replying("blog").start().await, Backend::replying("shop").start().await);
    let proxy = TestProxy::with_route(BLOG, &[&blog]).await;
    proxy.publish([proxy.route(BLOG, &[&blog]), proxy.route("shop.localhost", &[&shop])]);
    for (host, expected) in [(BLOG, "blog"), ("Shop.LocalHost:8080", "shop"), ("blog.localhost.", "blog")] {
        assert_eq!(proxy.send(get(host, "/")).await.body, expected, "{host}");
    }
    assert_eq!(
        shop.seen()[0].header("host"),
        Some("Shop.LocalHost:8080"),
        "the app sees what the client sent"
    );
}

#[tokio::test]
async fn an_absolute_target_reaches_the_app_as_a_path() {
    let blog = Backend::replying("blog").start().await;
    let proxy = TestProxy::with_route(BLOG, &[&blog]).await;
    let mut raw = Raw::connect(proxy.http).await;
    raw.send("GET http://blog.localhost/a?b HTTP/1.1\r\nHost: blog.localhost\r\nConnection: close\r\n\r\n")
        .await;
    assert!(raw.rest().await.ends_with(b"blog"));
    assert_eq!(blog.seen()[0].uri, "/a?b");
    assert_eq!(blog.seen()[0].header("host"), Some(BLOG));
}

#[tokio::test]
async fn a_request_without_one_valid_host_is_refused() {
    let blog = Backend::replying("blog").start().await;
    let proxy = TestProxy::with_route("*", &[&blog]).await;
    for hosts in ["", "Host: a\r\nHost: b\r\n", "Host: a b\r\n", "Host: \r\n", "Host: a@b\r\n"] {
        let mut raw = Raw::connect(proxy.http).await;
        raw.send(&format!("GET / HTTP/1.1\r\n{hosts}Connection: close\r\n\r\n")).await;
        assert!(raw.rest().await.starts_with(b"HTTP/1.1 400 "), "{hosts:?}");
    }
    assert_eq!(blog.seen().len(), 0);
}

#[tokio::test]
async fn a_stripped_prefix_is_told_to_the_app() {
    let api = Backend::replying("api").start().await;
    let proxy = TestProxy::with_route(BLOG, &[&api]).await;
    let mut route = proxy.route(BLOG, &[&api]);
    route.path = "/api".parse().unwrap();
    route.strip_prefix = true;
    proxy.publish([route]);
    proxy.send(get(BLOG, "/api/users?sort=name")).await;
    proxy.send(get(BLOG, "/api")).await;
    let seen = api.seen();
    assert_eq!(seen[0].uri, "/users?sort=name");
    assert_eq!(seen[0].header("x-forwarded-prefix"), Some("/api"));
    assert_eq!(seen[1].uri, "/");
}

#[tokio::test]
async fn a_redirect_keeps_method_path_query_and_names_the_port() {
    let blog = Backend::replying("blog").start().await;
    for (port, expected) in
        [(443, "https://blog.localhost/a?b=c"), (8443, "https://blog.localhost:8443/a?b=c")]
    {
        let proxy = TestProxy::start(ProxyConfig { https_port: port, ..ProxyConfig::new("localhost") }).await;
        let mut route = proxy.route(BLOG, &[&blog]);
        route.policy = Arc::default();
        proxy.publish([route]);
        let reply = proxy.send(post("blog.localhost:80", "/a?b=c", "body")).await;
        assert_eq!((reply.status.as_u16(), reply.header("location")), (308, Some(expected)));
    }
    assert_eq!(blog.seen().len(), 0);
}

#[tokio::test]
async fn the_ca_is_served_on_any_host_and_listener() {
    let app = Backend::replying("app").start().await;
    let ca_pem = Some(Arc::from("-----BEGIN CERTIFICATE-----"));
    let proxy = TestProxy::start(ProxyConfig { ca_pem, ..ProxyConfig::new("localhost") }).await;
    let mut route = proxy.route(BLOG, &[&app]);
    route.mode = Mode::Maintenance(Arc::default());
    route.policy = Arc::default();
    proxy.publish([route]);
    let check = |reply: Reply, body: &str| {
        assert_eq!(
            (reply.status.as_u16(), reply.header("content-type")),
            (200, Some("application/x-x509-ca-cert"))
        );
        assert_eq!(reply.header("content-length"), Some("27"));
        assert_eq!(reply.body, body.to_owned());
    };
    for host in ["whatever", BLOG, "127.0.0.1"] {
        check(proxy.send(get(host, CA_PATH)).await, "-----BEGIN CERTIFICATE-----");
        let mut head = get(host, CA_PATH);
        *head.method_mut() = Method::HEAD;
        check(proxy.send(head).await, "");
    }
    let mut https = Client::over(tls(proxy.https, &proxy.root, BLOG, "http/1.1").await).await;
    check(https.send(get(BLOG, CA_PATH)).await, "-----BEGIN CERTIFICATE-----");
    // The app's, as whatever else is.
    assert_eq!(https.send(post(BLOG, CA_PATH, "body")).await.status.as_u16(), 503);
    assert_eq!(app.seen().len(), 0);
}
