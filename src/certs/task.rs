//! The task that owns every name.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures_util::FutureExt as _;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::demand::Demands;
use super::name::{CHECK_INTERVAL, Due, Facts, Name, Work};
use super::order::{Attempt, Failure, NEEDS_DNS, NO_PROVIDER, blocking, is_done, leaf};
use super::record::{NameRecord, Problem, Renewal};
use super::schedule::{self, Pace};
use super::view::NameView;
use super::wanted::{OnDemand, Want, Wanted, Wish};
use super::{CHECKS_MAX, CertsError, Command, ORDERS_MAX, Parts};
use crate::acme::{OrderError, RenewalInfo};
use crate::clock::millis;
use crate::name::is_public;
use crate::plain::plain;
use crate::tls::{CertificateId, Source, Summary};
use crate::traffic::Live;

/// The clock may jump, and a machine may sleep: what is due is looked at again at least this often.
const LOOK_INTERVAL_MAX: Duration = Duration::from_secs(60 * 60);
/// Names without a certificate that were ordered on demand: there are more names than memory, and an app may agree to all.
const DEMANDED_OPEN_MAX: usize = 1_000;
/// After so many failures in a row, within the hour, such a name is forgotten if it does not lead here.
const DEMANDED_FAILURES_MAX: u32 = 8;
/// Of the reason of a failure, which may quote whoever was asked.
const REASON_CHARS_MAX: usize = 2_000;
/// The kind of failure when an app does not know a name any more.
const NOT_VOUCHED: &str = "not-vouched";
/// What is said of a job that met a mistake of ours; the panic itself is in the log.
const PANICKED: &str = "it was given up because of an error in minipaas; the daemon's log has it";

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

