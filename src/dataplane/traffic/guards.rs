//! What the guards of a route remember between requests, and whether there is any guard at all.
//!
//! Made at every publication; the memory stays with a route (its host and path) as long as the rules it serves are the same,
//! so that a deploy gives nobody a new allowance.

use std::collections::HashMap;
use std::sync::Arc;

use super::rate::RateLimiter;
use super::verified::Verified;
use crate::name::{Host, PathPrefix};
use crate::route::{Mode, Route};

/// What is known of one route's guards.
#[derive(Debug)]
pub struct Guards {
    /// Whether the proxy does nothing with the route's requests but forward them: the one branch of a route without a policy.
    pub is_plain: bool,
    /// Whether requests wait, because an operator paused the app.
    pub(super) is_paused: bool,
    /// What must be remembered, if something must.
    pub memory: Arc<Memory>,
}

/// What is remembered between requests.
#[derive(Debug, Default)]
pub struct Memory {
    /// The clients' buckets, on a route with a rate limit.
    pub rate: Option<RateLimiter>,
    /// The credentials that were right, on a route with basic authentication.
    pub verified: Option<Verified>,
}

impl Guards {
    /// The guards of these routes, with the memory of the same routes before.
    pub(super) fn of<'g>(routes: &[Route], old: impl Iterator<Item = (&'g Route, &'g Self)>) -> Vec<Self> {
        let before: HashMap<(&Host, &PathPrefix), (&Route, &Self)> =
            old.map(|(route, guards)| ((&route.host, &route.path), (route, guards))).collect();
        let nothing = Arc::<Memory>::default();
        let guards = routes.iter().map(|route| {
            let policy = &*route.policy;
            let is_closed = matches!(route.mode, Mode::Maintenance(_));
            let is_plain = policy.is_plain() && !is_closed && !route.strip_prefix;
            let memory = if policy.rate_limit.is_none() && policy.basic_auth.is_empty() {
                Arc::clone(&nothing)
            } else {
                before
                    .get(&(&route.host, &route.path))
                    .filter(|(old, _)| {
                        old.policy.rate_limit == policy.rate_limit
                            && old.policy.basic_auth == policy.basic_auth
                    })
                    .map_or_else(|| Arc::new(Memory::of(route)), |(_, old)| Arc::clone(&old.memory))
            };
            Self { is_plain, is_paused: matches!(route.mode, Mode::Paused { .. }), memory }
        });
        guards.collect()
    }
}

impl Memory {
    fn of(route: &Route) -> Self {
        Self {
            rate: route.policy.rate_limit.map(RateLimiter::new),
            verified: (!route.policy.basic_auth.is_empty()).then(Verified::new),
        }
    }
}
