//! Who asks, as the app is told: from anybody, and from a proxy that is trusted.

use std::sync::Arc;

use http::{HeaderName, HeaderValue, Request, Version};
use http_body_util::Full;
use minipaas::policy::Policy;
use minipaas::proxy::{ProxyConfig, Trust};

use super::BLOG;
use crate::support::backend::{Backend, Seen};
use crate::support::client::{Client, Client2, Reply, get, tls};
use crate::support::proxy::TestProxy;

type Headers<'h> = &'h [(&'static str, &'static str)];

/// A proxy that trusts these networks.
async fn trusting(networks: &[&str], client_ip_header: Option<&'static str>, app: &Backend) -> TestProxy {
    let trust = Trust {
        proxies: networks.iter().map(|net| net.parse().unwrap()).collect(),
        client_ip_header: client_ip_header.map(HeaderName::from_static),
        proxy_protocol: false,
    };
    let proxy = TestProxy::start(ProxyConfig { trust, ..ProxyConfig::new("localhost") }).await;
    proxy.publish([proxy.route(BLOG, &[app])]);
    proxy
}

fn request(headers: Headers<'_>) -> Request<Full<bytes::Bytes>> {
    let mut request = get(BLOG, "/");
    for (name, value) in headers {
        request.headers_mut().append(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    request
}

/// What the app saw of a request with these headers.
async fn seen(proxy: &TestProxy, app: &Backend, headers: Headers<'_>) -> (Seen, Reply) {
    let reply = proxy.send(request(headers)).await;
    (app.seen().last().unwrap().clone(), reply)
}

#[tokio::test]
async fn a_trusted_proxy_names_the_client() {
    let app = Backend::replying("app").start().await;
    let proxy = trusting(&["127.0.0.0/8", "10.0.0.0/8"], None, &app).await;
    let (seen, _) = seen(
        &proxy,
        &app,
        &[
            ("x-forwarded-for", "198.51.100.7, 192.0.2.1, 10.0.0.2"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-host", "shop.example"),
            ("x-request-id", "5f2b1c1e-7a6b-4c1d"),
            ("forwarded", "for=198.51.100.7"),
        ],
    )
    .await;
    assert_eq!(seen.header("x-forwarded-for"), Some("192.0.2.1, 10.0.0.2, 127.0.0.1"));
    assert_eq!(seen.header("x-forwarded-proto"), Some("https"));
    assert_eq!(seen.header("x-forwarded-port"), Some("443"));
    assert_eq!(seen.header("x-forwarded-host"), Some("shop.example"));
    assert_eq!(seen.header("host"), Some(BLOG));
    assert_eq!(seen.header("x-request-id"), Some("5f2b1c1e-7a6b-4c1d"));
    assert_eq!(
        seen.header("forwarded"),
        Some("for=192.0.2.1;host=shop.example;proto=https, for=10.0.0.2, for=127.0.0.1")
    );
}

#[tokio::test]
async fn nobody_else_names_a_client() {
    let app = Backend::replying("app").start().await;
    let proxy = trusting(&["192.0.2.0/24"], Some("cf-connecting-ip"), &app).await;
    let forged =
        [("x-forwarded-for", "192.0.2.1"), ("cf-connecting-ip", "192.0.2.1"), ("x-request-id", "forged-id")];
    let (seen, _) = seen(&proxy, &app, &forged).await;
    assert_eq!(seen.header("x-forwarded-for"), Some("127.0.0.1"));
    assert_eq!(seen.header("x-request-id").map(str::len), Some(32));
}

#[tokio::test]
async fn a_header_of_the_operators_choice_names_the_client() {
    let app = Backend::replying("app").start().await;
    let proxy = trusting(&["127.0.0.1/32"], Some("cf-connecting-ip"), &app).await;
    let chain = ("x-forwarded-for", "198.51.100.1");
    let (named, _) = seen(&proxy, &app, &[chain, ("cf-connecting-ip", "2001:db8::1")]).await;
    assert_eq!(named.header("x-forwarded-for"), Some("2001:db8::1, 127.0.0.1"));
    let (missing, _) = seen(&proxy, &app, &[chain]).await;
    assert_eq!(missing.header("x-forwarded-for"), Some("127.0.0.1"));
}

#[tokio::test]
async fn the_redirect_to_https_follows_the_believed_scheme() {
    let app = Backend::replying("app").start().await;
    let proxy = trusting(&["127.0.0.1/32"], None, &app).await;
    let mut route = proxy.route(BLOG, &[&app]);
    route.policy = Arc::new(Policy::default());
    proxy.publish([route]);
    let reply = proxy.send(request(&[("x-forwarded-proto", "https")])).await;
    assert_eq!(reply.body, "app");
    let reply = proxy.send(request(&[("x-forwarded-proto", "http")])).await;
    assert_eq!(reply.header("location"), Some("https://blog.localhost/"));
    let reply = proxy.send(request(&[])).await;
    assert!(reply.status.is_redirection());
    let mut over_tls = Client::over(tls(proxy.https, &proxy.root, BLOG, "http/1.1").await).await;
    let reply = over_tls.send(request(&[("x-forwarded-proto", "http")])).await;
    assert_eq!(
        reply.header("location"),
        Some("https://blog.localhost/"),
        "the client speaks http to the proxy"
    );
}

#[tokio::test]
async fn requests_of_one_connection_may_be_of_many_clients() {
    let app = Backend::replying("app").start().await;
    let proxy = trusting(&["127.0.0.1/32"], None, &app).await;
    let mut client = Client2::over(tls(proxy.https, &proxy.root, BLOG, "h2").await).await;
    for address in ["192.0.2.1", "192.0.2.2", "127.0.0.1"] {
        let mut request = Request::get("https://blog.localhost/").body(Full::default()).unwrap();
        *request.version_mut() = Version::HTTP_2;
        request.headers_mut().insert("x-forwarded-for", HeaderValue::from_static(address));
        client.send(request).await;
    }
    let told: Vec<_> =
        app.seen().iter().map(|seen| seen.header("x-forwarded-for").unwrap().to_owned()).collect();
    assert_eq!(told, ["192.0.2.1, 127.0.0.1", "192.0.2.2, 127.0.0.1", "127.0.0.1, 127.0.0.1"]);
}
