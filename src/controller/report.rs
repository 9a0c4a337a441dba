//! What the controller tells the audit log: what became of releases and instances.

use std::time::Duration;

use super::app::App;
use super::task::Task;
use crate::clock;
use crate::events::{News, ReleaseFacts};
use crate::name::{AppName, ReleaseId, Slot};
use crate::plain::plain;
use crate::rollout::{Abort, Cause, Outcome};

/// What of a reason is kept.
const REASON_CHARS_MAX: usize = 300;

/// An instance ended by itself, and is replaced.
pub(super) fn crashed(app: &AppName, slot: &Slot, why: Option<&str>, restarts: u32) -> News {
    let why = why.map(|why| format!(": {why}")).unwrap_or_default();
    let again = if restarts > 1 { format!(" (replaced {restarts} times)") } else { String::new() };
    let detail = plain(&format!("`{slot}` ended{why}{again}"), REASON_CHARS_MAX);
    News::of_app(app, "instance-crashed", detail).failed("crashed")
}

impl Task {
    /// Tells how a rollout ended.
    pub(super) fn report_rollout(&self, name: &AppName, release: ReleaseId, outcome: &Outcome) {
        let Some(app) = self.apps.get(name) else { return };
        let news = match outcome {
            Outcome::Active => News::of_app(name, "release-active", format!("{release} serves")),
            Outcome::Canary => {
                News::of_app(name, "canary-started", format!("{release} gets a share of the requests"))
            }
            Outcome::Aborted(abort) => match failed(name, release, abort) {
                Some(news) => news,
                None => return,
            },
        };
        self.deps.reporter.tell(match app.facts(release) {
            Some(facts) => news.about(facts),
            None => news,
        });
    }
}

/// None when it has not failed: the next start goes on with it.
fn failed(name: &AppName, release: ReleaseId, abort: &Abort) -> Option<News> {
    let reason = plain(&abort.reason(), REASON_CHARS_MAX);
    Some(match abort.cause {
        Cause::ControllerGone => return None,
        Cause::Worse(_) => {
            let detail = format!("{release} was taken back: {reason}");
            News::of_app(name, "rolled-back-by-itself", detail).failed("worse")
        }
        Cause::Cancelled => News::of_app(name, "release-failed", reason).failed("cancelled"),
        _ => News::of_app(name, "release-failed", reason).failed("not-ready"),
    })
}

impl App {
    /// What is told of a release.
    fn facts(&self, release: ReleaseId) -> Option<ReleaseFacts> {
        let known = self.releases.get(&release)?;
        let plan = self.rollout.as_ref().map(|rollout| &rollout.plan).filter(|plan| plan.release == release);
        let plan = plan.or(self.serving.as_ref());
        let routes = plan.map(|plan| plan.routes.as_slice()).unwrap_or_default();
        Some(ReleaseFacts {
            id: release,
            by: Some(known.by.clone()),
            summary: Some(known.summary.clone()).filter(|summary| !summary.is_empty()),
            commit: known.revision.as_ref().map(|revision| revision.commit.clone()),
            took: Duration::from_millis(clock::now().saturating_sub(known.created_at)),
            routes: routes.iter().map(|route| (route.host.to_string(), route.path.to_string())).collect(),
        })
    }
}
