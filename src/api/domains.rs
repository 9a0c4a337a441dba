//! What the wire says about the hosts of an app.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// An app's hosts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Domains {
    /// All of them.
    pub domains: Vec<Domain>,
    /// Those that the request added or removed, in ASCII.
    #[serde(default)]
    pub changed: Vec<String>,
}

/// A host of an app.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Domain {
    /// In ASCII: `xn--bcher-kva.example`, `*.example.com`.
    pub host: String,
    /// As people write it, where that is another text: `bücher.example`.
    pub written: Option<String>,
    /// The process type that answers; `None` while no release serves.
    pub process: Option<String>,
    /// `app`, its own; `manifest`; or `command`.
    pub from: String,
    /// Who added it, if that was by command.
    pub by: Option<String>,
    /// When, in milliseconds since the Unix epoch.
    pub at: Option<u64>,
    /// Its certificate; `None` while it was not looked after yet.
    pub certificate: Option<DomainCertificate>,
    /// Why clients do not find this box under the name, if that was asked for and is certain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub elsewhere: Option<String>,
}

/// The certificate of a host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct DomainCertificate {
    /// As a certificate's `state`: `valid`, `ordering`, ….
    pub state: String,
    /// `local`, `own` or `acme`.
    pub signer: String,
    /// What went wrong last.
    pub problem: Option<String>,
}

/// Hosts that an app is to get.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct DomainsRequest {
    /// In any script.
    pub hosts: Vec<String>,
}

/// What is asked about an app's hosts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct DomainsQuery {
    /// Whether each public name is to be looked up, and asked whether it leads here; that takes some seconds.
    #[serde(default)]
    pub look: bool,
}
