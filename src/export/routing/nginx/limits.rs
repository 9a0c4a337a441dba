//! Numbers as ingress-nginx counts them.

use std::time::Duration;

use crate::policy::RateLimit;

use super::super::draft::{Annotations, Draft};
use super::key;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

/// A rate as the controller can count it: so many in a second or a minute, and so many times that at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Rate {
    limit: u32,
    burst_multiplier: u32,
}

/// The annotations of a rate limit: whole requests in a second or a minute, whichever is nearer.
pub(super) fn rate(limit: RateLimit, to: &mut Annotations, draft: &mut Draft<'_, '_>) {
    let candidates =
        [("limit-rps", SECOND), ("limit-rpm", MINUTE)].map(|(name, unit)| (name, Rate::of(limit, unit)));
    let error = |unit: Duration, rate: Rate| rate.error(limit, unit);
    let (second, minute) = (error(SECOND, candidates[0].1), error(MINUTE, candidates[1].1));
    let (name, rate) = candidates[usize::from(minute < second)];
    to.set(key(name), rate.limit.to_string());
    to.set(key("limit-burst-multiplier"), rate.burst_multiplier.to_string());
    let what = "[proxy] rate_limit";
    draft.changed(
        what,
        "every pod of ingress-nginx counts for itself, and answers 503 unless `limit-req-status-code` of its ConfigMap is 429",
    );
    if second.min(minute) > (0, 0) {
        let burst = rate.limit.saturating_mul(rate.burst_multiplier);
        let unit = if name == "limit-rps" { "second" } else { "minute" };
        draft.changed(what, format!("ingress-nginx counts {} in a {unit}, and {burst} at once", rate.limit));
    }
}

/// `20m`, in the largest unit that needs no fraction.
pub(super) fn size(bytes: u64) -> String {
    // 0 is no limit there, and on the box it is one that lets no body in.
    let bytes = bytes.max(1);
    let units = [(1 << 30, "g"), (1 << 20, "m"), (1 << 10, "k")];
    let unit = units.into_iter().find(|(unit, _)| bytes.is_multiple_of(*unit));
    unit.map_or_else(|| bytes.to_string(), |(unit, letter)| format!("{}{letter}", bytes / unit))
}

pub(super) fn list<T: ToString>(items: &[T]) -> String {
    items.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

// === impl Rate ===

impl Rate {
    /// The nearest that there is, and never 0, which would be no limit.
    fn of(limit: RateLimit, unit: Duration) -> Self {
        let exact = u128::from(limit.requests) * unit.as_millis() / limit.per.as_millis().max(1);
        let requests = u32::try_from(exact).unwrap_or(u32::MAX).max(1);
        Self { limit: requests, burst_multiplier: (limit.burst / requests).max(1) }
    }

    /// How far it is from what was asked: in the rate first, then in the burst; scaled so that fractions count.
    fn error(self, limit: RateLimit, unit: Duration) -> (u128, u32) {
        let asked = u128::from(limit.requests) * unit.as_millis();
        let counted = u128::from(self.limit) * limit.per.as_millis();
        let rate = asked.abs_diff(counted) * 1_000_000 / asked.max(1);
        (rate, limit.burst.abs_diff(self.limit.saturating_mul(self.burst_multiplier)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_counted_in_the_nearer_unit() {
        for (requests, per, burst, expected) in [
            (10, 1, 10, ("rps", 10, 1)),
            (100, 60, 100, ("rpm", 100, 1)),
            (100, 60, 300, ("rpm", 100, 3)),
            (100, 10, 100, ("rps", 10, 10)),
            (1, 3600, 1, ("rpm", 1, 1)),
        ] {
            let limit = RateLimit { requests, per: Duration::from_secs(per), burst };
            let (second, minute) = (Rate::of(limit, SECOND), Rate::of(limit, MINUTE));
            let (unit, rate) = if minute.error(limit, MINUTE) < second.error(limit, SECOND) {
                ("rpm", minute)
            } else {
                ("rps", second)
            };
            assert_eq!((unit, rate.limit, rate.burst_multiplier), expected, "{limit:?}");
        }
    }

    #[test]
    fn sizes_are_written_as_people_do() {
        for (bytes, expected) in
            [(20 << 20, "20m"), (1 << 30, "1g"), (1500, "1500"), (512 << 10, "512k"), (0, "1")]
        {
            assert_eq!(size(bytes), expected);
        }
    }
}
