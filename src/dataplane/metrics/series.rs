//! The counters of one route, and of one upstream.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use super::histogram::Histogram;
use super::{Counter, RouteSample, UpstreamSample};
use crate::name::{AppName, Host, InstanceId, PathPrefix, ReleaseId, Slot};

/// How requests ended; `499` are those whose client went away before it was answered.
pub const STATUSES: [&str; 6] = ["1xx", "2xx", "3xx", "4xx", "499", "5xx"];

/// What is counted of one route.
///
/// What every request adds to comes first and together, in two cache lines: on a box with thousands of routes each request finds
/// another one's.
#[derive(Debug)]
#[repr(C)]
pub struct RouteMetrics {
    app: Arc<str>,
    begun: Counter,
    ended: [Counter; STATUSES.len()],
    bytes_out: Counter,
    latency: Histogram,
    bytes_in: Counter,
    retries: Counter,
    held: Counter,
    /// Host and path as one: `shop.example.com/api`.
    route: Arc<str>,
}

/// What is counted of one upstream.
#[derive(Debug)]
pub struct UpstreamMetrics {
    app: Arc<str>,
    slot: Arc<str>,
    release: Arc<str>,
    instance: Arc<str>,
    requests: Counter,
    failures: Counter,
    ejections: Counter,
    in_flight: AtomicU64,
    is_ejected: AtomicBool,
}

// === impl RouteMetrics ===

impl RouteMetrics {
    /// `app` is the app's name.
    pub(super) fn new(app: Arc<str>, host: &Host, path: &PathPrefix) -> Self {
        Self {
            app,
            begun: Counter::default(),
            ended: Default::default(),
            bytes_out: Counter::default(),
            latency: Histogram::default(),
            bytes_in: Counter::default(),
            retries: Counter::default(),
            held: Counter::default(),
            route: format!("{host}{path}").into(),
        }
    }

    /// The app that has the route.
    #[must_use]
    pub fn app(&self) -> &str {
        &self.app
    }

    /// Counts a request that was routed here. [`Self::end`] must follow.
    pub fn begin(&self) {
        self.begun.inc();
    }

    /// Counts how a request ended. `latency` is `None` for what is no answer of any length, such as a tunnel.
    pub fn end(&self, status: u16, latency: Option<Duration>, bytes_in: u64, bytes_out: u64) {
        self.ended[class(status)].inc();
        if let Some(latency) = latency {
            self.latency.observe(latency);
        }
        if bytes_in > 0 {
            self.bytes_in.add(bytes_in);
        }
        if bytes_out > 0 {
            self.bytes_out.add(bytes_out);
        }
    }

    /// Requests that were sent again.
    #[must_use]
    pub fn retries(&self) -> &Counter {
        &self.retries
    }

    /// Requests that had to wait for an upstream.
    #[must_use]
    pub fn held(&self) -> &Counter {
        &self.held
    }

    /// Requests that have begun and not ended.
    #[must_use]
    pub fn in_flight(&self) -> u64 {
        // Ends first: a request that ends in between is then one too many, never one too few.
        let ended: u64 = self.ended.iter().map(Counter::get).sum();
        self.begun.get().saturating_sub(ended)
    }

    /// The name of the app, to be shared by its other routes.
    pub(super) fn shared_app(&self) -> &Arc<str> {
        &self.app
    }

    pub(super) fn sample(&self) -> RouteSample {
        RouteSample {
            app: Arc::clone(&self.app),
            route: Arc::clone(&self.route),
            in_flight: self.in_flight(),
            ended: std::array::from_fn(|class| self.ended[class].get()),
            latency: self.latency.load(),
            bytes_in: self.bytes_in.get(),
            bytes_out: self.bytes_out.get(),
            retries: self.retries.get(),
            held: self.held.get(),
        }
    }
}

// === impl UpstreamMetrics ===

impl UpstreamMetrics {
    pub(super) fn new(app: &AppName, slot: &Slot, release: ReleaseId, instance: &InstanceId) -> Self {
        Self {
            app: app.as_str().into(),
            slot: slot.to_string().into(),
            release: release.to_string().into(),
            instance: instance.as_str().into(),
            requests: Counter::default(),
            failures: Counter::default(),
            ejections: Counter::default(),
            in_flight: AtomicU64::new(0),
            is_ejected: AtomicBool::new(false),
        }
    }

    /// Its slot: `web.1`.
    #[must_use]
    pub fn slot(&self) -> &str {
        &self.slot
    }

    /// Its release: `v3`.
    #[must_use]
    pub fn release(&self) -> &str {
        &self.release
    }

    /// Counts a request that was sent here. It failed when there was no whole response, or one of status 500 and above.
    pub fn end(&self, has_failed: bool) {
        self.requests.inc();
        if has_failed {
            self.failures.inc();
        }
    }

    /// How often it was left alone because it failed.
    #[must_use]
    pub fn ejections(&self) -> &Counter {
        &self.ejections
    }

    /// Notes how many requests it has now, and whether it is left alone; whoever knows does so before a snapshot is taken.
    pub fn set_now(&self, in_flight: usize, is_ejected: bool) {
        self.in_flight.store(in_flight as u64, Ordering::Relaxed);
        self.is_ejected.store(is_ejected, Ordering::Relaxed);
    }

    pub(super) fn sample(&self) -> UpstreamSample {
        UpstreamSample {
            app: Arc::clone(&self.app),
            slot: Arc::clone(&self.slot),
            release: Arc::clone(&self.release),
            instance: Arc::clone(&self.instance),
            requests: self.requests.get(),
            failures: self.failures.get(),
            ejections: self.ejections.get(),
            in_flight: self.in_flight.load(Ordering::Relaxed),
            is_ejected: self.is_ejected.load(Ordering::Relaxed),
        }
    }
}

/// Where a status is in [`STATUSES`]; what is no status of HTTP is the server's fault.
pub(super) fn class(status: u16) -> usize {
    match status {
        100..=199 => 0,
        200..=299 => 1,
        300..=399 => 2,
        499 => 4,
        400..=498 => 3,
        _ => 5,
    }
}
