//! One run of a command in a release: `run`, `run --detach`, and a release's own command.
//!
//! A run has a container of its own, of the release's image and environment, marked as [one-off](OneOffKind), so that nobody
//! takes it for an instance. It is called `run.4711`, a release's own `release.7` after the release. [`Runs`] knows every run
//! that goes on: what is known is listed, and not swept; what is not known is an orphan. A run is known from before its
//! container is made until after it is gone.
//!
//! Three ends there are. An attached run ends with whoever is connected with it: a [`Run`] that is dropped is stopped and
//! removed. A detached one ends by itself, or at its time; it outlives the daemon, and the next one goes on to watch over it
//! ([`Runs::adopt`]). A release's own ends with its rollout, and is never gone on with: it is run again from its start.
//!
//! No volume is mounted in a run: a volume has one writer, and that is an instance.

mod detached;
mod run;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::engine::{ContainerId, Engine, EngineError, Labels, OneOff, OneOffKind};
use crate::name::{AppName, InstanceId, ProcessType, ReleaseId, Slot};

pub use run::Run;

/// How many runs an app may have at once, without its release's own.
pub const RUNS_OF_APP_MAX: usize = 20;
/// How many runs a box may have at once, without those of releases.
pub const RUNS_MAX: usize = 100;
/// How long a detached run may take when nothing is said.
pub const DETACHED_TIME: Duration = Duration::from_secs(24 * 60 * 60);
/// How long a detached run may be allowed to take.
pub const DETACHED_TIME_MAX: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// From SIGTERM to SIGKILL for a run that nobody is connected with any more, or its own grace if that is shorter.
const HANG_UP_GRACE_MAX: Duration = Duration::from_secs(10);
/// Runs have numbers of four digits, as on Heroku, so that they are not taken for instances.
const NUMBER_MIN: u32 = 1000;
const NUMBERS: u32 = 9000;
/// How long the end of all attached runs is waited for when the daemon ends.
const FINISH_TIME_MAX: Duration = Duration::from_secs(15);

/// The runs that go on. Clones are handles on the same ones.
#[derive(Clone)]
pub struct Runs {
    shared: Arc<Shared>,
}

struct Shared {
    engine: Arc<dyn Engine>,
    ids: Arc<dyn Fn() -> InstanceId + Send + Sync>,
    /// Where the box serves http: a part of the addresses of apps that are called.
    http_port: u16,
    live: watch::Sender<BTreeMap<InstanceId, LiveRun>>,
    /// Ends every attached run.
    closing: CancellationToken,
}

/// A run that goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveRun {
    /// Whose it is.
    pub labels: Labels,
    /// What it is for.
    pub kind: OneOffKind,
    /// The program, without its arguments, which may be secrets; `None` for the image's own.
    pub program: Option<String>,
    /// Since when, in milliseconds since the Unix epoch.
    pub since: u64,
    /// Its container, once it is made.
    pub container: Option<ContainerId>,
}

/// Why there is no run.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// There are many already.
    #[error("{of} has {max} runs that go on, which is the most there may be")]
    TooMany {
        /// "app `shop`" or "the box".
        of: String,
        /// The limit.
        max: usize,
    },
    /// The daemon is ending.
    #[error("the daemon is stopping")]
    Closing,
    /// The engine would not.
    #[error("`{slot}` of app `{app}` could not be started")]
    Engine {
        /// The app.
        app: AppName,
        /// The run.
        slot: Slot,
        /// The engine's word.
        #[source]
        source: EngineError,
    },
}

impl Runs {
    /// No runs, on this engine; `ids` makes ids that were never used.
    pub fn new(
        engine: Arc<dyn Engine>,
        ids: Arc<dyn Fn() -> InstanceId + Send + Sync>,
        http_port: u16,
    ) -> Self {
        let shared = Shared {
            engine,
            ids,
            http_port,
            live: watch::Sender::default(),
            closing: CancellationToken::new(),
        };
        Self { shared: Arc::new(shared) }
    }

