//! One request, from its head to the head of its response: who answers it, and how it is told apart on the way.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use http::header::{ACCEPT, ALT_SVC, CONNECTION, CONTENT_LENGTH};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Version};
use hyper::body::Body;
use tokio::sync::OwnedSemaphorePermit;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, debug_span, warn};

use super::access::Entry;
use super::answer::Reply;
use super::asked::Asked;
use super::body::ResponseBody;
use super::claim::{Address, Claim};
use super::client::{self, Client};
use super::clients::Place;
use super::error::{Error, Side};
use super::guard::{Arrival, Visit};
use super::headers;
use super::inbound::Inbound;
use super::onward::{Onward, Upgrade};
use super::outbound::Outbound;
use super::page::{self, Format, Setting};
use super::tunnel::Tunnel;
use super::{Proxy, asked, inlet, target, websocket};
use crate::http1::Switched;
use crate::metrics::OpenConnection;
use crate::route::internal_app;
use crate::tls::{CA_PATH, HTTP01_PATH};
use crate::traffic::InFlight;

/// The client's end of a connection, the same for all its requests.
#[derive(Debug)]
pub(super) struct Peer {
    pub proxy: Proxy,
    pub client: Client,
    /// Whether the other end is a proxy that is believed what it says of its clients.
    pub is_trusted: bool,
    pub is_tls: bool,
    /// The handshake in which the client was asked for a certificate, if it was.
    pub asked: OnceLock<Box<Asked>>,
    /// Counts the connection as open.
    pub _open: OpenConnection,
    /// Cancelled when the connection is to end.
    pub shutdown: CancellationToken,
    /// A tunnel outlives the connection that it began as, and still counts.
    pub _permit: OwnedSemaphorePermit,
    pub _place: Place,
}

impl Peer {
    /// Answers one request.
    pub(super) fn answer(
        self: Arc<Self>,
        request: Request<impl Into<Inbound>>,
    ) -> impl Future<Output = Response<Outbound>> + Send {
        self.answer_any(request.map(Into::into))
    }

