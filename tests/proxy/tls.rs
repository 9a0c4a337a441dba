//! Over TLS: which HTTP is spoken, and whose certificate a client meets.

use std::sync::Arc;

use http::{HeaderValue, header};
use minipaas::proxy::ProxyConfig;
use minipaas::seal::BoxKey;
use minipaas::tls::{Chain, Challenges, LocalCa, Resolver, Serves, Source, Vault, server_config};
use minipaas::traffic::Routes;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use tempfile::TempDir;
use tokio::io::AsyncWriteExt;

use super::BLOG;
use crate::support::backend::Backend;
use crate::support::client::{Client, Client2, get, post, tls, try_tls};
use crate::support::proxy::TestProxy;
use crate::support::{SOON, soon};

const SHOP: &str = "shop.example.com";

/// The hosts of the routes, and no default.
struct Served(Routes);

impl Serves for Served {
    fn is_served(&self, host: &str) -> bool {
        self.0.load().table().serves(host)
    }

    fn default_host(&self) -> Option<String> {
        None
    }
}

/// A proxy that serves [`BLOG`] and [`SHOP`], with a local CA and certificates of its own.
struct Certified {
    proxy: TestProxy,
    vault: Vault,
    _dir: TempDir,
}

impl Certified {
    async fn start(app: &Backend) -> Self {
        // The client's, which comes first in a test.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let dir = tempfile::tempdir().unwrap();
        let ca = Arc::new(
            LocalCa::open_or_create(
                &dir.path().join("ca"),
                &BoxKey::new(&[7; 32]),
                &["example.com", "example.org"],
            )
            .unwrap(),
        );
        let vault = Vault::open(&dir.path().join("certs"), BoxKey::new(&[1; 32])).unwrap();
        let (root, kept) = (ca.certificate().der().clone(), vault.clone());
        let tls = |routes: &Routes| {
            let serves = Arc::new(Served(routes.clone()));
            server_config(Arc::new(Resolver::new(ca, kept, Challenges::default(), serves)))
        };
        let proxy = TestProxy::start_with_tls(ProxyConfig::new("localhost"), root, tls).await;
        proxy.publish([BLOG, SHOP].map(|host| proxy.route(host, &[app])));
        Self { proxy, vault, _dir: dir }
    }

    /// Brings a certificate that signed itself; returns what clients are to trust.
    fn bring(&self, host: &str) -> CertificateDer<'static> {
        let made = rcgen::generate_simple_self_signed([host.to_owned()]).unwrap();
        let chain = Chain::from_pem(&made.cert.pem(), &made.signing_key.serialize_pem()).unwrap();
        self.vault.put(&chain, Source::Own).unwrap();
        CertificateDer::from_pem_slice(made.cert.pem().as_bytes()).unwrap()
    }
}

#[tokio::test]
async fn http1_is_spoken_over_tls() {
    let app = Backend::replying("app").start().await;
    let proxy = TestProxy::with_route(BLOG, &[&app]).await;
    let mut client = Client::over(tls(proxy.https, &proxy.root, BLOG, "http/1.1").await).await;
    assert_eq!(client.send(get(BLOG, "/")).await.body, "app");
    assert_eq!(app.seen()[0].header("x-forwarded-proto"), Some("https"));
    assert_eq!(app.seen()[0].header("x-forwarded-port"), Some("443"));
}

#[tokio::test]
async fn http2_becomes_http1_for_the_app() {
    let app = Backend::replying("app").start().await;
    let proxy = TestProxy::with_route(BLOG, &[&app]).await;
    let mut client = Client2::over(tls(proxy.https, &proxy.root, BLOG, "h2").await).await;
    let mut request = get("ignored", "https://blog.localhost:8443/a?b");
    request.headers_mut().remove(header::HOST);
    for crumb in ["a=1", "b=2"] {
        request.headers_mut().append(header::COOKIE, HeaderValue::from_static(crumb));
    }
    assert_eq!(client.send(request).await.body, "app");
    let seen = &app.seen()[0];
    assert_eq!(seen.uri, "/a?b");
    assert_eq!(seen.header("host"), Some("blog.localhost:8443"));
    assert_eq!(seen.headers.get_all("cookie").iter().collect::<Vec<_>>(), ["a=1; b=2"]);

    let mut upload = post("ignored", "https://blog.localhost/", "body");
    upload.headers_mut().remove(header::HOST);
    assert_eq!(client.send(upload).await.body, "app");
    assert_eq!(app.seen()[1].body, "body");
}

