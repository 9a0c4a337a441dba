//! How far an instance's log was read.
//!
//! Engines can be asked for a log from a time on, and many lines may have the same time. So a position is, for each of the two
//! streams, the time of the last line that was kept and how many of that time there were. [`Replay`] takes a log that begins
//! somewhere before that and tells which lines are new.

/// How far one stream was read: everything before `at`, and the first `count` lines of that time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Mark {
    /// In nanoseconds since the Unix epoch.
    pub(super) at: u64,
    /// How many lines of that time were kept; 0 only when there were none at all.
    pub(super) count: u32,
}

/// How far an instance's log was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Position {
    /// Standard output.
    pub(super) stdout: Mark,
    /// Standard error.
    pub(super) stderr: Mark,
}

/// Tells what is new in a log that is read again.
#[derive(Debug)]
pub(super) struct Replay {
    /// What is still to be skipped; `None` once a new line was seen.
    stdout: Option<Mark>,
    stderr: Option<Mark>,
}

/// An engine notes the lines of the two streams one after the other, but not quite by their time. A stream that was silent for
/// longer than this needs no second look at what the other one has said meanwhile.
const DISORDER_MAX: u64 = 60_000_000_000;

impl Position {
    /// Notes a line that was kept.
    pub(super) fn note(&mut self, is_stderr: bool, at: u64) {
        let mark = if is_stderr { &mut self.stderr } else { &mut self.stdout };
        *mark = match mark {
            Mark { at: last, count } if *last == at => Mark { at, count: *count + 1 },
            _ => Mark { at, count: 1 },
        };
    }

    /// From when on the log is to be read again; `None` for all of it.
    pub(super) fn since(&self) -> Option<u64> {
        let newest = self.stdout.at.max(self.stderr.at);
        let oldest = self.stdout.at.min(self.stderr.at).max(newest.saturating_sub(DISORDER_MAX));
        (newest > 0).then_some(oldest)
    }
}

impl Replay {
    pub(super) fn new(from: &Position) -> Self {
        let pending = |mark: Mark| (mark.count > 0).then_some(mark);
        Self { stdout: pending(from.stdout), stderr: pending(from.stderr) }
    }

    /// Whether this line, the next one of its stream, was not kept yet.
    pub(super) fn is_new(&mut self, is_stderr: bool, at: u64) -> bool {
        let pending = if is_stderr { &mut self.stderr } else { &mut self.stdout };
        match pending {
            Some(mark) if at < mark.at => false,
            Some(mark) if at == mark.at && mark.count > 0 => {
                mark.count -= 1;
                false
            }
            // From here on time may even go back, as a clock that is set does: nothing was kept of what comes.
            _ => {
                *pending = None;
                true
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads a log in two parts and again from the time of the cut on; what is kept must be the log.
    #[test]
    fn wherever_reading_stops_nothing_is_lost_or_doubled() {
        let second = 1_000_000_000;
        let log: Vec<(bool, u64)> = [
            (false, 1),
            (false, 1),
            (true, 1),
            (false, 1),
            (false, 2),
            (true, 2),
            (true, 2),
            (false, 90),
            (false, 90),
            (true, 91),
        ]
        .map(|(is_stderr, at)| (is_stderr, at * second))
        .to_vec();
        for cut in 0..=log.len() {
            let mut position = Position::default();
            log[..cut].iter().for_each(|(is_stderr, at)| position.note(*is_stderr, *at));
            let mut replay = Replay::new(&position);
            let since = position.since().unwrap_or(0);
            let again = log.iter().filter(|(_, at)| *at >= since);
            let new: Vec<_> = again.filter(|(is_stderr, at)| replay.is_new(*is_stderr, *at)).collect();
            assert_eq!(new, log[cut..].iter().collect::<Vec<_>>(), "cut at {cut}");
        }
    }
}
