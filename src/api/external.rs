//! What the wire says about apps that are only routes.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::SourceTexts;

/// Makes an app that is only a route, or has it lead somewhere else; what is not said is as if it never was.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct UpstreamsRequest {
    /// Where it leads: `http://10.0.0.5:8080`.
    pub upstreams: Vec<String>,
    /// Its hosts besides `<app>.<domain>`.
    #[serde(default)]
    pub hosts: Vec<String>,
    /// The path prefix of all of them; default `/`.
    #[serde(default)]
    pub path: Option<String>,
    /// When an upstream is ready: `tcp`, or a path; default `tcp`.
    #[serde(default)]
    pub health: Option<String>,
    /// A manifest with `[proxy]` and `[[route]]` alone.
    #[serde(default)]
    pub source: Option<SourceTexts>,
    /// Whether names that have no address may take the place of upstreams that are ready.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub force: bool,
}

/// Where an app leads that is only a route.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct External {
    /// When an upstream is ready: `tcp`, or a path.
    pub health: String,
    /// Its upstreams, in the order of their numbers.
    pub upstreams: Vec<ExternalUpstream>,
}

/// An upstream. Its addresses are among the app's instances, by its slot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct ExternalUpstream {
    /// `upstream.1`.
    pub slot: String,
    /// Where it is.
    pub url: String,
    /// Why its name was not looked up, and the addresses are the last ones that were known.
    pub problem: Option<String>,
}
