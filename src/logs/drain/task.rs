//! One drain at work.
//!
//! Its queue is the journal: it has a place there, hands over what comes, and goes on when that was taken. A drain that falls
//! more than [`BEHIND_MAX`] lines behind, or so far that they were dropped from the journal, leaves the oldest out and says so
//! with a line of its own, as Heroku's do (L10). Its place is kept on disk, a second after it moved; so after a crash lines of
//! about a second are handed over twice, and none is left out.

use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::StatusCode;
use tokio::time::{Instant, sleep};

use super::super::journal::{Chunk, Cursor, Item, Journal, Shelf};
use super::super::line::{Line, Source, Speaker};
use super::super::{TEXT_BYTES_MAX, blocking};
use super::connection::{Connection, SendError};
use crate::clock;
use crate::name::AppName;

/// The most lines that wait for a drain.
const BEHIND_MAX: u64 = 100_000;
/// What is handed over at a time.
const BATCH_BYTES: u64 = TEXT_BYTES_MAX as u64;
/// How long lines wait for others, so that requests have more than one each.
const GATHER_TIME: Duration = Duration::from_millis(200);
/// The pause before a batch is handed over again; it doubles up to the longest.
const PAUSE_FIRST: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(60);
/// Between two times that the place is kept.
const KEEP_INTERVAL: Duration = Duration::from_secs(1);

/// How a drain does.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DrainStatus {
    /// Lines that were handed over since the daemon has started.
    pub sent: u64,
    /// Lines that were left out since then.
    pub dropped: u64,
    /// Why the last batch was not taken; `None` when it was.
    pub error: Option<String>,
    /// Since when none is taken, in milliseconds since the Unix epoch.
    pub failing_since: Option<u64>,
}

pub(super) struct Task {
    pub(super) app: AppName,
    pub(super) journal: Journal,
    pub(super) connection: Connection,
    pub(super) status: Arc<Mutex<DrainStatus>>,
    /// Where the place is kept.
    pub(super) place: PathBuf,
}

impl Task {
    /// Hands lines over for ever.
    pub(super) async fn run(mut self) {
        let mut pause = PAUSE_FIRST;
        loop {
            match self.follow().await {
                Ok(()) => return,
                Err(error) => tracing::warn!(app = %self.app, %error, "a drain cannot read the log"),
            }
            sleep(pause).await;
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }

    async fn follow(&mut self) -> std::io::Result<()> {
        let (journal, app, place) = (self.journal.clone(), self.app.clone(), self.place.clone());
        let (shelf, mut cursor) = blocking(move || {
            let shelf = journal.shelf(&app)?;
            let cursor = begin(&shelf, &place)?;
            Ok::<_, std::io::Error>((shelf, cursor))
        })
        .await?;
        let mut end = shelf.end();
        let mut kept_at = Instant::now();
        self.keep(cursor.next()).await;
        loop {
            end.borrow_and_update();
            let chunk;
            let dropped;
            (cursor, chunk, dropped) = blocking(move || read(cursor)).await;
            let mut lines = Vec::new();
            let mut missed = dropped;
            for item in chunk.items {
                match item {
                    Item::Line(line) => lines.push(line),
                    Item::Missed(count) => missed += count,
                }
            }
            if missed > 0 {
                self.status().dropped += missed;
                lines.insert(0, overflow(missed));
            }
            if !lines.is_empty() {
                self.hand_over(&lines).await;
                if kept_at.elapsed() >= KEEP_INTERVAL {
                    kept_at = Instant::now();
                    self.keep(cursor.next()).await;
                }
            }
            if chunk.is_end {
                self.keep(cursor.next()).await;
                if end.changed().await.is_err() {
                    return Ok(());
                }
                sleep(GATHER_TIME).await;
            }
        }
    }

    /// Tries until the lines are taken, or will never be.
    async fn hand_over(&mut self, lines: &[Line]) {
        let mut pause = PAUSE_FIRST;
        loop {
            let error = match self.connection.send(lines).await {
                Ok(()) => {
                    let mut status = self.status();
                    status.sent += lines.len() as u64;
                    (status.error, status.failing_since) = (None, None);
                    return;
                }
                Err(error) => error,
            };
            tracing::debug!(app = %self.app, %error, "a drain does not take lines");
            {
                let mut status = self.status();
                status.error = Some(error.to_string());
                status.failing_since.get_or_insert_with(clock::now);
                if is_final(&error) {
                    status.dropped += lines.len() as u64;
                    return;
                }
            }
            // So that a box with many drains does not knock with all of them at once.
            let jitter = Duration::from_millis(u64::from(crate::random::bits() % 250));
            sleep(pause + jitter).await;
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }

    /// Keeps the place, as well as can be.
    async fn keep(&self, next: u64) {
        let place = self.place.clone();
        let kept = blocking(move || {
            let temporary = place.with_extension("tmp");
            fs::create_dir_all(place.parent().unwrap_or(&place))?;
            fs::write(&temporary, next.to_string())?;
            fs::rename(&temporary, &place)
        });
        if let Err(error) = kept.await {
            tracing::debug!(app = %self.app, %error, "a drain's place cannot be kept");
        }
    }

    fn status(&self) -> std::sync::MutexGuard<'_, DrainStatus> {
        self.status.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn begin(shelf: &Arc<Shelf>, place: &std::path::Path) -> std::io::Result<Cursor> {
    let kept = fs::read_to_string(place).ok().and_then(|text| text.parse().ok());
    match kept {
        Some(next) => Cursor::at_number(Arc::clone(shelf), next),
        None => Ok(Cursor::at_end(Arc::clone(shelf))),
    }
}

/// The next batch, and how many lines were left out before it.
fn read(mut cursor: Cursor) -> (Cursor, Chunk, u64) {
    let dropped = if cursor.behind() > BEHIND_MAX { cursor.skip_to_newest() } else { 0 };
    let chunk = cursor.read(BATCH_BYTES, &|_| true).unwrap_or_else(|error| {
        tracing::warn!(%error, "a log cannot be read");
        Chunk { items: Vec::new(), is_end: true }
    });
    (cursor, chunk, dropped)
}

/// Whether the same lines would be refused again: the request is wrong, not the moment.
fn is_final(error: &SendError) -> bool {
    matches!(
        error,
        SendError::Status {
            status: StatusCode::BAD_REQUEST
                | StatusCode::PAYLOAD_TOO_LARGE
                | StatusCode::UNSUPPORTED_MEDIA_TYPE
                | StatusCode::UNPROCESSABLE_ENTITY,
            ..
        }
    )
}

fn overflow(lines: u64) -> Line {
    Line {
        at: clock::nanos(),
        is_stderr: true,
        is_cut: false,
        speaker: Arc::new(Speaker { process: "drain".to_owned(), ..Speaker::of_box(Source::Platform, None) }),
        text: format!("at=error code=L10 desc=\"drain overflow\" dropped={lines}"),
    }
}
