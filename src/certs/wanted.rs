//! Which certificates the box wants, as a pure function of its routes.
//!
//! A public name is wanted from a certificate authority; `*.localhost`, private names and addresses are the local CA's; a route
//! may say otherwise. Where DNS records can be made one wildcard serves all apps below the box's own domain, which is one
//! order in place of one an app, and keeps their names out of the public logs of certificates.

use std::collections::{BTreeMap, BTreeSet};

use crate::name::{AppName, Host, is_public};
use crate::policy::{Ask, Issuer};
use crate::route::Route;

/// What a route says of its certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wish {
    /// The app.
    pub app: AppName,
    /// The route's host.
    pub host: Host,
    /// Who is to sign; `None` leaves it to the host.
    pub issuer: Option<Issuer>,
    /// Whom to ask about names that nobody has listed.
    pub ask: Option<Ask>,
}

/// What the box is, as far as it matters here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Means {
    /// Apps are at `<app>.<domain>`.
    pub domain: String,
    /// Whether there is a certificate authority.
    pub has_authority: bool,
    /// Whether records of dns-01 can be made.
    pub has_dns: bool,
}

/// The certificates that a box wants.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Those of certificate authorities, by the one name that each has.
    pub public: BTreeMap<String, Want>,
    /// Hosts that are the local CA's.
    pub local: BTreeMap<String, Want>,
    /// Hosts whose names are ordered when somebody asks for them.
    pub on_demand: Vec<OnDemand>,
}

/// Who wants a certificate.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Want {
    /// The apps.
    pub apps: BTreeSet<AppName>,
    /// The hosts that it is for.
    pub hosts: BTreeSet<String>,
}

/// Names that are ordered when they are asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OnDemand {
    /// The app that is asked.
    pub app: AppName,
    /// Which names.
    pub host: Host,
    /// Whom to ask.
    pub ask: Ask,
}

// === impl Wish ===

impl Wish {
    /// What this route says.
    #[must_use]
    pub fn of(route: &Route) -> Self {
        Self {
            app: route.app.clone(),
            host: route.host.clone(),
            issuer: route.policy.issuer,
            ask: route.policy.ask.clone(),
        }
    }
}

// === impl Wanted ===

impl Wanted {
    /// What these routes want.
    #[must_use]
    pub fn of(wishes: &[Wish], means: &Means) -> Self {
        let mut wanted = Self::default();
        for wish in wishes {
            wanted.add(wish, means);
        }
        wanted
    }

    /// The certificate for a name that was ordered because somebody asked for it.
    #[must_use]
    pub fn demanded(&self, host: &str) -> Option<&OnDemand> {
        // The most specific first, as routes are.
        let matching = self.on_demand.iter().filter(|on_demand| on_demand.host.matches(host));
        matching.min_by_key(|on_demand| &on_demand.host)
    }

    fn add(&mut self, wish: &Wish, means: &Means) {
        let host = wish.host.to_string();
        let is_of_authority = means.has_authority
            && match wish.issuer {
                Some(Issuer::Local) => false,
                Some(Issuer::Acme) => true,
                None => is_public(&host),
            };
        if let Some(ask) =
            wish.ask.as_ref().filter(|_| means.has_authority && wish.issuer != Some(Issuer::Local))
        {
            self.on_demand.push(OnDemand {
                app: wish.app.clone(),
                host: wish.host.clone(),
                ask: ask.clone(),
            });
        }
        let is_answered = wish.ask.is_some() || wish.host == Host::Fallback;
        let (list, name) = match &wish.host {
            // Each name of theirs is ordered by itself, unless a wildcard can be had.
            Host::Wildcard(_) if is_of_authority && is_answered && !means.has_dns => return,
            Host::Fallback => return,
            _ if !is_of_authority => (&mut self.local, host.clone()),
            Host::Exact(name) if means.has_dns && is_app_of(name, &means.domain) => {
                (&mut self.public, format!("*.{}", means.domain))
            }
            Host::Exact(_) | Host::Wildcard(_) => (&mut self.public, host.clone()),
        };
        let want = list.entry(name).or_default();
        want.apps.insert(wish.app.clone());
        want.hosts.insert(host);
    }
}

/// Whether a host is one label below the box's domain.
fn is_app_of(host: &str, domain: &str) -> bool {
    host.split_once('.').is_some_and(|(_, rest)| rest == domain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wish(host: &str) -> Wish {
        Wish { app: "shop".parse().unwrap(), host: host.parse().unwrap(), issuer: None, ask: None }
    }

    fn a_box(has_dns: bool) -> Means {
        Means { domain: "apps.example.com".to_owned(), has_authority: true, has_dns }
    }

    fn names(list: &BTreeMap<String, Want>) -> Vec<&str> {
        list.keys().map(String::as_str).collect()
    }

    #[test]
    fn the_host_chooses_who_signs() {
        let wishes = ["shop.localhost", "shop.example.com", "10.0.0.5", "*.example.org", "*"].map(wish);
        let wanted = Wanted::of(&wishes, &a_box(false));
        assert_eq!(names(&wanted.public), ["*.example.org", "shop.example.com"]);
        assert_eq!(names(&wanted.local), ["10.0.0.5", "shop.localhost"]);
        let nobody = Wanted::of(&wishes, &Means { has_authority: false, ..a_box(false) });
        assert_eq!(names(&nobody.public), [""; 0]);
        assert_eq!(nobody.local.len(), 4);
    }

    #[test]
    fn a_route_may_choose_otherwise() {
        let local = Wish { issuer: Some(Issuer::Local), ..wish("shop.example.com") };
        let acme = Wish { issuer: Some(Issuer::Acme), ..wish("shop.corp") };
        let wanted = Wanted::of(&[local, acme], &a_box(false));
        assert_eq!(names(&wanted.public), ["shop.corp"]);
        assert_eq!(names(&wanted.local), ["shop.example.com"]);
    }

    #[test]
    fn one_wildcard_serves_the_boxes_own_apps_where_dns_can_be_changed() {
        let wishes = ["blog.apps.example.com", "shop.apps.example.com", "shop.example.com"].map(wish);
        let wanted = Wanted::of(&wishes, &a_box(true));
        assert_eq!(names(&wanted.public), ["*.apps.example.com", "shop.example.com"]);
        assert_eq!(wanted.public["*.apps.example.com"].hosts.len(), 2);
        assert_eq!(Wanted::of(&wishes, &a_box(false)).public.len(), 3);
    }

    #[test]
    fn names_on_demand_are_ordered_one_by_one_unless_there_is_a_wildcard() {
        let ask = Some(Ask::Path("/allowed".to_owned()));
        let wishes = [Wish { ask: ask.clone(), ..wish("*.shops.example.com") }, Wish { ask, ..wish("*") }];
        let wanted = Wanted::of(&wishes, &a_box(false));
        assert_eq!(names(&wanted.public), [""; 0]);
        let host = |name: &str| wanted.demanded(name).map(|on_demand| on_demand.host.to_string());
        assert_eq!(host("a.shops.example.com").as_deref(), Some("*.shops.example.com"));
        assert_eq!(host("customer.example.org").as_deref(), Some("*"));
        assert_eq!(names(&Wanted::of(&wishes, &a_box(true)).public), ["*.shops.example.com"]);
    }
}
