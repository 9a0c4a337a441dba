//! What the wire says of releases and of an app's config.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::BuildRef;

/// One release, as the ledger lists it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Release {
    /// `v42`.
    pub release: String,
    /// `pending`, `active`, `superseded` or `failed`.
    pub state: String,
    /// Whether it serves.
    pub is_current: bool,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Who made it.
    pub by: String,
    /// What is new about it: `added DATABASE_URL`.
    pub summary: String,
    /// When it was made, in milliseconds since the Unix epoch.
    pub at: u64,
    /// From then until it served or failed, in milliseconds; none while neither has come.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<u64>,
    /// The commit that it was built from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<Revision>,
}

/// A commit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Revision {
    /// The whole hash.
    pub commit: String,
    /// The first line of its message.
    pub subject: String,
    /// Whether files differed from it.
    #[serde(default)]
    pub is_dirty: bool,
}

/// One release, and what is new about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct ReleaseInfo {
    /// The release.
    #[serde(flatten)]
    pub release: Release,
    /// What runs.
    pub build: BuildRef,
    /// The release that served before it, with which it is compared; none for the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
    /// Whether the image is another one than before.
    pub is_build_new: bool,
    /// Names of variables, each with `added`, `changed` or `removed`.
    pub config: BTreeMap<String, String>,
    /// The manifest's files, each with its changed lines, which begin with `+` or `-`.
    pub manifest: BTreeMap<String, Vec<String>>,
    /// What `limits` has set: process type to limits.
    pub limits: BTreeMap<String, Limits>,
    /// What `health` has set: process type to `startup`, `ready` and `live`, each as in the manifest, or `off`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub probes: BTreeMap<String, BTreeMap<String, String>>,
}

/// Limits of a process type's instances.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Limits {
    /// Memory, as in the manifest: `256M`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<String>,
    /// Cores, as in the manifest: `0.5`, `500m`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu: Option<String>,
}

/// Which releases are wanted, the newest first.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct ReleasesQuery {
    /// At most so many; default 100.
    pub limit: Option<usize>,
    /// Only those before this one: `v42`.
    pub before: Option<String>,
}

/// Goes back to an earlier release.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct RollbackRequest {
    /// `v42`; none: the last that served before.
    pub release: Option<String>,
}

/// Changes limits; each change of a type is a release.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct LimitsRequest {
    /// Process type to its limits; none takes them back to the manifest's.
    pub limits: BTreeMap<String, Option<Limits>>,
}

/// The limits of each process type.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct LimitsReply {
    /// Process type to what holds.
    pub limits: BTreeMap<String, Limits>,
    /// The types of which a command has set some, over the manifest's.
    pub by_command: Vec<String>,
}

/// Sets variables and takes them out.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct ConfigRequest {
    /// Name to value.
    #[serde(default)]
    pub set: BTreeMap<String, NewVariable>,
    /// Names.
    #[serde(default)]
    pub unset: Vec<String>,
    /// Have it wait for the next release.
    #[serde(default)]
    pub stage: bool,
}

/// A value to set. Its `Debug` shows nothing of it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct NewVariable {
    /// The value.
    pub value: String,
    /// Whether it is never to be shown, and to be given as a file.
    #[serde(default)]
    pub is_secret: bool,
    /// Whether a secret is to be given as a variable, too.
    #[serde(default)]
    pub is_exported: bool,
}

/// An app's variables.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Config {
    /// By name.
    pub variables: Vec<ConfigVariable>,
    /// Names that are to be taken out with the next release.
    #[serde(default)]
    pub staged_out: Vec<String>,
    /// Whether there is a release that serves.
    #[serde(default)]
    pub is_deployed: bool,
}

/// One variable.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct ConfigVariable {
    /// The name.
    pub name: String,
    /// The value; none for a secret.
    pub value: Option<String>,
    /// Whether it is never shown, and given as a file.
    #[serde(default)]
    pub is_secret: bool,
    /// Whether a secret is given as a variable, too.
    #[serde(default)]
    pub is_exported: bool,
    /// Whether it is the manifest's.
    #[serde(default)]
    pub is_manifest: bool,
    /// Whether it waits for the next release.
    #[serde(default)]
    pub is_staged: bool,
}

impl std::fmt::Debug for NewVariable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NewVariable").field("is_secret", &self.is_secret).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for ConfigVariable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ConfigVariable").field("name", &self.name).finish_non_exhaustive()
    }
}
