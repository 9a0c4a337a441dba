//! Routes that let in only clients with a certificate.

use std::io;
use std::sync::Arc;

use http::StatusCode;
use minipaas::policy::{ClientCa, Policy};
use minipaas::proxy::ProxyConfig;
use minipaas::tls::server_config;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    date_time_ymd,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ClientConfig, HandshakeKind, RootCertStore, SupportedProtocolVersion, version};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::BLOG;
use crate::support::backend::Backend;
use crate::support::client::{Client, Client2, get};
use crate::support::http3::Client3;
use crate::support::proxy::TestProxy;
use crate::support::soon;

const ADMIN: &str = "admin.localhost";
const BOTH: &[&SupportedProtocolVersion] = &[&version::TLS13, &version::TLS12];

/// A CA for clients.
struct Ca {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

/// What a client shows.
struct Identity {
    chain: Vec<CertificateDer<'static>>,
    key: Vec<u8>,
}

impl Ca {
    fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self { pem, issuer: Issuer::new(params, key) }
    }

    fn trusted(&self) -> Arc<ClientCa> {
        Arc::new(ClientCa::from_pem(&self.pem).unwrap())
    }

    fn identity(&self, name: &str) -> Identity {
        self.identity_until(name, 4000)
    }

    fn identity_until(&self, name: &str, year: i32) -> Identity {
        let mut params = CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::OrganizationName, "Example");
        params.distinguished_name.push(DnType::CommonName, name);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        params.not_before = date_time_ymd(2000, 1, 1);
        params.not_after = date_time_ymd(year, 1, 1);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Identity { chain: vec![certificate.der().clone()], key: key.serialize_der() }
    }
}

fn closed(ca: &Ca) -> Arc<Policy> {
    Arc::new(Policy { https_redirect: false, client_ca: Some(ca.trusted()), ..Policy::default() })
}

/// A proxy whose `blog.localhost` is closed but to clients of this CA.
async fn closed_to_all_but(ca: &Ca, app: &Backend) -> TestProxy {
    let proxy = TestProxy::start(ProxyConfig { http3: true, ..ProxyConfig::new("localhost") }).await;
    let mut route = proxy.route(BLOG, &[app]);
    route.policy = closed(ca);
    proxy.publish([route]);
    proxy
}

