//! Routes, and the table that the proxy reads.
//!
//! A [`RouteTable`] is an immutable snapshot: the controller builds a whole new one for every change and publishes it with a
//! higher generation, so the data plane never sees half a change. It holds addresses and ids alone, and compares by value;
//! what is counted while requests flow lives in [`crate::traffic`].
//!
//! Precedence: an exact host wins over a wildcard, a wildcard over the fallback; within a host the longest path wins. A host
//! that has routes, none of which matches the path, does not fall through to a less specific host: that app answers 404.
//!
//! An app that another one is linked to is found at `<app>.internal`, too, with the routes of its own host; whoever looks there
//! asks [`RouteTable::callers`] first. What is not public is found there alone.

mod callers;
mod client_auth;
mod index;
mod mode;
mod port;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;

use self::index::{HostIndex, Step};
use crate::name::{AppName, Host, InstanceId, PathPrefix, ProcessType, ReleaseId, Slot};
use crate::policy::Policy;

pub use callers::{Bridge, Caller, Callers, internal_app, internal_host};
pub use client_auth::ClientAuth;
pub use mode::{Canary, Maintenance, Mode, Share};
pub use port::{PortConflict, PortRoute, find_port_conflict};

/// How many different policies are compared with a route's to find one that is the same.
const POLICIES_COMPARED_MAX: usize = 16;

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
    /// Whether there is no instance because none is wanted.
    pub is_scaled_to_zero: bool,
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
#[error("{}", conflict(host, path, owner))]
pub struct Conflict {
    /// The host.
    pub host: Host,
    /// The path prefix.
    pub path: PathPrefix,
    /// The app that has it; [`AppName::of_the_box`] where it is the box's own.
    pub owner: AppName,
}

/// All routes of a box, immutable, with the number that grows at every change.
#[derive(Debug, Clone, Default)]
pub struct RouteTable {
    generation: u64,
    routes: Vec<Route>,
    ports: Vec<PortRoute>,
    exact: HostIndex,
    /// By what follows the star and its dot.
    wildcard: HostIndex,
    fallback: Vec<Step>,
    has_client_auth: bool,
    callers: Arc<Callers>,
    /// The hosts that are found because somebody may call them.
    internal: BTreeSet<String>,
}

impl RouteTable {
    /// The table of these routes. Of two with the same host and path the first wins; [`find_conflict`] tells before.
    ///
    /// Routes with equal policies share one of them from now on.
    #[must_use]
    pub fn new(generation: u64, mut routes: Vec<Route>) -> Self {
        share_policies(&mut routes);
        let has_client_auth = routes.iter().any(|route| route.policy.client_ca.is_some());
        let mut table = Self { generation, routes, has_client_auth, ..Self::default() };
        table.index("");
        table
    }

    /// The same table, with these containers, and the apps that they may call: each at its own host, which is below `domain`.
    #[must_use]
    pub fn with_callers(mut self, callers: Arc<Callers>, domain: &str) -> Self {
        let is_called = !callers.called().is_empty() || !self.internal.is_empty();
        self.callers = callers;
        if is_called {
            self.index(domain);
        }
        self
    }

