//! What an upstream has at the moment: requests, and connections that were upgraded. Each is a guard that uncounts when it is
//! dropped, so that nothing is counted for longer than it lasts, however it ends.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::Upstream;
use crate::traffic::health::Outcome;

/// One counted request; dropping it uncounts, and tells the upstream's health how it went.
#[derive(Debug)]
pub struct InFlight {
    upstream: Arc<Upstream>,
    outcome: Option<Outcome>,
}

/// One counted upgraded connection; dropping it uncounts.
#[derive(Debug)]
pub struct Upgraded(Arc<Upstream>);

// === impl InFlight ===

impl InFlight {
    /// Of a request that was just counted.
    pub(super) fn new(upstream: Arc<Upstream>) -> Self {
        Self { upstream, outcome: None }
    }

    /// The upstream that the request is counted on.
    #[must_use]
    pub fn upstream(&self) -> &Arc<Upstream> {
        &self.upstream
    }

    /// Notes how the exchange goes, as far as is known; the last word counts.
    pub fn note(&mut self, outcome: Outcome) {
        self.outcome = Some(outcome);
    }

    /// Counts the request as an upgraded connection from now on.
    #[must_use]
    pub fn upgrade(self) -> Upgraded {
        // Counted as the one before it is uncounted as the other, so that a drain never sees neither.
        self.upstream.upgraded.fetch_add(1, Ordering::SeqCst);
        Upgraded(Arc::clone(&self.upstream))
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        let upstream = &self.upstream;
        if let Some(outcome) = self.outcome {
            upstream.report(outcome);
        }
        upstream.uncount(&upstream.requests);
        if upstream.line.len() > 0 {
            upstream.serve_line();
        }
    }
}

// === impl Upgraded ===

impl Upgraded {
    /// The upstream that the connection leads to.
    #[must_use]
    pub fn upstream(&self) -> &Arc<Upstream> {
        &self.0
    }
}

impl Drop for Upgraded {
    fn drop(&mut self) {
        self.0.uncount(&self.0.upgraded);
    }
}
