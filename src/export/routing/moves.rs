//! Rules with their redirects drawn out of them: what an entrance does at each host and path.
//!
//! On the box a redirect is a guard before its route. An Ingress and an HTTPRoute know only places, so each redirect becomes
//! a place of its own, more specific than the route that it stands before. Where it covers the whole route, the route is gone.

use std::cmp::Reverse;

use super::rule::Rule;
use crate::name::Host;
use crate::policy::Redirect;

/// Permanent, and the method stays: as the box leads to the canonical host.
const STATUS_CANONICAL: u16 = 308;
const CANONICAL: &str = "[proxy] canonical_host";
const REDIRECTS: &str = "[proxy] redirects";

/// What is done at one place.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Entry<'a> {
    pub(super) rule: &'a Rule,
    pub(super) at: At,
    pub(super) action: Action,
}

/// Which paths.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum At {
    /// This one, and whatever lies below.
    Prefix(String),
    /// What lies below this one, which ends in a slash.
    Below(String),
    /// This one alone.
    Exact(String),
}

/// What is done there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Action {
    /// The Service answers.
    Forward,
    /// The client is led elsewhere.
    Move(Move),
}

/// Where a client is led.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Move {
    /// A path, or a URL.
    pub(super) to: String,
    /// Whether what follows the place in the request's path follows `to`, as it is.
    pub(super) keeps_rest: bool,
    pub(super) status: u16,
    /// As the manifest names what asks for it.
    pub(super) key: &'static str,
}

/// Everything that is done, in the order of the hosts; in one host the longest path comes first, as it does on the box.
/// `scheme` is that of the entrance.
pub(super) fn entries<'a>(rules: &'a [Rule], scheme: &str) -> Vec<Entry<'a>> {
    let mut entries: Vec<Entry<'a>> = Vec::new();
    for entry in rules.iter().flat_map(|rule| of_rule(rule, rules, scheme)) {
        let is_taken = |other: &Entry<'_>| other.rule.host == entry.rule.host && other.at == entry.at;
        if !entries.iter().any(is_taken) {
            entries.push(entry);
        }
    }
    sorted(entries, rules)
}

/// The same without redirects, for entrances that have them before a route.
pub(super) fn forwards(rules: &[Rule]) -> Vec<Entry<'_>> {
    let at = |rule: &Rule| At::Prefix(rule.path.as_str().to_owned());
    let entries = rules.iter().map(|rule| Entry { rule, at: at(rule), action: Action::Forward });
    sorted(entries.collect(), rules)
}

fn sorted<'a>(mut entries: Vec<Entry<'a>>, rules: &[Rule]) -> Vec<Entry<'a>> {
    let hosts: Vec<&Host> = rules.iter().map(|rule| &rule.host).collect();
    let place = |host: &Host| hosts.iter().position(|other| *other == host);
    entries.sort_by_key(|entry| (place(&entry.rule.host), Reverse(entry.at.path().len())));
    entries
}

/// Where requests of this rule are led as a whole: another host of the app's that it wants to be seen at.
pub(super) fn canonical<'a>(rule: &'a Rule, rules: &[Rule]) -> Option<&'a str> {
    let Some(Host::Exact(canonical)) = &rule.policy.canonical_host else { return None };
    // A rule for `*.example.com` alone would lead `www.example.com` to itself for ever.
    let is_it = |rule: &Rule| matches!(&rule.host, Host::Exact(host) if host == canonical);
    (!is_it(rule) && rules.iter().any(is_it)).then_some(canonical.as_str())
}

/// Whether any request of the rule could meet the redirect.
pub(super) fn can_meet(rule: &Rule, redirect: &Redirect) -> bool {
    of_redirect(rule, redirect).is_some()
}

