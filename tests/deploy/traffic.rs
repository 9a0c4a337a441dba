//! A client that asks an app again and again, and keeps what it was told.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use http::StatusCode;
use rustls::pki_types::CertificateDer;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::world::TestBox;
use crate::support::client::{Client, get, tls};

/// Between two requests of one client: enough of them to hit any gap, and the app keeps some of the processor.
pub(super) const PACE: Duration = Duration::from_millis(10);

/// A client at work. Dropping it ends it.
pub(super) struct Poller {
    task: AbortOnDropHandle<Polled>,
    stop: CancellationToken,
}

/// What a client was told.
#[derive(Debug, Default)]
pub(super) struct Polled {
    pub(super) requests: usize,
    /// Answers by their first line.
    pub(super) answers: BTreeMap<String, usize>,
    /// Anything but a 200.
    pub(super) failures: Vec<String>,
}

impl Poller {
    /// Asks for `/` of this host over https, a hundred times a second on one connection.
    pub(super) async fn start(on: &TestBox, host: &str) -> Self {
        let stop = CancellationToken::new();
        let (addr, ca, host) = (on.https(), on.ca().await, host.to_owned());
        let task = AbortOnDropHandle::new(tokio::spawn(poll(addr, ca, host, stop.clone())));
        Self { task, stop }
    }

    pub(super) async fn finish(self) -> Polled {
        self.stop.cancel();
        self.task.await.expect("the client does not panic")
    }
}

impl Polled {
    /// Checks that there was no gap, and that nothing but these was answered.
    #[track_caller]
    pub(super) fn only(self, versions: &[&str]) {
        assert_eq!(self.failures, Vec::<String>::new(), "of {} requests", self.requests);
        for answer in self.answers.keys() {
            assert!(
                versions.iter().any(|version| answer.contains(version)),
                "`{answer}` is none of {versions:?}"
            );
        }
    }
}

async fn poll(
    addr: SocketAddr,
    ca: CertificateDer<'static>,
    host: String,
    stop: CancellationToken,
) -> Polled {
    let mut polled = Polled::default();
    let mut client = None;
    // At least once, however soon it is stopped.
    while polled.requests == 0 || !stop.is_cancelled() {
        let mut open = match client.take() {
            Some(open) => open,
            None => Client::over(tls(addr, &ca, &host, "http/1.1").await).await,
        };
        polled.requests += 1;
        match open.try_send(get(&host, "/")).await {
            Ok(reply) if reply.status == StatusCode::OK => {
                let closes = reply.header("connection") == Some("close");
                client = (!closes).then_some(open);
                *polled.answers.entry(reply.body.trim().to_owned()).or_default() += 1;
            }
            Ok(reply) => polled.failures.push(format!("{}: {}", reply.status, reply.body)),
            Err(error) => polled.failures.push(error.to_string()),
        }
        tokio::time::sleep(PACE).await;
    }
    polled
}
