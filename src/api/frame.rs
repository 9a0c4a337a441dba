//! What goes over an upgraded connection: frames, both ways.
//!
//! A request with `Connection: Upgrade` and `Upgrade: minipaas-stream` is answered with 101 and the same header, and from then
//! on the connection carries frames. A frame is its kind (one byte), the length of what it holds (four bytes, the most
//! significant first), and that: at most [`PAYLOAD_BYTES_MAX`] bytes.
//!
//! | kind | frame | sent by | holds |
//! |---|---|---|---|
//! | 1 | `Begin` | client | JSON: what is to be done; the first frame |
//! | 2 | `Input` | client | bytes for standard input, or for the port |
//! | 3 | `InputEnd` | client | nothing: there is no more input |
//! | 4 | `Resize` | client | columns and rows, two bytes each, the most significant first |
//! | 5 | `Signal` | client | a signal's name, such as `TERM` |
//! | 16 | `Started` | server | JSON: what was begun; its first frame, unless that is `Failed` |
//! | 17 | `Output` | server | bytes of standard output, of the terminal, or of the port |
//! | 18 | `Errors` | server | bytes of standard error |
//! | 19 | `OutputEnd` | server | nothing: the port sends no more |
//! | 20 | `Exit` | server | the exit code, four bytes; the last frame |
//! | 21 | `Failed` | server | JSON: a [`Failure`](super::Failure); the last frame |
//!
//! A connection that ends without a last frame was cut off. A client that hangs up ends an attached run.

use std::io;

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// The protocol's name in the `Upgrade` header.
pub const PROTOCOL: &str = "minipaas-stream";
/// The most that a frame holds.
pub const PAYLOAD_BYTES_MAX: usize = 64 * 1024;
/// Kind and length.
const HEAD_BYTES: usize = 5;
/// The longest name of a signal.
const SIGNAL_BYTES_MAX: usize = 16;

/// One frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frame {
    /// What is to be done, as JSON.
    Begin(Bytes),
    /// Input.
    Input(Bytes),
    /// There is no more input.
    InputEnd,
    /// The terminal's window has this size.
    Resize {
        /// Its width.
        columns: u16,
        /// Its height.
        rows: u16,
    },
    /// A signal's name, without `SIG`.
    Signal(String),
    /// What was begun, as JSON.
    Started(Bytes),
    /// Output.
    Output(Bytes),
    /// Output to standard error.
    Errors(Bytes),
    /// The port sends no more.
    OutputEnd,
    /// The exit code.
    Exit(i32),
    /// Why it did not work, as JSON.
    Failed(Bytes),
}

/// Why there is no next frame.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// The connection broke, or ended within a frame.
    #[error("the connection broke")]
    Io(#[from] io::Error),
    /// More than a frame may hold.
    #[error("a frame of {0} bytes is longer than {PAYLOAD_BYTES_MAX}")]
    TooLong(usize),
    /// Not one of these frames.
    #[error("a frame of kind {0} is not understood")]
    Unknown(u8),
}

/// Reads frames. Cancel-safe.
#[derive(Debug)]
pub struct FrameReader<R> {
    stream: R,
    buffer: BytesMut,
}

/// Writes frames.
#[derive(Debug)]
pub struct FrameWriter<W> {
    stream: W,
    buffer: BytesMut,
}

impl<R: AsyncRead + Unpin> FrameReader<R> {
    /// Reads from this stream.
    pub fn new(stream: R) -> Self {
        Self { stream, buffer: BytesMut::new() }
    }

    /// The next frame; `None` when the connection ended between two.
    ///
    /// # Errors
    ///
    /// [`FrameError`]; nothing that follows can be read then.
    pub async fn next(&mut self) -> Result<Option<Frame>, FrameError> {
        loop {
            if let Some(frame) = Frame::decode(&mut self.buffer)? {
                return Ok(Some(frame));
            }
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return match self.buffer.is_empty() {
                    true => Ok(None),
                    false => Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
                };
            }
        }
    }
}

impl<W: AsyncWrite + Unpin> FrameWriter<W> {
    /// Writes to this stream.
    pub fn new(stream: W) -> Self {
        Self { stream, buffer: BytesMut::new() }
    }

    /// Writes a frame, and sees that it is sent; bytes that are more than one may hold become several. Should this be dropped
    /// before it is done, the next one begins with what is left.
    ///
    /// # Errors
    ///
    /// When the connection broke.
    pub async fn send(&mut self, frame: Frame) -> io::Result<()> {
        frame.encode(&mut self.buffer);
        self.stream.write_all_buf(&mut self.buffer).await?;
        self.stream.flush().await
    }

    /// Ends the connection in good order.
    ///
    /// # Errors
    ///
    /// When it broke before.
    pub async fn finish(&mut self) -> io::Result<()> {
        self.stream.shutdown().await
    }
}

impl Frame {
    fn kind(&self) -> u8 {
        match self {
            Self::Begin(_) => 1,
            Self::Input(_) => 2,
            Self::InputEnd => 3,
            Self::Resize { .. } => 4,
            Self::Signal(_) => 5,
            Self::Started(_) => 16,
            Self::Output(_) => 17,
            Self::Errors(_) => 18,
            Self::OutputEnd => 19,
            Self::Exit(_) => 20,
            Self::Failed(_) => 21,
        }
    }

