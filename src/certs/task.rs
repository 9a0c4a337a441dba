//! The task that owns every name.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::demand::Demands;
use super::name::{Due, Facts, Name, Work};
use super::order::{Attempt, Failure, blocking, leaf};
use super::record::{NameRecord, Problem, Renewal, millis};
use super::schedule::{self, Pace};
use super::view::NameView;
use super::wanted::{OnDemand, Want, Wanted, Wish};
use super::{CertsError, Command, ORDERS_MAX, Parts};
use crate::acme::{OrderError, RenewalInfo};
use crate::name::is_public;
use crate::tls::{CertificateId, Source, Summary};
use crate::traffic::Live;

/// The clock may jump, and a machine may sleep: what is due is looked at again at least this often.
const LOOK_INTERVAL_MAX: Duration = Duration::from_secs(60 * 60);
/// When an authority has no word on renewing, or none that can be had, it is asked again after this long.
const RENEWAL_CHECK_INTERVAL: Duration = Duration::from_secs(6 * 60 * 60);
pub(super) struct Task {
    parts: Arc<Parts>,
    wanted: Wanted,
    names: BTreeMap<String, Name>,
    /// Certificates that were brought, the newest first.
    own: Vec<Arc<Summary>>,
    /// The names of the authorities that are asked.
    authorities: Vec<String>,
    demands: Demands,
    jobs: JoinSet<Done>,
    orders: usize,
    view: watch::Sender<Arc<[NameView]>>,
}

/// A job that has ended.
enum Done {
    Ordered(String, Result<CertificateId, Failure>),
    Checked(String, CertificateId, Result<Option<RenewalInfo>, OrderError>),
    Asked(String, Result<bool, String>),
}

// === impl Task ===

impl Task {
    pub(super) fn new(parts: Parts, records: Vec<NameRecord>, view: watch::Sender<Arc<[NameView]>>) -> Self {
        let authorities = parts.authorities.iter().map(|authority| authority.name().to_owned()).collect();
        let mut task = Self {
            parts: Arc::new(parts),
            wanted: Wanted::default(),
            names: BTreeMap::new(),
            authorities,
            own: Vec::new(),
            demands: Demands::default(),
            jobs: JoinSet::new(),
            orders: 0,
            view,
        };
        for record in records {
            task.add_name(record);
        }
        task.read_vault();
        task
    }

