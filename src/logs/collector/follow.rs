//! Following one container.
//!
//! A followed log may end for many reasons: the container has ended, the engine was restarted, the connection broke. Only the
//! first is an end; after any other the log is asked for again, from where it was. Engine 20.10 may leave out the last line of
//! a container that has ended, if the line has no end; so the log of one is read once more without following.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::super::line::{Line, Source, Speaker};
use super::super::position::{Position, Replay};
use super::super::{Logs, blocking};
use super::Containers;
use crate::engine::{ContainerId, EngineError, Labels, LogLine, LogQuery};

/// The pause before the log is asked for again; it doubles up to the longest.
const PAUSE_FIRST: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(5);
/// Lines that are kept together at most.
const LINES_MAX: usize = 512;
/// Text that is kept together, or one line more.
const BATCH_BYTES: usize = 64 * 1024;

pub(super) struct Follow {
    pub(super) logs: Logs,
    pub(super) containers: Arc<dyn Containers>,
    pub(super) container: ContainerId,
    pub(super) labels: Labels,
    pub(super) hurry: CancellationToken,
}

/// How reading went.
enum Read {
    /// To the end, as far as there was one.
    Ended,
    /// Not at all: it is gone.
    Gone,
    /// Not at all.
    Failed,
}

impl Follow {
    /// Reads until the container has ended or is gone, or somebody is in a hurry.
    pub(super) async fn run(self) {
        let speaker = Arc::new(Speaker {
            source: Source::App,
            process: self.labels.slot.to_string(),
            release: Some(self.labels.release),
            instance: Some(self.labels.instance.clone()),
        });
        let mut position = self.position().await;
        let mut pause = PAUSE_FIRST;
        loop {
            let read = tokio::select! {
                // What was read is kept and noted: the position is that of the last batch that the queue has taken.
                () = self.hurry.cancelled() => break,
                read = self.read(&speaker, &mut position, true) => read,
            };
            match read {
                Read::Gone => return,
                Read::Ended => match self.containers.is_running(&self.container).await {
                    Ok(Some(true)) => pause = PAUSE_FIRST,
                    Ok(Some(false)) => break,
                    Ok(None) => return,
                    Err(_) => {}
                },
                Read::Failed => {}
            }
            tokio::select! {
                () = self.hurry.cancelled() => break,
                () = sleep(pause) => pause = (pause * 2).min(PAUSE_MAX),
            }
        }
        while let Read::Failed = self.read(&speaker, &mut position, false).await {
            tokio::select! {
                // One try is all that there is time for.
                () = self.hurry.cancelled() => return,
                () = sleep(pause) => pause = (pause * 2).min(PAUSE_MAX),
            }
        }
    }

    /// Where the journal says that the log was read to.
    async fn position(&self) -> Position {
        let (journal, app, instance) =
            (self.logs.journal.clone(), self.labels.app.clone(), self.labels.instance.clone());
        let found = blocking(move || Ok::<_, std::io::Error>(journal.shelf(&app)?.position(&instance))).await;
        found.ok().flatten().unwrap_or_default()
    }

    /// Reads from the position on, which goes with what is kept.
    async fn read(&self, speaker: &Arc<Speaker>, position: &mut Position, follow: bool) -> Read {
        let query = LogQuery { tail: None, since: position.since(), follow };
        let stream = match self.containers.logs(&self.container, query).await {
            Ok(stream) => stream,
            Err(EngineError::NotFound { .. }) => return Read::Gone,
            Err(error) => {
                tracing::debug!(app = %self.labels.app, instance = %self.labels.slot, %error, "log cannot be followed");
                return Read::Failed;
            }
        };
        let mut replay = Replay::new(position);
        // What is there at once is kept at once; one waits for the first line alone.
        let mut chunks = stream.ready_chunks(LINES_MAX);
        while let Some(chunk) = chunks.next().await {
            let is_wanted = |line: &LogLine| {
                // The rest of it may come when the log is asked for again; then it is whole.
                !(follow && line.is_unfinished)
            };
            let new =
                chunk.into_iter().filter(is_wanted).filter(|line| replay.is_new(line.is_stderr, line.at));
            let mut batch = Vec::new();
            let mut bytes = 0;
            for line in new {
                bytes += line.text.len();
                batch.push(line);
                if bytes >= BATCH_BYTES {
                    self.keep(speaker, std::mem::take(&mut batch), position).await;
                    bytes = 0;
                }
            }
            if !batch.is_empty() {
                self.keep(speaker, batch, position).await;
            }
        }
        Read::Ended
    }

    /// Waits for room; the position is moved when there was some.
    async fn keep(&self, speaker: &Arc<Speaker>, lines: Vec<LogLine>, position: &mut Position) {
        let mut after = *position;
        lines.iter().for_each(|line| after.note(line.is_stderr, line.at));
        let lines = lines.into_iter().map(|line| Line {
            at: line.at,
            is_stderr: line.is_stderr,
            is_cut: line.is_cut,
            speaker: Arc::clone(speaker),
            text: line.text,
        });
        self.logs.sink().keep(&self.labels.app, lines.collect()).await;
        *position = after;
    }
}
