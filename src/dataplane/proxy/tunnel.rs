//! A connection that changed its protocol: bytes both ways, until both sides have ended.
//!
//! # Theory of operation
//!
//! Each direction has one buffer and copies by itself, so one that is slow holds up only itself; the end of one is passed on
//! while the other goes on (half-close). For WebSockets both follow the frame headers, so as never to cut one silently:
//!
//! - The upstream ends between two frames without a close frame: the client gets Close 1001 before the end.
//! - The upstream is drained, or the proxy stops: at its next frame boundary the upstream's direction says Close 1001 to the
//!   client and drops what comes after. The client's direction goes on, so what the client had already sent still arrives, and
//!   its own Close is passed on as the upstream's. If it does not come in time the upstream gets a masked Close 1001 from us.
//!   Each side so sees one whole closing handshake.
//!
//! Once one direction of a WebSocket has ended the other has the same time to follow. Other protocols are cut at the farewell,
//! since nobody knows their words.
//!
//! What this module does not do: it reads no payload, and has no idle limit; clients that vanish are found by TCP keep-alive.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, split};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::debug;

use super::access::Entry;
use super::exchange::Peer;
use super::frames::{CLOSE_GOING_AWAY, Frames, masked_close};
use super::limits::{LAST_WORDS_TIME_MAX, TUNNEL_BUFFER_BYTES};
use crate::http1::Switched;
use crate::http1::server::Takeover;
use crate::traffic::Upgraded;

/// Two connections about to become one.
#[derive(Debug)]
pub(super) struct Tunnel {
    pub downstream: Downstream,
    pub upstream: Switched,
    pub is_websocket: bool,
    /// Uncounts when the tunnel has ended.
    pub counted: Upgraded,
    pub peer: Arc<Peer>,
    /// Written to the log when the tunnel has ended.
    pub entry: Entry,
}

/// A client's connection, once its protocol was changed.
#[derive(Debug)]
pub(super) enum Downstream {
    /// A whole connection.
    Http1(Takeover),
    /// One stream of a connection.
    Http2(OnUpgrade),
}

/// Whatever carries bytes both ways.
trait Carrier: AsyncRead + AsyncWrite + Unpin + Send {}

impl<C: AsyncRead + AsyncWrite + Unpin + Send> Carrier for C {}

/// When the two directions of a tunnel are to end.
#[derive(Debug, Default)]
struct Ends {
    /// Cancelled when a goodbye is to be said.
    leave: CancellationToken,
    /// Cancelled when there is no more time for the client's goodbye.
    late: CancellationToken,
    /// Cancelled when one direction has ended.
    half: CancellationToken,
}

impl Tunnel {
    /// Carries bytes until both sides have ended or the tunnel is to close.
    pub(super) async fn run(mut self) {
        let farewell = self.counted.upstream().farewell();
        let proxy = Arc::clone(&self.peer.proxy.0);
        let asked = async {
            tokio::select! {
                () = farewell.cancelled() => {}
                () = self.peer.shutdown.cancelled() => {}
            }
        };
        let downstream = match proxy.cut.run_until_cancelled(self.downstream.taken()).await {
            Some(Ok(downstream)) => downstream,
            Some(Err(error)) => return debug!(error = &error as &dyn std::error::Error, "no tunnel"),
            None => return,
        };
        let last_words = self.is_websocket.then(|| masked_close(&self.entry.id));
        let carry = carry(
            downstream,
            self.upstream,
            last_words,
            asked,
            proxy.config.timeouts.close,
            &mut self.entry.bytes,
        );
        proxy.cut.run_until_cancelled(carry).await;
    }
}

impl Downstream {
    async fn taken(self) -> io::Result<Box<dyn Carrier>> {
        Ok(match self {
            Self::Http1(takeover) => Box::new(takeover.taken().await?),
            Self::Http2(upgrade) => Box::new(TokioIo::new(upgrade.await.map_err(io::Error::other)?)),
        })
    }
}

