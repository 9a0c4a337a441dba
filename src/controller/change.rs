//! What somebody wants to be different about an app, and the release that makes it so.
//!
//! Code, variables, limits, probes and rollbacks all become a [`Release`] in the same way: whatever a change does not speak of is as in
//! the release that serves. What `config` was told without a release ([`AppRecord::staged`]) goes with the next one.
//!
//! [`AppRecord::staged`]: crate::store::AppRecord::staged

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use super::app::App;
use crate::environment::{ENVIRONMENT_BYTES_MAX, Environment, EnvironmentChange, VariableName};
use crate::manifest::{Manifest, ProbeKind, ProbeSetting, ProbeSettings, Source};
use crate::name::{AppName, ProcessType, ReleaseId};
use crate::people::Actor;
use crate::release::{Build, ProcessLimits, Release, ReleaseState, Revision};

/// What is to be different about an app.
#[derive(Debug, Clone)]
pub enum Change {
    /// Another image, another manifest.
    Code(Box<Code>),
    /// Other variables.
    Config(EnvironmentChange),
    /// Other limits, by process type; `None` takes a type's back to the manifest's.
    Limits(BTreeMap<ProcessType, Option<ProcessLimits>>),
    /// Other probes, by process type; `None` takes one back to the manifest's.
    Probes(BTreeMap<ProcessType, BTreeMap<ProbeKind, Option<ProbeSetting>>>),
    /// What an earlier release was; `None`: the last that served before the one that serves, and before any that it goes back to.
    Rollback(Option<ReleaseId>),
}

/// What runs, and how.
#[derive(Debug, Clone)]
pub struct Code {
    /// The manifest.
    pub source: Source,
    /// The image.
    pub build: Build,
    /// The folder that it comes from.
    pub origin: String,
    /// Whether the app may be one that came from another folder.
    pub take_over: bool,
    /// The commit that it was built from.
    pub revision: Option<Revision>,
}

/// Why no release can be made of a change.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChangeError {
    /// There is no app of this name.
    #[error("there is no app `{0}`")]
    NoApp(AppName),
    /// The name is that of an app that is only a route.
    #[error("app `{0}` is only a route to upstreams, and nothing can be deployed to it")]
    External(AppName),
    /// Nothing was deployed to it yet.
    #[error("nothing was deployed to app `{0}` yet")]
    NeverDeployed(AppName),
    /// It never had this release.
    #[error("app `{app}` has no release {release}")]
    NoRelease {
        /// The app.
        app: AppName,
        /// The number.
        release: ReleaseId,
    },
    /// There is nothing to go back to.
    #[error("no release of `{0}` served before the one that serves")]
    NoneBefore(AppName),
    /// It serves.
    #[error("{release} of `{app}` is what serves")]
    Serves {
        /// The app.
        app: AppName,
        /// The number.
        release: ReleaseId,
    },
    /// It never served.
    #[error("{release} of `{app}` never served: {reason}")]
    NeverServed {
        /// The app.
        app: AppName,
        /// The number.
        release: ReleaseId,
        /// Why not.
        reason: String,
    },
    /// A variable that is not there cannot be taken out.
    #[error("app `{app}` has no variable `{name}`")]
    NoVariable {
        /// The app.
        app: AppName,
        /// The name.
        name: VariableName,
        /// A name like it.
        near: Option<String>,
    },
    /// It has no such process type.
    #[error("app `{app}` has no process type `{process}`")]
    NoProcess {
        /// The app.
        app: AppName,
        /// The name.
        process: ProcessType,
        /// Those that it has.
        known: Vec<ProcessType>,
    },
    /// More than a container can have.
    #[error("all variables of `{app}` together have more than {max} KiB", max = ENVIRONMENT_BYTES_MAX / 1024)]
    TooMuch {
        /// The app.
        app: AppName,
    },
}

impl Change {
    /// The image and manifest, if they are what changes.
    pub(super) fn code(&self) -> Option<&Code> {
        match self {
            Self::Code(code) => Some(code),
            Self::Config(_) | Self::Limits(_) | Self::Probes(_) | Self::Rollback(_) => None,
        }
    }
}

