//! What must hold after every step.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use minipaas::engine::fake::{Change, FakeEngine};
use minipaas::name::{AppName, InstanceId, ProcessType};
use minipaas::route::{Route, RouteTable};
use minipaas::traffic::{InFlight, Routes};

/// Sees every table that is published.
pub(super) struct Watcher {
    engine: FakeEngine,
    routes: Routes,
    seen: Arc<Mutex<Vec<Seen>>>,
    checked: usize,
    /// How long each story was when this daemon's life began: what was told to end before that, another daemon told.
    before: BTreeMap<InstanceId, usize>,
}

/// A table, and how long each container's story was when it was published.
struct Seen {
    table: RouteTable,
    stories: BTreeMap<InstanceId, usize>,
}

impl Watcher {
    pub(super) fn new(routes: &Routes, engine: &FakeEngine) -> Self {
        // Whatever ended before this life began, it was not this daemon that ended it.
        let first = Seen { table: routes.load().table().clone(), stories: BTreeMap::new() };
        let seen = Arc::new(Mutex::new(vec![first]));
        let (tables, mut changes) = (Arc::clone(&seen), routes.subscribe());
        let first = changes.borrow_and_update().table().generation();
        let watched = engine.clone();
        tokio::spawn(async move {
            let mut last = first;
            while changes.changed().await.is_ok() {
                let table = changes.borrow_and_update().table().clone();
                assert!(table.generation() > last, "generation {} after {last}", table.generation());
                last = table.generation();
                let stories = story_lengths(&watched);
                tables.lock().unwrap().push(Seen { table, stories });
            }
        });
        let before = story_lengths(engine);
        Self { engine: engine.clone(), routes: routes.clone(), seen, checked: 1, before }
    }

    /// Checks what was published since the last check, and what is now.
    pub(super) fn check(&mut self) {
        let seen = self.seen.lock().unwrap();
        // A table that was published twice before the other task ran was seen once: what came between the two is not known.
        let follows = |tables: &&[Seen]| tables[1].table.generation() == tables[0].table.generation() + 1;
        for tables in seen[self.checked - 1..].windows(2).filter(follows) {
            self.no_step_of_ours_empties_a_serving_app(&tables[0], &tables[1]);
        }
        for seen in &seen[self.checked..] {
            self.only_what_was_ready_is_listed(&seen.table);
            self.only_what_has_a_future_is_held(&seen.table);
        }
        self.checked = seen.len();
        self.what_we_stop_is_not_listed();
        self.a_volume_has_one_writer();
    }

    pub(super) fn was_held(&self, app: &AppName) -> bool {
        let seen = self.seen.lock().unwrap();
        seen.iter().flat_map(|seen| seen.table.routes()).any(|route| route.app == *app && route.is_held)
    }

    /// An app that loses its last upstream lost it to a crash or an illness, is held, scaled to 0, or was taken down.
    fn no_step_of_ours_empties_a_serving_app(&self, before: &Seen, after: &Seen) {
        let is_empty = |route: &&minipaas::route::Route| {
            route.upstreams.is_empty() && !route.is_held && !route.is_scaled_to_zero
        };
        for route in after.table.routes().iter().filter(is_empty) {
            let same = |other: &&minipaas::route::Route| other.host == route.host && other.path == route.path;
            let Some(full) = before.table.routes().iter().find(same) else { continue };
            // A canary may be all that is left of an app whose own instances crashed; it goes when it is told to.
            let is_canary = |release| full.canary.as_ref().is_some_and(|canary| canary.release == release);
            for upstream in full.upstreams.iter().filter(|upstream| !is_canary(upstream.release)) {
                let since = before.stories.get(&upstream.instance).copied().unwrap_or(0);
                assert!(
                    self.ended_by_itself(&upstream.instance, since),
                    "{} had {} and has nothing, although it did not end by itself: {:#?}",
                    route.host,
                    upstream.instance,
                    self.engine.log()
                );
            }
        }
    }

