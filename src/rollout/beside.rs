//! More instances of a release that serves, beside those that it has: for a scale, and for a restart.
//!
//! There is no phase to store: until the controller has taken them over they belong to nothing, and the next start of the
//! daemon removes them.

use std::sync::Arc;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::{Abort, Cause, Deps, Update, abort, ready};
use crate::instance::Instance;
use crate::name::InstanceId;
use crate::plan::{InstanceSpec, Plan};

/// Instances that are to be.
pub struct Beside {
    /// The plan of the release that serves; its limits hold for them.
    pub plan: Arc<Plan>,
    /// What they run, and what they are called.
    pub wanted: Vec<(InstanceId, Arc<InstanceSpec>)>,
    /// Ends it early.
    pub cancel: CancellationToken,
    /// Hears how it goes.
    pub updates: mpsc::UnboundedSender<Update>,
}

/// Starts them, and returns them once all are ready at one moment.
///
/// # Errors
///
/// As a rollout: then every one of them is gone.
pub async fn start_beside(beside: Beside, deps: &Deps) -> Result<Vec<Instance>, Box<Abort>> {
    let Beside { plan, wanted, cancel, updates } = beside;
    let instances: Vec<_> =
        wanted.into_iter().map(|(id, spec)| Instance::start(&plan.app, id, spec, &deps.machinery)).collect();
    let engine = deps.machinery.engine.as_ref();
    let result = tokio::select! {
        biased;
        () = cancel.cancelled() => Err((None, Cause::Cancelled)),
        result = ready::await_ready(&instances, engine, &updates) => result,
    };
    match result {
        Ok(()) => Ok(instances),
        Err((slot, cause)) => {
            let abort = abort::remove(&plan, slot, cause, &instances, deps).await;
            Err(Box::new(Abort { still_serving: Some(plan.release), ..abort }))
        }
    }
}
