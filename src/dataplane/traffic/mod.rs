//! What the two planes share while requests flow: the published table, and a live count for each upstream.
//!
//! # Theory of operation
//!
//! The controller calls [`Routes::publish`] with a whole [`RouteTable`]; each upstream in it is paired with its live
//! [`Upstream`], the same one as long as the instance exists, each route with its [`RouteState`], the same one as long as the
//! route is there, and all of it is swapped in as one [`Live`] value. The proxy
//! calls [`Routes::load`], finds the route, and [`Found::pick`]s an upstream, which counts the request until the
//! [`InFlight`] guard is dropped.
//!
//! The race between choosing an upstream and draining it has two halves. [`Upstream::claim`] counts first and looks at the
//! draining flag after, while [`Upstream::drain`] sets the flag first and looks at the count after; whichever comes second
//! sees the other (both are `SeqCst`). So a claim either is waited for, or is refused; a refused request loads the table
//! again, and finds the one that was published before the drain began.
//!
//! How an exchange went is noted on the [`InFlight`] guard and told to the upstream when it is dropped: failures in a row
//! eject it for a while (`health`). Where a policy lets in only so many at a time, the others wait in a `line`.
//!
//! What this module does not do: it opens no connection, and decides nothing that the route's policy does not say.

mod budget;
mod client;
mod guards;
mod health;
mod idle;
mod line;
mod pick;
mod random;
mod rate;
mod state;
mod sticky;
mod upstream;
mod verified;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;
use tokio::sync::watch;

use self::line::Line;
use crate::metrics::{CallMetrics, Metrics, RouteMetrics, Snapshot};
use crate::name::{AppName, Host, InstanceId, PathPrefix, ProcessType};
use crate::policy::Policy;
use crate::route::{self, Route, RouteTable};

pub use budget::RetryBudget;
pub use client::Client;
pub use guards::{Guards, Memory};
pub use health::Outcome;
pub use line::Place;
pub use pick::Refusal;
pub use rate::{RateLimiter, client_bucket};
pub use state::RouteState;
pub use sticky::{STICKY_COOKIE, StickyKey, StickyToken};
pub use upstream::{Drained, InFlight, Tally, Upgraded, Upstream};
pub use verified::{Digest, Verified};

/// The published table, shared by both planes; clones are handles on the same one.
#[derive(Debug, Clone)]
pub struct Routes {
    /// What requests read, without a lock.
    newest: Arc<ArcSwap<Live>>,
    /// The same, for those that wait for the next one.
    live: watch::Sender<Arc<Live>>,
    known: Arc<Mutex<Known>>,
    metrics: Metrics,
    sticky: StickyKey,
    /// The box's own routes, which are in every table that a controller makes.
    own: Arc<[Route]>,
}

/// What outlives a table.
#[derive(Debug, Default)]
struct Known {
    /// Every upstream that was published and not yet forgotten. A table that no longer names one may still be in a
    /// request's hands, so only [`Routes::forget`], after the drain, takes one out.
    upstreams: HashMap<InstanceId, Arc<Upstream>>,
    /// The state of each route of the newest table.
    states: HashMap<RouteKey, Arc<RouteState>>,
    /// Where requests wait for the upstreams of an app's process type.
    lines: HashMap<(AppName, ProcessType), Arc<Line>>,
}

/// What makes a route of one table the same as a route of the next.
type RouteKey = (AppName, Host, PathPrefix);

/// One published table with the live upstreams of each route.
#[derive(Debug, Default)]
pub struct Live {
    table: RouteTable,
    /// Parallel to the table's routes.
    targets: Vec<Target>,
    /// By the app that calls, and the one that is called.
    calls: BTreeMap<AppName, Vec<(AppName, Arc<CallMetrics>)>>,
}

/// What a request of a route needs, all in one cache line: on a box with thousands of routes each request finds another one,
/// and waits for every line that it looks at. So an ordinary request reads nothing of the [`Route`] itself.
#[derive(Debug)]
#[repr(align(64))]
struct Target {
    upstreams: Upstreams,
    policy: Arc<Policy>,
    state: Arc<RouteState>,
    metrics: Arc<RouteMetrics>,
    guards: Guards,
}

/// The upstreams of a route, parallel to those of the table. A lone one, which most routes have, is found without a detour.
#[derive(Debug)]
enum Upstreams {
    One([Arc<Upstream>; 1]),
    Any(Box<[Arc<Upstream>]>),
}

