//! What an upstream's answers say of it: whether it is left alone for a while, and how much it gets after.
//!
//! Failures in a row eject an upstream, for longer each time, until it answers well again. One that comes back, or is new among
//! others, begins with a small share of its turns that grows to the full one. Atomics alone: a request on a healthy upstream
//! reads three of them, and looks at no clock.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use crate::policy::Ejection;

/// The share of an upstream that is well.
pub(super) const FULL_SHARE: u32 = 1024;
/// The share that a slow start begins with, so that there is something to warm up with: 5 %.
const FIRST_SHARE: u32 = FULL_SHARE / 20;

/// How an exchange with an upstream went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It answered.
    Ok,
    /// It answered with a status of 500 or above.
    ServerError,
    /// It did not accept a connection.
    ConnectError,
    /// It accepted the request and sent no response, or half of one.
    Broken,
}

/// What a report changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Nothing.
    Unchanged,
    /// It is left alone for so long.
    Ejected(Duration),
}

/// The state; times are milliseconds after `since`.
#[derive(Debug)]
pub(super) struct Health {
    since: Instant,
    failures_max: AtomicU32,
    base: AtomicU64,
    max: AtomicU64,
    slow_start: AtomicU64,
    /// Whether there is another upstream to turn to.
    has_peers: AtomicBool,
    /// Failures in a row.
    failures: AtomicU32,
    /// Ejections in a row.
    ejections: AtomicU32,
    /// Ejections ever.
    ejected: AtomicU64,
    /// When the ejection ends; 0 when there is none.
    ejected_until: AtomicU64,
    /// When the slow start began, and 1; 0 when there is none.
    slow_from: AtomicU64,
}

// === impl Outcome ===

impl Outcome {
    /// What a response of this status says.
    #[must_use]
    pub fn of_status(status: http::StatusCode) -> Self {
        if status.is_server_error() { Self::ServerError } else { Self::Ok }
    }
}

// === impl Health ===

impl Health {
    pub(super) fn new() -> Self {
        let health = Self {
            since: Instant::now(),
            failures_max: AtomicU32::new(0),
            base: AtomicU64::new(0),
            max: AtomicU64::new(0),
            slow_start: AtomicU64::new(0),
            has_peers: AtomicBool::new(false),
            failures: AtomicU32::new(0),
            ejections: AtomicU32::new(0),
            ejected: AtomicU64::new(0),
            ejected_until: AtomicU64::new(0),
            slow_from: AtomicU64::new(0),
        };
        health.set(&Ejection::default(), false);
        health
    }

    /// Sets the rules.
    pub(super) fn set(&self, rules: &Ejection, has_peers: bool) {
        self.failures_max.store(rules.failures, Ordering::Relaxed);
        self.base.store(millis(rules.base), Ordering::Relaxed);
        self.max.store(millis(rules.max), Ordering::Relaxed);
        self.slow_start.store(millis(rules.slow_start), Ordering::Relaxed);
        self.has_peers.store(has_peers, Ordering::Relaxed);
    }

    /// Begins with a small share: it is new among others.
    pub(super) fn start_slowly(&self) {
        if self.slow_start.load(Ordering::Relaxed) > 0 {
            self.slow_from.store(self.now() + 1, Ordering::Relaxed);
        }
    }

    /// Which share of its turns it gets, of [`FULL_SHARE`]; 0 while it is ejected. True with it when an ejection just ended.
    pub(super) fn share(&self) -> (u32, bool) {
        let until = self.ejected_until.load(Ordering::Relaxed);
        let from = self.slow_from.load(Ordering::Relaxed);
        if until | from == 0 {
            return (FULL_SHARE, false);
        }
        let now = self.now();
        if until == 0 {
            return (self.slow_share(from, now), false);
        }
        if now < until {
            return (0, false);
        }
        let from = now + 1;
        self.slow_from.store(from, Ordering::Relaxed);
        let has_ended = self.ejected_until.compare_exchange(until, 0, Ordering::Relaxed, Ordering::Relaxed);
        (self.slow_share(from, now), has_ended.is_ok())
    }

