//! Handshakes with clients that trust the CA and clients that do not.

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ProtocolVersion, RootCertStore, ServerConfig, SupportedProtocolVersion, version};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::*;
use crate::tls::server_config;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// A CA, and how its resolvers are made in these tests: all below `localhost` is served.
struct Fixture {
    _dir: tempfile::TempDir,
    ca: Arc<LocalCa>,
}

/// What a client saw of a handshake.
#[derive(Debug)]
struct Seen {
    certificate: CertificateDer<'static>,
    alpn: Option<Vec<u8>>,
    version: Option<ProtocolVersion>,
    handshake: Option<rustls::HandshakeKind>,
}

impl Fixture {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let ca = Arc::new(LocalCa::open_or_create(dir.path()).unwrap());
        Self { _dir: dir, ca }
    }

    fn resolver(&self, default_host: &str) -> LeafResolver {
        LeafResolver::new(Arc::clone(&self.ca), default_host, |host| host.ends_with(".localhost")).unwrap()
    }

    fn client(&self, versions: &[&'static SupportedProtocolVersion]) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(self.ca.certificate().der().clone()).unwrap();
        let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec(), b"h2".to_vec()];
        Arc::new(config)
    }
}

/// One connection over a real socket: handshake, an echoed byte, and the goodbye.
async fn connect(
    server: &Arc<ServerConfig>,
    client: &Arc<ClientConfig>,
    name: &str,
) -> std::io::Result<Seen> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let acceptor = TlsAcceptor::from(Arc::clone(server));
    let echo = tokio::spawn(async move {
        let mut stream = acceptor.accept(listener.accept().await?.0).await?;
        let byte = stream.read_u8().await?;
        stream.write_u8(byte).await?;
        stream.shutdown().await
    });
    let stream = TcpStream::connect(address).await?;
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let mut stream = TlsConnector::from(Arc::clone(client)).connect(name, stream).await?;
    stream.write_u8(7).await?;
    assert_eq!(stream.read_u8().await?, 7);
    // Tickets of TLS 1.3 come after the handshake, and are taken in while reading.
    assert_eq!(stream.read(&mut [0]).await?, 0);
    echo.await??;
    let connection = stream.get_ref().1;
    Ok(Seen {
        certificate: connection.peer_certificates().unwrap()[0].clone().into_owned(),
        alpn: connection.alpn_protocol().map(<[u8]>::to_vec),
        version: connection.protocol_version(),
        handshake: connection.handshake_kind(),
    })
}

#[tokio::test]
async fn a_client_that_trusts_the_ca_accepts_each_kind_of_host() {
    let fixture = Fixture::new();
    let client = fixture.client(rustls::ALL_VERSIONS);
    // A default host that is a wildcard or an address is reached by a name that is not served, or by none.
    for (default_host, name) in [
        ("localhost", "blog.localhost"),
        ("localhost", "BLOG.LocalHost"),
        ("localhost", "pr-7.blog.localhost"),
        ("*.example.test", "shop.example.test"),
        ("127.0.0.1", "127.0.0.1"),
        ("::1", "::1"),
    ] {
        let server = server_config(Arc::new(fixture.resolver(default_host)));
        let seen = connect(&server, &client, name).await.unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(seen.version, Some(ProtocolVersion::TLSv1_3));
        assert_eq!(seen.alpn.as_deref(), Some(b"h2".as_slice()), "the server's preference counts");
    }
}

#[tokio::test]
async fn a_client_that_asks_for_a_host_not_served_meets_the_default_host() {
    let fixture = Fixture::new();
    let server = server_config(Arc::new(fixture.resolver("localhost")));
    let error = connect(&server, &fixture.client(rustls::ALL_VERSIONS), "example.com").await.unwrap_err();
    assert!(error.to_string().contains("not valid for name"), "{error}");
    assert!(error.to_string().contains("localhost"), "{error}");
}

#[tokio::test]
async fn a_client_that_does_not_trust_the_ca_refuses() {
    let server = server_config(Arc::new(Fixture::new().resolver("localhost")));
    let client = Fixture::new().client(rustls::ALL_VERSIONS);
    let error = connect(&server, &client, "blog.localhost").await.unwrap_err();
    assert!(error.to_string().contains("UnknownIssuer"), "{error}");
}

#[tokio::test]
async fn a_client_that_comes_back_resumes_in_both_versions() {
    let fixture = Fixture::new();
    let server = server_config(Arc::new(fixture.resolver("localhost")));
    for version in [&version::TLS12, &version::TLS13] {
        let client = fixture.client(&[version]);
        let first = connect(&server, &client, "blog.localhost").await.unwrap();
        assert_ne!(first.handshake, Some(rustls::HandshakeKind::Resumed));
        let second = connect(&server, &client, "blog.localhost").await.unwrap();
        assert_eq!(second.handshake, Some(rustls::HandshakeKind::Resumed), "{version:?}");
    }
}

