//! One release taking over from another.
//!
//! [`run`] carries out a [`Plan`] up to the switch, and [`finish`] what comes after it; both store each [`Phase`] before its
//! effect. Between the two lies the one moment that counts: the controller stores the new release as the one that serves and
//! publishes the new route table ([`Request::Switch`]). Before it, anything that goes wrong, and a cancellation, removes the
//! new instances and leaves the old ones serving; after it, the old ones are drained and stopped, and another rollout of the
//! app may begin meanwhile.
//!
//! Two things may lie beside that path. A release with a [canary](Plan::canary) stops before the switch, with a share of the
//! requests, until the controller is told what is to become of it. A release with a `watch_window` is compared with the one
//! before after the switch ([`watch()`]), whose instances are kept meanwhile, and may be taken back.
//!
//! | found on disk at start-up | what was half done | what happens |
//! |---|---|---|
//! | `Releasing` | the release's own command, maybe | what is left of it is removed, and it is run again from its start |
//! | `Starting`, `AwaitingReadiness` | new instances, maybe | run again, taking up what is there |
//! | `Canary` | the new table, maybe | instances of both releases are taken up; the canary goes on |
//! | `Aborted` | new instances, maybe | they are removed |
//! | `Switching`, `Draining`, `Stopping` | old instances, maybe | they are stopped and removed |

mod abort;
mod beside;
mod finish;
mod ready;
mod release;
mod watch;

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use crate::engine::Container;
use crate::events::Reporter;
use crate::instance::{Instance, Machinery, Retirement};
use crate::name::{AppName, InstanceId, ReleaseId, Slot};
use crate::oneoff::{Run, Runs};
use crate::plan::{Plan, UpdateOrder};
use crate::store::{Store, StoreError};
use crate::traffic::Routes;

pub use abort::{Abort, Cause};
pub use beside::{Beside, start_beside};
pub use finish::{finish, stop_and_remove};
pub use watch::{Watched, Worse, watch, watch_canary};

/// The step of a rollout that has switched and is compared with the release before.
pub const WATCH_STEP: &str = "watch";

/// How far a rollout is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// The release's own command runs.
    Releasing,
    /// New instances are made and started.
    Starting,
    /// They are asked until they are ready.
    AwaitingReadiness,
    /// They get a share of the requests, until somebody decides about them.
    Canary,
    /// The new release is the one that serves; its table is published next.
    Switching,
    /// Old instances finish what is in flight.
    Draining,
    /// Old instances are stopped and removed.
    Stopping,
    /// It failed or was cancelled; new instances are removed.
    Aborted,
}

/// What the store keeps of a rollout that has not ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RolloutRecord {
    /// The app.
    pub app: AppName,
    /// The release that is to serve.
    pub release: ReleaseId,
    /// How far it is.
    pub phase: Phase,
}

/// Why a release did not take over, and its instances, which therefore are still the rollout's.
pub type Unswitched = (NoSwitch, Vec<Instance>);

/// Why a release did not take over although its instances were ready.
#[derive(Debug)]
pub enum NoSwitch {
    /// The state could not be written.
    Store(StoreError),
    /// None of them was any more once it was written, which was taken back.
    Unready,
}

/// What a rollout asks of the controller, which alone may change what serves.
#[derive(Debug)]
pub enum Request {
    /// Publish that requests for the app wait, and name the instances that are to stop.
    Hold {
        /// The app.
        app: AppName,
        /// Receives the old instances.
        reply: oneshot::Sender<Vec<Retirement>>,
    },
    /// Make these instances the ones that serve.
    Switch {
        /// The app.
        app: AppName,
        /// The new release.
        release: ReleaseId,
        /// Its instances, all ready.
        instances: Vec<Instance>,
        /// Told once the release is stored and the table published, and whether it is to be watched. If that does not come to
        /// be, the old one serves on, and the instances are given back.
        reply: oneshot::Sender<Result<Option<Watched>, Unswitched>>,
    },
    /// Let these instances have a share of the requests, beside those that serve.
    Canary {
        /// The app.
        app: AppName,
        /// The new release.
        release: ReleaseId,
        /// Its instances, all ready.
        instances: Vec<Instance>,
        /// Told once that is stored and the table published. A store that fails gives the instances back.
        reply: oneshot::Sender<Result<(), Unswitched>>,
    },
    /// Let the release before go, or bring it back.
    EndWatch {
        /// The app.
        app: AppName,
        /// The release that was watched.
        release: ReleaseId,
        /// Why the one before is to come back; `None` when it is not.
        worse: Option<Worse>,
        /// Told whether it came back.
        reply: oneshot::Sender<bool>,
    },
}

