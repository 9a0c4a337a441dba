//! Why a release does not serve, and the removal of what it left.

use std::fmt;
use std::time::Duration;

use super::{Deps, Phase, RolloutRecord, Worse};
use crate::engine::EngineError;
use crate::instance::{Exit, Instance, InstanceState, last_lines};
use crate::name::{AppName, ReleaseId, Slot};
use crate::oneoff::Run;
use crate::plan::Plan;
use crate::store::StoreError;

/// A new instance that never served gets so long from SIGTERM to SIGKILL, or its own grace when that is shorter.
const STOP_GRACE_MAX: Duration = Duration::from_secs(5);

/// A rollout that failed, complete enough to explain itself.
#[derive(Debug, thiserror::Error)]
#[error("{}", self.headline())]
pub struct Abort {
    /// The app.
    pub app: AppName,
    /// The release that does not serve.
    pub release: ReleaseId,
    /// The instance that it failed on.
    pub slot: Option<Slot>,
    /// Why.
    pub cause: Cause,
    /// The last lines that the instance wrote.
    pub log: Vec<String>,
    /// The release that goes on serving.
    pub still_serving: Option<ReleaseId>,
}

/// Why a rollout failed.
#[derive(Debug)]
pub enum Cause {
    /// The release's own command did not end with 0.
    CommandFailed(Exit),
    /// It did not end in time.
    CommandLate {
        /// The deadline.
        within: Duration,
        /// The last lines that it wrote.
        log: Vec<String>,
    },
    /// The engine would not run it.
    CommandNotStarted(String),
    /// An instance ran and its probe did not pass in time.
    NotReady {
        /// The deadline.
        within: Duration,
        /// What the last probe said.
        last_probe: Option<String>,
        /// How many probes failed.
        probes: u32,
        /// The port that it was asked on.
        port: Option<u16>,
        /// The ports on which it listens instead.
        listens_on: Vec<u16>,
    },
    /// The process ended.
    Exited(Exit),
    /// The engine would not make or start the container.
    NotStarted(String),
    /// The old instance could not be stopped, which a volume requires.
    OldNotStopped(EngineError),
    /// It served, and failed clearly more often than the release before, which came back.
    Worse(Worse),
    /// Somebody asked for the end.
    Cancelled,
    /// The state could not be written.
    Store(StoreError),
    /// The daemon is ending.
    ControllerGone,
}

/// Ends the release's own command if it still runs, removes every new instance, and says why.
pub(super) async fn abort(
    plan: &Plan,
    slot: Option<Slot>,
    cause: Cause,
    (command, instances): (Option<Run>, &[Instance]),
    deps: &Deps,
) -> Abort {
    let record = RolloutRecord { app: plan.app.clone(), release: plan.release, phase: Phase::Aborted };
    if let Err(error) = deps.store.set_phase(&record).await {
        tracing::error!(app = %plan.app, release = %plan.release, %error, "cannot store that the rollout failed");
    }
    let log = match &cause {
        Cause::CommandFailed(Exit { log, .. }) | Cause::CommandLate { log, .. } => log.clone(),
        _ => Vec::new(),
    };
    if let Some(command) = command {
        command.end().await;
    }
    let abort = remove(plan, slot, cause, instances, deps).await;
    if log.is_empty() { abort } else { Abort { log, ..abort } }
}

/// The same for instances of no rollout.
pub(super) async fn remove(
    plan: &Plan,
    slot: Option<Slot>,
    cause: Cause,
    instances: &[Instance],
    deps: &Deps,
) -> Abort {
    let engine = deps.machinery.engine.as_ref();
    let mut log = Vec::new();
    if let Some(culprit) = instances.iter().find(|instance| Some(&instance.labels().slot) == slot.as_ref()) {
        let observed = culprit.observed();
        log = match (observed.state, &observed.container) {
            (InstanceState::Exited(exit), _) => exit.log,
            (_, Some(container)) => last_lines(engine, container).await,
            (_, None) => Vec::new(),
        };
    }
    let removals = instances.iter().map(|instance| async {
        let mut retirement = instance.retirement(&plan.limits);
        retirement.stop_grace = retirement.stop_grace.min(STOP_GRACE_MAX);
        let removed = match retirement.stop(engine, &deps.routes).await {
            Ok(()) => retirement.remove(engine).await,
            Err(error) => Err(error),
        };
        // The next resync finds it by its labels, and removes it.
        if let Err(error) = removed {
            tracing::warn!(app = %plan.app, instance = %retirement.slot, %error, "a failed instance is left for later");
        }
    });
    futures_util::future::join_all(removals).await;
    Abort { app: plan.app.clone(), release: plan.release, slot, cause, log, still_serving: plan.replaces }
}

