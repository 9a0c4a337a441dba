//! The task that owns every name.

mod commands;
mod jobs;
mod kept;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use self::jobs::Done;
use super::demand::Demands;
use super::name::{Due, Facts, Name};
use super::order::{NEEDS_DNS, NO_PROVIDER};
use super::record::{NameRecord, Problem};
use super::view::NameView;
use super::wanted::{Want, Wanted, Wish};
use super::{CHECKS_MAX, Command, ORDERS_MAX, Parts};
use crate::clock::millis;
use crate::tls::Summary;
use crate::traffic::Live;

/// The clock may jump, and a machine may sleep: what is due is looked at again at least this often.
const LOOK_INTERVAL_MAX: Duration = Duration::from_secs(60 * 60);

/// What the task works on; it lives as long as the daemon.
pub(super) struct Task {
    parts: Arc<Parts>,
    wanted: Wanted,
    names: BTreeMap<String, Name>,
    /// Certificates that were brought, the newest first.
    own: Vec<Arc<Summary>>,
    /// The names of the authorities that are asked.
    authorities: Vec<String>,
    /// Those, and how names are proved to them.
    settings: String,
    demands: Demands,
    jobs: JoinSet<Done>,
    orders: usize,
    checks: usize,
    view: watch::Sender<Arc<[NameView]>>,
}

// === impl Task ===

impl Task {
    pub(super) fn new(parts: Parts, records: Vec<NameRecord>, view: watch::Sender<Arc<[NameView]>>) -> Self {
        let authorities: Vec<String> =
            parts.authorities.iter().map(|authority| authority.name().to_owned()).collect();
        let kinds = parts.kinds.iter().map(|kind| kind.as_str());
        let settings = authorities.iter().map(String::as_str).chain(kinds).collect::<Vec<_>>().join(" ");
        let mut task = Self {
            parts: Arc::new(parts),
            wanted: Wanted::default(),
            names: BTreeMap::new(),
            authorities,
            settings,
            own: Vec::new(),
            demands: Demands::default(),
            jobs: JoinSet::new(),
            orders: 0,
            checks: 0,
            view,
        };
        for mut record in records {
            // The settings may be others by now, and no authority was asked.
            let is_of_settings =
                |problem: &Problem| [NEEDS_DNS, NO_PROVIDER].contains(&problem.kind.as_str());
            if record.problem.as_ref().is_some_and(is_of_settings) {
                record.next_try = None;
            }
            task.add_name(record);
        }
        task.read_vault();
        task
    }

    pub(super) async fn run(
        mut self,
        mut commands: mpsc::Receiver<Command>,
        mut demands: mpsc::Receiver<String>,
        shutdown: CancellationToken,
    ) {
        self.recover().await;
        let mut live = self.parts.routes.subscribe();
        live.mark_changed();
        let mut next_look = Instant::now();
        loop {
            tokio::select! {
                biased;
                () = shutdown.cancelled() => break,
                Ok(()) = live.changed() => {
                    let table = Arc::clone(&live.borrow_and_update());
                    self.reconcile(&table).await;
                }
                command = commands.recv() => match command {
                    Some(command) => self.obey(command).await,
                    None => break,
                },
                Some(host) = demands.recv() => {
                    self.demand(&host);
                    // Nothing is due by it. Anybody can send many, and all that follows looks at every name.
                    continue;
                }
                Some(done) = self.jobs.join_next(), if !self.jobs.is_empty() => {
                    self.finish(done.expect("jobs catch panics and are not aborted")).await;
                }
                () = tokio::time::sleep_until(next_look) => {}
            }
            self.start_due().await;
            self.publish();
            next_look = Instant::now() + self.wait();
        }
        // An order that is cut short here is gone on with at the next start.
        self.jobs.shutdown().await;
    }

    /// Takes up a name, unless it is known.
    fn add_name(&mut self, record: NameRecord) {
        if !self.names.contains_key(&record.name) {
            let name = Name::new(record, self.parts.store.box_id().as_str());
            self.names.insert(name.record.name.clone(), name);
        }
    }

