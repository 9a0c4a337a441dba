//! The single owner of desired state.
//!
//! # Theory of operation
//!
//! One task owns every app: which release serves, which instances run for it, which rollout is under way. It hears
//! [`Command`]s from the API, requests from rollouts, changes from instances and observations from the engine, one after the
//! other, and after each brings the world nearer to what is wanted: instances that ended are replaced (at once, then ever
//! later), and the route table is built anew from what is ready and published when it differs.
//!
//! It is level-triggered: what it does follows from the state, not from the event, so that an event that is lost or told
//! twice changes nothing but time. Anything that may take long (building containers, draining, stopping) runs in a task of
//! its own and reports back; the loop itself waits for the store alone.
//!
//! At its start it reads the store, waits for the engine's first listing, takes up the instances that run, removes what
//! belongs to nothing, and goes on with rollouts that were cut short (`recover`).
//!
//! Dropping the last [`Controller`] handle ends the task; containers keep running.

mod app;
mod callers;
mod canary;
mod change;
mod compare;
mod deploy;
mod domains;
mod export;
mod external;
mod fleet;
mod formation;
mod health;
mod ledger;
mod one_off;
mod proxy;
mod recover;
mod reform;
mod removal;
mod report;
mod rule;
mod supervise;
mod table;
mod task;
mod traffic;
mod view;
mod watcher;

use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

use crate::autoscale::Autoscale;
use crate::engine::EngineError;
use crate::environment::EnvironmentChange;
use crate::external::{Surroundings, Wanted};
use crate::manifest::{ManifestError, Source};
use crate::name::{AppName, ProcessType, ReleaseId};
use crate::people::Actor;
use crate::plan::{NoSuchHost, OneOffSpec, Plan};
use crate::port::ListenError;
use crate::release::{Build, Release};
use crate::rollout::{Abort, Deps, Update};
use crate::route::{Conflict, Mode, PortConflict};
use crate::store::StoreError;

pub use canary::{CanaryChange, CanaryChanged, CanaryError};
pub use change::{Change, ChangeError, Code};
pub use domains::{AppDomain, AppDomains, DomainsChange, DomainsError, Origin};
pub use export::{ExportError, Exported, Runs};
pub use external::UpstreamsError;
pub use health::{InstanceHealth, ProcessHealth};
pub use ledger::{ConfigError, ConfigView, Ledger};
pub use one_off::OneOffError;
pub use proxy::{IgnoredSetting, Layer, ProxyChange, ProxyEdit, ProxyError, ProxySettings, Setting};
pub use reform::{Reform, ReformError, ReformUpdate, Wanted as ReformWanted};
pub use table::last_table;
pub use traffic::{TrafficChange, TrafficError};
pub use view::{AppView, CanaryView, DeployView, EngineView, ExternalView, InstanceView, UpstreamView, View};

/// How many commands may wait for the controller.
const COMMANDS_MAX: usize = 256;

