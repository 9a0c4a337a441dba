//! Builds and releases: what ran, runs, or failed to.
//!
//! A release is a build, the manifest's words and the environment in them, numbered `v1`, `v2`, … within its app. It is
//! immutable: any change makes a new one, and the ledger of an app only grows. What changes is a release's
//! [`ReleaseState`], which says how its rollout ended.

use std::fmt;

use crate::manifest::Source;
use crate::name::{AppName, ReleaseId};

/// An image made from source, or a ready one, as the engine that holds it described it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Build {
    /// The engine's id of the image: `sha256:…`.
    pub image: String,
    /// What a person calls it: the reference that was given, or the tag that we gave.
    pub reference: String,
    /// The digest of what it was made from; `None` for an image that was ready.
    pub content: Option<String>,
    /// The TCP ports that the image exposes, ascending.
    pub exposed_ports: Vec<u16>,
    /// Whether the image has a HEALTHCHECK.
    pub has_healthcheck: bool,
    /// Whether the image names a command or entry point of its own.
    pub has_command: bool,
}

/// One immutable version of an app.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Release {
    /// The app.
    pub app: AppName,
    /// The number within the app.
    pub id: ReleaseId,
    /// What runs.
    pub build: Build,
    /// How it runs: the manifest's words.
    pub source: Source,
    /// When it was made, in milliseconds since the Unix epoch.
    pub created_at: u64,
    /// How its rollout went.
    pub state: ReleaseState,
}

/// How a release's rollout went, so far.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReleaseState {
    /// Its rollout has not ended.
    Pending,
    /// It serves.
    Active,
    /// It served, until another took over.
    Superseded,
    /// It never served everybody, or was taken back because it failed too often.
    Failed {
        /// Why, in one sentence.
        reason: String,
    },
}

impl fmt::Display for ReleaseState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pending => "pending",
            Self::Active => "active",
            Self::Superseded => "superseded",
            Self::Failed { .. } => "failed",
        })
    }
}
