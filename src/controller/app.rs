//! One app, as the controller holds it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::AbortHandle;
use tokio_util::sync::CancellationToken;

use super::compare::Samples;
use super::external::Externals;
use super::fleet::Fleet;
use super::formation::Reforming;
use super::proxy::Policies;
use super::reform::Reform;
use super::supervise::Backoff;
use super::{Deploy, DeployUpdate, DownError, Downed};
use crate::formation::Formation;
use crate::instance::{Instance, Retirement};
use crate::manifest::ManifestError;
use crate::name::{AppName, InstanceId, ReleaseId, Slot};
use crate::plan::{self, Observed, Plan, PlannedRoute};
use crate::release::Release;
use crate::store::AppRecord;

/// An app with everything that runs for it.
pub(super) struct App {
    pub(super) record: AppRecord,
    pub(super) releases: BTreeMap<ReleaseId, Release>,
    /// What the current release runs and routes; `None` until a release served.
    pub(super) serving: Option<Arc<Plan>>,
    /// The current release's instances.
    pub(super) instances: BTreeMap<Slot, Instance>,
    /// When a slot's instance may be replaced again.
    pub(super) backoff: BTreeMap<Slot, Backoff>,
    /// Instances of releases before, until they are gone.
    pub(super) retiring: BTreeMap<InstanceId, Retirement>,
    /// The tasks that retire them.
    pub(super) finishing: Vec<AbortHandle>,
    /// The rollout that is under way.
    pub(super) rollout: Option<RunningRollout>,
    /// Deploys that wait for it.
    pub(super) queue: VecDeque<Deploy>,
    /// The change of its instances that is under way.
    pub(super) reforming: Option<Reforming>,
    /// Changes that wait for that, or for the rollout.
    pub(super) reforms: VecDeque<Reform>,
    /// The new release that gets a share of the requests; which one is in the record.
    pub(super) canary: Option<Fleet>,
    /// The release before, while the current one is watched.
    pub(super) watched: Option<Fleet>,
    /// What the current release's instances had answered, now and then.
    pub(super) samples: Samples,
    /// What looks after its upstreams, if it is only a route.
    pub(super) externals: Externals,
    /// What holds for the routes of `serving`, while that is fresh.
    pub(super) policies: Option<Policies>,
    /// Whether requests wait while there is no instance for them.
    pub(super) hold: Hold,
    /// Who wants the app gone, and waits for its rollout to end first.
    pub(super) leaving: Vec<Leave>,
}

/// A wish that an app be gone.
pub(super) struct Leave {
    /// Whether its volumes go, too.
    pub(super) volumes: bool,
    /// Told when everything is gone.
    pub(super) reply: oneshot::Sender<Result<Downed, DownError>>,
}

/// Whether requests wait while there is no instance for them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hold {
    /// They do not.
    Off,
    /// A stop-first swap is under way: no request reaches the old instances, and nothing is replaced.
    Swapping,
    /// The swap failed and the old instances start again: requests wait for the first of them.
    Returning,
}

/// A rollout that is under way.
pub(super) struct RunningRollout {
    pub(super) release: ReleaseId,
    pub(super) plan: Arc<Plan>,
    pub(super) cancel: CancellationToken,
    /// Whether it has taken over, and is watched.
    pub(super) has_switched: bool,
    /// Where its deploy listens; `None` for one that was resumed.
    pub(super) updates: Option<mpsc::UnboundedSender<DeployUpdate>>,
    /// The step that it last spoke of.
    pub(super) step: watch::Receiver<&'static str>,
}

impl App {
    pub(super) fn new(record: AppRecord) -> Self {
        Self {
            record,
            releases: BTreeMap::new(),
            serving: None,
            instances: BTreeMap::new(),
            backoff: BTreeMap::new(),
            retiring: BTreeMap::new(),
            finishing: Vec::new(),
            rollout: None,
            queue: VecDeque::new(),
            reforming: None,
            reforms: VecDeque::new(),
            canary: None,
            watched: None,
            samples: Samples::default(),
            externals: Externals::default(),
            policies: None,
            hold: Hold::Off,
            leaving: Vec::new(),
        }
    }

    pub(super) fn current(&self) -> Option<&Release> {
        self.record.current.and_then(|id| self.releases.get(&id))
    }

