//! From what is wanted and what is ready to the table that the proxy reads.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::DeployError;
use super::app::{App, Hold};
use super::external::is_current;
use super::task::Task;
use crate::instance::Instance;
use crate::name::{AppName, Host, PathPrefix};
use crate::plan::{self, PlannedPort, PlannedRoute};
use crate::port::{every_interface, listen_at};
use crate::release::ReleaseState;
use crate::rollout::Phase;
use crate::route::{
    Canary, Conflict, Mode, PortRoute, Route, RouteTable, Upstream, find_conflict, find_port_conflict,
};
use crate::store::Snapshot;

impl Task {
    /// Publishes what follows from the state, when it differs from what is published. Until what runs was taken up, that is
    /// the table of the last process, as operators want it now.
    pub(super) async fn publish(&mut self) {
        if self.engine.is_recovered {
            return self.publish_found().await;
        }
        self.apps.values_mut().for_each(App::refresh_domains);
        self.apps.values_mut().for_each(App::refresh_policies);
        // Apps that are only routes need no engine, and none is waited for.
        let routes = self.apps.values().flat_map(|app| match app.record.external {
            Some(_) => routes_of(app),
            None => self.remembered(app),
        });
        let (routes, ports) = (routes.collect(), self.table.ports().to_vec());
        self.publish_table(routes, ports).await;
    }

    /// The app's routes in the table of the last process.
    fn remembered(&self, app: &App) -> Vec<Route> {
        let theirs = self.table.routes().iter().filter(|route| route.app == app.record.name);
        let planned: Vec<_> = app.serving.iter().flat_map(|plan| &plan.routes).collect();
        let is_of =
            |route: &Route, planned: &PlannedRoute| planned.host == route.host && planned.path == route.path;
        // A host that a command has taken away since, or has given: what answers for it answers for another one, too.
        let is_planned = |route: &&Route| planned.iter().any(|planned| is_of(route, planned));
        let is_new =
            |added: &&&PlannedRoute| added.is_added && !theirs.clone().any(|route| is_of(route, added));
        let like = |added: &PlannedRoute| theirs.clone().find(|route| route.process == added.process);
        let new = planned.iter().filter(is_new).filter_map(|added| {
            let (host, path) = (added.host.clone(), added.path.clone());
            Some(Route { host, path, strip_prefix: added.strip_prefix, ..like(added)?.clone() })
        });
        let theirs =
            theirs.clone().filter(|route| planned.is_empty() || is_planned(route)).cloned().chain(new);
        let remembered = theirs.map(|route| {
            let policy = Arc::clone(app.policy(&route.host, &route.path).unwrap_or(&route.policy));
            let canary = route.canary.clone().zip(app.record.canary.clone());
            let canary = canary.filter(|_| app.canary.is_some());
            Route {
                mode: app.record.mode.clone(),
                policy,
                canary: canary.map(|(canary, share)| Canary { share, ..canary }),
                ..route
            }
        });
        remembered.collect()
    }

    /// Publishes what follows from the instances that are known.
    pub(super) async fn publish_found(&mut self) {
        self.apps.values_mut().for_each(App::end_return);
        self.apps.values_mut().for_each(App::refresh_domains);
        self.apps.values_mut().for_each(App::refresh_policies);
        let routes = self.apps.values().flat_map(routes_of).collect();
        let ports = self.apps.values().flat_map(ports_of).collect();
        self.publish_table(routes, ports).await;
    }

    async fn publish_table(&mut self, mut routes: Vec<Route>, ports: Vec<PortRoute>) {
        routes.extend_from_slice(self.deps.routes.own());
        let callers = self.callers();
        let is_changed = routes != self.table.routes()
            || ports != self.table.ports()
            || !Arc::ptr_eq(&callers, self.table.callers());
        if is_changed {
            let table = RouteTable::new(self.table.generation() + 1, routes).with_ports(ports);
            self.table = table.with_callers(callers, &self.domain);
            self.deps.routes.publish(self.table.clone());
            tracing::debug!(generation = self.table.generation(), "published a route table");
            // Only the next start reads it, and it would find out by itself a moment later.
            if let Err(error) = self.deps.store.save_route_table(&self.table).await {
                tracing::error!(%error, "cannot keep the route table for the next start");
            }
        }
        self.publish_view();
    }

