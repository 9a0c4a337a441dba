//! After the switch: whether the new release errs more than the old one did.
//!
//! The old instances go on running, out of the table, for as long as this looks. It looks every second, so that a release
//! that errs clearly more is taken back as soon as that is clear and not at the window's end. What is compared are the
//! totals that the proxy keeps with each upstream ([`Upstream::tally`]); what is in flight is not counted yet.
//!
//! A watch does not survive the daemon: its counts are gone with it. The next start finds `Switching` on disk, and the new
//! release stays.
//!
//! [`Upstream::tally`]: crate::traffic::Upstream::tally

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{Abort, Cause, Deps, Outcome, Request, Update};
use crate::engine::Engine;
use crate::instance::last_lines;
use crate::name::{AppName, InstanceId, ReleaseId, Slot};
use crate::traffic::{Routes, Tally};

/// Between two looks.
const LOOK_PAUSE: Duration = Duration::from_secs(1);
/// For the end of a failed release's log, before it is taken back.
const LOG_TIME_MAX: Duration = Duration::from_millis(500);
/// With fewer requests nothing is clear: of 20, one failure is the whole margin.
const REQUESTS_MIN: u64 = 20;
/// With fewer requests it is clear only when so many and all of them failed; by then the proxy leaves the instance alone.
const ALL_FAILED_MIN: u64 = 3;
/// It must fail so many times as often as the old one did. One and a half times happens by chance with a few dozen requests.
const FACTOR: u64 = 2;
/// And so many of a hundred requests more, so that an old release without any failure is not gone back to for one.
const MARGIN_PERCENT: u64 = 5;

/// A release that has just taken over, and what it is compared with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Watched {
    /// The app.
    pub app: AppName,
    /// The release that took over.
    pub release: ReleaseId,
    /// The one before, whose instances still run.
    pub before: ReleaseId,
    /// For how long.
    pub window: Duration,
    /// What the old release answered in a window before the switch.
    pub baseline: Tally,
}

/// Why a release was taken back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Worse {
    /// What the new release answered.
    pub new: Tally,
    /// What the old one had answered in a window before.
    pub old: Tally,
    /// How long after the switch it was clear.
    pub after: Duration,
}

/// Adds up what the instances of one release answer from now on, those that are replaced meanwhile, too.
struct Counter {
    /// What each had answered when it was first seen, and has by now.
    seen: BTreeMap<InstanceId, (Tally, Tally)>,
    is_first: bool,
}

/// Compares until the window is over, and has the controller end the watch one way or the other. A cancellation ends it early,
/// and the new release stays.
pub async fn watch(
    watched: Watched,
    cancel: CancellationToken,
    updates: mpsc::UnboundedSender<Update>,
    deps: &Deps,
) -> Outcome {
    let Watched { app, release, before, window, baseline } = &watched;
    let detail = format!("{release} for {window:?}; {before} comes back if it fails clearly more often");
    let _ = updates.send(Update::Step { step: super::WATCH_STEP, detail });
    let mut counter = Counter::new();
    counter.look(&deps.routes, app, *release);
    let start = Instant::now();
    let mut worse = None;
    while start.elapsed() < *window {
        let pause = LOOK_PAUSE.min(*window - start.elapsed());
        tokio::select! {
            () = cancel.cancelled() => break,
            () = tokio::time::sleep(pause) => {}
        }
        counter.look(&deps.routes, app, *release);
        if is_worse(counter.total(), *baseline) {
            worse = Some(Worse { new: counter.total(), old: *baseline, after: start.elapsed() });
            break;
        }
    }
    let new = counter.total();
    let _ = updates.send(Update::Notice(format!(
        "{release}: {}; {before} before: {}",
        words(new),
        words(*baseline)
    )));
    // Taken back, its containers are gone, and their logs with them.
    let (slot, log) = match worse {
        Some(_) => counter.last_words(deps.machinery.engine.as_ref()).await,
        None => (None, Vec::new()),
    };
    let (reply, done) = oneshot::channel();
    let request = Request::EndWatch { app: app.clone(), release: *release, worse, reply };
    // The daemon is ending when there is nobody to ask or no answer: the new release stays.
    let is_taken_back = deps.requests.send(request).is_ok() && done.await.unwrap_or(false);
    match worse.filter(|_| is_taken_back) {
        None => Outcome::Active,
        Some(worse) => Outcome::Aborted(Box::new(Abort {
            app: app.clone(),
            release: *release,
            slot,
            cause: Cause::Worse(worse),
            log,
            still_serving: Some(*before),
        })),
    }
}

