//! The engine: whatever runs containers.
//!
//! [`Engine`] is the seam. [`docker`] speaks to a real one and is the only module that knows its client library; `fake` is a
//! scripted one for the simulation. What passes through the seam are the plain types of this file. An engine holds no
//! desired state: it is asked, and it is believed only about what it is asked *now*; [`Engine::events`] merely says when to
//! look.
//!
//! Everything made here carries [`Labels`], and everything listed or removed is found by them: an object without our box's
//! label does not exist for us.

pub mod docker;
#[cfg(any(test, feature = "testing"))]
pub mod fake;
pub mod lazy;
mod process;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::BoxStream;
use tokio_util::sync::CancellationToken;

use crate::environment::Value;
use crate::name::{AppName, BoxId, InstanceId, ProcessType, ReleaseId, Slot};
use crate::registry::Credentials;
use crate::route::Bridge;

pub use process::{
    Attached, Connection, Control, Duplex, ExecSpec, NoSuchSignal, OneOff, OneOffKind, Piece, Signal,
    WindowSize,
};

/// The label keys, on containers, images, networks and volumes.
pub mod label {
    /// The box that owns the object.
    pub const BOX: &str = "minipaas.box";
    /// The app.
    pub const APP: &str = "minipaas.app";
    /// The release: `v42`.
    pub const RELEASE: &str = "minipaas.release";
    /// The process type.
    pub const PROCESS: &str = "minipaas.process";
    /// The slot: `web.1`.
    pub const SLOT: &str = "minipaas.slot";
    /// The instance's id.
    pub const INSTANCE: &str = "minipaas.instance";
    /// On containers: the port that the process listens on, so that a restarted daemon knows where to dial.
    pub const PORT: &str = "minipaas.port";
    /// On containers: further ports that are dialled, separated by commas.
    pub const MORE_PORTS: &str = "minipaas.more-ports";
    /// On containers that run one command and are no instances: `attached`, `detached` or `release`.
    pub const ONE_OFF: &str = "minipaas.one-off";
    /// On detached ones: when they are stopped, in milliseconds since the Unix epoch.
    pub const UNTIL: &str = "minipaas.until";
    /// On images: the digest of what they were made from.
    pub const CONTENT: &str = "minipaas.content";
}

/// Names that only one engine gives.
pub type ContainerId = String;

/// What can go wrong with an engine.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// It does not answer.
    #[error("cannot reach the engine at {endpoint}: {reason}")]
    Unreachable {
        /// Where it should be.
        endpoint: String,
        /// The transport's word.
        reason: String,
    },
    /// The socket may not be opened.
    #[error("no permission to use the engine at {endpoint}")]
    Forbidden {
        /// Where it is.
        endpoint: String,
    },
    /// It answered that something is not there.
    #[error("{what} is not there")]
    NotFound {
        /// What was asked for: "image `x:1`".
        what: String,
    },
    /// The disk under the engine is full.
    #[error("cannot {action}: the engine's disk is full")]
    DiskFull {
        /// What was being done: "build the image".
        action: String,
    },
    /// A build step failed; the log says why.
    #[error("{message}")]
    BuildFailed {
        /// The engine's word.
        message: String,
    },
    /// A registry did not take an image.
    #[error("cannot push `{reference}`: {message}")]
    NotPushed {
        /// The image's name there.
        reference: String,
        /// Whose fault it is.
        refusal: PushRefusal,
        /// The registry's word, or the engine's.
        message: String,
    },
    /// It refused.
    #[error("cannot {action}: {message}")]
    Refused {
        /// What was being done: "start container `shop.web.1`".
        action: String,
        /// The engine's word.
        message: String,
    },
    /// The context could not be read.
    #[error("cannot send the build context")]
    Context(#[source] io::Error),
}

/// Why a registry does not take an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PushRefusal {
    /// It does not know who pushes, or they may not.
    Unauthorized,
    /// It speaks http, and the engine wants https.
    PlainHttp,
    /// The engine does not trust its certificate.
    Untrusted,
    /// It does not answer.
    Unreachable,
    /// Another reason.
    Other,
}

/// What an engine is and can.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineInfo {
    /// Where it is: `unix:///var/run/docker.sock`.
    pub endpoint: String,
    /// Its version: `29.1.0`.
    pub version: String,
    /// The API version that was agreed on: `1.41`.
    pub api: String,
    /// Whether a container's own address can be dialled from here; otherwise its port is published on loopback.
    pub is_bridge_reachable: bool,
    /// Where images and volumes are kept on its host.
    pub root_dir: String,
    /// The memory of its host, in bytes; 0 when it does not say.
    pub memory_bytes: u64,
    /// The cores of its host; 0 when it does not say.
    pub cores: u32,
}

