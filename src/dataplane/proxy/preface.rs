//! Whether a connection without TLS speaks HTTP/2.
//!
//! HTTP/2 with prior knowledge begins with a preface that is no request of HTTP/1 (RFC 9113, 3.4). Whatever came with the first
//! read is kept in front of the connection, so that looking costs no read that HTTP/1 would not need anyway.

use std::io;

use bytes::BytesMut;
use rustix::net::RecvFlags;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

use crate::http1::ReadAhead;

/// How a connection of HTTP/2 begins.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// What is asked of the kernel at once: more than an ordinary request.
const READ_BYTES: usize = 4 * 1024;

/// Reads until it is clear whether the connection begins with HTTP/2's preface, and tells. Not cancel-safe.
///
/// `None` when the connection had said nothing at the shutdown.
///
/// # Errors
///
/// What the system says. A connection that ends before it says anything is HTTP/1.
pub(super) async fn look(
    mut stream: TcpStream,
    shutdown: &CancellationToken,
) -> io::Result<Option<(ReadAhead<TcpStream>, bool)>> {
    // An idle connection has no buffer yet.
    tokio::select! {
        biased;
        ready = stream.readable() => ready?,
        () = shutdown.cancelled() => if !has_spoken(&stream) { return Ok(None) },
    }
    let mut ahead = BytesMut::with_capacity(READ_BYTES);
    loop {
        let has_ended = stream.read_buf(&mut ahead).await? == 0;
        let length = ahead.len().min(PREFACE.len());
        let is_like_it = ahead[..length] == PREFACE[..length];
        if has_ended || !is_like_it || length == PREFACE.len() {
            let is_http2 = is_like_it && length == PREFACE.len();
            return Ok(Some((ReadAhead::new(ahead, stream), is_http2)));
        }
    }
}

/// Whether the kernel holds something of the other side, whether or not we were told of it.
fn has_spoken(stream: &TcpStream) -> bool {
    rustix::net::recv(stream, &mut [0_u8], RecvFlags::PEEK | RecvFlags::DONTWAIT).is_ok()
}
