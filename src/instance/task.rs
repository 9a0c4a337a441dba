//! The task behind an instance's handle.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use tokio::sync::{MutexGuard, Notify, watch};
use tokio::time::Instant;

use super::probing::Rhythm;
use super::retire::Gate;
use super::{Exit, Instance, InstanceState, LOG_TAIL, Machinery, Observation, Origin, ProbeRecord};
use crate::engine::{Container, ContainerState, Engine, EngineError, Labels, LogQuery};
use crate::logs::Voice;
use crate::manifest::{Probe, ProbeKind};
use crate::plan::{InstanceSpec, Readiness};
use crate::probe::{Passed, ProbeFailure, Question};

/// How long reading a dead container's last lines may take.
const LOG_TAIL_TIME_MAX: Duration = Duration::from_secs(5);
/// Between two looks whether an instance's volume is free.
const VOLUME_PAUSE: Duration = Duration::from_millis(500);
/// Farther than any probe: "never".
const FAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);

pub(super) struct Task {
    pub(super) labels: Labels,
    pub(super) spec: Arc<InstanceSpec>,
    pub(super) machinery: Machinery,
    pub(super) observed: watch::Sender<Observation>,
    pub(super) poke: Arc<Notify>,
    pub(super) gate: Gate,
    /// What an HTTP probe names.
    pub(super) host: String,
}

/// One probe with its rhythm and its next time.
struct Asking<'t> {
    probe: &'t Probe,
    rhythm: Rhythm,
    next: Instant,
}

impl Task {
    pub(super) async fn run(self, origin: Origin) {
        if let Origin::Found { container, may_start: false, .. } = &origin
            && !container.is_running()
        {
            self.has_ended(&container.id).await;
            return;
        }
        let container = match self.running(origin).await {
            Ok(Some(container)) => container,
            Ok(None) => {
                let why = "it was told to stop before it was started".to_owned();
                self.become_state(InstanceState::Failed { why });
                return;
            }
            Err(error) => {
                self.become_state(InstanceState::Failed { why: error.to_string() });
                return;
            }
        };
        self.observe(&container);
        if let Some(probe) = &self.spec.startup
            && self.observed.borrow().state != InstanceState::Ready
            && !self.start_up(&container.id, probe).await
        {
            return;
        }
        match &self.spec.ready {
            Readiness::Settled(time) => self.settle(&container.id, *time).await,
            Readiness::Probe(probe) => self.probe_forever(&container.id, Some(probe)).await,
        }
    }

    /// Makes, starts and describes the container, or starts the one that was found; `None` when it is to stop before that.
    async fn running(&self, origin: Origin) -> Result<Option<Container>, EngineError> {
        let engine = &self.machinery.engine;
        let is_closed = match &origin {
            Origin::Found { container, .. } if container.is_running() => {
                return Ok(Some((**container).clone()));
            }
            _ => self.turn().await?,
        };
        let id = match origin {
            _ if *is_closed => return Ok(None),
            Origin::Found { container, .. } => container.id,
            Origin::New => {
                let mut volumes = BTreeMap::new();
                for (name, path) in &self.spec.volumes {
                    volumes.insert(engine.ensure_volume(&self.labels.app, name).await?, path.clone());
                }
                {
                    let port = self.machinery.http_port;
                    engine.create(&Instance::container_spec(&self.labels, &self.spec, volumes, port)).await?
                }
            }
        };
        self.observed.send_modify(|observed| observed.container = Some(id.clone()));
        let voice = Voice::Instance(&self.labels.slot, self.labels.release);
        self.machinery.logs.say(&self.labels.app, voice, "starting");
        engine.start(&id).await?;
        drop(is_closed);
        let missing = || EngineError::NotFound { what: format!("the container of `{}`", self.labels.slot) };
        engine.container(&id).await?.ok_or_else(missing).map(Some)
    }

