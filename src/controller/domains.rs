//! Hosts of an app beside those of its manifest: told, and changed by command without a release.
//!
//! They are in the app's record, stored before they are published; [`App::refresh_domains`] puts them into the plan that serves
//! whenever a table is made. So they outlive deploys, rollbacks and restarts, and one that is added while a rollout is under way
//! is routed before and after its switch.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use super::app::App;
use super::task::Task;
use crate::clock;
use crate::name::{AppName, Host, PathPrefix, ProcessType};
use crate::people::Actor;
use crate::plan::{NoSuchHost, PlannedRoute, check_canonical_hosts};
use crate::route::Conflict;
use crate::store::{AppRecord, Domain, StoreError};

/// How many hosts an app may have been given.
const DOMAINS_MAX: usize = 1_000;

/// What is to become of an app's hosts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DomainsChange {
    /// It gets these.
    Add {
        /// The hosts.
        hosts: Vec<Host>,
        /// Who gives them.
        by: Actor,
    },
    /// It loses one that a command gave.
    Remove(Host),
    /// It loses all that commands gave.
    Clear,
}

impl fmt::Display for DomainsChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Add { hosts, .. } => {
                let hosts: Vec<_> = hosts.iter().map(ToString::to_string).collect();
                write!(f, "added {}", hosts.join(", "))
            }
            Self::Remove(host) => write!(f, "removed {host}"),
            Self::Clear => f.write_str("removed all that were added"),
        }
    }
}

/// An app's hosts, and which of them the change was about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppDomains {
    /// All of them, in the order of the routes.
    pub all: Vec<AppDomain>,
    /// Those that were added or removed just now.
    pub changed: Vec<Host>,
}

/// A host of an app.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppDomain {
    /// The host.
    pub host: Host,
    /// The process type that its root leads to, or its first path; `None` while no release serves it.
    pub process: Option<ProcessType>,
    /// Where it comes from.
    pub origin: Origin,
}

/// Where a host of an app comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// It is the app's own.
    App,
    /// Its manifest, or the command that made it.
    Manifest,
    /// Somebody gave it by command.
    Command(Domain),
}

