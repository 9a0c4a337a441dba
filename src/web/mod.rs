//! A small http client for what the box itself asks: certificate authorities, DNS providers, `ask` addresses.
//!
//! A [`Client`] sends one request at a time and gives back the whole response; connections are kept for the next one. It
//! trusts whom this machine trusts and the roots it was given on top, and where the machine trusts nobody, Mozilla's list.
//! Names are looked up as everything on the machine does, or at servers of our choice. Whatever a server does, a request ends
//! in bounded time and memory, and a failure says in plain words which host did what.
//!
//! It follows no redirect, as an answer that must be believed should come from where it was asked; it has no cookies and no
//! proxy, and speaks HTTP/1.1 alone. Requests of visitors are not its business, those are the proxy's.

mod error;
mod lookup;

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Request, Response, header};
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::crypto::ring;
use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, RootCertStore};
use tokio::time::timeout;

use self::lookup::Lookup;

pub use self::error::WebError;

/// Who we say that we are.
const USER_AGENT: HeaderValue = HeaderValue::from_static(concat!("minipaas/", env!("CARGO_PKG_VERSION")));

mod limits {
    use std::time::Duration;

    /// From the look-up to an open connection, before TLS.
    pub(super) const CONNECT_TIME_MAX: Duration = Duration::from_secs(10);
    /// From the request to the last byte of the response.
    pub(super) const REQUEST_TIME_MAX: Duration = Duration::from_secs(30);
    /// Of a response.
    pub(super) const BODY_BYTES_MAX: usize = 1 << 20;
    /// How long a connection is kept for the next request.
    pub(super) const IDLE_TIME_MAX: Duration = Duration::from_secs(30);
    /// Connections that are kept, for each host.
    pub(super) const IDLE_MAX: usize = 2;
}

/// What a [`Client`] is made with.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// Roots that are trusted on top of the machine's. Default none.
    pub extra_roots: Vec<CertificateDer<'static>>,
    /// DNS servers to ask for addresses, all at once. Default none, which means as the machine does.
    pub nameservers: Vec<SocketAddr>,
    /// Which of a name's addresses may be asked; an address that is asked for by itself is not looked up, and not refused.
    /// Default all.
    pub may_reach: Option<fn(IpAddr) -> bool>,
}

/// Sends requests; clones share their connections.
#[derive(Clone)]
pub struct Client {
    http: legacy::Client<HttpsConnector<HttpConnector<Lookup>>, Full<Bytes>>,
    request_time_max: Duration,
}

// === impl Client ===

impl Client {
    /// A client that waits 30 s for a response of at most 1 MiB.
    ///
    /// # Errors
    ///
    /// One of the additional roots is no certificate.
    pub fn new(settings: &Settings) -> Result<Self, WebError> {
        let tls = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("ring has cipher suites for TLS 1.2 and 1.3")
            .with_root_certificates(roots(&settings.extra_roots)?)
            .with_no_client_auth();
        let mut tcp =
            HttpConnector::new_with_resolver(Lookup::new(&settings.nameservers, settings.may_reach));
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(limits::CONNECT_TIME_MAX));
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls)
            .https_or_http()
            .enable_http1()
            .wrap_connector(tcp);
        let http = legacy::Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(limits::IDLE_TIME_MAX)
            .pool_max_idle_per_host(limits::IDLE_MAX)
            .build(connector);
        Ok(Self { http, request_time_max: limits::REQUEST_TIME_MAX })
    }

    /// The same client, over the same connections, with another limit for a whole request. Default 30 s.
    #[must_use]
    #[cfg(test)]
    pub(crate) fn with_time_max(&self, request_time_max: Duration) -> Self {
        Self { http: self.http.clone(), request_time_max }
    }

    /// Sends the request and reads the whole response, whatever its status is.
    ///
    /// # Errors
    ///
    /// There was no response, or none within the limits of time and size.
    pub async fn send(&self, mut request: Request<Bytes>) -> Result<Response<Bytes>, WebError> {
        let host = match (request.uri().scheme_str(), request.uri().host()) {
            (Some("http" | "https"), Some(host)) => host.to_owned(),
            _ => return Err(WebError::Address { address: request.uri().to_string() }),
        };
        request.headers_mut().insert(header::USER_AGENT, USER_AGENT);
        match timeout(self.request_time_max, self.exchange(request.map(Full::new), &host)).await {
            Ok(result) => result,
            Err(_) => Err(WebError::Slow { host, limit: self.request_time_max }),
        }
    }

    async fn exchange(&self, request: Request<Full<Bytes>>, host: &str) -> Result<Response<Bytes>, WebError> {
        let response =
            self.http.request(request).await.map_err(|error| WebError::of_request(host, &error))?;
        let (head, body) = response.into_parts();
        Ok(Response::from_parts(head, read(body, host).await?))
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("request_time_max", &self.request_time_max).finish_non_exhaustive()
    }
}

async fn read(body: Incoming, host: &str) -> Result<Bytes, WebError> {
    match Limited::new(body, limits::BODY_BYTES_MAX).collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => {
            Err(WebError::Large { host: host.to_owned(), limit: limits::BODY_BYTES_MAX })
        }
        Err(error) => Err(WebError::of_body(host, error.as_ref())),
    }
}

/// Whom the client trusts.
fn roots(extra: &[CertificateDer<'static>]) -> Result<RootCertStore, WebError> {
    let mut roots = machine_roots();
    for root in extra {
        roots.add(root.clone()).map_err(WebError::Root)?;
    }
    Ok(roots)
}

/// Whom this machine trusts; where that is nobody, Mozilla's list. Reads files.
#[must_use]
pub fn machine_roots() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    let native = rustls_native_certs::load_native_certs();
    for error in native.errors {
        tracing::debug!(
            error = &error as &dyn std::error::Error,
            "some roots of this machine cannot be read"
        );
    }
    // Of what machines have collected, some are broken; the rest is good.
    let (trusted, _) = roots.add_parsable_certificates(native.certs);
    if trusted == 0 {
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    roots
}

#[cfg(test)]
mod tests;