/// A job that has ended.
enum Done {
    Ordered(String, Result<CertificateId, Failure>),
    Checked(String, CertificateId, Result<Option<RenewalInfo>, OrderError>),
    Asked(String, Result<bool, String>),
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
        if !changed.is_empty() {
            warn_if_err("all", self.parts.store.save_certificate_names(&changed).await);
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
            let is_local = self.wanted.local.contains_key(which);
            let which = which.to_owned();
            return Err(if is_ours || is_local {
                CertsError::NotOwn(which)
            } else {
                CertsError::Unknown(which)
            });
        };
        let (vault, id) = (self.parts.vault.clone(), found.id);
        Ok(blocking(move || vault.remove(id)).await?)
    }

    async fn renew(&mut self, name: &str) -> Result<(), CertsError> {
        let not_ordered = || CertsError::NotOrdered(name.to_owned());
        // With a certificate that was brought, none is ordered.
        if self.facts().has_own(name) {
            return Err(not_ordered());
        }
        let now = millis(self.now());
        let found = self.names.get_mut(name).filter(|found| found.want.is_some());
        let found = found.ok_or_else(not_ordered)?;
        (found.record.next_try, found.record.problem) = (Some(now), None);
        found.record.tried_with = self.settings.clone();
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
        let is_open = |name: &&Name| name.record.is_demanded && name.certificate.is_none();
        if self.names.values().filter(is_open).count() >= DEMANDED_OPEN_MAX {
            self.demands.answered(host, &Ok(true));
            tracing::warn!(
                host,
                max = DEMANDED_OPEN_MAX,
                "not asked about, too many names have no certificate yet"
            );
            return;
        }
        let (parts, on_demand, host) = (Arc::clone(&self.parts), on_demand.clone(), host.to_owned());
        self.jobs.spawn(async move {
            let answer = caught(parts.asker.ask(&on_demand, &host)).await;
            Done::Asked(host, answer.unwrap_or_else(|| Err(PANICKED.to_owned())))
        });
    }

    async fn finish(&mut self, done: Done) {
        match done {
            Done::Asked(host, answer) if answer == Ok(true) => {
                self.demands.answered(&host, &answer);
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
                self.demands.answered(&host, &answer);
                let reason = answer.err().unwrap_or_else(|| "it said no".to_owned());
                tracing::info!(host, reason, "not ordered, nobody vouches for it");
            }
            Done::Ordered(name, result) => {
                self.orders -= 1;
                self.ordered(&name, result).await;
            }
            Done::Checked(name, id, info) => {
                self.checks -= 1;
                self.checked(&name, id, info).await;
            }
        }
    }

    async fn ordered(&mut self, text: &str, result: Result<CertificateId, Failure>) {
        let now = self.now();
        let Some(name) = self.names.get_mut(text) else { return };
        name.work = None;
        let before = name.certificate.take();
        match result {
            Ok(id) => {
                name.record.succeed(millis(now));
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
                let failure = Failure { message: plain(&failure.message, REASON_CHARS_MAX), ..failure };
                name.certificate = before;
                name.record.failures = name.record.failures.saturating_add(1);
                let wait = schedule::retry_after(name.record.failures, failure.pace, name.share);
                let wait = wait.max(failure.retry_after.unwrap_or_default()).min(schedule::WAIT_MAX);
                tracing::warn!(
                    name = text,
                    reason = failure.message,
                    retry_in_s = wait.as_secs(),
                    "no certificate"
                );
                name.record.next_try = Some(millis(now + wait));
                name.record.tried_with = self.settings.clone();
                name.record.problem = Some(Problem {
                    kind: failure.kind.to_owned(),
                    message: failure.message,
                    at: millis(now),
                });
                let is_idle = failure.pace == Pace::Looked || failure.kind == NOT_VOUCHED;
                if name.record.is_demanded
                    && name.certificate.is_none()
                    && is_idle
                    && name.record.failures >= DEMANDED_FAILURES_MAX
                {
                    // Whoever comes by again has it asked about again.
                    self.demands.answered(text, &Ok(false));
                    return self.drop_name(text).await;
                }
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
        let interval = info.as_ref().map_or(CHECK_INTERVAL, |info| info.check_again);
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
                Due::Check(at) if at <= now && self.checks < CHECKS_MAX => self.check(&text),
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
        // What a route lists by now needs nobody's word.
        let is_asked_about = name.record.is_demanded && !self.wanted.public.contains_key(text);
        let on_demand = self.wanted.demanded(text).filter(|_| is_asked_about).cloned();
        let (parts, text) = (Arc::clone(&self.parts), text.to_owned());
        self.jobs.spawn(async move {
            let work = async {
                vouched(&parts, on_demand, &text).await?;
                attempt.run(&parts).await
            };
            let result = caught(work).await;
            let panicked = || Failure { pace: Pace::Asked, ..Failure::local("box", PANICKED.to_owned()) };
            Done::Ordered(text, result.unwrap_or_else(|| Err(panicked())))
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
        self.checks += 1;
        let (vault, text) = (self.parts.vault.clone(), text.to_owned());
        self.jobs.spawn(async move {
            let id = summary.id;
            let work = async {
                match blocking(move || leaf(&vault, id)).await {
                    Some(leaf) => authority.renewal(&leaf).await,
                    None => Ok(None),
                }
            };
            Done::Checked(text, id, caught(work).await.unwrap_or(Ok(None)))
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

    /// Finds each name's certificate in the vault, and those that were brought.
    fn read_vault(&mut self) {
        let mut own = Vec::new();
        let mut newest: BTreeMap<String, Arc<Summary>> = BTreeMap::new();
        for summary in self.parts.vault.list() {
            let summary = Arc::new(summary);
            match (&summary.source, summary.names.as_slice()) {
                (Source::Own, _) => own.push(summary),
                (Source::Acme { .. }, [name]) => {
                    // One of an authority that is still asked before one that is to be replaced, however long that lasts; then
                    // as the vault prefers them.
                    let rank = |summary: &Summary| {
                        let authority = summary.source.authority();
                        let is_asked = self.authorities.iter().any(|known| Some(known.as_str()) == authority);
                        (is_asked, summary.not_after, summary.added)
                    };
                    let is_newer = newest.get(name).is_none_or(|other| rank(other) < rank(&summary));
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

    /// Ends what was cut short between a certificate and what is remembered of its order.
    async fn recover(&mut self) {
        let open = self.parts.store.certificate_orders().await;
        let open = open.unwrap_or_else(|error| {
            tracing::warn!(error = &error as &dyn std::error::Error, "orders that are open cannot be read");
            Vec::new()
        });
        for text in open {
            let certificate = self.names.get(&text).and_then(|name| name.certificate.as_ref());
            let Some(id) = certificate.map(|summary| summary.id) else { continue };
            match is_done(&self.parts, &text, id).await {
                Ok(true) => self.ordered(&text, Ok(id)).await,
                Ok(false) => {}
                Err(error) => warn_if_err(&text, Err(error)),
            }
        }
        self.sweep().await;
    }

    /// Removes certificates that were replaced.
    async fn sweep(&self) {
        let current: BTreeSet<_> =
            self.names.values().filter_map(|name| name.certificate.as_ref()).map(|found| found.id).collect();
        for summary in self.parts.vault.list() {
            let is_ordered = summary.source != Source::Own && summary.names.len() == 1;
            if is_ordered && !current.contains(&summary.id) {
                let vault = self.parts.vault.clone();
                warn_if_err(&summary.names[0], blocking(move || vault.remove(summary.id)).await);
            }
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

/// `None` for work that panicked: what strangers send must not end the task that owns every name.
async fn caught<T>(work: impl Future<Output = T>) -> Option<T> {
    AssertUnwindSafe(work).catch_unwind().await.ok()
}

/// Whether the app still knows a name that was ordered on demand.
async fn vouched(parts: &Parts, on_demand: Option<OnDemand>, name: &str) -> Result<(), Failure> {
    let Some(on_demand) = on_demand else { return Ok(()) };
    let reason = match parts.asker.ask(&on_demand, name).await {
        Ok(true) => return Ok(()),
        Ok(false) => format!("app `{}` does not want a certificate for `{name}`", on_demand.app),
        Err(error) => format!("app `{}` could not be asked about `{name}`: {error}", on_demand.app),
    };
    Err(Failure { pace: Pace::Asked, ..Failure::local(NOT_VOUCHED, reason) })
}

fn warn_if_err<E: std::error::Error + 'static>(name: &str, result: Result<(), E>) {
    if let Err(error) = result {
        tracing::warn!(name, error = &error as &dyn std::error::Error, "not kept");
    }
}
