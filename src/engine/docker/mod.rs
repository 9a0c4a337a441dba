//! A real engine, spoken to over Docker's API (Docker or Podman); the only user of bollard.
//!
//! A [`DockerEngine`] is one endpoint that answered. [`find_endpoints`] says where one may be, in Docker's own order, and
//! [`DockerEngine::connect`] agrees on an API version and learns what the engine can do. From then on every call is a request on
//! a connection of its own, so nothing here has to be repaired after the engine was away. Should another version come back, the
//! agreed one may no longer do: connect again when the event stream has ended.
//!
//! Containers of one box share a bridge on which they cannot talk to each other (see `network`). Where that bridge cannot be
//! dialled from here (an engine in a virtual machine, rootless, over TCP), ports are published on loopback instead.
//!
//! Ordinary calls are bounded; builds, logs and events take as long as they take and end when they are dropped. Nothing
//! here retries, keeps state or removes what does not carry our box's label.

mod build;
mod connect;
mod container;
mod error;
mod events;
mod exec;
mod files;
mod image;
mod logs;
mod names;
mod network;
mod ports;
mod progress;
mod push;
mod session;
mod transport;
mod usage;
mod volume;

use std::future::Future;
use std::time::Duration;

use async_trait::async_trait;
use bollard::Docker;
use futures_util::stream::BoxStream;
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

pub use self::connect::{Endpoint, find_endpoints};

use self::error::explain;
use self::transport::Transport;
use super::{
    Attached, BuildSpec, Connection, Container, ContainerEvent, ContainerId, ContainerSpec, ContextStream,
    Engine, EngineError, EngineInfo, ExecSpec, Executed, Image, LogLine, LogQuery, Usage,
};
use crate::name::{AppName, BoxId};
use crate::registry::Credentials;
use crate::route::Bridge;

/// How long an engine may take to be connected to and to say what it is: a local one needs milliseconds.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(2);
/// How long an ordinary call may take: a start on a loaded disk takes seconds; beyond this the engine hangs.
const CALL_TIME_MAX: Duration = Duration::from_secs(30);

/// An engine that answered. Dropping it leaves everything on the engine as it is.
#[derive(Debug)]
pub struct DockerEngine {
    owner: BoxId,
    endpoint: Endpoint,
    transport: Transport,
    client: Docker,
    is_bridge_reachable: bool,
    has_buildkit: bool,
    /// Held while our network is looked for and made: engines let two networks have one name.
    network: Mutex<()>,
    /// Held while an image is pushed.
    pushing: Mutex<()>,
}

/// What outlives a call: a way to the same engine, for whoever is connected with a process.
#[derive(Debug, Clone)]
struct Session {
    endpoint: Endpoint,
    client: Docker,
}

impl DockerEngine {
    /// The box whose objects this sees.
    #[must_use]
    pub fn owner(&self) -> &BoxId {
        &self.owner
    }

    /// Makes a call that must not take longer than any ordinary one. `what` is what a 404 means.
    async fn call<T>(
        &self,
        action: &str,
        what: &str,
        call: impl Future<Output = Result<T, bollard::errors::Error>> + Send,
    ) -> Result<T, EngineError> {
        self.call_within(CALL_TIME_MAX, action, what, call).await
    }

    async fn call_within<T>(
        &self,
        limit: Duration,
        action: &str,
        what: &str,
        call: impl Future<Output = Result<T, bollard::errors::Error>> + Send,
    ) -> Result<T, EngineError> {
        match tokio::time::timeout(limit, call).await {
            Ok(result) => result.map_err(|error| explain(&self.endpoint, action, what, error)),
            Err(_) => Err(EngineError::Unreachable {
                endpoint: self.endpoint.to_string(),
                reason: format!("it did not {action} within {} s", limit.as_secs()),
            }),
        }
    }

    /// A client whose connections all end when `cut` does, those that were upgraded too.
    fn client_until(&self, cut: CancellationToken) -> Docker {
        self.transport.clone().until(cut).client()
    }
}

#[async_trait]
impl Engine for DockerEngine {
    async fn info(&self) -> Result<EngineInfo, EngineError> {
        self.describe().await
    }