    /// Compares what the routes want with what is known.
    async fn reconcile(&mut self, live: &Live) {
        let wishes: Vec<_> =
            live.table().routes().iter().filter(|route| route.policy.is_public).map(Wish::of).collect();
        self.wanted = Wanted::of(&wishes, &self.parts.means);
        for name in self.wanted.public.keys().cloned().collect::<Vec<_>>() {
            self.add_name(NameRecord::new(&name));
        }
        let now = millis(self.now());
        let mut changed = Vec::new();
        for (text, name) in &mut self.names {
            name.want =
                self.wanted.public.get(text).cloned().or_else(|| demanded(&name.record, &self.wanted));
            let since = if name.want.is_some() { None } else { name.record.unwanted_since.or(Some(now)) };
            if since != name.record.unwanted_since {
                name.record.unwanted_since = since;
                changed.push(name.record.clone());
            }
        }
        if !changed.is_empty() {
            warn_if_err("all", self.parts.store.save_certificate_names(&changed).await);
        }
    }

    /// Starts what is due, as far as there is room.
    async fn start_due(&mut self) {
        let facts = self.facts();
        let now = facts.now;
        let due: Vec<_> = self.names.iter().map(|(text, name)| (text.clone(), name.due(&facts))).collect();
        for (text, due) in due {
            match due {
                Due::Order(at) if at <= now && self.orders < ORDERS_MAX => self.order(&text),
                Due::Check(at) if at <= now && self.checks < CHECKS_MAX => self.check(&text),
                Due::Drop(at) if at <= now => self.drop_name(&text).await,
                _ => {}
            }
        }
    }

    /// How long nothing is due.
    fn wait(&self) -> Duration {
        let now = self.now();
        let (may_order, may_check) = (self.orders < ORDERS_MAX, self.checks < CHECKS_MAX);
        let facts = self.facts();
        let due = self.names.values().filter_map(|name| match name.due(&facts) {
            Due::Order(at) if may_order || at > now => Some(at),
            Due::Check(at) if may_check || at > now => Some(at),
            Due::Drop(at) => Some(at),
            Due::Order(_) | Due::Check(_) | Due::Never => None,
        });
        let wait = due.min().map_or(LOOK_INTERVAL_MAX, |at| at.duration_since(now).unwrap_or_default());
        wait.min(LOOK_INTERVAL_MAX)
    }

    fn publish(&self) {
        let facts = self.facts();
        let mut views: Vec<_> = self.names.values().filter_map(|name| name.view(&facts)).collect();
        // The box signs for no host that has a certificate of its own.
        let local = self.wanted.local.iter().filter(|(name, _)| !facts.has_own(name));
        views.extend(local.map(|(name, want)| NameView::local(name, want)));
        views.extend(self.own.iter().map(|summary| NameView::own(summary, &self.wanted, facts.now)));
        views.sort_by(|a, b| a.name.cmp(&b.name));
        self.view.send_if_modified(|view| {
            let is_new = **view != *views;
            if is_new {
                *view = views.into();
            }
            is_new
        });
    }

    fn facts(&self) -> Facts<'_> {
        Facts { now: self.now(), authorities: &self.authorities, settings: &self.settings, own: &self.own }
    }

    fn now(&self) -> SystemTime {
        (self.parts.clock)()
    }

    /// What cannot be kept is known until the daemon ends; then an authority may be asked once more than it should.
    async fn save(&self, record: &NameRecord) {
        warn_if_err(&record.name, self.parts.store.save_certificate_name(record).await);
    }
}

/// Who wants a name that was ordered because somebody asked for it.
fn demanded(record: &NameRecord, wanted: &Wanted) -> Option<Want> {
    let on_demand = wanted.demanded(&record.name).filter(|_| record.is_demanded)?;
    Some(Want { apps: [on_demand.app.clone()].into(), hosts: [record.name.clone()].into() })
}

fn warn_if_err<E: std::error::Error + 'static>(name: &str, result: Result<(), E>) {
    if let Err(error) = result {
        tracing::warn!(name, error = &error as &dyn std::error::Error, "not kept");
    }
}
