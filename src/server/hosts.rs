//! For which hosts there is a certificate, as the routes of the moment and the box's domain have it.
//!
//! A host that a route names is served; so is any other while an app has the fallback route `*`. The domain itself and every
//! name directly below it are, too, so that a mistyped app is a page that says so and not a TLS error. Clients that send no
//! name are those of the fallback's app, or on a developer's machine, whose domain is `localhost` or an address, people who dial
//! that; elsewhere they are refused.

use std::net::IpAddr;

use crate::certs::Demand;
use crate::tls::{Serves, Vault};
use crate::traffic::Routes;

/// What is served now.
pub(super) struct Hosts {
    routes: Routes,
    domain: String,
    /// Who is told of names that are ordered when they are asked for, and where those are that were.
    demand: Option<(Vault, Demand)>,
}

impl Hosts {
    pub(super) fn new(routes: Routes, domain: &str) -> Self {
        Self { routes, domain: domain.to_ascii_lowercase(), demand: None }
    }

    /// Tells `demand` of served names on demand for which the vault has nothing.
    pub(super) fn with_demand(self, vault: Vault, demand: Demand) -> Self {
        Self { demand: Some((vault, demand)), ..self }
    }

    fn is_of_the_box(&self, host: &str) -> bool {
        let below = || host.strip_suffix(&self.domain)?.strip_suffix('.');
        host == self.domain || below().is_some_and(|label| !label.is_empty() && !label.contains('.'))
    }

    fn is_local(&self) -> bool {
        self.domain == "localhost" || self.domain.parse::<IpAddr>().is_ok()
    }
}

impl Serves for Hosts {
    fn is_served(&self, host: &str) -> bool {
        let routes = self.routes.load();
        if let Some((vault, demand)) = &self.demand
            && let Some(found) = routes.find(host, "/")
            && found.policy().ask.is_some()
            && vault.best(host).is_none()
        {
            demand.ask_for(host);
        }
        routes.table().serves(host) || routes.table().has_fallback() || self.is_of_the_box(host)
    }

    fn default_host(&self) -> Option<String> {
        (self.is_local() || self.routes.load().table().has_fallback()).then(|| self.domain.clone())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::name::{PathPrefix, ProcessType};
    use crate::route::{Mode, Route, RouteTable};

    fn hosts(domain: &str, served: &[&str]) -> Hosts {
        let route = |host: &&str| Route {
            app: "blog".parse().unwrap(),
            process: ProcessType::web(),
            host: host.parse().unwrap(),
            path: PathPrefix::root(),
            strip_prefix: false,
            policy: Arc::default(),
            mode: Mode::Open,
            canary: None,
            is_held: false,
            is_scaled_to_zero: false,
            upstreams: Vec::new(),
        };
        let routes = Routes::new();
        routes.publish(RouteTable::new(1, served.iter().map(route).collect()));
        Hosts::new(routes, domain)
    }

    #[test]
    fn routes_and_names_of_the_box_are_served() {
        let hosts = hosts("Apps.example.com", &["shop.example.org", "*.wild.example.org"]);
        for host in ["shop.example.org", "a.wild.example.org", "typo.apps.example.com", "apps.example.com"] {
            assert!(hosts.is_served(host), "{host}");
        }
        for host in [
            "example.org",
            "x.shop.example.org",
            "a.b.apps.example.com",
            "xapps.example.com",
            ".apps.example.com",
            "",
        ] {
            assert!(!hosts.is_served(host), "{host}");
        }
    }

    #[test]
    fn only_a_fallback_or_a_machine_of_ones_own_has_a_default() {
        assert_eq!(hosts("apps.example.com", &["a.example.org"]).default_host(), None);
        for domain in ["localhost", "192.0.2.7", "::1"] {
            assert_eq!(hosts(domain, &[]).default_host().as_deref(), Some(domain));
        }
        let fallback = hosts("apps.example.com", &["*"]);
        assert_eq!(fallback.default_host().as_deref(), Some("apps.example.com"));
        assert!(fallback.is_served("whatever.example.net"));
    }
}
