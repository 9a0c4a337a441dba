//! Taking things away: what ended, what was replaced, what belongs to nothing, and whole apps.
//!
//! The table goes first: what is drained, stopped and removed is named by none. That takes long, so it happens in tasks of its
//! own, which report back; until then the loop knows what is on its way out and leaves it alone.

use std::time::Duration;

use super::app::Leave;
use super::task::{Event, Task};
use super::{DeployError, DownError, Downed, ReformError};
use crate::engine::{Container, EngineError};
use crate::instance::Retirement;
use crate::manifest::Deploy as Limits;
use crate::name::{AppName, InstanceId};
use crate::rollout::{self, Deps};

/// A container that belongs to nothing gets so long from SIGTERM to SIGKILL.
const ORPHAN_STOP_GRACE: Duration = Duration::from_secs(10);

impl Task {
    /// Stops and removes a container that belongs to nothing.
    pub(super) fn sweep(&mut self, container: Container) {
        let instance = container.labels.instance.clone();
        if self.sweeping.contains_key(&instance) {
            return;
        }
        self.sweeping.insert(instance.clone(), container.labels.app.clone());
        tracing::info!(
            app = %container.labels.app, instance = %container.labels.slot, release = %container.labels.release,
            "removing a container that nothing wants"
        );
        let serving = self.apps.get(&container.labels.app).and_then(|app| app.serving.as_ref());
        let limits = serving.map_or_else(Limits::default, |plan| plan.limits.clone());
        let retirement = Retirement::of_container(container, limits, ORPHAN_STOP_GRACE);
        let (deps, events) = (self.deps.clone(), self.events.clone());
        tokio::spawn(async move {
            // Requests may still be on it, by the table that the last process left.
            retirement.drain(&deps.routes).await;
            let engine = deps.machinery.engine.as_ref();
            let stopped = match retirement.stop(engine, &deps.routes).await {
                Ok(()) => retirement.remove(engine).await,
                Err(error) => Err(error),
            };
            if let Err(error) = stopped {
                tracing::warn!(
                    instance = %retirement.slot,
                    release = %retirement.release,
                    %error,
                    "cannot remove a container; the next listing tries again"
                );
            }
            let _ = events.send(Event::Swept { instance });
        });
    }

    /// Whether something that an app left is still being removed.
    pub(super) fn is_sweeping(&self, app: &AppName) -> bool {
        self.sweeping.values().any(|owner| owner == app)
    }

    /// Goes on with the deploys that waited for what was left of the app.
    pub(super) async fn undefer(&mut self, app: &AppName) {
        if !self.is_sweeping(app) && !self.clearing.contains(app) {
            for deploy in self.deferred.remove(app).unwrap_or_default() {
                self.deploy(deploy).await;
            }
        }
    }

    /// Stops and removes one instance that has ended and was replaced.
    pub(super) fn reap(&mut self, name: &AppName, retirement: Retirement) {
        let deps = self.deps.clone();
        let instances = vec![retirement.instance.clone()];
        self.until_gone(name, instances, async move {
            rollout::stop_and_remove(&retirement, &deps).await;
        });
    }

    /// Takes instances out of the table, and drains, stops and removes them.
    pub(super) async fn retire(&mut self, name: &AppName, old: Vec<Retirement>) {
        let Some(app) = self.apps.get_mut(name) else { return };
        app.retiring.extend(old.iter().map(|retirement| (retirement.instance.clone(), retirement.clone())));
        // Before they are drained, no table may name them.
        self.publish().await;
        let deps = self.deps.clone();
        let instances = old.iter().map(|retirement| retirement.instance.clone()).collect();
        self.until_gone(name, instances, async move {
            let each = old.iter().map(|retirement| async {
                retirement.drain(&deps.routes).await;
                rollout::stop_and_remove(retirement, &deps).await;
            });
            futures_util::future::join_all(each).await;
        });
    }

