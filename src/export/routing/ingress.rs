//! Ingresses: one for each set of annotations, as they hold for an Ingress as a whole.
//!
//! The classes `nginx` (ingress-nginx) and `traefik` are known, and policies become what they read. Any other gets hosts and
//! paths, and a note for each thing that it was not told.

use std::sync::Arc;

use k8s_openapi::api::networking::v1::{
    HTTPIngressPath, HTTPIngressRuleValue, Ingress, IngressBackend, IngressRule, IngressServiceBackend,
    IngressSpec, ServiceBackendPort,
};

use super::super::{Object, TlsSource};
use super::aspect::{Aspect, aspects};
use super::draft::{Annotations, Draft};
use super::moves::{Action, At, Entry, canonical, entries, forwards};
use super::rule::Rule;
use super::{nginx, service, tls, traefik};
use crate::name::Host;
use crate::policy::{ClientCa, Issuer};

/// Segments count, as on the box.
const PREFIX: &str = "Prefix";
const EXACT: &str = "Exact";
/// Whatever the controller makes of it: a regular expression.
const SPECIFIC: &str = "ImplementationSpecific";

/// Entries that one Ingress holds.
#[derive(Debug)]
pub(super) struct Group<'a> {
    /// Names its objects, behind the app's name; empty for the first.
    pub(super) part: String,
    /// Never empty. All have the same policy, action and form of path.
    pub(super) entries: Vec<Entry<'a>>,
    /// Whether the paths are written as regular expressions.
    pub(super) is_regex: bool,
    /// Whether its hosts have certificates.
    pub(super) has_https: bool,
    /// Whose certificate clients must show at its hosts, if this is for a class that asks host by host.
    pub(super) client_ca: Option<Arc<ClientCa>>,
}

/// What a class makes of a policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Dialect {
    Nginx,
    Traefik,
    Unknown,
}

/// The Ingresses of these rules, which are all public, with whatever they refer to.
pub(super) fn add(rules: &[Rule], class: &str, draft: &mut Draft<'_, '_>) {
    let dialect = Dialect::of(class);
    let scheme = if draft.options.tls == TlsSource::None { "http" } else { "https" };
    let entries = match dialect {
        Dialect::Nginx => entries(rules, scheme),
        Dialect::Traefik | Dialect::Unknown => forwards(rules),
    };
    if !rules.is_empty() && draft.options.tls == TlsSource::None {
        draft.changed(
            "[proxy] https_redirect",
            "without certificates everything is plain http, and nothing leads to https; `--tls` says where they come from",
        );
    }
    for group in groups(entries, dialect, rules, &draft.options.tls) {
        let mut annotations = match dialect {
            Dialect::Nginx => nginx::annotations(&group, draft),
            Dialect::Traefik => traefik::annotations(&group, rules, draft),
            Dialect::Unknown => unknown(&group, class, draft),
        };
        for entry in &group.entries {
            note_certificate(entry.rule, draft);
        }
        add_ingress(&group, class, &mut annotations, draft);
    }
}

/// Sorts the entries into Ingresses. The first has the shortest path of the app's own host, and the app's name.
fn groups<'a>(
    entries: Vec<Entry<'a>>,
    dialect: Dialect,
    rules: &[Rule],
    source: &TlsSource,
) -> Vec<Group<'a>> {
    let regex: Vec<&Host> = entries
        .iter()
        .filter(|entry| dialect == Dialect::Nginx && nginx::needs_regex(entry))
        .map(|entry| &entry.rule.host)
        .collect();
    let mut groups: Vec<Group<'a>> = Vec::new();
    for entry in entries {
        let is_regex = regex.contains(&&entry.rule.host);
        // The middleware that leads to https would lead a host that has none to nothing; others ask host by host.
        let has_https = dialect != Dialect::Traefik || tls::has_https(&entry.rule.host, source);
        let client_ca = if dialect == Dialect::Traefik { client_ca(&entry.rule.host, rules) } else { None };
        let same = groups.iter_mut().find(|group| {
            group.is_regex == is_regex
                && group.has_https == has_https
                && group.client_ca == client_ca
                && dialect.is_same(group.first(), &entry, rules)
        });
        match same {
            Some(group) => group.entries.push(entry),
            None => {
                let (part, entries) = (String::new(), vec![entry]);
                groups.push(Group { part, entries, is_regex, has_https, client_ca });
            }
        }
    }
    let Some(own) = groups.first().map(|group| group.first().rule.host.clone()) else { return groups };
    let main = |group: &Group<'_>| {
        let of_own = group.entries.iter().filter(|entry| entry.rule.host == own);
        of_own.map(|entry| (entry.action != Action::Forward, entry.at.path().len())).min()
    };
    // `None` is less than any, and no best.
    let best = (0..groups.len()).min_by_key(|&at| main(&groups[at]).map_or((true, usize::MAX), |key| key));
    groups.swap(0, best.unwrap_or_default());
    name(&mut groups, &own);
    groups
}

/// Whose certificate clients must show at some path of the host.
fn client_ca(host: &Host, rules: &[Rule]) -> Option<Arc<ClientCa>> {
    rules.iter().filter(|rule| rule.host == *host).find_map(|rule| rule.policy.client_ca.clone())
}