impl Abort {
    fn headline(&self) -> String {
        let Self { app, release, .. } = self;
        match &self.cause {
            Cause::CommandFailed(_) => format!("the release command of {release} of `{app}` failed"),
            Cause::CommandLate { within, .. } => {
                format!("the release command of {release} of `{app}` did not end within {within:?}")
            }
            Cause::CommandNotStarted(_) => {
                format!("the release command of {release} of `{app}` could not be started")
            }
            Cause::NotReady { within, .. } => {
                format!("release {release} of `{app}` was not ready within {within:?}")
            }
            Cause::Exited(_) => format!("release {release} of `{app}` exited before it was ready"),
            Cause::NotStarted(_) => format!("release {release} of `{app}` could not be started"),
            Cause::OldNotStopped(_) => format!("release {release} of `{app}` could not take over its volume"),
            Cause::Worse(_) => {
                format!("release {release} of `{app}` failed clearly more often than the one before it")
            }
            Cause::Cancelled => format!("release {release} of `{app}` was cancelled"),
            Cause::Store(_) => format!("release {release} of `{app}` could not be stored"),
            Cause::ControllerGone => {
                format!("release {release} of `{app}` was interrupted: the daemon is stopping")
            }
        }
    }

    /// What was seen, in one line; `None` when the headline says it all.
    #[must_use]
    pub fn detail(&self) -> Option<String> {
        let slot = self.slot.as_ref().map_or_else(|| "an instance".to_owned(), |slot| format!("`{slot}`"));
        match &self.cause {
            Cause::NotReady { last_probe, probes, .. } => {
                let probe = last_probe.as_deref().unwrap_or("no probe was answered");
                Some(format!("{slot}: {probe} ({probes} {})", if *probes == 1 { "probe" } else { "probes" }))
            }
            Cause::Exited(exit) | Cause::CommandFailed(exit) => Some(format!("{slot} {exit}")),
            Cause::CommandNotStarted(why) => Some(why.clone()),
            Cause::NotStarted(why) => Some(format!("{slot}: {why}")),
            Cause::OldNotStopped(error) => Some(format!("{slot} of the old release: {error}")),
            Cause::Worse(worse) => Some(worse.to_string()),
            Cause::Store(error) => Some(error.to_string()),
            Cause::Cancelled | Cause::ControllerGone | Cause::CommandLate { .. } => None,
        }
    }

    /// What to do about it.
    #[must_use]
    pub fn hints(&self) -> Vec<String> {
        let mut hints = Vec::new();
        match &self.cause {
            Cause::NotReady { port: Some(port), listens_on, .. } if !listens_on.is_empty() => {
                let ports: Vec<_> = listens_on.iter().map(ToString::to_string).collect();
                hints.push(format!(
                    "it listens on {} and not on $PORT ({port}): listen on $PORT, or set `port = {}` in its [process] table",
                    ports.join(", "),
                    listens_on[0]
                ));
            }
            Cause::NotReady { port: Some(port), last_probe: Some(probe), .. }
                if probe.starts_with("nothing accepts") =>
            {
                hints.push(format!(
                    "it must listen on 0.0.0.0:{port} ($PORT), not on localhost, within the deadline"
                ));
            }
            Cause::CommandLate { .. } => {
                hints.push("`deadline` in [release] gives it more time".to_owned());
            }
            Cause::Exited(exit) if exit.is_out_of_memory => {
                hints.push("give it more `memory` in its [process] table".to_owned());
            }
            _ => {}
        }
        match self.still_serving {
            Some(release) if matches!(self.cause, Cause::Worse(_)) => {
                hints.push(format!("{release} serves again"));
            }
            Some(release) => hints.push(format!("{release} is still serving")),
            None => hints.push("mend it and run `minipaas up` again".to_owned()),
        }
        hints
    }

    /// The reason in one sentence, for the ledger.
    #[must_use]
    pub fn reason(&self) -> String {
        self.detail().map_or_else(|| self.headline(), |detail| format!("{}: {detail}", self.headline()))
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.code {
            _ if self.is_out_of_memory => write!(f, "was killed for using more memory than its limit"),
            // The kernel kills what needs more memory than there is, and not every engine notes that it was for this.
            Some(137) => write!(f, "was killed (SIGKILL), perhaps for using too much memory"),
            Some(code @ 129..=192) => write!(f, "was killed by signal {}", code - 128),
            Some(code) => write!(f, "exited with code {code}"),
            None => write!(f, "was removed"),
        }
    }
}
