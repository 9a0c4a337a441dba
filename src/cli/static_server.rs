//! `minipaas static-server`: what runs in the container of a static site.

use std::net::{Ipv4Addr, Ipv6Addr};

use anyhow::Context as _;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use super::args::StaticServerArgs;
use super::failure::{Failure, Kind};
use crate::static_server::{Options, StaticSite, serve};

/// Serves until SIGTERM or SIGINT, then lets requests finish.
pub(crate) async fn run(args: &StaticServerArgs) -> Result<(), Failure> {
    serve_site(args).await.map_err(|error| Failure::new(Kind::Failed, error))
}

async fn serve_site(args: &StaticServerArgs) -> anyhow::Result<()> {
    // Before the port is open: whoever has seen it open may send the signal.
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for SIGINT")?;
    let site = StaticSite::open(args.root.clone(), Options { spa: args.spa })?;
    let listener = bind(args.port).await.with_context(|| format!("cannot listen on port {}", args.port))?;
    if let Ok(addr) = listener.local_addr() {
        tracing::info!(%addr, "serving");
    }
    let shutdown = async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    };
    Ok(serve(listener, site, shutdown).await?)
}

/// Every interface; a container without IPv6 has only IPv4's.
async fn bind(port: u16) -> std::io::Result<TcpListener> {
    match TcpListener::bind((Ipv6Addr::UNSPECIFIED, port)).await {
        Ok(listener) => Ok(listener),
        Err(_) => TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).await,
    }
}