#[tokio::test]
async fn an_https_route_is_not_redirected_again() {
    let app = Backend::replying("app").start().await;
    let proxy = TestProxy::with_route(BLOG, &[&app]).await;
    let mut route = proxy.route(BLOG, &[&app]);
    route.policy = Arc::default();
    proxy.publish([route]);
    let mut client = Client::over(tls(proxy.https, &proxy.root, BLOG, "http/1.1").await).await;
    assert_eq!(client.send(get(BLOG, "/")).await.body, "app");
}

#[tokio::test]
async fn a_shutdown_says_goaway() {
    let app = Backend::replying("app").start().await;
    let proxy = TestProxy::with_route(BLOG, &[&app]).await;
    let mut client = Client2::over(tls(proxy.https, &proxy.root, BLOG, "h2").await).await;
    client.send(get(BLOG, "https://blog.localhost/")).await;
    assert_eq!(proxy.stop(SOON).await.cut, 0);
    client.closed().await;
}

#[tokio::test]
async fn what_is_not_tls_does_not_disturb() {
    let app = Backend::replying("app").start().await;
    let proxy = TestProxy::with_route(BLOG, &[&app]).await;
    let mut noise = tokio::net::TcpStream::connect(proxy.https).await.unwrap();
    noise.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    let mut raw = crate::support::client::Raw(noise);
    soon(raw.rest()).await;
    let mut client = Client2::over(tls(proxy.https, &proxy.root, BLOG, "h2").await).await;
    assert_eq!(client.send(get(BLOG, "https://blog.localhost/")).await.body, "app");
}

#[tokio::test]
async fn what_nobody_serves_is_refused_and_the_next_client_is_served() {
    let app = Backend::replying("app").start().await;
    let certified = Certified::start(&app).await;
    certified.bring("other.example.com");
    for host in ["other.example.com", "typo.localhost", "127.0.0.1"] {
        let refused = try_tls(certified.proxy.https, &certified.proxy.root, host, "h2").await.unwrap_err();
        assert!(refused.to_string().contains("alert"), "{host}: {refused}");
    }
    let stream = tls(certified.proxy.https, &certified.proxy.root, BLOG, "http/1.1").await;
    assert_eq!(Client::over(stream).await.send(get(BLOG, "/")).await.body, "app");
    // A route that comes is served by the next handshake.
    let routes = [BLOG, SHOP, "other.example.com"].map(|host| certified.proxy.route(host, &[&app]));
    certified.proxy.publish(routes);
    let root = certified.bring("other.example.com");
    tls(certified.proxy.https, &root, "other.example.com", "h2").await;
}

#[tokio::test]
async fn a_certificate_is_swapped_and_no_connection_dropped() {
    let app = Backend::replying("app").start().await;
    let certified = Certified::start(&app).await;
    let https = certified.proxy.https;
    let mut on_local = Client::over(tls(https, &certified.proxy.root, SHOP, "http/1.1").await).await;
    assert_eq!(on_local.send(get(SHOP, "/")).await.body, "app");
    let first = certified.bring(SHOP);
    let mut on_first = Client2::over(tls(https, &first, SHOP, "h2").await).await;
    let first_id = certified.vault.best(SHOP).unwrap().id;
    let second = certified.bring(SHOP);
    certified.vault.remove(first_id).unwrap();
    let mut on_second = Client2::over(tls(https, &second, SHOP, "h2").await).await;
    assert!(try_tls(https, &first, SHOP, "h2").await.is_err(), "that one is gone");

    assert_eq!(on_local.send(get(SHOP, "/")).await.body, "app");
    for client in [&mut on_first, &mut on_second] {
        assert_eq!(client.send(get(SHOP, "https://shop.example.com/")).await.body, "app");
    }
    tls(https, &certified.proxy.root, BLOG, "h2").await;
}
