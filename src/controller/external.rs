//! Apps that are only routes: what is wanted of them is in their record, and what is found of it here.
//!
//! Level-triggered as everything: [`Task::tend`] compares the upstreams of the record, the addresses that their names have and
//! the addresses that are probed, and brings the last in line with the first. An address that is no longer one leaves the
//! table, is drained and forgotten; but while what takes its place was not asked yet it stays, so that a change loses no
//! request.
//!
//! Nothing here needs an engine: these apps are served and changed while there is none.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use super::app::App;
use super::task::Task;
use super::view::{ExternalView, InstanceView, UpstreamView};
use crate::external::{Address, External, ExternalError, Lookup, Remote, Target, Wanted};
use crate::instance::Retirement;
use crate::manifest::Deploy as Limits;
use crate::name::{AppName, Host, InstanceId, ProcessType, ReleaseId, Slot};
use crate::plan::{self, NoSuchHost};
use crate::route::{Conflict, RouteTable, Upstream};
use crate::store::{AppRecord, StoreError};

/// What looks after the upstreams of an app that is only a route; empty for every other app.
#[derive(Debug, Default)]
pub(super) struct Externals {
    /// By the number of the upstream.
    lookups: BTreeMap<u32, Lookup>,
    remotes: BTreeMap<SocketAddr, Remote>,
}

