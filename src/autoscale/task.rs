//! The task that measures, decides, and has the controller do it.
//!
//! Every interval it looks at the apps that have a rule, measures what their instances have to do (CPU by the engine, times
//! and requests by the data plane), and sends what [`decide()`] says to the controller as a scale like any other. An app in which
//! something is under way is left alone until the next time. What it found and did last is there for [`Autoscaler::status`].

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use super::{Autoscale, History, Reading, Sample, Target, decide};
use crate::clock;
use crate::controller::{AppView, Command, Controller, InstanceView, Reform, ReformUpdate, ReformWanted};
use crate::engine::Engine;
use crate::formation::{Amount, Change};
use crate::metrics::{BOUNDS, Distribution, Snapshot};
use crate::name::{AppName, InstanceId, ProcessType};
use crate::traffic::Routes;

/// Between two decisions, as in Kubernetes.
pub const INTERVAL: Duration = Duration::from_secs(15);
/// A scale that takes longer is not waited for; it goes on.
const SCALE_TIME_MAX: Duration = Duration::from_secs(120);
/// How long one container may take to be measured.
const USAGE_TIME_MAX: Duration = Duration::from_secs(5);

/// What a rule came to last.
#[derive(Debug, Clone, PartialEq)]
pub struct Status {
    /// The metric, as an average over the instances; `None` when it could not be measured.
    pub metric: Option<f64>,
    /// What was decided, and why.
    pub reason: String,
    /// The last change.
    pub changed: Option<Changed>,
}

/// A change of a number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changed {
    /// When, in milliseconds since the Unix epoch.
    pub at: u64,
    /// What it was.
    pub from: u32,
    /// What it became.
    pub to: u32,
    /// Why.
    pub reason: String,
}

/// The handle on the task; clones are handles on the same one. Dropping them changes nothing.
#[derive(Debug, Clone, Default)]
pub struct Autoscaler {
    statuses: Arc<Mutex<BTreeMap<Key, Status>>>,
}

type Key = (AppName, ProcessType);

struct Task {
    handle: Autoscaler,
    controller: Controller,
    engine: Arc<dyn Engine>,
    routes: Routes,
    began: Instant,
    histories: BTreeMap<Key, History>,
    /// The CPU time of each container when it was last measured.
    cpu: BTreeMap<InstanceId, (Instant, Duration)>,
    /// How long the requests of each process type had taken by the last time.
    latency: BTreeMap<Key, Distribution>,
}

impl Autoscaler {
    /// Starts the task, which ends when `shutdown` is cancelled.
    #[must_use]
    pub fn start(
        controller: Controller,
        engine: Arc<dyn Engine>,
        routes: Routes,
        interval: Duration,
        shutdown: CancellationToken,
    ) -> Self {
        let handle = Self::default();
        let mut task = Task {
            handle: handle.clone(),
            controller,
            engine,
            routes,
            began: Instant::now(),
            histories: BTreeMap::new(),
            cpu: BTreeMap::new(),
            latency: BTreeMap::new(),
        };
        tokio::spawn(async move {
            let mut ticks = tokio::time::interval(interval);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                tokio::select! {
                    () = shutdown.cancelled() => return,
                    _ = ticks.tick() => task.round().await,
                }
            }
        });
        handle
    }

    /// What the rule of a process type came to last; `None` before the first time.
    #[must_use]
    pub fn status(&self, app: &AppName, process: &ProcessType) -> Option<Status> {
        let statuses = self.statuses.lock().unwrap_or_else(PoisonError::into_inner);
        statuses.get(&(app.clone(), process.clone())).cloned()
    }
}

impl Task {
    async fn round(&mut self) {
        let view = self.controller.view();
        let mut kept = Vec::new();
        for app in &view.apps {
            for (process, planned) in &app.processes {
                let Some(rule) = &planned.autoscale else { continue };
                let key = (app.name.clone(), process.clone());
                if app.deploy.is_none() && view.engine.is_recovered {
                    self.follow(app, &key, planned.replicas, rule).await;
                }
                kept.push(key);
            }
        }
        self.histories.retain(|key, _| kept.contains(key));
        self.latency.retain(|key, _| kept.contains(key));
        let is_known = |id: &InstanceId| {
            view.apps.iter().flat_map(|app| &app.instances).any(|instance| instance.id.as_ref() == Some(id))
        };
        self.cpu.retain(|id, _| is_known(id));
        let mut statuses = self.handle.statuses.lock().unwrap_or_else(PoisonError::into_inner);
        statuses.retain(|key, _| kept.contains(key));
    }

    async fn follow(&mut self, app: &AppView, key: &Key, current: u32, rule: &Autoscale) {
        let ours: Vec<_> = app
            .instances
            .iter()
            .filter(|one| {
                one.slot.process == key.1 && Some(one.release) == app.release && one.state != "draining"
            })
            .collect();
        let ready = ours.iter().filter(|one| one.state == "ready").count();
        let ready = u32::try_from(ready).unwrap_or(u32::MAX);
        let reading = self.read(app, key, &ours, rule).await;
        let sample = Sample { current, reading, ready };
        let history = self.histories.entry(key.clone()).or_default();
        let decision = decide(history, self.began.elapsed(), &sample, rule);
        let (name, process) = key;
        tracing::debug!(app = %name, %process, replicas = decision.replicas, reason = decision.reason, "autoscale");
        let mut changed = None;
        if decision.replicas != current {
            tracing::info!(
                app = %name, %process, was = current, now = decision.replicas, reason = decision.reason,
                "autoscale changes the number of instances"
            );
            if self.scale(key, decision.replicas).await {
                changed = Some(Changed {
                    at: clock::now(),
                    from: current,
                    to: decision.replicas,
                    reason: decision.reason.clone(),
                });
            }
        }
        let mut statuses = self.handle.statuses.lock().unwrap_or_else(PoisonError::into_inner);
        let before = statuses.get(key).and_then(|status| status.changed.clone());
        let status = Status { metric: decision.metric, reason: decision.reason, changed: changed.or(before) };
        statuses.insert(key.clone(), status);
    }