    async fn answer_any(self: Arc<Self>, request: Request<Inbound>) -> Response<Outbound> {
        let proxy = &self.proxy.0;
        let is_head = request.method() == Method::HEAD;
        let version = request.version();
        let accept = request.headers().get(ACCEPT).cloned();
        let is_grpc = headers::is_grpc(request.method(), version, request.headers());
        let behind =
            self.is_trusted.then(|| Box::new(self.client.behind(request.headers(), &proxy.config.trust)));
        let client = behind.as_deref().unwrap_or(&self.client);
        let given_id = behind.as_ref().and_then(|_| client::given_id(request.headers()));
        let id = given_id.unwrap_or_else(|| proxy.ids.next());
        let mut entry = Entry::new(&self, client, id, &request);
        let mut visit = None;
        let answer = self.route(request, client, is_grpc, &mut entry, &mut visit).await;
        let mut response = match answer {
            // The entry of a tunnel went with it.
            Ok(mut response) if response.status() == StatusCode::SWITCHING_PROTOCOLS => {
                if version >= Version::HTTP_2 {
                    // As extended CONNECT has it (RFC 8441, 5).
                    *response.status_mut() = StatusCode::OK;
                }
                return response;
            }
            Ok(response) => response,
            Err(error) => {
                log(&error, &entry);
                entry.failed(&error);
                entry.status = error.status().as_u16();
                let accept = HeaderMap::from_iter(accept.map(|accept| (ACCEPT, accept)));
                let mut page = page::of_error(
                    &error,
                    Setting {
                        format: if is_grpc { Format::Grpc } else { Format::preferred(&accept) },
                        app: entry.app(),
                        domain: &proxy.config.domain,
                        https_port: proxy.config.https_port,
                        is_operator: client.ip.is_loopback() || proxy.config.is_local(),
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
        // Where a proxy in front of us serves the clients, ours is nothing that they could reach.
        if let Some(alt_svc) = &proxy.alt_svc
            && self.is_tls
            && !self.is_trusted
            && version < Version::HTTP_3
            // Over HTTP/3 nobody is asked for a certificate.
            && self.asked.get().is_none()
        {
            response.headers_mut().insert(ALT_SVC, alt_svc.clone());
        }
        if entry.status == 0 {
            entry.status = response.status().as_u16();
        }
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
        mut request: Request<Inbound>,
        client: &Client,
        is_grpc: bool,
        entry: &mut Entry,
        visit: &mut Option<Box<Visit>>,
    ) -> Result<Response<Outbound>, Error> {
        let proxy = &*self.proxy.0;
        let is_extended = request.method() == Method::CONNECT;
        if is_extended {
            if !websocket::is_asked(&request) {
                return Err(Error::Connect);
            }
            // What it is in HTTP/1.1, for the guards and for the app.
            *request.method_mut() = Method::GET;
        }
        let uri = request.uri().clone();
        // Before there is a route: it is the box's, whatever an app does.
        if !is_extended
            && uri.path() == CA_PATH
            && matches!(*request.method(), Method::GET | Method::HEAD)
            && let Some(pem) = proxy.config.ca_pem.as_deref()
        {
            return Ok(page::certificate(pem).map(Outbound::Plain));
        }
        // Before the route, which may redirect, be down, or not be there yet. Tokens that are not ours are the app's.
        if let Some(token) = uri.path().strip_prefix(HTTP01_PATH)
            && let Some(authorization) = proxy.config.challenges.http(token)
        {
            return Ok(page::authorization(&authorization).map(Outbound::Plain));
        }
        let host_header = target::host_header(&uri, request.headers())?;
        let host = target::routed_host(&host_header)?;
        target::check_length(&uri)?;
        let call = match internal_app(&host) {
            // Boxed, so that an ordinary request carries no room for it.
            Some(app) => Box::pin(self.proxy.admit_call(app, &host, self.client.ip)).await?,
            None => None,
        };
        let to = Address { host: &host, path: uri.path(), client: client.ip, is_tls: client.is_https };

        let live = proxy.routes.load();
        let found = live.find(to.host, to.path).ok_or(Error::NoRoute)?;
        entry.routed(found, to.path, request.headers());
        let is_call = call.is_some();
        entry.called(call);
        let arrival = Arrival { client: client.ip, is_tls: client.is_https, is_call, host: &host_header };
        *visit = Visit::begin(found, arrival, &request);
        let visit = visit.as_deref();
        if let Some(visit) = visit
            && let Some(answer) = visit.maintained(&request)?
        {
            return Ok(answer.map(Outbound::Plain));
        }
        if !client.is_https && found.policy().https_redirect && !is_call {
            // The ports of a proxy in front of us are its own business.
            let port = if client.is_proxied { 443 } else { proxy.config.https_port };
            let location = target::over_https(&host, port, &uri)?;
            return Ok(page::redirect(StatusCode::PERMANENT_REDIRECT, location).map(Outbound::Plain));
        }
        let certificate = match &found.route.policy.client_ca {
            Some(ca) if !is_call => Some(Asked::certificate(self, ca, &host)?),
            _ => None,
        };
        if let Some(visit) = visit {
            // Boxed here and below, so that a request without a policy does not carry room for one.
            let admitted = Box::pin(visit.in_time(visit.admit(&mut request, &uri, &host, &proxy.passwords)));
            if let Some(answer) = admitted.await? {
                return Ok(answer.map(Outbound::Plain));
            }
        }
        let (mut request, inlet) = inlet::open(request, visit, is_grpc)?;
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
        let upgrade = Upgrade::wanted(&mut request, is_extended);
        let onward = Onward::new(&claim, upgrade.as_ref(), is_grpc, &host_header);
        let (mut head, body) = onward.rewritten(request, client, entry);
        if let Some(certificate) = certificate {
            asked::tell(certificate, &mut head.headers);
        }
        let sent = match visit {
            None => self.proxy.forward(claim, to, &head, body, entry).await,
            Some(visit) => {
                visit.edit(&mut head.headers);
                Box::pin(visit.in_time(self.proxy.forward(claim, to, &head, body, entry))).await
            }
        };
        let (answer, guard) = sent.map_err(|error| inlet.blamed(error))?;
        match answer.reply(guard) {
            // To the client it would say that there is a tunnel.
            Reply::Response(response) if is_extended && response.status().is_success() => {
                Err(Error::DeclinedUpgrade)
            }
            Reply::Response(response) => match visit {
                None => Ok(response.map(Outbound::Plain)),
                Some(visit) => Box::pin(visit.shape(response)).await,
            },
            Reply::Switched(response, upstream, guard) => {
                let response = self.switch(response, upstream, guard, upgrade, entry)?;
                Ok(response.map(Outbound::Plain))
            }
        }
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
        let upgrade = upgrade.ok_or(Error::UnwantedUpgrade)?;
        let is_websocket = upgrade.is_websocket();
        let downstream = upgrade.accepted(response.headers_mut())?;
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
