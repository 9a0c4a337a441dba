//! One run, from its container's making to its removal.

use std::sync::Arc;
use std::time::Duration;

use super::{HANG_UP_GRACE_MAX, Place, RunError, Runs};
use crate::engine::{
    Attached, ContainerId, ContainerSpec, ContainerState, Engine, EngineError, Labels, OneOff, OneOffKind,
};
use crate::instance::{Exit, last_lines};
use crate::name::{AppName, ProcessType};
use crate::plan::OneOffSpec;

/// Between two looks at a container while the engine does not answer.
const ENGINE_PAUSE: Duration = Duration::from_secs(2);

/// A run that goes on. Dropping it stops and removes its container, in a task of its own.
pub struct Run {
    place: Option<Place>,
    engine: Arc<dyn Engine>,
    labels: Labels,
    container: Option<ContainerId>,
    grace: Duration,
}

impl Runs {
    /// Makes the container of an attached run, connects with it, and starts it.
    ///
    /// # Errors
    ///
    /// [`RunError`]; nothing is left then.
    pub async fn attached(
        &self,
        app: &AppName,
        spec: &OneOffSpec,
        has_tty: bool,
        has_stdin: bool,
    ) -> Result<(Run, Attached), RunError> {
        let one_off = OneOff { kind: OneOffKind::Attached, has_tty, has_stdin };
        let mut run = self.made(&ProcessType::run(), app, spec, one_off).await?;
        // Connected first: what it writes at once must not be missed.
        let connected = async {
            let attached = run.engine.attach(run.id()).await?;
            run.engine.start(run.id()).await?;
            Ok(attached)
        };
        match connected.await {
            Ok(attached) => Ok((run, attached)),
            Err(source) => Err(run.failed(source).await),
        }
    }

    /// Makes the container of a release's own command and starts it.
    ///
    /// # Errors
    ///
    /// As [`Runs::attached`].
    pub async fn of_release(&self, app: &AppName, spec: &OneOffSpec) -> Result<Run, RunError> {
        self.started(app, spec, OneOffKind::Release).await
    }

    /// Makes the container of a job and starts it; it is called as the job.
    ///
    /// # Errors
    ///
    /// As [`Runs::attached`].
    pub async fn of_job(&self, app: &AppName, job: &ProcessType, spec: &OneOffSpec) -> Result<Run, RunError> {
        self.started_as(job, app, spec, OneOffKind::Job).await
    }

    pub(super) async fn started(
        &self,
        app: &AppName,
        spec: &OneOffSpec,
        kind: OneOffKind,
    ) -> Result<Run, RunError> {
        self.started_as(&ProcessType::run(), app, spec, kind).await
    }

    async fn started_as(
        &self,
        process: &ProcessType,
        app: &AppName,
        spec: &OneOffSpec,
        kind: OneOffKind,
    ) -> Result<Run, RunError> {
        let one_off = OneOff { kind, has_tty: false, has_stdin: false };
        let mut run = self.made(process, app, spec, one_off).await?;
        match run.engine.start(run.id()).await {
            Ok(()) => Ok(run),
            Err(source) => Err(run.failed(source).await),
        }
    }

    async fn made(
        &self,
        process: &ProcessType,
        app: &AppName,
        spec: &OneOffSpec,
        one_off: OneOff,
    ) -> Result<Run, RunError> {
        let program = spec.argv.as_ref().and_then(|argv| argv.first()).cloned();
        let place = self.enter(process, app, spec.release, &one_off, program)?;
        let labels = place.labels.clone();
        let container = ContainerSpec {
            labels: labels.clone(),
            image: spec.image.clone(),
            argv: spec.argv.clone(),
            env: spec.environment(&labels.slot, self.shared.http_port),
            files: spec.secrets.clone(),
            links: spec.links.values().cloned().collect(),
            port: None,
            more_ports: Vec::new(),
            memory: spec.memory.map(|bytes| bytes.0),
            cpu: spec.cpu.map(|milli| milli.0),
            volumes: std::collections::BTreeMap::new(),
            stop_grace: spec.stop_grace,
            one_off: Some(one_off),
        };
        let engine = Arc::clone(&self.shared.engine);
        let grace = spec.stop_grace.min(HANG_UP_GRACE_MAX);
        let mut run = Run { place: Some(place), engine, labels, container: None, grace };
        match run.engine.create(&container).await {
            Ok(id) => {
                run.note(id);
                Ok(run)
            }
            Err(source) => Err(run.failed(source).await),
        }
    }
}