/// A route with what is needed to choose among its upstreams; borrowed from a [`Live`].
#[derive(Debug, Clone, Copy)]
pub struct Found<'l> {
    /// The route, whose policy is sooner found by [`Self::policy`].
    pub route: &'l Route,
    target: &'l Target,
}

// === impl Routes ===

impl Routes {
    /// An empty table, generation 0, with a sticky key of its own.
    #[must_use]
    pub fn new() -> Self {
        Self::with_sticky_key(StickyKey::random())
    }

    /// An empty table, generation 0, whose clients find back to their upstreams as long as the key is the same.
    #[must_use]
    pub fn with_sticky_key(sticky: StickyKey) -> Self {
        Self {
            newest: Arc::default(),
            live: watch::Sender::new(Arc::default()),
            known: Arc::default(),
            metrics: Metrics::default(),
            sticky,
            own: Arc::default(),
        }
    }

    /// The same, for a box that has routes of its own: whoever makes a table is to put them into it.
    #[must_use]
    pub fn with_own(self, own: Vec<Route>) -> Self {
        Self { own: own.into(), ..self }
    }

    /// The box's own routes.
    #[must_use]
    pub fn own(&self) -> &[Route] {
        &self.own
    }

    /// Makes this the table that every later request sees.
    pub fn publish(&self, table: RouteTable) {
        let mut known = self.lock();
        let old = self.load();
        let old_guards = old.targets.iter().map(|target| &target.guards);
        let guards = Guards::of(table.routes(), old.table.routes().iter().zip(old_guards));
        let mut before = std::mem::take(&mut known.states);
        let mut targets = Vec::with_capacity(table.routes().len());
        for (route, guards) in table.routes().iter().zip(guards) {
            let key = (route.app.clone(), route.host.clone(), route.path.clone());
            let state = before.remove(&key).unwrap_or_else(|| Arc::new(RouteState::new()));
            known.states.insert(key, Arc::clone(&state));
            let upstreams = known.pair(route, &self.metrics, &self.sticky).into();
            let metrics = self.metrics.route(&route.app, &route.host, &route.path);
            targets.push(Target { upstreams, policy: Arc::clone(&route.policy), state, metrics, guards });
        }
        // One that routes lead to, too, is there already: what is counted on either is drained together.
        for port in table.ports() {
            let line = Arc::clone(known.lines.entry((port.app.clone(), port.process.clone())).or_default());
            let is_new = |upstream: &&route::Upstream| !known.upstreams.contains_key(&upstream.instance);
            let new: Vec<_> = port.upstreams.iter().filter(is_new).collect();
            for upstream in new {
                known.live(&port.app, upstream, &line, &self.metrics, &self.sticky);
            }
        }
        // The upstreams of an app that was taken down hold on to their line.
        known.lines.retain(|_, line| Arc::strong_count(line) > 1);
        drop(known);
        start_slowly(&old, &targets);
        let mut calls = BTreeMap::<AppName, Vec<_>>::new();
        for (caller, app) in table.callers().pairs() {
            calls.entry(caller.clone()).or_default().push((app.clone(), self.metrics.call(caller, app)));
        }
        let live = Arc::new(Live { table, targets, calls });
        self.newest.store(Arc::clone(&live));
        self.live.send_replace(live);
    }

    /// The table as it is now.
    #[must_use]
    pub fn load(&self) -> Arc<Live> {
        self.newest.load_full()
    }

    /// A receiver that wakes at every publication; what it holds is always the newest.
    #[must_use]
    pub fn subscribe(&self) -> watch::Receiver<Arc<Live>> {
        self.live.subscribe()
    }

    /// The live upstream of an instance that was published and not forgotten.
    #[must_use]
    pub fn upstream(&self, instance: &InstanceId) -> Option<Arc<Upstream>> {
        self.lock().upstreams.get(instance).cloned()
    }

