//! What is told of certificates.

use std::sync::Arc;
use std::time::SystemTime;

use super::name::is_for;
use super::record::{Millis, Problem};
use super::wanted::{Want, Wanted};
use crate::name::AppName;
use crate::tls::Summary;

/// One name, and the certificate that it has or will have.
#[derive(Debug, Clone, PartialEq)]
pub struct NameView {
    /// The certificate's name: a host, a wildcard, or an address.
    pub name: String,
    /// The hosts of routes that it serves.
    pub hosts: Vec<String>,
    /// The apps of those; none, when nobody wants it.
    pub apps: Vec<AppName>,
    /// Who signs, or signed.
    pub signer: Signer,
    /// How it is.
    pub state: State,
    /// The certificate; `None` while there is none, and for those of the local CA, which are made in the handshake.
    pub certificate: Option<Arc<Summary>>,
    /// What went wrong last.
    pub problem: Option<Problem>,
    /// When something is tried next: a renewal, or another order.
    pub next: Option<Millis>,
}

/// Who signs a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Signer {
    /// The box's own CA.
    Local,
    /// Somebody whom the box does not ask: it was added by command.
    Own,
    /// A certificate authority, by its name; `None` before the first order.
    Authority(Option<String>),
}

/// How a name's certificate is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It is valid.
    Valid,
    /// It is valid, and another one is being ordered.
    Renewing,
    /// There is none, and one is being ordered.
    Ordering,
    /// There is none yet, and an order will be made.
    Waiting,
    /// There is none, because the last order failed.
    Failed,
    /// It has run out.
    Expired,
    /// Nobody wants it any more.
    Unused,
}

// === impl NameView ===

impl NameView {
    /// Of a host that is the local CA's.
    pub(super) fn local(name: &str, want: &Want) -> Self {
        Self {
            name: name.to_owned(),
            hosts: want.hosts.iter().cloned().collect(),
            apps: want.apps.iter().cloned().collect(),
            signer: Signer::Local,
            state: State::Valid,
            certificate: None,
            problem: None,
            next: None,
        }
    }

    /// Of a certificate that was brought.
    pub(super) fn own(summary: &Arc<Summary>, wanted: &Wanted, now: SystemTime) -> Self {
        let mut want = Want::default();
        for other in wanted.public.values().chain(wanted.local.values()) {
            let hosts: Vec<_> = other.hosts.iter().filter(|host| is_for(summary, host)).cloned().collect();
            if !hosts.is_empty() {
                want.apps.extend(other.apps.iter().cloned());
                want.hosts.extend(hosts);
            }
        }
        let state = if summary.not_after <= now {
            State::Expired
        } else if want.hosts.is_empty() {
            State::Unused
        } else {
            State::Valid
        };
        let name = summary.names.first().map_or("", String::as_str);
        Self {
            signer: Signer::Own,
            state,
            certificate: Some(Arc::clone(summary)),
            ..Self::local(name, &want)
        }
    }
}

// === impl State ===

impl State {
    /// As it is written.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Valid => "valid",
            Self::Renewing => "renewing",
            Self::Ordering => "ordering",
            Self::Waiting => "waiting",
            Self::Failed => "failed",
            Self::Expired => "expired",
            Self::Unused => "unused",
        }
    }
}
