//! A body of JSON values, one a line, as a stream.
//!
//! A value is given out as soon as its line is complete. Empty lines are skipped: a daemon may send one to see whether its
//! client is still there. After an error the stream ends.

use bytes::{Buf as _, BytesMut};
use futures_util::StreamExt as _;
use futures_util::stream::{self, BoxStream};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use serde::de::DeserializeOwned;
use tokio_util::task::AbortOnDropHandle;

use super::ClientError;
use super::answer::RequestName;
use crate::api::Progress;

/// The longest line; a container's own lines are cut at 16 KiB by Docker.
const LINE_BYTES_MAX: usize = 1 << 20;

struct Lines {
    request: RequestName,
    body: Incoming,
    buffer: BytesMut,
    /// Ends the connection when the stream is dropped.
    _connection: AbortOnDropHandle<()>,
}

/// The values of `body`.
pub(super) fn lines<T: DeserializeOwned + Send + 'static>(
    request: RequestName,
    body: Incoming,
    connection: AbortOnDropHandle<()>,
) -> BoxStream<'static, Result<T, ClientError>> {
    let lines = Lines { request, body, buffer: BytesMut::new(), _connection: connection };
    stream::unfold(Some(lines), |lines| async move {
        let mut lines = lines?;
        let item = lines.next().await?;
        let rest = item.is_ok().then_some(lines);
        Some((item, rest))
    })
    .boxed()
}

impl Lines {
    async fn next<T: DeserializeOwned>(&mut self) -> Option<Result<T, ClientError>> {
        loop {
            if let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
                let line = self.buffer.split_to(end);
                self.buffer.advance(1);
                if line.trim_ascii().is_empty() {
                    continue;
                }
                return Some(serde_json::from_slice(&line).map_err(|error| {
                    // Any stream may end so.
                    match serde_json::from_slice::<Progress>(&line) {
                        Ok(Progress::Failed { failure }) => ClientError::Failed(failure),
                        _ => self.request.protocol(error.to_string()),
                    }
                }));
            }
            if self.buffer.len() > LINE_BYTES_MAX {
                let problem = format!("a line has more than {LINE_BYTES_MAX} bytes");
                return Some(Err(self.request.protocol(problem)));
            }
            match self.body.frame().await {
                Some(Ok(frame)) => self.buffer.extend(frame.into_data().ok()),
                Some(Err(error)) => return Some(Err(self.request.cut_off(Some(error)))),
                None if self.buffer.is_empty() => return None,
                None => return Some(Err(self.request.cut_off(None))),
            }
        }
    }
}