    fn encode(self, buffer: &mut BytesMut) {
        let kind = self.kind();
        match self {
            Self::Input(bytes) | Self::Output(bytes) | Self::Errors(bytes) => {
                bytes.chunks(PAYLOAD_BYTES_MAX).for_each(|piece| put(buffer, kind, piece));
            }
            Self::Begin(bytes) | Self::Started(bytes) | Self::Failed(bytes) => put(buffer, kind, &bytes),
            Self::InputEnd | Self::OutputEnd => put(buffer, kind, &[]),
            Self::Resize { columns, rows } => {
                put(buffer, kind, &[columns.to_be_bytes(), rows.to_be_bytes()].concat());
            }
            Self::Signal(name) => put(buffer, kind, name.as_bytes()),
            Self::Exit(code) => put(buffer, kind, &code.to_be_bytes()),
        }
    }

    /// Takes a whole frame off the buffer's beginning; `None` when there is none yet.
    fn decode(buffer: &mut BytesMut) -> Result<Option<Self>, FrameError> {
        let Some(head) = buffer.get(..HEAD_BYTES) else { return Ok(None) };
        let kind = head[0];
        let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]) as usize;
        if length > PAYLOAD_BYTES_MAX {
            return Err(FrameError::TooLong(length));
        }
        if buffer.len() < HEAD_BYTES + length {
            return Ok(None);
        }
        buffer.advance(HEAD_BYTES);
        let mut bytes = buffer.split_to(length).freeze();
        let unknown = || FrameError::Unknown(kind);
        Ok(Some(match (kind, length) {
            (1, _) => Self::Begin(bytes),
            (2, _) => Self::Input(bytes),
            (3, 0) => Self::InputEnd,
            (4, 4) => Self::Resize { columns: bytes.get_u16(), rows: bytes.get_u16() },
            (5, 1..=SIGNAL_BYTES_MAX) => {
                Self::Signal(String::from_utf8(bytes.into()).map_err(|_| unknown())?)
            }
            (16, _) => Self::Started(bytes),
            (17, _) => Self::Output(bytes),
            (18, _) => Self::Errors(bytes),
            (19, 0) => Self::OutputEnd,
            (20, 4) => Self::Exit(bytes.get_i32()),
            (21, _) => Self::Failed(bytes),
            _ => return Err(unknown()),
        }))
    }
}

fn put(buffer: &mut BytesMut, kind: u8, payload: &[u8]) {
    buffer.reserve(HEAD_BYTES + payload.len());
    buffer.put_u8(kind);
    buffer.put_u32(u32::try_from(payload.len()).unwrap_or(u32::MAX));
    buffer.put_slice(payload);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn every_frame() -> Vec<Frame> {
        let bytes = || Bytes::from_static(b"{}");
        vec![
            Frame::Begin(bytes()),
            Frame::Input(bytes()),
            Frame::InputEnd,
            Frame::Resize { columns: 300, rows: 2 },
            Frame::Signal("TERM".to_owned()),
            Frame::Started(bytes()),
            Frame::Output(bytes()),
            Frame::Errors(bytes()),
            Frame::OutputEnd,
            Frame::Exit(-7),
            Frame::Failed(bytes()),
        ]
    }

    #[tokio::test]
    async fn every_frame_reads_back_however_it_is_cut() {
        for cut in [1, 2, 3, 7, 4096] {
            let (here, there) = tokio::io::duplex(cut);
            let writing = tokio::spawn(async move {
                let mut writer = FrameWriter::new(here);
                for frame in every_frame() {
                    writer.send(frame).await.unwrap();
                }
                writer.finish().await.unwrap();
            });
            let mut reader = FrameReader::new(there);
            for frame in every_frame() {
                assert_eq!(reader.next().await.unwrap(), Some(frame));
            }
            assert_eq!(reader.next().await.unwrap(), None);
            writing.await.unwrap();
        }
    }

    #[tokio::test]
    async fn many_bytes_are_several_frames() {
        let (here, there) = tokio::io::duplex(1024 * 1024);
        let bytes = Bytes::from(vec![b'x'; PAYLOAD_BYTES_MAX + 1]);
        FrameWriter::new(here).send(Frame::Output(bytes)).await.unwrap();
        let mut reader = FrameReader::new(there);
        let lengths = [reader.next().await.unwrap(), reader.next().await.unwrap()].map(|frame| match frame {
            Some(Frame::Output(bytes)) => bytes.len(),
            other => panic!("{other:?}"),
        });
        assert_eq!(lengths, [PAYLOAD_BYTES_MAX, 1]);
    }

    async fn error_of(bytes: &[u8]) -> String {
        let error = FrameReader::new(bytes).next().await.unwrap_err();
        error.to_string()
    }

    #[tokio::test]
    async fn what_is_no_frame_ends_it() {
        assert_eq!(error_of(b"\x02\xff\0\0\0").await, "a frame of 4278190080 bytes is longer than 65536");
        assert_eq!(error_of(b"\x63\0\0\0\0").await, "a frame of kind 99 is not understood");
        assert_eq!(error_of(b"\x04\0\0\0\x01x").await, "a frame of kind 4 is not understood");
        assert_eq!(error_of(b"\x05\0\0\0\x01\xff").await, "a frame of kind 5 is not understood");
        assert_eq!(error_of(b"\x02\0\0\0\x09half").await, "the connection broke");
    }
}
