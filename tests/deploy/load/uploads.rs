//! Clients that send a body, and compare what the app says of it.

use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use http::{Request, StatusCode, header};
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::Frame;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use super::connection::{Connection, Road};
use super::{Seen, pace};
use crate::support::backend::AnyBody;
use crate::support::soon;

const PIECES: usize = 10;
const PIECE_BYTES: usize = 32 * 1024;
/// Between two pieces of a slow upload: one takes half a second, and meets a deploy now and then.
const SLOW_PACE: Duration = Duration::from_millis(50);
/// Between two uploads of one client, in turns of a client that asks. The app adds up each byte in a debug build.
const TURNS: u32 = 10;

/// Sends one upload after the other. Every other client is slow.
pub(super) async fn send(road: Road, has_length: bool, number: usize, stop: CancellationToken) -> Seen {
    let pause = (number % 2 == 1).then_some(SLOW_PACE);
    let pieces: Vec<_> = (0..PIECES).map(|index| piece(number * PIECES + index)).collect();
    let expected = format!("bytes={} sum={}\n", PIECES * PIECE_BYTES, sum(&pieces));
    let mut seen = Seen::default();
    let mut kept = None;
    let mut turns = tokio::time::interval(pace() * TURNS);
    turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while !stop.is_cancelled() {
        turns.tick().await;
        let mut connection = match kept.take() {
            Some(connection) => connection,
            None => {
                seen.connections += 1;
                road.connect().await
            }
        };
        let since = Instant::now();
        let mut request = road.request("POST", "/upload", body(pieces.clone(), pause));
        if has_length {
            request.headers_mut().insert(header::CONTENT_LENGTH, (PIECES * PIECE_BYTES).into());
        }
        let answer = soon(send_once(&mut connection, request, &expected)).await;
        seen.slowest = seen.slowest.max(since.elapsed());
        let answer = answer.map_err(|failure| format!("after {:.2?}: {failure}", since.elapsed()));
        if let Some(keeps) = seen.note(answer) {
            seen.done += 1;
            seen.bytes += PIECES * PIECE_BYTES;
            kept = keeps.then_some(connection);
        }
    }
    seen
}

/// Whether another request may follow.
async fn send_once(
    connection: &mut Connection,
    request: Request<AnyBody>,
    expected: &str,
) -> Result<bool, String> {
    let failed = |error: hyper::Error| format!("{error:?}");
    let response = connection.send(request).await.map_err(failed)?;
    let (head, body) = response.into_parts();
    let body = body.collect().await.map_err(failed)?.to_bytes();
    if head.status != StatusCode::OK || body != expected {
        return Err(format!("{head:?} {body:?}, expected {expected:?}"));
    }
    Ok(connection.is_open(&head.headers).await)
}

/// Bytes that no other piece has.
fn piece(seed: usize) -> Bytes {
    let word = (seed as u64).wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    word.to_le_bytes().repeat(PIECE_BYTES / size_of::<u64>()).into()
}

/// As the test app adds up.
fn sum(pieces: &[Bytes]) -> u32 {
    let bytes = pieces.iter().flatten();
    bytes.fold(0, |sum: u32, byte| sum.wrapping_mul(31).wrapping_add((*byte).into()))
}

fn body(pieces: Vec<Bytes>, pause: Option<Duration>) -> AnyBody {
    let turns = pause.map(tokio::time::interval);
    let pieces = stream::unfold((pieces.into_iter(), turns), |(mut pieces, mut turns)| async move {
        let piece = pieces.next()?;
        if let Some(turns) = &mut turns {
            turns.tick().await;
        }
        Some((Ok::<_, Infallible>(Frame::data(piece)), (pieces, turns)))
    });
    StreamBody::new(pieces).boxed()
}