    async fn build(
        &self,
        spec: &BuildSpec,
        context: ContextStream,
        log: &(dyn Fn(String) + Send + Sync),
    ) -> Result<String, EngineError> {
        self.build_image(spec, context, log).await
    }

    async fn pull(&self, reference: &str, log: &(dyn Fn(String) + Send + Sync)) -> Result<(), EngineError> {
        self.pull_image(reference, log).await
    }

    async fn push(
        &self,
        image: &str,
        reference: &str,
        credentials: Option<&Credentials>,
        log: &(dyn Fn(String) + Send + Sync),
    ) -> Result<String, EngineError> {
        self.push_image(image, reference, credentials, log).await
    }

    async fn image(&self, reference: &str) -> Result<Option<Image>, EngineError> {
        self.inspect_image(reference).await
    }

    async fn remove_image(&self, reference: &str) -> Result<(), EngineError> {
        self.untag_image(reference).await.map(|_| ())
    }

    async fn create(&self, spec: &ContainerSpec) -> Result<ContainerId, EngineError> {
        self.create_container(spec).await
    }

    async fn start(&self, container: &str) -> Result<(), EngineError> {
        self.start_container(container).await
    }

    async fn stop_and_tell(
        &self,
        container: &str,
        grace: Duration,
        told: &CancellationToken,
    ) -> Result<(), EngineError> {
        self.stop_container(container, grace, told).await
    }

    async fn remove(&self, container: &str) -> Result<(), EngineError> {
        self.remove_container(container).await
    }

    async fn container(&self, container: &str) -> Result<Option<Container>, EngineError> {
        self.inspect_container(container).await
    }

    async fn containers(&self) -> Result<Vec<Container>, EngineError> {
        self.list_containers().await
    }

    async fn events(&self) -> Result<BoxStream<'static, ContainerEvent>, EngineError> {
        self.container_events().await
    }

    async fn logs(
        &self,
        container: &str,
        query: LogQuery,
    ) -> Result<BoxStream<'static, LogLine>, EngineError> {
        self.container_logs(container, query).await
    }

    async fn exec(
        &self,
        container: &str,
        argv: &[String],
        timeout: Duration,
    ) -> Result<Executed, EngineError> {
        self.execute(container, argv, timeout).await
    }

    async fn wait(&self, container: &str) -> Result<(), EngineError> {
        self.wait_for(container).await
    }

    async fn attach(&self, container: &str) -> Result<Attached, EngineError> {
        self.attach_to_container(container).await
    }

    async fn exec_attached(&self, container: &str, spec: &ExecSpec) -> Result<Attached, EngineError> {
        self.execute_attached(container, spec).await
    }

    async fn read_files(&self, container: &str, path: &str) -> Result<ContextStream, EngineError> {
        self.download(container, path).await
    }

    async fn write_files(
        &self,
        container: &str,
        folder: &str,
        archive: ContextStream,
    ) -> Result<(), EngineError> {
        self.upload(container, folder, archive).await
    }

    async fn dial(&self, container: &str, port: u16) -> Result<Connection, EngineError> {
        self.connect_to(container, port).await
    }

    async fn usage(&self, container: &str) -> Result<Option<Usage>, EngineError> {
        self.container_usage(container).await
    }

    async fn listening_ports(&self, container: &str) -> Vec<u16> {
        self.ports_in_use(container).await
    }

    async fn bridge(&self) -> Result<Option<Bridge>, EngineError> {
        self.find_bridge().await
    }

    async fn remove_network(&self) -> Result<(), EngineError> {
        self.remove_our_network().await
    }

    async fn ensure_volume(&self, app: &AppName, volume: &str) -> Result<String, EngineError> {
        self.create_volume(app, volume).await
    }

    async fn remove_volumes(&self, app: &AppName) -> Result<Vec<String>, EngineError> {
        self.remove_app_volumes(app).await
    }

    async fn remove_images(&self, app: &AppName) -> Result<usize, EngineError> {
        self.remove_app_images(app).await
    }
}