impl Run {
    /// A run whose container was found.
    pub(super) fn found(place: Place, engine: Arc<dyn Engine>, container: ContainerId) -> Self {
        let labels = place.labels.clone();
        let mut run = Self { place: Some(place), engine, labels, container: None, grace: HANG_UP_GRACE_MAX };
        run.note(container);
        run
    }

    /// Whose it is.
    #[must_use]
    pub fn labels(&self) -> &Labels {
        &self.labels
    }

    /// Its container.
    #[must_use]
    pub fn id(&self) -> &str {
        self.container.as_deref().unwrap_or_default()
    }

    /// Waits for its end, however often the engine goes away meanwhile. Cancel-safe.
    pub async fn exit(&self) -> Exit {
        loop {
            let waited = self.engine.wait(self.id()).await;
            match self.engine.container(self.id()).await {
                Ok(Some(found)) => {
                    if let ContainerState::Exited { code, is_out_of_memory } = found.state {
                        let log = last_lines(self.engine.as_ref(), self.id()).await;
                        return Exit { code: Some(code), is_out_of_memory, log };
                    }
                }
                Ok(None) => return Exit { code: None, is_out_of_memory: false, log: Vec::new() },
                Err(error) => tracing::debug!(run = %self.labels.slot, %error, "cannot look at a run"),
            }
            if let Err(error) = waited {
                tracing::debug!(run = %self.labels.slot, %error, "cannot wait for a run");
            }
            tokio::time::sleep(ENGINE_PAUSE).await;
        }
    }

    /// The last of what it wrote.
    pub async fn log(&self) -> Vec<String> {
        last_lines(self.engine.as_ref(), self.id()).await
    }

    /// Stops it, if it still runs, and removes it.
    pub async fn end(mut self) {
        self.clear().await;
    }

    fn note(&mut self, container: ContainerId) {
        if let Some(place) = &self.place {
            place.note_container(&container);
        }
        self.container = Some(container);
    }

    async fn failed(&mut self, source: EngineError) -> RunError {
        self.clear().await;
        RunError::Engine { app: self.labels.app.clone(), slot: self.labels.slot.clone(), source }
    }

    async fn clear(&mut self) {
        if let Some(container) = &self.container {
            remove(self.engine.as_ref(), &self.labels, container, self.grace).await;
            self.container = None;
        }
        self.place = None;
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        let Some(container) = self.container.take() else { return };
        let (place, engine, labels, grace) =
            (self.place.take(), Arc::clone(&self.engine), self.labels.clone(), self.grace);
        // Without a runtime the daemon has ended, and the next one finds what is left.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                remove(engine.as_ref(), &labels, &container, grace).await;
                drop(place);
            });
        }
    }
}

/// Stops and removes a run's container; one that cannot be is left to the next listing.
async fn remove(engine: &dyn Engine, labels: &Labels, container: &str, grace: Duration) {
    // What has ended by itself is not stopped, and its log does not say so.
    let has_ended = matches!(engine.container(container).await, Ok(Some(found)) if !found.is_running());
    let stopped = if has_ended { Ok(()) } else { engine.stop(container, grace).await };
    let removed = match stopped {
        Ok(()) => engine.remove(container).await,
        Err(error) => Err(error),
    };
    if let Err(error) = removed {
        tracing::warn!(app = %labels.app, run = %labels.slot, %error, "cannot remove a run; the next listing tries again");
    }
}