/// What a rollout says while it goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Update {
    /// A step began.
    Step {
        /// One word.
        step: &'static str,
        /// What it is about.
        detail: String,
    },
    /// A line that the step's own command wrote.
    Log(String),
    /// Something worth saying.
    Notice(String),
}

/// What a rollout works with.
#[derive(Clone)]
pub struct Deps {
    /// Runs instances.
    pub machinery: Machinery,
    /// Keeps phases.
    pub store: Store,
    /// The commands of releases, among others.
    pub runs: Runs,
    /// Where old instances are drained.
    pub routes: Routes,
    /// Makes ids that were never used.
    pub ids: Arc<dyn Fn() -> InstanceId + Send + Sync>,
    /// To the controller.
    pub requests: mpsc::UnboundedSender<Request>,
    /// To the audit log.
    pub reporter: Reporter,
}

/// One rollout, about to run.
pub struct Rollout {
    /// What is to be done.
    pub plan: Plan,
    /// The phase that is stored: [`Phase::Releasing`] when its own command is to be run.
    pub phase: Phase,
    /// Containers of the new release that an interrupted run left.
    pub found: Vec<Container>,
    /// Ends it early; after the switch it does nothing.
    pub cancel: CancellationToken,
    /// Hears how it goes; closed when nobody listens any more, which changes nothing.
    pub updates: mpsc::UnboundedSender<Update>,
}

/// How a rollout ended.
#[derive(Debug)]
pub enum Outcome {
    /// The new release serves.
    Active,
    /// It gets a share of the requests, until somebody decides about it.
    Canary,
    /// It does not; every instance of it is gone.
    Aborted(Box<Abort>),
}

/// Carries out the plan until the new release serves, or it is clear that it will not.
pub async fn run(rollout: Rollout, deps: &Deps) -> Outcome {
    let Rollout { plan, phase, found, cancel, updates } = rollout;
    let tell = |step, detail: String| {
        let _ = updates.send(Update::Step { step, detail });
    };
    // Owned here, so that an early end finds every instance there is to remove.
    let (mut instances, mut command) = (Vec::new(), None);
    let result = tokio::select! {
        biased;
        () = cancel.cancelled() => Err((None, Cause::Cancelled)),
        result = until_ready(&plan, phase, found, (&mut command, &mut instances), deps, &updates) => result,
    };
    let result = match (result, plan.canary()) {
        (Ok(()), Some(_)) => {
            tell("canary", String::new());
            match begin_canary(&plan, &mut instances, deps).await {
                Ok(()) => Ok(Outcome::Canary),
                Err(why) => Err(broken(why, &instances, deps).await),
            }
        }
        (Ok(()), None) => {
            tell("switch", String::new());
            match switch(&plan, &mut instances, deps).await {
                Ok(None) => Ok(Outcome::Active),
                Ok(Some(watched)) => return watch(watched, cancel, updates, deps).await,
                Err(why) => Err(broken(why, &instances, deps).await),
            }
        }
        (Err(cause), _) => Err(cause),
    };
    match result {
        Ok(outcome) => outcome,
        Err((slot, cause)) => {
            Outcome::Aborted(Box::new(abort::abort(&plan, slot, cause, (command, &instances), deps).await))
        }
    }
}

async fn broken(why: NoSwitch, instances: &[Instance], deps: &Deps) -> Broken {
    match why {
        NoSwitch::Store(error) => (None, Cause::Store(error)),
        NoSwitch::Unready => ready::lost(instances, deps.machinery.engine.as_ref()).await,
    }
}

type Broken = (Option<Slot>, Cause);

async fn until_ready(
    plan: &Plan,
    phase: Phase,
    found: Vec<Container>,
    (running, instances): (&mut Option<Run>, &mut Vec<Instance>),
    deps: &Deps,
    updates: &mpsc::UnboundedSender<Update>,
) -> Result<(), Broken> {
    let tell = |step, detail: String| {
        let _ = updates.send(Update::Step { step, detail });
    };
    let (found, commands): (Vec<_>, Vec<_>) = found.into_iter().partition(Container::is_instance);
    if phase == Phase::Releasing {
        if let Some(command) = &plan.command {
            release::run(plan, command, commands, running, deps, updates).await?;
        }
        enter(plan, Phase::Starting, deps).await?;
    }
    if plan.order == UpdateOrder::StopFirst {
        tell("hold", "requests wait while the old release stops".to_owned());
        stop_old(plan, deps).await?;
    }
    let slots: Vec<_> = plan.instances.iter().map(|spec| spec.slot.to_string()).collect();
    tell("start", slots.join(", "));
    start(plan, found, instances, deps);
    enter(plan, Phase::AwaitingReadiness, deps).await?;
    tell("wait for", slots.join(", "));
    ready::await_ready(instances, deps.machinery.engine.as_ref(), updates).await
}

