//! What an operator may do to the traffic of an app while it serves.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderName, HeaderValue};
use ipnet::IpNet;

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
    /// The value of the cookie `minipaas_bypass` that passes, if one does.
    pub cookie: Option<String>,
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

impl std::fmt::Debug for Maintenance {
    /// Without the cookie's value, which lets people pass.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Maintenance")
            .field("allow", &self.allow)
            .field("retry_after", &self.retry_after)
            .field("health_path", &self.health_path)
            .finish_non_exhaustive()
    }
}
