//! Every app's stream of lines, kept on disk and read from there.
//!
//! ```text
//!   engine ─► collector ──(waits)──┐                       ┌─► read: `minipaas logs`, each at its own pace
//!   build, release, router, …      ├─► sink ─► journal ────┤
//!             └────────(never waits)┘   (one task, files)  └─► drains: syslog, http
//! ```
//!
//! What instances write is followed by a [`Collector`] from where it stopped before; what the box has to say about an app goes
//! in through a [`LogSink`]. Both end up in the app's journal, a ring of files with a budget. Readers and drains read the
//! files: nobody who is slow costs memory, or holds up an app, the box or anybody else. One who is so slow that what comes next
//! was dropped is told how many lines that were.
//!
//! Lines are in the order in which they came, those that came within a tenth of a second in the order of their times. After a
//! restart of the daemon an instance's backlog therefore stands behind what others said in the meantime, with its own times.
//!
//! What an engine has dropped by itself before it was read is gone: Docker keeps 30 MB of an instance.

mod collector;
mod drain;
mod journal;
mod line;
mod moment;
mod position;
mod query;
mod read;
mod router;
mod sink;

use std::path::PathBuf;

use crate::name::AppName;

pub use collector::{Collector, Containers, EngineContainers};
pub use drain::{DRAINS_MAX, DrainError, DrainStatus, DrainUrl, DrainView, Drains, NoDrainUrl, Transport};
pub use journal::Budget;
pub use line::{Line, Source, Speaker, TEXT_BYTES_MAX};
pub use moment::{Moment, NoMoment};
pub use query::{NoPattern, Pattern, Query};
pub use read::Item;
pub use router::RouterLines;
pub use sink::{LogSink, Voice};

use journal::{Disk, Journal};

/// The logs of all apps; clones are handles on the same ones.
#[derive(Debug, Clone)]
pub struct Logs {
    journal: Journal,
    sink: LogSink,
}

impl Logs {
    /// Those that are kept in this folder, which is made when there is a line. Starts the task that writes.
    #[must_use]
    pub fn open(root: PathBuf, budget: Budget) -> Self {
        let journal = Journal::new(root);
        let sink = LogSink::start(Disk::new(journal.clone(), budget));
        Self { journal, sink }
    }

    /// Where lines go in.
    #[must_use]
    pub fn sink(&self) -> &LogSink {
        &self.sink
    }

    /// Whether there is any line of the app, known or not.
    pub async fn has(&self, app: &AppName) -> bool {
        let (journal, app) = (self.journal.clone(), app.clone());
        blocking(move || journal.has(&app)).await
    }

    /// Removes all lines of an app that is gone, so that whoever takes its name does not read them. Returns when those are gone
    /// that were said and kept by now, or the disk takes too long; what comes later begins anew.
    pub async fn forget(&self, app: &AppName) {
        self.sink.forget_app(app).await;
    }
}

/// Runs on the blocking pool: files may be on a disk that takes its time.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.expect("the work does not panic and is never aborted")
}

#[cfg(test)]
mod tests;