    /// Whether another app has, or is about to have, one of these routes.
    pub(super) fn check_conflicts(&self, app: &AppName, wanted: &[PlannedRoute]) -> Result<(), Conflict> {
        // Whatever the path: the host's pages share their cookies.
        let own = self.deps.routes.own();
        if let Some(route) = wanted.iter().find(|route| own.iter().any(|own| own.host == route.host)) {
            let (host, path) = (route.host.clone(), route.path.clone());
            return Err(Conflict { host, path, owner: AppName::of_the_box() });
        }
        let others = self.apps.values().filter(|other| other.record.name != *app).flat_map(|other| {
            let rolling = other.rollout.iter().map(|rollout| &rollout.plan);
            let beside = other.canary.iter().chain(&other.watched).map(|fleet| &fleet.plan);
            let plans: Vec<_> = other.serving.iter().chain(rolling).chain(beside).cloned().collect();
            let name = other.record.name.clone();
            plans.into_iter().flat_map(move |plan| {
                let name = name.clone();
                plan.routes.iter().map(move |route| empty_route(&name, route, Mode::Open)).collect::<Vec<_>>()
            })
        });
        let added = self.apps.values().filter(|other| other.record.name != *app).flat_map(|other| {
            other.added_routes().map(|route| empty_route(&other.record.name, &route, Mode::Open))
        });
        let existing: Vec<_> = others.chain(added).collect();
        let wanted: Vec<(&Host, &PathPrefix)> =
            wanted.iter().map(|route| (&route.host, &route.path)).collect();
        find_conflict(app, wanted.into_iter(), &existing)
    }

    /// Whether the app can have these ports: another app has, or is about to have, none of them, and nobody else listens there.
    pub(super) fn check_ports(&self, app: &AppName, wanted: &[PlannedPort]) -> Result<(), DeployError> {
        let others: Vec<(u16, &AppName)> = self
            .apps
            .values()
            .flat_map(|other| {
                let rolling = other.rollout.iter().map(|rollout| &rollout.plan);
                let plans = other.serving.iter().chain(rolling);
                plans.flat_map(|plan| plan.ports.iter().map(|port| (port.listen, &other.record.name)))
            })
            .collect();
        find_port_conflict(app, wanted.iter().map(|port| port.listen), &others)?;
        let is_own = |port: &&PlannedPort| self.surroundings.own.iter().any(|own| own.port() == port.listen);
        if let Some(port) = wanted.iter().find(is_own) {
            return Err(DeployError::OwnPort(port.listen));
        }
        // The proxy listens when the table is published, long after this; what stands in the way is found here.
        for port in wanted.iter().filter(|port| self.table.port(port.listen).is_none()) {
            listen_at(&every_interface(port.listen))?;
        }
        Ok(())
    }
}

/// The table of the last process as far as it still follows from what is stored: its upstreams, with routes made anew.
///
/// A route that no current release asks for is left out: what guards it is not known.
#[must_use]
pub fn last_table(snapshot: &Snapshot, saved: &RouteTable, domain: &str) -> RouteTable {
    let mut apps = BTreeMap::new();
    for record in &snapshot.apps {
        let releases = snapshot.releases.iter().filter(|release| release.app == record.name);
        let mut app = App::new(record.clone());
        app.releases = releases.map(|release| (release.id, release.clone())).collect();
        let plan = match &app.record.external {
            Some(external) => plan::external(&record.name, external, domain, &record.hosts()).ok(),
            None => app.current().and_then(|current| app.plan(current, domain).ok()),
        };
        app.serving = plan.map(Arc::new);
        // A restart must not open what a command has closed.
        app.refresh_policies();
        apps.insert(record.name.clone(), app);
    }
    let canaries: BTreeMap<_, _> = snapshot
        .rollouts
        .iter()
        .filter(|rollout| rollout.phase == Phase::Canary)
        .map(|rollout| (&rollout.app, rollout.release))
        .collect();
    let routes = saved.routes().iter().filter_map(|route| {
        let app = apps.get(&route.app)?;
        let plan = app.serving.as_ref()?;
        let planned =
            plan.routes.iter().find(|planned| planned.host == route.host && planned.path == route.path)?;
        let mut upstreams = route.upstreams.clone();
        let external = app.record.external.as_ref();
        if let Some(external) = external {
            upstreams.retain(|upstream| is_current(external, upstream));
        }
        // One that was taken back just before the last process ended, unless it was all there was.
        let has_failed = |upstream: &Upstream| {
            let release = app.releases.get(&upstream.release);
            release.is_some_and(|release| matches!(release.state, ReleaseState::Failed { .. }))
        };
        if !upstreams.iter().all(has_failed) {
            upstreams.retain(|upstream| !has_failed(upstream));
        }
        let canary = canaries.get(&route.app).filter(|few| upstreams.iter().any(|one| one.release == **few));
        let canary = canary.zip(app.record.canary.clone());
        let canary = canary.map(|(release, share)| Canary { release: *release, share });
        let policy = Arc::clone(app.policy(&planned.host, &planned.path)?);
        // Its upstreams are asked in a moment, and need no engine.
        let is_held = external.is_some() && upstreams.is_empty();
        let empty = empty_route(&route.app, planned, app.record.mode.clone());
        let is_scaled_to_zero = app.is_scaled_to_zero(&planned.process);
        Some(Route { upstreams, canary, policy, is_held, is_scaled_to_zero, ..empty })
    });
    let ports = saved.ports().iter().filter_map(|port| {
        let planned = apps
            .get(&port.app)?
            .serving
            .as_ref()?
            .ports
            .iter()
            .find(|planned| planned.listen == port.listen)?;
        Some(PortRoute { upstreams: port.upstreams.clone(), ..empty_port(&port.app, planned) })
    });
    let table = RouteTable::new(saved.generation(), routes.collect()).with_ports(ports.collect());
    table.with_callers(Arc::clone(saved.callers()), domain)
}

