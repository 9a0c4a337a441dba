//! Which host and path leads to which Service: the box's routes, as they make sense on a cluster.
//!
//! The box gives every app a host of its own, `<app>.<domain>`, and routes that name no host hang on it. Where the domain is
//! `localhost` that name leads each reader to their own machine; so if the app has any other host, that one takes its place.
//! An app that has no other keeps it: on a cluster that runs on the reader's machine (kind, minikube) it works as it is, it
//! claims no host of anybody else's, and the note says what to put there. A rule without a host was the alternative, and two
//! apps of one export would have fought for it.

use std::sync::Arc;

use super::super::Subject;
use super::draft::Draft;
use super::service;
use crate::manifest::{Check, Process, RouteRule};
use crate::name::{Host, PathPrefix, ProcessType, is_below};
use crate::policy::{Policy, Protocol};

/// What is routed to one Service.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Rule {
    pub(super) host: Host,
    pub(super) path: PathPrefix,
    /// The name of the Service.
    pub(super) service: String,
    /// The Service's port.
    pub(super) port: i32,
    /// Whether the prefix is taken off; never for `/`, where nothing would be.
    pub(super) strips: bool,
    pub(super) policy: Arc<Policy>,
    /// Whether HTTP/2 without TLS is spoken with the instances.
    pub(super) speaks_http2: bool,
    /// How many instances there are at most.
    pub(super) instances: u32,
}

/// The app's rules: its own host first, then those in the order of the manifest, then those that commands have added.
pub(super) fn rules(subject: &Subject, draft: &mut Draft<'_, '_>) -> Vec<Rule> {
    let manifest = &subject.manifest;
    let root = manifest.processes.contains_key(&ProcessType::web()).then(|| RouteRule {
        host: None,
        path: PathPrefix::root(),
        process: ProcessType::web(),
        strip_prefix: false,
        policy: Arc::clone(&manifest.proxy),
    });
    let names = draft.names();
    arranged(&subject.hosts, &manifest.routes, root.as_ref(), draft, |route, host| {
        let process = manifest.processes.get(&route.process);
        let most = |process: &Process| process.autoscale.as_ref().map_or(process.replicas, |scale| scale.max);
        Rule {
            host,
            strips: route.strip_prefix && route.path != PathPrefix::root(),
            path: route.path,
            service: names.process(&route.process),
            port: service::PORT,
            speaks_http2: speaks_http2(&route.policy, process),
            policy: route.policy,
            instances: process.map_or(1, most),
        }
    })
}

/// Whether anybody but linked apps is let in.
pub(super) fn is_public(subject: &Subject) -> bool {
    let manifest = &subject.manifest;
    let web = manifest.processes.contains_key(&ProcessType::web()).then_some(&manifest.proxy);
    let routes = manifest.routes.iter().map(|route| &route.policy);
    routes.chain(web).any(|policy| policy.is_public)
}

/// The rules of these routes. `hosts` are the app's own and those that commands have added; `like` is the route that each of
/// them has unless the file says otherwise. Of two for one host and path the first one stays, as on the box.
pub(super) fn arranged(
    hosts: &[Host],
    in_file: &[RouteRule],
    like: Option<&RouteRule>,
    draft: &mut Draft<'_, '_>,
    make: impl Fn(RouteRule, Host) -> Rule,
) -> Vec<Rule> {
    let Some((first, added)) = hosts.split_first() else { return Vec::new() };
    let named = in_file.iter().filter_map(|route| route.host.as_ref());
    let others: Vec<_> = added.iter().chain(named).collect();
    let own = own_host(first, &others, draft);
    let of_host = |host: Option<&Host>| like.map(|like| RouteRule { host: host.cloned(), ..like.clone() });
    let of_hosts = std::iter::once(None).chain(added.iter().map(Some)).filter_map(of_host);
    let mut rules: Vec<Rule> = Vec::new();
    for mut route in in_file.iter().cloned().chain(of_hosts) {
        let host = route.host.take().unwrap_or_else(|| own.clone());
        let rule = make(route, host);
        if !rules.iter().any(|other| other.host == rule.host && other.path == rule.path) {
            rules.push(rule);
        }
    }
    rules.sort_by_key(|rule| rule.host != own);
    drop_local(&mut rules, draft);
    rules
}

/// The host that people are told.
fn own_host(first: &Host, others: &[&Host], draft: &mut Draft<'_, '_>) -> Host {
    if !is_local(first) {
        return first.clone();
    }
    let mut better = others.iter().filter(|host| !is_local(host));
    let exact = better.clone().find(|host| matches!(host, Host::Exact(_)));
    let Some(other) = exact.or_else(|| better.next()) else {
        draft.todo(
            "hosts",
            format!(
                "`{first}` leads every reader to their own machine; give the app a public name with `minipaas domains add`, and \
                 export again"
            ),
        );
        return first.clone();
    };
    draft.changed(
        "hosts",
        format!("`{first}` leads every reader to their own machine; what it led to is at `{other}`"),
    );
    (*other).clone()
}

/// Leaves out names of the reader's own machine, if there are others.
fn drop_local(rules: &mut Vec<Rule>, draft: &mut Draft<'_, '_>) {
    if rules.iter().all(|rule| is_local(&rule.host)) {
        return;
    }
    rules.retain(|rule| {
        let is_kept = !is_local(&rule.host);
        if !is_kept {
            let host = &rule.host;
            draft.dropped(
                &format!("[[route]] {host}"),
                format!("`{host}` leads every reader to their own machine, so it is left out; give it a public name"),
            );
        }
        is_kept
    });
}

/// Whether this host means the reader's own machine (RFC 6761, 6.3).
pub(super) fn is_local(host: &Host) -> bool {
    match host {
        Host::Exact(name) | Host::Wildcard(name) => is_below(name, "localhost"),
        Host::Fallback => false,
    }
}

/// The box speaks HTTP/2 for gRPC and HTTP/1 for the rest, request by request; nothing on a cluster does. A process that is
/// asked over gRPC whether it is ready, at the port of its requests, is taken for one that speaks nothing else.
fn speaks_http2(policy: &Policy, process: Option<&Process>) -> bool {
    let is_grpc = |process: &Process| {
        let probes = [&process.startup, &process.ready, &process.live];
        probes
            .into_iter()
            .flatten()
            .any(|probe| matches!(probe.check, Check::Grpc { port, .. } if port.is_none_or(|port| Some(port) == process.port)))
    };
    match policy.protocol {
        Protocol::Http2 => true,
        Protocol::Http1 => false,
        Protocol::Auto => process.is_some_and(is_grpc),
    }
}
