//! HTTPRoutes for a Gateway that somebody has made.
//!
//! Hosts with the same rules share a route. What the standard channel of the Gateway API has no word for is left to the policies
//! of whoever implements it, and noted. Certificates, and what answers plain http, belong to the Gateway's listeners.

mod filter;
mod route;

use std::time::Duration;

use super::super::{Object, TlsSource};
use super::aspect::{Aspect, aspects};
use super::draft::Draft;
use super::moves::{Action, At, Entry, entries};
use super::rule;
use crate::name::Host;
use crate::policy::{Issuer, Policy};

use self::route::{
    BackendRef, Filter, Match, ParentRef, PathMatch, PathModifier, Rewrite, Rule, Spec, Timeouts,
};

const API_VERSION: &str = "gateway.networking.k8s.io/v1";
/// How many rules, and how many hosts, one HTTPRoute has at most.
const RULES_MAX: usize = 16;
const HOSTS_MAX: usize = 16;
/// Envoy cuts a request after 15 s unless it is told.
const NO_LIMIT: &str = "0s";

/// The HTTPRoutes of these rules, which are all public.
pub(super) fn add(rules: &[rule::Rule], gateway: &str, draft: &mut Draft<'_, '_>) {
    if rules.is_empty() {
        return;
    }
    note_listeners(rules, gateway, draft);
    let parent = match gateway.split_once('/') {
        Some((namespace, name)) => ParentRef { namespace: Some(namespace.to_owned()), name: name.to_owned() },
        None => ParentRef { namespace: None, name: gateway.to_owned() },
    };
    let mut routes: Vec<(Vec<&Host>, Vec<Rule>)> = Vec::new();
    let entries = entries(rules, "https");
    for entries in entries.chunk_by(|one, other| one.rule.host == other.rule.host) {
        let host = &entries[0].rule.host;
        let rules: Vec<_> = entries.iter().filter_map(|entry| rule(entry, draft)).collect();
        let same = |(hosts, others): &&mut (Vec<&Host>, Vec<Rule>)| {
            // A route without a host has no others.
            *others == rules
                && hosts.len() < HOSTS_MAX
                && !hosts.contains(&&Host::Fallback)
                && *host != Host::Fallback
        };
        match routes.iter_mut().find(same) {
            Some((hosts, _)) => hosts.push(host),
            None => routes.push((vec![host], rules)),
        }
    }
    let mut number = 0;
    for (hosts, rules) in routes {
        for rules in rules.chunks(RULES_MAX) {
            number += 1;
            let part = if number == 1 { String::new() } else { format!("route-{number}") };
            let hosts = hosts.iter().filter(|host| ***host != Host::Fallback).map(ToString::to_string);
            let spec =
                Spec { parent_refs: vec![parent.clone()], hostnames: hosts.collect(), rules: rules.to_vec() };
            add_route(&draft.name(&part), &spec, draft);
        }
    }
}

fn add_route(name: &str, spec: &Spec, draft: &mut Draft<'_, '_>) {
    let value = serde_json::json!({
        "apiVersion": API_VERSION,
        "kind": "HTTPRoute",
        "metadata": draft.metadata(name.to_owned()),
        "spec": spec,
    });
    let mut object = Object::untyped(draft.app, value);
    let is_endless =
        |rule: &Rule| rule.timeouts.as_ref().is_some_and(|timeouts| timeouts.request == NO_LIMIT);
    if let Some(index) = spec.rules.iter().position(is_endless) {
        let text = "no limit, as on the box; some Gateways have one of 15 s";
        object = object.comment(&format!("/spec/rules/{index}/timeouts/request"), text);
    }
    draft.add(object);
}

/// `None` for a path that no HTTPRoute may have, and for a redirect that none can make.
fn rule(entry: &Entry<'_>, draft: &mut Draft<'_, '_>) -> Option<Rule> {
    let (kind, path) = match &entry.at {
        At::Prefix(path) => ("PathPrefix", path.as_str()),
        At::Below(path) if path == "/" => ("PathPrefix", path.as_str()),
        At::Below(path) => ("PathPrefix", path.trim_end_matches('/')),
        At::Exact(path) => ("Exact", path.as_str()),
    };
    if !is_path(&entry.at) {
        let text = "the Gateway API takes no such path; encode its characters as in `%20`, and no slash";
        draft.dropped(&format!("[[route]] {path}"), text);
        return None;
    }
    let matches = vec![Match { path: PathMatch { kind, value: path.to_owned() } }];
    if let Action::Move(location) = &entry.action {
        let filters = vec![filter::redirect(location, draft)?];
        return Some(Rule { matches, filters, backend_refs: Vec::new(), timeouts: None });
    }
    let policy = &entry.rule.policy;
    let mut filters = filter::of_policy(policy, draft);
    if entry.rule.strips {
        let path = PathModifier::ReplacePrefixMatch { replace_prefix_match: "/".to_owned() };
        filters.push(Filter::UrlRewrite { rewrite: Rewrite { path } });
    }
    for aspect in aspects(policy) {
        note(aspect, entry, draft);
    }
    let backend = BackendRef { name: entry.rule.service.clone(), port: entry.rule.port };
    Some(Rule { matches, filters, backend_refs: vec![backend], timeouts: Some(timeouts(policy)) })
}

