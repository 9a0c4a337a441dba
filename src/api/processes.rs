//! What the wire says of an app's processes: how many run, by what rule that changes, and the jobs that run at times.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How many instances of a process type are wanted.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct ProcessCount {
    /// `web`.
    pub process: String,
    /// How many.
    pub replicas: u32,
    /// How many the manifest says.
    pub manifest: u32,
    /// Whether a command or autoscaling has set it.
    #[serde(default)]
    pub by_command: bool,
}

/// Changes how many instances run.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct ScaleRequest {
    /// `web=3`, `worker+1`, `web-1`.
    #[serde(default)]
    pub changes: Vec<String>,
    /// The process types that have the manifest's number again, all when it is empty; then there are no changes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reset: Option<Vec<String>>,
}

/// Puts new instances in the place of old ones.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct RestartRequest {
    /// Of a process type, `web`, or one, `web.1`; `None`: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
}

/// A rule by which the number of a process type's instances changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Autoscale {
    /// `web`.
    pub process: String,
    /// The fewest instances.
    pub min: u32,
    /// The most instances.
    pub max: u32,
    /// `cpu=70%`, `p95=300ms`, `in-flight=20`.
    pub target: String,
    /// How many instances are wanted now.
    pub replicas: u32,
    /// What was measured last: `63%`.
    pub metric: Option<String>,
    /// What was decided last, and why.
    pub reason: Option<String>,
    /// The last change.
    pub last_change: Option<AutoscaleChange>,
}

/// A change that autoscaling has made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct AutoscaleChange {
    /// When, in milliseconds since the Unix epoch.
    pub at: u64,
    /// How many there were.
    pub from: u32,
    /// How many there are since.
    pub to: u32,
    /// Why.
    pub reason: String,
}

/// Sets a rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct AutoscaleRequest {
    /// The fewest instances.
    pub min: u32,
    /// The most instances.
    pub max: u32,
    /// `cpu=70%`, `p95=300ms`, `in-flight=20`.
    pub target: String,
}

/// What is to become of a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct AutoscaleQuery {
    /// The manifest's holds again, if it has one.
    #[serde(default)]
    pub reset: bool,
}

/// A job that runs at times.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Job {
    /// `report`.
    pub name: String,
    /// `0 3 * * *`.
    pub schedule: String,
    /// `Europe/Berlin`.
    pub timezone: String,
    /// What runs.
    pub command: String,
    /// Whether it may run beside itself.
    pub overlap: bool,
    /// How long a run may last, in milliseconds.
    pub deadline_ms: u64,
    /// When it runs next, in milliseconds since the Unix epoch; `None` while it is suspended.
    pub next: Option<u64>,
    /// The same, by the clock of its time zone.
    pub next_local: Option<String>,
    /// Whether somebody has suspended it.
    pub suspended: bool,
    /// How many runs go on.
    pub running: u32,
    /// Its last run.
    pub last: Option<JobRun>,
}

/// A run of a job, or one that there was none of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct JobRun {
    /// Counted from 1.
    pub number: u64,
    /// When it was to begin, in milliseconds since the Unix epoch.
    pub planned: u64,
    /// The same, by the clock of the job's time zone.
    pub planned_local: String,
    /// Whether somebody asked for it.
    pub by_hand: bool,
    /// When it began; `None` when it did not.
    pub started: Option<u64>,
    /// When it ended.
    pub ended: Option<u64>,
    /// `v3`.
    pub release: Option<String>,
    /// `running`, `done`, `failed`, `timed-out`, `not-started`, `skipped`, `missed` or `lost`.
    pub state: String,
    /// The exit code.
    pub code: Option<i64>,
    /// More about the state, for people.
    pub detail: Option<String>,
    /// The last lines that it wrote.
    pub log: Vec<String>,
}
