//! The wall clock, for what is shown and stored. Waiting is tokio's time.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Tells the time of day; for those whose tests have a time of their own.
pub type WallClock = Arc<dyn Fn() -> SystemTime + Send + Sync>;

/// Milliseconds since the Unix epoch.
#[must_use]
pub fn now() -> u64 {
    millis(SystemTime::now())
}

/// Nanoseconds since the Unix epoch.
#[must_use]
pub fn nanos() -> u64 {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX)
}

/// A time as milliseconds since the Unix epoch; what was before is the epoch.
#[must_use]
pub fn millis(time: SystemTime) -> u64 {
    let elapsed = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX)
}

/// The time so many milliseconds after the Unix epoch.
#[must_use]
pub fn time(millis: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(millis)
}
