//! What is counted for the whole box.

use std::sync::{Arc, OnceLock};

use super::limits::ERROR_CODES_MAX;
use super::{Counter, ListenerSample};

/// Connections of one listener.
#[derive(Debug, Default)]
pub struct ListenerMetrics {
    opened: Counter,
    closed: Counter,
}

/// One connection that is open; dropping it says that it is not any more.
#[derive(Debug)]
pub struct OpenConnection(Arc<ListenerMetrics>);

/// Errors by their code. A place is taken by the first error of a code and kept, so counting waits for nobody.
#[derive(Debug)]
pub struct ErrorCounts([OnceLock<ErrorCount>; ERROR_CODES_MAX]);

#[derive(Debug)]
struct ErrorCount {
    code: &'static str,
    count: Counter,
}

// === impl ListenerMetrics ===

impl ListenerMetrics {
    /// Counts a connection that was accepted.
    #[must_use]
    pub fn open(self: &Arc<Self>) -> OpenConnection {
        self.opened.inc();
        OpenConnection(Arc::clone(self))
    }

    pub(super) fn sample(&self) -> ListenerSample {
        // Closed ones first, so that there are never fewer than none.
        let closed = self.closed.get();
        let opened = self.opened.get();
        ListenerSample { opened, open: opened.saturating_sub(closed) }
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.closed.inc();
    }
}

// === impl ErrorCounts ===

impl ErrorCounts {
    /// Counts one error.
    pub fn inc(&self, code: &'static str) {
        let place = self
            .0
            .iter()
            .find(|place| place.get_or_init(|| ErrorCount { code, count: Counter::default() }).code == code);
        if let Some(found) = place.and_then(OnceLock::get) {
            found.count.inc();
        }
    }

    pub(super) fn sample(&self) -> Vec<(&'static str, u64)> {
        let mut counts: Vec<_> =
            self.0.iter().map_while(OnceLock::get).map(|found| (found.code, found.count.get())).collect();
        counts.sort_unstable();
        counts
    }
}

impl Default for ErrorCounts {
    fn default() -> Self {
        Self([const { OnceLock::new() }; ERROR_CODES_MAX])
    }
}
