//! What the tests share: the app they deploy, as an image, containers that are removed when a test ends, and small
//! upstreams and clients that speak over real sockets.

pub(crate) mod backend;
pub(crate) mod chromium;
pub(crate) mod client;
pub(crate) mod container;
pub(crate) mod docker;
pub(crate) mod frames;
pub(crate) mod http3;
pub(crate) mod image;
pub(crate) mod pebble;
pub(crate) mod proxy;
pub(crate) mod registry;

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;
use std::{io, process};

/// How long a test waits for what must happen.
pub const SOON: Duration = Duration::from_secs(10);

/// Below the ports that the system gives to clients, so that a port stays free while nobody listens there.
const PORTS: std::ops::Range<u16> = 20_000..32_000;

/// A port of this machine that no other test gets.
pub fn free_port() -> SocketAddr {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let count = PORTS.end - PORTS.start;
    let first = u16::try_from(process::id() % u32::from(count / 64)).expect("less than the count") * 64;
    loop {
        let step = NEXT.fetch_add(1, Ordering::Relaxed);
        let addr = SocketAddr::from((Ipv4Addr::LOCALHOST, PORTS.start + (first + step) % count));
        match TcpListener::bind(addr) {
            Ok(_) => return addr,
            Err(error) => assert_eq!(error.kind(), io::ErrorKind::AddrInUse, "{addr}: {error}"),
        }
    }
}

/// Awaits what must happen soon.
pub async fn soon<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(SOON, future).await.expect("this happens soon")
}

/// Looks again and again until the condition holds.
pub async fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = tokio::time::Instant::now() + SOON;
    while !condition() {
        assert!(tokio::time::Instant::now() < deadline, "never: {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}
