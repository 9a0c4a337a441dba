//! The control API: what the CLI and the daemon say to each other.
//!
//! HTTP/1.1 with JSON over a unix socket that only its owner and group may open. The types here are the wire's own: domain
//! types do not derive `Serialize`, so that a rename inside is never a change outside. Names are kebab-case; a field that is
//! added later has a default, so that an older client goes on to work.
//!
//! | request | answer |
//! |---|---|
//! | `GET /v1/status` | [`Status`] |
//! | `GET /v1/apps`, `GET /v1/apps/{app}` | [`App`]s, an [`App`] |
//! | `POST /v1/apps/{app}/plan` [`PlanRequest`] | [`PlanReply`] |
//! | `GET /v1/apps/{app}/builds/{content}` | [`BuildRef`], or 404 when it is to be built |
//! | `POST /v1/apps/{app}/builds?`[`BuildQuery`], a tar archive as body | stream of [`Progress`], ends with `Built` |
//! | `POST /v1/apps/{app}/images?`[`ImageQuery`] | stream of [`Progress`], ends with `Built` |
//! | `POST /v1/static-base` | [`BuildRef`] of the image that static sites are made from |
//! | `POST /v1/apps/{app}/deploys` [`DeployRequest`] | stream of [`Progress`], ends with `Deployed` |
//! | `DELETE /v1/apps/{app}/deploys/{release}` | 202; the deploy's own stream says how it ended |
//! | `DELETE /v1/apps/{app}?`[`DownQuery`] | [`DownReply`] |
//! | `PUT /v1/apps/{app}/maintenance` [`MaintenanceRequest`], `DELETE` of it | [`TrafficMode`] |
//! | `PUT /v1/apps/{app}/pause` [`PauseRequest`], `DELETE` of it | [`TrafficMode`] |
//! | `GET /v1/apps/{app}/proxy`, `PATCH` of it [`ProxyRequest`] | [`Proxy`] |
//! | `PATCH /v1/apps/{app}/canary` [`CanaryRequest`] | [`CanaryReply`] |
//! | `POST /v1/apps/{app}/canary/promote`, `DELETE /v1/apps/{app}/canary` | [`CanaryReply`] |
//! | `PUT /v1/apps/{app}/upstreams` [`UpstreamsRequest`] | the [`App`], once its upstreams were asked |
//! | `GET /v1/apps/{app}/logs?`[`LogsQuery`] | stream of [`LogLine`] |
//! | `GET /v1/traffic?`[`TrafficQuery`] | [`Traffic`] |
//! | `GET /v1/metrics` | the same and more, as Prometheus reads it |
//! | `GET /v1/ca.pem` | the local CA's certificate |
//!
//! A stream is one JSON object a line (`application/x-ndjson`). A stream of [`Progress`] ends with exactly one of `Built`,
//! `Deployed` or `Failed`; one that just stops was cut off. Anything but 2xx carries a [`Failure`].

pub mod client;
mod external;
mod operations;
mod proxy;
pub mod server;
mod traffic;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use external::{External, ExternalUpstream, UpstreamsRequest};
pub use operations::{
    Canary, CanaryReply, CanaryRequest, Maintenance, MaintenanceRequest, PauseRequest, TrafficMode,
};
pub use proxy::{IgnoredSetting, Layer, Proxy, ProxyRequest, RouteSettings, Setting};
pub use traffic::{Latency, PortTraffic, RouteTraffic, Traffic, TrafficQuery, UpstreamTraffic};

/// The API's version, the first segment of every path.
pub const VERSION: &str = "v1";

/// What a box is and does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Status {
    /// The daemon's version.
    pub version: String,
    /// The daemon's process id.
    pub pid: u32,
    /// The box's id, as its objects on an engine carry it.
    pub box_id: String,
    /// Apps are at `<app>.<domain>`.
    pub domain: String,
    /// Where plain http is served: `0.0.0.0:80`.
    pub http: String,
    /// Where https is served.
    pub https: String,
    /// The engine.
    pub engine: EngineStatus,
    /// The generation of the published route table.
    pub generation: u64,
    /// All apps, by name.
    pub apps: Vec<App>,
}

/// The engine as the daemon last saw it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct EngineStatus {
    /// Where it is.
    pub endpoint: String,
    /// Its version; with no error beside it, `None` says that it was not asked yet.
    pub version: Option<String>,
    /// Why it does not answer; `None` when it does.
    pub error: Option<String>,
}

/// One app.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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
    /// The keys of `[proxy]` that were set by command, over the manifest's.
    #[serde(default)]
    pub proxy_by_command: Vec<String>,
}

/// A TCP port of the box that leads to an app.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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
}

/// A deploy that is under way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct DeployStatus {
    /// The release that is to serve.
    pub release: String,
    /// The phase of its rollout.
    pub phase: String,
}

/// The manifest's texts.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct SourceTexts {
    /// `minipaas.toml`.
    pub toml: Option<String>,
    /// `Procfile`.
    pub procfile: Option<String>,
    /// The files that the manifest names, by their paths.
    #[serde(default)]
    pub files: BTreeMap<String, String>,
}

/// An image on the engine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct BuildRef {
    /// The engine's id.
    pub image: String,
    /// What a person calls it.
    pub reference: String,
    /// The digest of what it was made from.
    pub content: Option<String>,
}

/// Asks what a deploy would do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct PlanRequest {
    /// The manifest.
    pub source: SourceTexts,
    /// The image, when it is there already.
    pub build: Option<BuildRef>,
}

