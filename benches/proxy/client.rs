//! The clients that no common tool is: one handshake a request, many idle connections, one long upload.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{ClientConfig, Resumption};
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{DigitallySignedStruct, HandshakeKind, ProtocolVersion, SignatureScheme};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_rustls::TlsConnector;

use super::load::Answered;
use super::peers::HOST;

/// Clients that make one connection after the other.
const HANDSHAKE_CLIENTS: usize = 8;
/// For an answer on a connection that will idle, or to an upload.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(60);
/// What an upload writes at once.
const CHUNK_BYTES: usize = 64 * 1024;

/// Full TLS 1.3 handshakes, each with one request on it.
pub(crate) fn handshakes(addr: SocketAddr, seconds: u64) -> anyhow::Result<Answered> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let duration = Duration::from_secs(seconds);
    let mut times = runtime.block_on(async {
        let connector = TlsConnector::from(Arc::new(tls_config()?));
        let until = Instant::now() + duration;
        let mut clients = JoinSet::new();
        for _ in 0..HANDSHAKE_CLIENTS {
            let connector = connector.clone();
            clients.spawn(async move {
                let mut times = Vec::new();
                while Instant::now() < until {
                    let began = Instant::now();
                    one_handshake(&connector, addr).await?;
                    times.push(began.elapsed());
                }
                anyhow::Ok(times)
            });
        }
        let mut times = Vec::new();
        while let Some(client) = clients.join_next().await {
            times.extend(client??);
        }
        anyhow::Ok(times)
    })?;
    times.sort_unstable();
    ensure!(!times.is_empty(), "nothing was answered");
    let at = |percent: usize| times[(times.len() - 1) * percent / 100];
    #[expect(clippy::cast_precision_loss, reason = "there are not so many requests")]
    let per_second = times.len() as f64 / duration.as_secs_f64();
    Ok(Answered { requests: times.len() as u64, per_second, p50: at(50), p99: at(99) })
}

/// Connections on each of which one request was answered.
pub(crate) fn idle(addr: SocketAddr, count: usize) -> anyhow::Result<Vec<TcpStream>> {
    // In one write, or Nagle's algorithm waits for an acknowledgement between the pieces.
    let request = format!("GET /small HTTP/1.1\r\nHost: {HOST}\r\n\r\n");
    (0..count)
        .map(|number| {
            let context = || format!("connection {number}");
            let mut stream = TcpStream::connect(addr).with_context(context)?;
            stream.set_read_timeout(Some(ANSWER_TIME_MAX))?;
            stream.write_all(request.as_bytes()).with_context(context)?;
            let mut answer = [0; 4096];
            let read = stream.read(&mut answer).with_context(context)?;
            ensure!(answer[..read].starts_with(b"HTTP/1.1 200"), "connection {number} was not answered");
            Ok(stream)
        })
        .collect()
}

/// Uploads so many bytes; how long it took.
pub(crate) fn upload(addr: SocketAddr, bytes: usize) -> anyhow::Result<Duration> {
    let began = Instant::now();
    let mut stream = TcpStream::connect(addr)?;
    stream.set_read_timeout(Some(ANSWER_TIME_MAX))?;
    write!(stream, "POST /upload HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: {bytes}\r\n\r\n")?;
    let chunk = vec![b'x'; CHUNK_BYTES];
    for _ in 0..bytes / CHUNK_BYTES {
        stream.write_all(&chunk).context("the upload was cut short")?;
    }
    let mut answer = [0; 4096];
    let read = stream.read(&mut answer)?;
    ensure!(answer[..read].starts_with(b"HTTP/1.1 200"), "the upload was refused");
    Ok(began.elapsed())
}

async fn one_handshake(connector: &TlsConnector, addr: SocketAddr) -> anyhow::Result<()> {
    let stream = tokio::net::TcpStream::connect(addr).await?;
    stream.set_nodelay(true)?;
    let mut stream = connector.connect(ServerName::try_from(HOST)?, stream).await?;
    let (_, tls) = stream.get_ref();
    ensure!(tls.protocol_version() == Some(ProtocolVersion::TLSv1_3), "this is not TLS 1.3");
    ensure!(tls.handshake_kind() != Some(HandshakeKind::Resumed), "a session was resumed");
    stream
        .write_all(format!("GET /small HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n").as_bytes())
        .await?;
    let mut answer = Vec::new();
    // Some close without a TLS alert; what matters is that the answer came.
    drop(stream.read_to_end(&mut answer).await);
    ensure!(answer.starts_with(b"HTTP/1.1 200"), "a request was not answered");
    Ok(())
}

fn tls_config() -> anyhow::Result<ClientConfig> {
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anybody))
        .with_no_client_auth();
    config.resumption = Resumption::disabled();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

/// Believes every certificate: the client's time is not what is measured.
#[derive(Debug)]
struct Anybody;

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ECDSA_NISTP256_SHA256]
    }
}
