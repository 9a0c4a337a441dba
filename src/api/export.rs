//! What the wire says of apps that are exported.

use std::collections::BTreeMap;
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{AutoscaleRequest, Failure, Limits, SourceTexts};

/// What is to be exported, without the values of secrets.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct ExportQuery {
    /// The names of apps, separated by commas; none: all that the caller may see.
    pub apps: Option<String>,
}

/// What is to be exported, with the values of secrets: for owners of the apps, and noted in the audit log.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct ExportRequest {
    /// The names of apps; none: all that the caller may see.
    #[serde(default)]
    pub apps: Option<Vec<String>>,
}

/// What an export needs to know.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct ExportReply {
    /// The apps, by name.
    pub apps: Vec<ExportedApp>,
    /// Apps that are only routes, by name.
    #[serde(default)]
    pub external: Vec<ExportedExternal>,
    /// Apps that are not among them, when all were asked for.
    #[serde(default)]
    pub left_out: Vec<LeftOut>,
}

/// An app that cannot be exported.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct LeftOut {
    /// Its name.
    pub app: String,
    /// Why.
    pub failure: Failure,
}

/// An app that is only a route.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct ExportedExternal {
    /// Its name.
    pub name: String,
    /// Where it leads: `http://10.0.0.5:8080`.
    pub upstreams: Vec<String>,
    /// The path prefix of its hosts.
    pub path: String,
    /// A manifest with `[proxy]` and `[[route]]` alone.
    pub source: SourceTexts,
    /// `proxy set` for the whole app.
    pub proxy: ExportedSettings,
    /// `proxy set` for single routes.
    pub routes: Vec<ExportedRoute>,
    /// Its own host, and its others.
    pub hosts: Vec<String>,
}

/// One app, as it serves now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct ExportedApp {
    /// Its name.
    pub name: String,
    /// The release that serves: `v42`.
    pub release: String,
    /// What was new about it.
    pub summary: String,
    /// The manifest's texts.
    pub source: SourceTexts,
    /// The variables that commands have set, by name.
    pub variables: Vec<ExportedVariable>,
    /// The limits that commands have set: process type to limits.
    pub limits: BTreeMap<String, Limits>,
    /// The probes that `health set` has set: process type, then `ready`, `live` or `startup`, to their text.
    #[serde(default)]
    pub probes: BTreeMap<String, BTreeMap<String, String>>,
    /// How many instances commands want of each process type.
    pub counts: BTreeMap<String, u32>,
    /// The rule of each process type that a command has set; none is no rule, whatever the manifest says.
    pub autoscale: BTreeMap<String, Option<AutoscaleRequest>>,
    /// `proxy set` for the whole app.
    pub proxy: ExportedSettings,
    /// `proxy set` for single routes.
    pub routes: Vec<ExportedRoute>,
    /// Its own host, and those that commands have added.
    pub hosts: Vec<String>,
    /// The jobs that do not run at their times.
    pub suspended: Vec<String>,
    /// What runs.
    pub image: ExportedImage,
}

/// A variable that a command has set. Its `Debug` shows nothing of the value.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct ExportedVariable {
    /// The name.
    pub name: String,
    /// The value; none for a secret, unless it was asked for.
    pub value: Option<String>,
    /// Whether it is given as a file.
    #[serde(default)]
    pub is_secret: bool,
    /// Whether a secret is given as a variable, too.
    #[serde(default)]
    pub is_exported: bool,
}

/// Keys of `[proxy]` with values as TOML. Its `Debug` shows no value.
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct ExportedSettings {
    /// Key to value.
    pub values: BTreeMap<String, String>,
    /// The texts of the files that values name, by their paths.
    #[serde(default)]
    pub files: BTreeMap<String, String>,
}

/// Settings of one route.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct ExportedRoute {
    /// The host.
    pub host: String,
    /// The path.
    pub path: String,
    /// The settings.
    pub settings: ExportedSettings,
}

/// An image, as the engine that holds it describes it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct ExportedImage {
    /// The engine's id of it: `sha256:…`.
    pub id: String,
    /// What a person calls it.
    pub reference: String,
    /// Where a registry has it: `ghcr.io/x/y@sha256:…`; none if only the engine does.
    pub pinned: Option<String>,
    /// The TCP ports that it exposes.
    pub exposed_ports: Vec<u16>,
    /// The user that its processes run as; empty: root.
    pub user: String,
    /// Its ENTRYPOINT.
    pub entrypoint: Vec<String>,
    /// Its CMD.
    pub command: Vec<String>,
    /// Its HEALTHCHECK.
    pub healthcheck: Option<ExportedHealthcheck>,
}

/// A HEALTHCHECK.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct ExportedHealthcheck {
    /// `["CMD", "curl", …]` or `["CMD-SHELL", "curl …"]`.
    pub test: Vec<String>,
    /// Between two of them, in milliseconds.
    pub interval_ms: u64,
    /// For one of them, in milliseconds.
    pub timeout_ms: u64,
    /// In which failures do not count, in milliseconds.
    pub start_period_ms: u64,
    /// How many failures in a row make it unhealthy.
    pub retries: u32,
}

impl fmt::Debug for ExportedVariable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExportedVariable").field("name", &self.name).finish_non_exhaustive()
    }
}

impl fmt::Debug for ExportedSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExportedSettings").field("keys", &self.values.keys()).finish_non_exhaustive()
    }
}
