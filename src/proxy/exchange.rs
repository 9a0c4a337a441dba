//! One request, from its head to the head of its response: who answers it, and how it is told apart on the way.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http::header::{ACCEPT, CONNECTION, CONTENT_LENGTH};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Version, request};
use hyper::body::{Body, Incoming};
use hyper::upgrade::OnUpgrade;
use tokio::sync::OwnedSemaphorePermit;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, debug_span, warn};

use super::access::Entry;
use super::body::ResponseBody;
use super::claim::{Address, Claim};
use super::client::{self, Client};
use super::clients::Place;
use super::error::{Error, Side};
use super::guard::{Arrival, Visit};
use super::headers::{self, Told};
use super::outbound::Outbound;
use super::page::{self, Format, Setting};
use super::request_id::RequestId;
use super::tunnel::Tunnel;
use super::{Proxy, inlet, target};
use crate::http1::{self, Answer, RequestBody, Switched};
use crate::metrics::OpenConnection;
use crate::traffic::InFlight;

/// Where the local CA's certificate is, on every host, over http.
const CA_PATH: &str = "/.well-known/minipaas/ca.crt";

/// The client's end of a connection, the same for all its requests.
#[derive(Debug)]
pub(super) struct Peer {
    pub proxy: Proxy,
    pub client: Client,
    /// Whether the other end is a proxy that is believed what it says of its clients.
    pub is_trusted: bool,
    pub is_tls: bool,
    /// Counts the connection as open.
    pub _open: OpenConnection,
    /// Cancelled when the connection is to end.
    pub shutdown: CancellationToken,
    /// A tunnel outlives the connection that it began as, and still counts.
    pub _permit: OwnedSemaphorePermit,
    pub _place: Place,
}

/// A client's wish to change the protocol.
struct Upgrade {
    protocol: HeaderValue,
    downstream: OnUpgrade,
}

impl Peer {
    /// Answers one request.
    pub(super) async fn answer(self: Arc<Self>, request: Request<Incoming>) -> Response<Outbound> {
        let proxy = &self.proxy.0;
        let is_head = request.method() == Method::HEAD;
        let version = request.version();
        let accept = request.headers().get(ACCEPT).cloned();
        let behind =
            self.is_trusted.then(|| Box::new(self.client.behind(request.headers(), &proxy.config.trust)));
        let client = behind.as_deref().unwrap_or(&self.client);
        let given_id = behind.as_ref().and_then(|_| client::given_id(request.headers()));
        let id = given_id.unwrap_or_else(|| proxy.ids.next());
        let mut entry = Entry::new(&self, client, id, &request);
        let mut visit = None;
        let answer = self.route(request, client, &mut entry, &mut visit).await;
        let mut response = match answer {
            // The entry of a tunnel went with it.
            Ok(response) if response.status() == StatusCode::SWITCHING_PROTOCOLS => return response,
            Ok(response) => response,
            Err(error) => {
                log(&error, &entry);
                entry.failed(&error);
                let accept = HeaderMap::from_iter(accept.map(|accept| (ACCEPT, accept)));
                let mut page = page::of_error(
                    &error,
                    Setting {
                        format: Format::preferred(&accept),
                        app: entry.app(),
                        domain: &proxy.config.domain,
                        id: &entry.id,
                        custom: visit.as_ref().and_then(|visit| visit.page(&error)),
                    },
                );
                if error.leaves_body() && version < Version::HTTP_2 {
                    page.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
                }
                page.map(Outbound::Plain)
            }
        };
        if let Some(visit) = &visit {
            visit.finish(response.headers_mut());
        }
        entry.status = response.status().as_u16();
        if is_head && !response.body().is_end_stream() {
            let length = response.body().size_hint().exact().unwrap_or_default();
            response.headers_mut().insert(CONTENT_LENGTH, length.into());
            *response.body_mut() = Outbound::Plain(ResponseBody::page(Bytes::new()));
        }
        response.body_mut().log(entry);
        response
    }

