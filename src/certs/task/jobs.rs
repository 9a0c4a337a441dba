//! What takes its time: asking an app about a name, ordering, asking when to renew. One job of a kind runs for a name, and what
//! it comes to is dealt with by the task; a job that panics is a failure of its name, and of nothing else.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt as _;

use super::{Task, demanded, warn_if_err};
use crate::acme::{OrderError, RenewalInfo};
use crate::certs::Parts;
use crate::certs::name::{CHECK_INTERVAL, Name, Work};
use crate::certs::order::{Attempt, Failure, blocking, leaf};
use crate::certs::record::{NameRecord, Problem, Renewal};
use crate::certs::schedule::{self, Pace};
use crate::certs::wanted::OnDemand;
use crate::clock::millis;
use crate::events::News;
use crate::name::is_public;
use crate::plain::plain;
use crate::tls::CertificateId;

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

/// A job that has ended.
pub(super) enum Done {
    Ordered(String, Result<CertificateId, Failure>),
    Checked(String, CertificateId, Result<Option<RenewalInfo>, OrderError>),
    Asked(String, Result<bool, String>),
}

impl Task {
    /// Somebody asked for a host that has no certificate of its own.
    pub(super) fn demand(&mut self, host: &str) {
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

    pub(super) async fn finish(&mut self, done: Done) {
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

    pub(super) async fn ordered(&mut self, text: &str, result: Result<CertificateId, Failure>) {
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
                    let action = if before.is_some() { "certificate-renewed" } else { "certificate-issued" };
                    let detail = format!("{text}, by {}, until {until}", summary.issuer);
                    self.parts.reporter.tell(News::of_box(action, plain(&detail, REASON_CHARS_MAX)));
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
                // Once each time that something goes wrong, and not at each try.
                if name.record.failures == 1 {
                    let detail = format!("{text}: {}", failure.message);
                    self.parts.reporter.tell(News::of_box("certificate-failed", detail).failed(failure.kind));
                }
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

    pub(super) fn order(&mut self, text: &str) {
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

    pub(super) fn check(&mut self, text: &str) {
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
