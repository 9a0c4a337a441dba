//! The task that runs what is due, and what it remembers.
//!
//! It sleeps until the next run, or until the controller's view changes: then jobs come, go, or get another schedule. The wall
//! clock decides, which may be set: it never sleeps longer than [`SLEEP_MAX`] without a look at it. Each run is a task of its own,
//! and is stored before it begins and when it has ended.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::{CronError, Ended, HISTORY_MAX, MISSED_GRACE, Run, Runner};
use crate::clock::{self, WallClock};
use crate::controller::{Controller, View};
use crate::manifest::CronJob;
use crate::name::{AppName, ReleaseId};
use crate::store::{CronRecord, Store, StoreError};

/// The longest sleep: a clock that was set is noticed after it.
const SLEEP_MAX: Duration = Duration::from_secs(30);
/// Missed runs are counted up to so many; beyond that nobody wants to know how many.
const MISSED_MAX: u64 = 10_000;

/// The handle on the task; clones are handles on the same one. Dropping them changes nothing.
#[derive(Clone)]
pub struct Jobs(Arc<Inner>);

/// A job as it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobView {
    /// Its name.
    pub name: String,
    /// What it is.
    pub job: CronJob,
    /// When it runs next, in milliseconds since the Unix epoch; `None` while it is suspended.
    pub next: Option<u64>,
    /// Whether somebody has suspended it.
    pub is_suspended: bool,
    /// How many runs go on.
    pub running: u32,
    /// Its last run.
    pub last: Option<Run>,
}

struct Inner {
    controller: Controller,
    store: Store,
    runner: Arc<dyn Runner>,
    clock: WallClock,
    jobs: Mutex<BTreeMap<Key, Job>>,
    /// Held while a record is written, so that an older one never comes after a newer one.
    writing: tokio::sync::Mutex<()>,
    wake: Notify,
}

type Key = (AppName, String);

struct Job {
    record: CronRecord,
    /// What the release that serves says; `None` when it has no such job.
    current: Option<(ReleaseId, CronJob)>,
    running: u32,
}

impl Jobs {
    /// Reads what is known, and starts the task, which ends when `shutdown` is cancelled. Runs go on in their containers then,
    /// and are lost.
    ///
    /// # Errors
    ///
    /// When the store cannot be read.
    pub async fn start(
        controller: Controller,
        store: Store,
        runner: Arc<dyn Runner>,
        clock: WallClock,
        shutdown: CancellationToken,
    ) -> Result<Self, StoreError> {
        let mut jobs = BTreeMap::new();
        for mut record in store.cron().await? {
            record
                .runs
                .iter_mut()
                .filter(|run| run.end.is_none())
                .for_each(|run| run.end = Some(Ended::Lost));
            jobs.insert((record.app.clone(), record.job.clone()), Job { record, current: None, running: 0 });
        }
        let (jobs, wake, writing) = (Mutex::new(jobs), Notify::new(), tokio::sync::Mutex::default());
        let inner = Arc::new(Inner { controller, store, runner, clock, jobs, writing, wake });
        let task = Arc::clone(&inner);
        tokio::spawn(async move {
            tokio::select! {
                () = shutdown.cancelled() => {}
                () = task.work() => {}
            }
        });
        Ok(Self(inner))
    }

    /// The jobs of an app's release that serves, by name.
    ///
    /// # Errors
    ///
    /// [`CronError::UnknownApp`].
    pub fn list(&self, app: &AppName) -> Result<Vec<JobView>, CronError> {
        self.known(app)?;
        let jobs = self.0.lock();
        let of_app = jobs.iter().filter(|((owner, _), _)| owner == app);
        Ok(of_app.filter_map(|((_, name), job)| job.view(name)).collect())
    }

    /// A job's runs, the oldest first; at most [`HISTORY_MAX`].
    ///
    /// # Errors
    ///
    /// When there is no such app or job.
    pub fn history(&self, app: &AppName, name: &str) -> Result<(CronJob, Vec<Run>), CronError> {
        self.known(app)?;
        let jobs = self.0.lock();
        let found = jobs.get(&(app.clone(), name.to_owned()));
        let found = found.and_then(|job| Some((job.current.as_ref()?.1.clone(), job.record.runs.clone())));
        found.ok_or_else(|| unknown(&jobs, app, name))
    }

