//! Settings of an app's proxy that are made by command: shown, changed, and put over those of the manifest.
//!
//! They are kept in the app's record before they are published, so that they outlive the daemon and every deploy, and every
//! table is made with them: also the one of a start that has not seen the engine yet. What a plan says of its routes is the
//! manifest's word alone; [`App::policy`] is what holds.

mod settings;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::app::App;
use super::task::Task;
use crate::manifest::{
    Ignored, Manifest, Overrides, Problem, ProxyKeys, RouteName, Settings, example, is_masked, is_value,
    quoted, shown,
};
use crate::name::{AppName, Host, PathPrefix};
use crate::plan::{Plan, PlannedRoute, check_canonical_hosts};
use crate::policy::Policy;
use crate::store::AppRecord;

pub use settings::{IgnoredSetting, Layer, ProxyChange, ProxyEdit, ProxyError, ProxySettings, Setting};

/// What holds for the routes of a plan, made once for each plan and change.
pub(super) struct Policies {
    plan: Arc<Plan>,
    overrides: Arc<Overrides>,
    /// Parallel to the plan's routes.
    each: Vec<Arc<Policy>>,
}

/// What all settings come to.
struct Evaluation {
    app: Policy,
    /// Parallel to the plan's routes.
    routes: Vec<Arc<Policy>>,
    /// What does not hold, and where.
    ignored: Vec<(Option<RouteName>, Ignored)>,
}

impl Task {
    /// Makes the change, stored first, if there is one; says what holds from then on.
    pub(super) async fn change_proxy(
        &mut self,
        name: &AppName,
        change: Option<ProxyChange>,
    ) -> Result<ProxySettings, ProxyError> {
        let domain = self.domain.clone();
        let app = self.apps.get_mut(name).ok_or_else(|| ProxyError::Unknown(name.clone()))?;
        if let Some(change) = change {
            let overrides = app.changed(change, &domain)?;
            if overrides != *app.record.proxy {
                let record = AppRecord { proxy: Arc::new(overrides), ..app.record.clone() };
                self.deps.store.save_app(&record).await?;
                let keys: Vec<_> = record.proxy.keys().into_iter().collect();
                tracing::info!(app = %name, keys = keys.join(" "), "proxy settings changed");
                app.record = record;
                self.publish().await;
            }
        }
        Ok(self.apps[name].proxy_settings(&domain))
    }
}

impl App {
    /// What holds for the routes of the release that serves; [`Self::policy`] reads it.
    pub(super) fn refresh_policies(&mut self) {
        let Some(plan) = &self.serving else {
            self.policies = None;
            return;
        };
        let overrides = &self.record.proxy;
        let is_fresh = self
            .policies
            .as_ref()
            .is_some_and(|known| Arc::ptr_eq(&known.plan, plan) && Arc::ptr_eq(&known.overrides, overrides));
        if is_fresh {
            return;
        }
        let each = plan.routes.iter().map(|route| {
            let (policy, ignored) = overrides.apply(&name_of(route), &route.policy);
            for Ignored { key, problems } in ignored {
                let reason = sentence(&problems);
                tracing::warn!(
                    app = %self.record.name, host = %route.host, path = %route.path, key, reason,
                    "a setting made by command does not fit the manifest and is ignored"
                );
            }
            policy
        });
        let each = each.collect();
        self.policies = Some(Policies { plan: Arc::clone(plan), overrides: Arc::clone(overrides), each });
    }

    /// What holds for each route of the plan that serves, in its order; none before [`Self::refresh_policies`].
    pub(super) fn policies(&self) -> &[Arc<Policy>] {
        self.policies.as_ref().map_or(&[], |known| &known.each)
    }

    /// How requests of this route of the plan that serves are treated: the manifest's word, and what commands said since.
    pub(super) fn policy(&self, host: &Host, path: &PathPrefix) -> Option<&Arc<Policy>> {
        let known = self.policies.as_ref()?;
        let at = known.plan.routes.iter().position(|route| route.host == *host && route.path == *path)?;
        known.each.get(at)
    }

