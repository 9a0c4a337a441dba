//! What the probes of an app's instances say, as they are at this moment.

use std::collections::BTreeMap;

use super::task::Task;
use crate::instance::ProbeRecord;
use crate::manifest::ProbeKind;
use crate::name::{AppName, ProcessType, ReleaseId, Slot};
use crate::plan::Probes;

/// The instances of one process type of the release that serves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProcessHealth {
    /// The process type.
    pub process: ProcessType,
    /// What is asked of them.
    pub probes: Probes,
    /// Those that there are, by slot.
    pub instances: Vec<InstanceHealth>,
}

/// One instance, as its probes have it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstanceHealth {
    /// Its slot.
    pub slot: Slot,
    /// Its release.
    pub release: ReleaseId,
    /// One word.
    pub state: &'static str,
    /// Since when, in milliseconds since the Unix epoch.
    pub since: u64,
    /// What was answered last; nothing of a kind that was not asked yet.
    pub probes: BTreeMap<ProbeKind, ProbeRecord>,
}

impl Task {
    /// `None` when there is no such app.
    pub(super) fn health(&self, name: &AppName) -> Option<Vec<ProcessHealth>> {
        let app = self.apps.get(name)?;
        let mut processes: Vec<ProcessHealth> = Vec::new();
        for spec in app.serving.iter().flat_map(|plan| &plan.instances) {
            let instance = app.instances.get(&spec.slot).map(|instance| {
                let observed = instance.observed();
                InstanceHealth {
                    slot: spec.slot.clone(),
                    release: spec.release,
                    state: observed.state.word(),
                    since: observed.since,
                    probes: observed.probes,
                }
            });
            match processes.last_mut().filter(|last| last.process == spec.slot.process) {
                Some(last) => last.instances.extend(instance),
                None => processes.push(ProcessHealth {
                    process: spec.slot.process.clone(),
                    probes: spec.probes(),
                    instances: instance.into_iter().collect(),
                }),
            }
        }
        Some(processes)
    }
}
