//! The plan of an app that is only a route: nothing runs, and there is nothing to roll out.

use std::collections::BTreeMap;

use std::sync::Arc;

use super::{Plan, PlannedRoute, UpdateOrder, domains, planned_route};
use crate::external::External;
use crate::manifest::{Deploy, Manifest, ManifestError, RouteRule};
use crate::name::{AppName, Host, ProcessType, ReleaseId};

/// What is routed for an app that is only a route.
///
/// # Errors
///
/// When its manifest breaks a rule of this version.
pub fn external(
    app: &AppName,
    external: &External,
    domain: &str,
    added: &[Host],
) -> Result<Plan, ManifestError> {
    let manifest = Manifest::of_routes(&external.source)?;
    let own = Host::Exact(format!("{app}.{domain}"));
    let hosts = std::iter::once(None).chain(external.hosts.iter().cloned().map(Some));
    let rule = |host| RouteRule {
        host,
        path: external.path.clone(),
        process: ProcessType::upstream(),
        strip_prefix: false,
        policy: Arc::clone(&manifest.proxy),
    };
    let named = hosts.map(rule);
    let in_file = manifest.routes.iter().cloned();
    let rules = in_file.map(|rule| RouteRule { process: ProcessType::upstream(), ..rule }).chain(named);
    let mut routes: Vec<PlannedRoute> = Vec::new();
    for route in rules.map(|rule| planned_route(&rule, &own)) {
        // What the file says of a host and a path goes before what holds for all of them.
        if !routes.iter().any(|other| other.host == route.host && other.path == route.path) {
            routes.push(route);
        }
    }
    // The app's own first: it is the one that people are told.
    routes.sort_by_key(|route| route.host != own);
    let domain_route = Some(planned_route(&rule(None), &own));
    domains::add(&mut routes, domain_route.as_ref(), added);
    Ok(Plan {
        app: app.clone(),
        release: ReleaseId::FIRST,
        replaces: None,
        order: UpdateOrder::StartFirst,
        image: String::new(),
        env: std::collections::BTreeMap::new(),
        secrets: std::collections::BTreeMap::new(),
        command: None,
        instances: Vec::new(),
        processes: BTreeMap::new(),
        jobs: BTreeMap::new(),
        routes,
        domain_route,
        ports: Vec::new(),
        links: Vec::new(),
        limits: Deploy::default(),
        steps: Vec::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::external::{Health, Wanted};
    use crate::manifest::Source;

    #[test]
    fn hosts_of_the_command_and_of_the_file_are_routed() {
        let toml = "[proxy]\nretries = 2\n[[route]]\nhost = \"old.example\"\nproxy = { retries = 0 }\n[[route]]\npath = \"/x\"\n";
        let wanted = Wanted {
            upstreams: vec!["http://10.0.0.5".parse().unwrap()],
            hosts: vec!["a.example".parse().unwrap(), "old.example".parse().unwrap()],
            path: "/".parse().unwrap(),
            health: Health::Tcp,
            source: Source { toml: Some(toml.to_owned()), ..Source::default() },
        };
        let plan = external(
            &"legacy".parse().unwrap(),
            &External::new(wanted, None).unwrap(),
            "localhost",
            &["a.example".parse().unwrap(), "b.example".parse().unwrap()],
        )
        .unwrap();
        let routes = plan.routes.iter();
        let routes: Vec<_> =
            routes.map(|route| format!("{}{} {}", route.host, route.path, route.policy.retries)).collect();
        assert_eq!(
            routes,
            ["legacy.localhost/x 2", "legacy.localhost/ 2", "old.example/ 0", "a.example/ 2", "b.example/ 2"]
        );
        assert!(plan.routes.iter().all(|route| route.process == ProcessType::upstream()));
    }
}
