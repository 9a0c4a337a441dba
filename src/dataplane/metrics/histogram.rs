//! How long requests took, in buckets.
//!
//! The bounds are fixed: they suit a static file and a slow report alike, and all histograms can be added up.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The upper bounds of the buckets; one more takes what is longer.
pub const BOUNDS: [Duration; 14] = [
    Duration::from_millis(1),
    Duration::from_millis(2),
    Duration::from_millis(5),
    Duration::from_millis(10),
    Duration::from_millis(25),
    Duration::from_millis(50),
    Duration::from_millis(100),
    Duration::from_millis(250),
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_millis(2_500),
    Duration::from_secs(5),
    Duration::from_secs(10),
    Duration::from_secs(60),
];

const BUCKETS: usize = BOUNDS.len() + 1;

/// A histogram that many threads add to. The sum is beside the buckets of short times, which most are.
#[derive(Debug, Default)]
#[repr(C)]
pub struct Histogram {
    sum_micros: AtomicU64,
    buckets: [AtomicU64; BUCKETS],
}

/// A histogram as it was at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Distribution {
    /// How many fell into each bucket, not added up; the last has no bound.
    pub buckets: [u64; BUCKETS],
    /// All of them together, in microseconds.
    pub sum_micros: u64,
}

// === impl Histogram ===

impl Histogram {
    /// Adds one.
    pub fn observe(&self, duration: Duration) {
        // Most requests are short: the first comparisons decide.
        let bucket = BOUNDS.iter().position(|bound| duration <= *bound).unwrap_or(BOUNDS.len());
        self.buckets[bucket].fetch_add(1, Ordering::Relaxed);
        let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        self.sum_micros.fetch_add(micros, Ordering::Relaxed);
    }

    /// What was added so far.
    #[must_use]
    pub fn load(&self) -> Distribution {
        let buckets = std::array::from_fn(|bucket| self.buckets[bucket].load(Ordering::Relaxed));
        Distribution { buckets, sum_micros: self.sum_micros.load(Ordering::Relaxed) }
    }
}

// === impl Distribution ===

impl Distribution {
    /// How many there are.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_millis(durations: &[u64]) -> Distribution {
        let histogram = Histogram::default();
        durations.iter().for_each(|millis| histogram.observe(Duration::from_millis(*millis)));
        histogram.load()
    }

    #[test]
    fn a_bound_belongs_to_its_bucket() {
        let found = of_millis(&[1, 2, 60_000, 60_001]);
        assert_eq!((found.buckets[0], found.buckets[1], found.buckets[13], found.buckets[14]), (1, 1, 1, 1));
        assert_eq!((found.count(), found.sum_micros), (4, 120_004_000));
    }
}
