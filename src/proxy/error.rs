//! Why a request was not answered by an app, and what the client is told.
//!
//! Each variant knows the side that is to blame: the client (nothing to log), the upstream (logged once, by the exchange), or
//! minipaas itself, when one of its own limits was reached.

use std::io;

use http::StatusCode;

use crate::http1;
use crate::traffic::Outcome;

/// Why a request was not answered by an app.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error("the request names no host that could be routed")]
    BadHost,
    #[error("method CONNECT is not supported")]
    Connect,
    #[error("no app answers at this address")]
    NoRoute,
    #[error("the body of the request broke off")]
    BadBody,
    #[error("no instance of the app is ready")]
    NotReady,
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
    #[error("the instance did not accept a connection in time")]
    ConnectTimeout,
    #[error("the instance sent no response")]
    Died(#[source] http1::Error),
    #[error("the instance changed the protocol without being asked")]
    UnwantedUpgrade,
    #[error("the instance sent no response in time")]
    Silent,
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
            Self::BadHost | Self::BadBody => StatusCode::BAD_REQUEST,
            Self::Connect => StatusCode::METHOD_NOT_ALLOWED,
            Self::NoRoute => StatusCode::NOT_FOUND,
            Self::NotReady
            | Self::HoldExpired
            | Self::HoldFull
            | Self::PauseExpired
            | Self::QueueFull
            | Self::QueueExpired => StatusCode::SERVICE_UNAVAILABLE,
            Self::Unreachable(_) | Self::Died(_) | Self::UnwantedUpgrade => StatusCode::BAD_GATEWAY,
            Self::ConnectTimeout | Self::Silent => StatusCode::GATEWAY_TIMEOUT,
        }
    }

    /// What it says of the upstream's health; `None` when it says nothing.
    pub(super) fn outcome(&self) -> Option<Outcome> {
        match self {
            Self::Unreachable(_) | Self::ConnectTimeout => Some(Outcome::ConnectError),
            Self::Died(_) | Self::UnwantedUpgrade | Self::Silent => Some(Outcome::Broken),
            _ => None,
        }
    }

    /// Who is to blame.
    pub(super) fn side(&self) -> Side {
        match self {
            Self::BadHost | Self::Connect | Self::NoRoute | Self::BadBody => Side::Downstream,
            Self::NotReady
            | Self::HoldExpired
            | Self::Unreachable(_)
            | Self::ConnectTimeout
            | Self::Died(_)
            | Self::UnwantedUpgrade
            | Self::Silent => Side::Upstream,
            Self::HoldFull | Self::PauseExpired | Self::QueueFull | Self::QueueExpired => Side::Internal,
        }
    }

    /// A name for programs; it does not change.
    pub(super) fn code(&self) -> &'static str {
        match self {
            Self::BadHost => "bad-host",
            Self::Connect => "connect-unsupported",
            Self::NoRoute => "no-route",
            Self::BadBody => "bad-body",
            Self::NotReady => "not-ready",
            Self::HoldExpired => "hold-expired",
            Self::HoldFull => "hold-full",
            Self::PauseExpired => "pause-expired",
            Self::QueueFull => "queue-full",
            Self::QueueExpired => "queue-expired",
            Self::Unreachable(_) => "unreachable",
            Self::ConnectTimeout => "connect-timeout",
            Self::Died(_) => "no-response",
            Self::UnwantedUpgrade => "unwanted-upgrade",
            Self::Silent => "response-timeout",
        }
    }

    /// What whoever sees the page may do about it; `app` is the route's.
    pub(super) fn advice(&self, app: Option<&str>, domain: &str) -> String {
        let app = app.unwrap_or("APP");
        match self {
            Self::BadHost => "Send exactly one valid Host header.".to_owned(),
            Self::Connect => "This is not a forward proxy.".to_owned(),
            Self::NoRoute => format!(
                "Check the address: an app answers at https://<app>.{domain}. `minipaas apps` lists them, `minipaas domains` \
                 their hosts and paths."
            ),
            Self::BadBody => "Send the whole body, as long as its headers say.".to_owned(),
            Self::NotReady | Self::HoldExpired => {
                format!("Try again in a moment. `minipaas ps -a {app}` shows what the instances are doing.")
            }
            Self::HoldFull => "Try again in a moment.".to_owned(),
            Self::PauseExpired => {
                format!("Try again later. `minipaas resume -a {app}` lets requests through.")
            }
            Self::QueueFull | Self::QueueExpired => {
                format!("Try again in a moment. `minipaas scale -a {app} web+1` adds an instance.")
            }
            Self::Unreachable(_)
            | Self::ConnectTimeout
            | Self::Died(_)
            | Self::UnwantedUpgrade
            | Self::Silent => {
                format!("Try again in a moment. `minipaas logs -a {app}` shows what the app says.")
            }
        }
    }
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
