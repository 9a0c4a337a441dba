//! One name: what is due for it, and how it looks. Pure, but for the vault's summaries that it holds.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::record::{NameRecord, Renewal, millis, time};
use super::schedule;
use super::view::{NameView, Signer, State};
use super::wanted::Want;
use crate::tls::Summary;

/// How long the certificate of a name is kept that nobody wants: an app that comes back needs no new order.
const UNWANTED_KEPT: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// An authority that would have every certificate renewed at once is asked no faster than this.
const RENEWED_AGAIN_MIN: Duration = Duration::from_secs(60 * 60);

/// What is known of a name.
#[derive(Debug)]
pub(super) struct Name {
    pub(super) record: NameRecord,
    pub(super) want: Option<Want>,
    /// The newest certificate of an authority.
    pub(super) certificate: Option<Arc<Summary>>,
    pub(super) work: Option<Work>,
    /// What of anything that is spread is this name's.
    pub(super) share: f64,
}

/// What is being done for a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Work {
    /// A certificate is ordered.
    Order,
    /// The authority is asked when to renew.
    Check,
}

/// What is to be done for a name, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Due {
    /// Nothing, until something else changes.
    Never,
    /// A certificate is ordered.
    Order(SystemTime),
    /// The authority is asked when to renew.
    Check(SystemTime),
    /// The name is forgotten, and its certificate.
    Drop(SystemTime),
}

/// What all names have in common.
pub(super) struct Facts<'a> {
    pub(super) now: SystemTime,
    /// The authorities that are asked.
    pub(super) authorities: &'a [String],
    /// Certificates that were brought.
    pub(super) own: &'a [Arc<Summary>],
}

impl Name {
    pub(super) fn new(record: NameRecord, box_id: &str) -> Self {
        let share = schedule::share(box_id, &record.name);
        Self { record, want: None, certificate: None, work: None, share }
    }

    /// What is to be done next.
    pub(super) fn due(&self, facts: &Facts<'_>) -> Due {
        if self.work.is_some() {
            return Due::Never;
        }
        if self.want.is_none() {
            let since = self.record.unwanted_since;
            return since.map_or(Due::Never, |since| Due::Drop(time(since) + UNWANTED_KEPT));
        }
        if facts.has_own(&self.record.name) {
            return Due::Never;
        }
        let retry = self.record.next_try.map(time);
        // One of an authority that is not asked any more, as of its staging, is as good as none.
        let Some(summary) = self.certificate.as_deref().filter(|summary| facts.is_of_known(summary)) else {
            return Due::Order(retry.unwrap_or(SystemTime::UNIX_EPOCH));
        };
        if let Some(at) = retry {
            return Due::Order(at);
        }
        let check_at = self.renewal(summary).map_or(SystemTime::UNIX_EPOCH, |renewal| time(renewal.check_at));
        let renew_at = self.renew_at(summary);
        if check_at < renew_at { Due::Check(check_at) } else { Due::Order(renew_at) }
    }

    /// How it looks; `None` if there is nothing to see, because a certificate that was brought does what this one would.
    pub(super) fn view(&self, facts: &Facts<'_>) -> Option<NameView> {
        let is_replaced = facts.has_own(&self.record.name);
        if is_replaced && self.certificate.is_none() {
            return None;
        }
        let is_valid = self.certificate.as_ref().is_some_and(|summary| summary.not_after > facts.now);
        let is_ordering = self.work == Some(Work::Order);
        let state = match (is_valid, is_ordering) {
            _ if self.want.is_none() || is_replaced => State::Unused,
            (true, true) => State::Renewing,
            (true, false) => State::Valid,
            (false, true) => State::Ordering,
            (false, false) if self.certificate.is_some() => State::Expired,
            (false, false) if self.record.problem.is_some() => State::Failed,
            (false, false) => State::Waiting,
        };
        let next = match self.due(facts) {
            Due::Order(at) | Due::Drop(at) => Some(at),
            Due::Check(_) => self.certificate.as_deref().map(|summary| self.renew_at(summary)),
            Due::Never => None,
        };
        let authority = self.certificate.as_ref().and_then(|summary| summary.source.authority());
        let want = self.want.clone().unwrap_or_default();
        Some(NameView {
            name: self.record.name.clone(),
            hosts: want.hosts.into_iter().collect(),
            apps: want.apps.into_iter().collect(),
            signer: Signer::Authority(authority.map(str::to_owned)),
            state,
            certificate: self.certificate.clone(),
            problem: self.record.problem.clone(),
            next: next.filter(|at| *at > facts.now).map(millis),
        })
    }

    /// The authority's word on renewing this certificate, if it has said one.
    fn renewal(&self, summary: &Summary) -> Option<&Renewal> {
        self.record.renewal.as_ref().filter(|renewal| renewal.certificate == summary.id)
    }

    fn renew_at(&self, summary: &Summary) -> SystemTime {
        let ours = schedule::renew_at(summary.not_before, summary.not_after, self.share);
        let window = self.renewal(summary).map(|renewal| &renewal.window).filter(|window| !window.is_empty());
        let Some(window) = window else { return ours };
        let theirs = schedule::within(time(window.start), time(window.end), self.share);
        // No authority's word has a certificate run out, or be renewed again and again.
        let left = summary.not_after.duration_since(ours).unwrap_or_default();
        theirs.max(summary.not_before + RENEWED_AGAIN_MIN).min(summary.not_after - left / 2)
    }
}

impl Facts<'_> {
    pub(super) fn has_own(&self, name: &str) -> bool {
        self.own.iter().any(|summary| summary.not_after > self.now && is_for(summary, name))
    }

    fn is_of_known(&self, summary: &Summary) -> bool {
        summary.source.authority().is_some_and(|name| self.authorities.iter().any(|known| known == name))
    }
}

/// Whether a certificate is good for a host, or for all hosts that a wildcard has.
pub(super) fn is_for(summary: &Summary, host: &str) -> bool {
    let parent = host.split_once('.').map(|(_, parent)| parent);
    let is_it = |name: &String| {
        name == host
            || name.strip_prefix("*.").is_some_and(|suffix| parent == Some(suffix) && !host.starts_with("*."))
    };
    summary.names.iter().any(is_it)
}
