//! Jobs: commands of an app that run at times, each in a container of its own.
//!
//! `[cron.NAME]` in the manifest says what and when; a job belongs to the release, so the release that serves says which jobs
//! there are. [`Schedule`] is when, pure. [`Jobs`] is the task that runs what is due through a [`Runner`], keeps a history of
//! each, and answers what is asked about them.
//!
//! Unless `overlap = true`, a run whose predecessor goes on is skipped, and noted as such. Runs that were missed because the
//! daemon did not run are noted, too; the last of them is made up for when it is not older than [`MISSED_GRACE`].

mod runner;
mod schedule;
mod task;

use std::time::Duration;

use async_trait::async_trait;

use crate::controller::Stopping;
use crate::manifest::Command;
use crate::name::{AppName, ReleaseId};
use crate::store::StoreError;

pub use runner::OneOffRunner;
pub use schedule::{Fields, Schedule, ScheduleError};
pub use task::{JobView, Jobs};

/// How many runs of a job are remembered.
pub const HISTORY_MAX: usize = 50;
/// A missed run that is not older is made up for.
pub const MISSED_GRACE: Duration = Duration::from_secs(5 * 60);

/// One run of a job, or one that there was none of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// Counted from 1 for each job.
    pub number: u64,
    /// When it was to begin, in milliseconds since the Unix epoch, as all times here.
    pub planned: u64,
    /// Whether somebody asked for it.
    pub by_hand: bool,
    /// When it began; `None` when it did not.
    pub started: Option<u64>,
    /// When it ended.
    pub ended: Option<u64>,
    /// The release that it was a run of.
    pub release: Option<ReleaseId>,
    /// How it ended; `None` while it goes on.
    pub end: Option<Ended>,
    /// The last lines that it wrote.
    pub log: Vec<String>,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// With this code.
    Exited(i64),
    /// It was stopped at its deadline.
    TimedOut,
    /// It could not be made or started; why.
    Failed(String),
    /// There was none: the one before had not ended.
    Skipped,
    /// There were none of so many: the daemon did not run.
    Missed(u64),
    /// The daemon ended while it went on.
    Lost,
}

/// How a command in a container of its own ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ran {
    /// How.
    pub end: Ended,
    /// The last lines that it wrote.
    pub log: Vec<String>,
}

/// Runs commands of a release, each in a container of its own.
#[async_trait]
pub trait Runner: Send + Sync + 'static {
    /// Runs the command of the job `name` to its end, or to its deadline, and removes what it ran in.
    async fn run(
        &self,
        app: &AppName,
        release: ReleaseId,
        name: &str,
        command: &Command,
        deadline: Duration,
    ) -> Ran;
}

/// Why something asked about a job is not done.
#[derive(Debug, thiserror::Error)]
pub enum CronError {
    /// There is no app of this name.
    #[error("there is no app `{0}`")]
    UnknownApp(AppName),
    /// It has no such job.
    #[error("the release of `{app}` that serves has no job `{job}`")]
    UnknownJob {
        /// The app.
        app: AppName,
        /// What was named.
        job: String,
        /// Those that it has.
        known: Vec<String>,
    },
    /// It does not run beside itself.
    #[error("job `{0}` is running, and does not run twice at a time")]
    IsRunning(String),
    /// The state could not be written.
    #[error("the state of the job could not be stored")]
    Store(#[from] StoreError),
    /// The daemon is ending.
    #[error(transparent)]
    Stopping(#[from] Stopping),
}

impl CronError {
    /// What to do about it.
    #[must_use]
    pub fn hints(&self) -> Vec<String> {
        match self {
            Self::UnknownJob { known, .. } if known.is_empty() => {
                vec!["a [cron.NAME] table with `schedule` and `command` in the manifest makes one".to_owned()]
            }
            Self::UnknownJob { job, known, .. } => {
                let near = crate::manifest::nearest(job, known.iter().map(String::as_str));
                let all = known.iter().map(|job| format!("`{job}`")).collect::<Vec<_>>().join(", ");
                vec![near.map_or_else(|| format!("it has {all}"), |near| format!("did you mean `{near}`?"))]
            }
            Self::IsRunning(_) => vec!["`overlap = true` in its [cron] table lets it".to_owned()],
            _ => Vec::new(),
        }
    }
}