#[tokio::test]
async fn a_renewed_certificate_is_what_the_next_client_sees() {
    let fixture = Fixture::new();
    let days = Arc::new(AtomicU64::new(0));
    let start = SystemTime::now();
    let clock = {
        let days = Arc::clone(&days);
        move || start + DAY * u32::try_from(days.load(Ordering::Relaxed)).unwrap()
    };
    let server = server_config(Arc::new(fixture.resolver("localhost").with_clock(clock)));
    let mut certificates = Vec::new();
    for day in [0, 19, 21, 40, 42] {
        days.store(day, Ordering::Relaxed);
        let now = start + DAY * u32::try_from(day).unwrap();
        certificates.push(certificate_seen_at(now, &fixture, &server).await);
    }
    assert_eq!(certificates[0], certificates[1]);
    assert_ne!(certificates[1], certificates[2]);
    assert_eq!(certificates[2], certificates[3]);
    assert_ne!(certificates[3], certificates[4]);
}

/// The certificate that a client accepts whose clock says `now`.
async fn certificate_seen_at(
    now: SystemTime,
    fixture: &Fixture,
    server: &Arc<ServerConfig>,
) -> CertificateDer<'static> {
    let mut client = Arc::unwrap_or_clone(fixture.client(rustls::ALL_VERSIONS));
    client.time_provider = Arc::new(FixedTime(now));
    connect(server, &Arc::new(client), "blog.localhost").await.unwrap().certificate
}

#[derive(Debug)]
struct FixedTime(SystemTime);

impl rustls::time_provider::TimeProvider for FixedTime {
    fn current_time(&self) -> Option<rustls::pki_types::UnixTime> {
        Some(rustls::pki_types::UnixTime::since_unix_epoch(
            self.0.duration_since(SystemTime::UNIX_EPOCH).unwrap(),
        ))
    }
}

#[test]
fn a_host_keeps_its_certificate_however_it_is_written() {
    let resolver = Fixture::new().resolver("localhost");
    let first = resolver.certified_key(Some("blog.localhost")).unwrap();
    for name in ["blog.localhost", "BLOG.localhost", "blog.localhost."] {
        assert!(Arc::ptr_eq(&first, &resolver.certified_key(Some(name)).unwrap()), "{name}");
    }
    assert_eq!(resolver.leaves().by_host.len(), 2);
}

#[test]
fn hosts_not_served_get_the_default_certificate_and_no_place_in_the_cache() {
    let resolver = Fixture::new().resolver("localhost");
    let default = resolver.certified_key(None).unwrap();
    for index in 0..100 {
        let name = format!("{index}.example.com");
        assert!(Arc::ptr_eq(&default, &resolver.certified_key(Some(&name)).unwrap()));
    }
    assert_eq!(resolver.leaves().by_host.len(), 1);
}

#[test]
fn the_cache_is_bounded_and_forgets_the_oldest() {
    let mut resolver = Fixture::new().resolver("localhost");
    resolver.leaves = Mutex::new(Leaves::new(3));
    let names = ["a.localhost", "b.localhost", "c.localhost", "d.localhost"];
    let keys = names.map(|name| resolver.certified_key(Some(name)).unwrap());
    assert_eq!(resolver.leaves().by_host.len(), 3);
    assert_eq!(resolver.leaves().oldest_first, ["b.localhost", "c.localhost", "d.localhost"]);
    assert!(Arc::ptr_eq(&keys[3], &resolver.certified_key(Some(names[3])).unwrap()));
    assert!(!Arc::ptr_eq(&keys[0], &resolver.certified_key(Some(names[0])).unwrap()));
    assert_eq!(resolver.leaves().oldest_first.len(), 3);
}

#[test]
fn of_two_handshakes_at_once_one_wins() {
    let resolver = Fixture::new().resolver("localhost");
    let keys: Vec<_> = thread::scope(|scope| {
        let ask = || resolver.certified_key(Some("blog.localhost")).unwrap();
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(ask)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(keys.iter().all(|key| Arc::ptr_eq(key, &keys[0])));
    assert_eq!(resolver.leaves().oldest_first.len(), 2);
}

#[test]
fn a_clock_that_was_set_back_gets_a_certificate_that_is_valid_now() {
    let now = SystemTime::now();
    let resolver = Fixture::new().resolver("localhost").with_clock(move || now - DAY * 400);
    let leaf = resolver.leaf("localhost").unwrap();
    assert!(leaf.is_valid(now - DAY * 400));
}

#[test]
fn a_default_host_that_cannot_have_a_certificate_is_refused_at_once() {
    let error = LeafResolver::new(Fixture::new().ca, "not a host", |_| true).unwrap_err();
    assert!(matches!(error, CaError::Host { .. }), "{error}");
}
