//! What the wire says of webhooks.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where something is sent when something happens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Hook {
    /// Its id on this box.
    pub id: String,
    /// The app whose events it is for; all apps' and the box's without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app: Option<String>,
    /// Scheme and host of where it goes. The rest of a URL is often a secret, and told to nobody.
    pub to: String,
    /// The actions that it is for.
    pub events: Vec<String>,
    /// `json` or `slack`.
    pub format: String,
    /// Who added it.
    pub by: String,
    /// When, in milliseconds since the Unix epoch.
    pub created_at: u64,
    /// Why nothing is sent any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disabled: Option<String>,
    /// The last delivery.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<HookDelivery>,
}

/// A hook, as it is added.
#[derive(Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct HookRequest {
    /// Where it goes.
    pub url: String,
    /// The actions that it is for; default `release-active`, `release-failed` and `rolled-back-by-itself`.
    #[serde(default)]
    pub events: Vec<String>,
    /// What signs it; made by the box when there is none.
    #[serde(default)]
    pub secret: Option<String>,
    /// `json` or `slack`; default `json`.
    #[serde(default)]
    pub format: Option<String>,
}

/// A hook that was added.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct HookAdded {
    /// The hook.
    pub hook: Hook,
    /// What signs it, if the box has made it: it is told this once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
}

/// An event on its way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct HookDelivery {
    /// The event's number; 0 for a test.
    pub event: u64,
    /// What it was.
    pub action: String,
    /// When it was last tried, in milliseconds since the Unix epoch.
    pub at: u64,
    /// `delivered`, `waiting` for its next try, or `given-up`.
    pub state: String,
    /// How often it was tried.
    pub attempts: u32,
    /// What the other side answered last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// Why it was not delivered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// When it is tried next, in milliseconds since the Unix epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<u64>,
}
