//! HTTP/2 towards upstreams, without TLS and with prior knowledge (RFC 9113, 3.3): few connections, many exchanges on each.
//!
//! # Theory of operation
//!
//! [`Connections`] are those to one upstream. [`Connections::open`] gives an exchange a [`Stream`] on the first of them that
//! has a place left, so one is used as long as it is enough. A connection that is not there yet is dialled by a task, once,
//! however many wait for it; all of them share how that ends. hyper drives each connection in a task of its own, and notices
//! there when the upstream closes it or says GOAWAY: the next exchange dials again.
//!
//! `stream` is one exchange, `upload` the body that it sends, [`ResponseBody`] the one that it gets.
//!
//! Every stream's window is a share of its connection's, so that clients who do not read cannot stop the others.
//!
//! What this module does not do: it retries nothing and knows no route. Whoever uses it says when connections are to go, with
//! [`Connections::clear`]; exchanges that have begun go on.

mod body;
mod stream;
mod upload;

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::timeout;
use tracing::debug;

use self::upload::Sent;
use crate::http1::BodyError;

pub use body::ResponseBody;
pub use stream::Stream;

/// Exchanges on one connection before the next one is opened: what every server takes (RFC 9113, 6.5.2).
const STREAMS_MAX: usize = 100;
/// Connections to one upstream. When all are full they take more, and the upstream's own limit has the exchanges wait.
const CONNECTIONS_MAX: usize = 16;
/// What an upstream may send ahead on one stream: enough for 1 GB/s to the next container.
const STREAM_WINDOW_BYTES: u32 = 64 * 1024;
/// What it may send ahead on all: as much as its streams together.
const CONNECTION_WINDOW_BYTES: u32 = STREAM_WINDOW_BYTES * STREAMS_MAX as u32;
/// What waits to be written for one stream.
const SEND_BYTES_MAX: usize = 64 * 1024;
/// A response's status and headers together; as with HTTP/1.
const HEAD_BYTES_MAX: u32 = 64 * 1024;

/// The connections to one upstream. Dropping them lets exchanges that have begun go on.
#[derive(Default)]
pub struct Connections {
    /// Made by the first exchange: most upstreams never see one.
    slots: OnceLock<Box<[Arc<Slot>]>>,
}