/// Names all groups but the first by where they are, so that a name stays when others come or go.
fn name(groups: &mut [Group<'_>], own: &Host) {
    let mut taken: Vec<String> = Vec::new();
    for group in groups.iter_mut().skip(1) {
        let entry = group.first();
        let kind = if entry.action == Action::Forward { "route" } else { "redirect" };
        let host = (entry.rule.host != *own).then(|| entry.rule.host.to_string());
        let place = format!("{} {}", host.unwrap_or_default(), entry.at.path());
        let words: Vec<_> =
            place.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty()).collect();
        let slug = words.join("-").to_ascii_lowercase();
        let slug = if slug.is_empty() { "all".to_owned() } else { slug };
        let plain = format!("{kind}-{slug}");
        let numbered = (2..).map(|number| format!("{plain}-{number}"));
        let mut names = std::iter::once(plain.clone()).chain(numbered);
        let free = names.find(|name| !taken.contains(name)).expect("there is always a next number");
        taken.push(free.clone());
        group.part = free;
    }
}

fn add_ingress(group: &Group<'_>, class: &str, annotations: &mut Annotations, draft: &mut Draft<'_, '_>) {
    let mut hosts: Vec<&Host> = Vec::new();
    for entry in &group.entries {
        if !hosts.contains(&&entry.rule.host) {
            hosts.push(&entry.rule.host);
        }
    }
    let tls = tls::of_ingress(&hosts, annotations, draft);
    let rule = |host: &&Host| {
        let entries = group.entries.iter().filter(|entry| entry.rule.host == **host);
        IngressRule {
            host: (**host != Host::Fallback).then(|| host.to_string()),
            http: Some(HTTPIngressRuleValue {
                paths: entries.map(|entry| path(entry, group.is_regex)).collect(),
            }),
        }
    };
    let spec = IngressSpec {
        ingress_class_name: Some(class.to_owned()),
        rules: Some(hosts.iter().map(rule).collect()),
        tls,
        ..IngressSpec::default()
    };
    let metadata = annotations.on(draft.metadata(draft.name(&group.part)));
    let ingress = Ingress { metadata, spec: Some(spec), ..Ingress::default() };
    draft.add(annotations.comment(Object::new(draft.app, &ingress)));
}

fn path(entry: &Entry<'_>, is_regex: bool) -> HTTPIngressPath {
    let (path, path_type) = match &entry.at {
        at if is_regex => (nginx::regex(at), SPECIFIC),
        at if !at.is_plain() => (at.path().to_owned(), SPECIFIC),
        At::Prefix(path) => (path.clone(), PREFIX),
        At::Below(path) => (path.trim_end_matches('/').to_owned(), PREFIX),
        At::Exact(path) => (path.clone(), EXACT),
    };
    let port = ServiceBackendPort { name: Some(service::PORT_NAME.to_owned()), number: None };
    let backend = IngressServiceBackend { name: entry.rule.service.clone(), port: Some(port) };
    HTTPIngressPath {
        backend: IngressBackend { service: Some(backend), resource: None },
        path: Some(path),
        path_type: path_type.to_owned(),
    }
}

/// What no class of Ingress decides: who signs.
fn note_certificate(rule: &Rule, draft: &mut Draft<'_, '_>) {
    for aspect in aspects(&rule.policy) {
        match (aspect, &draft.options.tls) {
            (Aspect::Issuer(Issuer::Local), TlsSource::CertManager(issuer)) => {
                let text = format!("`{issuer}` signs, and not the local CA of the box");
                draft.changed(aspect.key(), text);
            }
            (Aspect::Issuer(Issuer::Local), _) => draft.changed(aspect.key(), aspect.advice()),
            (Aspect::Ask, _) => draft.dropped(aspect.key(), aspect.advice()),
            _ => {}
        }
    }
}

/// A class whose annotations nobody here knows.
fn unknown(group: &Group<'_>, class: &str, draft: &mut Draft<'_, '_>) -> Annotations {
    for entry in &group.entries {
        if entry.rule.strips {
            draft.dropped(
                &format!("[[route]] {}", entry.rule.path),
                format!("an Ingress of class `{class}` cannot be told to take the prefix off; have the app expect it"),
            );
        }
        for aspect in aspects(&entry.rule.policy) {
            // Told for every class alike, or carried by the Service.
            if matches!(aspect, Aspect::Issuer(_) | Aspect::Ask) {
                continue;
            }
            let text = format!("an Ingress of class `{class}` is told nothing of it: {}", aspect.advice());
            draft.dropped(aspect.key(), text);
        }
    }
    Annotations::default()
}

// === impl Group ===

impl<'a> Group<'a> {
    /// What stands for all.
    pub(super) fn first(&self) -> &Entry<'a> {
        self.entries.first().expect("a group begins with an entry")
    }

    /// The part of the app's names that a part of this group has.
    pub(super) fn part(&self, part: &str) -> String {
        if self.part.is_empty() { part.to_owned() } else { format!("{}-{part}", self.part) }
    }
}

// === impl Dialect ===

impl Dialect {
    fn of(class: &str) -> Self {
        match class {
            nginx::CLASS => Self::Nginx,
            traefik::CLASS => Self::Traefik,
            _ => Self::Unknown,
        }
    }

    /// Whether the same annotations hold for both.
    fn is_same(self, one: &Entry<'_>, other: &Entry<'_>, rules: &[Rule]) -> bool {
        let stripped = |entry: &Entry<'_>| entry.rule.strips.then(|| entry.rule.path.clone());
        let (one_rule, other_rule) = (one.rule, other.rule);
        match self {
            Self::Unknown => true,
            Self::Nginx if one.action != Action::Forward || other.action != Action::Forward => {
                one.action == other.action
                    && one_rule.policy.https_redirect == other_rule.policy.https_redirect
                    && one_rule.policy.client_ca == other_rule.policy.client_ca
            }
            Self::Nginx | Self::Traefik => {
                one_rule.policy == other_rule.policy
                    && stripped(one) == stripped(other)
                    && one_rule.speaks_http2 == other_rule.speaks_http2
                    && one_rule.instances == other_rule.instances
                    && canonical(one_rule, rules) == canonical(other_rule, rules)
            }
        }
    }
}
