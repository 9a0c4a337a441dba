//! One connection to a TCP port: whom it is for, which upstream takes it, when it ends, and its line in the access log.

use std::collections::BTreeSet;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rustix::net::sockopt;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::super::Proxy;
use super::super::access::{StreamEnd, StreamEntry};
use super::super::error::Error;
use super::super::limits::PORT_CONNECTS_MAX;
use super::super::listener::prepare;
use super::super::proxy_protocol::{Addresses, encode};
use super::relay::Relay;
use crate::metrics::PortMetrics;
use crate::name::{AppName, InstanceId};
use crate::policy::ProxyVersion;
use crate::route::{PortRoute, Upstream};
use crate::traffic::{InFlight, Upgraded};

/// A connection that was accepted.
pub(super) struct Connection {
    proxy: Proxy,
    stream: TcpStream,
    /// The other end, or whom it speaks for.
    client: SocketAddr,
    /// Where the client connected to.
    server: SocketAddr,
    listen: u16,
    since: Instant,
    /// Cancelled when the connection is to end.
    shutdown: CancellationToken,
}

/// An upstream that took a connection, with what its route says.
struct Leg {
    guard: InFlight,
    upstream: Upstream,
    app: AppName,
    send_proxy: Option<ProxyVersion>,
    drain: Duration,
}

/// A connection in its port's numbers; one that nothing was said of has failed.
struct Counted(Option<Arc<PortMetrics>>);

/// Why a connection that was carried ended.
enum End {
    /// Both sides said so.
    Done,
    /// One side broke off.
    Broken(io::Error),
    /// Neither said anything for too long.
    Idle,
    /// The instance was replaced, and the time to end by itself is over.
    Replaced,
    /// The instance is being stopped, or we are.
    Asked,
}

impl Connection {
    pub(super) fn new(
        proxy: Proxy,
        stream: TcpStream,
        client: SocketAddr,
        listen: u16,
        shutdown: CancellationToken,
    ) -> Self {
        let server = stream.local_addr().unwrap_or_else(|_| ([0, 0, 0, 0], listen).into());
        Self { proxy, stream, client, server, listen, since: Instant::now(), shutdown }
    }

    /// Carries the connection to its end. It counts as one of the proxy's as long as `_permit` lives.
    pub(super) async fn run(mut self, _permit: OwnedSemaphorePermit) {
        if let Err(error) = self.read_header().await {
            return debug!(error = &error as &dyn std::error::Error, "no PROXY header");
        }
        let shutdown = self.shutdown.clone();
        let app = self.proxy.0.routes.load().table().port(self.listen).map(|port| port.app.clone());
        let metrics = app.as_ref().map(|app| self.proxy.0.routes.metrics().port(app, self.listen));
        let mut counted = Counted::begin(metrics);
        let Some(leg) = shutdown.run_until_cancelled(self.leg()).await else { return };
        match leg {
            Ok((leg, upstream)) => self.carry(leg, upstream, &mut counted).await,
            Err(error) => {
                // What is closed in silence looks like an answer of nothing.
                reset(&self.stream);
                let app = app.as_ref().map(AppName::as_str);
                warn!(
                    app,
                    port = self.listen,
                    side = error.side().as_str(),
                    error = &error as &dyn std::error::Error,
                    "connection failed"
                );
                self.entry(app, StreamEnd::Failed(&error)).log(&self.proxy);
            }
        }
    }

    fn entry<'e>(&self, app: Option<&'e str>, end: StreamEnd<'e>) -> StreamEntry<'e> {
        let client = self.client.ip().to_canonical();
        StreamEntry { port: self.listen, client, app, since: self.since, end }
    }

    /// Reads the PROXY header where the port asks for it and the other end is trusted.
    async fn read_header(&mut self) -> io::Result<()> {
        let inner = &self.proxy.0;
        let accepts_proxy =
            inner.routes.load().table().port(self.listen).is_some_and(|port| port.accept_proxy);
        if accepts_proxy
            && inner.config.trust.covers(self.client.ip().to_canonical())
            && let Some(Addresses { from, to }) = self.proxy.read_header(&mut self.stream).await?
        {
            (self.client, self.server) = (from, to);
        }
        Ok(())
    }

    /// Claims an upstream and connects to it; one that cannot be reached is left for another one.
    async fn leg(&self) -> Result<(Leg, TcpStream), Error> {
        let mut tried = BTreeSet::new();
        let mut last = None;
        for _ in 0..PORT_CONNECTS_MAX {
            let leg = match self.claim(&tried).await {
                Ok(leg) => leg,
                Err(error) => return Err(last.unwrap_or(error)),
            };
            match self.connect(&leg).await {
                Ok(upstream) => return Ok((leg, upstream)),
                Err(error) => {
                    debug!(instance = %leg.upstream.slot, error = &error as &dyn std::error::Error, "not reached");
                    tried.insert(leg.upstream.instance.clone());
                    last = Some(error);
                }
            }
        }
        Err(last.unwrap_or(Error::NotReady))
    }

    async fn connect(&self, leg: &Leg) -> Result<TcpStream, Error> {
        let dial = async {
            let mut stream = TcpStream::connect(leg.upstream.addr).await?;
            prepare(&stream)?;
            if let Some(version) = leg.send_proxy {
                let header = encode(version, Addresses { from: self.client, to: self.server });
                stream.write_all(&header).await?;
            }
            Ok(stream)
        };
        timeout(self.proxy.0.config.timeouts.connect, dial)
            .await
            .map_err(|_| Error::ConnectTimeout)?
            .map_err(Error::Unreachable)
    }

