//! What the wire says about logs, and where they are handed on to.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Which lines are wanted.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct LogsQuery {
    /// Go on with new lines, from instances of later releases, too.
    #[serde(default)]
    pub follow: bool,
    /// At most so many of the newest; default all since `since`, or else 100.
    pub tail: Option<u32>,
    /// Only this process type or slot, and what the box says about it: `web`, `web.1`.
    pub process: Option<String>,
    /// Only this source: `app`, `router`, `build`, `release`, `platform`.
    pub source: Option<String>,
    /// Only about this release: `v3`.
    pub release: Option<String>,
    /// Only since then: `10m`, `2026-11-23T20:37:00Z`.
    pub since: Option<String>,
    /// Only until then.
    pub until: Option<String>,
    /// Only lines that match this regular expression.
    pub grep: Option<String>,
}

/// One line of an app's stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct LogLine {
    /// When, in milliseconds since the Unix epoch.
    pub at: u64,
    /// `web.1`, or what else says it: `router`.
    pub slot: String,
    /// `v3`; empty where it is about none.
    pub release: String,
    /// Whether it went to standard error.
    pub is_stderr: bool,
    /// The line.
    pub text: String,
    /// `app`, `router`, `build`, `release` or `platform`.
    #[serde(default = "app_source", skip_serializing_if = "is_app_source")]
    pub source: String,
    /// Whether it was too long, and goes on in the next one of its slot.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_cut: bool,
    /// In the place of so many lines that were skipped, because this reader is too slow or they are gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skipped: Option<u64>,
}

/// A drain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Drain {
    /// Its id.
    pub id: String,
    /// Where it leads, without what is secret.
    pub url: String,
    /// When it was made, in milliseconds since the Unix epoch.
    pub created_at: u64,
    /// Lines that were handed over since the daemon has started.
    pub sent: u64,
    /// Lines that were left out since then.
    pub dropped: u64,
    /// Why the last lines were not taken; `None` when they were.
    pub error: Option<String>,
    /// Since when none is taken, in milliseconds since the Unix epoch.
    pub failing_since: Option<u64>,
}

/// Makes a drain.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct DrainRequest {
    /// Where it leads, with what is secret.
    pub url: String,
}

/// Without the URL, which may hold a password.
impl std::fmt::Debug for DrainRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DrainRequest").finish_non_exhaustive()
    }
}

fn app_source() -> String {
    "app".to_owned()
}

fn is_app_source(source: &str) -> bool {
    source == "app"
}
