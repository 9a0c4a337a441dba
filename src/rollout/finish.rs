//! What comes after the switch: the old instances finish, stop and go.

use std::time::Duration;

use super::{Deps, Phase, RolloutRecord};
use crate::engine::EngineError;
use crate::instance::Retirement;
use crate::release::Release;

/// Between two tries at stopping old instances on an engine that does not answer.
const RETRY_PAUSE: Duration = Duration::from_secs(5);

/// Drains, stops and removes the old instances of the app, and ends the rollout of `release`, which serves.
///
/// Goes on until it is done: an engine that is away is waited for.
pub async fn finish(release: &Release, old: &[Retirement], deps: &Deps) {
    enter(release, Phase::Draining, deps).await;
    futures_util::future::join_all(old.iter().map(|retirement| retirement.drain(&deps.routes))).await;
    enter(release, Phase::Stopping, deps).await;
    futures_util::future::join_all(old.iter().map(|retirement| stop_and_remove(retirement, deps))).await;
    // Should this fail, the next start finds the phase, nothing to stop, and ends it.
    if let Err(error) = deps.store.finish_rollout(&release.app, release.id).await {
        tracing::error!(app = %release.app, release = %release.id, %error, "cannot store that the rollout ended");
    }
}

/// Stops and removes one instance; goes on until it is done.
pub async fn stop_and_remove(retirement: &Retirement, deps: &Deps) {
    let engine = deps.machinery.engine.as_ref();
    loop {
        let done: Result<(), EngineError> = match retirement.stop(engine, &deps.routes).await {
            Ok(()) => retirement.remove(engine).await,
            Err(error) => Err(error),
        };
        let Err(error) = done else { return };
        tracing::warn!(instance = %retirement.slot, release = %retirement.release, %error, "cannot stop yet");
        tokio::time::sleep(RETRY_PAUSE).await;
    }
}

async fn enter(release: &Release, phase: Phase, deps: &Deps) {
    let record = RolloutRecord { app: release.app.clone(), release: release.id, phase };
    if let Err(error) = deps.store.set_phase(&record).await {
        // The switch is stored: a start that finds `Switching` does the same as one that finds this phase.
        tracing::error!(app = %release.app, release = %release.id, %error, "cannot store a phase");
    }
}
