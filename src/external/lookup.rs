//! Which addresses an upstream has: its own, or those of its name, asked for again and again.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::AbortHandle;

use super::{Address, Surroundings};
use crate::instance::Changes;
use crate::name::{AppName, InstanceId};

/// Between two lookups of a name.
const INTERVAL: Duration = Duration::from_secs(30);
/// Between two lookups of a name that never had an address.
const INTERVAL_UNKNOWN: Duration = Duration::from_secs(2);

/// The handle on one upstream's lookup. Dropping it ends it.
#[derive(Debug)]
pub struct Lookup {
    resolved: watch::Receiver<Resolved>,
    /// An address that is none of a name has nothing to do.
    task: Option<AbortHandle>,
}

/// What is known of an upstream's addresses.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Resolved {
    /// The addresses of the last lookup that worked, in their order.
    pub addrs: Vec<SocketAddr>,
    /// What is wrong with the last lookup.
    pub problem: Option<String>,
    /// Whether somebody was asked by now.
    pub is_decided: bool,
}

struct Task {
    app: AppName,
    address: Address,
    surroundings: Surroundings,
    resolved: watch::Sender<Resolved>,
    changes: Changes,
    /// Whom changes are reported of.
    id: InstanceId,
}

impl Lookup {
    /// Looks the address up until the handle is dropped. `before` is what it had when somebody last knew; `id` is sent
    /// through `changes` whenever that is no longer so.
    #[must_use]
    pub fn start(
        app: &AppName,
        address: &Address,
        before: Vec<SocketAddr>,
        surroundings: &Surroundings,
        changes: (&Changes, InstanceId),
    ) -> Self {
        let Some(name) = address.name() else {
            let addrs = address.literal().into_iter().collect();
            let (_, resolved) = watch::channel(Resolved { addrs, problem: None, is_decided: true });
            return Self { resolved, task: None };
        };
        let (tx, resolved) = watch::channel(Resolved { addrs: before, problem: None, is_decided: false });
        let task = Task {
            app: app.clone(),
            address: address.clone(),
            surroundings: surroundings.clone(),
            resolved: tx,
            changes: changes.0.clone(),
            id: changes.1,
        };
        let task = tokio::spawn(task.run(name.to_owned())).abort_handle();
        Self { resolved, task: Some(task) }
    }

    /// What is known now.
    #[must_use]
    pub fn resolved(&self) -> Resolved {
        self.resolved.borrow().clone()
    }
}

impl Drop for Lookup {
    fn drop(&mut self) {
        self.task.iter().for_each(AbortHandle::abort);
    }
}

impl Task {
    async fn run(self, name: String) {
        loop {
            let answer = self.surroundings.look_up(&name, self.address.port()).await;
            self.note(answer);
            let is_unknown = self.resolved.borrow().addrs.is_empty();
            tokio::time::sleep(if is_unknown { INTERVAL_UNKNOWN } else { INTERVAL }).await;
        }
    }

    fn note(&self, answer: Result<Vec<SocketAddr>, String>) {
        let was = self.resolved.borrow().clone();
        let now = match answer {
            Ok(addrs) => Resolved { addrs, problem: None, is_decided: true },
            Err(problem) => Resolved { addrs: was.addrs.clone(), problem: Some(problem), is_decided: true },
        };
        let has_changed = self.resolved.send_if_modified(|resolved| {
            let has_changed = *resolved != now;
            resolved.clone_from(&now);
            has_changed
        });
        if !has_changed {
            return;
        }
        let (app, upstream) = (&self.app, &self.address);
        match &now.problem {
            Some(problem) => {
                tracing::warn!(%app, %upstream, problem, kept = now.addrs.len(), "upstream not looked up");
            }
            None => {
                let addrs: Vec<_> = now.addrs.iter().map(ToString::to_string).collect();
                tracing::info!(%app, %upstream, addrs = addrs.join(","), "upstream looked up");
            }
        }
        // Nobody listens any more when the daemon is about to end.
        let _ = self.changes.send(self.id.clone());
    }
}
