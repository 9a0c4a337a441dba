//! Builds and releases: what ran, runs, or failed to.
//!
//! A release is a build, the manifest's words, and the environment, limits and probes that commands have set, numbered `v1`, `v2`, …
//! within its app. It is immutable: any change makes a new one, and the ledger of an app only grows. What changes is a
//! release's [`ReleaseState`], which says how its rollout ended, and when.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use crate::environment::Environment;
use crate::manifest::{Bytes, Manifest, ManifestError, MilliCpu, ProbeSettings, Source};
use crate::name::{AppName, ProcessType, ReleaseId};
use crate::people::Actor;

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

/// The commit that a build was made from, as the deploying person's git says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revision {
    /// The whole hash.
    pub commit: String,
    /// The first line of its message.
    pub subject: String,
    /// Whether files differed from it.
    pub is_dirty: bool,
}

/// What commands have said about a process type's resources, over the manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ProcessLimits {
    /// The memory limit; `None`: the manifest's.
    pub memory: Option<Bytes>,
    /// The CPU limit; `None`: the manifest's.
    pub cpu: Option<MilliCpu>,
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
    /// The variables that commands have set, over the manifest's.
    pub environment: Arc<Environment>,
    /// The limits that commands have set, over the manifest's.
    pub limits: BTreeMap<ProcessType, ProcessLimits>,
    /// The probes that commands have set, over the manifest's.
    pub probes: BTreeMap<ProcessType, ProbeSettings>,
    /// Who made it.
    pub by: Actor,
    /// What is new about it, without who did it: `deployed 1f2e3d4c`, `added DATABASE_URL`, `rolled back to v2`.
    pub summary: String,
    /// The commit that it was built from, if that is known.
    pub revision: Option<Revision>,
    /// The release whose build, manifest and environment it has again.
    pub copy_of: Option<ReleaseId>,
    /// When it was made, in milliseconds since the Unix epoch.
    pub created_at: u64,
    /// When it began to serve, or failed.
    pub settled_at: Option<u64>,
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

impl Release {
    /// A release that was just made, of this build and manifest alone.
    #[must_use]
    pub fn new(app: AppName, id: ReleaseId, build: Build, source: Source) -> Self {
        Self {
            app,
            id,
            build,
            source,
            environment: Arc::default(),
            limits: BTreeMap::new(),
            probes: BTreeMap::new(),
            by: Actor::unknown(),
            summary: String::new(),
            revision: None,
            copy_of: None,
            created_at: 0,
            settled_at: None,
            state: ReleaseState::Pending,
        }
    }

    /// What it runs and routes: its manifest, with what commands have set over it. A rollback goes all the way at once: what its
    /// manifest says of a canary or of watching is for new releases.
    ///
    /// # Errors
    ///
    /// When the manifest breaks a rule, which an older minipaas did not know.
    pub fn manifest(&self) -> Result<Manifest, ManifestError> {
        let (mut manifest, _) = Manifest::parse(&self.source)?;
        manifest.env.extend(self.environment.variables());
        manifest.secrets = self.environment.files().collect();
        for (name, limits) in &self.limits {
            let Some(process) = manifest.processes.get_mut(name) else { continue };
            process.memory = limits.memory.or(process.memory);
            process.cpu = limits.cpu.or(process.cpu);
        }
        for (name, settings) in &self.probes {
            let Some(process) = manifest.processes.get_mut(name) else { continue };
            settings.iter().for_each(|(kind, setting)| setting.apply(*kind, process));
        }
        if self.copy_of.is_some() {
            manifest.deploy.canary = None;
            manifest.deploy.watch_window = None;
        }
        Ok(manifest)
    }

    /// Whether it runs and routes what the other does.
    #[must_use]
    pub fn is_like(&self, other: &Self) -> bool {
        self.build.image == other.build.image
            && self.source == other.source
            && self.environment == other.environment
            && self.limits == other.limits
            && self.probes == other.probes
    }

    /// With this end of its rollout, now.
    #[must_use]
    pub fn settled(self, state: ReleaseState, now: u64) -> Self {
        Self { state, settled_at: Some(now), ..self }
    }
}

impl Revision {
    /// The hash as a person says it: its first eight digits, with a `+` where files differed.
    #[must_use]
    pub fn short(&self) -> String {
        let short: String = self.commit.chars().take(8).collect();
        if self.is_dirty { short + "+" } else { short }
    }
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
