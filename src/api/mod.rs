//! The control API: what the CLI and the daemon say to each other.
//!
//! HTTP/1.1 with JSON, over a unix socket that only its owner and group may open, or over TLS at the box's own host with a
//! token (`Authorization: Bearer mp_…`). The types here are the wire's own: domain
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
//! | `GET /v1/apps/{app}/deploys/{release}?`[`AfterQuery`] | the same stream once more, of a deploy that is under way or was lately |
//! | `DELETE /v1/apps/{app}/deploys/{release}` | 202; the deploy's own stream says how it ended |
//! | `PUT /v1/apps/{app}` | the [`App`], to which nothing is deployed |
//! | `GET /v1/apps/{app}/releases?`[`ReleasesQuery`] | [`Release`]s, the newest first |
//! | `GET /v1/apps/{app}/releases/{release}` | [`ReleaseInfo`] |
//! | `POST /v1/apps/{app}/releases/{release}/push` [`PushRequest`] | stream of [`Progress`], ends with `Pushed` |
//! | `POST /v1/apps/{app}/rollback` [`RollbackRequest`] | stream of [`Progress`], ends with `Deployed` |
//! | `GET /v1/apps/{app}/config` | [`Config`] |
//! | `PATCH /v1/apps/{app}/config` [`ConfigRequest`] | stream of [`Progress`], or the [`Config`] if it waits |
//! | `GET /v1/apps/{app}/limits`, `PATCH` of it [`LimitsRequest`] | [`LimitsReply`], stream of [`Progress`] |
//! | `DELETE /v1/apps/{app}?`[`DownQuery`] | [`DownReply`] |
//! | `PUT /v1/apps/{app}/maintenance` [`MaintenanceRequest`], `DELETE` of it | [`TrafficMode`] |
//! | `PUT /v1/apps/{app}/pause` [`PauseRequest`], `DELETE` of it | [`TrafficMode`] |
//! | `GET /v1/apps/{app}/proxy`, `PATCH` of it [`ProxyRequest`] | [`Proxy`] |
//! | `GET /v1/apps/{app}/domains?`[`DomainsQuery`] | [`Domains`] |
//! | `POST /v1/apps/{app}/domains` [`DomainsRequest`], `DELETE` of it, `DELETE …/{host}` | [`Domains`] |
//! | `PATCH /v1/apps/{app}/canary` [`CanaryRequest`] | [`CanaryReply`] |
//! | `POST /v1/apps/{app}/canary/promote`, `DELETE /v1/apps/{app}/canary` | [`CanaryReply`] |
//! | `PUT /v1/apps/{app}/upstreams` [`UpstreamsRequest`] | the [`App`], once its upstreams were asked |
//! | `GET /v1/apps/{app}/logs?`[`LogsQuery`] | stream of [`LogLine`] |
//! | `GET /v1/apps/{app}/drains` | [`Drain`]s |
//! | `POST /v1/apps/{app}/drains` [`DrainRequest`] | the [`Drain`] |
//! | `DELETE /v1/apps/{app}/drains/{id or URL}` | 204 |
//! | `GET /v1/apps/{app}/health`, `PATCH` of it [`HealthRequest`] | [`Health`], stream of [`Progress`] |
//! | `POST /v1/apps/{app}/runs` [`RunRequest`] | [`Started`], detached; upgraded to [`frame`]s, attached |
//! | `DELETE /v1/apps/{app}/runs/{slot}` | 204, once it has ended |
//! | `POST /v1/apps/{app}/instances/{slot}/exec`, upgraded | [`frame`]s, of which the first holds an [`ExecRequest`] |
//! | `GET /v1/apps/{app}/instances/{slot}/files?`[`FilesQuery`] | a tar archive of one root |
//! | `PUT /v1/apps/{app}/instances/{slot}/files?`[`FilesQuery`], a tar archive | 204, unpacked into the folder |
//! | `POST /v1/apps/{app}/instances/{slot}/ports/{port}`, upgraded | [`frame`]s, one connection |
//! | `PATCH /v1/apps/{app}/formation` [`ScaleRequest`] | stream of [`Progress`], ends with `Reformed` |
//! | `POST /v1/apps/{app}/restart` [`RestartRequest`] | stream of [`Progress`], ends with `Reformed` |
//! | `GET /v1/apps/{app}/autoscale` | [`Autoscale`] rules |
//! | `PUT /v1/apps/{app}/autoscale/{process}` [`AutoscaleRequest`], `DELETE` of it [`AutoscaleQuery`] | 204 |
//! | `GET /v1/apps/{app}/cron` | [`Job`]s |
//! | `GET /v1/apps/{app}/cron/{job}/runs` | [`JobRun`]s |
//! | `POST /v1/apps/{app}/cron/{job}/runs` | stream of [`Progress`], ends with `Ran` |
//! | `PUT /v1/apps/{app}/cron/{job}/suspended`, `DELETE` of it | the [`Job`] |
//! | `GET /v1/exports?`[`ExportQuery`], `POST` of it [`ExportRequest`] | [`ExportReply`], without and with the values of secrets |
//! | `GET /v1/certs` | [`Certificate`]s |
//! | `POST /v1/certs` [`CertificateRequest`] | the [`Certificate`] |
//! | `DELETE /v1/certs/{id or name}` | 204 |
//! | `POST /v1/certs/{name}/renew` | 202; [`Certificate`] says how it goes |
//! | `GET /v1/traffic?`[`TrafficQuery`] | [`Traffic`] |
//! | `GET /v1/metrics` | the same and more, as Prometheus reads it |
//! | `GET /v1/events?`[`EventsQuery`], `GET /v1/apps/{app}/events` | [`Events`], or a stream of [`Event`] |
//! | `GET /v1/hooks`, `GET /v1/apps/{app}/hooks` | [`Hook`]s |
//! | `POST` there [`HookRequest`] | [`HookAdded`] |
//! | `DELETE` there `/{id}` | 204 |
//! | `POST` there `/{id}/test` | [`HookDelivery`] |
//! | `GET` there `/{id}/deliveries` | [`HookDelivery`]s, the newest first |
//! | `GET /v1/openapi.json` | all of this as an OpenAPI document |
//! | `GET /v1/ca.pem` | the local CA's certificate; asks for no token |
//! | `GET /v1/health` | [`BoxHealth`]; asks for no token |
//! | `GET /v1/whoami` | [`Whoami`] |
//! | `GET /v1/users`, `POST` of it [`UserRequest`] | [`UserInfo`]s, a [`UserInfo`] |
//! | `PATCH /v1/users/{user}` [`UserChange`], `DELETE` of it | a [`UserInfo`], [`UserRemoved`] |
//! | `GET /v1/apps/{app}/access` | [`Access`] of each user |
//! | `PUT /v1/apps/{app}/access/{user}` [`AccessRequest`], `DELETE` of it | 204 |
//! | `POST /v1/apps/{app}/transfer` [`TransferRequest`] | 204 |
//! | `GET /v1/tokens`, `POST` of it [`TokenRequest`] | [`TokenInfo`]s, [`TokenReply`] |
//! | `POST /v1/tokens/{token}/rotate`, `DELETE /v1/tokens/{token}` | [`TokenReply`], 204 |
//! | `GET /v1/invites`, `POST` of it [`InviteRequest`] | [`InviteInfo`]s, [`InviteReply`] |
//! | `DELETE /v1/invites/{invite}` | 204 |
//! | `POST /v1/invites/redeem` [`RedeemRequest`] | [`RedeemReply`]; asks for no token, but for the invite's code |
//!
//! `docs/api.md` tells of what all routes have in common. A stream is one JSON object a line (`application/x-ndjson`). A stream of [`Progress`] ends with exactly one of `Built`,
//! `Deployed`, `Reformed`, `Ran`, `Pushed` or `Failed`; one that just stops was cut off. Any stream may end
//! with `Failed` in place of its next line: that its reader may read no further. Anything but 2xx carries a [`Failure`].