    /// Runs a job now, to its end. A caller that goes away does not end it.
    ///
    /// # Errors
    ///
    /// When there is no such app or job, or it runs and may not run twice.
    pub async fn run(&self, app: &AppName, name: &str) -> Result<Run, CronError> {
        self.known(app)?;
        let now = self.0.now();
        let begun = {
            let mut jobs = self.0.lock();
            let key = (app.clone(), name.to_owned());
            match jobs.get_mut(&key) {
                Some(Job { current: Some((_, job)), running: 1.., .. }) if !job.overlap => {
                    return Err(CronError::IsRunning(name.to_owned()));
                }
                Some(job) if job.current.is_some() => job.begin(now, now, true),
                _ => return Err(unknown(&jobs, app, name)),
            }
        };
        let (inner, key) = (Arc::clone(&self.0), (app.clone(), name.to_owned()));
        let run = tokio::spawn(async move { inner.run(key, begun).await });
        run.await.map_err(|_| crate::controller::Stopping)?.map_err(CronError::from)
    }

    /// Has a job run at its times no more, or again.
    ///
    /// # Errors
    ///
    /// When there is no such app or job, or it cannot be stored.
    pub async fn suspend(&self, app: &AppName, name: &str, is_suspended: bool) -> Result<JobView, CronError> {
        self.known(app)?;
        let key = (app.clone(), name.to_owned());
        let now = self.0.now();
        let view = {
            let mut jobs = self.0.lock();
            let Some(job) = jobs.get_mut(&key).filter(|job| job.current.is_some()) else {
                return Err(unknown(&jobs, app, name));
            };
            job.record.is_suspended = is_suspended;
            // What would have run meanwhile was not missed.
            job.record.seen = now;
            job.view(name)
        };
        self.0.save(&key).await?;
        self.0.wake.notify_one();
        tracing::info!(%app, job = name, is_suspended, "job changed");
        view.ok_or_else(|| unknown(&self.0.lock(), app, name))
    }

    fn known(&self, app: &AppName) -> Result<(), CronError> {
        let view = self.0.controller.view();
        let is_known = view.apps.iter().any(|known| known.name == *app);
        if is_known { Ok(()) } else { Err(CronError::UnknownApp(app.clone())) }
    }
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<Key, Job>> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> u64 {
        clock::millis((self.clock)())
    }

    async fn work(self: Arc<Self>) {
        let mut view = self.controller.watch();
        if view.wait_for(|view| view.engine.is_recovered).await.is_err() {
            return;
        }
        let mut is_first = true;
        loop {
            let seen = view.borrow_and_update().clone();
            for key in self.take_up(&seen, is_first) {
                self.save_or_log(&key).await;
            }
            is_first = false;
            let now = self.now();
            for key in self.due(now) {
                self.save_or_log(&key).await;
            }
            let next = self.lock().values().filter_map(Job::next).min();
            let pause = next.map_or(SLEEP_MAX, |next| Duration::from_millis(next.saturating_sub(self.now())));
            tokio::select! {
                () = tokio::time::sleep(pause.min(SLEEP_MAX)) => {}
                () = self.wake.notified() => {}
                changed = view.changed() => if changed.is_err() { return },
            }
        }
    }

    /// Takes up the jobs of what serves; returns those that were not known.
    fn take_up(&self, view: &View, is_first: bool) -> Vec<Key> {
        let now = self.now();
        let mut jobs = self.lock();
        let mut there = BTreeSet::new();
        let mut new = Vec::new();
        for app in &view.apps {
            for (name, planned) in &app.jobs {
                let Some(release) = app.release else { continue };
                let key = (app.name.clone(), name.clone());
                there.insert(key.clone());
                let job = jobs.entry(key.clone()).or_insert_with(|| {
                    new.push(key);
                    Job::new(&app.name, name, now)
                });
                let is_same =
                    job.current.as_ref().is_some_and(|(_, old)| old.schedule == planned.job.schedule);
                if !is_same && !is_first {
                    // A schedule that comes, or comes back, has missed nothing.
                    job.record.seen = now;
                }
                job.current = Some((release, planned.job.clone()));
            }
        }
        jobs.retain(|(app, _), _| view.apps.iter().any(|known| known.name == *app));
        jobs.iter_mut().filter(|(key, _)| !there.contains(*key)).for_each(|(_, job)| job.current = None);
        new
    }