    fn index(&mut self, domain: &str) {
        let (routes, callers) = (&self.routes, Arc::clone(&self.callers));
        let called: BTreeMap<_, _> = callers
            .called()
            .into_iter()
            .map(|app| (app, (format!("{app}.{domain}"), internal_host(app))))
            .collect();
        let (mut exact, mut wildcard, mut fallback) = (Vec::new(), Vec::new(), Vec::new());
        let mut order: Vec<usize> = (0..routes.len()).collect();
        // Longest first, so that the first match wins; the sorts are stable, so that of two equal ones the earlier does.
        order.sort_by_key(|index| Reverse(routes[*index].path.as_str().len()));
        for index in order {
            let (route, step) = (&routes[index], Step::new(index, &routes[index]));
            if let Host::Exact(name) = &route.host
                && let Some((_, host)) = called.get(&route.app).filter(|(own, _)| own == name)
            {
                exact.push((host.as_str(), step));
            }
            if !route.policy.is_public {
                continue;
            }
            match &route.host {
                Host::Exact(name) => exact.push((name.as_str(), step)),
                Host::Wildcard(suffix) => wildcard.push((suffix.as_str(), step)),
                Host::Fallback => fallback.push(step),
            }
        }
        exact.sort_by_key(|(name, _)| *name);
        wildcard.sort_by_key(|(suffix, _)| *suffix);
        let is_found = |host: &&str| exact.binary_search_by_key(host, |(name, _)| name).is_ok();
        let internal = called.values().map(|(_, host)| host.as_str());
        self.internal = internal.filter(is_found).map(str::to_owned).collect();
        (self.exact, self.wildcard) = (HostIndex::new(&exact), HostIndex::new(&wildcard));
        self.fallback = fallback;
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

    /// The containers, and whom they may call.
    #[must_use]
    pub fn callers(&self) -> &Arc<Callers> {
        &self.callers
    }

    /// Whether this host is there for containers alone.
    #[must_use]
    pub fn is_internal(&self, host: &str) -> bool {
        self.internal.contains(host)
    }

    /// Where this TCP port leads.
    #[must_use]
    pub fn port(&self, listen: u16) -> Option<&PortRoute> {
        self.ports.iter().find(|port| port.listen == listen)
    }

    /// The route of a request and its place in [`Self::routes`]. `host` is lower case and has no port.
    #[must_use]
    pub fn find(&self, host: &str, path: &str) -> Option<(usize, &Route)> {
        if let Some(steps) = self.exact.get(host) {
            return self.first(steps, path);
        }
        if let Some(steps) = above(host).and_then(|suffix| self.wildcard.get(suffix)) {
            return self.first(steps, path);
        }
        self.first(self.fallback.iter().copied(), path)
    }

    /// Whether there is a route for hosts that no other names.
    #[must_use]
    pub fn has_fallback(&self) -> bool {
        !self.fallback.is_empty()
    }

    /// Whether any route names this host, by itself or by a wildcard.
    #[must_use]
    pub fn serves(&self, host: &str) -> bool {
        self.exact.contains(host) || above(host).is_some_and(|suffix| self.wildcard.contains(suffix))
    }

    /// The routes of the most specific host that covers this one, the longest path first.
    fn routes_of(&self, host: &str) -> Vec<&Route> {
        let steps: Vec<_> = match self.exact.get(host) {
            Some(steps) => steps.collect(),
            None => match above(host).and_then(|suffix| self.wildcard.get(suffix)) {
                Some(steps) => steps.collect(),
                None => self.fallback.clone(),
            },
        };
        steps.into_iter().map(|step| &self.routes[step.index()]).collect()
    }

    fn first(&self, mut steps: impl Iterator<Item = Step>, path: &str) -> Option<(usize, &Route)> {
        let index = steps.find_map(|step| step.matching(&self.routes, path))?;
        Some((index, &self.routes[index]))
    }
}

impl PartialEq for RouteTable {
    /// The indexes follow from the routes.
    fn eq(&self, other: &Self) -> bool {
        self.generation == other.generation
            && self.routes == other.routes
            && self.ports == other.ports
            && self.callers == other.callers
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

fn conflict(host: &Host, path: &PathPrefix, owner: &AppName) -> String {
    if *owner == AppName::of_the_box() {
        return format!("`{host}` is the box's own host, where its API is");
    }
    format!("`{host}{path}` is already routed to app `{owner}`")
}

/// Lets routes with equal policies share one: most routes of a box have the same, and a request finds it in a cache then. What
/// is compared are the policies that were met last.
fn share_policies(routes: &mut [Route]) {
    let mut met: VecDeque<Arc<Policy>> = VecDeque::new();
    for route in routes {
        if let Some(at) = met.iter().position(|policy| *policy == route.policy) {
            met.swap(0, at);
        } else {
            met.truncate(POLICIES_COMPARED_MAX - 1);
            met.push_front(Arc::clone(&route.policy));
        }
        route.policy = Arc::clone(&met[0]);
    }
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
            is_scaled_to_zero: false,
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
    fn equal_policies_are_one() {
        let strict = || Arc::new(Policy { body_max: Some(1), ..Policy::default() });
        let mut routes: Vec<_> = ["a", "b", "c", "d"].map(|host| route("app", host, "/")).into();
        (routes[1].policy, routes[3].policy) = (strict(), strict());
        let table = RouteTable::new(1, routes.clone());
        assert_eq!(table.routes(), routes);
        let policies: Vec<_> = table.routes().iter().map(|route| Arc::as_ptr(&route.policy)).collect();
        assert_eq!((policies[0], policies[1]), (policies[2], policies[3]));
    }

    #[test]
    fn an_app_that_is_linked_to_is_found_by_its_internal_name() {
        let mut routes = vec![
            route("billing", "billing.localhost", "/"),
            route("billing", "billing.localhost", "/api"),
            route("billing", "pay.example.com", "/x"),
            route("shop", "shop.localhost", "/"),
            route("any", "*", "/"),
        ];
        let hidden = Policy { is_public: false, ..Policy::default() };
        routes[1].policy = Arc::new(hidden);
        let links = Arc::new(["billing".parse().unwrap(), "nobody".parse().unwrap()].into());
        let caller = Caller { app: "shop".parse().unwrap(), links };
        let callers = Callers { bridge: None, known: [([10, 0, 0, 2].into(), caller)].into() };
        let table = RouteTable::new(1, routes).with_callers(Arc::new(callers), "localhost");
        let found = |host: &str, path: &str| table.find(host, path).map(|(index, _)| index);
        assert_eq!(found("billing.internal", "/x"), Some(0));
        assert_eq!(found("billing.internal", "/api/x"), Some(1), "though it is not public");
        assert_eq!(found("billing.localhost", "/api/x"), Some(0), "as if it were not there");
        assert!(table.is_internal("billing.internal"));
        for host in ["shop.internal", "nobody.internal", "billing.localhost"] {
            assert!(!table.is_internal(host), "{host}");
        }
        let without = table.with_callers(Arc::default(), "localhost");
        assert!(!without.is_internal("billing.internal"));
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
