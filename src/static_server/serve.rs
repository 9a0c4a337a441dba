//! The accept loop, connections and shutdown.
//!
//! Past [`CONNECTIONS_MAX`] new connections wait in the kernel's backlog. At shutdown the listener is closed, idle
//! connections end at once, a request in flight gets its whole answer within [`DRAIN_MAX`], and what is left is cut.

use std::convert::Infallible;
use std::io::{self, Seek, SeekFrom};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::TryStreamExt;
use http::{Request, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulConnection, GracefulShutdown};
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::io::ReaderStream;

use super::response::{CHUNK_BYTES, Payload};
use super::{Error, Inner, StaticSite};

/// Connections at once; each costs about 20 KiB, and one more chunk while it streams.
const CONNECTIONS_MAX: usize = 1024;
/// Lookups at once. They are short but may hash a file, and must not take all of tokio's 512 blocking threads.
const LOOKUPS_MAX: usize = 64;
/// From the first byte of a request's head, or the end of the request before it, to the end of the head.
const HEADER_READ_TIMEOUT: Duration = Duration::from_secs(30);
/// Largest request head; the path alone may have 8 KiB.
const HEAD_BYTES_MAX: usize = 32 * 1024;
/// How long requests in flight may take at shutdown; less than the 30 s between SIGTERM and SIGKILL.
const DRAIN_MAX: Duration = Duration::from_secs(25);
/// Wait after an accept failed for want of a resource, such as file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Failed accepts in a row, 10 s of them, before the server gives up and lets its container restart.
const ACCEPT_FAILURES_MAX: u32 = 100;

type Body = UnsyncBoxBody<Bytes, io::Error>;

/// Serves `site` on `listener` until `shutdown` resolves, then lets requests in flight finish for up to 25 s.
///
/// Dropping the future closes the listener and cuts every connection.
///
/// # Errors
/// [`Error::Accept`] when the listener fails again and again.
pub async fn serve(
    listener: TcpListener,
    site: StaticSite,
    shutdown: impl Future<Output = ()>,
) -> Result<(), Error> {
    let slots = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let lookups = Arc::new(Semaphore::new(LOOKUPS_MAX));
    let graceful = GracefulShutdown::new();
    let mut connections = JoinSet::new();
    let mut shutdown = pin!(shutdown);
    let mut failures = 0;
    loop {
        let accepted = async {
            let slot = Arc::clone(&slots).acquire_owned().await.expect("the semaphore is never closed");
            listener.accept().await.map(|(stream, _)| (stream, slot))
        };
        let (stream, slot) = tokio::select! {
            biased;
            () = &mut shutdown => break,
            Some(_) = connections.join_next() => continue,
            accepted = accepted => match accepted {
                Ok(accepted) => accepted,
                Err(error) if is_of_one_connection(&error) => continue,
                Err(source) => {
                    failures += 1;
                    if failures >= ACCEPT_FAILURES_MAX {
                        return Err(Error::Accept { failures, source });
                    }
                    tracing::warn!(error = %source, "cannot accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            },
        };
        failures = 0;
        let connection = graceful.watch(connection(stream, &site, &lookups));
        connections.spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "connection ended early");
            }
            drop(slot);
        });
    }
    drop(listener);
    tracing::info!(connections = connections.len(), "no longer accepting, draining");
    if tokio::time::timeout(DRAIN_MAX, graceful.shutdown()).await.is_err() {
        tracing::warn!(connections = connections.len(), "cutting what did not finish");
    }
    connections.shutdown().await;
    Ok(())
}

fn connection(
    stream: TcpStream,
    site: &StaticSite,
    lookups: &Arc<Semaphore>,
) -> impl GracefulConnection<Error = hyper::Error> + Send + use<> {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "cannot set TCP_NODELAY");
    }
    let site = Arc::clone(&site.inner);
    let lookups = Arc::clone(lookups);
    let service = service_fn(move |req| {
        let (site, lookups) = (Arc::clone(&site), Arc::clone(&lookups));
        async move { Ok::<_, Infallible>(respond(site, lookups, req).await) }
    });
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_READ_TIMEOUT)
        .max_buf_size(HEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), service)
}

async fn respond(site: Arc<Inner>, lookups: Arc<Semaphore>, req: Request<Incoming>) -> Response<Body> {
    let permit = lookups.acquire_owned().await.expect("the semaphore is never closed");
    // The request's own body is dropped with it: nothing here wants one.
    let (head, _) = req.into_parts();
    let lookup = tokio::task::spawn_blocking(move || {
        // Held by the lookup, which goes on when the client is gone.
        let _permit = permit;
        site.respond(&head).map(into_body)
    });
    lookup.await.unwrap_or_else(|error| {
        tracing::error!(%error, "lookup panicked");
        let mut res = Response::new(in_memory(Bytes::new()));
        *res.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
        res
    })
}

fn into_body(payload: Payload) -> Body {
    match payload {
        Payload::Memory(content) => in_memory(content),
        Payload::File { mut file, first, length } => {
            if let Err(error) = file.seek(SeekFrom::Start(first)) {
                // The head has promised a length, so the connection is cut: the client sees a failure, not a lie.
                return StreamBody::new(futures_util::stream::iter([Err(error)])).boxed_unsync();
            }
            let file = tokio::fs::File::from_std(file).take(length);
            let chunks = ReaderStream::with_capacity(file, CHUNK_BYTES);
            StreamBody::new(chunks.map_ok(Frame::data)).boxed_unsync()
        }
    }
}

fn in_memory(content: Bytes) -> Body {
    Full::new(content).map_err(|never| match never {}).boxed_unsync()
}

/// Whether a failed accept is about the connection that was to be accepted and not about the listener.
fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}
