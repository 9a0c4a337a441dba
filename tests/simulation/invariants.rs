//! What must hold after every step.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use minipaas::engine::fake::{Change, FakeEngine};
use minipaas::name::{AppName, InstanceId};
use minipaas::route::RouteTable;
use minipaas::traffic::{InFlight, Routes};

/// Sees every table that is published.
pub(super) struct Watcher {
    engine: FakeEngine,
    routes: Routes,
    seen: Arc<Mutex<Vec<RouteTable>>>,
    checked: usize,
}

impl Watcher {
    pub(super) fn new(routes: &Routes, engine: &FakeEngine) -> Self {
        let seen = Arc::new(Mutex::new(vec![routes.load().table().clone()]));
        let (tables, mut changes) = (Arc::clone(&seen), routes.subscribe());
        let first = changes.borrow_and_update().table().generation();
        tokio::spawn(async move {
            let mut last = first;
            while changes.changed().await.is_ok() {
                let table = changes.borrow_and_update().table().clone();
                assert!(table.generation() > last, "generation {} after {last}", table.generation());
                last = table.generation();
                tables.lock().unwrap().push(table);
            }
        });
        Self { engine: engine.clone(), routes: routes.clone(), seen, checked: 1 }
    }

    /// Checks what was published since the last check, and what is now.
    pub(super) fn check(&mut self) {
        let seen = self.seen.lock().unwrap();
        for tables in seen[self.checked - 1..].windows(2) {
            self.no_step_of_ours_empties_a_serving_app(&tables[0], &tables[1]);
        }
        for table in &seen[self.checked..] {
            self.only_what_was_ready_is_listed(table);
        }
        self.checked = seen.len();
        self.what_we_stop_is_not_listed();
    }

    pub(super) fn was_held(&self, app: &AppName) -> bool {
        let seen = self.seen.lock().unwrap();
        seen.iter().flat_map(RouteTable::routes).any(|route| route.app == *app && route.is_held)
    }

    /// An app that loses its last upstream lost it to a crash, is held, or was taken down.
    fn no_step_of_ours_empties_a_serving_app(&self, before: &RouteTable, after: &RouteTable) {
        for route in after.routes().iter().filter(|route| route.upstreams.is_empty() && !route.is_held) {
            let same = |other: &&minipaas::route::Route| other.host == route.host && other.path == route.path;
            let Some(before) = before.routes().iter().find(same) else { continue };
            for upstream in &before.upstreams {
                assert!(
                    self.ended_by_itself(&upstream.instance),
                    "{} had {} and has nothing, although it did not end by itself",
                    route.host,
                    upstream.instance
                );
            }
        }
    }

    fn only_what_was_ready_is_listed(&self, table: &RouteTable) {
        let biographies = self.engine.containers_ever();
        for upstream in table.routes().iter().flat_map(|route| &route.upstreams) {
            let story = biographies.iter().find(|story| story.container.labels.instance == upstream.instance);
            let story = story.unwrap_or_else(|| panic!("{} is listed and was never made", upstream.instance));
            let has_started = story.history.iter().any(|(_, change)| *change == Change::Started);
            assert!(has_started, "{} is listed and never ran", upstream.instance);
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
            let is_stopping = matches!(story.history.last(), Some((_, Change::Terminated)));
            let instance = &story.container.labels.instance;
            assert!(
                !(is_stopping && listed.contains(instance)),
                "{instance} is being stopped and still listed: {:#?}",
                self.engine.log()
            );
        }
    }

    fn ended_by_itself(&self, instance: &InstanceId) -> bool {
        let story = self
            .engine
            .containers_ever()
            .into_iter()
            .find(|story| story.container.labels.instance == *instance);
        let Some(story) = story else { return true };
        let position =
            |wanted: fn(&Change) -> bool| story.history.iter().position(|(_, change)| wanted(change));
        let exited = position(|change| matches!(change, Change::Exited { .. }));
        let told = position(|change| matches!(change, Change::Terminated));
        match (exited, told) {
            (Some(exited), Some(told)) => exited < told,
            (Some(_), None) => true,
            (None, _) => false,
        }
    }
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