    pub(super) fn report(&self, outcome: Outcome) -> Verdict {
        if outcome == Outcome::Ok {
            self.note_success();
            return Verdict::Unchanged;
        }
        let failures = self.failures.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        let max = self.failures_max.load(Ordering::Relaxed);
        if max == 0 || failures < max || !self.has_peers.load(Ordering::Relaxed) {
            return Verdict::Unchanged;
        }
        let doublings = self.ejections.load(Ordering::Relaxed).min(32);
        let period = (self.base.load(Ordering::Relaxed) << doublings).min(self.max.load(Ordering::Relaxed));
        let until = (self.now() + period).max(1);
        // Of requests that fail at the same time one ejects; what fails while it is ejected says nothing new.
        if self.ejected_until.compare_exchange(0, until, Ordering::Relaxed, Ordering::Relaxed).is_err() {
            return Verdict::Unchanged;
        }
        self.failures.store(0, Ordering::Relaxed);
        self.ejections.fetch_add(1, Ordering::Relaxed);
        self.ejected.fetch_add(1, Ordering::Relaxed);
        Verdict::Ejected(Duration::from_millis(period))
    }

    /// How often it was ejected, ever.
    pub(super) fn ejected(&self) -> u64 {
        self.ejected.load(Ordering::Relaxed)
    }

    fn note_success(&self) {
        // Read before it is written: on a healthy upstream nothing is.
        if self.failures.load(Ordering::Relaxed) != 0 {
            self.failures.store(0, Ordering::Relaxed);
        }
        if self.ejections.load(Ordering::Relaxed) != 0 && self.share() == (FULL_SHARE, false) {
            self.ejections.store(0, Ordering::Relaxed);
        }
    }

    fn slow_share(&self, from: u64, now: u64) -> u32 {
        let (elapsed, whole) = (now.saturating_sub(from - 1), self.slow_start.load(Ordering::Relaxed));
        if elapsed >= whole {
            // Another may have begun in between; then that one stays.
            let _ = self.slow_from.compare_exchange(from, 0, Ordering::Relaxed, Ordering::Relaxed);
            return FULL_SHARE;
        }
        let share = u64::from(FULL_SHARE) * elapsed / whole;
        u32::try_from(share).map_or(FULL_SHARE, |share| share.max(FIRST_SHARE))
    }

    fn now(&self) -> u64 {
        millis(self.since.elapsed())
    }
}

/// At most 136 years, so that doubling it 32 times does not overflow.
fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX).min(u64::from(u32::MAX) * 1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: Ejection = Ejection {
        failures: 3,
        base: Duration::from_secs(5),
        max: Duration::from_secs(15),
        slow_start: Duration::from_secs(10),
    };

    fn health() -> Health {
        let health = Health::new();
        health.set(&RULES, true);
        health
    }

    fn fail(health: &Health) -> Option<Duration> {
        (0..RULES.failures).find_map(|_| match health.report(Outcome::Broken) {
            Verdict::Ejected(period) => Some(period),
            Verdict::Unchanged => None,
        })
    }

    #[tokio::test(start_paused = true)]
    async fn it_takes_failures_in_a_row() {
        let health = health();
        for outcome in [Outcome::ServerError, Outcome::ConnectError, Outcome::Ok, Outcome::Broken] {
            assert_eq!(health.report(outcome), Verdict::Unchanged);
        }
        health.report(Outcome::Broken);
        assert_eq!(health.report(Outcome::Broken), Verdict::Ejected(RULES.base));
        assert_eq!(health.share(), (0, false));
    }

    #[tokio::test(start_paused = true)]
    async fn each_ejection_in_a_row_is_twice_as_long_up_to_the_most() {
        let health = health();
        for seconds in [5, 10, 15, 15] {
            let period = fail(&health).unwrap();
            assert_eq!(period.as_secs(), seconds);
            tokio::time::advance(period).await;
            assert!(health.share().1, "it comes back");
            assert!(!health.share().1, "that is told once");
        }
        tokio::time::advance(RULES.slow_start).await;
        health.report(Outcome::Ok);
        assert_eq!(fail(&health), Some(RULES.base), "a success after the slow start is a fresh start");
        assert_eq!(health.ejected(), 5);
    }

    #[tokio::test(start_paused = true)]
    async fn the_share_grows_evenly_after_a_return() {
        let health = health();
        tokio::time::advance(fail(&health).unwrap()).await;
        assert_eq!(health.share(), (FIRST_SHARE, true));
        for fifth in 1..5 {
            tokio::time::advance(RULES.slow_start / 5).await;
            assert_eq!(health.share().0, FULL_SHARE * fifth / 5);
        }
        tokio::time::advance(RULES.slow_start / 5).await;
        assert_eq!(health.share().0, FULL_SHARE);
    }

    #[tokio::test(start_paused = true)]
    async fn the_only_upstream_is_never_ejected() {
        let health = health();
        health.set(&RULES, false);
        assert_eq!(fail(&health), None);
        health.set(&Ejection { failures: 0, ..RULES }, true);
        assert_eq!(fail(&health), None, "nor one whose policy does not eject");
    }
}
