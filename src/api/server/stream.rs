//! Answers that are a stream of JSON lines.

use std::convert::Infallible;

use axum::body::{Body, Bytes};
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use serde::Serialize;
use tokio::sync::mpsc;

use crate::api::{Failure, Progress};
use crate::logs;

/// The type of a stream of JSON lines.
pub(super) const NDJSON: &str = "application/x-ndjson";

/// Where work puts its lines; clones lead to the same answer.
#[derive(Debug, Clone)]
pub(super) struct Lines(mpsc::UnboundedSender<Bytes>);

impl Lines {
    /// Adds a line. A client that went away does not need it.
    pub(super) fn send(&self, progress: &Progress) {
        let _ = self.0.send(line(progress));
    }
}

/// The answer whose lines this work writes. The work runs as the answer is read: a client that goes away ends it.
pub(super) fn of_work<W, F>(work: W) -> Response
where
    W: FnOnce(Lines) -> F,
    F: Future<Output = ()> + Send + 'static,
{
    let (tx, rx) = mpsc::unbounded_channel();
    let work = work(Lines(tx));
    let working = stream::once(work).filter_map(|()| async { None::<Bytes> });
    let written = stream::unfold(rx, |mut rx| async move { rx.recv().await.map(|line| (line, rx)) });
    answer(stream::select(written, working).boxed())
}

/// The answer that is these log lines.
pub(super) fn of_lines(lines: mpsc::Receiver<logs::Line>) -> Response {
    let lines = stream::unfold(lines, |mut lines| async move {
        let found = lines.recv().await?;
        let wire = crate::api::LogLine {
            at: found.line.at,
            slot: found.slot.to_string(),
            release: found.release.to_string(),
            is_stderr: found.line.is_stderr,
            text: found.line.text,
        };
        Some((line(&wire), lines))
    });
    answer(lines.boxed())
}

/// The last line of any stream that has to end before it is over.
pub(super) fn failed_line(failure: Failure) -> Bytes {
    line(&Progress::Failed { failure })
}

fn line<T: Serialize>(value: &T) -> Bytes {
    let mut json = serde_json::to_vec(value).expect("wire types hold only strings, numbers and lists");
    json.push(b'\n');
    json.into()
}

fn answer(lines: BoxStream<'static, Bytes>) -> Response {
    let body = Body::from_stream(lines.map(Ok::<_, Infallible>));
    ([(CONTENT_TYPE, NDJSON)], body).into_response()
}