fn config(
    proxy: &TestProxy,
    identity: Option<&Identity>,
    protocol: &str,
    versions: &[&'static SupportedProtocolVersion],
) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(proxy.root.clone()).unwrap();
    let builder = ClientConfig::builder_with_protocol_versions(versions).with_root_certificates(roots);
    let mut config = match identity {
        Some(Identity { chain, key }) => {
            let key = PrivateKeyDer::try_from(key.clone()).unwrap();
            builder.with_client_auth_cert(chain.clone(), key).unwrap()
        }
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = vec![protocol.as_bytes().to_vec()];
    Arc::new(config)
}

async fn connect(proxy: &TestProxy, config: &Arc<ClientConfig>) -> io::Result<TlsStream<TcpStream>> {
    let stream = TcpStream::connect(proxy.https).await?;
    let name = ServerName::try_from(BLOG).unwrap();
    soon(TlsConnector::from(Arc::clone(config)).connect(name, stream)).await
}

/// One request on a connection of its own; why the connection broke if it did.
async fn ask(proxy: &TestProxy, config: &Arc<ClientConfig>, path: &str) -> io::Result<String> {
    let mut stream = connect(proxy, config).await?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: {BLOG}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    soon(stream.read_to_string(&mut answer)).await?;
    Ok(answer.split_whitespace().nth(1).unwrap_or_default().to_owned())
}

#[tokio::test]
async fn an_authority_that_checks_a_name_needs_no_certificate_and_gets_nothing_else() {
    let (ca, app) = (Ca::new("clients"), Backend::replying("app").start().await);
    let made = rcgen::generate_simple_self_signed([BLOG.to_owned()]).unwrap();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let signing = rustls::crypto::ring::sign::any_supported_type(&key).unwrap();
    let root = made.cert.der().clone();
    let certified = CertifiedKey::new(vec![root.clone()], signing);
    let tls = server_config(Arc::new(SingleCertAndKey::from(certified)));
    let proxy = TestProxy::start_with(ProxyConfig::new("localhost"), root, tls).await;
    let mut route = proxy.route(BLOG, &[&app]);
    route.policy = closed(&ca);
    proxy.publish([route]);
    for version in BOTH {
        let mut stream = connect(&proxy, &config(&proxy, None, "acme-tls/1", &[version])).await.unwrap();
        let _ = stream.write_all(format!("GET / HTTP/1.1\r\nHost: {BLOG}\r\n\r\n").as_bytes()).await;
        let mut answer = Vec::new();
        let _ = soon(stream.read_to_end(&mut answer)).await;
        assert_eq!(answer, b"");
    }
    assert!(app.seen().is_empty());
}

#[tokio::test]
async fn the_app_is_told_whose_certificate_it_was() {
    let (ca, app) = (Ca::new("clients"), Backend::replying("app").start().await);
    let proxy = closed_to_all_but(&ca, &app).await;
    let alice = ca.identity("alice,CN=root");
    for protocol in ["http/1.1", "h2"] {
        let stream = connect(&proxy, &config(&proxy, Some(&alice), protocol, BOTH)).await.unwrap();
        let forged = |mut request: http::Request<_>| {
            for name in ["Client-Cert", "X-Client-Cert-Subject", "X-Client-Cert-Fingerprint"] {
                request
                    .headers_mut()
                    .append(http::HeaderName::try_from(name).unwrap(), "CN=mallory".parse().unwrap());
            }
            request
        };
        let reply = if protocol == "h2" {
            let mut request = forged(get("ignored", "https://blog.localhost/"));
            request.headers_mut().remove("host");
            Client2::over(stream).await.send(request).await
        } else {
            Client::over(stream).await.send(forged(get(BLOG, "/"))).await
        };
        assert_eq!((reply.status, &*reply.body), (StatusCode::OK, "app"));
        let seen = app.seen().pop().unwrap();
        assert_eq!(seen.header("x-client-cert-subject"), Some(r"CN=alice\,CN\=root,O=Example"));
        assert_eq!(seen.header("x-client-cert-fingerprint").map(str::len), Some(64));
        assert_eq!(seen.headers.get_all("x-client-cert-subject").iter().count(), 1);
        assert_eq!(seen.header("client-cert"), None);
    }
}

#[tokio::test]
async fn nobody_else_can_say_so() {
    let app = Backend::replying("app").start().await;
    let proxy = TestProxy::with_route(BLOG, &[&app]).await;
    let mut request = get(BLOG, "/");
    for name in ["client-cert", "client-cert-chain", "x-client-cert-subject", "x-client-cert-fingerprint"] {
        request.headers_mut().insert(name, "CN=mallory".parse().unwrap());
    }
    proxy.send(request).await;
    assert!(app.seen()[0].headers.keys().all(|name| !name.as_str().contains("client-cert")));
}

#[tokio::test]
async fn a_handshake_without_a_good_certificate_fails_where_every_route_wants_one() {
    let (ca, other, app) = (Ca::new("clients"), Ca::new("clients"), Backend::replying("app").start().await);
    let proxy = closed_to_all_but(&ca, &app).await;
    for versions in [&BOTH[..1], &BOTH[1..]] {
        let ask = async |identity: Option<&Identity>| {
            ask(&proxy, &config(&proxy, identity, "http/1.1", versions), "/").await.map_err(|e| e.to_string())
        };
        assert_eq!(ask(Some(&ca.identity("alice"))).await.as_deref(), Ok("200"));
        let missing = ask(None).await.unwrap_err();
        let is_told = missing.contains("CertificateRequired") || missing.contains("HandshakeFailure");
        assert!(is_told, "{missing}");
        let expired = ask(Some(&ca.identity_until("alice", 2001))).await.unwrap_err();
        assert!(expired.contains("CertificateExpired"), "{expired}");
        let foreign = ask(Some(&other.identity("alice"))).await.unwrap_err();
        assert!(foreign.contains("fatal alert"), "{foreign}");
    }
    assert_eq!(app.seen().len(), 2);
}

#[tokio::test]
async fn each_route_of_a_host_takes_its_own_certificates() {
    let (staff, partners, app) =
        (Ca::new("staff"), Ca::new("partners"), Backend::replying("app").start().await);
    let proxy = TestProxy::with_route(BLOG, &[&app]).await;
    let route = |path: &str, policy| {
        let mut route = proxy.route(BLOG, &[&app]);
        (route.path, route.policy) = (path.parse().unwrap(), policy);
        route
    };
    let open = Arc::new(Policy { https_redirect: false, ..Policy::default() });
    proxy.publish([route("/", open), route("/staff", closed(&staff)), route("/api", closed(&partners))]);
    let ask = async |identity: Option<&Identity>, path: &str| {
        ask(&proxy, &config(&proxy, identity, "http/1.1", BOTH), path).await.unwrap()
    };
    let (alice, bob) = (staff.identity("alice"), partners.identity("bob"));
    for (who, expected) in [
        (None, ["200", "403", "403"]),
        (Some(&alice), ["200", "200", "403"]),
        (Some(&bob), ["200", "403", "200"]),
    ] {
        for (path, expected) in ["/", "/staff", "/api/x"].into_iter().zip(expected) {
            assert_eq!(ask(who, path).await, expected, "{path}");
        }
    }
    let plain = proxy.send(get(BLOG, "/staff")).await;
    assert_eq!(plain.status, StatusCode::FORBIDDEN);
    assert!(plain.body.contains("a client certificate is needed"), "{}", plain.body);
}

#[tokio::test]
async fn a_request_for_a_closed_host_on_the_connection_of_another_is_sent_back() {
    let (ca, app) = (Ca::new("clients"), Backend::replying("app").start().await);
    let proxy = TestProxy::start(ProxyConfig { http3: true, ..ProxyConfig::new("localhost") }).await;
    let mut admin = proxy.route(ADMIN, &[&app]);
    admin.policy = closed(&ca);
    proxy.publish([proxy.route(BLOG, &[&app]), admin.clone()]);
    let alice = ca.identity("alice");
    let stream = connect(&proxy, &config(&proxy, Some(&alice), "h2", BOTH)).await.unwrap();
    let mut client = Client2::over(stream).await;
    let to = |host: &str| {
        let mut request = get("ignored", &format!("https://{host}/"));
        request.headers_mut().remove("host");
        request
    };
    assert_eq!(client.send(to(BLOG)).await.status, StatusCode::OK);
    let reply = client.send(to(ADMIN)).await;
    assert_eq!(reply.status, StatusCode::MISDIRECTED_REQUEST);

    // Also from a host that asks for certificates itself.
    let mut blog = proxy.route(BLOG, &[&app]);
    blog.policy = closed(&ca);
    proxy.publish([blog, admin]);
    assert_eq!(client.send(to(BLOG)).await.status, StatusCode::MISDIRECTED_REQUEST);
    let stream = connect(&proxy, &config(&proxy, Some(&alice), "h2", BOTH)).await.unwrap();
    let mut client = Client2::over(stream).await;
    let reply = client.send(to(BLOG)).await;
    assert_eq!((reply.status, reply.header("alt-svc")), (StatusCode::OK, None));
    assert_eq!(client.send(to(ADMIN)).await.status, StatusCode::MISDIRECTED_REQUEST);

    let mut client = Client3::connect(proxy.https, &proxy.root, BLOG).await;
    assert_eq!(client.get("https://blog.localhost/").await.status, StatusCode::MISDIRECTED_REQUEST);
}

#[tokio::test]
async fn no_session_brings_a_certificate_along() {
    let (ca, app) = (Ca::new("clients"), Backend::replying("app").start().await);
    for versions in [&BOTH[..1], &BOTH[1..]] {
        let proxy = TestProxy::with_route(BLOG, &[&app]).await;
        let anybody = config(&proxy, None, "http/1.1", versions);
        // A session of before the route was closed.
        assert_eq!(ask(&proxy, &anybody, "/").await.unwrap(), "200");
        let mut route = proxy.route(BLOG, &[&app]);
        route.policy = closed(&ca);
        proxy.publish([route]);
        assert!(ask(&proxy, &anybody, "/").await.is_err());

        let alice = config(&proxy, Some(&ca.identity("alice")), "http/1.1", versions);
        for _ in 0..2 {
            assert_eq!(ask(&proxy, &alice, "/").await.unwrap(), "200");
        }
        let stream = connect(&proxy, &alice).await.unwrap();
        assert_eq!(stream.get_ref().1.handshake_kind(), Some(HandshakeKind::Full));
    }
}