    /// Has the loop hear when these instances are gone.
    fn until_gone(
        &mut self,
        name: &AppName,
        instances: Vec<InstanceId>,
        removal: impl Future<Output = ()> + Send + 'static,
    ) {
        let (events, app) = (self.events.clone(), name.clone());
        let task = tokio::spawn(async move {
            removal.await;
            let _ = events.send(Event::Retired { app, instances });
        });
        if let Some(app) = self.apps.get_mut(name) {
            app.finishing.push(task.abort_handle());
        }
    }

    /// Forgets the app and removes what runs for it; a rollout that is under way ends first.
    pub(super) async fn down(&mut self, name: &AppName, leave: Leave) {
        let Some(app) = self.apps.get_mut(name) else {
            let _ = leave.reply.send(Err(DownError::Unknown(name.clone())));
            return;
        };
        if let Some(rollout) = &app.rollout {
            // Its release must not come back to life in another app of this name.
            rollout.cancel.cancel();
            app.leaving.push(leave);
            return;
        }
        if app.reforming.is_some() {
            Self::cancel_reform(app);
            app.leaving.push(leave);
            return;
        }
        let Leave { volumes, reply } = leave;
        // Forgotten first: a crash from here on leaves containers that belong to nothing, which the next start removes.
        app.finishing.iter().for_each(tokio::task::AbortHandle::abort);
        if let Err(error) = self.deps.store.remove_app(&app.record).await {
            let _ = reply.send(Err(error.into()));
            return;
        }
        let mut app = self.apps.remove(name).expect("it was there above, and nothing in between removes one");
        self.removed.extend(app.record.last.map(|last| (name.clone(), last)));
        app.reforms.drain(..).for_each(|reform| reform.end(Err(ReformError::TakenDown(name.clone()))));
        app.queue.drain(..).for_each(|deploy| deploy.end(Err(DeployError::TakenDown(name.clone()))));
        let limits = app.serving.as_ref().map_or_else(Limits::default, |plan| plan.limits.clone());
        let is_external = app.record.external.is_some();
        let old: Vec<_> = app
            .all_instances()
            .map(|instance| instance.retirement(&limits))
            .chain(app.externals.retirements())
            .chain(app.retiring.values().cloned())
            .collect();
        // No table names them any more; the next listing must not stop them while they drain.
        self.sweeping.extend(old.iter().map(|retirement| (retirement.instance.clone(), name.clone())));
        self.clearing.insert(name.clone());
        self.publish().await;
        let (deps, events, name) = (self.deps.clone(), self.events.clone(), name.clone());
        tokio::spawn(async move {
            let result = if is_external {
                Ok(let_go(&old, &deps).await)
            } else {
                clear(&name, &old, volumes, &deps).await
            };
            let instances = old.into_iter().map(|gone| gone.instance).collect();
            let _ = events.send(Event::Cleared { app: name, instances });
            let _ = reply.send(result.map_err(DownError::from));
        });
    }
}

/// Drains the upstreams of an app that was only a route. The engine has no part in it.
async fn let_go(old: &[Retirement], deps: &Deps) -> Downed {
    let each = old.iter().map(|retirement| async {
        retirement.drain(&deps.routes).await;
        rollout::stop_and_remove(retirement, deps).await;
    });
    futures_util::future::join_all(each).await;
    Downed { instances: 0, upstreams: old.len(), volumes: Vec::new() }
}

/// Removes everything of an app from the engine.
async fn clear(
    name: &AppName,
    old: &[Retirement],
    volumes: bool,
    deps: &Deps,
) -> Result<Downed, EngineError> {
    let engine = deps.machinery.engine.as_ref();
    let stops = old.iter().map(|retirement| async {
        retirement.drain(&deps.routes).await;
        retirement.stop(engine, &deps.routes).await?;
        retirement.remove(engine).await
    });
    futures_util::future::try_join_all(stops).await?;
    // What is left is a crash's.
    for container in engine.containers().await?.into_iter().filter(|container| container.labels.app == *name)
    {
        engine.remove(&container.id).await?;
    }
    engine.remove_images(name).await?;
    let volumes = if volumes { engine.remove_volumes(name).await? } else { Vec::new() };
    Ok(Downed { instances: old.len(), upstreams: 0, volumes })
}
