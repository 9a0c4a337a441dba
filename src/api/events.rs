//! What the wire says of the audit log.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Which events are wanted.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct EventsQuery {
    /// Only those after the event of this number, the oldest first. Default: the newest there are.
    pub after: Option<u64>,
    /// At most so many; default 100, at most 1000.
    pub limit: Option<u32>,
    /// Only those by this actor.
    pub actor: Option<String>,
    /// Only those of these actions, with commas between them.
    pub action: Option<String>,
    /// Only those from this time on, in milliseconds since the Unix epoch.
    pub since: Option<u64>,
    /// Go on with new ones: the answer is a stream then.
    #[serde(default)]
    pub follow: bool,
}

/// Some events.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Events {
    /// The events, the oldest first.
    pub events: Vec<Event>,
    /// What `after` is for the events that follow; also when there are none yet.
    pub after: u64,
    /// Path and query of the next page, when there is one by now; also in the header `Link`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// Something that was done or that happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Event {
    /// Its number, greater than those of all before.
    pub id: u64,
    /// When, in milliseconds since the Unix epoch.
    pub at: u64,
    /// Who did it; `minipaas` for the box itself.
    pub actor: String,
    /// The app that it is about, if it is about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app: Option<String>,
    /// One stable word: `deploy`, `release-failed`.
    pub action: String,
    /// What it was about.
    pub detail: String,
    /// `ok` or `failed`.
    pub outcome: String,
    /// Why it failed: the code of the API's failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// The address that it was asked from, unless that was the box's own socket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// The release that it is about, if it is about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<String>,
}
