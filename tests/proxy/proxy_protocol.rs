//! The PROXY protocol before http and https: who must send it, who may not, and what is made of it.

use std::net::SocketAddr;
use std::time::Duration;

use minipaas::policy::ProxyVersion;
use minipaas::proxy::proxy_protocol::{Addresses, encode};
use minipaas::proxy::{ProxyConfig, Trust};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::BLOG;
use crate::support::backend::Backend;
use crate::support::client::{Client, Raw, get};
use crate::support::proxy::TestProxy;
use crate::support::soon;

const GET: &str = "GET / HTTP/1.1\r\nHost: blog.localhost\r\nConnection: close\r\n\r\n";

/// A proxy that reads headers from these networks.
async fn behind(networks: &[&str], app: &Backend) -> TestProxy {
    let trust = Trust {
        proxies: networks.iter().map(|net| net.parse().unwrap()).collect(),
        client_ip_header: None,
        proxy_protocol: true,
    };
    let proxy = TestProxy::start(ProxyConfig { trust, ..ProxyConfig::new("localhost") }).await;
    proxy.publish([proxy.route(BLOG, &[app])]);
    proxy
}

fn addresses(from: &str, to: &str) -> Addresses {
    Addresses { from: from.parse().unwrap(), to: to.parse().unwrap() }
}

async fn connect(addr: SocketAddr, version: ProxyVersion, addresses: Addresses) -> TcpStream {
    let mut stream = TcpStream::connect(addr).await.unwrap();
    stream.write_all(&encode(version, addresses)).await.unwrap();
    stream
}

#[tokio::test]
async fn a_trusted_proxy_names_the_client_in_either_version() {
    let app = Backend::replying("app").start().await;
    let proxy = behind(&["127.0.0.0/8"], &app).await;
    for (version, from, to, client) in [
        (ProxyVersion::V1, "192.0.2.1:4711", "198.51.100.1:8080", "192.0.2.1"),
        (ProxyVersion::V2, "[2001:db8::1]:4711", "[2001:db8::2]:8080", "2001:db8::1"),
    ] {
        let stream = connect(proxy.http, version, addresses(from, to)).await;
        let mut client_side = Client::over(stream).await;
        let mut request = get(BLOG, "/");
        request.headers_mut().insert("x-forwarded-for", "10.0.0.1".parse().unwrap());
        assert_eq!(client_side.send(request).await.body, "app");
        let seen = app.seen();
        let seen = seen.last().unwrap();
        assert_eq!(seen.header("x-forwarded-for"), Some(client), "the client itself is not trusted");
        assert_eq!(seen.header("x-forwarded-port"), Some("8080"));
    }
}

#[tokio::test]
async fn a_client_in_the_header_that_is_trusted_names_the_next_one() {
    let app = Backend::replying("app").start().await;
    let proxy = behind(&["127.0.0.0/8", "10.0.0.0/8"], &app).await;
    let stream = connect(proxy.http, ProxyVersion::V2, addresses("10.0.0.9:1", "10.0.0.1:80")).await;
    let mut request = get(BLOG, "/");
    request.headers_mut().insert("x-forwarded-for", "192.0.2.1".parse().unwrap());
    Client::over(stream).await.send(request).await;
    assert_eq!(app.seen()[0].header("x-forwarded-for"), Some("192.0.2.1, 10.0.0.9"));
}

#[tokio::test]
async fn the_header_comes_before_tls() {
    let app = Backend::replying("app").start().await;
    let proxy = behind(&["127.0.0.0/8"], &app).await;
    let stream = connect(proxy.https, ProxyVersion::V1, addresses("192.0.2.1:4711", "192.0.2.2:443")).await;
    let mut roots = rustls::RootCertStore::empty();
    roots.add(proxy.root.clone()).unwrap();
    let config = rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    let connector = TlsConnector::from(std::sync::Arc::new(config));
    let stream = soon(connector.connect(BLOG.try_into().unwrap(), stream)).await.unwrap();
    assert_eq!(Client::over(stream).await.send(get(BLOG, "/")).await.body, "app");
    let seen = &app.seen()[0];
    assert_eq!(
        (seen.header("x-forwarded-for"), seen.header("x-forwarded-proto"), seen.header("x-forwarded-port")),
        (Some("192.0.2.1"), Some("https"), Some("443"))
    );
}

#[tokio::test]
async fn a_proxy_may_speak_for_itself() {
    let app = Backend::replying("app").start().await;
    let proxy = behind(&["127.0.0.0/8"], &app).await;
    for header in [&b"PROXY UNKNOWN\r\n"[..], b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0"] {
        let mut raw = Raw::connect(proxy.http).await;
        raw.0.write_all(header).await.unwrap();
        raw.send(GET).await;
        assert!(raw.rest().await.starts_with(b"HTTP/1.1 200 "));
        assert_eq!(app.seen().last().unwrap().header("x-forwarded-for"), Some("127.0.0.1"));
    }
}

#[tokio::test]
async fn a_trusted_connection_without_a_header_is_closed() {
    let app = Backend::replying("app").start().await;
    let proxy = behind(&["127.0.0.0/8"], &app).await;
    for start in [GET, "PROXY TCP4 192.0.2.1 192.0.2.2 1\r\n", "PROXY TCP4 999.0.2.1 192.0.2.2 1 2\r\n"] {
        let mut raw = Raw::connect(proxy.http).await;
        raw.send(start).await;
        assert_eq!(raw.rest().await, b"", "{start:?}");
    }
    assert_eq!(app.connections(), 0);
}

#[tokio::test]
async fn a_header_of_anybody_else_is_not_read() {
    let app = Backend::replying("app").start().await;
    let proxy = behind(&["192.0.2.0/24"], &app).await;
    let mut raw = Raw::connect(proxy.http).await;
    raw.send(&format!("PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n{GET}")).await;
    assert!(raw.rest().await.starts_with(b"HTTP/1.1 400 "));
    assert_eq!(app.connections(), 0);
    let mut raw = Raw::connect(proxy.http).await;
    raw.send(GET).await;
    assert!(raw.rest().await.starts_with(b"HTTP/1.1 200 "), "it needs none");
}

#[tokio::test(start_paused = true)]
async fn a_header_that_does_not_come_is_waited_for_5_seconds() {
    let app = Backend::replying("app").start().await;
    let proxy = behind(&["127.0.0.0/8"], &app).await;
    let start = tokio::time::Instant::now();
    let mut raw = Raw::connect(proxy.http).await;
    raw.send("PROXY ").await;
    assert_eq!(raw.rest().await, b"");
    assert!((5..=6).contains(&start.elapsed().as_secs()), "{:?}", start.elapsed());
    assert!(start.elapsed() >= Duration::from_secs(5));
}