/// Starts every instance of the plan, taking up containers that are there already.
fn start(plan: &Plan, found: Vec<Container>, instances: &mut Vec<Instance>, deps: &Deps) {
    let mut found: BTreeMap<Slot, Container> =
        found.into_iter().map(|container| (container.labels.slot.clone(), container)).collect();
    for spec in &plan.instances {
        let spec = Arc::new(spec.clone());
        instances.push(match found.remove(&spec.slot) {
            Some(container) => Instance::adopt(container, spec, false, &deps.machinery),
            None => Instance::start(&plan.app, (deps.ids)(), spec, &deps.machinery),
        });
    }
}

/// Drains and stops the old instances; their containers stay, to be started again if the new release fails.
async fn stop_old(plan: &Plan, deps: &Deps) -> Result<(), Broken> {
    let (reply, old) = oneshot::channel();
    let gone = |()| (None, Cause::ControllerGone);
    deps.requests.send(Request::Hold { app: plan.app.clone(), reply }).map_err(|_| gone(()))?;
    let old = old.await.map_err(|_| gone(()))?;
    let stops = old.iter().map(|retirement| async {
        retirement.drain(&deps.routes).await;
        let stopped = retirement.stop(deps.machinery.engine.as_ref(), &deps.routes).await;
        stopped.map_err(|error| (Some(retirement.slot.clone()), Cause::OldNotStopped(error)))
    });
    futures_util::future::try_join_all(stops).await?;
    Ok(())
}

async fn begin_canary(plan: &Plan, instances: &mut Vec<Instance>, deps: &Deps) -> Result<(), NoSwitch> {
    let (reply, done) = oneshot::channel();
    let (app, release) = (plan.app.clone(), plan.release);
    let request = Request::Canary { app, release, instances: std::mem::take(instances), reply };
    match deps.requests.send(request) {
        // As for a switch.
        Ok(()) => done.await.unwrap_or(Ok(())).map_err(|(why, back)| {
            *instances = back;
            why
        }),
        Err(_) => Ok(()),
    }
}

async fn switch(
    plan: &Plan,
    instances: &mut Vec<Instance>,
    deps: &Deps,
) -> Result<Option<Watched>, NoSwitch> {
    let (reply, done) = oneshot::channel();
    let request = Request::Switch {
        app: plan.app.clone(),
        release: plan.release,
        instances: std::mem::take(instances),
        reply,
    };
    match deps.requests.send(request) {
        // The daemon is ending when there is no answer; the next start finds the phase on disk and goes on.
        Ok(()) => done.await.unwrap_or(Ok(None)).map_err(|(why, back)| {
            *instances = back;
            why
        }),
        Err(_) => Ok(None),
    }
}

async fn enter(plan: &Plan, phase: Phase, deps: &Deps) -> Result<(), Broken> {
    let record = RolloutRecord { app: plan.app.clone(), release: plan.release, phase };
    deps.store.set_phase(&record).await.map_err(|error| (None, Cause::Store(error)))
}

impl Phase {
    /// The one in which the rollout of this plan begins.
    #[must_use]
    pub fn first(plan: &Plan) -> Self {
        if plan.command.is_some() { Self::Releasing } else { Self::Starting }
    }

    const ALL: [Self; 8] = [
        Self::Releasing,
        Self::Starting,
        Self::AwaitingReadiness,
        Self::Canary,
        Self::Switching,
        Self::Draining,
        Self::Stopping,
        Self::Aborted,
    ];

    /// Its name, on disk and in lists.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Releasing => "releasing",
            Self::Starting => "starting",
            Self::AwaitingReadiness => "awaiting-readiness",
            Self::Canary => "canary",
            Self::Switching => "switching",
            Self::Draining => "draining",
            Self::Stopping => "stopping",
            Self::Aborted => "aborted",
        }
    }

    /// The phase of this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|phase| phase.as_str() == name)
    }
}
