//! Where lines go in: a queue that has an end, in front of the one task that writes.
//!
//! Two kinds of writers meet here. Collectors have lines that an engine keeps: they wait when the queue is full, and nothing is
//! lost. Everybody else has something to say in passing and must not wait: when the queue is full their line is dropped,
//! counted, and the count is told in the stream. A sink of nothing ([`LogSink::nowhere`]) takes everything and keeps none.
//!
//! The task writes when it has [`WRITE_BYTES`], or [`FLUSH_INTERVAL`] after the first line of a batch.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use super::journal::{Batch, Disk};
use super::line::{Line, Source, Speaker, pieces};
use crate::clock;
use crate::name::{AppName, InstanceId, ReleaseId, Slot};

/// Batches of collectors that wait to be written; each has at most 64 KiB of text.
const BATCHES_MAX: usize = 64;
/// Lines that were said in passing and wait to be written.
const SAID_MAX: usize = 4096;
/// What is enough for a write.
const WRITE_BYTES: usize = 64 * 1024;
/// How long a line waits for others.
const FLUSH_INTERVAL: Duration = Duration::from_millis(100);
/// How long the end waits for the disk.
const FINISH_TIME_MAX: Duration = Duration::from_secs(5);

/// Says lines on behalf of the box. Cheap to clone; never waits.
#[derive(Debug, Clone)]
pub struct LogSink(Option<Arc<Inner>>);

#[derive(Debug)]
struct Inner {
    said: mpsc::Sender<Message>,
    kept: mpsc::Sender<Message>,
    /// Lines that found no room, by app.
    dropped: Mutex<BTreeMap<AppName, u64>>,
}

/// On whose behalf a line is said.
#[derive(Debug, Clone, Copy)]
pub enum Voice<'v> {
    /// `minipaas[build]`.
    Build,
    /// `minipaas[release]`, about this one.
    Release(ReleaseId),
    /// `minipaas[router]`.
    Router,
    /// `minipaas[web.1]`: what the box does with an instance of this release.
    Instance(&'v Slot, ReleaseId),
    /// `minipaas[WORD]`.
    Platform(&'v str),
}

enum Message {
    Lines(Batch),
    Forget(AppName, InstanceId),
    ForgetApp(AppName, oneshot::Sender<()>),
    Finish(oneshot::Sender<()>),
}

impl LogSink {
    /// One that keeps nothing.
    #[must_use]
    pub fn nowhere() -> Self {
        Self(None)
    }

    /// Starts the task that writes.
    pub(super) fn start(disk: Disk) -> Self {
        let (said, said_rx) = mpsc::channel(SAID_MAX);
        let (kept, kept_rx) = mpsc::channel(BATCHES_MAX);
        let inner = Arc::new(Inner { said, kept, dropped: Mutex::default() });
        tokio::spawn(write(disk, Arc::downgrade(&inner), said_rx, kept_rx));
        Self(Some(inner))
    }

    /// Says something in the app's stream, now; what has several lines becomes several. Never waits: where there is no room
    /// the line is dropped, and the stream says later how many were.
    pub fn say(&self, app: &AppName, voice: Voice<'_>, text: &str) {
        self.say_at(clock::nanos(), app, voice, text);
    }

    /// Says something of this time, in nanoseconds since the Unix epoch.
    pub(super) fn say_at(&self, at: u64, app: &AppName, voice: Voice<'_>, text: &str) {
        let Some(inner) = &self.0 else { return };
        let speaker = Arc::new(voice.speaker());
        let lines = text.lines().flat_map(|line| {
            let pieces = pieces(line);
            let last = pieces.len() - 1;
            pieces.into_iter().enumerate().map(move |(at, piece)| (piece, at < last))
        });
        let lines: Vec<Line> = lines
            .map(|(text, is_cut)| Line {
                at,
                is_stderr: false,
                is_cut,
                speaker: Arc::clone(&speaker),
                text: text.to_owned(),
            })
            .collect();
        let count = lines.len() as u64;
        if count > 0 && inner.said.try_send(Message::Lines(Batch { app: app.clone(), lines })).is_err() {
            let mut dropped = inner.dropped.lock().unwrap_or_else(PoisonError::into_inner);
            *dropped.entry(app.clone()).or_default() += count;
        }
    }

    /// Keeps lines of an instance; waits for room.
    pub(super) async fn keep(&self, app: &AppName, lines: Vec<Line>) {
        if let Some(inner) = &self.0 {
            // It ends with the daemon; the engine has the lines still.
            let _ = inner.kept.send(Message::Lines(Batch { app: app.clone(), lines })).await;
        }
    }

    /// Forgets how far an instance's log was read, after what was kept before.
    pub(super) async fn forget(&self, app: &AppName, instance: &InstanceId) {
        if let Some(inner) = &self.0 {
            let _ = inner.kept.send(Message::Forget(app.clone(), instance.clone())).await;
        }
    }

    /// Removes what the app has said and what was kept of it, by now. Returns when that is done, or the disk takes too long.
    pub(super) async fn forget_app(&self, app: &AppName) {
        let Some(inner) = &self.0 else { return };
        // So that nothing of it waits in the other queue.
        self.finish().await;
        let (done, forgotten) = oneshot::channel();
        let forgotten = async {
            if inner.kept.send(Message::ForgetApp(app.clone(), done)).await.is_ok() {
                let _ = forgotten.await;
            }
        };
        if tokio::time::timeout(FINISH_TIME_MAX, forgotten).await.is_err() {
            tracing::warn!(%app, "the log of an app that is gone is still there: the disk takes too long");
        }
    }

    /// Returns when everything that was said and kept by now is with the system, or the disk takes too long.
    pub async fn finish(&self) {
        let Some(inner) = &self.0 else { return };
        let written = async {
            for queue in [&inner.kept, &inner.said] {
                let (done, finished) = oneshot::channel();
                if queue.send(Message::Finish(done)).await.is_ok() {
                    let _ = finished.await;
                }
            }
        };
        if tokio::time::timeout(FINISH_TIME_MAX, written).await.is_err() {
            tracing::warn!("log lines are not written to their end: the disk takes too long");
        }
    }
}

impl Voice<'_> {
    fn speaker(self) -> Speaker {
        match self {
            Self::Build => Speaker::of_box(Source::Build, None),
            Self::Release(release) => Speaker::of_box(Source::Release, Some(release)),
            Self::Router => Speaker::of_box(Source::Router, None),
            Self::Instance(slot, release) => {
                Speaker { process: slot.to_string(), ..Speaker::of_box(Source::Platform, Some(release)) }
            }
            Self::Platform(word) => {
                Speaker { process: word.to_owned(), ..Speaker::of_box(Source::Platform, None) }
            }
        }
    }
}

