//! One address of an upstream, probed for as long as it is one.

use std::fmt;
use std::net::SocketAddr;

use sha2::{Digest as _, Sha256};
use tokio::sync::watch;
use tokio::task::AbortHandle;

use crate::instance::{Machinery, Rhythm};
use crate::manifest::Probe;
use crate::name::{AppName, InstanceId, ProcessType, ReleaseId, Slot};
use crate::probe::Question;
use crate::route;

/// The handle on one address. Dropping it ends the probes; whatever is in flight there goes on.
#[derive(Debug)]
pub struct Remote {
    upstream: route::Upstream,
    asked: Asked,
    observed: watch::Receiver<Observation>,
    task: AbortHandle,
}

/// What is probed, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Whose it is.
    pub app: AppName,
    /// What the route table calls it.
    pub id: InstanceId,
    /// The number of its upstream.
    pub number: u32,
    /// Where it is.
    pub addr: SocketAddr,
    /// What it is asked.
    pub probe: Probe,
    /// The host that it is asked for.
    pub host: String,
}

/// What makes one probe the same as another.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Asked {
    probe: Probe,
    host: String,
}

/// What is known of one address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RemoteState {
    /// It was not asked yet.
    Probing,
    /// It may receive traffic.
    Ready,
    /// Its probe fails.
    Unready {
        /// What the last probe said.
        why: String,
    },
}

#[derive(Debug, Clone)]
struct Observation {
    state: RemoteState,
    since: u64,
}

struct Task {
    upstream: route::Upstream,
    app: AppName,
    asked: Asked,
    machinery: Machinery,
    observed: watch::Sender<Observation>,
}

// === impl Remote ===

impl Remote {
    /// Probes the target until the handle is dropped. `is_ready` says that it served when somebody last knew: it goes on to
    /// serve until probes say otherwise.
    #[must_use]
    pub fn start(target: Target, is_ready: bool, machinery: &Machinery) -> Self {
        let Target { app, id, number, addr, probe, host } = target;
        let slot = Slot { process: ProcessType::upstream(), number };
        // There are no releases of what runs elsewhere; the proxy's lines and numbers have one all the same.
        let upstream = route::Upstream { instance: id, slot, release: ReleaseId::FIRST, addr };
        let asked = Asked { probe, host };
        let state = if is_ready { RemoteState::Ready } else { RemoteState::Probing };
        let (tx, observed) = watch::channel(Observation { state, since: crate::clock::now() });
        let task = Task {
            upstream: upstream.clone(),
            app,
            asked: asked.clone(),
            machinery: machinery.clone(),
            observed: tx,
        };
        let task = tokio::spawn(task.run(is_ready)).abort_handle();
        Self { upstream, asked, observed, task }
    }

    /// The id of the `nth` life of an address as an upstream of an app: the same one on every box and after every restart.
    #[must_use]
    pub fn id(app: &AppName, addr: SocketAddr, nth: u32) -> InstanceId {
        let digest = Sha256::digest(format!("upstream {app} {addr} {nth}"));
        InstanceId::from_bits(u32::from_be_bytes([digest[0], digest[1], digest[2], digest[3]]))
    }

    /// Its entry in a route table, whether or not it is ready.
    #[must_use]
    pub fn upstream(&self) -> &route::Upstream {
        &self.upstream
    }

    /// Whether it is probed like that.
    #[must_use]
    pub fn is_asked(&self, probe: &Probe, host: &str) -> bool {
        self.asked.probe == *probe && self.asked.host == host
    }

    /// What is known now.
    #[must_use]
    pub fn state(&self) -> RemoteState {
        self.observed.borrow().state.clone()
    }

    /// Since when, in milliseconds since the Unix epoch.
    #[must_use]
    pub fn since(&self) -> u64 {
        self.observed.borrow().since
    }

    /// Whether it may receive traffic.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.observed.borrow().state == RemoteState::Ready
    }
}

impl Drop for Remote {
    fn drop(&mut self) {
        self.task.abort();
    }
}

// === impl Task ===

impl Task {
    async fn run(self, was_ready: bool) {
        let mut rhythm = Rhythm::new(&self.asked.probe, was_ready);
        loop {
            let question = Question {
                check: &self.asked.probe.check,
                container: "",
                addr: Some(self.upstream.addr),
                host: &self.asked.host,
                timeout: self.asked.probe.timeout,
            };
            match self.machinery.prober.probe(question).await {
                Ok(_) => {
                    rhythm.passed();
                    self.become_state(RemoteState::Ready);
                }
                Err(failure) => {
                    let has_turned = rhythm.failed();
                    let is_ready = self.observed.borrow().state == RemoteState::Ready;
                    if has_turned || !is_ready {
                        self.become_state(RemoteState::Unready { why: failure.to_string() });
                    }
                }
            }
            tokio::time::sleep(rhythm.pause()).await;
        }
    }

    fn become_state(&self, state: RemoteState) {
        let has_changed = self.observed.send_if_modified(|observed| {
            if observed.state == state {
                return false;
            }
            // Another reason for the same is no transition.
            if observed.state.word() != state.word() {
                tracing::info!(
                    app = %self.app, instance = %self.upstream.slot, upstream = %self.upstream.addr,
                    was = %observed.state, now = %state, why = state.why(), "upstream changed"
                );
                observed.since = crate::clock::now();
            }
            observed.state = state;
            true
        });
        if has_changed {
            // Nobody listens any more when the daemon is about to end.
            let _ = self.machinery.changes.send(self.upstream.instance.clone());
        }
    }
}

// === impl RemoteState ===

impl RemoteState {
    /// Why it is not ready, for people.
    #[must_use]
    pub fn why(&self) -> Option<&str> {
        match self {
            Self::Unready { why } => Some(why),
            Self::Probing | Self::Ready => None,
        }
    }

    /// One word for logs and lists.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Probing => "probing",
            Self::Ready => "ready",
            Self::Unready { .. } => "unready",
        }
    }
}

impl fmt::Display for RemoteState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}
