//! One upstream's live state: what is in flight on it, whether it still takes requests, and how it has fared with them.

mod in_flight;
mod tally;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::http1::Connection;
use crate::http2;
use crate::metrics::UpstreamMetrics;
use crate::name::InstanceId;
use crate::policy::Ejection;
use crate::traffic::health::{Health, Outcome, Verdict};
use crate::traffic::idle::IdleConnections;
use crate::traffic::line::Line;
use crate::traffic::pick::Refusal;
use crate::traffic::random;
use crate::traffic::sticky::StickyToken;

pub use in_flight::{InFlight, Upgraded};
pub use tally::Tally;

/// An instance as the proxy uses it. Shared by every table that names the instance, and by every request on it.
#[derive(Debug)]
pub struct Upstream {
    instance: InstanceId,
    addr: SocketAddr,
    metrics: Arc<UpstreamMetrics>,
    /// Written by claims and guards, read by picks and the drain.
    requests: AtomicUsize,
    /// Upgraded connections: WebSockets and other tunnels. Counted apart, because they have their own limit.
    upgraded: AtomicUsize,
    is_draining: AtomicBool,
    /// Responses since the upstream was first published, and how many of them were failures.
    answered: AtomicU64,
    failed: AtomicU64,
    /// Woken whenever one of the counts falls to zero.
    quiet: Notify,
    /// Cancelled when upgraded connections are to be closed.
    farewell: CancellationToken,
    idle: IdleConnections,
    /// For requests that share a connection.
    shared: http2::Connections,
    health: Health,
    /// What the cookie of a client says that is to come back here.
    token: StickyToken,
    /// The instance, hashed.
    seed: u64,
    /// Who waits for a place here or on its peers.
    line: Arc<Line>,
}

/// How a drain ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Drained {
    /// How many were still in flight at the limit; 0 when all finished.
    pub cut: usize,
}

// === impl Upstream ===

impl Upstream {
    pub(super) fn new(
        instance: InstanceId,
        addr: SocketAddr,
        metrics: Arc<UpstreamMetrics>,
        token: StickyToken,
        line: Arc<Line>,
    ) -> Self {
        Self {
            seed: random::hash_bytes(instance.as_str().as_bytes()),
            instance,
            addr,
            metrics,
            requests: AtomicUsize::new(0),
            upgraded: AtomicUsize::new(0),
            is_draining: AtomicBool::new(false),
            answered: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            quiet: Notify::new(),
            farewell: CancellationToken::new(),
            idle: IdleConnections::new(),
            shared: http2::Connections::new(),
            health: Health::new(),
            token,
            line,
        }
    }

    /// The instance.
    #[must_use]
    pub fn instance(&self) -> &InstanceId {
        &self.instance
    }

    /// Where it listens.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// What is counted of its requests.
    #[must_use]
    pub fn metrics(&self) -> &UpstreamMetrics {
        &self.metrics
    }