    /// What the change makes of the settings.
    fn changed(&self, change: ProxyChange, domain: &str) -> Result<Overrides, ProxyError> {
        let ProxyChange { route, edit } = change;
        let own = || Host::Exact(format!("{}.{domain}", self.record.name));
        let route = route.map(|(host, path)| (host.unwrap_or_else(own), path));
        let mut overrides = Overrides::clone(&self.record.proxy);
        let known: Vec<_> = self.serving.iter().flat_map(|plan| plan.routes.iter().map(name_of)).collect();
        if let Some(route) = &route {
            let is_set = overrides.routes.contains_key(route);
            let takes_back = matches!(edit, ProxyEdit::Unset(_) | ProxyEdit::Reset);
            let is_meant = known.contains(route) || (is_set && takes_back);
            if !is_meant {
                let (app, route) = (self.record.name.clone(), route.clone());
                return Err(ProxyError::NoRoute { app, route, known });
            }
        }
        match edit {
            ProxyEdit::Reset if route.is_none() => overrides = Overrides::default(),
            ProxyEdit::Reset => overrides.change(route.as_ref(), |settings| *settings = Settings::default()),
            ProxyEdit::Unset(keys) => {
                let is_known = |key: &String| {
                    overrides.keys().contains(key.as_str())
                        || shown(&Policy::default()).iter().any(|(known, _)| known == key)
                };
                if let Some(key) = keys.iter().find(|key| !is_known(key)) {
                    return Err(ProxyError::NoKey { key: key.clone() });
                }
                overrides.change(route.as_ref(), |settings| settings.remove(&keys));
            }
            ProxyEdit::Set(settings) => {
                if let Some(key) = settings.values.iter().find(|(_, value)| !is_value(value)) {
                    let message = format!("the value of `{}` is not valid TOML", key.0);
                    return Err(ProxyError::Invalid(vec![problem(message)]));
                }
                overrides.change(route.as_ref(), |known| known.merge(settings));
            }
            ProxyEdit::User { user, hash } => {
                let value = self.users(route.as_ref(), &user, hash.as_deref())?;
                let values = BTreeMap::from([("basic_auth".to_owned(), value)]);
                let settings = Settings { values, files: BTreeMap::new() };
                overrides.change(route.as_ref(), |known| known.merge(settings));
            }
        }
        self.check(&overrides)?;
        Ok(overrides)
    }

    /// Refuses settings of which some would not hold that did before, or were not there.
    fn check(&self, overrides: &Overrides) -> Result<(), ProxyError> {
        let before = self.evaluate(&self.record.proxy).ignored;
        let is_old = |(route, ignored): &(Option<RouteName>, Ignored)| {
            let same =
                |known: &&(Option<RouteName>, Ignored)| known.0 == *route && known.1.key == ignored.key;
            let value = |of: &Overrides| {
                let own = of.of(route.as_ref()).and_then(|own| own.values.get(&ignored.key));
                own.or_else(|| of.app.values.get(&ignored.key)).cloned()
            };
            before.iter().find(same).is_some() && value(&self.record.proxy) == value(overrides)
        };
        let new: Vec<_> = self.evaluate(overrides).ignored.into_iter().filter(|one| !is_old(one)).collect();
        if new.is_empty() {
            return self.check_canonical_host(overrides);
        }
        let mut problems: Vec<Problem> = Vec::new();
        for problem in new.into_iter().flat_map(|(_, ignored)| explained(ignored)) {
            // One that the app and each of its routes have is one.
            if !problems.iter().any(|known| known.message == problem.message) {
                problems.push(problem);
            }
        }
        Err(ProxyError::Invalid(problems))
    }