/// What the controller is asked to do.
#[derive(Debug)]
pub enum Command {
    /// Make a release and roll it out.
    Deploy(Deploy),
    /// End a rollout that has not switched yet.
    Cancel {
        /// The app.
        app: AppName,
        /// The release that is being rolled out.
        release: ReleaseId,
    },
    /// Say what a deploy would do.
    Plan {
        /// The app.
        app: AppName,
        /// The manifest.
        source: Source,
        /// The image; `None` while it is not built.
        build: Option<Build>,
        /// Receives the plan; `None` when nothing would change.
        reply: oneshot::Sender<Result<Planned, DeployError>>,
    },
    /// Make an app that nothing was deployed to.
    Create {
        /// The app.
        app: AppName,
        /// Told once it is stored.
        reply: oneshot::Sender<Result<(), ConfigError>>,
    },
    /// List an app's releases.
    Releases {
        /// The app.
        app: AppName,
        /// Receives them.
        reply: oneshot::Sender<Result<Ledger, ChangeError>>,
    },
    /// Say what an app's config is, and stage a change before if that is wanted.
    Config {
        /// The app.
        app: AppName,
        /// What the next release is to have.
        stage: Option<EnvironmentChange>,
        /// Told what holds from now on, once it is stored.
        reply: oneshot::Sender<Result<ConfigView, ConfigError>>,
    },
    /// Change whether requests reach an app.
    Traffic {
        /// The app.
        app: AppName,
        /// What is wanted.
        change: TrafficChange,
        /// Told what holds from now on, once it is stored.
        reply: oneshot::Sender<Result<Mode, TrafficError>>,
    },
    /// Say how an app's requests are treated, and change it before if that is wanted.
    Proxy {
        /// The app.
        app: AppName,
        /// What is wanted.
        change: Option<ProxyChange>,
        /// Told what holds from now on, once it is stored.
        reply: oneshot::Sender<Result<ProxySettings, ProxyError>>,
    },
    /// Say what the probes of an app's instances said last.
    Health {
        /// The app.
        app: AppName,
        /// Told by process type; `None` when there is no such app.
        reply: oneshot::Sender<Option<Vec<ProcessHealth>>>,
    },
    /// Say which hosts an app has, and change them before if that is wanted.
    Domains {
        /// The app.
        app: AppName,
        /// What is wanted.
        change: Option<DomainsChange>,
        /// Told what holds from now on, once it is stored and published.
        reply: oneshot::Sender<Result<AppDomains, DomainsError>>,
    },
    /// Say all that an export of apps needs.
    Export {
        /// The apps.
        apps: Vec<AppName>,
        /// Told about each, in their order.
        reply: oneshot::Sender<Vec<Result<Exported, ExportError>>>,
    },
    /// Decide about an app's canary.
    Canary {
        /// The app.
        app: AppName,
        /// What is wanted.
        change: CanaryChange,
        /// Told what became of it.
        reply: oneshot::Sender<Result<CanaryChanged, CanaryError>>,
    },
    /// Say what a run in one of an app's releases is made of.
    OneOff {
        /// The app.
        app: AppName,
        /// The release; `None`: the one that serves.
        release: Option<ReleaseId>,
        /// The process type whose command and limits it has, if any.
        process: Option<ProcessType>,
        /// Told what.
        reply: oneshot::Sender<Result<OneOffSpec, OneOffError>>,
    },
    /// Make an app that is only a route, or have it lead somewhere else.
    Upstreams {
        /// The app.
        app: AppName,
        /// What is wanted.
        wanted: Wanted,
        /// Told once it is stored and published; nobody was asked by then.
        reply: oneshot::Sender<Result<(), UpstreamsError>>,
    },
    /// Change how many instances an app has, or put new ones in their place.
    Reform(Reform),
    /// By what rule the number of a process type's instances changes: `Some(None)` is none, `None` as the manifest says.
    Autoscale {
        /// The app.
        app: AppName,
        /// The process type.
        process: ProcessType,
        /// The rule.
        rule: Option<Option<Autoscale>>,
        /// Told once it is stored.
        reply: oneshot::Sender<Result<(), ReformError>>,
    },
    /// Stop an app and forget it.
    Down {
        /// The app.
        app: AppName,
        /// Whether its volumes go, too.
        volumes: bool,
        /// Told when everything is gone.
        reply: oneshot::Sender<Result<Downed, DownError>>,
    },
}

/// A change that makes a release, as it is asked for.
#[derive(Debug)]
pub struct Deploy {
    /// The app; one of whose code changes is made when there is none of this name.
    pub app: AppName,
    /// What is to be different about it.
    pub change: Change,
    /// Who wants it.
    pub by: Actor,
    /// Hears how it goes, and ends with [`DeployUpdate::Ended`].
    pub updates: mpsc::UnboundedSender<DeployUpdate>,
}

/// What a deploy says while it goes on.
#[derive(Debug)]
pub enum DeployUpdate {
    /// It has a number; it can be cancelled with it.
    Accepted(ReleaseId),
    /// Its rollout said something.
    Rollout(Update),
    /// It is over; nothing follows.
    Ended(Result<Deployed, DeployError>),
}

/// A deploy that worked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deployed {
    /// The release that serves, or is the canary.
    pub release: ReleaseId,
    /// Whether it did already, and nothing was done.
    pub is_unchanged: bool,
    /// What is new about it.
    pub summary: String,
}

/// What a deploy would do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Planned {
    /// The steps.
    pub plan: Plan,
    /// Whether the plan's release serves already.
    pub is_unchanged: bool,
    /// Whether it is the canary already.
    pub is_canary: bool,
    /// The release that the plan makes serve.
    pub release: Release,
}

/// What went with an app.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Downed {
    /// How many instances were stopped.
    pub instances: usize,
    /// How many addresses of upstreams get no requests any more.
    pub upstreams: usize,
    /// The volumes that were removed.
    pub volumes: Vec<String>,
}

