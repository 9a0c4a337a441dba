//! What the wire says about operations on an app's traffic.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Whether requests reach an app, as an operator wants it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", rename_all_fields = "kebab-case", tag = "mode")]
pub enum TrafficMode {
    /// They do.
    #[default]
    Open,
    /// They wait.
    Paused {
        /// For how long at most, in milliseconds.
        wait_ms: u64,
    },
    /// They are answered with 503 and a page.
    Maintenance(Maintenance),
}

/// Who passes while an app is in maintenance, and what the others see; without what is secret or long.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Maintenance {
    /// Networks whose clients pass.
    pub allow: Vec<String>,
    /// Whether a cookie passes.
    pub has_cookie: bool,
    /// Whether it has a page of its own.
    pub has_page: bool,
    /// What `Retry-After` says, in milliseconds.
    pub retry_after_ms: Option<u64>,
    /// The path that is still answered with 200.
    pub health_path: Option<String>,
}

/// Puts an app into maintenance, in place of whatever it was in before.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct MaintenanceRequest {
    /// Networks whose clients pass.
    #[serde(default)]
    pub allow: Vec<String>,
    /// The SHA-256, in hexadecimal, of the value of the cookie `minipaas_bypass` that passes.
    pub cookie_sha256: Option<String>,
    /// A page in HTML.
    pub page: Option<String>,
    /// What `Retry-After` is to say, in milliseconds.
    pub retry_after_ms: Option<u64>,
    /// The path that is still answered with 200.
    pub health_path: Option<String>,
}

/// Has requests wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct PauseRequest {
    /// For how long at most, in milliseconds.
    pub wait_ms: u64,
}

/// A release that gets a share of the requests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Canary {
    /// `v4`.
    pub release: String,
    /// Of a hundred clients so many.
    pub percent: u8,
    /// Those with a cookie of this name, too.
    pub cookie: Option<String>,
    /// Those with this header, too.
    pub header: Option<String>,
    /// The value that the header must have; `None`: any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub header_value: Option<String>,
    /// When it takes over by itself unless it is worse, in milliseconds since the Unix epoch; `None`: when somebody says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<u64>,
}

/// Changes a canary's share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct CanaryRequest {
    /// Of a hundred clients so many.
    pub percent: u8,
}

/// What became of a canary.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct CanaryReply {
    /// The release that is or was the canary.
    pub release: String,
    /// The release that serves now.
    pub serving: Option<String>,
    /// The canary, while it still is one.
    pub canary: Option<Canary>,
}
