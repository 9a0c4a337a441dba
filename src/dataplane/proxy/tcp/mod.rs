//! TCP ports that lead to apps as they are: whoever connects reaches a ready instance, as if there was nothing between.
//!
//! # Theory of operation
//!
//! [`Proxy::serve_ports`] follows the published table: it listens on every port that the table names, goes on with those that
//! stay, and closes those that vanish. Each connection claims the upstream with the fewest connections (`connection`), counted
//! as upgraded connections are, so that a drain waits for it and its farewell ends it; then bytes go both ways (`relay`).
//!
//! A swap moves no connection: new ones lead to the new release, those of the old one have the port's `drain` to end.
//!
//! What this module does not do: it knows no TLS, reads no byte of what it carries, and has neither a rate limit nor a list of
//! addresses. Policies are about requests.

mod connection;
mod relay;

use std::collections::{BTreeMap, BTreeSet};

use tokio::net::TcpListener;
use tokio::time::sleep;
use tokio_util::sync::{CancellationToken, DropGuard};
use tracing::{Instrument, debug_span, error, info};

use self::connection::Connection;
use super::Proxy;
use super::limits::BIND_PAUSE;
use super::listener::Complaints;
use crate::port::{every_interface, listen_at};

impl Proxy {
    /// Serves the TCP ports of whatever table is published until `shutdown`, which ends their connections, too.
    pub async fn serve_ports(self, shutdown: CancellationToken) {
        let mut tables = self.0.routes.subscribe();
        let mut open: BTreeMap<u16, DropGuard> = BTreeMap::new();
        let mut refused = BTreeSet::new();
        // Held, so that the numbers of a port that nobody uses for a while stay.
        let mut counters = Vec::new();
        loop {
            let wanted: BTreeSet<u16> = {
                let live = tables.borrow_and_update();
                let ports = live.table().ports();
                let metrics = self.0.routes.metrics();
                let now: Vec<_> = ports.iter().map(|port| metrics.port(&port.app, port.listen)).collect();
                drop(std::mem::replace(&mut counters, now));
                ports.iter().map(|port| port.listen).collect()
            };
            open.retain(|listen, _| wanted.contains(listen));
            refused.retain(|listen| wanted.contains(listen));
            for listen in
                wanted.iter().copied().filter(|listen| !open.contains_key(listen)).collect::<Vec<_>>()
            {
                match listen_at(&every_interface(listen)) {
                    Ok((addr, listener)) => {
                        info!(%addr, "listening");
                        refused.remove(&listen);
                        let closed = CancellationToken::new();
                        let serving =
                            self.clone().serve_port(listener, listen, closed.clone(), shutdown.clone());
                        tokio::spawn(serving);
                        open.insert(listen, closed.drop_guard());
                    }
                    // Tried before the deploy; somebody was faster since.
                    Err(error) => {
                        if refused.insert(listen) {
                            error!(error = &error as &dyn std::error::Error, "cannot listen yet");
                        }
                    }
                }
            }
            tokio::select! {
                biased;
                () = shutdown.cancelled() => return,
                changed = tables.changed() => changed.expect("the proxy itself holds the sending half"),
                () = sleep(BIND_PAUSE), if !refused.is_empty() => {}
            }
        }
    }

    /// Accepts connections until the port is closed; those that are open go on.
    async fn serve_port(
        self,
        listener: TcpListener,
        listen: u16,
        closed: CancellationToken,
        shutdown: CancellationToken,
    ) {
        let mut complaints = Complaints::default();
        loop {
            let accepted = tokio::select! {
                biased;
                () = closed.cancelled() => return,
                () = shutdown.cancelled() => return,
                accepted = self.accept(&listener) => accepted,
            };
            match accepted {
                Ok((stream, addr, permit)) => {
                    let connection =
                        Connection::new(self.clone(), stream, addr, listen, shutdown.child_token());
                    let span = debug_span!("downstream", %addr, port = listen);
                    self.0.tasks.spawn(connection.run(permit).instrument(span));
                }
                Err(error) => complaints.pause_after(&error, listen).await,
            }
        }
    }
}
