//! A build context on its way to the daemon: the archive is made while it is sent.
//!
//! Files are read on a blocking thread, which waits whenever the daemon does: between the two are at most
//! [`CHUNKS_MAX`] chunks, so an upload takes the same memory whatever its size. When the receiver is gone the thread's next
//! write fails, and it ends.

use std::io::{self, BufWriter, Write};

use bytes::Bytes;
use futures_util::stream::{self, StreamExt as _};
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::Frame;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::{Body, ClientError, ProgressStream};
use crate::builder::context::{Context, ContextError};

/// Large enough that a file's chunks outweigh what each costs.
const CHUNK_BYTES: usize = 64 * 1024;
/// Chunks between the disk and the socket: 1 MiB.
const CHUNKS_MAX: usize = 16;

/// The thread that makes the archive.
pub(super) type Writing = JoinHandle<Result<(), ContextError>>;

/// Writes what it is given to a channel.
struct ChannelWriter {
    tx: mpsc::Sender<io::Result<Bytes>>,
}

/// The context's archive as a body, and how making it ended.
pub(super) fn archive(context: Context) -> (Body, Writing) {
    let (tx, rx) = mpsc::channel(CHUNKS_MAX);
    let writing = tokio::task::spawn_blocking(move || {
        let writer = BufWriter::with_capacity(CHUNK_BYTES, ChannelWriter { tx: tx.clone() });
        let written = context
            .write_tar(writer)
            .and_then(|mut writer| writer.flush().map_err(|source| ContextError::Write { source }));
        if written.is_err() {
            // Without this the archive would seem complete. Nobody listens if the connection is what failed.
            let _ = tx.blocking_send(Err(io::Error::other("the archive is incomplete")));
        }
        written
    });
    let chunks = stream::unfold(rx, |mut rx| async move { Some((rx.recv().await?, rx)) });
    let body = StreamBody::new(chunks.map(|chunk| chunk.map(Frame::data)));
    (Body::Stream(body.boxed_unsync()), writing)
}

/// The same stream; when the archive was the reason for an error, the error says so.
pub(super) fn blaming(progress: ProgressStream, writing: Writing) -> ProgressStream {
    stream::unfold((progress, Some(writing)), |(mut progress, mut writing)| async move {
        let item = match (progress.next().await?, writing.take()) {
            (Err(error), Some(writing)) => Err(blame(error, writing).await),
            (item, kept) => {
                writing = kept;
                item
            }
        };
        Some((item, (progress, writing)))
    })
    .boxed()
}

/// The reason that making the archive failed; `error` when it did not, or only because nobody took it.
pub(super) async fn blame(error: ClientError, writing: Writing) -> ClientError {
    // An answer from the daemon is a better reason than any, and may come while the archive is still being made.
    if !matches!(error, ClientError::CutOff { .. }) {
        return error;
    }
    match writing.await {
        Ok(Err(ContextError::Write { .. }) | Ok(())) | Err(_) => error,
        Ok(Err(reason)) => ClientError::Upload(reason),
    }
}

impl Write for ChannelWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let chunk = Bytes::copy_from_slice(bytes);
        self.tx.blocking_send(Ok(chunk)).map_err(|_| io::ErrorKind::BrokenPipe)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