    /// Begins what is due; returns the jobs whose records have changed.
    fn due(self: &Arc<Self>, now: u64) -> Vec<Key> {
        let mut changed = Vec::new();
        for (key, job) in self.lock().iter_mut() {
            let Some(due) = job.due(now) else { continue };
            changed.push(key.clone());
            let Some(planned) = due.planned else { continue };
            let is_held = job.running > 0 && job.current.as_ref().is_some_and(|(_, job)| !job.overlap);
            if is_held {
                tracing::warn!(app = %key.0, job = key.1, "a run is skipped: the one before goes on");
                job.note(planned, Ended::Skipped);
            } else {
                let begun = job.begin(planned, now, false);
                let (inner, key) = (Arc::clone(self), key.clone());
                tokio::spawn(async move {
                    if let Err(error) = inner.run(key.clone(), begun).await {
                        tracing::error!(app = %key.0, job = key.1, %error, "cannot store a run");
                    }
                });
            }
        }
        changed
    }

    /// Runs what has begun, and notes how it ended.
    async fn run(&self, key: Key, begun: Begun) -> Result<Run, StoreError> {
        let Begun { run, job, release } = begun;
        let (app, name) = &key;
        self.save(&key).await?;
        tracing::info!(%app, job = name, %release, "job begins");
        let ran = self.runner.run(app, release, name, &job.command, job.deadline).await;
        tracing::info!(%app, job = name, %release, end = ?ran.end, "job ended");
        let ended = Run { ended: Some(self.now()), end: Some(ran.end), log: ran.log, ..run };
        if let Some(job) = self.lock().get_mut(&key) {
            job.running = job.running.saturating_sub(1);
            if let Some(place) = job.record.runs.iter_mut().find(|run| run.number == ended.number) {
                place.clone_from(&ended);
            }
        }
        self.save(&key).await?;
        Ok(ended)
    }

    async fn save_or_log(&self, key: &Key) {
        if let Err(error) = self.save(key).await {
            tracing::error!(app = %key.0, job = key.1, %error, "cannot store what a job did");
        }
    }

    /// Stores what is known of the job; nothing, if its app is gone.
    async fn save(&self, key: &Key) -> Result<(), StoreError> {
        let _turn = self.writing.lock().await;
        let record = self.lock().get(key).map(|job| job.record.clone());
        match record {
            Some(record) => self.store.save_cron(&record).await,
            None => Ok(()),
        }
    }
}

/// A run that is about to begin.
struct Begun {
    run: Run,
    job: CronJob,
    release: ReleaseId,
}

/// What is due of a job.
struct Due {
    /// The run that is to begin now, if one is.
    planned: Option<u64>,
}

impl Job {
    fn new(app: &AppName, name: &str, now: u64) -> Self {
        let (app, job) = (app.clone(), name.to_owned());
        let record = CronRecord { app, job, is_suspended: false, seen: now, runs: Vec::new() };
        Self { record, current: None, running: 0 }
    }

    fn next(&self) -> Option<u64> {
        let (_, job) = self.current.as_ref().filter(|_| !self.record.is_suspended)?;
        job.schedule.after(self.record.seen)
    }

    /// What is due by now, noting what was missed; `None` when nothing is.
    fn due(&mut self, now: u64) -> Option<Due> {
        let schedule = self.current.as_ref().filter(|_| !self.record.is_suspended)?.1.schedule.clone();
        let mut times = std::iter::successors(schedule.after(self.record.seen), |at| schedule.after(*at));
        let first = times.next().filter(|at| *at <= now)?;
        let (mut count, mut last) = (1, first);
        for at in times.take_while(|at| *at <= now) {
            (count, last) = (count + 1, at);
            if count >= MISSED_MAX {
                // So many are no longer told apart; what comes is counted from now.
                self.record.seen = now;
                self.note(first, Ended::Missed(count));
                return Some(Due { planned: None });
            }
        }
        self.record.seen = last;
        let is_fresh = Duration::from_millis(now - last) <= MISSED_GRACE;
        let missed = if is_fresh { count - 1 } else { count };
        if missed > 0 {
            tracing::warn!(app = %self.record.app, job = self.record.job, missed, "runs were missed");
            self.note(first, Ended::Missed(missed));
        }
        Some(Due { planned: is_fresh.then_some(last) })
    }

