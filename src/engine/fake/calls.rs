//! The scripted engine's side of the seam: what waits, and what is refused.

use std::time::Duration;

use async_trait::async_trait;
use futures_util::TryStreamExt;
use futures_util::stream::{self, BoxStream, StreamExt};
use tokio::sync::broadcast::error::RecvError;
use tokio_util::sync::CancellationToken;

use super::super::{
    Attached, BuildSpec, Connection, Container, ContainerEvent, ContainerId, ContainerSpec, ContextStream,
    Engine, EngineError, EngineInfo, ExecSpec, Executed, Image, LogLine, LogQuery, Usage,
};
use super::state::KILLED;
use super::{ENDPOINT, FakeEngine, Operation, unreachable};
use crate::name::AppName;
use crate::registry::Credentials;
use crate::route::Bridge;

impl FakeEngine {
    /// What every call does first: waits while the engine hangs, and fails when it is to fail.
    async fn enter(&self, operation: Operation, action: &str) -> Result<(), EngineError> {
        let mut changed = self.shared.changed.subscribe();
        changed.wait_for(|()| !self.lock().is_hanging).await.expect("the engine holds the sender itself");
        let mut state = self.lock();
        if !state.is_connected() {
            return Err(unreachable("it is disconnected"));
        }
        state.take_fault(operation).map_or(Ok(()), |fault| Err(fault.into_error(action)))
    }

    /// Changes the state after a while, whatever happens to the caller.
    fn later(&self, delay: Duration, change: impl FnOnce(&Self) + Send + 'static) {
        let engine = self.clone();
        tokio::spawn(async move {
            tokio::time::sleep(delay).await;
            change(&engine);
        });
    }
}

/// A start that is under way, until it is dropped.
struct Starting<'e> {
    engine: &'e FakeEngine,
    container: String,
}

impl<'e> Starting<'e> {
    fn begin(engine: &'e FakeEngine, container: &str) -> Self {
        engine.change(|state| state.starting.insert(container.to_owned()));
        Self { engine, container: container.to_owned() }
    }
}

impl Drop for Starting<'_> {
    fn drop(&mut self) {
        self.engine.change(|state| state.starting.remove(&self.container));
    }
}

#[async_trait]
impl Engine for FakeEngine {
    async fn info(&self) -> Result<EngineInfo, EngineError> {
        self.enter(Operation::Info, "say what it is").await?;
        Ok(EngineInfo {
            endpoint: ENDPOINT.to_owned(),
            version: "0.0.0".to_owned(),
            api: "1.41".to_owned(),
            is_bridge_reachable: true,
            root_dir: "/".to_owned(),
            memory_bytes: 1 << 30,
            cores: 4,
        })
    }

    async fn build(
        &self,
        spec: &BuildSpec,
        context: ContextStream,
        log: &(dyn Fn(String) + Send + Sync),
    ) -> Result<String, EngineError> {
        self.enter(Operation::Build, "build the image").await?;
        context.try_for_each(|_| async { Ok(()) }).await.map_err(EngineError::Context)?;
        log(format!("#1 {}", spec.dockerfile));
        Ok(self.change(|state| state.build(spec)))
    }

    async fn pull(&self, reference: &str, log: &(dyn Fn(String) + Send + Sync)) -> Result<(), EngineError> {
        self.enter(Operation::Pull, &format!("pull image `{reference}`")).await?;
        log(format!("Pulling {reference}"));
        self.change(|state| state.pull(reference));
        Ok(())
    }

    /// Takes any credentials.
    async fn push(
        &self,
        image: &str,
        reference: &str,
        _credentials: Option<&Credentials>,
        log: &(dyn Fn(String) + Send + Sync),
    ) -> Result<String, EngineError> {
        self.enter(Operation::Push, &format!("push image `{reference}`")).await?;
        log(format!("The push refers to {reference}"));
        self.change(|state| state.push(image, reference))
    }

    async fn image(&self, reference: &str) -> Result<Option<Image>, EngineError> {
        self.enter(Operation::Image, "look at the image").await?;
        Ok(self.lock().image(reference).cloned())
    }

    async fn remove_image(&self, reference: &str) -> Result<(), EngineError> {
        self.enter(Operation::Image, "remove the image").await?;
        self.change(|state| state.remove_image(reference));
        Ok(())
    }

