//! The counters of one TCP port.

use std::sync::Arc;
use std::time::Duration;

use super::Counter;
use super::histogram::{Distribution, Histogram};
use crate::name::AppName;

/// What is counted of a TCP port.
#[derive(Debug)]
pub struct PortMetrics {
    app: Arc<str>,
    listen: u16,
    opened: Counter,
    ended: Counter,
    failed: Counter,
    duration: Histogram,
    bytes_in: Counter,
    bytes_out: Counter,
}

/// The numbers of a TCP port, since the daemon started or the port is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortSample {
    /// The app.
    pub app: Arc<str>,
    /// The port of the box.
    pub listen: u16,
    /// Connections that were accepted.
    pub opened: u64,
    /// Those that have not ended.
    pub open: u64,
    /// Those that reached no instance.
    pub failed: u64,
    /// How long the others were open.
    pub duration: Distribution,
    /// Bytes of clients, counted when their connection ends.
    pub bytes_in: u64,
    /// Bytes to clients, counted when their connection ends.
    pub bytes_out: u64,
}

impl PortMetrics {
    pub(super) fn new(app: &AppName, listen: u16) -> Self {
        Self {
            app: app.as_str().into(),
            listen,
            opened: Counter::default(),
            ended: Counter::default(),
            failed: Counter::default(),
            duration: Histogram::default(),
            bytes_in: Counter::default(),
            bytes_out: Counter::default(),
        }
    }

    /// Counts a connection. Either [`Self::end`] or [`Self::fail`] must follow.
    pub fn begin(&self) {
        self.opened.inc();
    }

    /// Counts the end of a connection that an instance had.
    pub fn end(&self, duration: Duration, bytes_in: u64, bytes_out: u64) {
        self.duration.observe(duration);
        self.bytes_in.add(bytes_in);
        self.bytes_out.add(bytes_out);
        self.ended.inc();
    }

    /// Counts the end of a connection that no instance had.
    pub fn fail(&self) {
        self.failed.inc();
        self.ended.inc();
    }

    pub(super) fn sample(&self) -> PortSample {
        // Ends first: one that ends in between is then one too many, never one too few.
        let ended = self.ended.get();
        let opened = self.opened.get();
        PortSample {
            app: Arc::clone(&self.app),
            listen: self.listen,
            opened,
            open: opened.saturating_sub(ended),
            failed: self.failed.get(),
            duration: self.duration.load(),
            bytes_in: self.bytes_in.get(),
            bytes_out: self.bytes_out.get(),
        }
    }
}
