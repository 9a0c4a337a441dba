//! How many retries a route may have: a share of its requests, so that retries never make an overload worse.
//!
//! As Finagle's and Linkerd's budgets: of the requests of the last ten seconds a fifth may be sent again, and a few always, so
//! that a quiet route has its retries, too. Requests are only counted; the clock is looked at once in sixteen of them, to note
//! where the count stood in each second, and at every retry.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::time::Instant;

/// The window, in seconds.
const WINDOW_SECONDS: u64 = 10;
/// Of so many requests one may be sent again.
const REQUESTS_PER_RETRY: u64 = 5;
/// So many may be sent again each second, whatever the share.
const RETRIES_PER_SECOND_MIN: u64 = 3;
/// The clock is looked at once in so many requests.
const REQUESTS_PER_LOOK: u64 = 16;
/// Room for every second of the window, the current one and some that are overwritten.
const MARKS: usize = 16;

/// The retries of one route. Its counts are kept in relaxed atomics: a race costs a retry too many or too few.
#[derive(Debug)]
pub struct RetryBudget {
    since: Instant,
    requests: AtomicU64,
    /// How many retries were allowed, for the metrics.
    retries: AtomicU64,
    /// Made at the first look, and apart: most requests count and do not look.
    window: OnceLock<Box<Window>>,
}

#[derive(Debug, Default)]
struct Window {
    /// For each second that was looked at: the second + 1 in the upper half, the count of requests at its first look in the
    /// lower.
    marks: [AtomicU64; MARKS],
    /// For each second with a retry: the second + 1 in the upper half, how many in the lower.
    spent: [AtomicU64; MARKS],
}

impl RetryBudget {
    pub(super) fn new() -> Self {
        Self {
            since: Instant::now(),
            requests: AtomicU64::new(0),
            retries: AtomicU64::new(0),
            window: OnceLock::new(),
        }
    }

    /// Counts a request that may have to be sent again.
    pub fn count(&self) {
        let count = self.requests.fetch_add(1, Ordering::Relaxed);
        // Not at the very first: a route that hardly anybody asks needs no window.
        if count % REQUESTS_PER_LOOK == REQUESTS_PER_LOOK - 1 {
            self.window().mark(self.second(), count);
        }
    }

    /// Takes one retry out of the budget; false when it is used up.
    #[must_use]
    pub fn withdraw(&self) -> bool {
        let (now, window) = (self.second(), self.window());
        let count = self.requests.load(Ordering::Relaxed);
        let is_recent = |second: u64| second <= now && now - second < WINDOW_SECONDS;
        let oldest = entries(&window.marks).filter(|(second, _)| is_recent(*second)).min();
        // No mark in the window: fewer requests than one looks at.
        let requests = oldest.map_or(0, |(_, at)| u64::from((count as u32).wrapping_sub(at)));
        let spent: u64 = entries(&window.spent)
            .filter(|(second, _)| is_recent(*second))
            .map(|(_, count)| u64::from(count))
            .sum();
        if spent >= (requests / REQUESTS_PER_RETRY).max(RETRIES_PER_SECOND_MIN * WINDOW_SECONDS) {
            return false;
        }
        self.retries.fetch_add(1, Ordering::Relaxed);
        window.spend(now);
        true
    }

    /// How many retries there were, ever.
    #[must_use]
    pub fn retries(&self) -> u64 {
        self.retries.load(Ordering::Relaxed)
    }

    fn second(&self) -> u64 {
        self.since.elapsed().as_secs()
    }

    fn window(&self) -> &Window {
        self.window.get_or_init(Box::default)
    }
}

impl Window {
    fn mark(&self, now: u64, count: u64) {
        let mark = &self.marks[now as usize % MARKS];
        if mark.load(Ordering::Relaxed) >> 32 != now + 1 {
            mark.store(pack(now, count as u32), Ordering::Relaxed);
        }
    }

    fn spend(&self, now: u64) {
        // The closure always gives a value, so that the update cannot fail.
        let _ =
            self.spent[now as usize % MARKS].fetch_update(Ordering::Relaxed, Ordering::Relaxed, |spent| {
                Some(if spent >> 32 == now + 1 { spent + 1 } else { pack(now, 1) })
            });
    }
}

fn pack(second: u64, count: u32) -> u64 {
    (second + 1) << 32 | u64::from(count)
}

/// The seconds that were noted, each with its count.
fn entries(slots: &[AtomicU64]) -> impl Iterator<Item = (u64, u32)> {
    slots.iter().filter_map(|slot| {
        let packed = slot.load(Ordering::Relaxed);
        Some(((packed >> 32).checked_sub(1)?, packed as u32))
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn withdrawn(budget: &RetryBudget) -> usize {
        (0..10_000).take_while(|_| budget.withdraw()).count()
    }

    #[tokio::test(start_paused = true)]
    async fn a_quiet_route_has_three_retries_a_second() {
        let budget = RetryBudget::new();
        assert_eq!(withdrawn(&budget), 30);
        tokio::time::advance(Duration::from_secs(9)).await;
        assert_eq!(withdrawn(&budget), 0);
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(withdrawn(&budget), 30, "what was spent ten seconds ago is forgotten");
        assert_eq!(budget.retries(), 60);
    }

    #[tokio::test(start_paused = true)]
    async fn a_busy_route_has_a_fifth_of_its_requests() {
        let budget = RetryBudget::new();
        for _ in 0..20 {
            (0..100).for_each(|_| budget.count());
            tokio::time::advance(Duration::from_secs(1)).await;
        }
        // Nine full seconds and the one that has just begun; a mark is up to a look late.
        let retries = withdrawn(&budget);
        assert!((175..=200).contains(&retries), "{retries}");
    }

    #[tokio::test(start_paused = true)]
    async fn requests_of_long_ago_buy_nothing() {
        let budget = RetryBudget::new();
        (0..100_000).for_each(|_| budget.count());
        tokio::time::advance(Duration::from_secs(3600)).await;
        assert_eq!(withdrawn(&budget), 30);
    }
}