/// What a deploy would do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct PlanReply {
    /// As a person reads it, one step a line.
    pub text: String,
    /// The release that it would make; `None` when nothing would change.
    pub release: Option<String>,
    /// Where the app would be reached.
    pub urls: Vec<String>,
}

/// How an archive is to be built.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct BuildQuery {
    /// The digest of the context and everything else that the image depends on.
    pub content: String,
    /// The Dockerfile's path inside the archive.
    pub dockerfile: String,
    /// The stage to stop at.
    pub target: Option<String>,
    /// Build arguments: a JSON object of strings.
    pub args: Option<String>,
}

/// A ready image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ImageQuery {
    /// Its reference.
    pub reference: String,
}

/// Makes a release and rolls it out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct DeployRequest {
    /// The manifest.
    pub source: SourceTexts,
    /// The image.
    pub build: BuildRef,
    /// The folder that it comes from, absolute.
    pub origin: String,
    /// Whether the app may be one that was deployed from another folder.
    pub take_over: bool,
}

/// What is to go with an app.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct DownQuery {
    /// Its volumes, too.
    #[serde(default)]
    pub volumes: bool,
}

/// What went with an app.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct DownReply {
    /// How many instances were stopped.
    pub instances: usize,
    /// How many addresses of upstreams get no requests any more.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub upstreams: usize,
    /// The volumes that were removed.
    pub volumes: Vec<String>,
}

/// Which lines are wanted.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct LogsQuery {
    /// Go on with new lines, from instances of later releases, too.
    #[serde(default)]
    pub follow: bool,
    /// At most so many of the newest from each instance; default 100.
    pub tail: Option<u32>,
    /// Only this process type or slot: `web`, `web.1`.
    pub process: Option<String>,
}

/// One line that an instance wrote.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct LogLine {
    /// When, in milliseconds since the Unix epoch.
    pub at: u64,
    /// `web.1`.
    pub slot: String,
    /// `v3`.
    pub release: String,
    /// Whether it went to standard error.
    pub is_stderr: bool,
    /// The line.
    pub text: String,
}

/// One line of a stream that tells how something goes on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", rename_all_fields = "kebab-case", tag = "event")]
pub enum Progress {
    /// A step began; the one before it is done.
    Step {
        /// `build`, `pull`, `queue`, `start`, `ready`, `switch`, `stop`.
        step: String,
        /// What it is about: `web.1, web.2`.
        detail: String,
    },
    /// A line of the step's own output.
    Log {
        /// The line.
        line: String,
    },
    /// Something worth saying.
    Notice {
        /// The sentence.
        message: String,
    },
    /// The deploy has a release number; with it, it can be cancelled.
    Accepted {
        /// `v4`.
        release: String,
    },
    /// The image is there.
    Built {
        /// The image.
        build: BuildRef,
    },
    /// The release serves.
    Deployed {
        /// `v4`.
        release: String,
        /// Where.
        urls: Vec<String>,
        /// The TCP ports of the box that lead to it.
        #[serde(default)]
        ports: Vec<Port>,
        /// Whether it served already, and nothing was done.
        is_unchanged: bool,
        /// Whether requests reach it, as an operator wants it.
        #[serde(default)]
        traffic: TrafficMode,
        /// The release as a canary, when it does not serve everybody.
        #[serde(default)]
        canary: Option<Canary>,
        /// The keys of `[proxy]` that were set by command, over the manifest's.
        #[serde(default)]
        proxy_by_command: Vec<String>,
    },
    /// It did not work.
    Failed {
        /// Why.
        failure: Failure,
    },
}

/// Why something did not work, for a person and for a program.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "kebab-case")]
#[error("{message}")]
pub struct Failure {
    /// What a client may branch on: `manifest`, `conflict`, `name-taken`, `not-found`, `not-ready`, `worse`, `cancelled`,
    /// `external`, `deployed`, `own-address`, `build-failed`, `image-missing`, `engine-unreachable`, `disk-full`, `internal`.
    pub code: String,
    /// What did not work.
    pub message: String,
    /// Why, from the outside in.
    #[serde(default)]
    pub causes: Vec<String>,
    /// The last lines that the culprit wrote.
    #[serde(default)]
    pub log: Vec<String>,
    /// What to do next.
    #[serde(default)]
    pub hints: Vec<String>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde wants it so")]
pub(crate) fn is_zero(number: &usize) -> bool {
    *number == 0
}

impl std::fmt::Display for Port {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { port, process, target } = self;
        write!(f, "{port} -> {process}:{target}")
    }
}

impl Failure {
    /// A failure of this kind.
    #[must_use]
    pub fn new(code: &str, message: impl Into<String>) -> Self {
        Self { code: code.to_owned(), message: message.into(), ..Self::default() }
    }

    /// With one more cause, under the ones before.
    #[must_use]
    pub fn caused_by(mut self, cause: impl Into<String>) -> Self {
        self.causes.push(cause.into());
        self
    }

    /// With one more hint.
    #[must_use]
    pub fn hinted(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }
}

impl BuildQuery {
    /// The build arguments; none when there are none.
    ///
    /// # Errors
    ///
    /// When the text is not a JSON object of strings.
    pub fn args(&self) -> Result<BTreeMap<String, String>, serde_json::Error> {
        self.args.as_deref().map_or_else(|| Ok(BTreeMap::new()), serde_json::from_str)
    }
}
