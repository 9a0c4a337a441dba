//! Runs jobs straight on the engine.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::Instant;

use super::{Ended, Ran, Runner};
use crate::controller::Controller;
use crate::engine::{ContainerSpec, ContainerState, Engine, EngineError, Labels, OneOffKind};
use crate::instance::last_lines;
use crate::manifest::Command;
use crate::name::{AppName, InstanceId, ReleaseId};
use crate::plan::InstanceSpec;

/// Between two looks whether a run has ended.
const LOOK_PAUSE: Duration = Duration::from_millis(500);
/// A run that is late gets so long from SIGTERM to SIGKILL.
const STOP_GRACE: Duration = Duration::from_secs(10);

/// Runs jobs in containers of the engine, as the plan of the release that serves says.
pub struct EngineRunner {
    controller: Controller,
    engine: Arc<dyn Engine>,
    ids: Arc<dyn Fn() -> InstanceId + Send + Sync>,
}

impl EngineRunner {
    /// On this engine; `ids` makes ids that were never used.
    pub fn new(
        controller: Controller,
        engine: Arc<dyn Engine>,
        ids: Arc<dyn Fn() -> InstanceId + Send + Sync>,
    ) -> Self {
        Self { controller, engine, ids }
    }

    /// What the release runs for the job; `None` when it does not serve any more.
    fn spec(&self, app: &AppName, release: ReleaseId, name: &str) -> Option<Arc<InstanceSpec>> {
        let view = self.controller.view();
        let app = view.apps.iter().find(|known| known.name == *app && known.release == Some(release))?;
        app.jobs.get(name).map(|planned| Arc::clone(&planned.spec))
    }

    async fn run_in(&self, container: &str, deadline: Duration) -> Result<Ended, EngineError> {
        let until = Instant::now() + deadline;
        self.engine.start(container).await?;
        loop {
            // An engine that does not answer says nothing about the run, which goes on.
            match self.engine.container(container).await {
                Ok(None) => return Ok(Ended::Failed("its container was removed".to_owned())),
                Ok(Some(found)) => {
                    if let ContainerState::Exited { code, .. } = found.state {
                        return Ok(Ended::Exited(code));
                    }
                }
                Err(error) => tracing::debug!(container, %error, "cannot look at a job"),
            }
            if Instant::now() >= until {
                self.engine.stop(container, STOP_GRACE).await?;
                return Ok(Ended::TimedOut);
            }
            tokio::time::sleep(LOOK_PAUSE.min(until.duration_since(Instant::now()))).await;
        }
    }
}

#[async_trait]
impl Runner for EngineRunner {
    async fn run(
        &self,
        app: &AppName,
        release: ReleaseId,
        name: &str,
        command: &Command,
        deadline: Duration,
    ) -> Ran {
        let failed = |why: String| Ran { end: Ended::Failed(why), log: Vec::new() };
        let Some(spec) = self.spec(app, release, name) else {
            return failed(format!("{release} does not serve any more"));
        };
        let labels = Labels { app: app.clone(), release, slot: spec.slot.clone(), instance: (self.ids)() };
        let container = ContainerSpec {
            labels,
            image: spec.image.clone(),
            argv: Some(command.argv()),
            env: spec.env.clone(),
            port: None,
            more_ports: Vec::new(),
            memory: spec.memory.map(|bytes| bytes.0),
            cpu: spec.cpu.map(|milli| milli.0),
            volumes: std::collections::BTreeMap::new(),
            stop_grace: STOP_GRACE,
            one_off: Some(OneOffKind::Cron),
        };
        let id = match self.engine.create(&container).await {
            Ok(id) => id,
            Err(error) => return failed(error.to_string()),
        };
        let end = self.run_in(&id, deadline).await.unwrap_or_else(|error| Ended::Failed(error.to_string()));
        let log = last_lines(self.engine.as_ref(), &id).await;
        if let Err(error) = self.engine.remove(&id).await {
            tracing::warn!(%app, job = name, %error, "cannot remove a job's container; the next start does");
        }
        Ran { end, log }
    }

    async fn clear(&self) {
        let found = match self.engine.containers().await {
            Ok(found) => found,
            Err(error) => return tracing::warn!(%error, "cannot look for jobs of an earlier daemon"),
        };
        for container in found.into_iter().filter(|found| found.one_off == Some(OneOffKind::Cron)) {
            tracing::info!(app = %container.labels.app, job = %container.labels.slot, "removing a job that nobody waits for");
            if let Err(error) = self.engine.remove(&container.id).await {
                tracing::warn!(app = %container.labels.app, %error, "cannot remove a job's container");
            }
        }
    }
}
