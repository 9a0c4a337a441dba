//! Follows what instances write, into the journals.
//!
//! # Theory of operation
//!
//! The collector sees what the daemon sees of its containers, as the [`Observer`] of the engine; so it asks for no list of its
//! own, and knows of whatever is run with our labels. A container that runs is followed, by a task of its own (`follow`), from
//! where its journal says that it was read; one that has ended is read to its end once. Before a container is removed the rest
//! of its log is read, and its removal waits for that, but not for ever.
//!
//! Where a log was read to is not kept by itself: it follows from the journal, in which the lines are. So a crash of the daemon
//! loses or doubles none of them, whatever was written by then.

mod follow;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::stream::BoxStream;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use self::follow::Follow;
use super::{Logs, Voice};
use crate::engine::lazy::Observer;
use crate::engine::{Container, ContainerId, ContainerState, Engine, EngineError, Labels, LogLine, LogQuery};

/// How long the removal of a container waits until its log is read.
const REMOVAL_WAIT_MAX: Duration = Duration::from_secs(5);

/// What is asked of an engine to follow its containers.
#[async_trait]
pub trait Containers: Send + Sync + 'static {
    /// As [`Engine::logs`].
    async fn logs(
        &self,
        container: &str,
        query: LogQuery,
    ) -> Result<BoxStream<'static, LogLine>, EngineError>;

    /// Whether the container runs; `None` when it is gone.
    async fn is_running(&self, container: &str) -> Result<Option<bool>, EngineError>;
}

/// Those of an engine, which may be the one that the collector observes.
pub struct EngineContainers(pub Weak<dyn Engine>);

/// The handle on the collector; clones are handles on the same one. Dropping the last one ends its tasks.
#[derive(Clone)]
pub struct Collector(Arc<Inner>);

struct Inner {
    logs: Logs,
    containers: Arc<dyn Containers>,
    state: Mutex<State>,
    /// Ends every task.
    shutdown: CancellationToken,
}

#[derive(Default)]
struct State {
    followed: BTreeMap<ContainerId, Followed>,
    /// Those that have ended and were read to their ends.
    done: BTreeMap<ContainerId, Labels>,
}

struct Followed {
    labels: Labels,
    /// Has the task read what there is, and end.
    hurry: CancellationToken,
    /// Closed when the task has ended.
    ended: watch::Receiver<()>,
}

impl Collector {
    /// One that follows nothing yet.
    #[must_use]
    pub fn new(logs: Logs, containers: Arc<dyn Containers>) -> Self {
        let state = Mutex::default();
        Self(Arc::new(Inner { logs, containers, state, shutdown: CancellationToken::new() }))
    }

    /// Follows the container if it runs, or reads it to its end; again and again is the same as once.
    pub fn collect(&self, container: &str, labels: &Labels, state: ContainerState) {
        let is_running = match state {
            ContainerState::Created => return,
            ContainerState::Running => true,
            ContainerState::Exited { .. } => false,
        };
        let mut known = self.state();
        if known.followed.contains_key(container) || !is_running && known.done.contains_key(container) {
            return;
        }
        // It may have been started again.
        known.done.remove(container);
        let (alive, ended) = watch::channel(());
        let followed = Followed { labels: labels.clone(), hurry: CancellationToken::new(), ended };
        let follow = Follow {
            logs: self.0.logs.clone(),
            containers: Arc::clone(&self.0.containers),
            container: container.to_owned(),
            labels: labels.clone(),
            hurry: followed.hurry.clone(),
        };
        known.followed.insert(container.to_owned(), followed);
        drop(known);
        let (inner, shutdown) = (Arc::downgrade(&self.0), self.0.shutdown.clone());
        tokio::spawn(async move {
            let (container, labels) = (follow.container.clone(), follow.labels.clone());
            tokio::select! {
                () = shutdown.cancelled() => {}
                () = follow.run() => {}
            }
            if let Some(inner) = inner.upgrade() {
                let mut known = inner.state.lock().unwrap_or_else(PoisonError::into_inner);
                known.followed.remove(&container);
                known.done.insert(container, labels);
            }
            drop(alive);
        });
    }

    /// Returns when everything that the container has written by now is kept, or that takes too long. It is not followed any
    /// more.
    pub async fn finish(&self, container: &str) {
        let following = self.state().followed.get(container).map(|followed| {
            followed.hurry.cancel();
            (followed.ended.clone(), followed.labels.clone())
        });
        let labels = match following {
            Some((mut ended, labels)) => {
                // The sender is dropped, and never sends.
                let ended = async { while ended.changed().await.is_ok() {} };
                if tokio::time::timeout(REMOVAL_WAIT_MAX, ended).await.is_err() {
                    tracing::warn!(
                        app = %labels.app, instance = %labels.slot,
                        "its last log lines may be lost: the engine takes too long"
                    );
                }
                labels
            }
            None => match self.state().done.get(container) {
                Some(labels) => labels.clone(),
                None => return,
            },
        };
        self.0.logs.sink().forget(&labels.app, &labels.instance).await;
    }

    /// Ends following; what was read is kept.
    pub fn stop(&self) {
        self.0.shutdown.cancel();
    }

    fn say(&self, container: &str, text: &str) {
        let labels = self.state().followed.get(container).map(|followed| followed.labels.clone());
        if let Some(labels) = labels {
            self.0.logs.sink().say(&labels.app, Voice::Instance(&labels.slot, labels.release), text);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

#[async_trait]
impl Observer for Collector {
    fn seen(&self, container: &Container) {
        self.collect(&container.id, &container.labels, container.state);
    }

    fn listed(&self, containers: &[Container]) {
        let listed: BTreeSet<_> = containers.iter().map(|container| &container.id).collect();
        self.state().done.retain(|id, _| listed.contains(id));
        containers.iter().for_each(|container| self.seen(container));
    }

    fn stopping(&self, container: &str) {
        self.say(container, "stopping with SIGTERM");
    }

    fn stopped(&self, container: &str) {
        self.say(container, "stopped");
    }

    async fn removing(&self, container: &str) {
        self.finish(container).await;
    }
}

#[async_trait]
impl Containers for EngineContainers {
    async fn logs(
        &self,
        container: &str,
        query: LogQuery,
    ) -> Result<BoxStream<'static, LogLine>, EngineError> {
        self.engine()?.logs(container, query).await
    }

    async fn is_running(&self, container: &str) -> Result<Option<bool>, EngineError> {
        let found = self.engine()?.container(container).await?;
        Ok(found.map(|container| container.is_running()))
    }
}

impl EngineContainers {
    fn engine(&self) -> Result<Arc<dyn Engine>, EngineError> {
        self.0.upgrade().ok_or_else(|| EngineError::Unreachable {
            endpoint: "the engine".to_owned(),
            reason: "the daemon is stopping".to_owned(),
        })
    }
}

#[cfg(test)]
mod tests;