    /// Refuses a canonical host that leads away from the app. One that was set before is in nobody's way.
    fn check_canonical_host(&self, overrides: &Overrides) -> Result<(), ProxyError> {
        let set = |of: &Overrides| {
            let all = std::iter::once(&of.app).chain(of.routes.values());
            all.filter_map(|settings| settings.values.get("canonical_host").cloned()).collect::<Vec<_>>()
        };
        let Some(plan) = self.serving.as_ref() else { return Ok(()) };
        if set(overrides) == set(&self.record.proxy) {
            return Ok(());
        }
        let policies = self.evaluate(overrides).routes;
        let hosts: Vec<_> = plan.routes.iter().map(|route| &route.host).collect();
        Ok(check_canonical_hosts(&hosts, policies.iter().map(|policy| &**policy))?)
    }

    /// `basic_auth` with one user more, another password, or one user less.
    fn users(&self, route: Option<&RouteName>, user: &str, hash: Option<&str>) -> Result<String, ProxyError> {
        let now = self.evaluate(&self.record.proxy);
        let policy = match route {
            None => &now.app,
            Some(route) => {
                let at =
                    self.serving.iter().flat_map(|plan| &plan.routes).position(|one| name_of(one) == *route);
                at.and_then(|at| now.routes.get(at)).map_or(&now.app, |policy| &**policy)
            }
        };
        let mut users: BTreeMap<&str, &str> =
            policy.basic_auth.iter().map(|known| (known.user.as_str(), known.hash.as_str())).collect();
        match hash {
            Some(hash) => drop(users.insert(user, hash)),
            None if users.remove(user).is_none() => return Err(ProxyError::NoUser(user.to_owned())),
            None if users.is_empty() => return Err(ProxyError::LastUser(user.to_owned())),
            None => {}
        }
        let users: Vec<_> =
            users.into_iter().map(|(user, hash)| format!("{} = {}", quoted(user), quoted(hash))).collect();
        Ok(format!("{{ {} }}", users.join(", ")))
    }

    /// What these settings come to over the manifest of the release that serves.
    fn evaluate(&self, overrides: &Overrides) -> Evaluation {
        let manifest = self.manifest();
        let base = manifest.map(|manifest| manifest.proxy).unwrap_or_default();
        let (app, not) = overrides.app.apply(&base);
        let mut ignored: Vec<_> = not.into_iter().map(|one| (None, one)).collect();
        let everywhere: BTreeSet<String> = ignored.iter().map(|(_, one)| one.key.clone()).collect();
        let mut routes = Vec::new();
        let planned: Vec<_> = self.serving.iter().flat_map(|plan| &plan.routes).collect();
        for route in &planned {
            let name = name_of(route);
            let own = overrides.routes.get(&name);
            let (policy, not) = overrides.apply(&name, &route.policy);
            routes.push(policy);
            // What does not hold for the app is told once.
            let is_own = |key: &String| own.is_some_and(|own| own.values.contains_key(key));
            let not = not.into_iter().filter(|one| is_own(&one.key) || !everywhere.contains(&one.key));
            ignored.extend(not.map(|one| (Some(name.clone()), one)));
        }
        for (route, settings) in &overrides.routes {
            if !planned.iter().any(|planned| name_of(planned) == *route) {
                let why = || vec![problem(format!("the app has no route `{}{}` now", route.0, route.1))];
                let keys = settings.values.keys().cloned();
                ignored.extend(keys.map(|key| (Some(route.clone()), Ignored { key, problems: why() })));
            }
        }
        Evaluation { app, routes, ignored }
    }