    async fn create(&self, spec: &ContainerSpec) -> Result<ContainerId, EngineError> {
        self.enter(Operation::Create, &format!("create container `{}`", spec.labels.container_name()))
            .await?;
        self.change(|state| state.create(&self.owner, spec))
    }

    async fn start(&self, container: &str) -> Result<(), EngineError> {
        self.enter(Operation::Start, "start the container").await?;
        let (behaviour, is_running) = self.lock().behaviour(container)?;
        if is_running {
            return Ok(());
        }
        let starting = Starting::begin(self, container);
        tokio::time::sleep(behaviour.start_delay).await;
        drop(starting);
        let run = self.change(|state| state.start(container, behaviour.clone()))?;
        let id = container.to_owned();
        if let Some((delay, code)) = behaviour.exits_after {
            let id = id.clone();
            self.later(delay, move |engine| {
                engine.change(|state| state.exit(&id, Some(run), code, false));
            });
        }
        // A HEALTHCHECK's verdict is also an event.
        if let Some(delay) = behaviour.ready_after.filter(|delay| !delay.is_zero()) {
            self.later(delay, move |engine| engine.change(|state| state.emit(&id)));
        }
        Ok(())
    }

    async fn stop_and_tell(
        &self,
        container: &str,
        grace: Duration,
        told: &CancellationToken,
    ) -> Result<(), EngineError> {
        self.enter(Operation::Stop, "stop the container").await?;
        let mut changed = self.shared.changed.subscribe();
        while self.lock().starting.contains(container) {
            // The sender lives as long as `self`.
            let _ = changed.changed().await;
        }
        let goes_on = self.change(|state| state.terminate(container));
        told.cancel();
        if goes_on {
            tokio::time::sleep(grace).await;
            self.change(|state| state.exit(container, None, KILLED, false));
        }
        Ok(())
    }

    async fn remove(&self, container: &str) -> Result<(), EngineError> {
        self.enter(Operation::Remove, "remove the container").await?;
        self.change(|state| state.remove(container));
        Ok(())
    }

    async fn container(&self, container: &str) -> Result<Option<Container>, EngineError> {
        self.enter(Operation::Inspect, "look at the container").await?;
        Ok(self.lock().container(&self.owner, container))
    }

    async fn containers(&self) -> Result<Vec<Container>, EngineError> {
        self.enter(Operation::Inspect, "list containers").await?;
        Ok(self.lock().containers(&self.owner))
    }

