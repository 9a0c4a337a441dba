//! Answers that are a stream: one JSON value a line, or server-sent events.
//!
//! A handler makes lines of JSON. A client that accepts `text/event-stream` gets each of them as an event instead: its
//! `data` is the line, its `event` what the value says that it is, and its `id` the value's own, or else the number of the
//! line, from 1; a comment each [`KEEP_ALIVE`] tells whoever is in between that the stream goes on.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::HeaderMap;
use axum::http::HeaderValue;
use axum::http::header::{ACCEPT, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use super::idempotency::Recorded;
use super::recording::Recording;
use crate::api::{Failure, Progress};

/// Between two comments, where nothing else is said; proxies give up on a silence of 30 s and more.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// Where a client that was cut off goes on, as browsers say it.
const LAST_EVENT_ID: &str = "last-event-id";
/// The type of a stream of JSON lines.
pub(super) const NDJSON: HeaderValue = HeaderValue::from_static("application/x-ndjson");
const EVENT_STREAM: HeaderValue = HeaderValue::from_static("text/event-stream");

/// So many lines were before the first one of a stream.
#[derive(Debug, Clone, Copy)]
struct LinesBefore(usize);

/// What an event is called, and its number, if its value says so.
#[derive(Deserialize)]
struct Tag {
    event: Option<String>,
    id: Option<u64>,
}

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

/// The last line of any stream that has to end before it is over.
pub(super) fn failed_line(failure: Failure) -> Bytes {
    line(&Progress::Failed { failure })
}

/// The answer that is what a deploy has said and will say, after so many lines.
pub(super) fn of_recording(recording: &Arc<Recording>, after: usize) -> Response {
    let mut res = answer(recording.lines(after));
    res.extensions_mut().insert(LinesBefore(after));
    res.extensions_mut().insert(Recorded(Arc::clone(recording)));
    res
}

/// The answer of these values.
pub(super) fn of_values<T: Serialize + 'static>(values: BoxStream<'static, T>) -> Response {
    answer(values.map(|value| line(&value)).boxed())
}

/// Whether the answer is a stream.
pub(super) fn is_stream(res: &Response) -> bool {
    res.headers().get(CONTENT_TYPE) == Some(&NDJSON)
}

/// Where the client wants to go on: what it says in the query, else what a browser says by itself.
pub(super) fn after(asked: Option<u64>, headers: &HeaderMap) -> Option<u64> {
    asked.or_else(|| headers.get(LAST_EVENT_ID)?.to_str().ok()?.trim().parse().ok())
}

/// Makes events of an answer's lines if its client wants them.
pub(super) async fn as_events(req: Request, next: Next) -> Response {
    let accepts = req.headers().get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let mut accepts = accepts.flat_map(|value| value.split(','));
    let wants_events =
        accepts.any(|kind| kind.split(';').next().unwrap_or(kind).trim() == "text/event-stream");
    let res = next.run(req).await;
    if !wants_events || !is_stream(&res) {
        return res;
    }
    let before = res.extensions().get::<LinesBefore>().map_or(0, |before| before.0);
    let (mut parts, body) = res.into_parts();
    parts.headers.insert(CONTENT_TYPE, EVENT_STREAM);
    parts.headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    parts.headers.remove(CONTENT_LENGTH);
    Response::from_parts(parts, Body::from_stream(events(body, before).map(Ok::<_, Infallible>)))
}

/// The lines of a body as events. Each chunk of the body is one or more whole lines, as [`line`] makes them.
fn events(body: Body, before: usize) -> BoxStream<'static, Bytes> {
    let chunks = body.into_data_stream();
    stream::unfold((chunks, before), |(mut chunks, mut number)| async move {
        match tokio::time::timeout(KEEP_ALIVE, chunks.next()).await {
            Err(_) => Some((Bytes::from_static(b": keep-alive\n\n"), (chunks, number))),
            Ok(Some(Ok(lines))) => {
                let mut events = Vec::new();
                for line in lines.split_inclusive(|byte| *byte == b'\n') {
                    number += 1;
                    events.extend_from_slice(&event(line, number));
                }
                Some((Bytes::from(events), (chunks, number)))
            }
            Ok(Some(Err(_)) | None) => None,
        }
    })
    .boxed()
}

fn event(line: &[u8], number: usize) -> Bytes {
    let line = String::from_utf8_lossy(line.trim_ascii());
    if line.is_empty() {
        return Bytes::from_static(b": keep-alive\n\n");
    }
    let Tag { event, id } = serde_json::from_str(&line).unwrap_or(Tag { event: None, id: None });
    let id = id.unwrap_or(u64::try_from(number).unwrap_or(u64::MAX));
    // Names are words of ours; a line break in one would be an event of its own.
    let event = event.filter(|name| !name.contains(['\r', '\n']));
    let event = event.map(|name| format!("event: {name}\n")).unwrap_or_default();
    format!("id: {id}\n{event}data: {line}\n\n").into()
}

/// A value as a line.
pub(super) fn line<T: Serialize>(value: &T) -> Bytes {
    let mut json = Vec::new();
    push_line(&mut json, value);
    json.into()
}

/// The answer that is these lines.
pub(super) fn answer(lines: BoxStream<'static, Bytes>) -> Response {
    let body = Body::from_stream(lines.map(Ok::<_, Infallible>));
    ([(CONTENT_TYPE, NDJSON)], body).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn text(lines: BoxStream<'static, Bytes>) -> String {
        let lines: Vec<_> = lines.collect().await;
        String::from_utf8(lines.concat()).unwrap()
    }

    #[tokio::test]
    async fn lines_are_events_with_their_names_and_numbers() {
        let lines = [
            line(&Progress::Notice { message: "a\nb".to_owned() }),
            Bytes::from_static(b"\n"),
            Bytes::from_static(b"{\"id\":77,\"text\":\"x\"}\n"),
        ];
        let body = Body::from_stream(stream::iter(lines.map(Ok::<_, Infallible>)));
        assert_eq!(
            text(events(body, 4)).await,
            "id: 5\nevent: notice\ndata: {\"event\":\"notice\",\"message\":\"a\\nb\"}\n\n\
             : keep-alive\n\n\
             id: 77\ndata: {\"id\":77,\"text\":\"x\"}\n\n"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn silence_is_commented() {
        let body = Body::from_stream(stream::pending::<Result<Bytes, Infallible>>());
        let mut events = events(body, 0);
        let begun = tokio::time::Instant::now();
        assert_eq!(events.next().await.unwrap(), ": keep-alive\n\n");
        assert_eq!(begun.elapsed(), KEEP_ALIVE);
    }
}