    /// What holds, key by key, and who said so.
    fn proxy_settings(&self, domain: &str) -> ProxySettings {
        let overrides = &self.record.proxy;
        let Evaluation { app, routes, ignored } = self.evaluate(overrides);
        let keys = self.current().map(|current| ProxyKeys::of(&current.source)).unwrap_or_default();
        let manifest = self.manifest();
        let own = Host::Exact(format!("{}.{domain}", self.record.name));
        // A table of the file belongs to the route of the same host and path.
        let rules = manifest.iter().flat_map(|manifest| &manifest.routes);
        let said: Vec<(RouteName, &BTreeMap<String, Option<String>>)> = rules
            .zip(&keys.routes)
            .map(|(rule, keys)| ((rule.host.clone().unwrap_or_else(|| own.clone()), rule.path.clone()), keys))
            .collect();
        let holds = |route: Option<&RouteName>, key: &str| {
            !ignored.iter().any(|(at, one)| at.as_ref() == route && one.key == key)
        };
        let layer = |route: Option<&RouteName>, key: &str| {
            let of_app = overrides.app.values.contains_key(key) && holds(None, key);
            let of_route = route.is_some_and(|name| {
                overrides.routes.get(name).is_some_and(|own| own.values.contains_key(key))
            });
            let in_route = route
                .is_some_and(|name| said.iter().any(|(known, keys)| known == name && keys.contains_key(key)));
            if (of_app || of_route) && holds(route, key) {
                Layer::Command
            } else if in_route || keys.app.contains_key(key) {
                Layer::Manifest
            } else {
                Layer::Default
            }
        };
        // What may hold secrets, or names files, is never told as it was written.
        let written = |route: Option<&RouteName>, key: &str, from: Layer| {
            let of_route = |name: &RouteName| overrides.routes.get(name)?.values.get(key);
            let in_route = |name: &RouteName| said.iter().find(|(known, _)| known == name)?.1.get(key);
            match from {
                _ if is_masked(key) => None,
                Layer::Default => None,
                Layer::Command => route.and_then(of_route).or_else(|| overrides.app.values.get(key)).cloned(),
                Layer::Manifest => route.and_then(in_route).or_else(|| keys.app.get(key)).cloned().flatten(),
            }
        };
        let settings = |policy: &Policy, route: Option<&RouteName>| -> Vec<Setting> {
            let each = shown(policy).into_iter().map(|(key, value)| {
                let from = layer(route, key);
                Setting { key, value: written(route, key, from).unwrap_or(value), from }
            });
            each.collect()
        };
        let of_app = settings(&app, None);
        let planned = self.serving.iter().flat_map(|plan| &plan.routes).zip(&routes);
        let routes = planned.filter_map(|(planned, policy)| {
            let name = name_of(planned);
            let all = settings(policy, Some(&name)).into_iter().zip(&of_app);
            let differing: Vec<_> = all.filter(|(one, other)| one != *other).map(|(one, _)| one).collect();
            (!differing.is_empty()).then_some((name, differing))
        });
        let routes = routes.collect();
        let ignored = ignored.into_iter().map(|(route, Ignored { key, problems })| IgnoredSetting {
            route,
            key,
            reason: sentence(&problems),
        });
        ProxySettings { app: of_app, routes, ignored: ignored.collect() }
    }

    /// The manifest of the release that serves.
    fn manifest(&self) -> Option<Manifest> {
        let (manifest, _) = Manifest::parse(&self.current()?.source).ok()?;
        Some(manifest)
    }
}

fn name_of(route: &PlannedRoute) -> RouteName {
    (route.host.clone(), route.path.clone())
}

/// The problems of a setting, each with its key, and an example where nothing else says what to write.
fn explained(ignored: Ignored) -> impl Iterator<Item = Problem> {
    let Ignored { key, problems } = ignored;
    let example = example(&key).map(|example| format!("such as `minipaas proxy set {example}`"));
    problems.into_iter().map(move |problem| {
        let is_named = problem.message.contains(&format!("`{key}`"));
        let message = if is_named { problem.message } else { format!("`{key}`: {}", problem.message) };
        Problem { message, hint: problem.hint.or_else(|| example.clone()), ..problem }
    })
}

fn problem(message: String) -> Problem {
    Problem { file: "", line: 1, message, hint: None }
}

fn sentence(problems: &[Problem]) -> String {
    problems.iter().map(|problem| problem.message.as_str()).collect::<Vec<_>>().join("; ")
}