    /// Notes a run that there was none of.
    fn note(&mut self, planned: u64, end: Ended) {
        let release = self.current.as_ref().map(|(release, _)| *release);
        let number = self.number();
        self.add(Run {
            number,
            planned,
            by_hand: false,
            started: None,
            ended: None,
            release,
            end: Some(end),
            log: Vec::new(),
        });
    }

    /// Notes a run that begins; there is a job, as whoever calls has seen.
    fn begin(&mut self, planned: u64, now: u64, by_hand: bool) -> Begun {
        let (release, job) = self.current.clone().expect("whoever calls has seen that there is one");
        let number = self.number();
        let (started, ended) = (Some(now), None);
        let run = Run {
            number,
            planned,
            by_hand,
            started,
            ended,
            release: Some(release),
            end: None,
            log: Vec::new(),
        };
        self.running += 1;
        self.add(run.clone());
        Begun { run, job, release }
    }

    fn number(&self) -> u64 {
        self.record.runs.last().map_or(1, |run| run.number + 1)
    }

    fn add(&mut self, run: Run) {
        self.record.runs.push(run);
        let excess = self.record.runs.len().saturating_sub(HISTORY_MAX);
        self.record.runs.drain(..excess);
    }

    fn view(&self, name: &str) -> Option<JobView> {
        Some(JobView {
            name: name.to_owned(),
            job: self.current.as_ref()?.1.clone(),
            next: self.next(),
            is_suspended: self.record.is_suspended,
            running: self.running,
            last: self.record.runs.last().cloned(),
        })
    }
}

fn unknown(jobs: &BTreeMap<Key, Job>, app: &AppName, name: &str) -> CronError {
    let known = jobs.iter().filter(|((owner, _), job)| owner == app && job.current.is_some());
    let known = known.map(|((_, name), _)| name.clone()).collect();
    CronError::UnknownJob { app: app.clone(), job: name.to_owned(), known }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::{Manifest, Source};

    const MINUTE: u64 = 60_000;

    /// A job of every minute, that has dealt with all until minute 0.
    fn every_minute() -> Job {
        let toml = "[cron.tick]\nschedule = \"* * * * *\"\ncommand = \"tick\"\n";
        let (manifest, _) =
            Manifest::parse(&Source { toml: Some(toml.to_owned()), ..Source::default() }).unwrap();
        let mut job = Job::new(&"shop".parse().unwrap(), "tick", 0);
        job.current = Some((ReleaseId::FIRST, manifest.cron["tick"].clone()));
        job
    }

    #[test]
    fn a_run_is_due_at_its_time_and_once() {
        let mut job = every_minute();
        assert!(job.due(MINUTE - 1).is_none());
        assert_eq!(job.due(MINUTE).unwrap().planned, Some(MINUTE));
        assert!(job.due(MINUTE).is_none());
        assert!(job.record.runs.is_empty(), "nothing was missed");
    }

    #[test]
    fn the_last_of_missed_runs_is_made_up_for_within_the_grace() {
        let mut job = every_minute();
        assert_eq!(job.due(4 * MINUTE + 30_000).unwrap().planned, Some(4 * MINUTE));
        assert_eq!(job.record.runs[0].end, Some(Ended::Missed(3)));

        let toml = "[cron.tick]\nschedule = \"0 3 * * *\"\ncommand = \"tick\"\n";
        let source = Source { toml: Some(toml.to_owned()), ..Source::default() };
        let nightly = Manifest::parse(&source).unwrap().0.cron["tick"].clone();
        job.current = Some((ReleaseId::FIRST, nightly));
        let three = 3 * 60 * MINUTE;
        assert_eq!(job.due(three + 6 * MINUTE).unwrap().planned, None, "too late");
        assert_eq!(job.record.runs[1].end, Some(Ended::Missed(1)));
        assert_eq!(job.record.runs[1].planned, three);
    }

    #[test]
    fn a_suspended_job_is_never_due() {
        let mut job = every_minute();
        job.record.is_suspended = true;
        assert!(job.due(10 * MINUTE).is_none() && job.next().is_none());
    }

    #[test]
    fn the_history_has_an_end_and_its_numbers_go_on() {
        let mut job = every_minute();
        for at in 0..60 {
            job.note(at, Ended::Skipped);
        }
        let numbers: Vec<_> = job.record.runs.iter().map(|run| run.number).collect();
        assert_eq!((numbers.len(), numbers[0], numbers[49]), (HISTORY_MAX, 11, 60));
    }
}
