//! The access log: one event for each request, at its very end, with the fields of Heroku's router.
//!
//! The target is `minipaas::access`; when nobody listens to it, nothing is collected. [`Entry`] writes when it is dropped, so
//! that a request whose client went away is logged like any other, as status 499.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderValue, Method, Uri};
use tokio::time::Instant;
use tracing::{Level, info};

use super::request_id::RequestId;
use crate::name::AppName;
use crate::traffic::Upstream;

pub(super) const TARGET: &str = "minipaas::access";

/// What is known of one request; travels with it from its first byte to its last.
#[derive(Debug)]
pub(super) struct Entry {
    /// The request's id.
    pub id: RequestId,
    /// The app that it was routed to.
    pub app: Option<AppName>,
    /// The upstream that it was last sent to.
    pub upstream: Option<Arc<Upstream>>,
    /// The code of the error that was answered.
    pub code: Option<&'static str>,
    /// The status that was answered; 0 as long as none was.
    pub status: u16,
    /// The bytes of the response's body that were handed on.
    pub bytes: u64,
    details: Option<Box<Details>>,
}

/// What only the log needs.
#[derive(Debug)]
struct Details {
    method: Method,
    uri: Uri,
    host: Option<HeaderValue>,
    client: IpAddr,
    since: Instant,
    connect: Option<Duration>,
}

impl Entry {
    pub(super) fn new(id: RequestId, method: &Method, uri: &Uri, client: IpAddr) -> Self {
        let details = tracing::enabled!(target: TARGET, Level::INFO).then(|| {
            let (method, uri) = (method.clone(), uri.clone());
            Box::new(Details { method, uri, host: None, client, since: Instant::now(), connect: None })
        });
        Self { id, app: None, upstream: None, code: None, status: 0, bytes: 0, details }
    }

    /// Moves the entry to where the request goes on; what stays behind is not logged.
    pub(super) fn take(&mut self) -> Self {
        Self {
            id: self.id,
            app: self.app.take(),
            upstream: self.upstream.take(),
            code: self.code,
            status: self.status,
            bytes: self.bytes,
            details: self.details.take(),
        }
    }

    /// Notes the host that was asked for.
    pub(super) fn host(&mut self, host: &HeaderValue) {
        if let Some(details) = &mut self.details {
            details.host = Some(host.clone());
        }
    }

    /// Notes that there is a connection to an upstream.
    pub(super) fn connected(&mut self) {
        if let Some(details) = &mut self.details {
            details.connect = Some(details.since.elapsed());
        }
    }

    /// The id of the instance that the request was last sent to, for logs.
    pub(super) fn instance(&self) -> Option<&str> {
        self.upstream.as_ref().map(|upstream| upstream.instance().as_str())
    }

    /// The name of the app, for logs and pages.
    pub(super) fn app(&self) -> Option<&str> {
        self.app.as_ref().map(AppName::as_str)
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        let Some(details) = &self.details else { return };
        let total = details.since.elapsed();
        let connect = details.connect.unwrap_or_default();
        // As nginx and HAProxy call a client that went away before it was answered.
        let status = if self.status == 0 { 499 } else { self.status };
        info!(
            target: TARGET,
            at = if self.code.is_some() { "error" } else { "info" },
            code = self.code,
            method = details.method.as_str(),
            path = details.uri.path_and_query().map_or("/", |target| target.as_str()),
            host = details.host.as_ref().and_then(|host| host.to_str().ok()),
            request_id = self.id.as_str(),
            fwd = %details.client,
            app = self.app(),
            instance = self.instance(),
            connect_ms = millis(connect),
            service_ms = millis(total.saturating_sub(connect)),
            status,
            bytes = self.bytes,
        );
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
