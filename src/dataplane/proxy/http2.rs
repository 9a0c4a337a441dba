//! HTTP/2 with clients: over TLS, and without where they know that it is spoken.
//!
//! hyper keeps the limits of one connection's streams. What it lacks is kept here: a connection that carries nothing for a while
//! is told GOAWAY, and dropped if its client does not leave.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{sleep, timeout};
use tracing::debug;

use super::exchange::Peer;
use super::limits;
use super::streams::{Noted, Streams};

/// Serves a connection until it ends or is asked to.
pub(super) async fn run(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, peer: Arc<Peer>) {
    let requests = Arc::new(AtomicU64::new(0));
    let service = {
        let (peer, requests) = (Arc::clone(&peer), Arc::clone(&requests));
        service_fn(move |request: Request<Incoming>| {
            requests.fetch_add(1, Ordering::Relaxed);
            let peer = Arc::clone(&peer);
            async move { Ok::<_, Infallible>(Noted::response(peer.answer(request).await)) }
        })
    };
    let connection = http2::Builder::new(Streams::new(peer.proxy.0.config.timeouts.write))
        .timer(TokioTimer::new())
        .enable_connect_protocol()
        .max_concurrent_streams(limits::H2_STREAMS_MAX)
        .max_pending_accept_reset_streams(limits::H2_PENDING_RESETS_MAX)
        .max_local_error_reset_streams(limits::H2_LOCAL_RESETS_MAX)
        .max_header_list_size(limits::HEADER_BYTES_MAX as u32)
        .initial_stream_window_size(limits::H2_STREAM_WINDOW_BYTES)
        .initial_connection_window_size(limits::H2_CONNECTION_WINDOW_BYTES)
        .max_send_buf_size(limits::H2_SEND_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    let idle = Idle { holders: Arc::strong_count(&peer), peer: &peer, requests: &requests };
    tokio::select! {
        biased;
        result = connection.as_mut() => return tell(result),
        () = peer.shutdown.cancelled() => {}
        () = idle.wait(peer.proxy.0.config.timeouts.idle) => {}
    }
    connection.as_mut().graceful_shutdown();
    let end = async {
        loop {
            match timeout(limits::H2_GOODBYE_TIME_MAX, connection.as_mut()).await {
                Ok(result) => return tell(result),
                Err(_) if idle.is_now() => {
                    return debug!("connection was dropped, its client does not leave");
                }
                Err(_) => {}
            }
        }
    };
    peer.proxy.0.cut.run_until_cancelled(end).await;
}

/// Tells whether a connection carries anything.
struct Idle<'c> {
    peer: &'c Arc<Peer>,
    /// How many requests have begun.
    requests: &'c AtomicU64,
    /// Who holds the peer when there is no request. Each keeps it until its last byte is gone, and so does a tunnel.
    holders: usize,
}

impl Idle<'_> {
    /// Resolves when nothing was carried for so long, or half as long again.
    async fn wait(&self, limit: Duration) {
        let (mut begun, mut quiet) = (self.requests.load(Ordering::Relaxed), 0);
        while quiet < 2 {
            sleep(limit / 2).await;
            let now = self.requests.load(Ordering::Relaxed);
            quiet = if self.is_now() && now == begun { quiet + 1 } else { 0 };
            begun = now;
        }
    }

    fn is_now(&self) -> bool {
        Arc::strong_count(self.peer) == self.holders
    }
}

fn tell(result: hyper::Result<()>) {
    if let Err(error) = result {
        debug!(error = &error as &dyn std::error::Error, "connection ended");
    }
}
