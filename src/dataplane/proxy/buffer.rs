//! Bodies that are collected before they are passed on, so that neither side waits for the other.
//!
//! [`collect`] keeps the first 64 KiB in memory and puts the rest into a file that has no name, so that it is gone with the
//! process whatever happens. What it gives back is a body again: whole, with a known length; or begun, when there was more than
//! was to be kept, and then followed by what is still to come.
//!
//! It sets no limit of time and knows neither requests nor responses.

use std::collections::VecDeque;
use std::fs::File as StdFile;
use std::io::{self, SeekFrom};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_util::Stream;
use http::HeaderMap;
use http_body_util::BodyExt;
use hyper::body::{Body, Frame, SizeHint};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use tokio::fs::File;
use tokio::io::{AsyncSeekExt, AsyncWriteExt};
use tokio_util::io::ReaderStream;

use super::limits::SPOOL_MEMORY_BYTES_MAX;
use crate::http1::{AnyBody, BodyError};
use crate::random;

/// How much is read from the file at once.
const READ_BYTES: usize = 64 * 1024;

/// What was collected.
#[derive(Debug)]
pub(super) enum Collected {
    /// All of the body.
    Whole(Buffered),
    /// As much as was to be kept, and more follows.
    Begun(Buffered),
}

/// Why a body could not be collected.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    /// The body failed.
    #[error("the body broke off")]
    Body(#[source] BodyError),
    /// The disk failed.
    #[error("the body could not be kept on disk")]
    Spool(#[source] io::Error),
}

/// A body that was collected.
#[derive(Debug)]
pub(super) struct Buffered {
    memory: VecDeque<Bytes>,
    file: Option<ReaderStream<File>>,
    /// What has not been collected.
    rest: Option<AnyBody>,
    trailers: Option<HeaderMap>,
    /// Bytes in memory and file that were not passed on.
    left: u64,
}

/// A body as it is collected.
#[derive(Default)]
struct Spool {
    memory: VecDeque<Bytes>,
    file: Option<File>,
    length: u64,
}

/// Collects a body, at most `max` bytes of it and the piece that goes beyond.
///
/// # Errors
///
/// [`Error`], for the body's part and for the disk's.
pub(super) async fn collect(mut body: AnyBody, max: u64) -> Result<Collected, Error> {
    let mut spool = Spool::default();
    let mut trailers = None;
    while spool.length <= max {
        match body.frame().await.transpose().map_err(Error::Body)? {
            None => return Ok(Collected::Whole(spool.finish(None, trailers).await?)),
            Some(frame) => match frame.into_data() {
                Ok(data) => spool.push(data).await?,
                Err(frame) => trailers = frame.into_trailers().ok(),
            },
        }
    }
    Ok(Collected::Begun(spool.finish(Some(body), trailers).await?))
}

impl Buffered {
    /// How many bytes there are; `None` when more follow, or trailers, which only a body without a length can have.
    pub(super) fn length(&self) -> Option<u64> {
        (self.rest.is_none() && self.trailers.is_none()).then_some(self.left)
    }
}

impl Body for Buffered {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = &mut *self;
        if let Some(data) = this.memory.pop_front() {
            this.left -= data.len() as u64;
            return Poll::Ready(Some(Ok(Frame::data(data))));
        }
        if let Some(file) = &mut this.file {
            match ready!(Pin::new(file).poll_next(cx)) {
                Some(Ok(data)) => {
                    this.left = this.left.saturating_sub(data.len() as u64);
                    return Poll::Ready(Some(Ok(Frame::data(data))));
                }
                Some(Err(error)) => return Poll::Ready(Some(Err(error.into()))),
                None => this.file = None,
            }
        }
        if let Some(rest) = &mut this.rest {
            return Pin::new(rest).poll_frame(cx);
        }
        Poll::Ready(this.trailers.take().map(|trailers| Ok(Frame::trailers(trailers))))
    }

    fn is_end_stream(&self) -> bool {
        self.length() == Some(0) && self.memory.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        if self.rest.is_some() { SizeHint::default() } else { SizeHint::with_exact(self.left) }
    }
}

