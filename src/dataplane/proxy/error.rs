//! Why a request was not answered by an app, and what the client is told.
//!
//! Each variant knows the side that is to blame: the client (nothing to log), the upstream (logged once, by the exchange), or
//! minipaas itself, when one of its own limits was reached.

use std::io;
use std::time::Duration;

use http::StatusCode;

use super::timed::Late;
use crate::http1::BodyError;
use crate::name::AppName;
use crate::traffic::Outcome;
use crate::{http1, http2};

/// Why a request was not answered by an app.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error("the request names no host that could be routed")]
    BadHost,
    #[error("the address is longer than 16 KiB")]
    LongAddress,
    #[error("method CONNECT is not supported")]
    Connect,
    #[error("no app answers at this address")]
    NoRoute,
    #[error("the body of the request broke off")]
    BadBody,
    #[error("the body of the request has a transfer coding other than chunked")]
    Coding,
    #[error("the body of the request did not go on")]
    SlowBody,
    #[error("the body of the request is larger than {max} bytes")]
    TooLarge { max: u64 },
    #[error("the app is in maintenance")]
    Maintenance { retry_after: Option<Duration> },
    #[error("this address may not come in")]
    Denied,
    #[error("{} may not call `{app}`", .caller.as_ref().map_or_else(|| "this container".to_owned(), |caller| format!("app `{caller}`")))]
    NotLinked { caller: Option<AppName>, app: String },
    #[error("a client certificate is needed")]
    NoCertificate,
    #[error("the client certificate is not of a CA that this route trusts")]
    ForeignCertificate,
    #[error("the connection was made for another host")]
    Misdirected,
    #[error("too many requests from this address")]
    RateLimited { wait: Duration },
    #[error("a user and a password are needed")]
    Unauthorized,
    #[error("too many passwords wait to be checked")]
    PasswordsBusy,
    #[error("no instance of the app is ready")]
    NotReady,
    #[error("the app is scaled to 0: no instance of it runs")]
    ScaledToZero,
    #[error("no instance of the app became ready in time")]
    HoldExpired,
    #[error("too many requests are waiting for the app")]
    HoldFull,
    #[error("the app is paused, and did not go on in time")]
    PauseExpired,
    #[error("every instance of the app is busy, and too many requests are waiting")]
    QueueFull,
    #[error("every instance of the app was busy for too long")]
    QueueExpired,
    #[error("the instance cannot be reached")]
    Unreachable(#[source] io::Error),
    #[error("minipaas has no room for another connection to an instance")]
    Exhausted(#[source] io::Error),
    #[error("the instance did not accept a connection in time")]
    ConnectTimeout,
    #[error("the instance sent no response")]
    Died(#[source] http1::Error),
    #[error("the instance sent no response")]
    Aborted(#[source] http2::Error),
    #[error("the instance changed the protocol without being asked")]
    UnwantedUpgrade,
    #[error("the instance did not open a WebSocket")]
    DeclinedUpgrade,
    #[error("the instance sent no response in time")]
    Silent,
    #[error("the response of the instance broke off")]
    Broken(#[source] BodyError),
    #[error("the request was not over in time")]
    Expired,
    #[error("the body could not be kept on disk")]
    Spool(#[source] io::Error),
}

/// Who is to blame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    /// The client.
    Downstream,
    /// The app.
    Upstream,
    /// minipaas.
    Internal,
}

impl Error {
    /// The status that the client gets.
    pub(super) fn status(&self) -> StatusCode {
        match self {
            Self::BadHost | Self::BadBody | Self::Coding => StatusCode::BAD_REQUEST,
            Self::Unauthorized => StatusCode::UNAUTHORIZED,
            Self::Denied | Self::NotLinked { .. } | Self::NoCertificate | Self::ForeignCertificate => {
                StatusCode::FORBIDDEN
            }
            Self::Misdirected => StatusCode::MISDIRECTED_REQUEST,
            Self::NoRoute => StatusCode::NOT_FOUND,
            Self::Connect => StatusCode::METHOD_NOT_ALLOWED,
            Self::SlowBody => StatusCode::REQUEST_TIMEOUT,
            Self::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::LongAddress => StatusCode::URI_TOO_LONG,
            Self::RateLimited { .. } => StatusCode::TOO_MANY_REQUESTS,
            Self::Spool(_) => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Unreachable(_)
            | Self::Died(_)
            | Self::Aborted(_)
            | Self::UnwantedUpgrade
            | Self::DeclinedUpgrade
            | Self::Broken(_) => StatusCode::BAD_GATEWAY,
            Self::Maintenance { .. }
            | Self::PasswordsBusy
            | Self::NotReady
            | Self::ScaledToZero
            | Self::HoldExpired
            | Self::HoldFull
            | Self::PauseExpired
            | Self::QueueFull
            | Self::QueueExpired
            | Self::Exhausted(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::ConnectTimeout | Self::Silent | Self::Expired => StatusCode::GATEWAY_TIMEOUT,
        }
    }

    /// What it says of the upstream's health; `None` when it says nothing.
    pub(super) fn outcome(&self) -> Option<Outcome> {
        match self {
            Self::Unreachable(_) | Self::ConnectTimeout => Some(Outcome::ConnectError),
            Self::Died(_) | Self::Aborted(_) | Self::UnwantedUpgrade | Self::Silent => Some(Outcome::Broken),
            _ => None,
        }
    }

    /// Who is to blame.
    pub(super) fn side(&self) -> Side {
        match self {
            Self::BadHost
            | Self::LongAddress
            | Self::Connect
            | Self::NoRoute
            | Self::BadBody
            | Self::Coding
            | Self::SlowBody
            | Self::TooLarge { .. }
            | Self::Maintenance { .. }
            | Self::Denied
            | Self::NotLinked { .. }
            | Self::NoCertificate
            | Self::ForeignCertificate
            | Self::Misdirected
            | Self::RateLimited { .. }
            | Self::Unauthorized => Side::Downstream,
            Self::NotReady
            | Self::ScaledToZero
            | Self::HoldExpired
            | Self::Unreachable(_)
            | Self::ConnectTimeout
            | Self::Died(_)
            | Self::Aborted(_)
            | Self::UnwantedUpgrade
            | Self::DeclinedUpgrade
            | Self::Silent
            | Self::Broken(_)
            | Self::Expired => Side::Upstream,
            Self::HoldFull
            | Self::PauseExpired
            | Self::QueueFull
            | Self::QueueExpired
            | Self::PasswordsBusy
            | Self::Exhausted(_)
            | Self::Spool(_) => Side::Internal,
        }
    }

    /// A name for programs; it does not change.
    pub(super) fn code(&self) -> &'static str {
        match self {
            Self::BadHost => "bad-host",
            Self::Connect => "connect-unsupported",
            Self::NoRoute => "no-route",
            Self::BadBody => "bad-body",
            Self::LongAddress => "address-too-long",
            Self::Coding => "bad-transfer-coding",
            Self::SlowBody => "body-timeout",
            Self::TooLarge { .. } => "body-too-large",
            Self::Maintenance { .. } => "maintenance",
            Self::Denied => "address-denied",
            Self::NotLinked { .. } => "not-linked",
            Self::NoCertificate => "client-certificate-required",
            Self::ForeignCertificate => "client-certificate-refused",
            Self::Misdirected => "misdirected",
            Self::RateLimited { .. } => "rate-limited",
            Self::Unauthorized => "unauthorized",
            Self::PasswordsBusy => "passwords-busy",
            Self::NotReady => "not-ready",
            Self::ScaledToZero => "scaled-to-zero",
            Self::HoldExpired => "hold-expired",
            Self::HoldFull => "hold-full",
            Self::PauseExpired => "pause-expired",
            Self::QueueFull => "queue-full",
            Self::QueueExpired => "queue-expired",
            Self::Unreachable(_) => "unreachable",
            Self::Exhausted(_) => "out-of-sockets",
            Self::ConnectTimeout => "connect-timeout",
            Self::Died(_) | Self::Aborted(_) => "no-response",
            Self::UnwantedUpgrade => "unwanted-upgrade",
            Self::DeclinedUpgrade => "declined-upgrade",
            Self::Silent => "response-timeout",
            Self::Broken(_) => "response-broken",
            Self::Expired => "request-timeout",
            Self::Spool(_) => "spool-failed",
        }
    }

    /// What a client of gRPC is told in the place of a status: the names are those of gRPC's own mapping from HTTP, but for what
    /// it has a better name for.
    pub(super) fn grpc_status(&self) -> u8 {
        const UNKNOWN: u8 = 2;
        const DEADLINE_EXCEEDED: u8 = 4;
        const PERMISSION_DENIED: u8 = 7;
        const RESOURCE_EXHAUSTED: u8 = 8;
        const UNIMPLEMENTED: u8 = 12;
        const INTERNAL: u8 = 13;
        const UNAVAILABLE: u8 = 14;
        const UNAUTHENTICATED: u8 = 16;
        match self.status().as_u16() {
            401 => UNAUTHENTICATED,
            403 => PERMISSION_DENIED,
            404 | 405 => UNIMPLEMENTED,
            408 | 504 => DEADLINE_EXCEEDED,
            413 | 414 | 429 => RESOURCE_EXHAUSTED,
            400 | 500 => INTERNAL,
            502 | 503 => UNAVAILABLE,
            _ => UNKNOWN,
        }
    }

    /// When the client may try again.
    pub(super) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Maintenance { retry_after } => *retry_after,
            Self::RateLimited { wait } => Some(*wait),
            _ => (self.status() == StatusCode::SERVICE_UNAVAILABLE).then_some(Duration::from_secs(1)),
        }
    }

    /// Whether the client may still be sending a body that nobody reads, so that its connection is of no more use.
    pub(super) fn leaves_body(&self) -> bool {
        matches!(self, Self::TooLarge { .. } | Self::SlowBody | Self::Coding)
    }

    /// What whoever sees the page may do about it.
    pub(super) fn advice(&self) -> String {
        let advice = match self {
            Self::BadHost => "Send exactly one valid Host header.",
            Self::Connect => "This is not a forward proxy.",
            Self::NoRoute => "Check the address.",
            Self::Coding => "Send the body chunked, or with its length.",
            Self::LongAddress => "Send what is long in the body.",
            Self::BadBody | Self::SlowBody => "Send the whole body, as long as its headers say.",
            Self::TooLarge { .. } => "Send less at once.",
            Self::Maintenance { .. } => "It will be back soon.",
            Self::NotLinked { caller: None, .. } => "It belongs to no app that this box runs.",
            Self::NotLinked { caller: Some(caller), app } => {
                return format!(
                    "Add `{app} = \"{app}\"` to `[link]` in the manifest of `{caller}`, and deploy it."
                );
            }
            Self::Denied => "Ask whoever runs the app to let it in.",
            Self::NoCertificate | Self::ForeignCertificate => {
                "Ask whoever runs the app for one. Browsers ask for one anew after a restart."
            }
            Self::Misdirected => "Ask on a connection of its own, over HTTP/2 or HTTP/1.1.",
            Self::RateLimited { wait } => return format!("Try again in {} s.", whole_seconds(*wait)),
            Self::Unauthorized => "Ask whoever runs the app for them.",
            Self::PauseExpired | Self::ScaledToZero => "Try again later.",
            Self::NotReady
            | Self::HoldExpired
            | Self::HoldFull
            | Self::QueueFull
            | Self::QueueExpired
            | Self::PasswordsBusy
            | Self::Exhausted(_)
            | Self::Spool(_)
            | Self::Unreachable(_)
            | Self::ConnectTimeout
            | Self::Died(_)
            | Self::Aborted(_)
            | Self::UnwantedUpgrade
            | Self::DeclinedUpgrade
            | Self::Silent
            | Self::Broken(_)
            | Self::Expired => "Try again in a moment.",
        };
        advice.to_owned()
    }

    /// What whoever runs the box may do about it, which is nothing for visitors to read; `app` is the route's, and
    /// `port` the one of https.
    pub(super) fn operators_advice(&self, app: Option<&str>, domain: &str, port: u16) -> Option<String> {
        let app = app.unwrap_or("APP");
        match self {
            Self::NoRoute => {
                let port = if port == 443 { String::new() } else { format!(":{port}") };
                Some(format!("An app answers at https://<app>.{domain}{port}. `minipaas apps` lists them."))
            }
            Self::TooLarge { .. } => Some(format!("`body_max` in the manifest of {app} sets the limit.")),
            Self::Denied => Some(format!("`allow` and `deny` in the manifest of {app} say which may.")),
            Self::NotReady | Self::HoldExpired | Self::QueueFull | Self::QueueExpired => {
                Some(format!("`minipaas ps -a {app}` shows what the instances are doing."))
            }
            Self::ScaledToZero => Some(format!("`minipaas scale web=1 -a {app}` starts one.")),
            Self::PauseExpired => Some(format!("`minipaas resume -a {app}` lets requests through.")),
            _ if self.side() == Side::Upstream => {
                Some(format!("`minipaas logs -a {app}` shows what the app says."))
            }
            _ => None,
        }
    }
}

/// The code of a response that broke off after it had begun, and who is to blame.
pub(super) fn of_broken(error: &(dyn std::error::Error + 'static)) -> (&'static str, Side) {
    if let Some(http1::Error::RequestBody(_)) = error.downcast_ref() {
        return (Error::BadBody.code(), Side::Downstream);
    }
    match error.downcast_ref() {
        Some(Late::Idle) => return (Error::Silent.code(), Side::Upstream),
        Some(Late::Whole) => return (Error::Expired.code(), Side::Upstream),
        None => {}
    }
    // A file or an encoder of ours.
    if error.is::<io::Error>() {
        return ("spool-failed", Side::Internal);
    }
    ("response-broken", Side::Upstream)
}

/// Seconds, not fewer than it takes: what `Retry-After` counts in.
pub(super) fn whole_seconds(duration: Duration) -> u64 {
    duration.as_secs() + u64::from(duration.subsec_nanos() > 0)
}

impl Side {
    /// The side as text, for logs.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Downstream => "downstream",
            Self::Upstream => "upstream",
            Self::Internal => "internal",
        }
    }
}
