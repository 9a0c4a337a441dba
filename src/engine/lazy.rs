//! An engine that is connected to when it is first needed, and again after it was away.
//!
//! The daemon starts, and the proxy serves, whether or not an engine answers: every call tries, and the first that succeeds
//! is where all later ones go. When the stream of events ends the engine went away, maybe to come back as another version:
//! the next call connects anew.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::{self, BoxStream};
use tokio_util::sync::CancellationToken;

use super::{
    Attached, BuildSpec, Connection, Container, ContainerEvent, ContainerId, ContainerSpec, ContextStream,
    Engine, EngineError, EngineInfo, ExecSpec, Executed, Image, LogLine, LogQuery, Usage,
};
use crate::name::AppName;
use crate::registry::Credentials;
use crate::route::Bridge;

type Connect = dyn Fn() -> BoxFuture<'static, Result<Arc<dyn Engine>, EngineError>> + Send + Sync;
type Slot = Arc<Mutex<Option<Arc<dyn Engine>>>>;

/// An engine behind a connection that may not be there yet.
pub struct LazyEngine {
    connect: Box<Connect>,
    connected: Slot,
    observer: OnceLock<Arc<dyn Observer>>,
}

/// Sees what the daemon does to containers and learns of them, without asking the engine by itself.
#[async_trait]
pub trait Observer: Send + Sync + 'static {
    /// A container was looked at.
    fn seen(&self, container: &Container);
    /// All containers were listed.
    fn listed(&self, containers: &[Container]);
    /// A container is to be stopped.
    fn stopping(&self, container: &str);
    /// A container was stopped.
    fn stopped(&self, container: &str);
    /// A container is to be removed, which waits for this.
    async fn removing(&self, container: &str);
}

impl LazyEngine {
    /// An engine that this connects to.
    pub fn new(
        connect: impl Fn() -> BoxFuture<'static, Result<Arc<dyn Engine>, EngineError>> + Send + Sync + 'static,
    ) -> Self {
        Self { connect: Box::new(connect), connected: Slot::default(), observer: OnceLock::new() }
    }

    /// Has this see everything from now on. The first stays.
    pub fn observe(&self, observer: Arc<dyn Observer>) {
        self.observer.get_or_init(|| observer);
    }

    async fn engine(&self) -> Result<Arc<dyn Engine>, EngineError> {
        let connected = self.connected.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match connected {
            Some(engine) => Ok(engine),
            None => {
                // Two calls at once may both connect; the later one stays, and the other is dropped with its call.
                let engine = (self.connect)().await?;
                *self.connected.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&engine));
                Ok(engine)
            }
        }
    }
}

#[async_trait]
impl Engine for LazyEngine {
    async fn info(&self) -> Result<EngineInfo, EngineError> {
        self.engine().await?.info().await
    }

    async fn build(
        &self,
        spec: &BuildSpec,
        context: ContextStream,
        log: &(dyn Fn(String) + Send + Sync),
    ) -> Result<String, EngineError> {
        self.engine().await?.build(spec, context, log).await
    }

    async fn pull(&self, reference: &str, log: &(dyn Fn(String) + Send + Sync)) -> Result<(), EngineError> {
        self.engine().await?.pull(reference, log).await
    }

    async fn push(
        &self,
        image: &str,
        reference: &str,
        credentials: Option<&Credentials>,
        log: &(dyn Fn(String) + Send + Sync),
    ) -> Result<String, EngineError> {
        self.engine().await?.push(image, reference, credentials, log).await
    }

    async fn image(&self, reference: &str) -> Result<Option<Image>, EngineError> {
        self.engine().await?.image(reference).await
    }

    async fn remove_image(&self, reference: &str) -> Result<(), EngineError> {
        self.engine().await?.remove_image(reference).await
    }

    async fn create(&self, spec: &ContainerSpec) -> Result<ContainerId, EngineError> {
        self.engine().await?.create(spec).await
    }

    async fn start(&self, container: &str) -> Result<(), EngineError> {
        self.engine().await?.start(container).await
    }