    /// Waits until nothing else writes to the instance's volume; the gate, in which nothing else begins to.
    ///
    /// Whoever has it started has had the others stopped, as far as they were known and the engine did as it was told. What a
    /// failed stop or the kill of a daemon left is found here alone, and removed by the controller meanwhile.
    async fn turn(&self) -> Result<MutexGuard<'_, bool>, EngineError> {
        let mut has_waited = false;
        loop {
            let is_closed = self.gate.enter().await;
            if *is_closed || self.spec.volumes.is_empty() {
                return Ok(is_closed);
            }
            let Some(writer) = self.other_writer().await? else { return Ok(is_closed) };
            // Who stops this instance must not wait for the other one's end.
            drop(is_closed);
            if !has_waited {
                tracing::warn!(
                    app = %self.labels.app, instance = %self.labels.slot, release = %self.labels.release,
                    writer = %writer.slot, writer_release = %writer.release,
                    "not started yet: its volume is still written to"
                );
            }
            has_waited = true;
            tokio::time::sleep(VOLUME_PAUSE).await;
        }
    }

    /// A container that runs with a volume of the app and is not one of this release's other slots, which may share it.
    async fn other_writer(&self) -> Result<Option<Labels>, EngineError> {
        let ours = &self.labels;
        let is_in_the_way = |labels: &Labels| {
            labels.app == ours.app
                && labels.instance != ours.instance
                && (labels.release != ours.release || labels.slot == ours.slot)
        };
        let containers = self.machinery.engine.containers().await?;
        let mut writers = containers.into_iter().filter(|other| other.has_volume && other.is_running());
        Ok(writers.find(|other| is_in_the_way(&other.labels)).map(|other| other.labels))
    }

    /// Asks whether it has started, and nothing else meanwhile; false when it ended, or used up its time.
    async fn start_up(&self, container: &str, probe: &Probe) -> bool {
        let mut rhythm = Rhythm::new(probe, false);
        let limit = Instant::now() + probe.deadline;
        let mut next = Instant::now();
        loop {
            tokio::select! {
                biased;
                () = self.poke.notified() => if self.has_ended(container).await { return false },
                () = tokio::time::sleep_until(next) => {
                    let Err(failure) = self.ask(ProbeKind::Startup, container, probe).await else { return true };
                    if Instant::now() >= limit {
                        let why = format!("it did not start within {:?}: {failure}", probe.deadline);
                        self.become_state(InstanceState::Dead { why });
                        return false;
                    }
                    rhythm.failed();
                    self.note_failure(&failure, false);
                    if self.has_ended(container).await {
                        return false;
                    }
                    next = Instant::now() + rhythm.pause();
                }
            }
        }
    }

    /// Ready after it has run for `time`.
    async fn settle(&self, container: &str, time: Duration) {
        if !self.observed.borrow().state.eq(&InstanceState::Ready) {
            let settled = tokio::time::sleep(time);
            tokio::pin!(settled);
            loop {
                tokio::select! {
                    () = &mut settled => break,
                    () = self.poke.notified() => if self.has_ended(container).await { return },
                }
            }
            // An end that no event told of must not pass for a start.
            if self.has_ended(container).await {
                return;
            }
            self.become_state(InstanceState::Ready);
        }
        self.probe_forever(container, None).await;
    }

    /// Asks until the container ends, or is found dead.
    async fn probe_forever(&self, container: &str, ready: Option<&Probe>) {
        let was_ready = self.observed.borrow().state == InstanceState::Ready;
        let now = Instant::now();
        let mut ready = ready.map(|probe| Asking { probe, rhythm: Rhythm::new(probe, was_ready), next: now });
        let mut live = self.spec.live.as_ref().map(|probe| {
            let rhythm = Rhythm::new(probe, true);
            Asking { probe, next: now + rhythm.pause(), rhythm }
        });
        loop {
            let next_ready = ready.as_ref().map_or(now + FAR, |asking| asking.next);
            let next_live = live.as_ref().map_or(now + FAR, |asking| asking.next);
            tokio::select! {
                biased;
                () = self.poke.notified() => if self.has_ended(container).await { return },
                () = tokio::time::sleep_until(next_ready) => {
                    if let Some(asking) = &mut ready && self.ask_ready(container, asking).await { return }
                }
                () = tokio::time::sleep_until(next_live) => {
                    if let Some(asking) = &mut live && self.ask_live(container, asking).await { return }
                }
            }
        }
    }

    /// One readiness probe; true when the container has ended.
    async fn ask_ready(&self, container: &str, asking: &mut Asking<'_>) -> bool {
        let answer = self.ask(ProbeKind::Ready, container, asking.probe).await;
        let has_ended = match answer {
            Ok(_) => {
                asking.rhythm.passed();
                self.become_state(InstanceState::Ready);
                false
            }
            Err(failure) => {
                let has_turned = asking.rhythm.failed();
                self.note_failure(&failure, has_turned);
                self.has_ended(container).await
            }
        };
        asking.next = Instant::now() + asking.rhythm.pause();
        has_ended
    }

    /// One liveness probe; true when the container has ended or is dead. What was never ready is still starting: not asked.
    async fn ask_live(&self, container: &str, asking: &mut Asking<'_>) -> bool {
        let is_starting = matches!(self.observed.borrow().state, InstanceState::Starting { .. });
        let mut is_over = false;
        if !is_starting {
            match self.ask(ProbeKind::Live, container, asking.probe).await {
                Ok(_) => asking.rhythm.passed(),
                Err(failure) if asking.rhythm.failed() => {
                    self.become_state(InstanceState::Dead { why: failure.to_string() });
                    is_over = true;
                }
                Err(_) => is_over = self.has_ended(container).await,
            }
        }
        asking.next = Instant::now() + asking.rhythm.pause();
        is_over
    }

    async fn ask(&self, kind: ProbeKind, container: &str, probe: &Probe) -> Result<Passed, ProbeFailure> {
        let addr = self.observed.borrow().addr;
        let question =
            Question { check: &probe.check, container, addr, host: &self.host, timeout: probe.timeout };
        let answer = self.machinery.prober.probe(question).await;
        self.observed.send_if_modified(|observed| {
            let record = ProbeRecord::after(observed.probes.get(&kind), &answer);
            let is_new = observed.probes.get(&kind) != Some(&record);
            if is_new {
                observed.probes.insert(kind, record);
            }
            is_new
        });
        answer
    }

    /// Asks the engine; true when the container has ended, which is published then.
    async fn has_ended(&self, container: &str) -> bool {
        match self.machinery.engine.container(container).await {
            // An engine that does not answer says nothing about its containers.
            Err(_) => false,
            Ok(Some(found)) => match found.state {
                ContainerState::Running | ContainerState::Created => {
                    self.observe(&found);
                    false
                }
                ContainerState::Exited { code, is_out_of_memory } => {
                    let log = last_lines(self.machinery.engine.as_ref(), container).await;
                    self.become_state(InstanceState::Exited(Exit {
                        code: Some(code),
                        is_out_of_memory,
                        log,
                    }));
                    true
                }
            },
            Ok(None) => {
                self.become_state(InstanceState::Exited(Exit {
                    code: None,
                    is_out_of_memory: false,
                    log: Vec::new(),
                }));
                true
            }
        }
    }

    fn observe(&self, container: &Container) {
        let has_moved = self.observed.send_if_modified(|observed| {
            let is_new = observed.addr != container.addr
                || observed.more_addrs != container.more_addrs
                || observed.container.as_ref() != Some(&container.id);
            observed.addr = container.addr;
            observed.more_addrs.clone_from(&container.more_addrs);
            observed.container = Some(container.id.clone());
            is_new
        });
        if has_moved {
            self.tell();
        }
    }

    fn note_failure(&self, failure: &ProbeFailure, has_turned: bool) {
        self.observed.send_if_modified(|observed| match &mut observed.state {
            InstanceState::Starting { last_probe, probes } => {
                *last_probe = Some(failure.to_string());
                *probes += 1;
                true
            }
            _ => false,
        });
        if has_turned {
            self.become_state(InstanceState::Unready { why: failure.to_string() });
        }
    }

    fn become_state(&self, state: InstanceState) {
        let has_changed = self.observed.send_if_modified(|observed| {
            if observed.state == state {
                return false;
            }
            tracing::info!(
                app = %self.labels.app, instance = %self.labels.slot, release = %self.labels.release,
                was = observed.state.word(), now = state.word(), "instance changed"
            );
            observed.state = state;
            observed.since = crate::clock::now();
            true
        });
        if has_changed {
            if let Some(text) = self.observed.borrow().state.told() {
                let voice = Voice::Instance(&self.labels.slot, self.labels.release);
                self.machinery.logs.say(&self.labels.app, voice, &text);
            }
            self.tell();
        }
    }

    fn tell(&self) {
        // Nobody listens any more when the daemon is about to end.
        let _ = self.machinery.changes.send(self.labels.instance.clone());
    }
}

