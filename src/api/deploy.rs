//! What the wire says of a deploy, from the manifest's texts to the release that serves.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Canary, Failure, JobRun, Port, ProcessCount, Revision, TrafficMode};

/// The manifest's texts.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct SourceTexts {
    /// `minipaas.toml`.
    pub toml: Option<String>,
    /// `Procfile`.
    pub procfile: Option<String>,
    /// The files that the manifest names, by their paths.
    #[serde(default)]
    pub files: BTreeMap<String, String>,
}

/// An image on the engine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct BuildRef {
    /// The engine's id.
    pub image: String,
    /// What a person calls it.
    pub reference: String,
    /// The digest of what it was made from.
    pub content: Option<String>,
}

/// Asks what a deploy would do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct PlanRequest {
    /// The manifest.
    pub source: SourceTexts,
    /// The image, when it is there already.
    pub build: Option<BuildRef>,
}

/// What a deploy would do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct PlanReply {
    /// As a person reads it, one step a line.
    pub text: String,
    /// The release that it would make; `None` when nothing would change.
    pub release: Option<String>,
    /// Where the app would be reached.
    pub urls: Vec<String>,
}

/// How an archive is to be built.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct BuildQuery {
    /// The digest of the context and everything else that the image depends on.
    pub content: String,
    /// The Dockerfile's path inside the archive.
    pub dockerfile: String,
    /// The stage to stop at.
    pub target: Option<String>,
    /// Build arguments: a JSON object of strings.
    pub args: Option<String>,
}

/// A ready image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct ImageQuery {
    /// Its reference.
    pub reference: String,
}

/// Makes a release and rolls it out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct DeployRequest {
    /// The manifest.
    pub source: SourceTexts,
    /// The image.
    pub build: BuildRef,
    /// The folder that it comes from, absolute.
    pub origin: String,
    /// Whether the app may be one that was deployed from another folder.
    pub take_over: bool,
    /// The commit that it was built from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<Revision>,
}

/// A release that serves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Deployed {
    /// `v4`.
    pub release: String,
    /// Where.
    pub urls: Vec<String>,
    /// The TCP ports of the box that lead to it.
    #[serde(default)]
    pub ports: Vec<Port>,
    /// Whether it served already, and nothing was done.
    pub is_unchanged: bool,
    /// What is new about it: `added DATABASE_URL`.
    #[serde(default)]
    pub summary: String,
    /// Whether requests reach it, as an operator wants it.
    #[serde(default)]
    pub traffic: TrafficMode,
    /// The release as a canary, when it does not serve everybody.
    #[serde(default)]
    pub canary: Option<Canary>,
    /// The keys of `[proxy]` that were set by command, over the manifest's.
    #[serde(default)]
    pub proxy_by_command: Vec<String>,
}

/// One line of a stream that tells how something goes on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", rename_all_fields = "kebab-case", tag = "event")]
pub enum Progress {
    /// A step began; the one before it is done.
    Step {
        /// `build`, `pull`, `queue`, `start`, `ready`, `switch`, `stop`, `push`.
        step: String,
        /// What it is about: `web.1, web.2`.
        detail: String,
    },
    /// A line of the step's own output.
    Log {
        /// The line.
        line: String,
    },
    /// Something worth saying.
    Notice {
        /// The sentence.
        message: String,
    },
    /// The deploy has a release number; with it, it can be cancelled.
    Accepted {
        /// `v4`.
        release: String,
    },
    /// The image is there.
    Built {
        /// The image.
        build: BuildRef,
    },
    /// The release serves.
    Deployed(Deployed),
    /// The app's instances are as they were wanted.
    Reformed {
        /// Every process type, with its number.
        processes: Vec<ProcessCount>,
    },
    /// A job has run.
    Ran {
        /// How it went.
        run: JobRun,
    },
    /// A registry has the image.
    Pushed {
        /// Its repository there, without a tag.
        repository: String,
        /// The digest by which it is found there: `sha256:…`.
        digest: String,
    },
    /// It did not work.
    Failed {
        /// Why.
        failure: Failure,
    },
}

impl BuildQuery {
    /// The build arguments; none when there are none.
    ///
    /// # Errors
    ///
    /// When the text is not a JSON object of strings.
    pub fn args(&self) -> Result<BTreeMap<String, String>, serde_json::Error> {
        self.args.as_deref().map_or_else(|| Ok(BTreeMap::new()), serde_json::from_str)
    }
}