/// What a container has used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// CPU time since it was started.
    pub cpu: Duration,
    /// Memory now, in bytes.
    pub memory_bytes: u64,
}

/// What our objects on an engine are labelled with.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Labels {
    /// The app.
    pub app: AppName,
    /// The release.
    pub release: ReleaseId,
    /// The slot.
    pub slot: Slot,
    /// The instance.
    pub instance: InstanceId,
}

/// An image, as the engine describes it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Image {
    /// `sha256:…`.
    pub id: String,
    /// The TCP ports that it exposes, ascending.
    pub exposed_ports: Vec<u16>,
    /// Whether it has a HEALTHCHECK (other than NONE).
    pub has_healthcheck: bool,
    /// Whether it names a command or an entry point.
    pub has_command: bool,
    /// Where registries have it: `ghcr.io/x/y@sha256:…`.
    pub repo_digests: Vec<String>,
    /// The user that its processes run as: `1000`, `app`, `1000:1000`; empty: root.
    pub user: String,
    /// Its ENTRYPOINT.
    pub entrypoint: Vec<String>,
    /// Its CMD.
    pub command: Vec<String>,
    /// Its HEALTHCHECK (other than NONE).
    pub healthcheck: Option<Healthcheck>,
}

/// A HEALTHCHECK, with the engine's defaults filled in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Healthcheck {
    /// `["CMD", "curl", …]` or `["CMD-SHELL", "curl …"]`.
    pub test: Vec<String>,
    /// Between two of them.
    pub interval: Duration,
    /// For one of them.
    pub timeout: Duration,
    /// In which failures do not count.
    pub start_period: Duration,
    /// How many failures in a row make it unhealthy.
    pub retries: u32,
}

/// An image to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuildSpec {
    /// The tag that it gets.
    pub tag: String,
    /// The Dockerfile's path inside the context.
    pub dockerfile: String,
    /// Build arguments.
    pub args: BTreeMap<String, String>,
    /// The stage to stop at.
    pub target: Option<String>,
    /// All labels.
    pub labels: BTreeMap<String, String>,
}

/// A container to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainerSpec {
    /// Whose it is.
    pub labels: Labels,
    /// The image's id.
    pub image: String,
    /// Replaces the image's command; its entry point stays.
    pub argv: Option<Vec<String>>,
    /// The environment, all of it.
    pub env: BTreeMap<String, String>,
    /// Files that are put into it before it starts, by their absolute paths; everybody in the container may read them.
    pub files: BTreeMap<String, Value>,
    /// The port that the process listens on; published on loopback where the bridge cannot be dialled.
    pub port: Option<u16>,
    /// Further ports that it listens on; published likewise. Without `port`, and each once.
    pub more_ports: Vec<u16>,
    /// Bytes.
    pub memory: Option<u64>,
    /// Thousandths of a core.
    pub cpu: Option<u32>,
    /// Volume name (on the engine) to mount path.
    pub volumes: BTreeMap<String, String>,
    /// The apps that it may call: their names lead to the box.
    pub links: BTreeSet<AppName>,
    /// From SIGTERM to SIGKILL, when somebody else stops the container.
    pub stop_grace: Duration,
    /// Set on what runs one command; `None` for an instance.
    pub one_off: Option<OneOff>,
}

/// A container of ours, as the engine sees it now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Container {
    /// The engine's id.
    pub id: ContainerId,
    /// Whose it is.
    pub labels: Labels,
    /// What it does.
    pub state: ContainerState,
    /// Its address on our network, from which it calls; `None` while it has none.
    pub ip: Option<IpAddr>,
    /// Where its port can be reached; `None` while it has no address, or when it has no port.
    pub addr: Option<SocketAddr>,
    /// Where its further ports can be reached; those that cannot are not in it.
    pub more_addrs: BTreeMap<u16, SocketAddr>,
    /// What its HEALTHCHECK says.
    pub health: Health,
    /// Whether a volume of its app is mounted in it.
    pub has_volume: bool,
    /// Set when it is no instance of its release, but runs one command.
    pub one_off: Option<OneOffKind>,
}

