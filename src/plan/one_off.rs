//! What a single run of a command is made of: a release's image and environment, and the limits of one of its types.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Plan, PlannedJob};
use crate::environment::Value;
use crate::manifest::{Bytes, CronJob, MilliCpu, ReleaseCommand};
use crate::name::{AppName, ProcessType, ReleaseId, Slot};

/// From SIGTERM to SIGKILL where no process type says otherwise: as for an instance.
const STOP_GRACE: Duration = Duration::from_secs(30);

/// A run of one command, before it has a slot. No volume is mounted in it: a volume has one writer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OneOffSpec {
    /// The release.
    pub release: ReleaseId,
    /// The image's id.
    pub image: String,
    /// Replaces the image's command; its entry point stays.
    pub argv: Option<Vec<String>>,
    /// The environment, without what depends on the slot.
    pub env: BTreeMap<String, String>,
    /// Files that are put into the container before it starts, by their paths.
    pub secrets: BTreeMap<String, Value>,
    /// The apps that it may call, by the variables that name them.
    pub links: BTreeMap<String, AppName>,
    /// The memory limit.
    pub memory: Option<Bytes>,
    /// The CPU limit.
    pub cpu: Option<MilliCpu>,
    /// From SIGTERM to SIGKILL.
    pub stop_grace: Duration,
}

/// A release's own command, ready to be run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedCommand {
    /// What runs.
    pub spec: OneOffSpec,
    /// As it stands in the manifest.
    pub shown: String,
    /// How long it may take.
    pub deadline: Duration,
}

impl Plan {
    /// A release's own command, as it is run in this one.
    pub(super) fn planned_command(&self, release: &ReleaseCommand) -> Option<PlannedCommand> {
        let spec = self.one_off(None)?;
        Some(PlannedCommand {
            spec: OneOffSpec { argv: Some(release.command.argv()), ..spec },
            shown: release.command.to_string(),
            deadline: release.deadline,
        })
    }

    /// A job, as it is run in this one.
    pub(super) fn planned_job(&self, job: &CronJob) -> Option<PlannedJob> {
        let spec = self.one_off(None)?;
        let argv = Some(job.command.argv());
        Some(PlannedJob {
            job: job.clone(),
            spec: OneOffSpec { argv, memory: job.memory, cpu: job.cpu, ..spec },
        })
    }

    /// A run in this release: without limits and command, or with those of a process type; `None` when there is none of it.
    #[must_use]
    pub fn one_off(&self, process: Option<&ProcessType>) -> Option<OneOffSpec> {
        let spec = OneOffSpec {
            release: self.release,
            image: self.image.clone(),
            argv: None,
            env: self.env.clone(),
            secrets: self.secrets.clone(),
            links: self.links.iter().map(|link| (link.variable.clone(), link.app.clone())).collect(),
            memory: None,
            cpu: None,
            stop_grace: STOP_GRACE,
        };
        let Some(process) = process else { return Some(spec) };
        let same = self.instances.iter().find(|instance| instance.slot.process == *process)?;
        let argv = same.argv.clone();
        Some(OneOffSpec { argv, memory: same.memory, cpu: same.cpu, stop_grace: same.stop_grace, ..spec })
    }
}

impl OneOffSpec {
    /// The whole environment of the run in this slot, on a box that serves http on this port; what the app sets itself goes
    /// before ours.
    #[must_use]
    pub fn environment(&self, slot: &Slot, http_port: u16) -> BTreeMap<String, String> {
        let mut env = super::spec::with_links(&self.links, http_port, self.env.clone());
        for (key, value) in super::spec::of_slot(slot) {
            env.entry(key).or_insert(value);
        }
        env
    }
}