    /// The runs of an app, by their slots.
    #[must_use]
    pub fn of_app(&self, app: &AppName) -> Vec<LiveRun> {
        let mut found: Vec<_> =
            self.shared.live.borrow().values().filter(|run| run.labels.app == *app).cloned().collect();
        found.sort_by(|a, b| a.labels.slot.cmp(&b.labels.slot));
        found
    }

    /// Whether a container with this id belongs to a run that goes on.
    #[must_use]
    pub fn knows(&self, id: &InstanceId) -> bool {
        self.shared.live.borrow().contains_key(id)
    }

    /// A receiver that wakes whenever a run begins, gets its container, or has ended.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<BTreeMap<InstanceId, LiveRun>> {
        self.shared.live.subscribe()
    }

    /// Cancelled when the daemon ends: attached runs are to end, too.
    #[must_use]
    pub fn closing(&self) -> CancellationToken {
        self.shared.closing.clone()
    }

    /// Ends every attached run and waits until they are gone, at most as long as they are given. No new one begins.
    pub async fn finish(&self) {
        self.shared.closing.cancel();
        let mut live = self.watch();
        let gone = live.wait_for(|live| live.values().all(|run| run.kind != OneOffKind::Attached));
        if tokio::time::timeout(FINISH_TIME_MAX, gone).await.is_err() {
            tracing::warn!("attached runs are left; the next start removes them");
        }
    }

    /// Makes a run known; it is forgotten when the place is dropped.
    fn enter(
        &self,
        process: &ProcessType,
        app: &AppName,
        release: ReleaseId,
        one_off: &OneOff,
        program: Option<String>,
    ) -> Result<Place, RunError> {
        let kind = one_off.kind;
        if self.shared.closing.is_cancelled() {
            return Err(RunError::Closing);
        }
        let id = (self.shared.ids)();
        let mut entered = Ok(());
        let mut slot = Slot { process: ProcessType::release(), number: release_number(release) };
        self.shared.live.send_if_modified(|live| {
            if kind != OneOffKind::Release {
                let counted = live.values().filter(|run| run.kind != OneOffKind::Release);
                let (of_app, of_box): (Vec<_>, Vec<_>) = counted.partition(|run| run.labels.app == *app);
                if of_app.len() >= RUNS_OF_APP_MAX {
                    entered = Err(RunError::TooMany { of: format!("app `{app}`"), max: RUNS_OF_APP_MAX });
                    return false;
                }
                if of_app.len() + of_box.len() >= RUNS_MAX {
                    entered = Err(RunError::TooMany { of: "the box".to_owned(), max: RUNS_MAX });
                    return false;
                }
                let is_taken = |number: u32| of_app.iter().any(|run| run.labels.slot.number == number);
                let first = u32::from_str_radix(id.as_str(), 16).unwrap_or_default();
                let free = (0..NUMBERS)
                    .map(|step| NUMBER_MIN + first.wrapping_add(step) % NUMBERS)
                    .find(|number| !is_taken(*number))
                    .expect("there are more numbers than runs");
                slot = Slot { process: process.clone(), number: free };
            }
            let labels = Labels { app: app.clone(), release, slot: slot.clone(), instance: id.clone() };
            let since = crate::clock::now();
            live.insert(id.clone(), LiveRun { labels, kind, program, since, container: None });
            true
        });
        entered?;
        let labels = Labels { app: app.clone(), release, slot, instance: id };
        Ok(Place { runs: self.clone(), labels })
    }
}

/// A run's entry among those that go on.
struct Place {
    runs: Runs,
    labels: Labels,
}

impl Place {
    fn note_container(&self, container: &ContainerId) {
        self.runs.shared.live.send_modify(|live| {
            if let Some(run) = live.get_mut(&self.labels.instance) {
                run.container = Some(container.clone());
            }
        });
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.runs.shared.live.send_modify(|live| drop(live.remove(&self.labels.instance)));
    }
}

impl fmt::Debug for Runs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Runs").field("live", &self.shared.live.borrow()).finish_non_exhaustive()
    }
}

/// A release's own run has the release's number, cut at what a slot can hold.
fn release_number(release: ReleaseId) -> u32 {
    u32::try_from(release.number()).unwrap_or(u32::MAX)
}