/// What a container does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ContainerState {
    /// Made and never started.
    Created,
    /// Its process runs.
    Running,
    /// Its process ended.
    Exited {
        /// The exit code; 128 + signal when killed.
        code: i64,
        /// Whether the kernel killed it for its memory.
        is_out_of_memory: bool,
    },
}

/// What a HEALTHCHECK says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Health {
    /// There is none.
    None,
    /// It has not passed yet.
    Starting,
    /// It passed last.
    Healthy,
    /// It failed often enough.
    Unhealthy,
}

/// Something happened to a container of ours: look again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainerEvent {
    /// The instance.
    pub instance: InstanceId,
}

/// One line that a container wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    /// When it began, in nanoseconds since the Unix epoch.
    pub at: u64,
    /// Whether it went to standard error.
    pub is_stderr: bool,
    /// Whether it was too long, and goes on in the next one of its stream.
    pub is_cut: bool,
    /// Whether the log ended before it did: all that there is of a container that has ended, maybe not of one that runs.
    pub is_unfinished: bool,
    /// The line without its end; what is not UTF-8 is replaced.
    pub text: String,
}

/// Which lines of a container are wanted. Default: all that there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LogQuery {
    /// At most so many of the newest.
    pub tail: Option<u32>,
    /// Only what was written at this time or later, in nanoseconds since the Unix epoch; an engine may give some that is older.
    pub since: Option<u64>,
    /// Go on with new ones until the container ends.
    pub follow: bool,
}

/// How a command inside a container ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Executed {
    /// The exit code.
    pub code: i64,
    /// The last of what it wrote to both streams.
    pub output: String,
}

/// A build context: a tar archive in pieces.
pub type ContextStream = BoxStream<'static, io::Result<Bytes>>;

/// Something that runs containers. Every call is safe to repeat, and safe to cancel by dropping it: what was half made
/// carries its labels and is found by the next [`Engine::containers`].
#[async_trait]
pub trait Engine: Send + Sync + 'static {
    /// Whether it answers, and what it is.
    async fn info(&self) -> Result<EngineInfo, EngineError>;

    /// Makes an image; each line of the build's log goes to `log`. Returns the image's id.
    async fn build(
        &self,
        spec: &BuildSpec,
        context: ContextStream,
        log: &(dyn Fn(String) + Send + Sync),
    ) -> Result<String, EngineError>;

    /// Fetches an image from its registry; progress lines go to `log`.
    async fn pull(&self, reference: &str, log: &(dyn Fn(String) + Send + Sync)) -> Result<(), EngineError>;

    /// Gives an image, by its id, to a registry under the name `reference`; progress lines go to `log`. The engine itself does not
    /// keep that name. Returns the digest by which it is found there: `sha256:…`.
    async fn push(
        &self,
        image: &str,
        reference: &str,
        credentials: Option<&Credentials>,
        log: &(dyn Fn(String) + Send + Sync),
    ) -> Result<String, EngineError>;

    /// The image of this reference or id, `None` when it is not on the engine.
    async fn image(&self, reference: &str) -> Result<Option<Image>, EngineError>;

    /// Removes this tag, and the image when it was the last; a missing one is no error, one in use stays.
    async fn remove_image(&self, reference: &str) -> Result<(), EngineError>;

    /// Makes the container; it does not run yet. The name is unique by the instance's id.
    async fn create(&self, spec: &ContainerSpec) -> Result<ContainerId, EngineError>;

    /// Runs it. One that runs already is no error.
    async fn start(&self, container: &str) -> Result<(), EngineError>;

    /// SIGTERM (or the image's STOPSIGNAL), after `grace` SIGKILL; returns once it has ended. A missing one is no error.
    async fn stop(&self, container: &str, grace: Duration) -> Result<(), EngineError> {
        self.stop_and_tell(container, grace, &CancellationToken::new()).await
    }

    /// [`Self::stop`], which cancels `told` once its process got the signal. A busy engine may take seconds until then.
    async fn stop_and_tell(
        &self,
        container: &str,
        grace: Duration,
        told: &CancellationToken,
    ) -> Result<(), EngineError>;

    /// Kills and removes it with its anonymous volumes. A missing one is no error.
    async fn remove(&self, container: &str) -> Result<(), EngineError>;

    /// One container as it is now, `None` when it is gone.
    async fn container(&self, container: &str) -> Result<Option<Container>, EngineError>;

    /// All containers of our box, in the order of their labels.
    async fn containers(&self) -> Result<Vec<Container>, EngineError>;

    /// Changes to containers of our box from now on; ends when the engine goes away.
    async fn events(&self) -> Result<BoxStream<'static, ContainerEvent>, EngineError>;

    /// What a container wrote.
    async fn logs(
        &self,
        container: &str,
        query: LogQuery,
    ) -> Result<BoxStream<'static, LogLine>, EngineError>;

    /// Runs a command inside a container, at most `timeout`.
    async fn exec(
        &self,
        container: &str,
        argv: &[String],
        timeout: Duration,
    ) -> Result<Executed, EngineError>;

    /// Returns once the process of a container that was started has ended.
    async fn wait(&self, container: &str) -> Result<(), EngineError>;

    /// Connects with the process of a one-off container, which must not have been started yet.
    async fn attach(&self, container: &str) -> Result<Attached, EngineError>;

    /// Runs a command inside a running container, connected with it.
    async fn exec_attached(&self, container: &str, spec: &ExecSpec) -> Result<Attached, EngineError>;

    /// The file or folder at an absolute path inside a container, as a tar archive of one root. Whether it runs does not matter.
    async fn read_files(&self, container: &str, path: &str) -> Result<ContextStream, EngineError>;

    /// Unpacks a tar archive into a folder inside a container, over what is there.
    async fn write_files(
        &self,
        container: &str,
        folder: &str,
        archive: ContextStream,
    ) -> Result<(), EngineError>;

    /// Connects to a port of a container, at its own address.
    async fn dial(&self, container: &str, port: u16) -> Result<Connection, EngineError>;

    /// What a container has used; `None` when it does not run, or the engine cannot say.
    async fn usage(&self, container: &str) -> Result<Option<Usage>, EngineError>;

    /// The TCP ports on which the container's processes listen now, on any address, ascending; empty when that cannot be known.
    async fn listening_ports(&self, container: &str) -> Vec<u16>;

    /// The network of our containers, if there is one and the box can be reached on it.
    async fn bridge(&self) -> Result<Option<Bridge>, EngineError>;

    /// Removes the network of our containers, if there is one and no container is on it.
    async fn remove_network(&self) -> Result<(), EngineError>;

    /// The engine's name of an app's volume; makes it if it is not there.
    async fn ensure_volume(&self, app: &AppName, volume: &str) -> Result<String, EngineError>;

    /// Removes every volume of an app; returns their names.
    async fn remove_volumes(&self, app: &AppName) -> Result<Vec<String>, EngineError>;

    /// Removes the images that we made for an app, but those that containers use; returns how many.
    async fn remove_images(&self, app: &AppName) -> Result<usize, EngineError>;
}

