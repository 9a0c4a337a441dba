//! A box elsewhere, over TLS.
//!
//! It is believed by the certificates that this machine trusts and, where one was pinned, by the box's own CA. A token goes
//! with every request, and never to a server that has not proved who it is: the one connection that asks for no proof
//! ([`BoxTrust::Nobody`], to look at a CA before it is pinned) carries none.

use std::fmt;
use std::io;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use http::header::HeaderValue;
use http::uri::Authority;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use zeroize::Zeroizing;

use super::ClientError;
use crate::web::machine_roots;

/// From the look-up of the name to the end of the handshake.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(15);

/// Where a box is: `https://box.example.com`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BoxUrl {
    host: String,
    port: u16,
}

/// By whose word a box is believed to be itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BoxTrust {
    /// Those whom this machine trusts, and this CA if there is one, in PEM.
    Known(Option<String>),
    /// Nobody's: whoever answers.
    Nobody,
}

/// Why a text is not where a box is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BoxUrlError {
    /// It names no https server.
    #[error("`{0}` is no box's address; use one such as `https://box.example.com`")]
    Address(String),
    /// A token must not travel there.
    #[error("`{0}` is not https, and a token goes over nothing else")]
    Plain(String),
    /// The pinned CA is no certificate.
    #[error("the CA's certificate that is kept for `{0}` cannot be read")]
    Ca(BoxUrl),
}

/// How to reach a box, and who one is there.
#[derive(Clone)]
pub(super) struct Remote {
    pub(super) url: BoxUrl,
    tls: Arc<ClientConfig>,
    /// `Authorization`.
    token: Option<HeaderValue>,
}

// === impl BoxUrl ===

impl BoxUrl {
    /// The host, without a port.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// What `Host` says.
    pub(super) fn authority(&self) -> String {
        match self.port {
            443 => self.host.clone(),
            port => format!("{}:{port}", self.host),
        }
    }
}

impl FromStr for BoxUrl {
    type Err = BoxUrlError;

    fn from_str(text: &str) -> Result<Self, BoxUrlError> {
        let wrong = || BoxUrlError::Address(text.to_owned());
        let authority = match text.split_once("://") {
            Some(("https", rest)) => rest,
            Some(("http", _)) => return Err(BoxUrlError::Plain(text.to_owned())),
            Some(_) => return Err(wrong()),
            None => text,
        };
        let authority: Authority = authority.trim_end_matches('/').parse().map_err(|_| wrong())?;
        if authority.host().is_empty() || authority.as_str().contains('@') {
            return Err(wrong());
        }
        let host = authority.host().to_ascii_lowercase();
        Ok(Self { host, port: authority.port_u16().unwrap_or(443) })
    }
}

impl fmt::Display for BoxUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "https://{}", self.authority())
    }
}

// === impl Remote ===

impl Remote {
    pub(super) fn new(url: BoxUrl, trust: &BoxTrust, token: Option<&str>) -> Result<Self, BoxUrlError> {
        let provider = Arc::new(ring::default_provider());
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .expect("ring has cipher suites for TLS 1.2 and 1.3");
        let mut tls = match trust {
            BoxTrust::Known(ca) => {
                let mut roots = machine_roots();
                if let Some(pem) = ca {
                    let ca = CertificateDer::from_pem_slice(pem.as_bytes());
                    let added = ca.map_err(drop).and_then(|ca| roots.add(ca).map_err(drop));
                    added.map_err(|()| BoxUrlError::Ca(url.clone()))?;
                }
                builder.with_root_certificates(roots).with_no_client_auth()
            }
            BoxTrust::Nobody => builder
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(Anybody(provider)))
                .with_no_client_auth(),
        };
        tls.alpn_protocols = vec![b"http/1.1".to_vec()];
        let is_proved = *trust != BoxTrust::Nobody;
        let token = token.filter(|_| is_proved).map(|token| {
            let text = Zeroizing::new(format!("Bearer {token}"));
            let mut value =
                HeaderValue::from_str(&text).map_err(|_| BoxUrlError::Address(url.to_string()))?;
            value.set_sensitive(true);
            Ok(value)
        });
        Ok(Self { token: token.transpose()?, url, tls: Arc::new(tls) })
    }

    pub(super) fn token(&self) -> Option<HeaderValue> {
        self.token.clone()
    }

    pub(super) async fn connect(&self) -> Result<TlsStream<TcpStream>, ClientError> {
        let away = |source| ClientError::RemoteUnreachable { url: self.url.clone(), source };
        let late = |_| away(io::Error::from(io::ErrorKind::TimedOut));
        timeout(CONNECT_TIME_MAX, self.connect_patiently()).await.map_err(late)?.map_err(|source| {
            let is_proof = source.get_ref().and_then(|error| error.downcast_ref::<rustls::Error>());
            match is_proof {
                Some(rustls::Error::InvalidCertificate(_)) => {
                    ClientError::Untrusted { url: self.url.clone(), source }
                }
                _ => away(source),
            }
        })
    }

    async fn connect_patiently(&self) -> io::Result<TlsStream<TcpStream>> {
        let host = self.url.host.trim_matches(['[', ']']);
        let stream = TcpStream::connect((host, self.url.port)).await?;
        stream.set_nodelay(true)?;
        let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
        TlsConnector::from(Arc::clone(&self.tls)).connect(name, stream).await
    }
}

impl fmt::Debug for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Remote").field("url", &self.url).finish_non_exhaustive()
    }
}

/// Takes any certificate, but has its holder prove that it has the key.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

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
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_box_is_an_https_address() {
        for (text, expected) in [
            ("https://box.example.com", "https://box.example.com"),
            ("Box.example.com:8443", "https://box.example.com:8443"),
            ("https://[::1]:8443/", "https://[::1]:8443"),
        ] {
            assert_eq!(text.parse::<BoxUrl>().unwrap().to_string(), expected);
        }
        for bad in ["", "https://", "ftp://box", "https://box/path", "https://user@box"] {
            assert!(matches!(bad.parse::<BoxUrl>(), Err(BoxUrlError::Address(_))), "{bad}");
        }
        assert!(matches!("http://box".parse::<BoxUrl>(), Err(BoxUrlError::Plain(_))));
    }

    #[test]
    fn no_token_goes_to_a_server_that_proves_nothing() {
        let url: BoxUrl = "https://box".parse().unwrap();
        let remote = |trust| Remote::new(url.clone(), &trust, Some("mp_secret")).unwrap();
        assert!(remote(BoxTrust::Nobody).token().is_none());
        let known = remote(BoxTrust::Known(None));
        assert!(known.token().unwrap().is_sensitive());
        assert!(!format!("{known:?}{:?}", known.token()).contains("secret"));
    }
}