/// What is to be written next.
#[derive(Default)]
struct Pending {
    batches: Vec<Batch>,
    forgotten: Vec<(AppName, InstanceId)>,
    forgotten_apps: Vec<AppName>,
    finishing: Vec<oneshot::Sender<()>>,
    bytes: usize,
}

impl Pending {
    fn add(&mut self, message: Message) {
        match message {
            Message::Lines(batch) => {
                self.bytes += batch.lines.iter().map(|line| line.text.len()).sum::<usize>();
                self.batches.push(batch);
            }
            Message::Forget(app, instance) => self.forgotten.push((app, instance)),
            Message::ForgetApp(app, done) => {
                self.forgotten_apps.push(app);
                self.finishing.push(done);
            }
            Message::Finish(done) => self.finishing.push(done),
        }
    }

    fn is_enough(&self) -> bool {
        self.bytes >= WRITE_BYTES || !self.finishing.is_empty()
    }
}

/// Writes until nobody can say anything any more.
async fn write(
    mut disk: Disk,
    sink: std::sync::Weak<Inner>,
    mut said: mpsc::Receiver<Message>,
    mut kept: mpsc::Receiver<Message>,
) {
    loop {
        let mut pending = Pending::default();
        tokio::select! {
            Some(message) = said.recv() => pending.add(message),
            Some(message) = kept.recv() => pending.add(message),
            else => return,
        }
        let deadline = Instant::now() + FLUSH_INTERVAL;
        while !pending.is_enough() {
            tokio::select! {
                biased;
                Some(message) = said.recv() => pending.add(message),
                Some(message) = kept.recv() => pending.add(message),
                () = tokio::time::sleep_until(deadline) => break,
                else => break,
            }
        }
        let dropped = sink
            .upgrade()
            .map(|sink| std::mem::take(&mut *sink.dropped.lock().unwrap_or_else(PoisonError::into_inner)));
        pending.batches.extend(dropped.into_iter().flatten().map(|(app, lines)| dropped_batch(app, lines)));
        let work = move || {
            disk.write(pending.batches);
            pending.forgotten.iter().for_each(|(app, instance)| disk.forget(app, instance));
            pending.forgotten_apps.iter().for_each(|app| disk.forget_app(app));
            (disk, pending.finishing)
        };
        let finishing;
        (disk, finishing) = tokio::task::spawn_blocking(work)
            .await
            .expect("the disk returns whatever happens, and is never aborted");
        // Whoever went away does not need to know.
        for done in finishing {
            let _ = done.send(());
        }
    }
}

fn dropped_batch(app: AppName, lines: u64) -> Batch {
    let text = format!("dropped {lines} lines: too many at once");
    let speaker = Arc::new(Voice::Platform("logs").speaker());
    let line = Line { at: clock::nanos(), is_stderr: true, is_cut: false, speaker, text };
    Batch { app, lines: vec![line] }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queue_that_is_full_makes_nobody_wait_and_is_counted() {
        let (said, _said_rx) = mpsc::channel(1);
        let (kept, _kept_rx) = mpsc::channel(1);
        let inner = Arc::new(Inner { said, kept, dropped: Mutex::default() });
        let (sink, app) = (LogSink(Some(Arc::clone(&inner))), "shop".parse::<AppName>().unwrap());
        sink.say(&app, Voice::Build, "fits");
        sink.say(&app, Voice::Build, "one\ntwo");
        sink.say(&app, Voice::Router, "three");
        assert_eq!(*inner.dropped.lock().unwrap(), BTreeMap::from([(app, 3)]));
    }
}