impl InstanceState {
    /// What the app's stream says of it; nothing of an instance that was only begun.
    fn told(&self) -> Option<String> {
        Some(match self {
            Self::Starting { .. } => return None,
            Self::Ready => "up".to_owned(),
            Self::Unready { why } => format!("unready, and gets no requests: {why}"),
            Self::Dead { why } => format!("not alive, and to be replaced: {why}"),
            Self::Exited(exit) if exit.is_out_of_memory => format!("crashed, out of memory: {exit}"),
            Self::Exited(exit) => format!("crashed: {exit}"),
            Self::Failed { why } => format!("cannot start: {why}"),
        })
    }

    /// One word for logs and lists.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Starting { .. } => "starting",
            Self::Ready => "ready",
            Self::Unready { .. } => "unready",
            Self::Dead { .. } => "dead",
            Self::Exited(_) => "crashed",
            Self::Failed { .. } => "failed",
        }
    }
}

/// A container's last lines; none when they cannot be had.
pub(crate) async fn last_lines(engine: &dyn Engine, container: &str) -> Vec<String> {
    let read = async {
        let query = LogQuery { tail: Some(LOG_TAIL), ..LogQuery::default() };
        match engine.logs(container, query).await {
            Ok(lines) => lines.map(|line| line.text).collect().await,
            Err(_) => Vec::new(),
        }
    };
    tokio::time::timeout(LOG_TAIL_TIME_MAX, read).await.unwrap_or_default()
}