    fn only_what_was_ready_is_listed(&self, table: &RouteTable) {
        let biographies = self.engine.containers_ever();
        for upstream in table.routes().iter().filter(is_run).flat_map(|route| &route.upstreams) {
            let story = biographies.iter().find(|story| story.container.labels.instance == upstream.instance);
            let story = story.unwrap_or_else(|| panic!("{} is listed and was never made", upstream.instance));
            let has_started = story.history.iter().any(|(_, change)| *change == Change::Started);
            assert!(has_started, "{} is listed and never ran", upstream.instance);
        }
    }

    /// A route that has upstreams holds nobody back, and one that is held belongs to an app that ran.
    fn only_what_has_a_future_is_held(&self, table: &RouteTable) {
        let biographies = self.engine.containers_ever();
        for route in table.routes().iter().filter(is_run).filter(|route| route.is_held) {
            let has_run = biographies.iter().any(|story| {
                story.container.labels.app == route.app
                    && story.history.iter().any(|(_, change)| *change == Change::Started)
            });
            assert!(has_run, "{} is held and never ran", route.host);
        }
    }

    /// SIGTERM comes after the table without the instance.
    fn what_we_stop_is_not_listed(&self) {
        let live = self.routes.load();
        let listed: BTreeSet<_> = live
            .table()
            .routes()
            .iter()
            .flat_map(|route| &route.upstreams)
            .map(|upstream| &upstream.instance)
            .collect();
        for story in self.engine.containers_ever() {
            let instance = &story.container.labels.instance;
            let is_ours = story.history.len() > self.before.get(instance).copied().unwrap_or(0);
            let is_stopping = is_ours && matches!(story.history.last(), Some((_, Change::Terminated)));
            assert!(
                !(is_stopping && listed.contains(instance)),
                "{instance} is being stopped and still listed: {:#?}",
                self.engine.log()
            );
        }
    }

    /// Two releases of an app never run beside each other on its volume.
    fn a_volume_has_one_writer(&self) {
        let mut writers: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
        for story in self.engine.containers_ever() {
            if story.container.is_running() && !story.is_removed && !story.spec.volumes.is_empty() {
                let labels = story.container.labels;
                writers.entry(labels.app).or_default().insert(labels.release);
            }
        }
        for (app, releases) in writers {
            assert!(releases.len() < 2, "{app}: {releases:?} write to one volume: {:#?}", self.engine.log());
        }
    }

    /// Whether the instance's process ended after its story was `since` long without having been told to, or ailed.
    fn ended_by_itself(&self, instance: &InstanceId, since: usize) -> bool {
        let story = self
            .engine
            .containers_ever()
            .into_iter()
            .find(|story| story.container.labels.instance == *instance);
        let Some(story) = story else { return true };
        let changes: Vec<_> = story.history.iter().map(|(_, change)| *change).collect();
        if changes.contains(&Change::Ailed) {
            return true;
        }
        let ends = (since.saturating_sub(1)..changes.len())
            .filter(|at| matches!(changes[*at], Change::Exited { .. }));
        // A container may run more than once: it is the run that this end ended that counts.
        ends.into_iter().any(|end| {
            let start = changes[..end].iter().rposition(|change| *change == Change::Started).unwrap_or(0);
            !changes[start..end].contains(&Change::Terminated)
        })
    }
}

/// Whether the route leads to containers, and not to servers that run elsewhere.
fn is_run(route: &&Route) -> bool {
    route.process != ProcessType::upstream()
}

fn story_lengths(engine: &FakeEngine) -> BTreeMap<InstanceId, usize> {
    let stories = engine.containers_ever().into_iter();
    stories.map(|story| (story.container.labels.instance, story.history.len())).collect()
}

/// While a request is counted on an instance, nobody has sent it SIGTERM.
pub(super) fn not_stopped_under(request: &InFlight, engine: &FakeEngine) {
    let instance = request.upstream().instance();
    let story =
        engine.containers_ever().into_iter().find(|story| story.container.labels.instance == *instance);
    let is_told =
        story.is_some_and(|story| story.history.iter().any(|(_, change)| *change == Change::Terminated));
    assert!(!is_told, "{instance} was stopped under a request");
}