/// Carries bytes both ways. `last_words` is the close frame for the upstream, there for WebSockets alone; `asked` resolves
/// when the tunnel is to close.
async fn carry(
    downstream: impl AsyncRead + AsyncWrite,
    upstream: impl AsyncRead + AsyncWrite,
    last_words: Option<[u8; 8]>,
    asked: impl Future<Output = ()>,
    close_timeout: Duration,
    bytes_down: &mut u64,
) {
    let ends = Ends::default();
    let (from_client, to_client) = split(downstream);
    let (from_upstream, to_upstream) = split(upstream);
    let down = async {
        let result = carry_down(from_upstream, to_client, last_words.is_some(), &ends, bytes_down).await;
        ends.half.cancel();
        result
    };
    let up = async {
        let result = carry_up(from_client, to_upstream, last_words, &ends).await;
        ends.half.cancel();
        result
    };
    let limit = async {
        let is_half = tokio::select! {
            () = asked => false,
            () = ends.half.cancelled(), if last_words.is_some() => true,
        };
        if last_words.is_none() {
            return;
        }
        if !is_half {
            ends.leave.cancel();
        }
        sleep(close_timeout).await;
        ends.late.cancel();
        sleep(LAST_WORDS_TIME_MAX).await;
    };
    tokio::select! {
        (down, up) = async { tokio::join!(down, up) } => {
            if let Err(error) = down.and(up) {
                debug!(error = &error as &dyn std::error::Error, "tunnel broke");
            }
        }
        () = limit => debug!("tunnel was cut"),
    }
}

/// Copies what the upstream sends.
async fn carry_down(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    is_websocket: bool,
    ends: &Ends,
    bytes: &mut u64,
) -> io::Result<()> {
    let mut frames = is_websocket.then(Frames::default);
    let takes_close = |frames: &Option<Frames>| frames.as_ref().is_some_and(Frames::takes_close);
    let mut buffer = vec![0; TUNNEL_BUFFER_BYTES];
    let mut has_left = false;
    loop {
        let read = tokio::select! {
            biased;
            () = ends.leave.cancelled(), if !has_left && takes_close(&frames) => {
                has_left = true;
                write(&mut to, &CLOSE_GOING_AWAY).await?;
                continue;
            }
            read = from.read(&mut buffer) => read,
        };
        // To the client, an upstream that breaks ends.
        let count = read.unwrap_or(0);
        if count == 0 {
            if !has_left && takes_close(&frames) {
                write(&mut to, &CLOSE_GOING_AWAY).await?;
            }
            return to.shutdown().await;
        }
        if has_left {
            continue;
        }
        let mut piece = &buffer[..count];
        if let Some(frames) = &mut frames {
            if ends.leave.is_cancelled() {
                piece = &piece[..frames.next_boundary(piece).unwrap_or(count)];
            } else {
                frames.follow(piece);
            }
        }
        write(&mut to, piece).await?;
        *bytes += piece.len() as u64;
    }
}

/// Copies what the client sends.
async fn carry_up(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    last_words: Option<[u8; 8]>,
    ends: &Ends,
) -> io::Result<()> {
    let mut frames = Frames::default();
    let mut buffer = vec![0; TUNNEL_BUFFER_BYTES];
    let mut result = Ok(());
    loop {
        let read = tokio::select! {
            biased;
            () = ends.late.cancelled() => {
                if let Some(close) = last_words.filter(|_| frames.takes_close()) {
                    write(&mut to, &close).await?;
                }
                return to.shutdown().await;
            }
            read = from.read(&mut buffer) => read,
        };
        let count = read.unwrap_or(0);
        if count == 0 {
            return result.and(to.shutdown().await);
        }
        // An upstream that takes no more may still be sending; and a client's socket that is closed before all is read from
        // it is reset, which would take away the last words on their way to the client.
        if result.is_ok() {
            if last_words.is_some() {
                frames.follow(&buffer[..count]);
            }
            result = write(&mut to, &buffer[..count]).await;
        }
    }
}

async fn write(to: &mut (impl AsyncWrite + Unpin), bytes: &[u8]) -> io::Result<()> {
    to.write_all(bytes).await?;
    // TLS keeps what the socket did not take.
    to.flush().await
}
