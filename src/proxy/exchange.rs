//! One request, from its head to the head of its response: who answers it, and how it is told apart on the way.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_LENGTH};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri, Version};
use hyper::body::{Body, Incoming};
use hyper::upgrade::OnUpgrade;
use tokio::sync::OwnedSemaphorePermit;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, debug_span, warn};

use super::access::Entry;
use super::body::{Lease, ResponseBody};
use super::error::{Error, Side};
use super::forward::{Address, Claim};
use super::headers::{self, Told};
use super::page::{self, Format};
use super::tunnel::Tunnel;
use super::{Proxy, target};
use crate::traffic::RequestBody;

/// Where the local CA's certificate is, on every host, over http.
const CA_PATH: &str = "/.well-known/minipaas/ca.crt";

/// The client's end of a connection, the same for all its requests.
#[derive(Debug)]
pub(super) struct Peer {
    pub proxy: Proxy,
    pub client: IpAddr,
    /// The address as a header's value, made once.
    pub client_value: HeaderValue,
    /// The port that the client connected to, as it sees it.
    pub port: HeaderValue,
    pub is_tls: bool,
    /// Cancelled when the connection is to end.
    pub shutdown: CancellationToken,
    /// A tunnel outlives the connection that it began as, and still counts.
    pub _permit: OwnedSemaphorePermit,
}

/// A client's wish to change the protocol.
struct Upgrade {
    protocol: HeaderValue,
    downstream: OnUpgrade,
}

impl Peer {
    /// Answers one request.
    pub(super) async fn answer(self: Arc<Self>, request: Request<Incoming>) -> Response<ResponseBody> {
        let proxy = &self.proxy.0;
        let is_head = request.method() == Method::HEAD;
        let accept = request.headers().get(ACCEPT).cloned();
        let mut entry = Entry::new(proxy.ids.next(), request.method(), request.uri(), self.client);
        let answer = self.route(request, &mut entry).await;
        let mut response = match answer {
            // The entry of a tunnel went with it.
            Ok(response) if response.status() == StatusCode::SWITCHING_PROTOCOLS => return response,
            Ok(response) => response,
            Err(error) => {
                log(&error, &entry);
                entry.code = Some(error.code());
                let accept = HeaderMap::from_iter(accept.map(|accept| (ACCEPT, accept)));
                let format = Format::preferred(&accept);
                page::of_error(&error, format, entry.app(), &proxy.config.domain, &entry.id)
            }
        };
        entry.status = response.status().as_u16();
        if is_head && !response.body().is_end_stream() {
            let length = response.body().size_hint().exact().unwrap_or_default();
            response.headers_mut().insert(CONTENT_LENGTH, length.into());
            *response.body_mut() = ResponseBody::page(Bytes::new());
        }
        response.body_mut().log(entry);
        response
    }

    async fn route(
        self: &Arc<Self>,
        mut request: Request<Incoming>,
        entry: &mut Entry,
    ) -> Result<Response<ResponseBody>, Error> {
        let proxy = &*self.proxy.0;
        if request.method() == Method::CONNECT {
            return Err(Error::Connect);
        }
        let uri = request.uri().clone();
        if !self.is_tls
            && let Some(pem) = proxy.config.ca_pem.as_deref().filter(|_| uri.path() == CA_PATH)
        {
            return Ok(page::certificate(pem));
        }
        let host_header = target::host_header(&uri, request.headers())?;
        entry.host(&host_header);
        let host = target::routed_host(&host_header)?;
        let to = Address { host: &host, path: uri.path() };

        let live = proxy.routes.load();
        let found = live.find(to.host, to.path).ok_or(Error::NoRoute)?;
        entry.app = Some(found.route.app.clone());
        if !self.is_tls && found.route.policy.https_redirect {
            return Ok(page::redirect(target::over_https(&host, proxy.config.https_port, &uri)?));
        }
        let claim = match Claim::of(found, None) {
            Some(claim) => claim,
            None => {
                drop(live);
                self.proxy.claim_again(to, None).await?
            }
        };
        let upgrade = headers::wanted_upgrade(request.version(), request.headers())
            .filter(|_| request.body().is_end_stream())
            .map(|protocol| Upgrade { protocol, downstream: hyper::upgrade::on(&mut request) });
        let protocol = upgrade.as_ref().map(|upgrade| upgrade.protocol.clone());
        let request = self.rewritten(request, &uri, &host_header, claim.strip, protocol, entry);
        let (response, lease) = self.proxy.forward(claim, to, request, entry).await?;
        self.respond(response, lease, upgrade, entry)
    }

    /// The request as the upstream gets it.
    fn rewritten(
        &self,
        request: Request<Incoming>,
        uri: &Uri,
        host: &HeaderValue,
        strip: usize,
        upgrade: Option<HeaderValue>,
        entry: &Entry,
    ) -> Request<RequestBody> {
        let (mut parts, body) = request.into_parts();
        let body = RequestBody::new(body);
        if parts.version == Version::HTTP_2 {
            headers::join_cookies(&mut parts.headers);
        }
        if matches!(body, RequestBody::Empty) {
            headers::mark_empty(&parts.method, &mut parts.headers);
        }
        let told = Told {
            client: &self.client_value,
            scheme: if self.is_tls { "https" } else { "http" },
            port: &self.port,
            host,
            prefix: (strip > 0).then(|| uri.path().get(..strip)).flatten(),
            id: (&entry.id).into(),
            start_ms: now_ms(),
        };
        headers::rewrite_request(&mut parts.headers, told, upgrade);
        parts.uri = target::for_upstream(uri, strip);
        parts.version = Version::HTTP_11;
        // Nothing of the client's connection is of use to the upstream's.
        parts.extensions.clear();
        Request::from_parts(parts, body)
    }

    /// The response as the client gets it.
    fn respond(
        self: &Arc<Self>,
        mut response: Response<Incoming>,
        lease: Lease,
        upgrade: Option<Upgrade>,
        entry: &mut Entry,
    ) -> Result<Response<ResponseBody>, Error> {
        *response.version_mut() = Version::HTTP_11;
        lease.guard.upstream().record(response.status().is_server_error());
        if response.status() != StatusCode::SWITCHING_PROTOCOLS {
            headers::rewrite_response(response.headers_mut());
            return Ok(response.map(|body| ResponseBody::streaming(body, lease)));
        }
        let Upgrade { protocol, downstream } = upgrade.ok_or(Error::UnwantedUpgrade)?;
        let upstream = hyper::upgrade::on(&mut response);
        let is_websocket = headers::is_websocket(&protocol);
        headers::rewrite_switch(response.headers_mut(), protocol);
        let mut entry = entry.take();
        entry.status = StatusCode::SWITCHING_PROTOCOLS.as_u16();
        let span = debug_span!("tunnel", request_id = entry.id.as_str());
        let tunnel = Tunnel {
            downstream,
            upstream,
            is_websocket,
            counted: lease.guard.upgrade(),
            peer: Arc::clone(self),
            entry,
        };
        self.proxy.0.tasks.spawn(tunnel.run().instrument(span));
        Ok(response.map(|_| ResponseBody::page(Bytes::new())))
    }
}

/// Logs an error that is not the client's.
fn log(error: &Error, entry: &Entry) {
    if error.side() == Side::Downstream {
        return;
    }
    warn!(
        app = entry.app(),
        instance = entry.instance(),
        request_id = entry.id.as_str(),
        side = error.side().as_str(),
        error = error as &dyn std::error::Error,
        "request failed"
    );
}

fn now_ms() -> u64 {
    // Before 1970 the clock is of no use to anybody.
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(0))
}
