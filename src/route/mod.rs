//! Routes, and the table that the proxy reads.
//!
//! A [`RouteTable`] is an immutable snapshot: the controller builds a whole new one for every change and publishes it with a
//! higher generation, so the data plane never sees half a change. It holds addresses and ids alone, and compares by value;
//! what is counted while requests flow lives in [`crate::traffic`].
//!
//! Precedence: an exact host wins over a wildcard, a wildcard over the fallback; within a host the longest path wins. A host
//! that has routes, none of which matches the path, does not fall through to a less specific host: that app answers 404.

mod client_auth;
mod mode;
mod port;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

use crate::name::{AppName, Host, InstanceId, PathPrefix, ProcessType, ReleaseId, Slot};
use crate::policy::Policy;

pub use client_auth::ClientAuth;
pub use mode::{Canary, Maintenance, Mode, Share};
pub use port::{PortConflict, PortRoute, find_port_conflict};

/// Host and path prefix, and the instances that answer there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// The app that owns the route.
    pub app: AppName,
    /// The process type whose instances answer.
    pub process: ProcessType,
    /// The host.
    pub host: Host,
    /// The path prefix.
    pub path: PathPrefix,
    /// Whether the prefix is taken off before the app sees the path.
    pub strip_prefix: bool,
    /// How the proxy treats its requests.
    pub policy: Arc<Policy>,
    /// Whether requests reach the app, as an operator wants it.
    pub mode: Mode,
    /// The release that gets some of the requests, while one does.
    pub canary: Option<Canary>,
    /// Whether requests wait while no instance is ready, because one is about to be: the gap of a stop-first swap, or of a
    /// crash.
    pub is_held: bool,
    /// The ready instances, in the order of their slots.
    pub upstreams: Vec<Upstream>,
}

/// One ready instance, as the proxy reaches it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upstream {
    /// The instance.
    pub instance: InstanceId,
    /// Its slot, for logs: `web.1`.
    pub slot: Slot,
    /// Its release, for logs.
    pub release: ReleaseId,
    /// Where it listens.
    pub addr: SocketAddr,
}

/// Two apps want the same host and path.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{host}{path}` is already routed to app `{owner}`")]
pub struct Conflict {
    /// The host.
    pub host: Host,
    /// The path prefix.
    pub path: PathPrefix,
    /// The app that has it.
    pub owner: AppName,
}

/// All routes of a box, immutable, with the number that grows at every change.
#[derive(Debug, Clone, Default)]
pub struct RouteTable {
    generation: u64,
    routes: Vec<Route>,
    ports: Vec<PortRoute>,
    exact: HashMap<String, Vec<usize>>,
    wildcard: HashMap<String, Vec<usize>>,
    fallback: Vec<usize>,
    has_client_auth: bool,
}

impl RouteTable {
    /// The table of these routes. Of two with the same host and path the first wins; [`find_conflict`] tells before.
    #[must_use]
    pub fn new(generation: u64, routes: Vec<Route>) -> Self {
        let has_client_auth = routes.iter().any(|route| route.policy.client_ca.is_some());
        let mut table = Self { generation, routes, has_client_auth, ..Self::default() };
        for (index, route) in table.routes.iter().enumerate() {
            match &route.host {
                Host::Exact(name) => table.exact.entry(name.clone()).or_default().push(index),
                Host::Wildcard(suffix) => table.wildcard.entry(suffix.clone()).or_default().push(index),
                Host::Fallback => table.fallback.push(index),
            }
        }
        let routes = &table.routes;
        // Longest first, so that the first match wins; the sort is stable, so that of two equal ones the earlier does.
        let by_path_length = |index: &usize| std::cmp::Reverse(routes[*index].path.as_str().len());
        table
            .exact
            .values_mut()
            .chain(table.wildcard.values_mut())
            .for_each(|list| list.sort_by_key(by_path_length));
        table.fallback.sort_by_key(by_path_length);
        table
    }

    /// The same table, with these TCP ports. Of two that are the same the first wins.
    #[must_use]
    pub fn with_ports(self, ports: Vec<PortRoute>) -> Self {
        Self { ports, ..self }
    }

    /// Grows at every published change; 0 is the empty table of a box that never had an app.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// All routes, in the order they were given.
    #[must_use]
    pub fn routes(&self) -> &[Route] {
        &self.routes
    }

    /// All TCP ports, in the order they were given.
    #[must_use]
    pub fn ports(&self) -> &[PortRoute] {
        &self.ports
    }

    /// Where this TCP port leads.
    #[must_use]
    pub fn port(&self, listen: u16) -> Option<&PortRoute> {
        self.ports.iter().find(|port| port.listen == listen)
    }