/// Why an app's hosts are as they were.
#[derive(Debug, thiserror::Error)]
pub enum DomainsError {
    /// There is none of this name.
    #[error("there is no app `{0}`")]
    Unknown(AppName),
    /// It would take every host that nobody has.
    #[error("`*` is every host there is; a wildcard is one such as `*.example.com`")]
    Everything,
    /// It is the box's own host, or has those of apps.
    #[error("`{0}` is the box's own: apps are below it")]
    OfTheBox(Host),
    /// It is the host of an app of another name, whether there is one or not.
    #[error("`{host}` is kept for an app named `{label}`")]
    Reserved {
        /// The host.
        host: Host,
        /// The name of that app.
        label: String,
    },
    /// Nothing of the app takes requests.
    #[error("app `{0}` has no process `web` that a domain could lead to")]
    NoWeb(AppName),
    /// It has too many.
    #[error("app `{0}` has {DOMAINS_MAX} domains, and can have no more")]
    TooMany(AppName),
    /// No command gave it.
    #[error("`{host}` is no domain that was added to app `{app}`")]
    NotAdded {
        /// The app.
        app: AppName,
        /// What was to go.
        host: Host,
        /// Whether the app has it from elsewhere.
        is_other: bool,
        /// Those that were added.
        known: Vec<Host>,
    },
    /// All other hosts are led to it.
    #[error("the app's requests are led to `{0}` by `canonical_host`: without it nothing would answer")]
    Canonical(Host),
    /// Another app has it.
    #[error(transparent)]
    Conflict(#[from] Conflict),
    /// The state could not be written.
    #[error("the domains could not be stored")]
    Store(#[from] StoreError),
}

impl Task {
    /// Makes the change, stored first, if there is one; says what holds from then on.
    pub(super) async fn change_domains(
        &mut self,
        name: &AppName,
        change: Option<DomainsChange>,
    ) -> Result<AppDomains, DomainsError> {
        let app = self.apps.get(name).ok_or_else(|| DomainsError::Unknown(name.clone()))?;
        let before = &app.record.domains;
        let after = match change {
            None => before.clone(),
            Some(DomainsChange::Add { hosts, by }) => self.with_added(app, hosts, &by)?,
            Some(DomainsChange::Remove(host)) => app.without(&host)?,
            Some(DomainsChange::Clear) => app.checked(Vec::new())?,
        };
        let hosts = |of: &[Domain]| of.iter().map(|domain| domain.host.clone()).collect::<BTreeSet<_>>();
        let changed: Vec<_> = hosts(before).symmetric_difference(&hosts(&after)).cloned().collect();
        if !changed.is_empty() {
            let record = AppRecord { domains: after, ..app.record.clone() };
            self.deps.store.save_app(&record).await?;
            tracing::info!(app = %name, domains = record.domains.len(), was = before.len(), "domains changed");
            self.apps.get_mut(name).expect("it was there, and only this task removes it").record = record;
            self.publish().await;
        }
        Ok(AppDomains { all: self.apps[name].domains(&self.domain), changed })
    }

    fn with_added(&self, app: &App, hosts: Vec<Host>, by: &Actor) -> Result<Vec<Domain>, DomainsError> {
        let mut domains = app.record.domains.clone();
        let like = app.serving.as_ref().map(|plan| plan.domain_route.as_ref());
        if like == Some(None) {
            return Err(DomainsError::NoWeb(app.record.name.clone()));
        }
        for host in hosts {
            let route = added_route(&host, like.flatten());
            let planned = app.serving.iter().flat_map(|plan| &plan.routes);
            let is_there = planned.into_iter().any(|one| one.host == host && one.path == route.path)
                || domains.iter().any(|domain| domain.host == host);
            if is_there {
                continue;
            }
            self.check_host(&app.record.name, &host)?;
            self.check_conflicts(&app.record.name, &[route])?;
            if domains.len() == DOMAINS_MAX {
                return Err(DomainsError::TooMany(app.record.name.clone()));
            }
            domains.push(Domain { host, by: by.clone(), at: clock::now() });
        }
        domains.sort_by(|a, b| a.host.cmp(&b.host));
        Ok(domains)
    }

    /// Whether an app may have this host at all.
    fn check_host(&self, app: &AppName, host: &Host) -> Result<(), DomainsError> {
        match host {
            Host::Fallback => Err(DomainsError::Everything),
            Host::Exact(name) | Host::Wildcard(name) if *name == self.domain => {
                Err(DomainsError::OfTheBox(host.clone()))
            }
            Host::Exact(name) => {
                let below = name.strip_suffix(&self.domain).and_then(|rest| rest.strip_suffix('.'));
                match below.filter(|label| !label.contains('.') && *label != app.as_str()) {
                    Some(label) => {
                        Err(DomainsError::Reserved { host: host.clone(), label: label.to_owned() })
                    }
                    None => Ok(()),
                }
            }
            Host::Wildcard(_) => Ok(()),
        }
    }
}

impl App {
    /// Has the plan that serves route the hosts of the record.
    pub(super) fn refresh_domains(&mut self) {
        let hosts = self.record.domains.iter().map(|domain| &domain.host);
        if let Some(fresh) = self.serving.as_ref().and_then(|plan| plan.with_domains(hosts)) {
            self.serving = Some(Arc::new(fresh));
        }
    }

    /// What other apps cannot have because a command gave it to this one.
    pub(super) fn added_routes(&self) -> impl Iterator<Item = PlannedRoute> {
        let like = self.serving.as_ref().and_then(|plan| plan.domain_route.as_ref());
        self.record.domains.iter().map(move |domain| added_route(&domain.host, like))
    }

    fn without(&self, host: &Host) -> Result<Vec<Domain>, DomainsError> {
        let (gone, left): (Vec<_>, Vec<_>) =
            self.record.domains.iter().cloned().partition(|domain| domain.host == *host);
        if gone.is_empty() {
            let mut routes = self.serving.iter().flat_map(|plan| &plan.routes);
            return Err(DomainsError::NotAdded {
                app: self.record.name.clone(),
                host: host.clone(),
                is_other: routes.any(|route| route.host == *host),
                known: left.into_iter().map(|domain| domain.host).collect(),
            });
        }
        self.checked(left)
    }

    /// Refuses to take away the host that all others are led to.
    fn checked(&self, left: Vec<Domain>) -> Result<Vec<Domain>, DomainsError> {
        let Some(plan) = &self.serving else { return Ok(left) };
        let check = |domains: &[Domain]| {
            let fresh = plan.with_domains(domains.iter().map(|domain| &domain.host));
            let routes = fresh.as_ref().map_or(&plan.routes, |fresh| &fresh.routes);
            let hosts: Vec<_> = routes.iter().map(|route| &route.host).collect();
            check_canonical_hosts(&hosts, self.policies().iter().map(|policy| &**policy))
        };
        match (check(&self.record.domains), check(&left)) {
            (Ok(()), Err(NoSuchHost { canonical, .. })) => Err(DomainsError::Canonical(canonical)),
            _ => Ok(left),
        }
    }

    /// All of its hosts.
    fn domains(&self, domain: &str) -> Vec<AppDomain> {
        let own = Host::Exact(format!("{}.{domain}", self.record.name));
        let added = |host: &Host| self.record.domains.iter().find(|domain| domain.host == *host);
        let mut all: Vec<AppDomain> = Vec::new();
        for route in self.serving.iter().flat_map(|plan| &plan.routes) {
            let is_root = route.path == PathPrefix::root();
            match all.iter_mut().find(|known| known.host == route.host) {
                Some(known) if is_root => known.process = Some(route.process.clone()),
                Some(_) => {}
                None => all.push(AppDomain {
                    host: route.host.clone(),
                    process: Some(route.process.clone()),
                    origin: match added(&route.host).filter(|_| route.is_added) {
                        Some(domain) => Origin::Command(domain.clone()),
                        None if route.host == own => Origin::App,
                        None => Origin::Manifest,
                    },
                }),
            }
        }
        for domain in &self.record.domains {
            // Such as one of an app whose first release does not serve yet.
            match all.iter_mut().find(|known| known.host == domain.host) {
                Some(known) => known.origin = Origin::Command(domain.clone()),
                None => all.push(AppDomain {
                    host: domain.host.clone(),
                    process: None,
                    origin: Origin::Command(domain.clone()),
                }),
            }
        }
        all
    }
}

impl DomainsError {
    /// What to do instead.
    #[must_use]
    pub fn hints(&self) -> Vec<String> {
        match self {
            Self::NotAdded { is_other: true, .. } => {
                vec!["it is the app's own, or in its manifest: take it out there, and deploy".to_owned()]
            }
            Self::NotAdded { known, .. } if known.is_empty() => vec!["none was added".to_owned()],
            Self::NotAdded { known, .. } => {
                let known: Vec<_> = known.iter().map(|host| format!("`{host}`")).collect();
                vec![format!("these were added: {}", known.join(", "))]
            }
            Self::Canonical(_) => vec!["take `canonical_host` back first: `minipaas proxy`".to_owned()],
            Self::NoWeb(_) => vec!["a process named `web` takes requests".to_owned()],
            Self::Conflict(conflict) => {
                let (host, owner) = (&conflict.host, &conflict.owner);
                vec![format!("`minipaas domains remove {host} -a {owner}` lets it go, if it was added there")]
            }
            _ => Vec::new(),
        }
    }
}

/// The route of a host that a command gives.
fn added_route(host: &Host, like: Option<&PlannedRoute>) -> PlannedRoute {
    let own = || PlannedRoute {
        host: host.clone(),
        path: PathPrefix::root(),
        process: ProcessType::web(),
        strip_prefix: false,
        policy: Arc::default(),
        is_added: true,
    };
    like.map_or_else(own, |like| PlannedRoute { host: host.clone(), is_added: true, ..like.clone() })
}
