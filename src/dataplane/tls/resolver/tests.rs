//! Handshakes with clients that trust the CA, clients that do not, and authorities.

use std::sync::atomic::{AtomicU64, Ordering};

use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ProtocolVersion, RootCertStore, ServerConfig, SupportedProtocolVersion, version};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::*;
use crate::seal::BoxKey;
use crate::tls::sample::{Authority, DAY};
use crate::tls::{Chain, Source, server_config};

/// A box: its CA, its certificates, and what its resolver answers for.
struct Fixture {
    _dir: tempfile::TempDir,
    ca: Arc<LocalCa>,
    vault: Vault,
    challenges: Challenges,
    authority: Authority,
}

/// All below `localhost` and `example.com` is served.
struct Names {
    default_host: Option<&'static str>,
}

/// What a client saw of a handshake.
#[derive(Debug)]
struct Seen {
    certificate: CertificateDer<'static>,
    alpn: Option<Vec<u8>>,
    version: Option<ProtocolVersion>,
    handshake: Option<rustls::HandshakeKind>,
}

impl Serves for Names {
    fn is_served(&self, host: &str) -> bool {
        host.ends_with(".localhost") || host.ends_with(".example.com")
    }

    fn default_host(&self) -> Option<String> {
        self.default_host.map(str::to_owned)
    }
}