/// Why an exchange brought no response, or half of one.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The host cannot be said in HTTP/2.
    #[error("the host of the request is no authority")]
    Host,
    /// The upstream has not looked at the request, and its body was given back.
    #[error("the connection took no more requests")]
    Unsent(#[source] hyper::Error),
    /// The exchange ended early.
    #[error("the exchange broke off")]
    Broken(#[source] hyper::Error),
    /// The request's own body ended before its time.
    #[error("the body of the request broke off")]
    RequestBody(#[source] BodyError),
    /// No response came in time.
    #[error("no response came in time")]
    Silent,
}

/// A place for one connection.
#[derive(Debug)]
struct Slot {
    state: watch::Sender<State>,
    /// Exchanges on it, those that wait for it included.
    streams: AtomicUsize,
    /// How often it was dialled.
    dials: AtomicU64,
}

#[derive(Debug, Clone)]
enum State {
    Closed,
    /// By a task that knows itself by this number.
    Dialling(u64),
    Open(Open),
    Failed(Arc<io::Error>),
}

#[derive(Debug, Clone)]
struct Open {
    number: u64,
    sender: SendRequest<Sent>,
}

/// One exchange on a slot; dropping it uncounts.
#[derive(Debug)]
struct Place(Arc<Slot>);

// === impl Connections ===

impl Connections {
    /// None yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A stream for one exchange; `limit` is for a connection that has to be opened first.
    ///
    /// # Errors
    ///
    /// What the system says; [`io::ErrorKind::TimedOut`] after the limit.
    pub async fn open(&self, addr: SocketAddr, limit: Duration) -> io::Result<Stream> {
        let slots = self.slots.get_or_init(|| (0..CONNECTIONS_MAX).map(|_| Arc::default()).collect());
        let place = Place::of(choose(slots));
        let open = place.0.connection(addr, limit).await?;
        Ok(Stream::new(open, place))
    }

    /// Closes every connection once its exchanges have ended.
    pub fn clear(&self) {
        for slot in self.slots.get().into_iter().flatten() {
            slot.state.send_replace(State::Closed);
        }
    }
}

impl fmt::Debug for Connections {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let slots = self.slots.get().into_iter().flatten();
        f.debug_list().entries(slots.map(|slot| slot.streams.load(Ordering::Relaxed))).finish()
    }
}

// === impl Slot ===

impl Default for Slot {
    fn default() -> Self {
        Self {
            state: watch::Sender::new(State::Closed),
            streams: AtomicUsize::new(0),
            dials: AtomicU64::new(0),
        }
    }
}

impl Slot {
    /// The connection; dials it, or waits for whoever does.
    async fn connection(&self, addr: SocketAddr, limit: Duration) -> io::Result<Open> {
        if let State::Open(open) = &*self.state.borrow()
            && !open.sender.is_closed()
        {
            return Ok(open.clone());
        }
        let mut states = self.state.subscribe();
        loop {
            self.dial(addr, limit);
            let state = states.wait_for(|state| !matches!(state, State::Dialling(_))).await;
            match &*state.expect("the slot itself holds a sending half") {
                State::Open(open) => return Ok(open.clone()),
                State::Failed(error) => return Err(io::Error::new(error.kind(), Arc::clone(error))),
                // It was cleared meanwhile, which is no reason to fail a request that was counted before.
                State::Closed | State::Dialling(_) => {}
            }
        }
    }

    /// Begins to dial, unless somebody did, or the connection is there.
    fn dial(&self, addr: SocketAddr, limit: Duration) {
        let number = self.dials.fetch_add(1, Ordering::Relaxed);
        let has_begun = self.state.send_if_modified(|state| {
            let is_needed = match state {
                State::Closed | State::Failed(_) => true,
                State::Open(open) => open.sender.is_closed(),
                State::Dialling(_) => false,
            };
            if is_needed {
                *state = State::Dialling(number);
            }
            is_needed
        });
        if !has_begun {
            return;
        }
        let to = self.state.clone();
        // In a task, so that it goes on when the request that began it is given up.
        tokio::spawn(async move {
            let state = match timeout(limit, connect(addr)).await {
                Ok(Ok(sender)) => State::Open(Open { number, sender }),
                Ok(Err(error)) => State::Failed(Arc::new(error)),
                Err(_) => State::Failed(Arc::new(io::ErrorKind::TimedOut.into())),
            };
            to.send_if_modified(|now| {
                let is_awaited = matches!(now, State::Dialling(dialled) if *dialled == number);
                if is_awaited {
                    *now = state;
                }
                is_awaited
            });
        });
    }

    /// Lets the next exchange dial anew, if the connection is still this one.
    fn retire(&self, number: u64) {
        self.state.send_if_modified(|state| {
            let is_it = matches!(state, State::Open(open) if open.number == number);
            if is_it {
                *state = State::Closed;
            }
            is_it
        });
    }
}

// === impl Place ===

impl Place {
    fn of(slot: &Arc<Slot>) -> Self {
        slot.streams.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(slot))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.streams.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The first slot with a place left; the one with the fewest exchanges when there is none.
fn choose(slots: &[Arc<Slot>]) -> &Arc<Slot> {
    let streams = |slot: &&Arc<Slot>| slot.streams.load(Ordering::Relaxed);
    slots
        .iter()
        .find(|slot| streams(slot) < STREAMS_MAX)
        .or_else(|| slots.iter().min_by_key(streams))
        .expect("there is more than one slot")
}

async fn connect(addr: SocketAddr) -> io::Result<SendRequest<Sent>> {
    let stream = TcpStream::connect(addr).await?;
    // Only a socket that was closed meanwhile refuses, and the request will tell.
    let _ = stream.set_nodelay(true);
    let (sender, connection) = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_send_buf_size(SEND_BYTES_MAX)
        .max_header_list_size(HEAD_BYTES_MAX)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(io::Error::other)?;
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            debug!(error = &error as &dyn std::error::Error, "connection to the upstream ended");
        }
    });
    Ok(sender)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_is_filled_before_the_next_is_opened() {
        let slots: Vec<Arc<Slot>> = (0..2).map(|_| Arc::default()).collect();
        let chosen = || slots.iter().position(|slot| Arc::ptr_eq(slot, choose(&slots))).unwrap();
        let mut places = Vec::new();
        for expected in [0, 1] {
            for _ in 0..STREAMS_MAX {
                assert_eq!(chosen(), expected);
                places.push(Place::of(choose(&slots)));
            }
        }
        places.remove(STREAMS_MAX);
        assert_eq!(chosen(), 1, "the one with a place left");
        places.push(Place::of(choose(&slots)));
        places.push(Place::of(choose(&slots)));
        assert_eq!(chosen(), 1, "the one with fewer, when both are full");
    }
}
