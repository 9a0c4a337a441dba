//! Waiting until every new instance is ready at the same moment.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures_util::future::select_all;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::{Broken, Cause, Update};
use crate::engine::Engine;
use crate::instance::{Instance, InstanceState};
use crate::name::InstanceId;

/// An instance that is not ready after so long is looked at for the port that it may listen on instead.
const PORT_NOTICE_AFTER: Duration = Duration::from_secs(3);
/// For the engine to make and start a container, whose image is there.
const START_TIME_MAX: Duration = Duration::from_secs(120);

/// Returns once all are ready.
///
/// # Errors
///
/// The first instance that ended, was never made, or missed its deadline.
pub(super) async fn await_ready(
    instances: &[Instance],
    engine: &dyn Engine,
    updates: &mpsc::UnboundedSender<Update>,
) -> Result<(), Broken> {
    let asked = Instant::now();
    let mut running: BTreeMap<InstanceId, Instant> = BTreeMap::new();
    let mut watches: Vec<_> = instances.iter().map(Instance::watch).collect();
    let mut noticed: BTreeSet<InstanceId> = BTreeSet::new();
    loop {
        let mut next = None;
        let mut are_ready = true;
        for (instance, watch) in instances.iter().zip(&mut watches) {
            let (state, is_running) = {
                let observed = watch.borrow_and_update();
                let is_made = observed.container.is_some();
                let is_running =
                    if instance.spec().port.is_some() { observed.addr.is_some() } else { is_made };
                (observed.state.clone(), is_running)
            };
            if state == InstanceState::Ready {
                continue;
            }
            are_ready = false;
            let slot = || Some(instance.labels().slot.clone());
            match state {
                InstanceState::Exited(exit) => return Err((slot(), Cause::Exited(exit))),
                InstanceState::Failed { why } => return Err((slot(), Cause::NotStarted(why))),
                // It has used up its time to start, or was ready and is beyond help.
                InstanceState::Dead { .. } => return Err((slot(), not_ready(instance, engine).await)),
                InstanceState::Starting { .. } | InstanceState::Unready { .. } => {}
                InstanceState::Ready => unreachable!("passed over above"),
            }
            // An app is not late because its engine is: its time begins when its container runs.
            let begun = running.get(instance.id()).copied();
            let Some(start) = begun.or_else(|| is_running.then(Instant::now)) else {
                let limit = asked + START_TIME_MAX;
                if Instant::now() >= limit {
                    return Err((
                        slot(),
                        Cause::NotStarted(format!("it did not run within {START_TIME_MAX:?}")),
                    ));
                }
                next = Some(next.map_or(limit, |next: Instant| next.min(limit)));
                continue;
            };
            running.insert(instance.id().clone(), start);
            let deadline = start + instance.spec().deadline();
            if Instant::now() >= deadline {
                return Err((slot(), not_ready(instance, engine).await));
            }
            let notice_at = start + PORT_NOTICE_AFTER;
            if Instant::now() >= notice_at && noticed.insert(instance.id().clone()) {
                notice_port(instance, engine, updates).await;
            }
            let wake = if noticed.contains(instance.id()) { deadline } else { deadline.min(notice_at) };
            next = Some(next.map_or(wake, |next: Instant| next.min(wake)));
        }
        if are_ready {
            return Ok(());
        }
        let changes = select_all(watches.iter_mut().map(|watch| Box::pin(watch.changed())));
        let until = next.expect("an instance that is not ready has a deadline");
        // Whichever comes first, everything is looked at again.
        let _ = tokio::time::timeout_at(until, changes).await;
    }
}

/// Why instances that were ready take no requests any more.
pub(super) async fn lost(instances: &[Instance], engine: &dyn Engine) -> Broken {
    let culprit = instances.iter().find(|instance| !instance.is_ready()).or_else(|| instances.first());
    let Some(culprit) = culprit else { return (None, Cause::ControllerGone) };
    let cause = match culprit.observed().state {
        InstanceState::Exited(exit) => Cause::Exited(exit),
        _ => not_ready(culprit, engine).await,
    };
    (Some(culprit.labels().slot.clone()), cause)
}

async fn not_ready(instance: &Instance, engine: &dyn Engine) -> Cause {
    let (last_probe, probes) = match instance.observed().state {
        InstanceState::Starting { last_probe, probes } => (last_probe, probes),
        InstanceState::Unready { why } | InstanceState::Dead { why } => (Some(why), 1),
        _ => (None, 0),
    };
    let spec = instance.spec();
    let within = match (&spec.startup, instance.observed().state) {
        (Some(startup), InstanceState::Dead { .. }) => startup.deadline,
        _ => spec.deadline(),
    };
    Cause::NotReady {
        within,
        last_probe,
        probes,
        port: instance.spec().port,
        listens_on: other_ports(instance, engine).await,
    }
}

async fn notice_port(instance: &Instance, engine: &dyn Engine, updates: &mpsc::UnboundedSender<Update>) {
    let ports = other_ports(instance, engine).await;
    if let (false, Some(port)) = (ports.is_empty(), instance.spec().port) {
        let ports: Vec<_> = ports.iter().map(ToString::to_string).collect();
        let slot = &instance.labels().slot;
        let _ = updates.send(Update::Notice(format!(
            "{slot} listens on {}, not on $PORT ({port}); waiting for it until its deadline",
            ports.join(", ")
        )));
    }
}

/// The ports that it listens on, when the one that it should listen on is not among them.
async fn other_ports(instance: &Instance, engine: &dyn Engine) -> Vec<u16> {
    let (Some(port), Some(container)) = (instance.spec().port, instance.observed().container) else {
        return Vec::new();
    };
    let ports = engine.listening_ports(&container).await;
    if ports.contains(&port) { Vec::new() } else { ports }
}
