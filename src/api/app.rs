//! What the wire says of one app: what it does, where it is reached, and what runs for it.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Canary, External, ProcessCount, Run, TrafficMode};

/// One app.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct App {
    /// Its name.
    pub name: String,
    /// The release that serves: `v3`.
    pub release: Option<String>,
    /// What it does.
    pub state: AppState,
    /// Where it is reached, the app's own host first.
    pub urls: Vec<String>,
    /// The TCP ports of the box that lead to it.
    #[serde(default)]
    pub ports: Vec<Port>,
    /// The folder that it was deployed from.
    pub origin: String,
    /// Its instances, in the order of their slots; old ones that still drain come last.
    pub instances: Vec<Instance>,
    /// The commands that run in it and are no instances of a release.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub runs: Vec<Run>,
    /// The deploy that is under way.
    pub deploy: Option<DeployStatus>,
    /// Whether requests reach it, as an operator wants it.
    #[serde(default)]
    pub traffic: TrafficMode,
    /// The release that gets a share of the requests.
    #[serde(default)]
    pub canary: Option<Canary>,
    /// Where it leads, if it is only a route.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external: Option<External>,
    /// The apps that it may call.
    #[serde(default)]
    pub links: Vec<String>,
    /// The keys of `[proxy]` that were set by command, over the manifest's.
    #[serde(default)]
    pub proxy_by_command: Vec<String>,
    /// Every process type, with its number.
    #[serde(default)]
    pub processes: Vec<ProcessCount>,
}

/// A TCP port of the box that leads to an app.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Port {
    /// The port, on every interface.
    pub port: u16,
    /// The process type that answers.
    pub process: String,
    /// The port in its containers.
    pub target: u16,
}

/// What an app does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum AppState {
    /// Every instance is ready.
    Serving,
    /// Some are.
    Degraded,
    /// None is.
    Down,
    /// It was never deployed with success.
    New,
}

/// One instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Instance {
    /// `web.1`.
    pub slot: String,
    /// `v3`.
    pub release: String,
    /// The instance's id; empty of one that is `unknown`, unless it was in the last route table.
    pub id: String,
    /// Where it is, if it runs elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub addr: Option<String>,
    /// `starting`, `ready`, `unready`, `draining`, `crashed`, `waiting`; `unknown` as long as the engine was not asked; `probing` of one that runs elsewhere and was not asked
    /// yet.
    pub state: String,
    /// Since when, in milliseconds since the Unix epoch.
    pub since: u64,
    /// Why it is not ready: the last probe's result, the exit code.
    pub detail: Option<String>,
    /// How often this slot was restarted after a crash, since it was last stable.
    pub restarts: u32,
    /// When it is started again, in milliseconds since the Unix epoch, if it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_start: Option<u64>,
    /// The memory limit, in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_bytes: Option<u64>,
    /// The CPU limit, in thousandths of a core.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_millis: Option<u32>,
}

/// A deploy that is under way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct DeployStatus {
    /// The release that is to serve.
    pub release: String,
    /// The phase of its rollout.
    pub phase: String,
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { port, process, target } = self;
        write!(f, "{port} -> {process}:{target}")
    }
}
