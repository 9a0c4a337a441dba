//! Which upstream gets a request, and which gets none.

use std::time::Duration;

/// How an upstream is chosen among those that are ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Balance {
    /// Of two at random the one with fewer requests in flight.
    #[default]
    Least,
    /// One after the other.
    RoundRobin,
    /// The one that the client had before, told by a signed cookie; a new client gets the least busy.
    Sticky,
    /// Always the same one for a client's address, as long as the same ones are there (rendezvous hashing).
    ClientIp,
}

/// When an upstream that fails in a row is left alone for a while.
///
/// Never the last one: when all were ejected, all are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ejection {
    /// After how many failures in a row: refused connections, broken responses, or statuses of 500 and above. 0 is never.
    pub failures: u32,
    /// For how long the first time; doubles each time in a row. Default 5 s, as Heroku's quarantine.
    pub base: Duration,
    /// For how long at most. Default 5 min.
    pub max: Duration,
    /// Over how long one that comes back gets its full share again. Default 10 s.
    pub slow_start: Duration,
}

/// Requests that wait for a place on an upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Queue {
    /// How many may wait for one route. Default 100.
    pub max: u32,
    /// For how long. Default 30 s.
    pub wait: Duration,
}

/// What is spoken with the upstream, always without TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Protocol {
    /// HTTP/1.1, and HTTP/2 for gRPC.
    #[default]
    Auto,
    /// HTTP/1.1 alone.
    Http1,
    /// HTTP/2 with prior knowledge (RFC 9113, 3.3).
    Http2,
}

// === impl Ejection ===

impl Default for Ejection {
    fn default() -> Self {
        Self {
            failures: 5,
            base: Duration::from_secs(5),
            max: Duration::from_secs(300),
            slow_start: Duration::from_secs(10),
        }
    }
}

// === impl Queue ===

impl Default for Queue {
    fn default() -> Self {
        Self { max: 100, wait: Duration::from_secs(30) }
    }
}