mod app;
mod certs;
pub mod client;
mod deploy;
mod domains;
mod events;
mod export;
mod external;
mod failure;
pub mod frame;
mod health;
mod hooks;
mod logs;
mod operations;
mod people;
mod processes;
mod proxy;
mod push;
mod release;
mod run;
pub mod server;
mod traffic;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use app::{App, AppState, DeployStatus, Instance, Port};
pub use certs::{Certificate, CertificateFacts, CertificateProblem, CertificateRequest};
pub use deploy::{
    BuildQuery, BuildRef, DeployRequest, Deployed, ImageQuery, PlanReply, PlanRequest, Progress, SourceTexts,
};
pub use domains::{Domain, DomainCertificate, Domains, DomainsQuery, DomainsRequest};
pub use events::{Event, Events, EventsQuery};
pub use export::{
    ExportQuery, ExportReply, ExportRequest, ExportedApp, ExportedExternal, ExportedHealthcheck,
    ExportedImage, ExportedRoute, ExportedSettings, ExportedVariable, LeftOut,
};
pub use external::{External, ExternalUpstream, UpstreamsRequest};
pub use failure::Failure;
pub use health::{Health, HealthRequest, InstanceHealth, ProbeResult, ProcessHealth};
pub use hooks::{Hook, HookAdded, HookDelivery, HookRequest};
pub use logs::{Drain, DrainRequest, LogLine, LogsQuery};
pub use operations::{
    Canary, CanaryReply, CanaryRequest, Maintenance, MaintenanceRequest, PauseRequest, TrafficMode,
};
pub use people::{
    Access, AccessRequest, Grant, InviteInfo, InviteReply, InviteRequest, RedeemReply, RedeemRequest, Shown,
    TokenInfo, TokenReply, TokenRequest, TransferRequest, UserChange, UserInfo, UserRemoved, UserRequest,
    Whoami,
};
pub use processes::{
    Autoscale, AutoscaleChange, AutoscaleQuery, AutoscaleRequest, Job, JobRun, ProcessCount, RestartRequest,
    ScaleRequest,
};
pub use proxy::{IgnoredSetting, Layer, Proxy, ProxyRequest, RouteSettings, Setting};
pub use push::{PushRequest, RegistryCredentials};
pub use release::{
    Config, ConfigRequest, ConfigVariable, Limits, LimitsReply, LimitsRequest, NewVariable, Release,
    ReleaseInfo, ReleasesQuery, Revision, RollbackRequest,
};
pub use run::{ExecRequest, FilesQuery, Run, RunRequest, Started, Window};
pub use traffic::{CallTraffic, Latency, PortTraffic, RouteTraffic, Traffic, TrafficQuery, UpstreamTraffic};

/// The API's version, the first segment of every path.
pub const VERSION: &str = "v1";
/// The header in which every answer says which minipaas gave it.
pub const VERSION_HEADER: &str = "minipaas-version";
/// The header of a change that may be sent again: a random word, another one for each change.
pub const IDEMPOTENCY_HEADER: &str = "idempotency-key";
/// The failure's code for a route that this version does not have.
pub const CODE_NO_ROUTE: &str = "no-such-route";

/// The API as an OpenAPI document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct OpenApi(pub serde_json::Value);

/// From where a stream is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct AfterQuery {
    /// After so many lines; default 0.
    pub after: Option<u64>,
}

/// That a daemon answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct BoxHealth {
    /// `pass`, as the health-checks API has it.
    pub status: String,
    /// The daemon's version.
    pub version: String,
}

/// What a box is and does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
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
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct DownQuery {
    /// Its volumes, too.
    #[serde(default)]
    pub volumes: bool,
}

/// What went with an app.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
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

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde wants it so")]
pub(crate) fn is_zero(number: &usize) -> bool {
    *number == 0
}