impl Labels {
    /// As the engine keeps them.
    #[must_use]
    pub fn to_map(&self, owner: &BoxId) -> BTreeMap<String, String> {
        [
            (label::BOX, owner.to_string()),
            (label::APP, self.app.to_string()),
            (label::RELEASE, self.release.to_string()),
            (label::PROCESS, self.slot.process.to_string()),
            (label::SLOT, self.slot.to_string()),
            (label::INSTANCE, self.instance.to_string()),
        ]
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value))
        .collect()
    }

    /// Reads them back; `None` when one is missing or not ours.
    #[must_use]
    pub fn from_map<S: std::hash::BuildHasher>(
        owner: &BoxId,
        map: &std::collections::HashMap<String, String, S>,
    ) -> Option<Self> {
        let get = |key: &str| map.get(key).map(String::as_str);
        if get(label::BOX)? != owner.as_str() {
            return None;
        }
        Some(Self {
            app: get(label::APP)?.parse().ok()?,
            release: get(label::RELEASE)?.parse().ok()?,
            slot: get(label::SLOT)?.parse().ok()?,
            instance: get(label::INSTANCE)?.parse().ok()?,
        })
    }

    /// The container's name: readable first, unique by its end.
    #[must_use]
    pub fn container_name(&self) -> String {
        format!("{}-{}-{}-{}-{}", self.app, self.release, self.slot.process, self.slot.number, self.instance)
    }
}

impl Container {
    /// Whether it is an instance of its release, and no single run of a command.
    #[must_use]
    pub fn is_instance(&self) -> bool {
        self.one_off.is_none()
    }

    /// Whether its process runs.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.state == ContainerState::Running
    }

    /// The process type.
    #[must_use]
    pub fn process(&self) -> &ProcessType {
        &self.labels.slot.process
    }
}
