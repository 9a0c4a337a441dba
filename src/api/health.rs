//! What the wire says of an app's probes.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The probes of one app, and what they say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Health {
    /// The app.
    pub app: String,
    /// Its process types, in order.
    pub processes: Vec<ProcessHealth>,
}

/// Changes probes, with a release.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct HealthRequest {
    /// Process type to `startup`, `ready` and `live`: each as in the manifest, `{ http = "/up" }`, or `off`; none takes it back to
    /// what the manifest says.
    pub probes: BTreeMap<String, BTreeMap<String, Option<String>>>,
}

/// The probes of one process type.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct ProcessHealth {
    /// The process type.
    pub process: String,
    /// When an instance has started, if that is asked.
    pub startup: Option<String>,
    /// When it may receive traffic: `GET /up within 60s`.
    pub ready: String,
    /// While it is alive, if that is asked.
    pub live: Option<String>,
    /// Which of them a command has set, over the manifest: `startup`, `ready`, `live`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub by_command: Vec<String>,
    /// The instances that there are.
    pub instances: Vec<InstanceHealth>,
}

/// What the probes say of one instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct InstanceHealth {
    /// `web.1`.
    pub slot: String,
    /// `v3`.
    pub release: String,
    /// `starting`, `ready`, `unready`, `dead`, `crashed`, `failed`.
    pub state: String,
    /// Since when, in milliseconds since the Unix epoch.
    pub since: u64,
    /// What was answered last; nothing of a kind that was not asked yet.
    pub probes: Vec<ProbeResult>,
}

/// What the last probe of a kind said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct ProbeResult {
    /// `startup`, `ready` or `live`.
    pub kind: String,
    /// Whether it passed.
    pub passes: bool,
    /// Why it failed, or what the instance complains of nevertheless.
    pub said: Option<String>,
    /// Failures in a row.
    pub failures: u32,
    /// Since when it passes or fails, in milliseconds since the Unix epoch.
    pub since: u64,
}