impl fmt::Display for Change {
    /// As the audit log says it: names, and no values of variables.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => match &code.revision {
                Some(revision) => write!(f, "{} of commit {}", code.build.reference, revision.short()),
                None => f.write_str(&code.build.reference),
            },
            Self::Config(change) => write!(f, "{change}"),
            Self::Limits(changes) => list(f, changes.iter().map(limits_change)),
            Self::Probes(changes) => list(
                f,
                changes.iter().flat_map(|(process, changes)| {
                    changes.iter().map(move |(kind, setting)| match setting {
                        Some(setting) => format!("{process} {kind} = {}", setting.text()),
                        None => format!("{process} {kind} as in the manifest"),
                    })
                }),
            ),
            Self::Rollback(Some(to)) => write!(f, "to {to}"),
            Self::Rollback(None) => f.write_str("to the last that served before"),
        }
    }
}

impl App {
    /// The release that `change` would make now.
    pub(super) fn release_of(&self, change: &Change, by: &Actor, now: u64) -> Result<Release, ChangeError> {
        let name = &self.record.name;
        if self.record.external.is_some() {
            return Err(ChangeError::External(name.clone()));
        }
        let id = self.next_release();
        let release = match change {
            Change::Code(code) => self.release_of_code(code, id),
            Change::Config(change) => {
                let current = self.deployed()?;
                let environment = self.wanted_environment();
                check_unset(name, &environment, change)?;
                let environment = environment.with(change);
                let summary = environment.difference(&current.environment).to_string();
                Release { environment: Arc::new(environment), summary, ..anew(current, id) }
            }
            Change::Limits(changes) => {
                let current = self.deployed()?;
                let limits = limits(current, changes)?;
                let summary = format!("changed limits of {}", names(changes));
                Release {
                    limits,
                    environment: Arc::new(self.wanted_environment()),
                    summary,
                    ..anew(current, id)
                }
            }
            Change::Probes(changes) => {
                let current = self.deployed()?;
                let probes = probes(current, changes)?;
                let summary = format!("changed probes of {}", names(changes));
                Release {
                    probes,
                    environment: Arc::new(self.wanted_environment()),
                    summary,
                    ..anew(current, id)
                }
            }
            Change::Rollback(to) => {
                let target = self.rollback_target(*to)?;
                Release {
                    summary: format!("rolled back to {}", target.id),
                    // A copy of a copy is one of the release that was first.
                    copy_of: Some(target.copy_of.unwrap_or(target.id)),
                    ..anew(target, id)
                }
            }
        };
        if release.environment.bytes() > ENVIRONMENT_BYTES_MAX {
            return Err(ChangeError::TooMuch { app: name.clone() });
        }
        Ok(Release { by: by.clone(), created_at: now, ..release })
    }

    fn release_of_code(&self, code: &Code, id: ReleaseId) -> Release {
        let release = Release::new(self.record.name.clone(), id, code.build.clone(), code.source.clone());
        let what = match &code.revision {
            Some(revision) => revision.short(),
            None => code.build.reference.clone(),
        };
        Release {
            environment: Arc::new(self.wanted_environment()),
            limits: self.current().map(|current| current.limits.clone()).unwrap_or_default(),
            probes: self.current().map(|current| current.probes.clone()).unwrap_or_default(),
            summary: format!("deployed {what}"),
            revision: code.revision.clone(),
            ..release
        }
    }

    /// What the next release's environment is, if nothing else changes it.
    pub(super) fn wanted_environment(&self) -> Environment {
        let current = self.current().map(|current| Arc::clone(&current.environment)).unwrap_or_default();
        current.with(&self.record.staged)
    }

    fn deployed(&self) -> Result<&Release, ChangeError> {
        self.current().ok_or_else(|| ChangeError::NeverDeployed(self.record.name.clone()))
    }