impl App {
    /// Requests wait no longer once an old instance is back, or it is clear that it does not come back soon.
    fn end_return(&mut self) {
        let is_decided = self
            .instances
            .values()
            .any(|instance| instance.is_ready() || instance.observed().state.is_over());
        if self.hold == Hold::Returning && is_decided {
            self.hold = Hold::Off;
        }
    }
}

/// Whoever asks has refreshed the app's policies.
fn routes_of(app: &App) -> Vec<Route> {
    let Some(plan) = &app.serving else { return Vec::new() };
    plan.routes
        .iter()
        .zip(app.policies())
        .map(|(planned, policy)| {
            let route = empty_route(&app.record.name, planned, app.record.mode.clone());
            let mut route = Route { policy: Arc::clone(policy), ..route };
            route.is_held = app.hold != Hold::Off;
            route.is_scaled_to_zero = app.is_scaled_to_zero(&planned.process);
            if app.record.external.is_some() {
                route.upstreams = app.externals.ready();
                route.is_held |= route.upstreams.is_empty() && app.externals.is_undecided();
            } else if app.hold != Hold::Swapping {
                let ours = app
                    .instances
                    .values()
                    .filter(|instance| instance.labels().slot.process == planned.process);
                route.upstreams = ours.filter_map(Instance::upstream).collect();
                route.is_held |= route.upstreams.is_empty() && app.is_returning(&planned.process);
            }
            add_canary(app, &mut route);
            route
        })
        .collect()
}

fn ports_of(app: &App) -> Vec<PortRoute> {
    let Some(plan) = &app.serving else { return Vec::new() };
    plan.ports
        .iter()
        .map(|planned| {
            let mut port = empty_port(&app.record.name, planned);
            port.is_held = app.hold != Hold::Off;
            if app.hold != Hold::Swapping {
                let ours = app
                    .instances
                    .values()
                    .filter(|instance| instance.labels().slot.process == planned.process);
                port.upstreams = ours.filter_map(|instance| instance.upstream_at(planned.port)).collect();
            }
            port
        })
        .collect()
}

fn empty_port(app: &AppName, planned: &PlannedPort) -> PortRoute {
    PortRoute {
        app: app.clone(),
        process: planned.process.clone(),
        listen: planned.listen,
        send_proxy: planned.send_proxy,
        accept_proxy: planned.accept_proxy,
        drain: planned.drain,
        is_held: false,
        upstreams: Vec::new(),
    }
}

/// Adds the ready instances of the app's canary, and says whose they are. Without one, all requests are the others'.
fn add_canary(app: &App, route: &mut Route) {
    let Some((canary, share)) = app.canary.as_ref().zip(app.record.canary.clone()) else { return };
    let few = canary.instances.values().filter(|one| one.labels().slot.process == route.process);
    let few: Vec<_> = few.filter_map(Instance::upstream).collect();
    if !few.is_empty() {
        route.upstreams.extend(few);
        route.canary = Some(Canary { release: canary.release(), share });
    }
}

fn empty_route(app: &AppName, planned: &PlannedRoute, mode: Mode) -> Route {
    Route {
        app: app.clone(),
        process: planned.process.clone(),
        host: planned.host.clone(),
        path: planned.path.clone(),
        strip_prefix: planned.strip_prefix,
        policy: Arc::clone(&planned.policy),
        mode,
        canary: None,
        is_held: false,
        is_scaled_to_zero: false,
        upstreams: Vec::new(),
    }
}
