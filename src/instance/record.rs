//! What came of an instance's probes, for whoever wants to know more than its state.

use crate::clock;
use crate::probe::{Passed, ProbeFailure};

/// What the last probe of a kind said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProbeRecord {
    /// Whether it passed.
    pub is_passing: bool,
    /// Why it failed, or what the instance complains of nevertheless.
    pub said: Option<String>,
    /// Failures in a row.
    pub failures: u32,
    /// Since when it passes or fails, in milliseconds since the Unix epoch.
    pub since: u64,
}

impl ProbeRecord {
    /// What is known after an answer; `before` is what was known.
    pub(super) fn after(before: Option<&Self>, answer: &Result<Passed, ProbeFailure>) -> Self {
        let is_passing = answer.is_ok();
        let same = before.filter(|before| before.is_passing == is_passing);
        let failures = if is_passing { 0 } else { same.map_or(0, |same| same.failures).saturating_add(1) };
        Self {
            is_passing,
            said: match answer {
                Ok(passed) => passed.notice.clone(),
                Err(failure) => Some(failure.to_string()),
            },
            failures,
            since: same.map_or_else(clock::now, |same| same.since),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_in_a_row_are_counted_until_one_passes() {
        let failed = Err(ProbeFailure::Refused { port: 80 });
        let first = ProbeRecord::after(None, &failed);
        let second = ProbeRecord::after(Some(&first), &failed);
        assert_eq!((first.failures, second.failures, second.since), (1, 2, first.since));
        let warned = ProbeRecord::after(Some(&second), &Ok(Passed { notice: Some("WARN: disk".to_owned()) }));
        assert_eq!((warned.is_passing, warned.failures), (true, 0));
        assert_eq!(warned.said.as_deref(), Some("WARN: disk"));
    }
}
