//! What deploys have said, for clients whose connection broke.
//!
//! A deploy is the daemon's once it is accepted, and goes on whoever listens. Its lines are kept in memory, so that a client
//! may come back and read on where it was. The last [`RECORDINGS_MAX`] are kept, each with [`LINES_MAX`] lines; a restart of
//! the daemon forgets them, and then the state of the release is the answer.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use axum::body::Bytes;
use futures_util::stream::{self, BoxStream, StreamExt as _};
use tokio::sync::watch;

use super::stream::line;
use crate::api::Progress;
use crate::name::{AppName, ReleaseId};

/// Deploys that are kept, of all apps.
const RECORDINGS_MAX: usize = 20;
/// Lines of one that are kept; a deploy says some dozens.
const LINES_MAX: usize = 5_000;

/// The recordings of the last deploys; clones share them.
#[derive(Debug, Clone, Default)]
pub struct Recordings(Arc<Mutex<VecDeque<Arc<Recording>>>>);

/// What one deploy has said so far.
#[derive(Debug)]
pub(super) struct Recording {
    app: AppName,
    said: watch::Sender<Said>,
}

#[derive(Debug, Default)]
struct Said {
    release: Option<ReleaseId>,
    lines: Vec<Bytes>,
    is_over: bool,
}

impl Recordings {
    /// Begins the next one; the oldest is forgotten.
    pub(super) fn begin(&self, app: AppName) -> Arc<Recording> {
        let recording = Arc::new(Recording { app, said: watch::Sender::default() });
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.truncate(RECORDINGS_MAX - 1);
        all.push_front(Arc::clone(&recording));
        recording
    }

    /// The one of this release.
    pub(super) fn find(&self, app: &AppName, release: ReleaseId) -> Option<Arc<Recording>> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.iter().find(|found| found.app == *app && found.said.borrow().release == Some(release)).cloned()
    }
}

impl Recording {
    /// Adds a line. Past [`LINES_MAX`] only the last one is kept.
    pub(super) fn push(&self, progress: &Progress) {
        let is_over = matches!(progress, Progress::Deployed(_) | Progress::Failed { .. });
        self.said.send_modify(|said| {
            if let Progress::Accepted { release } = progress {
                said.release = release.parse().ok();
            }
            if said.is_over || said.lines.len() >= LINES_MAX && !is_over {
                return;
            }
            said.lines.push(line(progress));
            said.is_over = is_over;
        });
    }

    /// Whether its last line was said.
    pub(super) fn is_over(&self) -> bool {
        self.said.borrow().is_over
    }

    /// Its lines after so many, and those to come, until its end.
    pub(super) fn lines(&self, after: usize) -> BoxStream<'static, Bytes> {
        let chunks = stream::unfold((self.said.subscribe(), after), |(mut said, mut next)| async move {
            loop {
                let (lines, is_over) = {
                    let said = said.borrow_and_update();
                    (said.lines.get(next..).unwrap_or_default().to_vec(), said.is_over)
                };
                if !lines.is_empty() {
                    next += lines.len();
                    return Some((stream::iter(lines), (said, next)));
                }
                if is_over || said.changed().await.is_err() {
                    return None;
                }
            }
        });
        chunks.flatten().boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::Failure;

    fn notice(text: &str) -> Progress {
        Progress::Notice { message: text.to_owned() }
    }

    async fn texts(lines: BoxStream<'static, Bytes>) -> Vec<String> {
        lines.map(|line| String::from_utf8(line.to_vec()).unwrap().trim_end().to_owned()).collect().await
    }

    #[tokio::test]
    async fn whoever_comes_back_hears_the_rest() {
        let recordings = Recordings::default();
        let app: AppName = "shop".parse().unwrap();
        let recording = recordings.begin(app.clone());
        recording.push(&Progress::Accepted { release: "v3".to_owned() });
        recording.push(&notice("one"));
        let mut early = recording.lines(0);
        assert!(early.next().await.unwrap().starts_with(br#"{"event":"accepted""#));
        drop(early);
        let found = recordings.find(&app, "v3".parse().unwrap()).unwrap();
        let late = tokio::spawn(texts(found.lines(1)));
        recording.push(&notice("two"));
        recording.push(&Progress::Failed { failure: Failure::new("worse", "no") });
        recording.push(&notice("after its end"));
        let late = late.await.unwrap();
        assert_eq!(late.len(), 3);
        assert!(late[2].contains(r#""code":"worse""#), "{late:?}");
        assert_eq!(texts(found.lines(1)).await, late, "also when it is over");
        assert!(texts(found.lines(99)).await.is_empty());
    }

    #[tokio::test]
    async fn what_is_kept_is_bounded() {
        let recordings = Recordings::default();
        let app: AppName = "shop".parse().unwrap();
        for number in 1..=u64::try_from(RECORDINGS_MAX).unwrap() + 1 {
            let release = format!("v{number}");
            recordings.begin(app.clone()).push(&Progress::Accepted { release });
        }
        assert!(recordings.find(&app, "v1".parse().unwrap()).is_none());
        let kept = recordings.find(&app, "v2".parse().unwrap()).unwrap();
        for _ in 0..=LINES_MAX {
            kept.push(&notice("again"));
        }
        kept.push(&Progress::Failed { failure: Failure::new("worse", "no") });
        let lines = texts(kept.lines(0)).await;
        assert_eq!(lines.len(), LINES_MAX + 1);
        assert!(lines[LINES_MAX].contains("worse"), "the last line is there");
    }
}
