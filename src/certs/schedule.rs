//! When to order, to renew and to try again: pure functions of times.
//!
//! What is due at one moment for many names is spread, by a share that each name always has: a restart neither bunches nor
//! repeats anything.

use std::time::{Duration, SystemTime};

use sha2::{Digest as _, Sha256};

/// After the first failure; each further one doubles it.
const RETRY_MIN: Duration = Duration::from_secs(60);
/// Let's Encrypt allows five failed validations of a name an hour, and by far fewer help.
const RETRY_MAX: Duration = Duration::from_secs(12 * 60 * 60);
/// While what is missing is not the authority's to say, as a DNS record: looking is cheap.
const LOOK_MAX: Duration = Duration::from_secs(10 * 60);
/// Nothing is put off for longer, whoever asks for it and whatever the clock said when it was: the longest that Let's Encrypt has
/// anybody wait is a week.
pub const WAIT_MAX: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// A certificate that has just come is not replaced within this, so that no authority has orders made in a circle.
const REST: Duration = Duration::from_secs(60 * 60);
/// Of the time between two tries so much is a name's own share.
const SPREAD: f64 = 0.1;
/// Of a certificate's life so much is left when it is renewed (RFC 9773, 4.2 leaves it to clients without ARI).
const RENEW_LEFT: u32 = 3;

/// What a failure was about, as far as it says when to try again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// An authority was asked: patience.
    Asked,
    /// Nobody was.
    Looked,
}

/// How long to wait after this many failures in a row, of which there is at least one.
#[must_use]
pub fn retry_after(failures: u32, pace: Pace, share: f64) -> Duration {
    let max = match pace {
        Pace::Asked => RETRY_MAX,
        Pace::Looked => LOOK_MAX,
    };
    let doubled = RETRY_MIN.saturating_mul(1 << failures.saturating_sub(1).min(16));
    doubled.min(max).mul_f64(1.0 + SPREAD * share)
}

/// When to renew a certificate whose authority has no word in it: when a third of its life is left, or a little later.
#[must_use]
pub fn renew_at(not_before: SystemTime, not_after: SystemTime, share: f64) -> SystemTime {
    let life = not_after.duration_since(not_before).unwrap_or_default();
    let left = life / RENEW_LEFT;
    not_after - left + left.mul_f64(SPREAD * share)
}

/// How long a certificate rests that has so much time left when it comes. One that is nearly over rests less, so that its successor
/// is there before its end.
#[must_use]
pub fn rest(left: Duration) -> Duration {
    REST.min(left / 2)
}

/// When to renew within the window that the authority names (RFC 9773, 4.2): a moment of it that is always the same one.
#[must_use]
pub fn within(start: SystemTime, end: SystemTime, share: f64) -> SystemTime {
    start + end.duration_since(start).unwrap_or_default().mul_f64(share)
}

/// A name's share of whatever is spread: from 0 to 1, always the same for this name on this box.
#[must_use]
pub fn share(box_id: &str, name: &str) -> f64 {
    let digest = Sha256::digest(format!("{box_id} {name}"));
    let (bytes, _) = digest.split_first_chunk::<4>().expect("it has 32 bytes");
    f64::from(u32::from_be_bytes(*bytes)) / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(60 * 60);

    #[test]
    fn failures_are_answered_with_patience_that_ends() {
        let waits: Vec<_> =
            (1..=12).map(|failures| retry_after(failures, Pace::Asked, 0.0).as_secs() / 60).collect();
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 720, 720]);
        assert_eq!(retry_after(u32::MAX, Pace::Asked, 0.0), RETRY_MAX);
        assert_eq!(retry_after(9, Pace::Looked, 0.0), LOOK_MAX);
        assert_eq!(retry_after(1, Pace::Asked, 1.0), Duration::from_secs(66));
    }

    #[test]
    fn a_third_of_the_life_is_left_at_renewal_or_a_little_less() {
        let start = SystemTime::UNIX_EPOCH;
        let at = |share| renew_at(start, start + 90 * HOUR, share).duration_since(start).unwrap();
        assert_eq!(at(0.0), 60 * HOUR);
        assert_eq!(at(1.0), 63 * HOUR);
        assert_eq!(within(start + HOUR, start + 3 * HOUR, 0.5), start + 2 * HOUR);
    }

    #[test]
    fn what_has_come_rests_an_hour_or_half_of_what_is_left() {
        assert_eq!(rest(90 * HOUR), HOUR);
        assert_eq!(rest(HOUR), HOUR / 2);
        assert_eq!(rest(Duration::ZERO), Duration::ZERO);
    }

    #[test]
    fn shares_are_spread_and_stay() {
        let shares: Vec<_> = (0..100).map(|n| share("box", &format!("{n}.example.com"))).collect();
        assert_eq!(share("box", "7.example.com"), shares[7]);
        assert_ne!(share("other", "7.example.com"), shares[7]);
        let below_half = shares.iter().filter(|share| **share < 0.5).count();
        assert!((30..70).contains(&below_half), "{below_half}");
    }
}