    async fn events(&self) -> Result<BoxStream<'static, ContainerEvent>, EngineError> {
        self.enter(Operation::Events, "watch containers").await?;
        let receiver = self.lock().subscribe()?;
        let owner = self.owner.clone();
        let events = stream::unfold(receiver, move |mut receiver| {
            let owner = owner.clone();
            async move {
                loop {
                    match receiver.recv().await {
                        Ok((of, event)) if of == owner => return Some((event, receiver)),
                        // Another box's, or some were missed, which a listener has to live with.
                        Ok(_) | Err(RecvError::Lagged(_)) => {}
                        Err(RecvError::Closed) => return None,
                    }
                }
            }
        });
        Ok(events.boxed())
    }

    async fn logs(
        &self,
        container: &str,
        query: LogQuery,
    ) -> Result<BoxStream<'static, LogLine>, EngineError> {
        self.enter(Operation::Logs, "read the log").await?;
        self.lock().is_there(container)?;
        let (lines, _) = self.lock().lines(container, 0);
        let tail = query.tail.map_or(usize::MAX, |tail| tail.try_into().unwrap_or(usize::MAX));
        let old = lines.iter().take_while(|line| query.since.is_some_and(|since| line.at < since)).count();
        let first = lines.len().saturating_sub(tail).max(old);
        let (engine, id) = (self.clone(), container.to_owned());
        let batches = stream::unfold((first, false), move |(from, is_over)| {
            let (engine, id) = (engine.clone(), id.clone());
            async move {
                let mut changed = engine.shared.changed.subscribe();
                if is_over {
                    return None;
                }
                loop {
                    let (lines, may_grow) = engine.lock().lines(&id, from);
                    let goes_on = query.follow && may_grow && engine.lock().is_connected();
                    if !lines.is_empty() || !goes_on {
                        let next = from + lines.len();
                        return Some((lines, (next, !goes_on)));
                    }
                    changed.changed().await.expect("the engine holds the sender itself");
                }
            }
        });
        Ok(batches.flat_map(stream::iter).boxed())
    }

    /// Ends at once: with 0 when the container is ready, else with 1, so that it can stand for a probe.
    async fn exec(
        &self,
        container: &str,
        argv: &[String],
        _timeout: Duration,
    ) -> Result<Executed, EngineError> {
        let action = format!("run `{}` in container `{container}`", argv.join(" "));
        self.enter(Operation::Exec, &action).await?;
        let state = self.lock();
        state.is_there(container)?;
        match state.is_ready(container) {
            Some(is_ready) => Ok(Executed { code: i64::from(!is_ready), output: String::new() }),
            None => Err(EngineError::Refused { action, message: "the container is not running".to_owned() }),
        }
    }

    async fn wait(&self, container: &str) -> Result<(), EngineError> {
        self.enter(Operation::Inspect, "wait for the container").await?;
        super::attached::exit_code(self, container).await.map(drop)
    }

    async fn attach(&self, container: &str) -> Result<Attached, EngineError> {
        self.enter(Operation::Exec, "connect with the container").await?;
        self.lock().is_there(container)?;
        Ok(super::attached::to_container(self.clone(), container.to_owned()))
    }

    /// Ends at once with 0, having written its command.
    async fn exec_attached(&self, container: &str, spec: &ExecSpec) -> Result<Attached, EngineError> {
        let action = "run a command in the container".to_owned();
        self.enter(Operation::Exec, &action).await?;
        if self.lock().is_ready(container).is_none() {
            return Err(EngineError::Refused { action, message: "the container is not running".to_owned() });
        }
        Ok(super::attached::to_command(spec))
    }

    /// There are no files in it.
    async fn read_files(&self, container: &str, path: &str) -> Result<ContextStream, EngineError> {
        self.enter(Operation::Exec, "read files").await?;
        self.lock().is_there(container)?;
        Err(EngineError::NotFound { what: format!("`{path}` in container `{container}`") })
    }

    /// There are no folders in it.
    async fn write_files(
        &self,
        container: &str,
        folder: &str,
        _archive: ContextStream,
    ) -> Result<(), EngineError> {
        self.enter(Operation::Exec, "write files").await?;
        self.lock().is_there(container)?;
        Err(EngineError::NotFound { what: format!("folder `{folder}` in container `{container}`") })
    }

    /// Whoever listens sends back what it is sent.
    async fn dial(&self, container: &str, port: u16) -> Result<Connection, EngineError> {
        let action = format!("connect to port {port}");
        self.enter(Operation::Exec, &action).await?;
        if self.lock().listening_port(container) != Some(port) {
            return Err(EngineError::Refused {
                action,
                message: "nothing accepts connections there".to_owned(),
            });
        }
        Ok(super::attached::to_echo())
    }

    async fn usage(&self, _container: &str) -> Result<Option<Usage>, EngineError> {
        self.enter(Operation::Inspect, "measure the container").await?;
        // No process of its own uses anything.
        Ok(None)
    }

    async fn listening_ports(&self, container: &str) -> Vec<u16> {
        if self.enter(Operation::Inspect, "look at the container").await.is_err() {
            return Vec::new();
        }
        self.lock().listening_port(container).into_iter().collect()
    }

    async fn bridge(&self) -> Result<Option<Bridge>, EngineError> {
        Ok(None)
    }

    async fn remove_network(&self) -> Result<(), EngineError> {
        Ok(())
    }

    async fn ensure_volume(&self, app: &AppName, volume: &str) -> Result<String, EngineError> {
        self.enter(Operation::Volume, "create the volume").await?;
        let name = self.volume_name(app, volume);
        self.change(|state| state.ensure_volume(&self.owner, app, &name));
        Ok(name)
    }

    async fn remove_volumes(&self, app: &AppName) -> Result<Vec<String>, EngineError> {
        self.enter(Operation::Volume, "remove volumes").await?;
        self.change(|state| state.remove_volumes(&self.owner, app))
    }

    async fn remove_images(&self, app: &AppName) -> Result<usize, EngineError> {
        self.enter(Operation::Image, "remove images").await?;
        Ok(self.change(|state| state.remove_images(&self.owner, app)))
    }
}
