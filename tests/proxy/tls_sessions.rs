//! How TLS connections begin again, and how they end.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use minipaas::proxy::{ProxyConfig, Timeouts};
use minipaas::seal::BoxKey;
use minipaas::tls::{TLS_ALPN01, Tickets, server_config_with};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ClientConfig, HandshakeKind, RootCertStore, SupportedProtocolVersion, version};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::BLOG;
use crate::support::backend::Backend;
use crate::support::proxy::TestProxy;
use crate::support::{SOON, soon};

/// What outlives a server.
struct Site {
    dir: tempfile::TempDir,
    root: CertificateDer<'static>,
    key: Vec<u8>,
    app: Backend,
}

impl Site {
    async fn new() -> Self {
        let made = rcgen::generate_simple_self_signed([BLOG.to_owned()]).unwrap();
        Self {
            dir: tempfile::tempdir().unwrap(),
            root: made.cert.der().clone(),
            key: made.signing_key.serialize_der(),
            app: Backend::replying("app").start().await,
        }
    }

    async fn server(&self, tickets: Tickets) -> TestProxy {
        let key = PrivateKeyDer::try_from(self.key.clone()).unwrap();
        let signing = rustls::crypto::ring::sign::any_supported_type(&key).unwrap();
        let certified = CertifiedKey::new(vec![self.root.clone()], signing);
        let tls = server_config_with(Arc::new(SingleCertAndKey::from(certified)), Arc::new(tickets));
        let config = ProxyConfig {
            timeouts: Timeouts { head: Duration::from_millis(200), ..Timeouts::default() },
            ..ProxyConfig::new("localhost")
        };
        let proxy = TestProxy::start_with(config, self.root.clone(), tls).await;
        proxy.publish([proxy.route(BLOG, &[&self.app])]);
        proxy
    }

    fn tickets(&self, seal: u8) -> Tickets {
        Tickets::open(self.path().join("tickets"), BoxKey::new(&[seal; 32]))
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }

    fn client(&self, versions: &[&'static SupportedProtocolVersion], protocol: &[u8]) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(self.root.clone()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![protocol.to_vec()];
        Arc::new(config)
    }
}

async fn connect(proxy: &TestProxy, config: &Arc<ClientConfig>) -> io::Result<TlsStream<TcpStream>> {
    let stream = TcpStream::connect(proxy.https).await?;
    let name = ServerName::try_from(BLOG).unwrap();
    soon(TlsConnector::from(Arc::clone(config)).connect(name, stream)).await
}

/// One request, on a connection of this kind.
async fn ask(proxy: &TestProxy, config: &Arc<ClientConfig>) -> HandshakeKind {
    let mut stream = connect(proxy, config).await.unwrap();
    let request = format!("GET / HTTP/1.1\r\nHost: {BLOG}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    soon(stream.read_to_string(&mut answer)).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    stream.get_ref().1.handshake_kind().unwrap()
}

/// A frame of HTTP/2: its type and what is in it.
async fn frame(stream: &mut TlsStream<TcpStream>) -> io::Result<(u8, Vec<u8>)> {
    let mut head = [0; 9];
    stream.read_exact(&mut head).await?;
    let mut payload = vec![0; usize::from(head[2])];
    stream.read_exact(&mut payload).await?;
    Ok((head[3], payload))
}

/// Answers pings, as a client does, until the server ends the connection in order.
async fn until_closed(stream: &mut TlsStream<TcpStream>) {
    const PING: u8 = 6;
    loop {
        match frame(stream).await {
            Ok((PING, payload)) => {
                let ack = [&[0, 0, 8, PING, 1, 0, 0, 0, 0][..], &payload].concat();
                stream.write_all(&ack).await.unwrap();
            }
            Ok(_) => {}
            // rustls says more of an end without `close_notify`.
            Err(error) => {
                assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
                assert!(!error.to_string().contains("close_notify"), "{error}");
                return;
            }
        }
    }
}

#[tokio::test]
async fn a_session_goes_on_after_a_restart() {
    let site = Site::new().await;
    for versions in [&[&version::TLS13][..], &[&version::TLS12]] {
        let client = site.client(versions, b"http/1.1");
        let first = site.server(site.tickets(1)).await;
        assert_eq!(ask(&first, &client).await, HandshakeKind::Full);
        assert_eq!(ask(&first, &client).await, HandshakeKind::Resumed);
        first.stop(SOON).await;

        let second = site.server(site.tickets(1)).await;
        assert_eq!(ask(&second, &client).await, HandshakeKind::Resumed);
        second.stop(SOON).await;

        // With another box's key the keys of before are closed, and made anew.
        let third = site.server(site.tickets(2)).await;
        assert_eq!(ask(&third, &client).await, HandshakeKind::Full);
        std::fs::remove_file(site.path().join("tickets")).unwrap();
    }
}

#[tokio::test]
async fn another_box_does_not_take_our_sessions() {
    let site = Site::new().await;
    let client = site.client(&[&version::TLS13], b"http/1.1");
    assert_eq!(ask(&site.server(Tickets::in_memory()).await, &client).await, HandshakeKind::Full);
    assert_eq!(ask(&site.server(Tickets::in_memory()).await, &client).await, HandshakeKind::Full);
}

#[tokio::test]
async fn a_connection_that_was_idle_for_too_long_ends_in_order() {
    let site = Site::new().await;
    let proxy = site.server(Tickets::in_memory()).await;
    let mut stream = connect(&proxy, &site.client(&[&version::TLS13], b"http/1.1")).await.unwrap();
    // Without `close_notify` rustls takes the end for an attack.
    assert_eq!(soon(stream.read(&mut [0; 16])).await.unwrap(), 0);
}

#[tokio::test]
async fn a_connection_that_a_shutdown_ends_does_so_in_order() {
    let site = Site::new().await;
    for protocol in [&b"http/1.1"[..], b"h2"] {
        let proxy = site.server(Tickets::in_memory()).await;
        let mut stream = connect(&proxy, &site.client(&[&version::TLS13], protocol)).await.unwrap();
        if protocol == b"h2" {
            // The preface, and empty settings.
            stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.unwrap();
            // An answer says that the server serves.
            frame(&mut stream).await.unwrap();
        }
        proxy.shutdown.cancel();
        if protocol == b"h2" {
            soon(until_closed(&mut stream)).await;
        } else {
            assert_eq!(soon(stream.read(&mut [0; 16])).await.unwrap(), 0);
        }
    }
}

#[tokio::test]
async fn what_checks_a_name_speaks_no_http() {
    let site = Site::new().await;
    let proxy = site.server(Tickets::in_memory()).await;
    let mut stream = connect(&proxy, &site.client(&[&version::TLS13], TLS_ALPN01)).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(TLS_ALPN01));
    let _ = stream.write_all(format!("GET / HTTP/1.1\r\nHost: {BLOG}\r\n\r\n").as_bytes()).await;
    let mut answer = Vec::new();
    let _ = soon(stream.read_to_end(&mut answer)).await;
    assert_eq!(answer, b"");
    assert!(site.app.seen().is_empty());
}