    async fn stop_and_tell(
        &self,
        container: &str,
        grace: Duration,
        told: &CancellationToken,
    ) -> Result<(), EngineError> {
        let engine = self.engine().await?;
        if let Some(observer) = self.observer.get() {
            observer.stopping(container);
        }
        engine.stop_and_tell(container, grace, told).await?;
        if let Some(observer) = self.observer.get() {
            observer.stopped(container);
        }
        Ok(())
    }

    async fn remove(&self, container: &str) -> Result<(), EngineError> {
        let engine = self.engine().await?;
        if let Some(observer) = self.observer.get() {
            observer.removing(container).await;
        }
        engine.remove(container).await
    }

    async fn container(&self, container: &str) -> Result<Option<Container>, EngineError> {
        let found = self.engine().await?.container(container).await?;
        if let Some((observer, found)) = self.observer.get().zip(found.as_ref()) {
            observer.seen(found);
        }
        Ok(found)
    }

    async fn containers(&self) -> Result<Vec<Container>, EngineError> {
        let found = self.engine().await?.containers().await?;
        if let Some(observer) = self.observer.get() {
            observer.listed(&found);
        }
        Ok(found)
    }

    async fn events(&self) -> Result<BoxStream<'static, ContainerEvent>, EngineError> {
        let events = self.engine().await?.events().await?;
        let connected = Arc::clone(&self.connected);
        let end = stream::once(async move {
            *connected.lock().unwrap_or_else(PoisonError::into_inner) = None;
        });
        Ok(events.chain(end.filter_map(|()| async { None })).boxed())
    }

    async fn logs(
        &self,
        container: &str,
        query: LogQuery,
    ) -> Result<BoxStream<'static, LogLine>, EngineError> {
        self.engine().await?.logs(container, query).await
    }

    async fn exec(
        &self,
        container: &str,
        argv: &[String],
        timeout: Duration,
    ) -> Result<Executed, EngineError> {
        self.engine().await?.exec(container, argv, timeout).await
    }

    async fn wait(&self, container: &str) -> Result<(), EngineError> {
        self.engine().await?.wait(container).await
    }

    async fn attach(&self, container: &str) -> Result<Attached, EngineError> {
        self.engine().await?.attach(container).await
    }

    async fn exec_attached(&self, container: &str, spec: &ExecSpec) -> Result<Attached, EngineError> {
        self.engine().await?.exec_attached(container, spec).await
    }

    async fn read_files(&self, container: &str, path: &str) -> Result<ContextStream, EngineError> {
        self.engine().await?.read_files(container, path).await
    }

    async fn write_files(
        &self,
        container: &str,
        folder: &str,
        archive: ContextStream,
    ) -> Result<(), EngineError> {
        self.engine().await?.write_files(container, folder, archive).await
    }

    async fn dial(&self, container: &str, port: u16) -> Result<Connection, EngineError> {
        self.engine().await?.dial(container, port).await
    }

    async fn usage(&self, container: &str) -> Result<Option<Usage>, EngineError> {
        self.engine().await?.usage(container).await
    }

    async fn listening_ports(&self, container: &str) -> Vec<u16> {
        match self.engine().await {
            Ok(engine) => engine.listening_ports(container).await,
            Err(_) => Vec::new(),
        }
    }

    async fn bridge(&self) -> Result<Option<Bridge>, EngineError> {
        self.engine().await?.bridge().await
    }

    async fn remove_network(&self) -> Result<(), EngineError> {
        self.engine().await?.remove_network().await
    }

    async fn ensure_volume(&self, app: &AppName, volume: &str) -> Result<String, EngineError> {
        self.engine().await?.ensure_volume(app, volume).await
    }

    async fn remove_volumes(&self, app: &AppName) -> Result<Vec<String>, EngineError> {
        self.engine().await?.remove_volumes(app).await
    }

    async fn remove_images(&self, app: &AppName) -> Result<usize, EngineError> {
        self.engine().await?.remove_images(app).await
    }
}
