//! When to ask, and what the answers amount to. Pure: time is counted by the caller.

use std::time::Duration;

use crate::manifest::Probe;

/// The pause after the first failed probe of a starting instance. It grows by half each time up to the interval, so an app
/// that is up in 100 ms is not found out a second later, and one that takes a minute is not asked a thousand times.
const PAUSE_FIRST: Duration = Duration::from_millis(20);

/// The rhythm of one probe: how long to wait, and how many failures in a row there were.
#[derive(Debug)]
pub(crate) struct Rhythm {
    interval_starting: Duration,
    interval_running: Duration,
    failures_max: u32,
    failures: u32,
    was_ready: bool,
    pause: Duration,
}

impl Rhythm {
    pub(crate) fn new(probe: &Probe, was_ready: bool) -> Self {
        let interval_starting = probe.interval.unwrap_or(Probe::INTERVAL_STARTING);
        Self {
            interval_starting,
            interval_running: probe.interval.unwrap_or(Probe::INTERVAL_RUNNING),
            failures_max: probe.failures,
            failures: 0,
            was_ready,
            pause: PAUSE_FIRST.min(interval_starting),
        }
    }

    /// Notes a success: until the next probe, wait [`Self::pause`].
    pub(crate) fn passed(&mut self) {
        self.failures = 0;
        self.was_ready = true;
    }

    /// Notes a failure; true when it makes an instance unready that was ready.
    pub(crate) fn failed(&mut self) -> bool {
        self.failures = self.failures.saturating_add(1);
        if !self.was_ready {
            self.pause = (self.pause * 3 / 2).min(self.interval_starting);
        }
        self.was_ready && self.failures == self.failures_max
    }

    /// How long to wait before the next probe.
    pub(crate) fn pause(&self) -> Duration {
        match (self.was_ready, self.failures) {
            (false, _) => self.pause,
            (true, 0) => self.interval_running,
            // A failure is looked into sooner than a success is confirmed.
            (true, _) => self.interval_running.min(self.interval_starting),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::Check;

    #[test]
    fn a_starting_instance_is_asked_ever_less_often() {
        let mut rhythm = Rhythm::new(&Probe::new(Check::Docker), false);
        let mut elapsed = Duration::ZERO;
        let mut last = Duration::ZERO;
        for _ in 0..30 {
            assert!(rhythm.pause() >= last);
            last = rhythm.pause();
            elapsed += last;
            assert!(!rhythm.failed(), "what was never ready does not become unready");
        }
        assert_eq!(last, Probe::INTERVAL_STARTING);
        assert!(elapsed > Duration::from_secs(15), "{elapsed:?}");
    }

    #[test]
    fn it_takes_failures_in_a_row_to_become_unready() {
        let mut rhythm = Rhythm::new(&Probe::new(Check::Docker), true);
        assert_eq!(rhythm.pause(), Probe::INTERVAL_RUNNING);
        assert!(!rhythm.failed() && !rhythm.failed());
        rhythm.passed();
        assert!(!rhythm.failed() && !rhythm.failed());
        assert_eq!(rhythm.pause(), Probe::INTERVAL_STARTING);
        assert!(rhythm.failed());
        assert!(!rhythm.failed(), "it is told once");
    }
}