    async fn route(
        self: &Arc<Self>,
        mut request: Request<Incoming>,
        client: &Client,
        entry: &mut Entry,
        visit: &mut Option<Box<Visit>>,
    ) -> Result<Response<Outbound>, Error> {
        let proxy = &*self.proxy.0;
        if request.method() == Method::CONNECT {
            return Err(Error::Connect);
        }
        let uri = request.uri().clone();
        if !self.is_tls
            && let Some(pem) = proxy.config.ca_pem.as_deref().filter(|_| uri.path() == CA_PATH)
        {
            return Ok(page::certificate(pem).map(Outbound::Plain));
        }
        let host_header = target::host_header(&uri, request.headers())?;
        let host = target::routed_host(&host_header)?;
        target::check_length(&uri)?;
        let to = Address { host: &host, path: uri.path(), client: client.ip, is_tls: client.is_https };

        let live = proxy.routes.load();
        let found = live.find(to.host, to.path).ok_or(Error::NoRoute)?;
        entry.routed(found, to.path, request.headers());
        let arrival = Arrival { client: client.ip, is_tls: client.is_https, host: &host_header };
        *visit = Visit::begin(found, arrival, &request);
        let visit = visit.as_deref();
        if let Some(visit) = visit
            && let Some(answer) = visit.maintained(&request)?
        {
            return Ok(answer.map(Outbound::Plain));
        }
        if !client.is_https && found.route.policy.https_redirect {
            // The ports of a proxy in front of us are its own business.
            let port = if client.is_proxied { 443 } else { proxy.config.https_port };
            let location = target::over_https(&host, port, &uri)?;
            return Ok(page::redirect(StatusCode::PERMANENT_REDIRECT, location).map(Outbound::Plain));
        }
        if let Some(visit) = visit {
            // Boxed here and below, so that a request without a policy does not carry room for one.
            let admitted = Box::pin(visit.in_time(visit.admit(&mut request, &uri, &host, &proxy.passwords)));
            if let Some(answer) = admitted.await? {
                return Ok(answer.map(Outbound::Plain));
            }
        }
        let (mut request, inlet) = inlet::open(request, visit)?;
        entry.meter = inlet.meter();
        if let Some(visit) = visit
            && let Some(max) = visit.buffered()
        {
            request = Box::pin(visit.in_time(inlet.collected(request, max))).await?;
        }
        let claim = match Claim::of(found, to, request.headers(), None) {
            Ok(claim) => claim,
            Err(_) => {
                entry.held();
                drop(live);
                let claimed = self.proxy.claim_again(to, request.headers(), None);
                match visit {
                    Some(visit) => Box::pin(visit.in_time(claimed)).await?,
                    None => claimed.await?,
                }
            }
        };
        let upgrade = headers::wanted_upgrade(request.version(), request.headers())
            .filter(|_| matches!(request.body(), RequestBody::Empty))
            .map(|protocol| Upgrade { protocol, downstream: hyper::upgrade::on(&mut request) });
        let protocol = upgrade.as_ref().map(|upgrade| upgrade.protocol.clone());
        let (mut head, body) =
            self.rewritten(request, client, &host_header, claim.strip, protocol, &entry.id);
        let sent = match visit {
            None => self.proxy.forward(claim, to, &head, body, entry).await,
            Some(visit) => {
                visit.edit(&mut head.headers);
                Box::pin(visit.in_time(self.proxy.forward(claim, to, &head, body, entry))).await
            }
        };
        match (sent.map_err(|error| inlet.blamed(error))?, visit) {
            ((Answer::Response(response), guard), None) => Ok(respond(response, guard).map(Outbound::Plain)),
            ((Answer::Response(response), guard), Some(visit)) => {
                Box::pin(visit.shape(respond(response, guard))).await
            }
            ((Answer::Switched(response, upstream), guard), _) => {
                let response = self.switch(response, upstream, guard, upgrade, entry)?;
                Ok(response.map(Outbound::Plain))
            }
        }
    }

    /// The request as the upstream gets it.
    fn rewritten(
        &self,
        request: Request<RequestBody>,
        client: &Client,
        host: &HeaderValue,
        strip: usize,
        upgrade: Option<HeaderValue>,
        id: &RequestId,
    ) -> (request::Parts, RequestBody) {
        let (mut parts, body) = request.into_parts();
        let uri = std::mem::take(&mut parts.uri);
        if parts.version == Version::HTTP_2 {
            headers::join_cookies(&mut parts.headers);
        }
        let told = Told {
            client,
            host,
            prefix: (strip > 0).then(|| uri.path().get(..strip)).flatten(),
            id: id.into(),
            start_ms: now_ms(),
        };
        headers::rewrite_request(&mut parts.headers, told, upgrade);
        parts.uri = target::for_upstream(&uri, strip);
        parts.version = Version::HTTP_11;
        // Nothing of the client's connection is of use to the upstream's.
        parts.extensions.clear();
        (parts, body)
    }

    /// The response to a change of the protocol; the connections go on as a tunnel.
    fn switch(
        self: &Arc<Self>,
        mut response: Response<()>,
        upstream: Switched,
        guard: InFlight,
        upgrade: Option<Upgrade>,
        entry: &mut Entry,
    ) -> Result<Response<ResponseBody>, Error> {
        let Upgrade { protocol, downstream } = upgrade.ok_or(Error::UnwantedUpgrade)?;
        let is_websocket = headers::is_websocket(&protocol);
        headers::rewrite_switch(response.headers_mut(), protocol);
        let mut entry = entry.take();
        entry.status = StatusCode::SWITCHING_PROTOCOLS.as_u16();
        let span = debug_span!("tunnel", request_id = entry.id.as_str());
        let tunnel = Tunnel {
            downstream,
            upstream,
            is_websocket,
            counted: guard.upgrade(),
            peer: Arc::clone(self),
            entry,
        };
        self.proxy.0.tasks.spawn(tunnel.run().instrument(span));
        Ok(response.map(|()| ResponseBody::page(Bytes::new())))
    }
}

/// The response as the client gets it.
fn respond(mut response: Response<http1::ResponseBody>, guard: InFlight) -> Response<ResponseBody> {
    *response.version_mut() = Version::HTTP_11;
    headers::rewrite_response(response.headers_mut());
    response.map(|body| ResponseBody::streaming(body, guard))
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