/// Why an app that is only a route is as it was.
#[derive(Debug, thiserror::Error)]
pub enum UpstreamsError {
    /// What is wanted breaks a rule.
    #[error(transparent)]
    Wanted(#[from] ExternalError),
    /// An app of this name has releases, or is about to have one.
    #[error("app `{0}` is deployed, and cannot be a route to upstreams as well")]
    Deployed(AppName),
    /// Requests would come back for ever.
    #[error("upstream `{0}` is this box itself: its requests would come back to it")]
    Own(Address),
    /// Its canonical host leads away from it.
    #[error(transparent)]
    CanonicalHost(#[from] NoSuchHost),
    /// Another app has one of its routes.
    #[error(transparent)]
    Conflict(#[from] Conflict),
    /// The state could not be written.
    #[error("the app could not be stored")]
    Store(#[from] StoreError),
}

impl Externals {
    /// Those that were in the table when somebody last knew.
    pub(super) fn ready(&self) -> Vec<Upstream> {
        let mut ready: Vec<_> =
            self.remotes.values().filter(|remote| remote.is_ready()).map(|r| r.upstream().clone()).collect();
        ready.sort_by(|a, b| (&a.slot, a.addr).cmp(&(&b.slot, b.addr)));
        ready
    }

    /// Whether some of it may turn out to be ready at any moment.
    pub(super) fn is_undecided(&self) -> bool {
        self.lookups.values().any(|lookup| !lookup.resolved().is_decided)
            || self.remotes.values().any(|remote| remote.state() == crate::external::RemoteState::Probing)
    }

    pub(super) fn knows(&self, id: &InstanceId) -> bool {
        self.remotes.values().any(|remote| remote.upstream().instance == *id)
    }

    /// What is needed to take all of it out of service.
    pub(super) fn retirements(&self) -> Vec<Retirement> {
        self.remotes.values().map(retirement).collect()
    }
}

impl App {
    /// Its upstreams, for whoever asks.
    pub(super) fn external_view(&self) -> Option<ExternalView> {
        let external = self.record.external.as_ref()?;
        let upstream = |(number, address): (&u32, &Address)| UpstreamView {
            slot: slot(*number),
            address: address.clone(),
            problem: self.externals.lookups.get(number).and_then(|lookup| lookup.resolved().problem),
        };
        Some(ExternalView {
            upstreams: external.upstreams.iter().map(upstream).collect(),
            health: external.health.clone(),
            is_decided: !self.externals.is_undecided(),
        })
    }

    /// The addresses of its upstreams, for whoever asks.
    pub(super) fn remote_views(&self) -> Vec<InstanceView> {
        let view = |remote: &Remote| {
            let (upstream, state) = (remote.upstream(), remote.state());
            InstanceView {
                slot: upstream.slot.clone(),
                release: upstream.release,
                id: Some(upstream.instance.clone()),
                container: None,
                addr: Some(upstream.addr),
                state: state.word(),
                since: remote.since(),
                detail: state.why().map(str::to_owned),
                restarts: 0,
                next_start: None,
                memory: None,
                cpu: None,
            }
        };
        let mut views: Vec<_> = self.externals.remotes.values().map(view).collect();
        views.sort_by(|a, b| (&a.slot, a.addr).cmp(&(&b.slot, b.addr)));
        views
    }
}

impl Task {
    /// Makes the app, or has it lead somewhere else: stored first, then published. One that changes nothing is no change.
    pub(super) async fn change_upstreams(
        &mut self,
        name: &AppName,
        wanted: Wanted,
    ) -> Result<(), UpstreamsError> {
        let known = self.apps.get(name);
        if known.is_some_and(|app| app.record.external.is_none()) {
            return Err(UpstreamsError::Deployed(name.clone()));
        }
        if let Some(own) = wanted.upstreams.iter().find(|address| self.surroundings.is_own_address(address)) {
            return Err(UpstreamsError::Own(own.clone()));
        }
        let before = known.and_then(|app| app.record.external.as_ref());
        let added = known.map(|app| app.record.hosts()).unwrap_or_default();
        let external = External::new(wanted, before)?;
        if before == Some(&external) {
            return Ok(());
        }
        let plan = plan::external(name, &external, &self.domain, &added).map_err(ExternalError::from)?;
        plan.check_canonical_hosts()?;
        self.check_conflicts(name, &plan.routes)?;
        let base = known.map_or_else(
            || AppRecord { last: self.removed.get(name).copied(), ..AppRecord::new(name.clone()) },
            |app| app.record.clone(),
        );
        let record = AppRecord { external: Some(external), ..base };
        self.deps.store.save_app(&record).await?;
        let upstreams = record.external.as_ref().map_or(0, |external| external.upstreams.len());
        tracing::info!(app = %name, upstreams, "upstreams changed");
        let app = self.apps.entry(name.clone()).or_insert_with(|| App::new(record.clone()));
        app.record = record;
        app.serving = Some(Arc::new(plan));
        self.tend(name).await;
        self.publish().await;
        Ok(())
    }

    /// Takes up an app that is only a route, with the addresses that the last table had.
    pub(super) fn take_up_upstreams(&mut self, name: &AppName) {
        let served: Vec<Upstream> = served(&self.table, name).cloned().collect();
        let Some(app) = self.apps.get_mut(name) else { return };
        let Some(external) = app.record.external.clone() else { return };
        match plan::external(name, &external, &self.domain, &app.record.hosts()) {
            Ok(plan) => app.serving = Some(Arc::new(plan)),
            Err(error) => tracing::error!(app = %name, %error, "cannot read the app's manifest"),
        }
        for upstream in served {
            let number = upstream.slot.number;
            if external.upstreams.contains_key(&number) {
                let target = target(app, &external, &self.domain, upstream.instance, number, upstream.addr);
                let remote = Remote::start(target, true, &self.deps.machinery);
                app.externals.remotes.insert(upstream.addr, remote);
            }
        }
    }

    /// Tends every app that is only a route.
    pub(super) async fn tend_all(&mut self) {
        let external = self.apps.values().filter(|app| app.record.external.is_some());
        let names: Vec<_> = external.map(|app| app.record.name.clone()).collect();
        for name in names {
            self.tend(&name).await;
        }
    }

    /// Brings what is probed in line with what is wanted.
    async fn tend(&mut self, name: &AppName) {
        let wanted = self.resolve(name);
        let Some(app) = self.apps.get(name) else { return };
        let Some(external) = app.record.external.clone() else { return };
        let probe = external.health.probe();
        let host = host(name, &external, &self.domain);
        let is_kept = |addr: &SocketAddr, number: u32| {
            let remote = app.externals.remotes.get(addr);
            remote.is_some_and(|remote| {
                remote.upstream().slot.number == number && remote.is_asked(&probe, &host)
            })
        };
        let stale = wanted.iter().filter(|(addr, number)| !is_kept(addr, **number));
        let stale: Vec<SocketAddr> = stale.map(|(addr, _)| *addr).collect();
        for addr in stale {
            let before = self.apps.get_mut(name).and_then(|app| app.externals.remotes.remove(&addr));
            let is_ready = before.as_ref().is_some_and(Remote::is_ready);
            let id =
                before.map_or_else(|| self.new_id(name, addr), |remote| remote.upstream().instance.clone());
            let Some(app) = self.apps.get_mut(name) else { return };
            let target = target(app, &external, &self.domain, id, wanted[&addr], addr);
            app.externals.remotes.insert(addr, Remote::start(target, is_ready, &self.deps.machinery));
        }
        let Some(app) = self.apps.get_mut(name) else { return };
        let may_leave = !app.externals.is_undecided()
            || wanted.keys().any(|addr| app.externals.remotes.get(addr).is_some_and(Remote::is_ready));
        if may_leave {
            let leaving: Vec<_> =
                app.externals.remotes.extract_if(.., |addr, _| !wanted.contains_key(addr)).collect();
            let old: Vec<_> = leaving.iter().map(|(_, remote)| retirement(remote)).collect();
            if !old.is_empty() {
                self.retire(name, old).await;
            }
        }
    }

    /// Looks up what is wanted, and nothing else; returns the addresses as they are known, each with its upstream's number.
    fn resolve(&mut self, name: &AppName) -> BTreeMap<SocketAddr, u32> {
        let served: Vec<Upstream> = served(&self.table, name).cloned().collect();
        let Some(app) = self.apps.get_mut(name) else { return BTreeMap::new() };
        let Some(external) = &app.record.external else { return BTreeMap::new() };
        let lookups = &mut app.externals.lookups;
        lookups.retain(|number, _| external.upstreams.contains_key(number));
        for (number, address) in &external.upstreams {
            let start = || {
                let before = served.iter().filter(|upstream| upstream.slot.number == *number);
                let before: Vec<_> = before.map(|upstream| upstream.addr).collect();
                // Whom the change is of does not matter: the loop looks at every app.
                let id = InstanceId::from_bits(*number);
                let changes = (&self.deps.machinery.changes, id);
                Lookup::start(name, address, before, &self.surroundings, changes)
            };
            lookups.entry(*number).or_insert_with(start);
        }
        let mut wanted = BTreeMap::new();
        for (number, lookup) in lookups {
            for addr in lookup.resolved().addrs {
                wanted.entry(addr).or_insert(*number);
            }
        }
        wanted
    }

    /// An id for the address that nothing has: its life before this one may not have ended yet.
    fn new_id(&self, name: &AppName, addr: SocketAddr) -> InstanceId {
        let is_taken =
            |id: &InstanceId| self.sweeping.contains_key(id) || self.apps.values().any(|app| app.knows(id));
        let mut nth = 0;
        loop {
            let id = Remote::id(name, addr, nth);
            if !is_taken(&id) {
                return id;
            }
            nth += 1;
        }
    }
}

/// The upstreams of an app that a table has, each once.
fn served<'t>(table: &'t RouteTable, name: &AppName) -> impl Iterator<Item = &'t Upstream> {
    // All routes of such an app lead to the same ones.
    let route = table.routes().iter().find(|route| route.app == *name);
    route.into_iter().flat_map(|route| &route.upstreams)
}

fn target(
    app: &App,
    external: &External,
    domain: &str,
    id: InstanceId,
    number: u32,
    addr: SocketAddr,
) -> Target {
    let name = &app.record.name;
    let (probe, host) = (external.health.probe(), host(name, external, domain));
    Target { app: name.clone(), id, number, addr, probe, host }
}

/// The host that upstreams are probed for: one that they are also asked for by clients.
fn host(name: &AppName, external: &External, domain: &str) -> String {
    let named = external.hosts.iter().find_map(|host| match host {
        Host::Exact(host) => Some(host.clone()),
        Host::Wildcard(_) | Host::Fallback => None,
    });
    named.unwrap_or_else(|| format!("{name}.{domain}"))
}

fn slot(number: u32) -> Slot {
    Slot { process: ProcessType::upstream(), number }
}

fn retirement(remote: &Remote) -> Retirement {
    Retirement::of_upstream(remote.upstream(), Limits::default())
}

/// Whether the upstream of a saved table still belongs to the app.
pub(super) fn is_current(external: &External, upstream: &Upstream) -> bool {
    let address = external.upstreams.get(&upstream.slot.number);
    upstream.release == ReleaseId::FIRST
        && address.is_some_and(|address| address.literal().is_none_or(|addr| addr == upstream.addr))
}
