//! Clients that make gRPC calls, which go to the app over HTTP/2 and end with trailers.

use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};
use http_body_util::BodyExt as _;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::connection::{Connection, Road};
use super::{Seen, pace};
use crate::support::backend::full;
use crate::support::soon;

/// A message of each call.
const MESSAGE: &[u8] = b"\0\0\0\0\x05hello";

/// Makes one call after the other on one connection, for as long as the proxy keeps it.
pub(super) async fn call(road: Road, stop: CancellationToken) -> Seen {
    let mut seen = Seen::default();
    let mut kept = None;
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
        let since = Instant::now();
        let answer = soon(call_once(&road, &mut connection)).await;
        seen.slowest = seen.slowest.max(since.elapsed());
        if let Some(keeps) = seen.note(answer) {
            seen.done += 1;
            seen.bytes += MESSAGE.len();
            kept = keeps.then_some(connection);
        }
    }
    seen
}

/// Whether another call may follow.
async fn call_once(road: &Road, connection: &mut Connection) -> Result<bool, String> {
    let failed = |error: hyper::Error| format!("{error:?}");
    let mut request = road.request("POST", "/grpc", full(Bytes::from_static(MESSAGE)));
    let headers = request.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    headers.insert(header::TE, HeaderValue::from_static("trailers"));
    let (head, body) = connection.send(request).await.map_err(failed)?.into_parts();
    let body = body.collect().await.map_err(failed)?;
    let status = body.trailers().and_then(|trailers| trailers.get("grpc-status")).cloned();
    let bytes = body.to_bytes();
    if head.status != StatusCode::OK || bytes != MESSAGE || status.is_none_or(|status| status != "0") {
        return Err(format!("{head:?} {bytes:?}"));
    }
    Ok(connection.is_open(&head.headers).await)
}