    /// The route of a request and its place in [`Self::routes`]. `host` is lower case and has no port.
    #[must_use]
    pub fn find(&self, host: &str, path: &str) -> Option<(usize, &Route)> {
        self.routes_of(host)
            .iter()
            .find(|index| self.routes[**index].path.matches(path))
            .map(|index| (*index, &self.routes[*index]))
    }

    /// The routes of the most specific host that covers this one, the longest path first.
    fn routes_of(&self, host: &str) -> &[usize] {
        if let Some(list) = self.exact.get(host) {
            return list;
        }
        above(host).and_then(|suffix| self.wildcard.get(suffix)).unwrap_or(&self.fallback)
    }

    /// Whether any route names this host, by itself or by a wildcard.
    #[must_use]
    pub fn serves(&self, host: &str) -> bool {
        self.exact.contains_key(host) || above(host).is_some_and(|suffix| self.wildcard.contains_key(suffix))
    }
}

impl PartialEq for RouteTable {
    /// The indexes follow from the routes.
    fn eq(&self, other: &Self) -> bool {
        self.generation == other.generation && self.routes == other.routes && self.ports == other.ports
    }
}

impl Eq for RouteTable {}

/// The first of `wanted` that another app already has among `existing`.
///
/// # Errors
///
/// [`Conflict`], naming the owner.
pub fn find_conflict<'r>(
    app: &AppName,
    wanted: impl Iterator<Item = (&'r Host, &'r PathPrefix)>,
    existing: &[Route],
) -> Result<(), Conflict> {
    for (host, path) in wanted {
        if let Some(owner) = existing.iter().find(|r| r.app != *app && r.host == *host && r.path == *path) {
            return Err(Conflict { host: host.clone(), path: path.clone(), owner: owner.app.clone() });
        }
    }
    Ok(())
}

/// What a wildcard would have after its star to name this host.
fn above(host: &str) -> Option<&str> {
    host.split_once('.').filter(|(label, _)| !label.is_empty()).map(|(_, suffix)| suffix)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(app: &str, host: &str, path: &str) -> Route {
        Route {
            app: app.parse().unwrap(),
            process: ProcessType::web(),
            host: host.parse().unwrap(),
            path: path.parse().unwrap(),
            strip_prefix: false,
            policy: Arc::default(),
            mode: Mode::Open,
            canary: None,
            is_held: false,
            upstreams: Vec::new(),
        }
    }

    fn check(routes: &[(&str, &str, &str)], host: &str, path: &str, expected: Option<&str>) {
        let table =
            RouteTable::new(1, routes.iter().map(|(app, host, path)| route(app, host, path)).collect());
        assert_eq!(table.find(host, path).map(|(_, route)| route.app.as_str()), expected, "{host}{path}");
    }

    #[test]
    fn exact_wins_over_wildcard_wins_over_fallback() {
        let routes = [("any", "*", "/"), ("wild", "*.example.com", "/"), ("exact", "a.example.com", "/")];
        check(&routes, "a.example.com", "/", Some("exact"));
        check(&routes, "b.example.com", "/", Some("wild"));
        check(&routes, "a.b.example.com", "/", Some("any"));
        check(&routes, "example.com", "/", Some("any"));
        check(&routes, ".example.com", "/", Some("any"));
    }

    #[test]
    fn longer_prefix_wins() {
        let routes = [("root", "h", "/"), ("deep", "h", "/api/v2"), ("api", "h", "/api")];
        check(&routes, "h", "/api/v2/x", Some("deep"));
        check(&routes, "h", "/api/v3", Some("api"));
        check(&routes, "h", "/apiary", Some("root"));
    }

    #[test]
    fn a_host_without_a_matching_path_does_not_fall_through() {
        let routes = [("api", "h", "/api"), ("any", "*", "/")];
        check(&routes, "h", "/other", None);
        check(&routes, "elsewhere", "/other", Some("any"));
    }

    #[test]
    fn a_host_and_path_have_one_owner() {
        let existing = [route("blog", "h", "/")];
        let shop: AppName = "shop".parse().unwrap();
        let (host, path): (Host, PathPrefix) = ("h".parse().unwrap(), "/".parse().unwrap());
        let conflict = find_conflict(&shop, [(&host, &path)].into_iter(), &existing).unwrap_err();
        assert_eq!(conflict.to_string(), "`h/` is already routed to app `blog`");
        assert!(find_conflict(&"blog".parse().unwrap(), [(&host, &path)].into_iter(), &existing).is_ok());
        let api: PathPrefix = "/api".parse().unwrap();
        assert!(find_conflict(&shop, [(&host, &api)].into_iter(), &existing).is_ok());
    }
}
