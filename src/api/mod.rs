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
//! | `PATCH /v1/apps/{app}/formation` [`ScaleRequest`] | stream of [`Progress`], ends with `Reformed` |
//! | `POST /v1/apps/{app}/restart` [`RestartRequest`] | stream of [`Progress`], ends with `Reformed` |
//! | `GET /v1/apps/{app}/autoscale` | [`Autoscale`] rules |
//! | `PUT /v1/apps/{app}/autoscale/{process}` [`AutoscaleRequest`], `DELETE` of it [`AutoscaleQuery`] | 204 |
//! | `GET /v1/apps/{app}/cron` | [`Job`]s |
//! | `GET /v1/apps/{app}/cron/{job}/runs` | [`JobRun`]s |
//! | `POST /v1/apps/{app}/cron/{job}/runs` | stream of [`Progress`], ends with `Ran` |
//! | `PUT /v1/apps/{app}/cron/{job}/suspended`, `DELETE` of it | the [`Job`] |
//! | `GET /v1/certs` | [`Certificate`]s |
//! | `POST /v1/certs` [`CertificateRequest`] | the [`Certificate`] |
//! | `DELETE /v1/certs/{id or name}` | 204 |
//! | `POST /v1/certs/{name}/renew` | 202; [`Certificate`] says how it goes |
//! | `GET /v1/traffic?`[`TrafficQuery`] | [`Traffic`] |
//! | `GET /v1/metrics` | the same and more, as Prometheus reads it |
//! | `GET /v1/ca.pem` | the local CA's certificate |
//!
//! A stream is one JSON object a line (`application/x-ndjson`). A stream of [`Progress`] ends with exactly one of `Built`,
//! `Deployed`, `Reformed`, `Ran` or `Failed`; one that just stops was cut off. Anything but 2xx carries a [`Failure`].

mod app;
mod certs;
pub mod client;
mod deploy;
mod external;
mod failure;
mod operations;
mod processes;
mod proxy;
pub mod server;
mod traffic;

use serde::{Deserialize, Serialize};

pub use app::{App, AppState, DeployStatus, Instance, Port};
pub use certs::{Certificate, CertificateFacts, CertificateProblem, CertificateRequest};
pub use deploy::{
    BuildQuery, BuildRef, DeployRequest, ImageQuery, PlanReply, PlanRequest, Progress, SourceTexts,
};
pub use external::{External, ExternalUpstream, UpstreamsRequest};
pub use failure::Failure;
pub use operations::{
    Canary, CanaryReply, CanaryRequest, Maintenance, MaintenanceRequest, PauseRequest, TrafficMode,
};
pub use processes::{
    Autoscale, AutoscaleChange, AutoscaleQuery, AutoscaleRequest, Job, JobRun, ProcessCount, RestartRequest,
    ScaleRequest,
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
    /// What should be done, and soon, in sentences.
    #[serde(default)]
    pub warnings: Vec<String>,
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

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde wants it so")]
pub(crate) fn is_zero(number: &usize) -> bool {
    *number == 0
}
