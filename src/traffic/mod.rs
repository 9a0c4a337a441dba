//! What the two planes share while requests flow: the published table, and a live count for each upstream.
//!
//! # Theory of operation
//!
//! The controller calls [`Routes::publish`] with a whole [`RouteTable`]; each upstream in it is paired with its live
//! [`Upstream`], the same one as long as the instance exists, and the pair is swapped in as one [`Live`] value. The proxy
//! calls [`Routes::load`], finds the route, and [`Found::pick`]s an upstream, which counts the request until the
//! [`InFlight`] guard is dropped.
//!
//! The race between choosing an upstream and draining it has two halves. [`Upstream::claim`] counts first and looks at the
//! draining flag after, while [`Upstream::drain`] sets the flag first and looks at the count after; whichever comes second
//! sees the other (both are `SeqCst`). So a claim either is waited for, or is refused; a refused request loads the table
//! again, and finds the one that was published before the drain began.
//!
//! What this module does not do: it opens no connection and knows no app, release or phase.

mod idle;
mod upstream;

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;

use crate::name::InstanceId;
use crate::route::{self, Route, RouteTable};

pub use idle::{Connection, Progress, RequestBody};
pub use upstream::{Drained, InFlight, Tally, Upgraded, Upstream};

/// The published table, shared by both planes; clones are handles on the same one.
#[derive(Debug, Clone)]
pub struct Routes {
    live: watch::Sender<Arc<Live>>,
    /// Every upstream that was published and not yet forgotten. A table that no longer names one may still be in a
    /// request's hands, so only [`Routes::forget`], after the drain, takes one out.
    upstreams: Arc<Mutex<HashMap<InstanceId, Arc<Upstream>>>>,
}

/// One published table with the live upstreams of each route.
#[derive(Debug, Default)]
pub struct Live {
    table: RouteTable,
    /// Parallel to the table's routes.
    upstreams: Vec<Vec<Arc<Upstream>>>,
    /// Where the next pick starts to look, so that equals take turns.
    turn: AtomicUsize,
}

/// A route with what is needed to choose among its upstreams; borrowed from a [`Live`].
#[derive(Debug, Clone, Copy)]
pub struct Found<'l> {
    /// The route.
    pub route: &'l Route,
    upstreams: &'l [Arc<Upstream>],
    turn: &'l AtomicUsize,
}

// === impl Routes ===

impl Routes {
    /// An empty table, generation 0.
    #[must_use]
    pub fn new() -> Self {
        Self { live: watch::Sender::new(Arc::default()), upstreams: Arc::default() }
    }

    /// Makes this the table that every later request sees.
    pub fn publish(&self, table: RouteTable) {
        let mut known = self.upstreams.lock().unwrap_or_else(PoisonError::into_inner);
        let upstreams = table
            .routes()
            .iter()
            .map(|route| route.upstreams.iter().map(|upstream| pair(&mut known, upstream)).collect())
            .collect();
        drop(known);
        self.live.send_replace(Arc::new(Live { table, upstreams, turn: AtomicUsize::new(0) }));
    }

    /// The table as it is now.
    #[must_use]
    pub fn load(&self) -> Arc<Live> {
        Arc::clone(&self.live.borrow())
    }

    /// A receiver that wakes at every publication; what it holds is always the newest.
    #[must_use]
    pub fn subscribe(&self) -> watch::Receiver<Arc<Live>> {
        self.live.subscribe()
    }

    /// The live upstream of an instance that was published and not forgotten.
    #[must_use]
    pub fn upstream(&self, instance: &InstanceId) -> Option<Arc<Upstream>> {
        self.upstreams.lock().unwrap_or_else(PoisonError::into_inner).get(instance).cloned()
    }

    /// Forgets an instance that is gone. Call once it is drained and no published table names it.
    pub fn forget(&self, instance: &InstanceId) {
        self.upstreams.lock().unwrap_or_else(PoisonError::into_inner).remove(instance);
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

    /// The route of a request. `host` is lower case and has no port.
    #[must_use]
    pub fn find(&self, host: &str, path: &str) -> Option<Found<'_>> {
        let (index, route) = self.table.find(host, path)?;
        Some(Found { route, upstreams: &self.upstreams[index], turn: &self.turn })
    }
}

// === impl Found ===

impl Found<'_> {
    /// Counts a request on the upstream with the fewest in flight; equals take turns.
    ///
    /// `None` when there is none, or each refused because it drains: load the table again, it has changed since.
    /// `except` is one that was just tried in vain.
    #[must_use]
    pub fn pick(&self, except: Option<&InstanceId>) -> Option<InFlight> {
        let count = self.upstreams.len();
        let start = if count > 1 { self.turn.fetch_add(1, Ordering::Relaxed) } else { 0 };
        let mut order: Vec<_> = (0..count)
            .map(|step| &self.upstreams[(start + step) % count])
            .filter(|upstream| except != Some(upstream.instance()))
            .collect();
        if order.len() > 1 {
            order.sort_by_key(|upstream| upstream.in_flight());
        }
        order.into_iter().find_map(Upstream::claim)
    }
}

fn pair(known: &mut HashMap<InstanceId, Arc<Upstream>>, upstream: &route::Upstream) -> Arc<Upstream> {
    let live = known
        .entry(upstream.instance.clone())
        .or_insert_with(|| Arc::new(Upstream::new(upstream.instance.clone(), upstream.addr)));
    if live.addr() != upstream.addr {
        // The engine restarted and gave the container another address: counts of the old one end with its connections.
        *live = Arc::new(Upstream::new(upstream.instance.clone(), upstream.addr));
    }
    Arc::clone(live)
}

#[cfg(test)]
mod tests;
