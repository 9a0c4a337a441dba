//! Clients that follow one event stream after the other.

use std::time::SystemTime;

use http::{HeaderMap, StatusCode, header};
use http_body_util::BodyExt as _;
use tokio_util::sync::CancellationToken;

use super::connection::{Connection, Road, empty};
use super::{Ended, How, Seen, pace};
use crate::support::soon;

/// Follows streams until it is we who stop. A stream that ended in order leaves its connection for the next one, on h2 one
/// that broke off, too.
pub(super) async fn listen(road: Road, stop: CancellationToken) -> Seen {
    let mut seen = Seen::default();
    let mut kept = None;
    let mut before = 0;
    let mut turns = tokio::time::interval(pace());
    while !stop.is_cancelled() {
        turns.tick().await;
        let mut connection = match kept.take() {
            Some(connection) => connection,
            None => {
                seen.connections += 1;
                road.connect().await
            }
        };
        let followed = follow(&road, &mut connection, &stop, &mut seen).await;
        let Some(Some((ended, head))) = seen.note(followed) else { continue };
        let version = ended.version.parse::<usize>().expect("a number");
        if version <= before {
            seen.failures.push(format!("back at v{version} after v{before}"));
        }
        before = version;
        if (ended.how == How::Complete || road.is_h2) && connection.is_open(&head).await {
            kept = Some(connection);
        }
        seen.ended.push(ended);
    }
    seen
}

/// Follows one stream to its end; `None` when it is we who stop.
async fn follow(
    road: &Road,
    connection: &mut Connection,
    stop: &CancellationToken,
    seen: &mut Seen,
) -> Result<Option<(Ended, HeaderMap)>, String> {
    let request = road.request("GET", "/sse", empty());
    let response = soon(connection.send(request)).await.map_err(|error| format!("{error:?}"))?;
    let (head, mut body) = response.into_parts();
    let kind = head.headers.get(header::CONTENT_TYPE);
    let version = head.headers.get("x-version").and_then(|value| value.to_str().ok());
    let (StatusCode::OK, Some(version)) = (head.status, version) else { return Err(format!("{head:?}")) };
    if kind.is_none_or(|kind| kind != "text/event-stream") {
        return Err(format!("{head:?}"));
    }
    let mut unread = String::new();
    let mut next = 1;
    let how = loop {
        let frame = tokio::select! {
            () = stop.cancelled() => return Ok(None),
            frame = soon(body.frame()) => frame,
        };
        let data = match frame {
            Some(Ok(frame)) => frame.into_data().map_err(|frame| format!("{frame:?}"))?,
            Some(Err(_)) => break How::Broken,
            None if unread.is_empty() => break How::Complete,
            None => return Err(format!("ended within an event: {unread:?}")),
        };
        seen.bytes += data.len();
        unread.push_str(std::str::from_utf8(&data).map_err(|error| error.to_string())?);
        while let Some((event, rest)) = unread.split_once("\n\n") {
            if event != format!("data: tick {next}") {
                return Err(format!("{event:?} where tick {next} comes"));
            }
            next += 1;
            seen.done += 1;
            unread = rest.to_owned();
        }
    };
    let ended = Ended { version: version.to_owned(), how, at: SystemTime::now() };
    Ok(Some((ended, head.headers)))
}
