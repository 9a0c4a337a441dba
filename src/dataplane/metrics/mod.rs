//! What is counted while traffic flows, and what is told of it.
//!
//! # Theory of operation
//!
//! A [`Metrics`] is the registry of a box. [`crate::traffic`] fetches a handle for each route and each upstream when a table is
//! published, so a request finds its counters beside its route: it adds to atomics, and takes no lock. Whoever wants to know
//! takes a [`Snapshot`]: plain numbers, which become Prometheus' text ([`Snapshot::to_text`]) or the API's JSON.
//!
//! A series lives as long as somebody holds its handle: the table, an upstream, a request. What nobody holds any more (the app
//! is down, the instance is gone) stays for `limits::RETENTION`, so that the last numbers are scraped, and is then removed;
//! if the same name comes back before, it goes on counting. There are at most so many series; a handle beyond that counts for
//! itself alone, and [`Snapshot::left_out`] says how many there were.
//!
//! What this module does not do: it knows no proxy, controller or clock of its own, keeps no history, and computes no rate.

mod call;
mod global;
mod histogram;
mod port;
mod series;
mod snapshot;
mod text;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::time::Instant;

use crate::name::{AppName, Host, InstanceId, PathPrefix, ReleaseId, Slot};

pub use call::{CallMetrics, CallSample};
pub use global::{ErrorCounts, ListenerMetrics, OpenConnection};
pub use histogram::{BOUNDS, Distribution, Histogram};
pub use port::{PortMetrics, PortSample};
pub use series::{RouteMetrics, STATUSES, UpstreamMetrics};
pub use snapshot::{CertificateSample, GlobalSample, ListenerSample, RouteSample, Snapshot, UpstreamSample};
pub use text::CONTENT_TYPE;

/// What bounds the registry.
mod limits {
    use std::time::Duration;

    /// Routes that are told of; each is about 30 lines of text.
    pub(super) const ROUTES_MAX: usize = 2_000;
    /// Upstreams that are told of; each is 4 lines of text.
    pub(super) const UPSTREAMS_MAX: usize = 5_000;
    /// TCP ports that are told of; each is about 20 lines of text.
    pub(super) const PORTS_MAX: usize = 1_000;
    /// Pairs of an app that calls and one that is called; each is 6 lines of text.
    pub(super) const CALLS_MAX: usize = 2_000;
    /// Certificates that are told of; each is 2 lines of text.
    pub(super) const CERTIFICATES_MAX: usize = 10_000;
    /// How long something that is gone is still told of: after that Prometheus takes a series for stale, too.
    pub(super) const RETENTION: Duration = Duration::from_secs(300);
    /// Different codes of errors; what comes beyond is not counted. There are fewer in the source.
    pub(super) const ERROR_CODES_MAX: usize = 64;
}

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

/// The registry of a box; clones are handles on the same one.
#[derive(Debug, Clone, Default)]
pub struct Metrics(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    series: Mutex<Series>,
    http: Arc<ListenerMetrics>,
    https: Arc<ListenerMetrics>,
    refused: Counter,
    handshakes: Counter,
    handshakes_failed: Counter,
    errors: ErrorCounts,
    log_dropped: Counter,
}

#[derive(Debug, Default)]
struct Series {
    routes: BTreeMap<(AppName, Host, PathPrefix), Kept<RouteMetrics>>,
    upstreams: BTreeMap<InstanceId, Kept<UpstreamMetrics>>,
    ports: BTreeMap<(AppName, u16), Kept<PortMetrics>>,
    calls: BTreeMap<(AppName, AppName), Kept<CallMetrics>>,
    left_out: u64,
}

/// A series, and since when nobody holds it.
#[derive(Debug)]
struct Kept<M> {
    metrics: Arc<M>,
    unheld: Option<Instant>,
}

// === impl Counter ===

impl Counter {
    /// Adds one.
    pub fn inc(&self) {
        self.add(1);
    }

    /// Adds so many.
    pub fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    /// What it is now.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

// === impl Metrics ===

impl Metrics {
    /// The counters of a route, the same ones as long as it is known. Not for the request path.
    #[must_use]
    pub fn route(&self, app: &AppName, host: &Host, path: &PathPrefix) -> Arc<RouteMetrics> {
        self.with_series(|series| {
            let key = (app.clone(), host.clone(), path.clone());
            // Routes of an app share its name.
            let sibling = series.routes.range(..&key).next_back().filter(|((of, ..), _)| of == app);
            let name = sibling
                .map_or_else(|| app.as_str().into(), |(_, kept)| Arc::clone(kept.metrics.shared_app()));
            let make = || RouteMetrics::new(name, host, path);
            fetch(&mut series.routes, key, limits::ROUTES_MAX, &mut series.left_out, make)
        })
    }

