//! An engine that is connected to when it is first needed, and again after it was away.
//!
//! The daemon starts, and the proxy serves, whether or not an engine answers: every call tries, and the first that succeeds
//! is where all later ones go. When the stream of events ends the engine went away, maybe to come back as another version:
//! the next call connects anew.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::{self, BoxStream};
use tokio_util::sync::CancellationToken;

use super::{
    BuildSpec, Container, ContainerEvent, ContainerId, ContainerSpec, ContextStream, Engine, EngineError,
    EngineInfo, Executed, Image, LogLine, LogQuery, Usage,
};
use crate::name::AppName;

type Connect = dyn Fn() -> BoxFuture<'static, Result<Arc<dyn Engine>, EngineError>> + Send + Sync;
type Slot = Arc<Mutex<Option<Arc<dyn Engine>>>>;

/// An engine behind a connection that may not be there yet.
pub struct LazyEngine {
    connect: Box<Connect>,
    connected: Slot,
}

impl LazyEngine {
    /// An engine that this connects to.
    pub fn new(
        connect: impl Fn() -> BoxFuture<'static, Result<Arc<dyn Engine>, EngineError>> + Send + Sync + 'static,
    ) -> Self {
        Self { connect: Box::new(connect), connected: Slot::default() }
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
        self.engine().await?.stop_and_tell(container, grace, told).await
    }

    async fn remove(&self, container: &str) -> Result<(), EngineError> {
        self.engine().await?.remove(container).await
    }

    async fn container(&self, container: &str) -> Result<Option<Container>, EngineError> {
        self.engine().await?.container(container).await
    }

    async fn containers(&self) -> Result<Vec<Container>, EngineError> {
        self.engine().await?.containers().await
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

    async fn usage(&self, container: &str) -> Result<Option<Usage>, EngineError> {
        self.engine().await?.usage(container).await
    }

    async fn listening_ports(&self, container: &str) -> Vec<u16> {
        match self.engine().await {
            Ok(engine) => engine.listening_ports(container).await,
            Err(_) => Vec::new(),
        }
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
