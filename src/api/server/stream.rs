//! Answers that are a stream of JSON lines.

use std::convert::Infallible;

use axum::body::{Body, Bytes};
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use serde::Serialize;
use tokio::sync::mpsc;

use crate::api::Progress;

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

/// Adds a value and the end of its line.
pub(super) fn push_line<T: Serialize>(to: &mut Vec<u8>, value: &T) {
    serde_json::to_writer(&mut *to, value).expect("wire types hold only strings, numbers and lists");
    to.push(b'\n');
}

fn line<T: Serialize>(value: &T) -> Bytes {
    let mut json = Vec::new();
    push_line(&mut json, value);
    json.into()
}

/// The answer that is these lines.
pub(super) fn answer(lines: BoxStream<'static, Bytes>) -> Response {
    let body = Body::from_stream(lines.map(Ok::<_, Infallible>));
    ([(CONTENT_TYPE, "application/x-ndjson")], body).into_response()
}
