//! Connections to an upstream that wait for their next request.

use std::fmt;
use std::time::Duration;

use crossbeam_queue::ArrayQueue;
use tokio::time::Instant;

use crate::http1::Connection;

/// How many idle connections are kept for one upstream.
const IDLE_CONNECTIONS_MAX: usize = 256;
/// How long one is kept: less than the 5 s after which Node closes an idle connection, so that we rarely write to a closed one.
const IDLE_TIME_MAX: Duration = Duration::from_secs(4);

pub(super) struct IdleConnections(ArrayQueue<(Instant, Box<Connection>)>);

impl IdleConnections {
    pub(super) fn new() -> Self {
        Self(ArrayQueue::new(IDLE_CONNECTIONS_MAX))
    }

    pub(super) fn take(&self) -> Option<Box<Connection>> {
        while let Some((since, connection)) = self.0.pop() {
            if since.elapsed() < IDLE_TIME_MAX && connection.is_open() {
                return Some(connection);
            }
        }
        None
    }

    pub(super) fn keep(&self, connection: Box<Connection>) {
        // The oldest makes room: it is the nearest to being closed by the other side.
        self.0.force_push((Instant::now(), connection));
    }

    pub(super) fn clear(&self) {
        while self.0.pop().is_some() {}
    }
}

impl fmt::Debug for IdleConnections {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} idle", self.0.len())
    }
}