/// Why a deploy did not work.
#[derive(Debug, thiserror::Error)]
pub enum DeployError {
    /// The manifest breaks a rule.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// Its canonical host leads away from it.
    #[error(transparent)]
    CanonicalHost(#[from] NoSuchHost),
    /// It is linked to itself.
    #[error("app `{0}` is linked to itself; take it out of `[link]`")]
    OwnLink(AppName),
    /// Another app has one of its routes.
    #[error(transparent)]
    Conflict(#[from] Conflict),
    /// Another app has one of its ports.
    #[error(transparent)]
    PortConflict(#[from] PortConflict),
    /// One of its ports is where the box itself serves http or https.
    #[error("port {0} is the box's own: it serves http and https there")]
    OwnPort(u16),
    /// One of its ports cannot be had.
    #[error(transparent)]
    Port(#[from] ListenError),
    /// The name is another folder's.
    #[error("app `{app}` was deployed from `{origin}`")]
    NameTaken {
        /// The app.
        app: AppName,
        /// Where the one of this name came from.
        origin: String,
    },
    /// No release can be made of it.
    #[error(transparent)]
    Change(#[from] ChangeError),
    /// Its release does not serve.
    #[error(transparent)]
    Aborted(Box<Abort>),
    /// Two releases would run beside each other on one volume.
    #[error(
        "app `{0}` has a volume, which has one writer, and so can have no `canary` beside the release that serves"
    )]
    CanaryWithVolume(AppName),
    /// The app was taken down while the deploy waited.
    #[error("app `{0}` was taken down meanwhile")]
    TakenDown(AppName),
    /// The engine has not answered since the daemon started.
    #[error("the engine does not answer: {0}")]
    EngineAway(String),
    /// The state could not be written.
    #[error("the release could not be stored")]
    Store(#[from] StoreError),
}

/// Why an app did not go.
#[derive(Debug, thiserror::Error)]
pub enum DownError {
    /// There is none of this name.
    #[error("there is no app `{0}`")]
    Unknown(AppName),
    /// The engine did not do its part.
    #[error("the app is forgotten, but not everything of it is gone")]
    Engine(#[from] EngineError),
    /// The state could not be written; the app is as it was.
    #[error("the app could not be removed")]
    Store(#[from] StoreError),
}

/// The controller is ending; nothing was done.
#[derive(Debug, thiserror::Error)]
#[error("the daemon is stopping")]
pub struct Stopping;

/// The handle on the controller; clones are handles on the same one.
#[derive(Debug, Clone)]
pub struct Controller {
    commands: mpsc::Sender<Command>,
    view: watch::Receiver<std::sync::Arc<View>>,
}

/// What a controller is made of.
pub struct Parts {
    /// What rollouts and instances work with; its channels lead to this controller.
    pub deps: Deps,
    /// Requests of rollouts.
    pub requests: mpsc::UnboundedReceiver<crate::rollout::Request>,
    /// Changes of instances.
    pub changes: mpsc::UnboundedReceiver<crate::name::InstanceId>,
    /// Apps are at `<app>.<domain>`.
    pub domain: String,
    /// What upstreams that run elsewhere are found with.
    pub surroundings: Surroundings,
}

impl Controller {
    /// Starts the controller on what the store holds, and the table that was published of it. Ends when `shutdown` is cancelled.
    ///
    /// # Errors
    ///
    /// When the store cannot be read.
    pub async fn start(parts: Parts, shutdown: CancellationToken) -> Result<Self, StoreError> {
        let snapshot = parts.deps.store.snapshot().await?;
        let table = parts.deps.routes.load().table().clone();
        let (commands, inbox) = mpsc::channel(COMMANDS_MAX);
        let (view_tx, view) = watch::channel(std::sync::Arc::default());
        let task = task::Task::new(parts, snapshot, table, view_tx);
        tokio::spawn(task.run(inbox, shutdown));
        Ok(Self { commands, view })
    }

    /// Asks for something. The answer comes through the command's own channel.
    ///
    /// # Errors
    ///
    /// When the controller has ended.
    pub async fn send(&self, command: Command) -> Result<(), Stopping> {
        self.commands.send(command).await.map_err(|_| Stopping)
    }

    /// What is, as the controller last published it. Never waits.
    #[must_use]
    pub fn view(&self) -> std::sync::Arc<View> {
        self.view.borrow().clone()
    }

    /// A receiver that wakes at every change of the view.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<std::sync::Arc<View>> {
        self.view.clone()
    }
}
