//! What bounds the proxy: counts, sizes and times that nobody sets. Times that an operator may one day set are in
//! [`Timeouts`](super::Timeouts).

use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// Downstream connections of all listeners, tunnels included, unless a setting says otherwise. Each costs about 20 KiB
/// while it is busy.
pub(super) const CONNECTIONS_MAX: usize = 10_000;
/// Downstream connections of one client address, unless a setting says otherwise: a tenth of all, and enough for a large
/// office behind one address.
pub(super) const CLIENT_CONNECTIONS_MAX: u32 = 1_000;
/// This machine: what comes from it may be a proxy, a tunnel or a load test.
pub(super) const LOOPBACK: [IpNet; 2] = [
    IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::new(127, 0, 0, 0), 8)),
    IpNet::V6(Ipv6Net::new_assert(Ipv6Addr::LOCALHOST, 128)),
];
/// Requests that wait for a held route at the same time, unless a setting says otherwise.
pub(super) const HELD_REQUESTS_MAX: usize = 1_000;
/// A request's target; more than any browser sends.
pub(super) const ADDRESS_BYTES_MAX: usize = 16 * 1024;
/// How long a request's body may pause while the upstream waits for it, unless the policy says otherwise; as nginx.
pub(super) const BODY_IDLE_TIME_MAX: Duration = Duration::from_secs(60);
/// What is kept in memory of one body that is collected.
pub(super) const SPOOL_MEMORY_BYTES_MAX: u64 = 64 * 1024;
/// What is collected of one body, in memory and on disk, unless the policy limits requests to less or more.
pub(super) const SPOOL_BYTES_MAX: u64 = 1024 * 1024 * 1024;
/// Passwords that are hashed at the same time: each takes a core for about 50 ms.
pub(super) const PASSWORD_CHECKS_MAX: usize = 2;
/// Requests that wait for that or are at it.
pub(super) const PASSWORD_CHECKS_WAITING_MAX: usize = 64;
/// A request's or response's line and headers together; nginx takes 32 KiB, Heroku 64 KiB.
pub(super) const HEADER_BYTES_MAX: usize = 64 * 1024;
/// From accepting a connection of a trusted proxy to the end of its PROXY header.
pub(super) const PROXY_HEADER_TIME_MAX: Duration = Duration::from_secs(5);
/// Addresses that are read from the end of `X-Forwarded-For`; further ones are as good as not said.
pub(super) const FORWARDED_HOPS_MAX: usize = 32;
/// Handshakes that take longer are from a broken client, or not a client at all.
pub(super) const TLS_HANDSHAKE_TIME_MAX: Duration = Duration::from_secs(10);
/// Concurrent streams of one HTTP/2 connection; hyper's default.
pub(super) const H2_STREAMS_MAX: u32 = 200;
/// Streams that a client opened and reset before we looked at them (CVE-2023-44487); h2's default.
pub(super) const H2_PENDING_RESETS_MAX: usize = 20;
/// Streams that we reset because of the client's errors; hyper's default.
pub(super) const H2_LOCAL_RESETS_MAX: usize = 1024;
/// What one stream may send ahead of the upstream's reading.
pub(super) const H2_STREAM_WINDOW_BYTES: u32 = 256 * 1024;
/// What all streams of one connection may send ahead; hyper's default.
pub(super) const H2_CONNECTION_WINDOW_BYTES: u32 = 1024 * 1024;
/// What waits to be written for one stream.
pub(super) const H2_SEND_BYTES_MAX: usize = 64 * 1024;
/// From a GOAWAY until an idle client has left.
pub(super) const H2_GOODBYE_TIME_MAX: Duration = Duration::from_secs(5);
/// Concurrent requests of one HTTP/3 connection; as for HTTP/2.
pub(super) const H3_STREAMS_MAX: u32 = 200;
/// Streams of one direction that a client may have: three are needed (RFC 9114, 6.2), the others try what we ignore.
pub(super) const H3_ONE_WAY_STREAMS_MAX: u32 = 8;
/// What one stream may send ahead of the upstream's reading; as for HTTP/2.
pub(super) const H3_STREAM_WINDOW_BYTES: u32 = 256 * 1024;
/// What all streams of one connection may send ahead; as for HTTP/2.
pub(super) const H3_CONNECTION_WINDOW_BYTES: u32 = 1024 * 1024;
/// What is sent and not yet acknowledged on one connection: a second of 16 Mbit/s; the kernel keeps up to 4 MiB for TCP.
pub(super) const H3_SEND_BYTES_MAX: u64 = 2 * 1024 * 1024;
/// A frame that is kept until it is complete, which is any but of data: headers of [`HEADER_BYTES_MAX`], and some more, so
/// that a little too much is answered with 431.
pub(super) const H3_FRAME_BYTES_MAX: u64 = 2 * HEADER_BYTES_MAX as u64;
/// Requests of one connection that broke, most likely because its client cancelled them, until it is closed: it may open
/// another one. A thousand as for HTTP/2's errors.
pub(super) const H3_BROKEN_REQUESTS_MAX: u32 = 1000;
/// Handshakes with clients that have not proved their address, at the same time; the next ones have to (RFC 9000, 8.1).
pub(super) const H3_UNPROVED_HANDSHAKES_MAX: usize = 100;
/// Connections that wait to be accepted.
pub(super) const H3_INCOMING_MAX: usize = 1024;
/// What each of them may have sent until then, 64 of them together at the most.
pub(super) const H3_INCOMING_BYTES_MAX: u64 = 64 * 1024;
/// Silence after which a client is gone; pings see to it that one that is there is not silent.
pub(super) const H3_SILENCE_MAX: Duration = Duration::from_secs(60);
/// Between two pings; shorter than routers remember a UDP peer, commonly 30 s.
pub(super) const H3_PING_INTERVAL: Duration = Duration::from_secs(15);
/// For how long a browser remembers that there is HTTP/3, in seconds: a day, as is usual.
pub(super) const ALT_SVC_SECONDS: u32 = 24 * 60 * 60;
/// After accepting failed for want of file descriptors or memory.
pub(super) const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Between two lines of the log that say so.
pub(super) const ACCEPT_COMPLAINT_PAUSE: Duration = Duration::from_secs(60);
/// Silence after which the kernel asks whether the client is still there; without it a vanished WebSocket stays for ever.
pub(super) const KEEP_ALIVE_IDLE: Duration = Duration::from_secs(60);
/// How often it asks until it gives up, and how long it waits in between.
pub(super) const KEEP_ALIVE_PROBES: (u32, Duration) = (4, Duration::from_secs(15));
/// The buffer of one direction of a tunnel: two make 16 KiB, which an idle WebSocket holds as long as it lives.
pub(super) const TUNNEL_BUFFER_BYTES: usize = 8 * 1024;
/// The buffer of each thread for the bytes of TCP ports.
pub(super) const PORT_BUFFER_BYTES: usize = 64 * 1024;
/// Upstreams that are tried for one connection to a TCP port.
pub(super) const PORT_CONNECTS_MAX: usize = 3;
/// After listening on a TCP port of the table failed.
pub(super) const BIND_PAUSE: Duration = Duration::from_secs(1);
/// What remains, after the time to close is over, to write a last frame.
pub(super) const LAST_WORDS_TIME_MAX: Duration = Duration::from_millis(500);
