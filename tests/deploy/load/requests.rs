//! Clients that ask on one connection, again and again.

use futures_util::future::join_all;
use http::StatusCode;
use http_body_util::BodyExt as _;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::connection::{Connection, Road, empty};
use super::{Seen, pace};
use crate::support::soon;

/// Asks `at_once` times at every turn, which takes h2 where it is more than once, for as long as the proxy keeps the
/// connection.
pub(super) async fn ask(road: Road, at_once: usize, stop: CancellationToken) -> Seen {
    let mut seen = Seen::default();
    let mut kept: Option<Vec<Connection>> = None;
    let mut turns = tokio::time::interval(pace());
    while !stop.is_cancelled() {
        turns.tick().await;
        let mut handles = match kept.take() {
            Some(handles) => handles,
            None => {
                seen.connections += 1;
                road.connect().await.handles(at_once)
            }
        };
        let since = Instant::now();
        let answers = join_all(handles.iter_mut().map(|handle| soon(ask_once(&road, handle)))).await;
        seen.slowest = seen.slowest.max(since.elapsed());
        let mut is_open = true;
        for answer in answers {
            match seen.note(answer) {
                Some((bytes, keeps)) => {
                    seen.done += 1;
                    seen.bytes += bytes;
                    is_open &= keeps;
                }
                None => is_open = false,
            }
        }
        kept = is_open.then_some(handles);
    }
    seen
}

/// How long the answer was, and whether another request may follow.
async fn ask_once(road: &Road, connection: &mut Connection) -> Result<(usize, bool), String> {
    let failed = |error: hyper::Error| format!("{error:?}");
    let response = connection.send(road.request("GET", "/", empty())).await.map_err(failed)?;
    let (head, body) = response.into_parts();
    let body = body.collect().await.map_err(failed)?.to_bytes();
    if head.status != StatusCode::OK || !body.starts_with(b"version=") {
        return Err(format!("{head:?} {body:?}"));
    }
    Ok((body.len(), connection.is_open(&head.headers).await))
}