    /// The number that the next release gets.
    pub(super) fn next_release(&self) -> ReleaseId {
        self.record.last.map_or(ReleaseId::FIRST, ReleaseId::next)
    }

    /// What a plan is made against.
    pub(super) fn observed(&self) -> Observed {
        let slots = || self.instances.keys().cloned().collect();
        Observed {
            current: self.record.current.map(|release| (release, slots())),
            domains: self.record.hosts(),
        }
    }

    /// The plan that makes `release` serve.
    pub(super) fn plan(&self, release: &Release, domain: &str) -> Result<Plan, ManifestError> {
        self.plan_as(release, domain, &self.record.formation)
    }

    /// The plan that makes `release` serve with as many instances as this formation says.
    pub(super) fn plan_as(
        &self,
        release: &Release,
        domain: &str,
        formation: &Formation,
    ) -> Result<Plan, ManifestError> {
        let manifest = release.manifest()?;
        let (name, observed) = (&self.record.name, self.observed());
        Ok(plan::plan(name, release.id, &manifest, &release.build, domain, formation, &observed))
    }

    /// Whether `release` would run and route what runs and is routed now.
    pub(super) fn is_unchanged(&self, release: &Release) -> bool {
        self.rollout.is_none() && self.current().is_some_and(|current| current.is_like(release))
    }

    /// Every instance that is known, whoever looks after it.
    pub(super) fn knows(&self, id: &InstanceId) -> bool {
        self.all_instances().any(|instance| instance.id() == id)
            || self.retiring.contains_key(id)
            || self.externals.knows(id)
            || self.is_reforming(id)
    }

    /// The instances of the current release, and of those beside it.
    pub(super) fn all_instances(&self) -> impl Iterator<Item = &Instance> {
        let beside = self.canary.iter().chain(&self.watched);
        self.instances.values().chain(beside.flat_map(|fleet| fleet.instances.values()))
    }

    /// Releases whose containers belong to a task that still works on them.
    pub(super) fn is_rolling(&self, release: ReleaseId) -> bool {
        self.rollout.as_ref().is_some_and(|rollout| rollout.release == release)
    }

    /// The apps that the current release may call, each once.
    pub(super) fn links(&self) -> Vec<AppName> {
        let links: BTreeSet<_> =
            self.serving.iter().flat_map(|plan| &plan.links).map(|link| &link.app).collect();
        links.into_iter().cloned().collect()
    }

    /// Host and path of each public route of the current release, the first first.
    pub(super) fn urls(&self) -> Vec<(String, String)> {
        let mut seen = BTreeSet::new();
        let routes = self.serving.iter().flat_map(|plan| &plan.routes);
        let is_public =
            |route: &&PlannedRoute| self.policy(&route.host, &route.path).unwrap_or(&route.policy).is_public;
        routes
            .filter(is_public)
            .map(|route| (route.host.to_string(), route.path.to_string()))
            .filter(|url| seen.insert(url.clone()))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::App;
    use crate::manifest::Source;
    use crate::name::ReleaseId;
    use crate::release::{Build, Release, ReleaseState};
    use crate::store::AppRecord;

    fn release(toml: &str, page: &str) -> Release {
        let files = [("404.html".to_owned(), page.to_owned())].into();
        let build = Build {
            image: "sha256:1".to_owned(),
            reference: "shop:1".to_owned(),
            content: None,
            exposed_ports: Vec::new(),
            has_healthcheck: false,
            has_command: true,
        };
        let source = Source { toml: Some(toml.to_owned()), procfile: None, files };
        let release = Release::new("shop".parse().unwrap(), ReleaseId::FIRST, build, source);
        Release { state: ReleaseState::Active, ..release }
    }

    #[test]
    fn a_changed_policy_or_page_is_a_change() {
        let mut app = App::new(AppRecord {
            current: Some(ReleaseId::FIRST),
            last: Some(ReleaseId::FIRST),
            ..AppRecord::new("shop".parse().unwrap())
        });
        app.releases.insert(ReleaseId::FIRST, release("[proxy]\nretries = 1\n", "gone"));
        assert!(app.is_unchanged(&release("[proxy]\nretries = 1\n", "gone")));
        assert!(!app.is_unchanged(&release("[proxy]\nretries = 2\n", "gone")));
        assert!(!app.is_unchanged(&release("[proxy]\nretries = 1\n", "not here")));
    }
}
