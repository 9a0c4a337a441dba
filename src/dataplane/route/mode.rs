//! What an operator may do to the traffic of an app while it serves.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderName, HeaderValue};
use ipnet::IpNet;
use sha2::{Digest as _, Sha256};

use crate::name::ReleaseId;

/// Whether requests reach the app.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Mode {
    /// They do.
    #[default]
    Open,
    /// They wait until they do again.
    Paused {
        /// For how long at most; then 503.
        wait: Duration,
    },
    /// They are answered with 503 and a page, but for those who may pass.
    Maintenance(Arc<Maintenance>),
}

/// Who passes while an app is in maintenance, and what the others see.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Maintenance {
    /// Client addresses that pass.
    pub allow: Vec<IpNet>,
    /// The SHA-256 of the value of the cookie `minipaas_bypass` that passes, if one does: whoever reads the state on disk does
    /// not learn the value.
    pub cookie: Option<[u8; 32]>,
    /// The app's own page, HTML; else minipaas's.
    pub page: Option<Arc<str>>,
    /// What `Retry-After` says. Default nothing.
    pub retry_after: Option<Duration>,
    /// The path that a load balancer asks whether the box is well: still answered, with 200.
    pub health_path: Option<String>,
}

/// Some requests go to another release than the others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Canary {
    /// The release that gets the few; all other upstreams are the many's.
    pub release: ReleaseId,
    /// Which requests.
    pub share: Share,
}

/// Which requests a canary gets; any one reason is enough.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Share {
    /// Of a hundred clients so many, always the same ones. 0 to 100.
    pub percent: u8,
    /// Those with a cookie of this name; its value `0` or `never` keeps a client away from the canary.
    pub cookie: Option<String>,
    /// Those with this header, of this value if there is one.
    pub header: Option<(HeaderName, Option<HeaderValue>)>,
}

// === impl Mode ===

impl Mode {
    /// How long a paused request waits when nothing else is said.
    pub const PAUSE_WAIT_DEFAULT: Duration = Duration::from_secs(30);
    /// How long it waits at most: clients and the load balancers before us give up sooner.
    pub const PAUSE_WAIT_MAX: Duration = Duration::from_secs(5 * 60);
}

// === impl Maintenance ===

impl Maintenance {
    /// The cookie whose right value passes.
    pub const COOKIE: &str = "minipaas_bypass";

    /// What is kept of a cookie's value.
    #[must_use]
    pub fn digest(value: &[u8]) -> [u8; 32] {
        Sha256::digest(value).into()
    }

    /// Whether this is the value of the cookie that passes. Digests are compared, so the time it takes tells nothing.
    #[must_use]
    pub fn is_passed_by(&self, value: &[u8]) -> bool {
        self.cookie.is_some_and(|digest| digest == Self::digest(value))
    }
}

impl std::fmt::Debug for Maintenance {
    /// Without what lets people pass.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Maintenance")
            .field("allow", &self.allow)
            .field("retry_after", &self.retry_after)
            .field("health_path", &self.health_path)
            .finish_non_exhaustive()
    }
}

// === impl Share ===

impl std::fmt::Display for Share {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { percent, cookie, header } = self;
        let mut parts = Vec::new();
        if *percent > 0 || (cookie.is_none() && header.is_none()) {
            parts.push(format!("{percent} % of clients"));
        }
        parts.extend(cookie.iter().map(|name| format!("those with the cookie `{name}`")));
        parts.extend(header.iter().map(|(name, value)| {
            match value.as_ref().and_then(|value| value.to_str().ok()) {
                Some(value) => format!("those with the header `{name}: {value}`"),
                None => format!("those with the header `{name}`"),
            }
        }));
        f.write_str(&parts.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cookies_own_value_passes_and_nothing_else_does() {
        let closed = Maintenance { cookie: Some(Maintenance::digest(b"secret")), ..Maintenance::default() };
        assert!(closed.is_passed_by(b"secret"));
        assert!(!closed.is_passed_by(b"Secret") && !closed.is_passed_by(b""));
        assert!(!Maintenance::default().is_passed_by(b""), "without a cookie none passes");
    }
}
