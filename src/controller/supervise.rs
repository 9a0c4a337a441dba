//! Replacing instances that ended: at once, then ever later.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::app::{App, Hold};
use super::fleet::Fleet;
use super::report;
use super::task::Task;
use crate::instance::{Instance, InstanceState, Retirement};
use crate::logs::Voice;
use crate::name::{AppName, InstanceId, ProcessType, Slot};
use crate::plan::Plan;
use crate::rollout::Deps;

/// The pause before the second replacement in a row; it doubles from there (Kubernetes' CrashLoopBackOff).
const PAUSE_FIRST: Duration = Duration::from_secs(10);
/// The longest pause (Kubernetes).
const PAUSE_MAX: Duration = Duration::from_secs(300);
/// An instance that ran for so long was well: the next replacement is at once again (Kubernetes).
const STABLE_AFTER: Duration = Duration::from_secs(600);

/// Requests of an app that has nothing ready wait when an instance is to be started within this time. Longer, and a client is
/// better served by an answer.
const HOLD_AHEAD: Duration = Duration::from_secs(5);
/// They wait so long for an instance that was started: the proxy's own limit, after which none of them would wait longer.
const HOLD_STARTING_MAX: Duration = Duration::from_secs(60);

/// How often a slot was replaced, and when it may be again.
#[derive(Debug, Clone, Copy)]
pub(super) struct Backoff {
    /// Replacements in a row.
    pub(super) restarts: u32,
    /// When the instance that runs now was started.
    pub(super) started: Instant,
    /// When the instance that ended may be replaced; `None` while it runs.
    pub(super) due: Option<Instant>,
}

impl Backoff {
    pub(super) fn new(now: Instant) -> Self {
        Self { restarts: 0, started: now, due: None }
    }

    /// Notes that the instance ended; returns when it may be replaced. Noting it again changes nothing.
    fn ended(&mut self, now: Instant) -> Instant {
        if now.duration_since(self.started) >= STABLE_AFTER && self.due.is_none() {
            self.restarts = 0;
        }
        let pause = match self.restarts {
            0 => Duration::ZERO,
            n => PAUSE_FIRST.saturating_mul(1 << (n - 1).min(16)).min(PAUSE_MAX),
        };
        *self.due.get_or_insert(now + pause)
    }

    /// Whether an instance of the slot may be ready soon: it is being started, or about to be.
    fn is_promising(&self, now: Instant, is_starting: bool) -> bool {
        match self.due {
            Some(due) => due <= now + HOLD_AHEAD,
            None => is_starting && now < self.started + HOLD_STARTING_MAX,
        }
    }

    /// When there is next something to do: to replace the instance, or to say that it is replaced soon.
    fn next(&self, now: Instant) -> Option<Instant> {
        let due = self.due?;
        let ahead = due.checked_sub(HOLD_AHEAD).filter(|ahead| *ahead > now);
        Some(ahead.unwrap_or(due))
    }

    fn replaced(&mut self, now: Instant) {
        *self = Self { restarts: self.restarts + 1, started: now, due: None };
    }
}

impl App {
    /// Whether requests for a process type without a ready instance are worth holding: it served, and is about to again.
    pub(super) fn is_returning(&self, process: &ProcessType) -> bool {
        let now = Instant::now();
        let specs = self.serving.iter().flat_map(|plan| &plan.instances);
        specs.map(|spec| &spec.slot).filter(|slot| slot.process == *process).any(|slot| {
            // An empty slot waits until nothing writes to its volume any more, and is filled then.
            let is_starting = self
                .instances
                .get(slot)
                .is_none_or(|instance| matches!(instance.observed().state, InstanceState::Starting { .. }));
            self.backoff.get(slot).map_or(is_starting, |backoff| backoff.is_promising(now, is_starting))
        })
    }
}

impl Task {
    /// Makes every slot of the app's current release have an instance that may still become something.
    pub(super) fn supervise(&mut self, name: &AppName) {
        let Some(app) = self.apps.get_mut(name) else { return };
        let mut ended = Vec::new();
        for fleet in app.canary.iter_mut().chain(&mut app.watched) {
            let Fleet { plan, instances, backoff, .. } = fleet;
            ended.extend(fill(name, plan, instances, backoff, &app.retiring, &self.deps));
        }
        // During a stop-first swap the old instances are meant to end.
        if let Some(plan) = app.serving.clone().filter(|_| app.hold != Hold::Swapping) {
            let (instances, backoff) = (&mut app.instances, &mut app.backoff);
            ended.extend(fill(name, &plan, instances, backoff, &app.retiring, &self.deps));
        }
        app.retiring.extend(ended.iter().map(|retirement| (retirement.instance.clone(), retirement.clone())));
        ended.into_iter().for_each(|retirement| self.reap(name, retirement));
    }