    fn rollback_target(&self, to: Option<ReleaseId>) -> Result<&Release, ChangeError> {
        let app = self.record.name.clone();
        let current = self.deployed()?;
        let Some(to) = to else {
            // Whoever rolls back twice wants to go back farther, not to what they came from.
            let first = current.copy_of.unwrap_or(current.id);
            let mut before = self.releases.range(..first).rev().map(|(_, release)| release);
            return before
                .find(|release| release.state == ReleaseState::Superseded && !release.is_like(current))
                .ok_or(ChangeError::NoneBefore(app));
        };
        let target =
            self.releases.get(&to).ok_or_else(|| ChangeError::NoRelease { app: app.clone(), release: to })?;
        match &target.state {
            _ if to == current.id || target.is_like(current) => Err(ChangeError::Serves { app, release: to }),
            ReleaseState::Failed { reason } => {
                Err(ChangeError::NeverServed { app, release: to, reason: reason.clone() })
            }
            ReleaseState::Pending => {
                let reason = "its rollout has not ended".to_owned();
                Err(ChangeError::NeverServed { app, release: to, reason })
            }
            ReleaseState::Active | ReleaseState::Superseded => Ok(target),
        }
    }
}

/// What `config` must not be told, since it would do nothing: taking out what is not there.
pub(super) fn check_unset(
    app: &AppName,
    environment: &Environment,
    change: &EnvironmentChange,
) -> Result<(), ChangeError> {
    let Some(name) = change.unset.iter().find(|name| environment.get(name).is_none()) else { return Ok(()) };
    let near = environment.iter().map(|(known, _)| known.as_str());
    let near = near.min_by_key(|known| strsim::damerau_levenshtein(known, name.as_str()));
    Err(ChangeError::NoVariable { app: app.clone(), name: name.clone(), near: near.map(str::to_owned) })
}

fn list(f: &mut fmt::Formatter<'_>, parts: impl Iterator<Item = String>) -> fmt::Result {
    f.write_str(&parts.collect::<Vec<_>>().join(", "))
}

fn limits_change((process, limits): (&ProcessType, &Option<ProcessLimits>)) -> String {
    let Some(limits) = limits else { return format!("{process} as in the manifest") };
    let memory = limits.memory.map(|memory| format!(" memory={memory}")).unwrap_or_default();
    let cpu = limits.cpu.map(|cpu| format!(" cpu={cpu}")).unwrap_or_default();
    format!("{process}{memory}{cpu}")
}

/// The content of `release`, not yet rolled out.
fn anew(release: &Release, id: ReleaseId) -> Release {
    Release {
        id,
        copy_of: None,
        settled_at: None,
        state: ReleaseState::Pending,
        summary: String::new(),
        ..release.clone()
    }
}

fn names<T>(changes: &BTreeMap<ProcessType, T>) -> String {
    changes.keys().map(ProcessType::as_str).collect::<Vec<_>>().join(", ")
}

/// Whether the release has all of these.
fn check_processes<'c>(
    current: &Release,
    mut wanted: impl Iterator<Item = &'c ProcessType>,
) -> Result<(), ChangeError> {
    // A manifest that an older minipaas understood names none.
    let known: Vec<_> = Manifest::parse(&current.source)
        .map(|(manifest, _)| manifest.processes.into_keys().collect())
        .unwrap_or_default();
    match wanted.find(|process| !known.contains(process)) {
        None => Ok(()),
        Some(process) => {
            Err(ChangeError::NoProcess { app: current.app.clone(), process: process.clone(), known })
        }
    }
}

fn probes(
    current: &Release,
    changes: &BTreeMap<ProcessType, BTreeMap<ProbeKind, Option<ProbeSetting>>>,
) -> Result<BTreeMap<ProcessType, ProbeSettings>, ChangeError> {
    check_processes(current, changes.keys())?;
    let mut probes = current.probes.clone();
    for (process, changes) in changes {
        let settings = probes.entry(process.clone()).or_default();
        for (kind, change) in changes {
            match change {
                None => drop(settings.remove(kind)),
                Some(setting) => drop(settings.insert(*kind, setting.clone())),
            }
        }
    }
    probes.retain(|_, settings| !settings.is_empty());
    Ok(probes)
}

fn limits(
    current: &Release,
    changes: &BTreeMap<ProcessType, Option<ProcessLimits>>,
) -> Result<BTreeMap<ProcessType, ProcessLimits>, ChangeError> {
    check_processes(current, changes.keys())?;
    let mut limits = current.limits.clone();
    for (process, change) in changes {
        match change {
            None => drop(limits.remove(process)),
            Some(change) => {
                let limits = limits.entry(process.clone()).or_default();
                limits.memory = change.memory.or(limits.memory);
                limits.cpu = change.cpu.or(limits.cpu);
            }
        }
    }
    Ok(limits)
}
