//! Who may ask, how often, and from where.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use http::{HeaderName, Method};
use ipnet::IpNet;

/// Which client addresses may come in. A denied address stays out whatever is allowed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Access {
    /// Only these, when there are any.
    pub allow: Vec<IpNet>,
    /// Never these.
    pub deny: Vec<IpNet>,
}

/// A user of basic authentication.
#[derive(Clone, PartialEq, Eq)]
pub struct Credential {
    /// The user; has no colon (RFC 7617, 2).
    pub user: String,
    /// The password's bcrypt hash, as `htpasswd -nB` prints it.
    pub hash: String,
}

/// A token bucket for each client address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimit {
    /// How many requests are let through in one period.
    pub requests: u32,
    /// The period.
    pub per: Duration,
    /// How many may come at once. Default: `requests`.
    pub burst: u32,
}

/// Which pages of other origins may call the app (the Fetch standard, 3.3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cors {
    /// Origins such as `https://app.example.com`; `*` alone stands for all.
    pub origins: Vec<String>,
    /// Methods beyond GET, HEAD and POST.
    pub methods: Vec<Method>,
    /// Request headers beyond those that are always permitted.
    pub headers: Vec<HeaderName>,
    /// Response headers that pages may read.
    pub expose: Vec<HeaderName>,
    /// Whether cookies are sent along; not together with `*`.
    pub credentials: bool,
    /// How long a browser may remember the answer. Default 10 min.
    pub max_age: Duration,
}

// === impl Access ===

impl Access {
    /// Whether a client at this address may come in.
    #[must_use]
    pub fn permits(&self, client: IpAddr) -> bool {
        let lists = |nets: &[IpNet]| nets.iter().any(|net| net.contains(&client));
        !lists(&self.deny) && (self.allow.is_empty() || lists(&self.allow))
    }
}

// === impl Credential ===

impl fmt::Debug for Credential {
    /// Without the hash: it is worth guessing at.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credential").field("user", &self.user).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::Access;

    #[test]
    fn a_denied_address_stays_out_whatever_is_allowed() {
        let access =
            Access { allow: vec!["10.0.0.0/8".parse().unwrap()], deny: vec!["10.1.0.0/16".parse().unwrap()] };
        for (client, expected) in
            [("10.0.0.1", true), ("10.1.0.1", false), ("11.0.0.1", false), ("::1", false)]
        {
            assert_eq!(access.permits(client.parse().unwrap()), expected, "{client}");
        }
        assert!(Access::default().permits("::1".parse().unwrap()));
    }
}