    /// Whether it is so.
    async fn scale(&self, (app, process): &Key, count: u32) -> bool {
        let (updates, mut said) = mpsc::unbounded_channel();
        let change = Change { process: process.clone(), amount: Amount::Exactly(count) };
        let wanted = ReformWanted::Scale(vec![change]);
        if self.controller.send(Command::Reform(Reform { app: app.clone(), wanted, updates })).await.is_err()
        {
            return false;
        }
        let end = async {
            while let Some(update) = said.recv().await {
                if let ReformUpdate::Ended(result) = update {
                    return Some(result);
                }
            }
            None
        };
        match tokio::time::timeout(SCALE_TIME_MAX, end).await {
            Ok(Some(Ok(()))) => true,
            Ok(Some(Err(error))) => {
                tracing::warn!(%app, %process, %error, "autoscale could not change the number of instances");
                false
            }
            Ok(None) | Err(_) => false,
        }
    }

    async fn read(&mut self, app: &AppView, key: &Key, ours: &[&InstanceView], rule: &Autoscale) -> Reading {
        match rule.target {
            Target::Cpu(_) => self.read_cpu(ours).await,
            Target::P95(_) => {
                let now = sum(&self.routes.metrics().snapshot(), app, &key.1);
                let before = self.latency.insert(key.clone(), now);
                Reading::Whole(before.and_then(|before| p95(&before, &now)))
            }
            Target::InFlight(_) => {
                let snapshot = self.routes.metrics().snapshot();
                let routes =
                    snapshot.routes.iter().filter(|route| is_of(app, &key.1, &route.app, &route.route));
                // Those that wait for an instance are counted with the others.
                Reading::Total(Some(routes.map(|route| route.in_flight as f64).sum()))
            }
        }
    }

    async fn read_cpu(&mut self, ours: &[&InstanceView]) -> Reading {
        let (mut values, mut missing, mut unready) = (Vec::new(), 0, 0);
        for one in ours {
            let measured = self.cpu_percent(one).await;
            match measured {
                _ if one.state != "ready" => unready += 1,
                Some(percent) => values.push(percent),
                None => missing += 1,
            }
        }
        Reading::Each { values, missing, unready }
    }

    /// Since the last time, of the instance's limit, or of a core where it has none.
    async fn cpu_percent(&mut self, one: &InstanceView) -> Option<f64> {
        let (id, container) = (one.id.as_ref()?, one.container.as_ref()?);
        let usage = tokio::time::timeout(USAGE_TIME_MAX, self.engine.usage(container)).await.ok()?.ok()??;
        let now = Instant::now();
        let (then, before) = self.cpu.insert(id.clone(), (now, usage.cpu))?;
        let elapsed = now.duration_since(then).as_secs_f64();
        let used = usage.cpu.checked_sub(before)?.as_secs_f64();
        let cores = one.cpu.map_or(1.0, |milli| f64::from(milli) / 1_000.0);
        (elapsed > 0.0).then(|| 100.0 * used / elapsed / cores)
    }
}

/// Whether requests of this route are answered by the process type.
fn is_of(app: &AppView, process: &ProcessType, owner: &str, route: &str) -> bool {
    app.name.as_str() == owner && app.route_processes.get(route) == Some(process)
}

fn sum(snapshot: &Snapshot, app: &AppView, process: &ProcessType) -> Distribution {
    let routes = snapshot.routes.iter().filter(|route| is_of(app, process, &route.app, &route.route));
    routes.fold(Distribution::default(), |sum, route| {
        let mut buckets = sum.buckets;
        buckets.iter_mut().zip(route.latency.buckets).for_each(|(sum, count)| *sum += count);
        Distribution { buckets, sum_micros: sum.sum_micros + route.latency.sum_micros }
    })
}

/// In milliseconds, spread evenly within its bucket; `None` when there were no requests in between.
fn p95(before: &Distribution, now: &Distribution) -> Option<f64> {
    let counts: Vec<u64> =
        now.buckets.iter().zip(before.buckets).map(|(now, before)| now.saturating_sub(before)).collect();
    let count: u64 = counts.iter().sum();
    let rank = 0.95 * count as f64;
    let (mut below, mut lower) = (0, 0.0);
    for (bound, in_bucket) in BOUNDS.iter().zip(&counts) {
        let upper = bound.as_secs_f64() * 1_000.0;
        if *in_bucket > 0 && (below + in_bucket) as f64 >= rank {
            return Some(lower + (upper - lower) * ((rank - below as f64) / *in_bucket as f64));
        }
        below += in_bucket;
        lower = upper;
    }
    (count > 0).then_some(lower)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn p95_is_of_what_came_since() {
        let mut before = Distribution::default();
        before.buckets[0] = 1_000;
        let mut now = before;
        assert_eq!(p95(&before, &now), None, "no requests");
        // 100 to 250 ms.
        now.buckets[7] += 100;
        assert_eq!(p95(&before, &now), Some(242.5));
        now.buckets[14] += 100;
        assert_eq!(p95(&before, &now), Some(60_000.0), "nobody knows how far above");
    }
}