    /// What counts the box's traffic.
    #[must_use]
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Every number as it is now.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        for upstream in self.lock().upstreams.values() {
            upstream.metrics().set_now(upstream.in_flight(), upstream.is_ejected());
        }
        self.metrics.snapshot()
    }

    /// Forgets an instance that is gone. Call once it is drained and no published table names it.
    pub fn forget(&self, instance: &InstanceId) {
        self.lock().upstreams.remove(instance);
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Routes {
    fn default() -> Self {
        Self::new()
    }
}

// === impl Live ===

impl Live {
    /// The table itself.
    #[must_use]
    pub fn table(&self) -> &RouteTable {
        &self.table
    }

    /// What is counted of one app's calls to another that it is linked to.
    #[must_use]
    pub fn call(&self, caller: &AppName, app: &str) -> Option<Arc<CallMetrics>> {
        let called = self.calls.get(caller)?;
        called.iter().find(|(name, _)| name.as_str() == app).map(|(_, metrics)| Arc::clone(metrics))
    }

    /// The route of a request. `host` is lower case and has no port.
    #[must_use]
    pub fn find(&self, host: &str, path: &str) -> Option<Found<'_>> {
        let (index, route) = self.table.find(host, path)?;
        Some(Found { route, target: &self.targets[index] })
    }
}

// === impl Upstreams ===

impl Upstreams {
    fn as_slice(&self) -> &[Arc<Upstream>] {
        match self {
            Self::One(one) => one,
            Self::Any(any) => any,
        }
    }
}

impl From<Vec<Arc<Upstream>>> for Upstreams {
    fn from(upstreams: Vec<Arc<Upstream>>) -> Self {
        match <[_; 1]>::try_from(upstreams) {
            Ok(one) => Self::One(one),
            Err(any) => Self::Any(any.into()),
        }
    }
}

// === impl Found ===

impl<'l> Found<'l> {
    /// The policy of the route.
    #[must_use]
    pub fn policy(&self) -> &'l Policy {
        &self.target.policy
    }

    /// What is remembered of the route, the same from table to table.
    #[must_use]
    pub fn state(&self) -> &'l Arc<RouteState> {
        &self.target.state
    }

    /// What is counted of its requests.
    #[must_use]
    pub fn metrics(&self) -> &'l Arc<RouteMetrics> {
        &self.target.metrics
    }

    /// What its guards remember, and whether it has any.
    #[must_use]
    pub fn guards(&self) -> &'l Guards {
        &self.target.guards
    }

    fn upstreams(&self) -> &'l [Arc<Upstream>] {
        self.target.upstreams.as_slice()
    }
}

// === impl Known ===

impl Known {
    /// The live upstreams of a route.
    fn pair(&mut self, route: &Route, metrics: &Metrics, sticky: &StickyKey) -> Vec<Arc<Upstream>> {
        let line = Arc::clone(self.lines.entry((route.app.clone(), route.process.clone())).or_default());
        let live: Vec<_> = route
            .upstreams
            .iter()
            .map(|upstream| self.live(&route.app, upstream, &line, metrics, sticky))
            .collect();
        for upstream in &live {
            upstream.set_rules(&route.policy.ejection, live.len() > 1);
        }
        live
    }

    fn live(
        &mut self,
        app: &AppName,
        upstream: &route::Upstream,
        line: &Arc<Line>,
        metrics: &Metrics,
        sticky: &StickyKey,
    ) -> Arc<Upstream> {
        let route::Upstream { instance, slot, release, addr } = upstream;
        let known = self.upstreams.get(instance);
        // The engine may restart and give a container another address: counts of the old one end with its connections.
        if let Some(live) = known.filter(|live| live.addr() == *addr) {
            return Arc::clone(live);
        }
        let metrics = metrics.upstream(app, slot, *release, instance);
        let token = sticky.token(instance);
        let live = Arc::new(Upstream::new(instance.clone(), *addr, metrics, token, Arc::clone(line)));
        self.upstreams.insert(instance.clone(), Arc::clone(&live));
        live
    }
}

/// Lets upstreams that the table before did not have start slowly, where there are others that it had.
fn start_slowly(before: &Live, targets: &[Target]) {
    let had: HashSet<_> =
        before.targets.iter().flat_map(|target| target.upstreams.as_slice()).map(Arc::as_ptr).collect();
    for upstreams in
        targets.iter().map(|target| target.upstreams.as_slice()).filter(|upstreams| upstreams.len() > 1)
    {
        let is_new = |upstream: &&Arc<Upstream>| !had.contains(&Arc::as_ptr(upstream));
        if !upstreams.iter().all(|upstream| is_new(&upstream)) {
            upstreams.iter().filter(is_new).for_each(|upstream| upstream.start_slowly());
        }
    }
}

#[cfg(test)]
mod tests;