    /// The counters of an upstream, the same ones as long as the instance is known. Not for the request path.
    #[must_use]
    pub fn upstream(
        &self,
        app: &AppName,
        slot: &Slot,
        release: ReleaseId,
        instance: &InstanceId,
    ) -> Arc<UpstreamMetrics> {
        let make = || UpstreamMetrics::new(app, slot, release, instance);
        self.with_series(|series| {
            fetch(&mut series.upstreams, instance.clone(), limits::UPSTREAMS_MAX, &mut series.left_out, make)
        })
    }

    /// The counters of a TCP port, the same ones as long as it is known. Not for what is done with each byte.
    #[must_use]
    pub fn port(&self, app: &AppName, listen: u16) -> Arc<PortMetrics> {
        let make = || PortMetrics::new(app, listen);
        self.with_series(|series| {
            let key = (app.clone(), listen);
            fetch(&mut series.ports, key, limits::PORTS_MAX, &mut series.left_out, make)
        })
    }

    /// The counters of one app's calls to another, the same ones as long as the caller is linked. Not for the request path.
    #[must_use]
    pub fn call(&self, caller: &AppName, app: &AppName) -> Arc<CallMetrics> {
        let make = || CallMetrics::new(caller, app);
        self.with_series(|series| {
            let key = (caller.clone(), app.clone());
            fetch(&mut series.calls, key, limits::CALLS_MAX, &mut series.left_out, make)
        })
    }

    /// The counters of plain http.
    #[must_use]
    pub fn http(&self) -> &Arc<ListenerMetrics> {
        &self.0.http
    }

    /// The counters of https.
    #[must_use]
    pub fn https(&self) -> &Arc<ListenerMetrics> {
        &self.0.https
    }

    /// Connections that were closed at once, because their client had enough.
    #[must_use]
    pub fn refused(&self) -> &Counter {
        &self.0.refused
    }

    /// TLS handshakes that succeeded.
    #[must_use]
    pub fn handshakes(&self) -> &Counter {
        &self.0.handshakes
    }

    /// TLS handshakes that did not.
    #[must_use]
    pub fn handshakes_failed(&self) -> &Counter {
        &self.0.handshakes_failed
    }

    /// Requests that no app answered, by the code of the error.
    #[must_use]
    pub fn errors(&self) -> &ErrorCounts {
        &self.0.errors
    }

    /// Lines that the access log had no room for.
    #[must_use]
    pub fn log_dropped(&self) -> &Counter {
        &self.0.log_dropped
    }

    /// Every number as it is now. Removes what has been gone for long enough.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let now = Instant::now();
        self.with_series(|series| {
            sweep(&mut series.routes, now);
            sweep(&mut series.upstreams, now);
            sweep(&mut series.ports, now);
            sweep(&mut series.calls, now);
            Snapshot {
                routes: series.routes.values().map(|kept| kept.metrics.sample()).collect(),
                upstreams: series.upstreams.values().map(|kept| kept.metrics.sample()).collect(),
                ports: series.ports.values().map(|kept| kept.metrics.sample()).collect(),
                calls: series.calls.values().map(|kept| kept.metrics.sample()).collect(),
                global: self.global(),
                certificates: Vec::new(),
                left_out: series.left_out,
            }
        })
    }

    fn global(&self) -> GlobalSample {
        let inner = &*self.0;
        GlobalSample {
            http: inner.http.sample(),
            https: inner.https.sample(),
            refused: inner.refused.get(),
            handshakes: inner.handshakes.get(),
            handshakes_failed: inner.handshakes_failed.get(),
            errors: inner.errors.sample(),
            log_dropped: inner.log_dropped.get(),
        }
    }

    fn with_series<T>(&self, work: impl FnOnce(&mut Series) -> T) -> T {
        work(&mut self.0.series.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn fetch<K: Ord, M>(
    known: &mut BTreeMap<K, Kept<M>>,
    key: K,
    max: usize,
    left_out: &mut u64,
    make: impl FnOnce() -> M,
) -> Arc<M> {
    if let Some(kept) = known.get(&key) {
        return Arc::clone(&kept.metrics);
    }
    if known.len() >= max {
        sweep(known, Instant::now());
    }
    let metrics = Arc::new(make());
    if known.len() < max {
        known.insert(key, Kept { metrics: Arc::clone(&metrics), unheld: None });
    } else {
        *left_out += 1;
    }
    metrics
}

fn sweep<K: Ord, M>(known: &mut BTreeMap<K, Kept<M>>, now: Instant) {
    known.retain(|_, kept| {
        // Handles are made under the lock that we hold, so the last one cannot come back meanwhile.
        if Arc::strong_count(&kept.metrics) > 1 {
            kept.unheld = None;
            return true;
        }
        now.duration_since(*kept.unheld.get_or_insert(now)) < limits::RETENTION
    });
}

#[cfg(test)]
mod tests;
