//! Where the lines of the access log go: memory first, then, many at a time, where the operator wants them.
//!
//! # Theory of operation
//!
//! A thread writes a line into a shard of its own, a buffer behind a mutex that it only ever *tries* to take: a shard is busy
//! for the few nanoseconds in which the writer swaps an empty buffer in, or while a thread of the same number appends, and then
//! the next shard is as good. So no request waits, for another request or for a disk. A line that finds every shard busy or
//! its shard full is dropped and counted.
//!
//! The first line wakes the writer, a thread that then lets more lines come for [`FLUSH_INTERVAL`], or until a shard has
//! enough for a large write, takes them all, and writes them. With no traffic it sleeps. Lines of one shard are in the order
//! in which requests ended; those of different shards may be off by that interval.
//!
//! [`AccessLog::finish`] writes what is there, at most for [`FINISH_TIME_MAX`]. Lines that cannot be written are counted as
//! dropped, and the daemon's own log says so.

use std::fmt;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, TryLockError};
use std::thread::{self, Thread};
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::metrics::Metrics;

/// Buffers that threads share; more than most machines have threads of tokio's.
const SHARDS: usize = 16;
/// What waits in one of them at most: about a thousand lines.
const SHARD_BYTES_MAX: usize = 256 * 1024;
/// What is enough for a write of its own.
const WRITE_BYTES: usize = 64 * 1024;
/// How long a line waits for others.
const FLUSH_INTERVAL: Duration = Duration::from_millis(250);
/// How long the end waits for a reader that takes nothing.
const FINISH_TIME_MAX: Duration = Duration::from_secs(5);

/// The access log; clones are handles on the same one. It ends with [`Self::finish`], not with its last handle.
#[derive(Clone)]
pub struct AccessLog(Arc<Inner>);

struct Inner {
    shards: [Shard; SHARDS],
    /// Whether the writer knows that there are lines.
    is_told: AtomicBool,
    is_finishing: AtomicBool,
    writer: OnceLock<Thread>,
    /// Cancelled when the writer has written its last line.
    finished: CancellationToken,
    metrics: Metrics,
}

/// Alone on its cache line.
#[derive(Default)]
#[repr(align(64))]
struct Shard(Mutex<Vec<u8>>);

thread_local! {
    static SHARD: usize = {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        NEXT.fetch_add(1, Ordering::Relaxed) % SHARDS
    };
}

// === impl AccessLog ===

impl AccessLog {
    /// A log that goes to standard error, where the daemon's own goes.
    ///
    /// # Errors
    ///
    /// When no thread can be started.
    pub fn to_stderr(metrics: &Metrics) -> io::Result<Self> {
        // Its lock is held for as long as a batch is written, so no other line comes in between.
        Self::to(io::stderr(), metrics)
    }

    /// A log that is appended to this file.
    ///
    /// # Errors
    ///
    /// When the file cannot be opened, or no thread can be started.
    pub fn to_file(path: &Path, metrics: &Metrics) -> io::Result<Self> {
        Self::to(OpenOptions::new().append(true).create(true).open(path)?, metrics)
    }

    /// A log that goes to any writer; each call of `write_all` has whole lines. Lines that are lost are counted in `metrics`.
    ///
    /// # Errors
    ///
    /// When no thread can be started.
    pub fn to(writer: impl Write + Send + 'static, metrics: &Metrics) -> io::Result<Self> {
        let log = Self(Arc::new(Inner {
            shards: Default::default(),
            is_told: AtomicBool::new(false),
            is_finishing: AtomicBool::new(false),
            writer: OnceLock::new(),
            finished: CancellationToken::new(),
            metrics: metrics.clone(),
        }));
        let inner = Arc::clone(&log.0);
        let thread = thread::Builder::new().name("access-log".to_owned()).spawn(move || inner.run(writer))?;
        log.0.writer.get_or_init(|| thread.thread().clone());
        Ok(log)
    }

    /// Writes the lines that are there. Later ones are dropped.
    pub async fn finish(&self) {
        self.0.is_finishing.store(true, Ordering::SeqCst);
        self.0.wake();
        if tokio::time::timeout(FINISH_TIME_MAX, self.0.finished.cancelled()).await.is_err() {
            warn!("access log is not written to its end: nothing takes it");
        }
    }

    /// Has one line written, ending in a line feed. Never waits.
    pub(super) fn append(&self, write: impl FnOnce(&mut Vec<u8>)) {
        let Some(mut lines) = self.0.free_shard() else {
            self.0.metrics.log_dropped().inc();
            return;
        };
        let before = lines.len();
        write(&mut lines);
        let is_enough = before < WRITE_BYTES && lines.len() >= WRITE_BYTES;
        drop(lines);
        // Asked after the line was appended, as the writer takes it back before it takes the lines: one sees the other.
        let is_news = !self.0.is_told.load(Ordering::Relaxed) && !self.0.is_told.swap(true, Ordering::SeqCst);
        if is_news || is_enough {
            self.0.wake();
        }
    }
}

impl fmt::Debug for AccessLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccessLog").finish_non_exhaustive()
    }
}

// === impl Inner ===

impl Inner {
    /// A buffer with room for a line.
    fn free_shard(&self) -> Option<MutexGuard<'_, Vec<u8>>> {
        let first = SHARD.with(|shard| *shard);
        let free = (0..SHARDS).find_map(|step| match self.shards[(first + step) % SHARDS].0.try_lock() {
            Ok(lines) => Some(lines),
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        });
        free.filter(|lines| lines.len() < SHARD_BYTES_MAX && !self.is_finishing.load(Ordering::Relaxed))
    }

    fn wake(&self) {
        if let Some(writer) = self.writer.get() {
            writer.unpark();
        }
    }

    fn run(&self, mut writer: impl Write) {
        let mut taken = Vec::new();
        let mut dropped = 0;
        loop {
            while !self.is_told.load(Ordering::SeqCst) && !self.is_finishing.load(Ordering::SeqCst) {
                thread::park();
            }
            let is_last = self.is_finishing.load(Ordering::SeqCst);
            if !is_last {
                thread::park_timeout(FLUSH_INTERVAL);
            }
            self.is_told.store(false, Ordering::SeqCst);
            for shard in &self.shards {
                std::mem::swap(&mut taken, &mut *shard.0.lock().unwrap_or_else(PoisonError::into_inner));
                self.write(&mut writer, &taken);
                taken.clear();
            }
            dropped = self.complain(dropped);
            if is_last {
                return self.finished.cancel();
            }
        }
    }

    fn write(&self, writer: &mut impl Write, lines: &[u8]) {
        if lines.is_empty() {
            return;
        }
        if let Err(error) = writer.write_all(lines).and_then(|()| writer.flush()) {
            let count = lines.iter().filter(|byte| **byte == b'\n').count();
            self.metrics.log_dropped().add(count as u64);
            warn!(error = &error as &dyn std::error::Error, "cannot write the access log");
        }
    }

    /// Says how many lines were dropped beyond those that it said already.
    fn complain(&self, said: u64) -> u64 {
        let dropped = self.metrics.log_dropped().get();
        if dropped > said {
            warn!(lines = dropped - said, "access log lines dropped");
        }
        dropped
    }
}

#[cfg(test)]
mod tests;