    /// Counts the connection on an upstream of the newest table that was not tried; where the port is held, of the first that
    /// has one.
    async fn claim(&self, tried: &BTreeSet<InstanceId>) -> Result<Leg, Error> {
        let inner = &*self.proxy.0;
        let mut tables = inner.routes.subscribe();
        let mut place = None;
        let deadline = Instant::now() + inner.config.timeouts.hold;
        loop {
            let live = Arc::clone(&tables.borrow_and_update());
            let port = live.table().port(self.listen).ok_or(Error::NoRoute)?;
            if let Some(leg) = self.pick(port, tried) {
                return Ok(leg);
            }
            // Whoever refused drains, so a newer table was published before.
            if matches!(tables.has_changed(), Ok(true)) {
                continue;
            }
            if !port.is_held {
                return Err(Error::NotReady);
            }
            if place.is_none() {
                place = Some(inner.held.try_acquire().map_err(|_| Error::HoldFull)?);
            }
            let changed = timeout_at(deadline, tables.changed()).await.map_err(|_| Error::HoldExpired)?;
            changed.expect("the proxy itself holds the sending half");
        }
    }

    /// The upstream with the fewest connections; equals take turns.
    fn pick(&self, port: &PortRoute, tried: &BTreeSet<InstanceId>) -> Option<Leg> {
        static TURN: AtomicUsize = AtomicUsize::new(0);
        let routes = &self.proxy.0.routes;
        let open = port.upstreams.iter().filter(|upstream| !tried.contains(&upstream.instance));
        let mut open: Vec<_> =
            open.filter_map(|upstream| Some((routes.upstream(&upstream.instance)?, upstream))).collect();
        if open.len() > 1 {
            let turn = TURN.fetch_add(1, Ordering::Relaxed) % open.len();
            open.rotate_left(turn);
            open.sort_by_key(|(live, _)| live.upgraded() + live.in_flight());
        }
        open.into_iter().find_map(|(live, upstream)| {
            Some(Leg {
                guard: live.claim()?,
                upstream: upstream.clone(),
                app: port.app.clone(),
                send_proxy: port.send_proxy,
                drain: port.drain,
            })
        })
    }

    /// Carries bytes until one of the many ends, and says which.
    async fn carry(self, leg: Leg, upstream: TcpStream, metrics: &mut Counted) {
        let inner = &*self.proxy.0;
        let connect = self.since.elapsed();
        let Leg { guard, upstream: to, app, drain, .. } = leg;
        let counted: Upgraded = guard.upgrade();
        let farewell = counted.upstream().farewell();
        let relay = Relay::new(&self.stream, &upstream);
        let end = tokio::select! {
            result = relay.carry() => result.map_or_else(End::Broken, |()| End::Done),
            () = relay.idle(inner.config.timeouts.port_idle) => End::Idle,
            () = self.replaced(&app, &to, drain) => End::Replaced,
            () = farewell.cancelled() => End::Asked,
            () = self.shutdown.cancelled() => End::Asked,
            () = inner.cut.cancelled() => End::Asked,
        };
        if let End::Broken(error) = &end {
            // Both learn that it was no regular end.
            reset(&self.stream);
            reset(&upstream);
            debug!(error = error as &dyn std::error::Error, "connection broke");
        }
        let (bytes_in, bytes) = relay.carried();
        metrics.end(self.since.elapsed(), bytes_in, bytes);
        let end =
            StreamEnd::Carried { upstream: counted.upstream(), connect, code: end.code(), bytes_in, bytes };
        self.entry(Some(app.as_str()), end).log(&self.proxy);
    }

    /// Resolves once the upstream's release was replaced and the connection had its time to end.
    ///
    /// An instance that is only not ready stays connected: its release still is the one that the port leads to.
    async fn replaced(&self, app: &AppName, upstream: &Upstream, drain: Duration) {
        let mut tables = self.proxy.0.routes.subscribe();
        loop {
            let is_replaced = {
                let live = tables.borrow_and_update();
                live.table().port(self.listen).is_none_or(|port| {
                    let is_ours = |other: &Upstream| other.release == upstream.release;
                    port.app != *app || !port.upstreams.is_empty() && !port.upstreams.iter().any(is_ours)
                })
            };
            if is_replaced {
                return sleep(drain).await;
            }
            tables.changed().await.expect("the proxy itself holds the sending half");
        }
    }
}

impl Counted {
    fn begin(metrics: Option<Arc<PortMetrics>>) -> Self {
        metrics.iter().for_each(|metrics| metrics.begin());
        Self(metrics)
    }

    fn end(&mut self, duration: Duration, bytes_in: u64, bytes_out: u64) {
        if let Some(metrics) = self.0.take() {
            metrics.end(duration, bytes_in, bytes_out);
        }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.iter().for_each(|metrics| metrics.fail());
    }
}

impl End {
    /// A name for programs, of an end that was not the two sides' own.
    fn code(&self) -> Option<&'static str> {
        match self {
            Self::Done => None,
            Self::Broken(_) => Some("broken"),
            Self::Idle => Some("idle-timeout"),
            Self::Replaced => Some("drain-timeout"),
            Self::Asked => Some("closed"),
        }
    }
}

/// Makes the other end see a reset instead of an end, once the stream is dropped.
fn reset(stream: &TcpStream) {
    // Only a socket that is closed already refuses.
    let _ = sockopt::set_socket_linger(stream, Some(Duration::ZERO));
}
