//! Instances of a release that runs beside the one that serves: a canary, or the old one while the new one is watched.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio_util::task::AbortOnDropHandle;

use super::supervise::Backoff;
use crate::instance::{Instance, Retirement};
use crate::manifest::Deploy as Limits;
use crate::name::{ReleaseId, Slot};
use crate::plan::Plan;

/// A release's instances, looked after like those of the one that serves.
pub(super) struct Fleet {
    /// What they run.
    pub(super) plan: Arc<Plan>,
    pub(super) instances: BTreeMap<Slot, Instance>,
    pub(super) backoff: BTreeMap<Slot, Backoff>,
    /// Of a canary that is to take over by itself.
    pub(super) comparison: Option<Comparison>,
}

/// A canary is compared with the release that serves; ends with it.
pub(super) struct Comparison {
    /// When the canary takes over if it is no worse, in milliseconds since the Unix epoch.
    pub(super) until: u64,
    pub(super) _task: AbortOnDropHandle<()>,
}

impl Fleet {
    pub(super) fn new(plan: Arc<Plan>, instances: Vec<Instance>) -> Self {
        let by_slot = |instance: Instance| (instance.labels().slot.clone(), instance);
        Self {
            plan,
            instances: instances.into_iter().map(by_slot).collect(),
            backoff: BTreeMap::new(),
            comparison: None,
        }
    }

    /// When it takes over by itself, if it is a canary that does.
    pub(super) fn until(&self) -> Option<u64> {
        self.comparison.as_ref().map(|comparison| comparison.until)
    }

    pub(super) fn release(&self) -> ReleaseId {
        self.plan.release
    }

    /// What is needed to take all of it out of service.
    pub(super) fn retirements(&self, limits: &Limits) -> Vec<Retirement> {
        self.instances.values().map(|instance| instance.retirement(limits)).collect()
    }

    /// Whether any of it may receive traffic.
    pub(super) fn is_ready(&self) -> bool {
        self.instances.values().any(|instance| instance.upstream().is_some())
    }
}
