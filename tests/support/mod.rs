//! What the tests share: the app they deploy, as an image, containers that are removed when a test ends, and small
//! upstreams and clients that speak over real sockets.

pub(crate) mod backend;
pub(crate) mod client;
pub(crate) mod container;
pub(crate) mod docker;
pub(crate) mod image;
pub(crate) mod proxy;

use std::time::Duration;

/// How long a test waits for what must happen.
pub const SOON: Duration = Duration::from_secs(10);

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