fn of_rule<'a>(rule: &'a Rule, rules: &[Rule], scheme: &str) -> Vec<Entry<'a>> {
    let path = rule.path.as_str();
    let entry = |at, action| Entry { rule, at, action };
    if let Some(canonical) = canonical(rule, rules) {
        let to = format!("{scheme}://{canonical}{path}");
        let canonical = Move { to, keeps_rest: true, status: STATUS_CANONICAL, key: CANONICAL };
        return vec![entry(At::Prefix(path.to_owned()), Action::Move(canonical))];
    }
    let redirects = rule.policy.redirects.iter().filter_map(|redirect| of_redirect(rule, redirect));
    let mut entries: Vec<_> = redirects.map(|(at, to)| entry(at, Action::Move(to))).collect();
    entries.push(entry(At::Prefix(path.to_owned()), Action::Forward));
    entries
}

/// Where a redirect stands within a rule's paths; `None` where no request of the rule could meet it.
fn of_redirect(rule: &Rule, redirect: &Redirect) -> Option<(At, Move)> {
    let path = rule.path.as_str();
    let to = |to: String, keeps_rest| Move { to, keeps_rest, status: redirect.status, key: REDIRECTS };
    let Some(prefix) = redirect.from.strip_suffix('*') else {
        let to = to(redirect.to.clone(), false);
        return rule.path.matches(&redirect.from).then(|| (At::Exact(redirect.from.clone()), to));
    };
    let (target, keeps_rest) = match redirect.to.strip_suffix('*') {
        Some(target) => (target.to_owned(), true),
        None => (redirect.to.clone(), false),
    };
    if prefix == "/" && path == "/" {
        return Some((At::Prefix(prefix.to_owned()), to(target, keeps_rest)));
    }
    if rule.path.matches(prefix) {
        return Some((At::Below(prefix.to_owned()), to(target, keeps_rest)));
    }
    // It stands before the rule as a whole.
    let rest = path.strip_prefix(prefix)?;
    let target = if keeps_rest { format!("{target}{rest}") } else { target };
    Some((At::Prefix(path.to_owned()), to(target, keeps_rest)))
}

// === impl At ===

impl At {
    /// As it is written.
    pub(super) fn path(&self) -> &str {
        match self {
            Self::Prefix(path) | Self::Below(path) | Self::Exact(path) => path,
        }
    }

    /// Whether Kubernetes takes it for anything but a regular expression.
    pub(super) fn is_plain(&self) -> bool {
        let path = self.path().to_ascii_lowercase();
        let is_dots = |segment: &str| matches!(segment, "." | "..");
        !path.contains("//") && !path.contains("%2f") && !path.split('/').any(is_dots)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::policy::Policy;

    #[test]
    fn a_redirect_stands_where_requests_of_its_route_can_meet_it() {
        for (path, from, to, expected) in [
            ("/", "/old", "/new", "=/old -> /new"),
            ("/", "/old/*", "/new/*", "<=/old/ -> /new/*"),
            ("/", "/old/*", "/", "<=/old/ -> /"),
            ("/", "/*", "https://h.example/*", ">=/ -> https://h.example/*"),
            ("/api", "/*", "https://h.example/*", ">=/api -> https://h.example/api*"),
            ("/api", "/api/*", "/v2/*", "<=/api/ -> /v2/*"),
            ("/api", "/old", "/new", "never"),
            ("/api", "/apiary", "/new", "never"),
        ] {
            let rule = Rule {
                host: Host::Fallback,
                path: path.parse().unwrap(),
                service: "shop".to_owned(),
                port: 80,
                strips: false,
                policy: Arc::new(Policy::default()),
                speaks_http2: false,
                instances: 1,
            };
            let redirect = Redirect { from: from.to_owned(), to: to.to_owned(), status: 308 };
            let found = of_redirect(&rule, &redirect).map(|(at, to)| {
                let sign = match &at {
                    At::Prefix(_) => ">=",
                    At::Below(_) => "<=",
                    At::Exact(_) => "=",
                };
                format!("{sign}{} -> {}{}", at.path(), to.to, if to.keeps_rest { "*" } else { "" })
            });
            assert_eq!(found.as_deref().unwrap_or("never"), expected, "{from} at {path}");
        }
    }
}
