//! Runs that nobody is connected with: watched over until they end, or until their time is up.

use std::sync::Arc;
use std::time::Duration;

use super::{LiveRun, Place, Run, RunError, Runs};
use crate::clock;
use crate::engine::{Container, ContainerState, Labels, OneOffKind};
use crate::name::AppName;
use crate::plan::OneOffSpec;

/// How long the log of a run that ended can still be read by who follows it.
const LOG_TIME: Duration = Duration::from_secs(5);

impl Runs {
    /// Starts a run that goes on by itself, for at most `limit`. Returns once it is started.
    ///
    /// # Errors
    ///
    /// [`RunError`]; nothing is left then.
    pub async fn detached(
        &self,
        app: &AppName,
        spec: &OneOffSpec,
        limit: Duration,
    ) -> Result<Labels, RunError> {
        let until = clock::now().saturating_add(u64::try_from(limit.as_millis()).unwrap_or(u64::MAX));
        let run = self.started(app, spec, OneOffKind::Detached { until }).await?;
        let labels = run.labels().clone();
        tokio::spawn(watch_over(run, until));
        Ok(labels)
    }

    /// Goes on to watch over a detached run that an earlier daemon started; gives back what is none, or is known.
    pub fn adopt(&self, container: Container) -> Option<Container> {
        let Some(kind @ OneOffKind::Detached { until }) = container.one_off else { return Some(container) };
        // One that was never started ends by nothing.
        if self.knows(&container.labels.instance) || container.state == ContainerState::Created {
            return Some(container);
        }
        let Container { id, labels, .. } = container;
        let live =
            LiveRun { labels: labels.clone(), kind, program: None, since: clock::now(), container: None };
        self.shared.live.send_modify(|all| drop(all.insert(labels.instance.clone(), live)));
        tracing::info!(app = %labels.app, run = %labels.slot, "detached run taken up");
        let place = Place { runs: self.clone(), labels };
        tokio::spawn(watch_over(Run::found(place, Arc::clone(&self.shared.engine), id), until));
        None
    }
}

async fn watch_over(run: Run, until: u64) {
    let left = Duration::from_millis(until.saturating_sub(clock::now()));
    let Labels { app, slot, .. } = run.labels().clone();
    match tokio::time::timeout(left, run.exit()).await {
        Ok(exit) => {
            tracing::info!(%app, run = %slot, %exit, "detached run ended");
            tokio::time::sleep(LOG_TIME).await;
        }
        Err(_) => tracing::warn!(%app, run = %slot, "detached run is stopped: its time is up"),
    }
    run.end().await;
}
