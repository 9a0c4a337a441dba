//! What the wire says about an app's proxy settings.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How an app's requests are treated, and who said so.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Proxy {
    /// Every key of `[proxy]`, for routes of which nothing else is said.
    pub settings: Vec<Setting>,
    /// What differs on single routes.
    pub routes: Vec<RouteSettings>,
    /// What was set by command and does not hold.
    pub ignored: Vec<IgnoredSetting>,
}

/// What differs on one route.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct RouteSettings {
    /// Host and path: `shop.example.com/api`.
    pub route: String,
    /// The keys that differ.
    pub settings: Vec<Setting>,
}

/// A key of `[proxy]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Setting {
    /// The key.
    pub key: String,
    /// Its value as TOML; passwords' hashes and the values of headers with credentials are `***`.
    pub value: String,
    /// Who said so.
    pub from: Layer,
}

/// Who said something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Layer {
    /// Nobody.
    Default,
    /// The manifest.
    Manifest,
    /// A command.
    Command,
}

/// A setting that was made by command and does not hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct IgnoredSetting {
    /// The route that it does not hold for; `None`: for the app.
    pub route: Option<String>,
    /// The key.
    pub key: String,
    /// Why.
    pub reason: String,
}

/// Changes settings: one of the last four.
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct ProxyRequest {
    /// The route that it is about, `shop.example.com/api`, or `/api` of the app's own host; `None`: all of the app's.
    pub route: Option<String>,
    /// Keys that are set, each with its value as TOML.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub set: BTreeMap<String, String>,
    /// The texts of the files that `error_pages` names, by their paths.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub files: BTreeMap<String, String>,
    /// Keys that are taken back.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unset: Vec<String>,
    /// A user of `basic_auth`, whose password has this bcrypt hash; without one the user goes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<(String, Option<String>)>,
    /// Whether all settings are taken back.
    #[serde(default)]
    pub reset: bool,
}

impl std::fmt::Debug for ProxyRequest {
    /// Without the values: there are secrets in them.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ProxyRequest")
            .field("route", &self.route)
            .field("set", &self.set.keys())
            .field("files", &self.files.keys())
            .field("unset", &self.unset)
            .field("user", &self.user.as_ref().map(|(user, _)| user))
            .field("reset", &self.reset)
            .finish()
    }
}