/// Compares a canary with the release that serves beside it, from now on and for so long; says why it is not to take over, as
/// soon as that is clear.
///
/// It does not survive the daemon: its counts are gone with it. The next start compares anew, for the whole time.
pub async fn watch_canary(
    app: &AppName,
    canary: ReleaseId,
    serving: ReleaseId,
    time: Duration,
    routes: &Routes,
) -> Option<String> {
    let (mut new, mut old) = (Counter::new(), Counter::new());
    let start = Instant::now();
    loop {
        new.look(routes, app, canary);
        old.look(routes, app, serving);
        let after = start.elapsed();
        if is_worse(new.total(), old.total()) {
            let [new, old] = [&new, &old].map(|counter| words(counter.total()));
            return Some(format!(
                "as a canary it failed clearly more often than {serving}: {new} within {after:.1?}; {serving}: {old}"
            ));
        }
        if after >= time {
            return None;
        }
        tokio::time::sleep(LOOK_PAUSE.min(time - after)).await;
    }
}

/// Whether the new release fails clearly more often than the old one did.
fn is_worse(new: Tally, old: Tally) -> bool {
    if new.requests < REQUESTS_MIN {
        let are_all_failed = new.failures == new.requests && new.failures >= ALL_FAILED_MIN;
        return are_all_failed && old.failures * 2 <= old.requests;
    }
    // Shares of different totals are compared by cross-multiplication; an old release that was asked nothing failed nothing.
    let [new_failures, new_requests, old_failures] =
        [new.failures, new.requests, old.failures].map(u128::from);
    let old_requests = u128::from(old.requests.max(1));
    let new_share = new_failures * old_requests;
    let old_share = old_failures * new_requests;
    let margin = u128::from(MARGIN_PERCENT) * new_requests * old_requests;
    new_share > u128::from(FACTOR) * old_share && 100 * new_share > 100 * old_share + margin
}

fn words(tally: Tally) -> String {
    let noun = if tally.requests == 1 { "request" } else { "requests" };
    format!("{} {noun}, {} failed", tally.requests, tally.failures)
}

impl Counter {
    fn new() -> Self {
        Self { seen: BTreeMap::new(), is_first: true }
    }

    fn look(&mut self, routes: &Routes, app: &AppName, release: ReleaseId) {
        let live = routes.load();
        let ours = live.table().routes().iter().filter(|route| route.app == *app);
        for upstream in ours.flat_map(|route| &route.upstreams).filter(|upstream| upstream.release == release)
        {
            // One that served as a canary answered before; one that was started since did not.
            let first = || match routes.upstream(&upstream.instance) {
                Some(upstream) if self.is_first => upstream.tally(),
                _ => Tally::default(),
            };
            self.seen.entry(upstream.instance.clone()).or_insert_with(|| (first(), Tally::default()));
        }
        self.is_first = false;
        for (instance, (_, now)) in &mut self.seen {
            // One that crashed and was forgotten keeps what it had.
            if let Some(upstream) = routes.upstream(instance) {
                *now = upstream.tally();
            }
        }
    }

    /// The instance that failed most, with the end of its log, as far as they can be had soon: requests go on failing.
    async fn last_words(&self, engine: &dyn Engine) -> (Option<Slot>, Vec<String>) {
        let failures = |(_, (first, now)): &(&InstanceId, &(Tally, Tally))| now.since(*first).failures;
        let Some((culprit, _)) = self.seen.iter().max_by_key(failures) else { return (None, Vec::new()) };
        let read = async {
            let containers = engine.containers().await.unwrap_or_default();
            let found = containers.into_iter().find(|found| found.labels.instance == *culprit)?;
            let log = last_lines(engine, &found.id).await;
            Some((found.labels.slot, log))
        };
        match tokio::time::timeout(LOG_TIME_MAX, read).await {
            Ok(Some((slot, log))) => (Some(slot), log),
            Ok(None) | Err(_) => (None, Vec::new()),
        }
    }

    fn total(&self) -> Tally {
        self.seen.values().fold(Tally::default(), |sum, (first, now)| sum.plus(now.since(*first)))
    }
}

impl std::fmt::Display for Worse {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} within {:.1?} of the switch; the release before: {}",
            words(self.new),
            self.after,
            words(self.old)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(new: (u64, u64), old: (u64, u64), expected: bool) {
        let tally = |(failures, requests)| Tally { requests, failures };
        assert_eq!(is_worse(tally(new), tally(old)), expected, "{new:?} after {old:?}");
    }

    #[test]
    fn a_few_requests_say_nothing() {
        check((18, 19), (0, 1000), false);
        check((2, 2), (0, 1000), false);
        check((20, 20), (0, 1000), true);
        check((0, 0), (0, 0), false);
    }

    #[test]
    fn a_release_that_only_fails_is_worse_however_little_it_was_asked() {
        check((3, 3), (0, 1000), true);
        check((10, 10), (0, 0), true);
        check((10, 10), (600, 1000), false);
    }

    #[test]
    fn it_takes_twice_the_rate_and_five_points_more() {
        check((5, 100), (0, 100), false);
        check((6, 100), (0, 100), true);
        check((6, 100), (0, 0), true);
        check((40, 100), (20, 100), false);
        check((41, 100), (20, 100), true);
        check((600, 1000), (40, 100), false);
        check((7, 100), (3, 100), false);
        check((9, 100), (3, 100), true);
    }
}