    /// Requests in flight, without upgraded connections.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.requests.load(Ordering::Relaxed)
    }

    /// Upgraded connections that are open.
    #[must_use]
    pub fn upgraded(&self) -> usize {
        self.upgraded.load(Ordering::Relaxed)
    }

    /// What it answered since it was first published.
    #[must_use]
    pub fn tally(&self) -> Tally {
        Tally {
            requests: self.answered.load(Ordering::Relaxed),
            failures: self.failed.load(Ordering::Relaxed),
        }
    }

    fn record(&self, failed: bool) {
        self.answered.fetch_add(1, Ordering::Relaxed);
        if failed {
            self.failed.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Whether nothing is counted.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.requests.load(Ordering::SeqCst) == 0 && self.upgraded.load(Ordering::SeqCst) == 0
    }

    /// Counts one request, or refuses because the upstream drains.
    #[must_use]
    pub fn claim(self: &Arc<Self>) -> Option<InFlight> {
        self.requests.fetch_add(1, Ordering::SeqCst);
        // The guard uncounts on refusal, too, and wakes the drain that may have seen this count.
        let claim = InFlight::new(Arc::clone(self));
        (!self.is_draining.load(Ordering::SeqCst)).then_some(claim)
    }

    /// Counts one request if fewer than `max` are in flight.
    ///
    /// # Errors
    ///
    /// [`Refusal::Full`] when there are more, [`Refusal::NotReady`] when the upstream drains.
    pub fn claim_below(self: &Arc<Self>, max: u32) -> Result<InFlight, Refusal> {
        let one_more = |count: usize| (count < max as usize).then_some(count + 1);
        if self.requests.fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_more).is_err() {
            return Err(Refusal::Full);
        }
        let claim = InFlight::new(Arc::clone(self));
        if self.is_draining.load(Ordering::SeqCst) { Err(Refusal::NotReady) } else { Ok(claim) }
    }

    /// Tells how an exchange went, where no [`InFlight`] does.
    pub fn report(&self, outcome: Outcome) {
        self.record(outcome != Outcome::Ok);
        if let Verdict::Ejected(period) = self.health.report(outcome) {
            self.metrics.ejections().inc();
            tracing::warn!(
                instance = self.instance.as_str(),
                seconds = period.as_secs(),
                reason = ?outcome,
                "instance failed again and again, and gets no requests for a while"
            );
        }
    }

    /// How often it was ejected, ever.
    #[must_use]
    pub fn ejections(&self) -> u64 {
        self.health.ejected()
    }

    /// Whether it is left alone for a while.
    #[must_use]
    pub fn is_ejected(&self) -> bool {
        self.share() == 0
    }

    /// How many requests wait for a place on it or on its peers.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.line.len()
    }

    /// What the cookie of a client says that is to come back here.
    #[must_use]
    pub fn token(&self) -> &StickyToken {
        &self.token
    }

    pub(super) fn set_rules(&self, rules: &Ejection, has_peers: bool) {
        self.health.set(rules, has_peers);
    }

    pub(super) fn start_slowly(&self) {
        self.health.start_slowly();
    }

    /// Which share of its turns it gets; 0 while it is ejected.
    pub(super) fn share(&self) -> u32 {
        let (share, is_back) = self.health.share();
        if is_back {
            tracing::info!(instance = self.instance.as_str(), "instance gets requests again");
        }
        share
    }

    /// The instance, hashed: the same in every process.
    pub(super) fn seed(&self) -> u64 {
        self.seed
    }

    pub(super) fn line(&self) -> &Arc<Line> {
        &self.line
    }

    /// Gives a place that has become free to whoever waits longest.
    fn serve_line(self: &Arc<Self>) {
        while !self.is_draining.load(Ordering::SeqCst) {
            let Some(waiter) = self.line.pop() else { return };
            if let Ok(claim) = self.claim_below(waiter.max) {
                // One who has just gone gives the place back, which calls this again for the next.
                let _ = waiter.to.send(claim);
                return;
            }
            let max = waiter.max as usize;
            self.line.put_back(waiter);
            // A place that became free while nobody stood in line was offered to nobody.
            if self.requests.load(Ordering::SeqCst) >= max {
                return;
            }
        }
    }

    /// Refuses new requests, and waits until those in flight have finished, at most `timeout`.
    ///
    /// Upgraded connections are not waited for: [`Self::drain_upgraded`]. Cancel-safe: the refusal stays.
    pub async fn drain(&self, timeout: Duration) -> Drained {
        self.is_draining.store(true, Ordering::SeqCst);
        self.idle.clear();
        self.shared.clear();
        self.wait_for_zero(&self.requests, timeout).await
    }

    /// Waits until every upgraded connection has ended by itself, at most `timeout`. Call after [`Self::drain`].
    pub async fn drain_upgraded(&self, timeout: Duration) -> Drained {
        self.wait_for_zero(&self.upgraded, timeout).await
    }

    /// Asks every upgraded connection to close, WebSockets with a close frame. Returns at once.
    pub fn close_upgraded(&self) {
        self.farewell.cancel();
    }

    /// Resolves once upgraded connections are to close.
    #[must_use]
    pub fn farewell(&self) -> CancellationToken {
        self.farewell.clone()
    }

    /// An idle connection that may still be open.
    #[must_use]
    pub fn take_connection(&self) -> Option<Box<Connection>> {
        self.idle.take()
    }

    /// Keeps a connection for a later request; drops it when enough are kept, or the upstream drains.
    pub fn keep_connection(&self, connection: Box<Connection>) {
        self.idle.keep(connection);
        // Kept first and looked at after, as the drain sets its flag first and clears after: one of the two sees the other,
        // so no connection stays open to an instance that is about to stop.
        if self.is_draining.load(Ordering::SeqCst) {
            self.idle.clear();
        }
    }

    /// A stream of HTTP/2 for one request; `limit` is for a connection that has to be opened first.
    ///
    /// # Errors
    ///
    /// As [`http2::Connections::open`].
    pub async fn open_stream(&self, limit: Duration) -> io::Result<http2::Stream> {
        let stream = self.shared.open(self.addr, limit).await;
        // As above: a request that was counted before the drain may open one after it.
        if self.is_draining.load(Ordering::SeqCst) {
            self.shared.clear();
        }
        stream
    }

    async fn wait_for_zero(&self, count: &AtomicUsize, timeout: Duration) -> Drained {
        let zero = async {
            loop {
                let woken = self.quiet.notified();
                tokio::pin!(woken);
                // Registered before the count is read, so that a fall to zero in between is not missed.
                woken.as_mut().enable();
                if count.load(Ordering::SeqCst) == 0 {
                    return;
                }
                woken.await;
            }
        };
        // A last look after the limit: what finished at the very end was not cut.
        let _ = tokio::time::timeout(timeout, zero).await;
        Drained { cut: count.load(Ordering::SeqCst) }
    }

    fn uncount(&self, count: &AtomicUsize) {
        if count.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.quiet.notify_waiters();
        }
    }
}
