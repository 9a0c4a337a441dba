//! Carries bytes between two sockets, both ways, until both directions have ended.
//!
//! A direction holds no buffer while it waits: what is read goes through one buffer of the thread straight into the other
//! socket, and only what that does not take at once is kept. So a connection that is silent costs its two sockets. The end of one
//! direction is passed on while the other goes on (half-close).

use std::cell::RefCell;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rustix::net::Shutdown;
use tokio::net::TcpStream;
use tokio::task::consume_budget;
use tokio::time::{Instant, sleep_until};

use super::super::limits::PORT_BUFFER_BYTES;

thread_local! {
    /// Never held across an `await`.
    static BUFFER: RefCell<Box<[u8]>> = RefCell::new(vec![0; PORT_BUFFER_BYTES].into());
}

/// Two sockets that are one connection.
pub(super) struct Relay<'s> {
    client: &'s TcpStream,
    upstream: &'s TcpStream,
    since: Instant,
    /// When something was last read, in milliseconds after `since`.
    last_ms: AtomicU64,
    bytes_up: AtomicU64,
    bytes_down: AtomicU64,
}

/// What came of one read.
enum Step {
    /// The other side took everything, or there was nothing.
    Again,
    /// The other side did not take this.
    Left(Vec<u8>),
    /// There will be nothing more.
    End,
}

impl<'s> Relay<'s> {
    pub(super) fn new(client: &'s TcpStream, upstream: &'s TcpStream) -> Self {
        Self {
            client,
            upstream,
            since: Instant::now(),
            last_ms: AtomicU64::new(0),
            bytes_up: AtomicU64::new(0),
            bytes_down: AtomicU64::new(0),
        }
    }

    /// Carries until both directions have ended, or one breaks.
    pub(super) async fn carry(&self) -> io::Result<()> {
        let up = self.pump(self.client, self.upstream, &self.bytes_up);
        let down = self.pump(self.upstream, self.client, &self.bytes_down);
        tokio::try_join!(up, down).map(|_| ())
    }

    /// Resolves once nothing was read for so long.
    pub(super) async fn idle(&self, limit: Duration) {
        loop {
            let last = self.since + Duration::from_millis(self.last_ms.load(Ordering::Relaxed));
            let end = last + limit;
            if Instant::now() >= end {
                return;
            }
            sleep_until(end).await;
        }
    }

    /// How many bytes went to the upstream, and to the client.
    pub(super) fn carried(&self) -> (u64, u64) {
        (self.bytes_up.load(Ordering::Relaxed), self.bytes_down.load(Ordering::Relaxed))
    }

    async fn pump(&self, from: &TcpStream, to: &TcpStream, bytes: &AtomicU64) -> io::Result<()> {
        loop {
            from.readable().await?;
            // Sockets that are always ready would keep all others of this thread waiting.
            consume_budget().await;
            match self.step(from, to, bytes)? {
                Step::Again => {}
                Step::Left(left) => write(to, &left).await?,
                Step::End => {
                    // A side that has closed meanwhile needs not be told.
                    let _ = rustix::net::shutdown(to, Shutdown::Write);
                    return Ok(());
                }
            }
        }
    }

    fn step(&self, from: &TcpStream, to: &TcpStream, bytes: &AtomicU64) -> io::Result<Step> {
        BUFFER.with_borrow_mut(|buffer| {
            let count = match from.try_read(buffer) {
                Ok(0) => return Ok(Step::End),
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(Step::Again),
                Err(error) => return Err(error),
            };
            bytes.fetch_add(count as u64, Ordering::Relaxed);
            let elapsed = u64::try_from(self.since.elapsed().as_millis()).unwrap_or(u64::MAX);
            self.last_ms.store(elapsed, Ordering::Relaxed);
            let taken = match to.try_write(&buffer[..count]) {
                Ok(taken) => taken,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
                Err(error) => return Err(error),
            };
            Ok(if taken == count { Step::Again } else { Step::Left(buffer[taken..count].to_vec()) })
        })
    }
}

async fn write(to: &TcpStream, mut left: &[u8]) -> io::Result<()> {
    while !left.is_empty() {
        to.writable().await?;
        match to.try_write(left) {
            Ok(taken) => left = &left[taken..],
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
