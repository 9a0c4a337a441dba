//! How an app is reached: its hosts, its TCP ports, and how the project's other apps call it.

use super::super::draft::{Draft, Port, Route};
use super::super::findings::Findings;
use super::super::{label, write};
use super::group::{Group, Groups, Member};
use super::mention::{self, Mention};
use super::service::Service;

/// Where minipaas itself serves HTTP.
const HTTP_PORTS: [u16; 4] = [80, 443, 8080, 8443];

/// Routes, ports and who may come in.
pub(super) fn doors(member: &Member<'_>, draft: &mut Draft, findings: &mut Findings) {
    for (host, path) in &member.labels.routes {
        let route = Route {
            host: host.clone(),
            path: path.clone(),
            process: member.process.clone(),
            strip_prefix: false,
        };
        if !draft.routes.contains(&route) {
            draft.routes.push(route);
        }
    }
    let section = format!("process.{}", member.process);
    let mut has_http = false;
    for port in &member.service.ports {
        let shown = port.published.map_or_else(|| port.target.to_string(), |published| published.to_string());
        let name = &member.service.name;
        let said = format!("port {shown} of `{name}`");
        if port.is_udp {
            findings.lost(
                &port.at,
                format!("{said}, which is UDP"),
                "run it beside minipaas with `docker run -p`",
            );
        } else if member.is_web() && member.http_port() == Some(port.target) {
            has_http = true;
            if port.is_local() {
                draft.remark("proxy.allow", "It was published to this machine alone.");
                draft.proxy.retain(|(key, _)| *key != "allow");
                draft.proxy.push(("allow", write::strings(["127.0.0.0/8", "::1"])));
            } else if let Some(address) = &port.address {
                let instead = "`allow` and `deny` in [proxy] say who may come in";
                findings.lost(&port.at, format!("that {said} is on {address} alone"), instead);
            }
            if let Some(published) = port.published {
                let text = format!("Was at port {published}; is at the app's own host now.");
                draft.remark(&section, text);
            }
        } else if matches!(port.target, 443 | 8443) && member.is_web() {
            let instead =
                "https is the box's own, at every host of the app; it speaks plain HTTP with the app";
            findings.choice(&port.at, format!("{said} is left out"), instead);
        } else if port.address.is_some() {
            let instead = "a [[port]] is open on all addresses of the box; add one if it may be, or use `minipaas port-forward`";
            findings.lost(&port.at, format!("{said}, which is on one address alone"), instead);
        } else if let Some(published) = port.published {
            if HTTP_PORTS.contains(&published) {
                let instead =
                    "that is minipaas's own; a [[route]] with a host of its own leads to the process by HTTP";
                findings.lost(&port.at, said, instead);
            } else {
                draft.ports.push(Port {
                    port: published,
                    process: member.process.clone(),
                    target: port.target,
                });
            }
        } else {
            findings.lost(&port.at, format!("{said}, which has no number of the host"), "add a [[port]]");
        }
    }
    let is_routed =
        member.labels.is_exposed || member.labels.port.is_some() || !member.labels.routes.is_empty();
    if member.is_web() && !has_http && !is_routed {
        draft.remark("proxy.public", "Nothing published it: only apps with a [link] to it come in.");
        draft.proxy.push(("public", "false".to_owned()));
    }
}

/// What becomes of a value that names other services; `None` when the variable does not belong in `[env]`.
pub(super) fn value(
    variable: &str,
    value: &str,
    caller: &Service,
    group: &Group<'_>,
    groups: &Groups<'_>,
    draft: &mut Draft,
    findings: &mut Findings,
) -> Option<String> {
    let at = &caller.env[variable].1;
    let mut value = value.to_owned();
    for (name, service) in names(caller, groups) {
        let Some(mention) = mention::find(variable, &value, name) else { continue };
        let Some((other, member)) = groups.find(service) else { continue };
        let said = format!("`{variable}` leads to `{service}`");
        if other.app == group.app {
            if member.service.name != caller.name {
                let instead =
                    "it is a process of the same app, and others are not reached; make it an app of its own";
                findings.lost(at, said, instead);
            }
            continue;
        }
        if !member.is_web() {
            findings.lost(
                at,
                format!("{said}, which is no `web` process"),
                "only those are reached by other apps",
            );
            continue;
        }
        let host = format!("{}.internal", other.app);
        match mention {
            Mention::Url { scheme, rest, is_whole }
                if matches!(scheme.as_str(), "http" | "https")
                    && is_whole
                    && matches!(rest.as_str(), "" | "/") =>
            {
                // The box's own port may not be 80: a link knows.
                link(draft, service, &other.app, Some(variable));
                return None;
            }
            Mention::Url { scheme, .. } if !matches!(scheme.as_str(), "http" | "https" | "ws" | "wss") => {
                let instead = "apps call each other by HTTP alone";
                findings.lost(at, format!("{said} by {scheme}"), instead);
                continue;
            }
            Mention::Url { .. } => {
                value = mention::replace(&value, name, &host)
                    .replace(&format!("https://{host}"), &format!("http://{host}"));
            }
            Mention::Address => {
                value = mention::replace(&value, name, &format!("{host}:80"));
            }
            Mention::Host => {
                value = mention::replace(&value, name, &host);
                let instead = "the port is that of the box's http, not the container's";
                findings.choice(at, format!("{said} at {host}"), instead);
            }
        }
        link(draft, service, &other.app, None);
        draft.remark(
            format!("env.{variable}"),
            format!("Was `{service}`. Add the box's port of http if that is not 80."),
        );
    }
    Some(value)
}

/// Has the apps that a service depends on be callable.
pub(super) fn dependencies(caller: &Service, group: &Group<'_>, groups: &Groups<'_>, draft: &mut Draft) {
    for depends in &caller.depends {
        if let Some((other, member)) = groups.find(&depends.name)
            && other.app != group.app
            && member.is_web()
        {
            link(draft, &depends.name, &other.app, None);
        }
    }
}

/// The names under which a service knows others, with what each is called.
pub(super) fn names<'n>(caller: &'n Service, groups: &'n Groups<'_>) -> Vec<(&'n str, &'n str)> {
    let services = groups.apps.iter().flat_map(Group::services).map(|service| service.name.as_str());
    let own = services.map(|name| (name, name));
    own.chain(caller.links.iter().map(|(alias, name)| (alias.as_str(), name.as_str()))).collect()
}

/// A link to the app; without a variable any that there is will do.
fn link(draft: &mut Draft, service: &str, app: &str, variable: Option<&str>) {
    let stem = label::of(service);
    let own = format!("{}_URL", stem.to_ascii_uppercase().replace('-', "_"));
    let has = |draft: &Draft, wanted: &str| draft.links.values().any(|(_, variable)| variable == wanted);
    match variable {
        None if draft.links.values().any(|(linked, _)| linked == app) => {}
        None => {
            draft.links.insert(stem, (app.to_owned(), own));
        }
        Some(variable) if !has(draft, variable) => {
            // One that came from `depends_on` alone gives way.
            draft.links.retain(|_, (linked, known)| linked != app || *known != own || variable == own);
            let key = if draft.links.contains_key(&stem) { label::of(variable) } else { stem };
            draft.links.insert(key, (app.to_owned(), variable.to_owned()));
        }
        Some(_) => {}
    }
}