impl Fixture {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let ca = Arc::new(
            LocalCa::open_or_create(&dir.path().join("ca"), &BoxKey::new(&[7; 32]), &["example.com"])
                .unwrap(),
        );
        let vault = Vault::open(&dir.path().join("certs"), BoxKey::new(&[1; 32])).unwrap();
        Self { _dir: dir, ca, vault, challenges: Challenges::default(), authority: Authority::new("R1") }
    }

    fn resolver(&self, default_host: Option<&'static str>) -> Resolver {
        let (vault, challenges) = (self.vault.clone(), self.challenges.clone());
        Resolver::new(Arc::clone(&self.ca), vault, challenges, Arc::new(Names { default_host }))
    }

    /// For a developer's machine.
    fn server(&self) -> Arc<ServerConfig> {
        server_config(Arc::new(self.resolver(Some("localhost"))))
    }

    /// Trusts the box and the authority.
    fn client(&self, versions: &[&'static SupportedProtocolVersion]) -> Arc<ClientConfig> {
        self.client_with(versions, |_| true)
    }

    /// That takes these signatures alone.
    fn client_with(
        &self,
        versions: &[&'static SupportedProtocolVersion],
        takes: impl Fn(SignatureScheme) -> bool,
    ) -> Arc<ClientConfig> {
        let mut provider = ring::default_provider();
        let known = provider.signature_verification_algorithms;
        let mapping: Vec<_> = known.mapping.iter().copied().filter(|(scheme, _)| takes(*scheme)).collect();
        // A test has no long life.
        provider.signature_verification_algorithms.mapping = mapping.leak();
        let mut roots = RootCertStore::empty();
        roots.add(self.ca.certificate().der().clone()).unwrap();
        roots.add(self.authority.root_der()).unwrap();
        let mut config = ClientConfig::builder_with_provider(Arc::new(provider))
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec(), b"h2".to_vec()];
        Arc::new(config)
    }

    /// An authority's client, or somebody who would like to be one.
    fn client_offering(&self, protocols: &[&[u8]]) -> Arc<ClientConfig> {
        let mut config = Arc::unwrap_or_clone(self.client(rustls::ALL_VERSIONS));
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
        Arc::new(config)
    }

    fn put(&self, chain: &Chain) {
        self.vault.put(chain, Source::Own).unwrap();
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
    // A client that dials an address sends no name.
    for (default_host, name) in [
        (None, "blog.localhost"),
        (None, "BLOG.LocalHost"),
        (Some("localhost"), "pr-7.blog.localhost"),
        (Some("127.0.0.1"), "127.0.0.1"),
        (Some("::1"), "::1"),
    ] {
        let server = server_config(Arc::new(fixture.resolver(default_host)));
        let seen = connect(&server, &client, name).await.unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(seen.version, Some(ProtocolVersion::TLSv1_3));
        assert_eq!(seen.alpn.as_deref(), Some(b"h2".as_slice()), "the server's preference counts");
    }
}

#[tokio::test]
async fn what_nobody_serves_is_refused_in_the_handshake() {
    let fixture = Fixture::new();
    fixture.put(&fixture.authority.issue(&["*.example.org", "shop.example.com"]).chain());
    let server = server_config(Arc::new(fixture.resolver(None)));
    for version in [&version::TLS12, &version::TLS13] {
        let client = fixture.client(&[version]);
        // Of another domain, of one that there is a certificate for, and by address.
        for name in ["example.net", "a.example.org", "127.0.0.1"] {
            let error = connect(&server, &client, name).await.unwrap_err().to_string();
            assert!(error.contains("alert"), "{name}: {error}");
        }
    }
}

#[tokio::test]
async fn a_kept_certificate_comes_before_the_local_ca() {
    let fixture = Fixture::new();
    let (server, client) = (fixture.server(), fixture.client(rustls::ALL_VERSIONS));
    let local = connect(&server, &client, "shop.example.com").await.unwrap();
    let kept = fixture.authority.issue(&["shop.example.com", "*.wild.example.com"]).chain();
    fixture.put(&kept);
    for name in ["shop.example.com", "SHOP.example.com", "a.wild.example.com"] {
        let seen = connect(&server, &fixture.client(rustls::ALL_VERSIONS), name).await.unwrap();
        assert_eq!(seen.certificate, *kept.leaf(), "{name}");
    }
    for name in ["blog.example.com", "a.b.wild.example.com"] {
        assert_ne!(connect(&server, &client, name).await.unwrap().certificate, *kept.leaf(), "{name}");
    }
    assert_ne!(local.certificate, *kept.leaf());
}

#[tokio::test]
async fn a_client_without_a_name_gets_what_the_default_host_has() {
    let fixture = Fixture::new();
    let kept = fixture.authority.issue(&["127.0.0.1"]).chain();
    fixture.put(&kept);
    let server = server_config(Arc::new(fixture.resolver(Some("127.0.0.1"))));
    let seen = connect(&server, &fixture.client(rustls::ALL_VERSIONS), "127.0.0.1").await.unwrap();
    assert_eq!(seen.certificate, *kept.leaf());
}

#[tokio::test]
async fn the_kind_of_key_is_one_that_the_client_can_check() {
    let fixture = Fixture::new();
    let [ecdsa, rsa] = [KeyKind::Ecdsa, KeyKind::Rsa]
        .map(|kind| fixture.authority.request(&["shop.example.com"]).kind(kind).issue().chain());
    fixture.put(&rsa);
    fixture.put(&ecdsa);
    let server = fixture.server();
    let is_rsa = |scheme| can_check(&[scheme], KeyKind::Rsa);
    for version in [&version::TLS12, &version::TLS13] {
        let both = fixture.client(&[version]);
        assert_eq!(connect(&server, &both, "shop.example.com").await.unwrap().certificate, *ecdsa.leaf());
        let only_ecdsa = fixture.client_with(&[version], |scheme| !is_rsa(scheme));
        assert_eq!(
            connect(&server, &only_ecdsa, "shop.example.com").await.unwrap().certificate,
            *ecdsa.leaf()
        );
    }
    // Such a client could not check the authority's ECDSA signatures, so the resolver itself is asked.
    let resolver = fixture.resolver(None);
    let chosen = |kind| resolver.choose(Some("shop.example.com"), |accepted| accepted == kind).unwrap();
    assert_eq!(chosen(KeyKind::Rsa).cert[0], *rsa.leaf());
    assert_eq!(chosen(KeyKind::Ecdsa).cert[0], *ecdsa.leaf());
}

#[tokio::test]
async fn an_authority_sees_the_answer_and_nothing_else() {
    let fixture = Fixture::new();
    let server = fixture.server();
    let challenge = fixture.client_offering(&[TLS_ALPN01]);
    assert!(connect(&server, &challenge, "shop.example.com").await.is_err(), "no order waits");

    let answer = fixture.authority.issue(&["shop.example.com"]).chain();
    let posted = fixture.challenges.post_tls("shop.example.com", &answer.certified_key());
    let seen = connect(&server, &challenge, "SHOP.example.com").await.unwrap();
    assert_eq!(seen.certificate, *answer.leaf());
    assert_eq!(seen.alpn.as_deref(), Some(TLS_ALPN01));
    assert!(connect(&server, &challenge, "blog.example.com").await.is_err(), "not what was asked for");
    for protocols in [[TLS_ALPN01, b"h2"], [b"other", TLS_ALPN01]] {
        let mixed = fixture.client_offering(&protocols);
        assert!(connect(&server, &mixed, "shop.example.com").await.is_err(), "{protocols:?}");
    }
    let browser = connect(&server, &fixture.client(rustls::ALL_VERSIONS), "shop.example.com").await.unwrap();
    assert_ne!(browser.certificate, *answer.leaf());
    drop(posted);
    let again = fixture.client_offering(&[TLS_ALPN01]);
    assert!(connect(&server, &again, "shop.example.com").await.is_err(), "the order is done");
}

#[tokio::test]
async fn a_client_that_does_not_trust_the_ca_refuses() {
    let client = Fixture::new().client(rustls::ALL_VERSIONS);
    let error = connect(&Fixture::new().server(), &client, "blog.localhost").await.unwrap_err();
    assert!(error.to_string().contains("UnknownIssuer"), "{error}");
}

#[tokio::test]
async fn a_client_that_comes_back_resumes_in_both_versions() {
    let fixture = Fixture::new();
    let server = fixture.server();
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
    let server = server_config(Arc::new(fixture.resolver(None).with_clock(clock)));
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
    let resolver = Fixture::new().resolver(None);
    let first = resolver.certified_key(Some("blog.localhost")).unwrap();
    for name in ["blog.localhost", "BLOG.localhost", "blog.localhost."] {
        assert!(Arc::ptr_eq(&first, &resolver.certified_key(Some(name)).unwrap()), "{name}");
    }
}

#[test]
fn a_purpose_is_known_by_all_that_is_offered() {
    let check = |offered: &[&[u8]], expected| {
        assert_eq!(Purpose::of(offered.iter().copied()), expected, "{offered:?}");
    };
    check(&[], Purpose::Requests);
    check(&[b"h2", b"http/1.1"], Purpose::Requests);
    check(&[b"other"], Purpose::Requests);
    check(&[TLS_ALPN01], Purpose::Challenge);
    check(&[TLS_ALPN01, b"other"], Purpose::Mixed);
    check(&[b"h2", TLS_ALPN01], Purpose::Mixed);
}
