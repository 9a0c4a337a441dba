//! The counters of one app's calls to another.

use std::sync::Arc;

use super::Counter;
use super::series::{STATUSES, class};
use crate::name::AppName;

/// What is counted of the requests that one app makes to another.
#[derive(Debug)]
pub struct CallMetrics {
    caller: Arc<str>,
    app: Arc<str>,
    ended: [Counter; STATUSES.len()],
}

/// The numbers of one app's calls to another, since the daemon started or the caller is linked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallSample {
    /// The app that calls.
    pub caller: Arc<str>,
    /// The app that is called.
    pub app: Arc<str>,
    /// Requests that have ended, parallel to [`STATUSES`].
    pub ended: [u64; STATUSES.len()],
}

impl CallMetrics {
    pub(super) fn new(caller: &AppName, app: &AppName) -> Self {
        Self { caller: caller.as_str().into(), app: app.as_str().into(), ended: Default::default() }
    }

    /// The app that calls.
    #[must_use]
    pub fn caller(&self) -> &str {
        &self.caller
    }

    /// Counts how a request ended.
    pub fn end(&self, status: u16) {
        self.ended[class(status)].inc();
    }

    pub(super) fn sample(&self) -> CallSample {
        CallSample {
            caller: Arc::clone(&self.caller),
            app: Arc::clone(&self.app),
            ended: std::array::from_fn(|class| self.ended[class].get()),
        }
    }
}