    pub(super) async fn run(
        mut self,
        mut commands: mpsc::UnboundedReceiver<Command>,
        mut demands: mpsc::Receiver<String>,
        shutdown: CancellationToken,
    ) {
        let mut live = self.parts.routes.subscribe();
        live.mark_changed();
        loop {
            let wait = self.wait();
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
                Some(host) = demands.recv() => self.demand(&host),
                Some(done) = self.jobs.join_next(), if !self.jobs.is_empty() => {
                    self.finish(done.expect("jobs neither panic nor are aborted")).await;
                }
                () = tokio::time::sleep(wait) => {}
            }
            self.start_due().await;
            self.publish();
        }
        // An order that is cut short here is gone on with at the next start.
        self.jobs.shutdown().await;
    }

    fn add_name(&mut self, record: NameRecord) {
        let name = Name::new(record, self.parts.store.box_id().as_str());
        self.names.entry(name.record.name.clone()).or_insert(name);
    }

    /// Compares what the routes want with what is known.
    async fn reconcile(&mut self, live: &Live) {
        let wishes: Vec<_> = live.table().routes().iter().map(Wish::of).collect();
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
        for record in changed {
            self.save(&record).await;
        }
    }

    async fn obey(&mut self, command: Command) {
        match command {
            Command::Add(chain, reply) => {
                let vault = self.parts.vault.clone();
                let added = blocking(move || vault.put(&chain, Source::Own)).await;
                self.read_vault();
                let _ = reply.send(added.map_err(CertsError::from));
            }
            Command::Remove(which, reply) => {
                let removed = self.remove(&which).await;
                self.read_vault();
                let _ = reply.send(removed);
            }
            Command::Renew(name, reply) => {
                let _ = reply.send(self.renew(&name).await);
            }
        }
    }

    async fn remove(&self, which: &str) -> Result<(), CertsError> {
        let is_it = |summary: &&Arc<Summary>| {
            summary.id.to_string() == which || summary.names.iter().any(|name| name == which)
        };
        let found: Vec<_> = self.own.iter().filter(is_it).collect();
        if found.len() > 1 {
            let ids = found.iter().map(|summary| summary.id).collect();
            return Err(CertsError::Ambiguous { name: which.to_owned(), ids });
        }
        let Some(found) = found.first() else {
            let is_ours = self
                .names
                .values()
                .filter_map(|name| name.certificate.as_ref())
                .any(|summary| is_it(&summary));
            let which = which.to_owned();
            return Err(if is_ours { CertsError::NotOwn(which) } else { CertsError::Unknown(which) });
        };
        let (vault, id) = (self.parts.vault.clone(), found.id);
        Ok(blocking(move || vault.remove(id)).await?)
    }

    async fn renew(&mut self, name: &str) -> Result<(), CertsError> {
        let found = self.names.get_mut(name).filter(|found| found.want.is_some());
        let found = found.ok_or_else(|| CertsError::NotOrdered(name.to_owned()))?;
        let now = millis((self.parts.clock)());
        (found.record.next_try, found.record.problem) = (Some(now), None);
        let record = found.record.clone();
        Ok(self.parts.store.save_certificate_name(&record).await?)
    }

    /// Somebody asked for a host that has no certificate of its own.
    fn demand(&mut self, host: &str) {
        if !is_public(host) {
            return;
        }
        let is_known = self.names.get(host).is_some_and(|name| name.want.is_some());
        let Some(on_demand) = self.wanted.demanded(host).filter(|_| !is_known) else { return };
        if !self.demands.admit(host) {
            return;
        }
        let (parts, on_demand, host) = (Arc::clone(&self.parts), on_demand.clone(), host.to_owned());
        self.jobs.spawn(async move {
            let answer = parts.asker.ask(&on_demand, &host).await;
            Done::Asked(host, answer)
        });
    }

    async fn finish(&mut self, done: Done) {
        match done {
            Done::Asked(host, Ok(true)) => {
                tracing::info!(host, "to be ordered, the app knows it");
                let record = NameRecord { is_demanded: true, ..NameRecord::new(&host) };
                let want = demanded(&record, &self.wanted);
                self.add_name(record);
                let Some(name) = self.names.get_mut(&host) else { return };
                (name.want, name.record.is_demanded, name.record.unwanted_since) = (want, true, None);
                let record = name.record.clone();
                self.save(&record).await;
            }
            Done::Asked(host, answer) => {
                let reason = answer.err().unwrap_or_else(|| "it said no".to_owned());
                tracing::info!(host, reason, "not ordered, nobody vouches for it");
                self.demands.refuse(&host);
            }
            Done::Ordered(name, result) => {
                self.orders -= 1;
                self.ordered(&name, result).await;
            }
            Done::Checked(name, id, info) => self.checked(&name, id, info).await,
        }
    }

    async fn ordered(&mut self, text: &str, result: Result<CertificateId, Failure>) {
        let now = self.now();
        let Some(name) = self.names.get_mut(text) else { return };
        name.work = None;
        let before = name.certificate.take();
        match result {
            Ok(id) => {
                name.record.succeed();
                let found = self.parts.vault.summary(id).map(Arc::new);
                if let Some(summary) = &found {
                    let until = jiff::Timestamp::try_from(summary.not_after)
                        .map(|until| until.to_string())
                        .unwrap_or_default();
                    tracing::info!(name = text, issuer = summary.issuer, until, "certificate issued");
                }
                name.certificate = found;
                if let Some(before) = before.filter(|before| before.id != id) {
                    let vault = self.parts.vault.clone();
                    let removed = blocking(move || vault.remove(before.id)).await;
                    warn_if_err(text, removed);
                }
            }
            Err(failure) => {
                name.certificate = before;
                name.record.failures = name.record.failures.saturating_add(1);
                let wait = schedule::retry_after(name.record.failures, failure.pace, name.share);
                let wait = wait.max(failure.retry_after.unwrap_or_default());
                tracing::warn!(
                    name = text,
                    reason = failure.message,
                    retry_in_s = wait.as_secs(),
                    "no certificate"
                );
                name.record.next_try = Some(millis(now + wait));
                name.record.problem = Some(Problem {
                    kind: failure.kind.to_owned(),
                    message: failure.message,
                    at: millis(now),
                });
            }
        }
        let record = name.record.clone();
        self.save(&record).await;
        if record.problem.is_none() {
            // Last: as long as it is there, a restart goes on with it.
            warn_if_err(text, self.parts.store.remove_certificate_order(text).await);
        }
    }

    async fn checked(
        &mut self,
        text: &str,
        id: CertificateId,
        info: Result<Option<RenewalInfo>, OrderError>,
    ) {
        let now = self.now();
        let Some(name) = self.names.get_mut(text) else { return };
        name.work = None;
        let info = info.unwrap_or_else(|error| {
            tracing::debug!(name = text, error = &error as &dyn std::error::Error, "no word on renewing");
            None
        });
        let known = name.record.renewal.take().filter(|renewal| renewal.certificate == id);
        let interval = info.as_ref().map_or(RENEWAL_CHECK_INTERVAL, |info| info.check_again);
        let window = info.as_ref().map(|info| millis(info.window.start)..millis(info.window.end));
        name.record.renewal = Some(Renewal {
            certificate: id,
            // An authority that is away for a while has not changed its mind.
            window: window.or(known.map(|renewal| renewal.window)).unwrap_or_default(),
            check_at: millis(now + interval),
            explanation: info.and_then(|info| info.explanation),
        });
        let record = name.record.clone();
        self.save(&record).await;
    }

    /// Starts what is due, as far as there is room.
    async fn start_due(&mut self) {
        let facts = self.facts();
        let now = facts.now;
        let due: Vec<_> = self.names.iter().map(|(text, name)| (text.clone(), name.due(&facts))).collect();
        for (text, due) in due {
            match due {
                Due::Order(at) if at <= now && self.orders < ORDERS_MAX => self.order(&text),
                Due::Check(at) if at <= now => self.check(&text),
                Due::Drop(at) if at <= now => self.drop_name(&text).await,
                _ => {}
            }
        }
    }

    fn order(&mut self, text: &str) {
        let Some(name) = self.names.get_mut(text) else { return };
        name.work = Some(Work::Order);
        self.orders += 1;
        let before = name.certificate.as_ref().map(|summary| summary.id);
        let attempt = Attempt { name: text.to_owned(), before };
        let on_demand = self.wanted.demanded(text).filter(|_| name.record.is_demanded).cloned();
        let (parts, text) = (Arc::clone(&self.parts), text.to_owned());
        self.jobs.spawn(async move {
            let vouched = vouched(&parts, on_demand, &text).await;
            let result = match vouched {
                Ok(()) => attempt.run(&parts).await,
                Err(failure) => Err(failure),
            };
            Done::Ordered(text, result)
        });
    }

    fn check(&mut self, text: &str) {
        let Some(name) = self.names.get_mut(text) else { return };
        let Some(summary) = name.certificate.clone() else { return };
        let authority = self
            .parts
            .authorities
            .iter()
            .find(|authority| summary.source.authority() == Some(authority.name()));
        let Some(authority) = authority.cloned() else { return };
        name.work = Some(Work::Check);
        let (vault, text) = (self.parts.vault.clone(), text.to_owned());
        self.jobs.spawn(async move {
            let id = summary.id;
            let leaf = blocking(move || leaf(&vault, id)).await;
            let info = match leaf {
                Some(leaf) => authority.renewal(&leaf).await,
                None => Ok(None),
            };
            Done::Checked(text, id, info)
        });
    }

    /// Forgets a name that nobody wants, and its certificate.
    async fn drop_name(&mut self, text: &str) {
        let Some(name) = self.names.remove(text) else { return };
        tracing::info!(name = text, "forgotten, no route has it");
        if let Some(summary) = name.certificate {
            let vault = self.parts.vault.clone();
            warn_if_err(text, blocking(move || vault.remove(summary.id)).await);
        }
        warn_if_err(text, self.parts.store.remove_certificate_name(text).await);
    }

    /// How long nothing is due.
    fn wait(&self) -> Duration {
        let now = self.now();
        let has_room = self.orders < ORDERS_MAX;
        let facts = self.facts();
        let due = self.names.values().filter_map(|name| match name.due(&facts) {
            Due::Order(at) if has_room || at > now => Some(at),
            Due::Check(at) | Due::Drop(at) => Some(at),
            Due::Order(_) | Due::Never => None,
        });
        let wait = due.min().map_or(LOOK_INTERVAL_MAX, |at| at.duration_since(now).unwrap_or_default());
        wait.min(LOOK_INTERVAL_MAX)
    }

    /// Finds each name's certificate in the vault, and those that were brought.
    fn read_vault(&mut self) {
        let mut own = Vec::new();
        let mut newest: BTreeMap<String, Arc<Summary>> = BTreeMap::new();
        for summary in self.parts.vault.list() {
            let summary = Arc::new(summary);
            match (&summary.source, summary.names.as_slice()) {
                (Source::Own, _) => own.push(summary),
                (Source::Acme { .. }, [name]) => {
                    let is_newer = newest.get(name).is_none_or(|other| other.not_after < summary.not_after);
                    if is_newer {
                        newest.insert(name.clone(), summary);
                    }
                }
                (Source::Acme { .. }, _) => {}
            }
        }
        own.sort_by_key(|summary| std::cmp::Reverse(summary.not_after));
        self.own = own;
        for name in newest.keys() {
            self.add_name(NameRecord::new(name));
        }
        for (text, name) in &mut self.names {
            name.certificate = newest.remove(text);
        }
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
        Facts { now: self.now(), authorities: &self.authorities, own: &self.own }
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

/// Whether the app still knows a name that was ordered on demand.
async fn vouched(parts: &Parts, on_demand: Option<OnDemand>, name: &str) -> Result<(), Failure> {
    let Some(on_demand) = on_demand else { return Ok(()) };
    let reason = match parts.asker.ask(&on_demand, name).await {
        Ok(true) => return Ok(()),
        Ok(false) => format!("app `{}` does not want a certificate for `{name}`", on_demand.app),
        Err(error) => format!("app `{}` could not be asked about `{name}`: {error}", on_demand.app),
    };
    Err(Failure { pace: Pace::Asked, ..Failure::local("not-vouched", reason) })
}

fn warn_if_err<E: std::error::Error + 'static>(name: &str, result: Result<(), E>) {
    if let Err(error) = result {
        tracing::warn!(name, error = &error as &dyn std::error::Error, "not kept");
    }
}