/// Whether the schema takes it (RFC 3986, `pchar`; and nothing that would be another path elsewhere).
fn is_path(at: &At) -> bool {
    let is_hex = |rest: &[u8]| rest.len() >= 2 && rest[..2].iter().all(u8::is_ascii_hexdigit);
    let bytes = at.path().as_bytes();
    let is_pchar = |(index, byte): (usize, &u8)| match byte {
        b'%' => is_hex(&bytes[index + 1..]),
        byte => byte.is_ascii_alphanumeric() || b"-/._~!$&'()*+,;=:@".contains(byte),
    };
    at.is_plain() && bytes.iter().enumerate().all(is_pchar)
}

fn timeouts(policy: &Policy) -> Timeouts {
    Timeouts { request: policy.timeouts.whole.map_or_else(|| NO_LIMIT.to_owned(), duration) }
}

/// As GEP-2257 has it: numbers of five digits at most, each with its unit.
fn duration(time: Duration) -> String {
    let millis = time.as_millis().max(1);
    let parts = [
        (millis / 3_600_000, "h"),
        (millis / 60_000 % 60, "m"),
        (millis / 1_000 % 60, "s"),
        (millis % 1_000, "ms"),
    ];
    let said = parts.into_iter().filter(|(number, _)| *number > 0);
    said.map(|(number, unit)| format!("{}{unit}", number.min(99_999))).collect()
}

/// What no filter says.
fn note(aspect: Aspect<'_>, entry: &Entry<'_>, draft: &mut Draft<'_, '_>) {
    match aspect {
        // In a filter, in rules of their own, in the Service or in the timeouts.
        Aspect::Hsts(_)
        | Aspect::Cors(_)
        | Aspect::RequestHeaders
        | Aspect::ResponseHeaders(_)
        | Aspect::Redirects(_)
        | Aspect::Timeout
        | Aspect::Protocol(_)
        // It takes whatever the listeners pass on.
        | Aspect::PlainHttp
        // The Gateway has the certificates.
        | Aspect::Issuer(Issuer::Acme) => {}
        Aspect::CanonicalHost(host) => {
            if entry.rule.host != *host {
                draft.changed(
                    aspect.key(),
                    format!("`{host}` has no route of its own in what is exported, so nothing leads there"),
                );
            }
        }
        Aspect::Issuer(Issuer::Local) => draft.changed(aspect.key(), aspect.advice()),
        Aspect::ClientCa(_) => draft.dropped(
            aspect.key(),
            "NO CLIENT IS ASKED FOR A CERTIFICATE until the Gateway has the CA in `tls.frontend` (Gateway API v1.5)",
        ),
        Aspect::Balance(_) | Aspect::Retries(_) => draft.dropped(
            aspect.key(),
            format!("the standard channel of the Gateway API has no word for it: {}", aspect.advice()),
        ),
        Aspect::Allow(_)
        | Aspect::Deny(_)
        | Aspect::BasicAuth(_)
        | Aspect::Ask
        | Aspect::RateLimit(_)
        | Aspect::BodyMax(_)
        | Aspect::BufferRequests
        | Aspect::BufferResponses
        | Aspect::Compress(_)
        | Aspect::ScopeCookies
        | Aspect::ErrorPages
        | Aspect::ConnectTimeout(_)
        | Aspect::FirstByteTimeout(_)
        | Aspect::IdleTimeout(_)
        | Aspect::Ejection
        | Aspect::RequestsMax(_)
        | Aspect::Queue
        | Aspect::Logging(_) => draft.dropped(
            aspect.key(),
            format!("the Gateway API has no word for it, and its implementation may have a policy: {}", aspect.advice()),
        ),
    }
}

/// What is the Gateway's.
fn note_listeners(rules: &[rule::Rule], gateway: &str, draft: &mut Draft<'_, '_>) {
    let mut hosts: Vec<String> = rules.iter().map(|rule| rule.host.to_string()).collect();
    hosts.dedup();
    let from = match &draft.options.tls {
        TlsSource::CertManager(issuer) => {
            format!("annotate the Gateway with `cert-manager.io/cluster-issuer: {issuer}`, and give it")
        }
        TlsSource::Secret(secret) => format!("name the Secret `{secret}` in"),
        TlsSource::None => return,
    };
    draft.todo(
        "--tls",
        format!(
            "certificates are the Gateway's: {from} an https listener for each of `{}`",
            hosts.join("`, `")
        ),
    );
    if rules.iter().any(|rule| rule.policy.https_redirect) {
        draft.todo(
            "[proxy] https_redirect",
            format!("`{gateway}` serves plain http as well unless its http listener has an HTTPRoute that redirects to https"),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_has_no_number_of_more_than_five_digits() {
        for (millis, expected) in
            [(0, "1ms"), (90_000, "1m30s"), (120_500, "2m500ms"), (100_000_000, "27h46m40s")]
        {
            assert_eq!(duration(Duration::from_millis(millis)), expected);
        }
    }

    #[test]
    fn a_path_is_one_that_the_schema_takes() {
        for (path, expected) in [
            ("/api/v1.2", true),
            ("/a%20b", true),
            ("/a%2fb", false),
            ("/a%2", false),
            ("/{a}", false),
            ("/a//b", false),
        ] {
            assert_eq!(is_path(&At::Prefix(path.to_owned())), expected, "{path}");
        }
    }
}