impl Spool {
    async fn push(&mut self, data: Bytes) -> Result<(), Error> {
        self.length += data.len() as u64;
        if self.file.is_none() && self.length <= SPOOL_MEMORY_BYTES_MAX {
            self.memory.push_back(data);
            return Ok(());
        }
        if self.file.is_none() {
            self.file = Some(open().await.map_err(Error::Spool)?);
        }
        let file = self.file.as_mut().expect("it was opened above");
        file.write_all(&data).await.map_err(Error::Spool)
    }

    async fn finish(self, rest: Option<AnyBody>, trailers: Option<HeaderMap>) -> Result<Buffered, Error> {
        let file = match self.file {
            Some(mut file) => {
                let rewound = async { file.flush().await.and(file.seek(SeekFrom::Start(0)).await) };
                rewound.await.map_err(Error::Spool)?;
                Some(ReaderStream::with_capacity(file, READ_BYTES))
            }
            None => None,
        };
        Ok(Buffered { memory: self.memory, file, rest, trailers, left: self.length })
    }
}

/// A file without a name in the directory for temporary files.
async fn open() -> io::Result<File> {
    let opened = tokio::task::spawn_blocking(|| {
        let directory = std::env::temp_dir();
        let (flags, mode) = (OFlags::RDWR | OFlags::CLOEXEC, Mode::RUSR | Mode::WUSR);
        match rustix::fs::open(&directory, flags | OFlags::TMPFILE, mode) {
            Ok(file) => Ok(StdFile::from(file)),
            // Some file systems cannot; there it has a name for a moment.
            Err(Errno::OPNOTSUPP | Errno::ISDIR) => {
                let path = directory.join(format!("minipaas-{:08x}{:08x}", random::bits(), random::bits()));
                let file = rustix::fs::open(&path, flags | OFlags::CREATE | OFlags::EXCL, mode)?;
                std::fs::remove_file(&path)?;
                Ok(StdFile::from(file))
            }
            Err(error) => Err(io::Error::from(error)),
        }
    });
    opened.await.map_err(io::Error::other)?.map(File::from_std)
}

#[cfg(test)]
mod tests {
    use http_body_util::{Full, StreamBody};

    use super::*;
    use crate::http1::any;

    fn body(pieces: Vec<Frame<Bytes>>) -> AnyBody {
        any(StreamBody::new(futures_util::stream::iter(pieces.into_iter().map(Ok::<_, BodyError>))))
    }

    fn pieces(count: usize) -> Vec<Frame<Bytes>> {
        (0..count).map(|n| Frame::data(Bytes::from(vec![n as u8; 10_000]))).collect()
    }

    #[tokio::test]
    async fn what_comes_out_is_what_went_in() {
        for count in [0, 1, 6, 7, 40] {
            let Collected::Whole(buffered) = collect(body(pieces(count)), u64::MAX).await.unwrap() else {
                panic!("{count} pieces are not whole");
            };
            assert_eq!(buffered.file.is_some(), count > 6, "{count}");
            assert_eq!(buffered.length(), Some(count as u64 * 10_000));
            let expected: Vec<u8> = (0..count).flat_map(|n| vec![n as u8; 10_000]).collect();
            assert_eq!(buffered.collect().await.unwrap().to_bytes(), expected, "{count}");
        }
    }

    #[tokio::test]
    async fn what_is_too_much_is_passed_on_as_it_comes() {
        let Collected::Begun(begun) = collect(body(pieces(40)), 100_000).await.unwrap() else {
            panic!("it is whole");
        };
        assert_eq!((begun.left, begun.length()), (110_000, None));
        assert_eq!(begun.collect().await.unwrap().to_bytes().len(), 400_000);
    }

    #[tokio::test]
    async fn trailers_stay_at_the_end() {
        let trailers = HeaderMap::from_iter([(http::header::ETAG, http::HeaderValue::from_static("x"))]);
        let mut frames = pieces(1);
        frames.push(Frame::trailers(trailers.clone()));
        let Collected::Whole(buffered) = collect(body(frames), u64::MAX).await.unwrap() else { panic!() };
        assert_eq!(buffered.length(), None);
        assert_eq!(buffered.collect().await.unwrap().trailers(), Some(&trailers));
        let Collected::Whole(empty) = collect(any(Full::new(Bytes::new())), 0).await.unwrap() else {
            panic!()
        };
        assert!(empty.is_end_stream());
    }
}
