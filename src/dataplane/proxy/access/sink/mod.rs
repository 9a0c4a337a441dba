//! Where the lines of the access log go: memory first, then, many at a time, where the operator wants them.
//!
//! # Theory of operation
//!
//! A thread writes a line into a shard of its own, a buffer behind a mutex that it only ever *tries* to take: a shard is busy
//! for the few nanoseconds in which the writer swaps an empty buffer in, or while a thread of the same number appends, and then
//! the next shard is as good. So no request waits, for another request or for a disk. A line that finds every shard busy or
//! full is dropped and counted.
//!
//! The first line wakes the writer, a thread that then lets more lines come for [`FLUSH_INTERVAL`], or until a shard has
//! enough for a large write, takes them all, and writes them. With no traffic it sleeps. Lines of one shard are in the order
//! in which requests ended; those of different shards may be off by that interval.
//!
//! [`AccessLog::finish`] writes what is there, at most for [`FINISH_TIME_MAX`]. Lines that cannot be written are counted as
//! dropped, and the daemon's own log says so.

use std::fmt;
use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, TryLockError};
use std::thread::{self, Thread};
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::metrics::Metrics;

/// Buffers that threads share; more than most machines have threads of tokio's.
const SHARDS: usize = 16;
/// What waits in one of them at most: about two thousand lines.
const SHARD_BYTES_MAX: usize = 512 * 1024;
/// What is enough for a write of its own.
const WRITE_BYTES: usize = 64 * 1024;
/// What a buffer keeps of its memory when it was written.
const KEPT_BYTES_MAX: usize = 128 * 1024;
/// How long a line waits for others.
const FLUSH_INTERVAL: Duration = Duration::from_millis(250);
/// How long the end waits for a reader that takes nothing.
const FINISH_TIME_MAX: Duration = Duration::from_secs(5);

/// There is no line.
const NOTHING: u8 = 0;
/// There are lines, to be written soon.
const SOME: u8 = 1;
/// There are enough lines for a write.
const ENOUGH: u8 = 2;

/// The access log; clones are handles on the same one. It ends with [`Self::finish`], not with its last handle.
#[derive(Clone)]
pub struct AccessLog(Arc<Inner>);

struct Inner {
    shards: [Shard; SHARDS],
    /// What the writer was told: [`NOTHING`], [`SOME`] or [`ENOUGH`].
    told: AtomicU8,
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
    /// A log that goes to any writer; each call of `write_all` has whole lines. Lines that are lost are counted in `metrics`.
    ///
    /// # Errors
    ///
    /// When no thread can be started.
    pub fn to(writer: impl Write + Send + 'static, metrics: &Metrics) -> io::Result<Self> {
        let log = Self(Arc::new(Inner {
            shards: Default::default(),
            told: AtomicU8::new(NOTHING),
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
        write(&mut lines);
        let news = if lines.len() < WRITE_BYTES { SOME } else { ENOUGH };
        drop(lines);
        // Told after the line was appended, as the writer forgets before it takes the lines: one of the two sees the other.
        let told = &self.0.told;
        if told.load(Ordering::Relaxed) < news && told.fetch_max(news, Ordering::SeqCst) < news {
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
        if self.is_finishing.load(Ordering::Relaxed) {
            return None;
        }
        (0..SHARDS).find_map(|step| {
            let lines = match self.shards[(first + step) % SHARDS].0.try_lock() {
                Ok(lines) => lines,
                Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
                Err(TryLockError::WouldBlock) => return None,
            };
            (lines.len() < SHARD_BYTES_MAX).then_some(lines)
        })
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
            let is_last = self.wait();
            self.told.store(NOTHING, Ordering::SeqCst);
            for shard in &self.shards {
                std::mem::swap(&mut taken, &mut *shard.0.lock().unwrap_or_else(PoisonError::into_inner));
                self.write(&mut writer, &taken);
                taken.clear();
                taken.shrink_to(KEPT_BYTES_MAX);
            }
            dropped = self.complain(dropped);
            if is_last {
                return self.finished.cancel();
            }
        }
    }

    /// Waits for lines, and then for more of them. Whether these are the last.
    fn wait(&self) -> bool {
        let is_finishing = || self.is_finishing.load(Ordering::SeqCst);
        while self.told.load(Ordering::SeqCst) == NOTHING && !is_finishing() {
            thread::park();
        }
        let deadline = Instant::now() + FLUSH_INTERVAL;
        // Whoever says something while nobody sleeps wakes the next sleep, so one that ends early may go on.
        while self.told.load(Ordering::SeqCst) < ENOUGH && !is_finishing() {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            thread::park_timeout(left);
        }
        is_finishing()
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