    /// When the next instance may be replaced, or is about to be.
    pub(super) fn next_replacement(&self) -> Option<Instant> {
        let now = Instant::now();
        let is_supervised = |app: &&App| app.hold != Hold::Swapping;
        let serving = self.apps.values().filter(is_supervised).map(|app| &app.backoff);
        let beside = self.apps.values().flat_map(|app| app.canary.iter().chain(&app.watched));
        serving
            .chain(beside.map(|fleet| &fleet.backoff))
            .flat_map(BTreeMap::values)
            .filter_map(|backoff| backoff.next(now))
            .min()
    }

    /// Notes in every backoff what ended since, so that [`Self::next_replacement`] knows of it.
    pub(super) fn supervise_all(&mut self) {
        let names: Vec<_> = self.apps.keys().cloned().collect();
        names.iter().for_each(|name| self.supervise(name));
    }

    /// Why an instance is not ready, for people.
    pub(super) fn detail(state: &InstanceState) -> Option<String> {
        match state {
            InstanceState::Ready => None,
            InstanceState::Starting { last_probe, .. } => last_probe.clone(),
            InstanceState::Unready { why } | InstanceState::Dead { why } | InstanceState::Failed { why } => {
                Some(why.clone())
            }
            InstanceState::Exited(exit) => Some(exit.to_string()),
        }
    }
}

/// Makes every slot have an instance that may still become something; returns those that ended and were replaced.
fn fill(
    name: &AppName,
    plan: &Plan,
    instances: &mut BTreeMap<Slot, Instance>,
    backoffs: &mut BTreeMap<Slot, Backoff>,
    retiring: &BTreeMap<InstanceId, Retirement>,
    deps: &Deps,
) -> Vec<Retirement> {
    let now = Instant::now();
    let mut ended = Vec::new();
    for spec in &plan.instances {
        let slot = &spec.slot;
        let backoff = backoffs.entry(slot.clone()).or_insert_with(|| Backoff::new(now));
        if let Some(instance) = instances.get(slot) {
            if !instance.observed().state.is_over() {
                // It may have come back by another way than a replacement; then nothing is due.
                backoff.due = None;
                continue;
            }
            let is_noted = backoff.due.is_some();
            let due = backoff.ended(now);
            if due > now {
                if !is_noted {
                    let text = format!("restarting in {}s", due.duration_since(now).as_secs());
                    let voice = Voice::Instance(slot, plan.release);
                    deps.machinery.logs.say(name, voice, &text);
                }
                continue;
            }
            backoff.replaced(now);
            tracing::warn!(app = %name, instance = %slot, restarts = backoff.restarts, "replacing an instance");
            let why = Task::detail(&instance.observed().state);
            deps.reporter.tell(report::crashed(name, slot, why.as_deref(), backoff.restarts));
            ended.push(instance.retirement(&plan.limits));
            if !spec.volumes.is_empty() {
                // It may still write to its volume: its slot stays empty until it is gone.
                instances.remove(slot);
                continue;
            }
        } else if !spec.volumes.is_empty() && retiring.values().any(|old| old.slot == *slot) {
            continue;
        }
        let id = (deps.ids)();
        let instance = Instance::start(name, id, Arc::new(spec.clone()), &deps.machinery);
        instances.insert(slot.clone(), instance);
    }
    ended
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_ladder_is_at_once_then_10_s_doubling_to_5_min() {
        let mut backoff = Backoff::new(Instant::now());
        let mut pauses = Vec::new();
        for _ in 0..8 {
            let now = Instant::now();
            let due = backoff.ended(now);
            assert_eq!(backoff.ended(now + Duration::from_secs(1)), due, "noting it twice changes nothing");
            pauses.push(due.duration_since(now).as_secs());
            tokio::time::advance(due.duration_since(now)).await;
            backoff.replaced(Instant::now());
        }
        assert_eq!(pauses, [0, 10, 20, 40, 80, 160, 300, 300]);
    }

    #[tokio::test(start_paused = true)]
    async fn requests_are_held_for_what_starts_and_for_what_starts_soon() {
        let (now, second) = (Instant::now(), Duration::from_secs(1));
        let fresh = Backoff::new(now);
        assert!(fresh.is_promising(now, true) && !fresh.is_promising(now, false));
        assert!(!fresh.is_promising(now + HOLD_STARTING_MAX, true), "it takes too long");
        let waiting = Backoff { due: Some(now + 10 * second), ..fresh };
        assert!(!waiting.is_promising(now, false));
        assert!(waiting.is_promising(now + 5 * second, false));
        assert_eq!(waiting.next(now), Some(now + 5 * second), "whoever waits is told in time");
        assert_eq!(waiting.next(now + 5 * second), Some(now + 10 * second));
    }

    #[tokio::test(start_paused = true)]
    async fn ten_good_minutes_are_a_fresh_start() {
        let mut backoff = Backoff { restarts: 5, started: Instant::now(), due: None };
        tokio::time::advance(STABLE_AFTER).await;
        assert_eq!(backoff.ended(Instant::now()), Instant::now());
    }
}
