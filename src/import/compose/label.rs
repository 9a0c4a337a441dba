//! Labels that say how a service is reached or run: those of kompose, Traefik and caddy-docker-proxy, as far as they are plain.

use std::collections::BTreeMap;

use super::super::draft::{Ask, Probe};
use super::super::findings::{Findings, Place};
use super::super::write;
use super::service::Service;
use crate::name::Host;

/// What the labels of a service come to.
#[derive(Debug, Default)]
pub(super) struct Labels {
    /// Hosts and paths.
    pub(super) routes: Vec<(Option<String>, Option<String>)>,
    /// Whether it is to be reached at the app's own host.
    pub(super) is_exposed: bool,
    pub(super) port: Option<u16>,
    pub(super) schedule: Option<String>,
    pub(super) autoscale: Vec<(&'static str, String)>,
    pub(super) ready: Option<Probe>,
    pub(super) live: Option<Probe>,
    /// Whether what is unhealthy is to be restarted.
    pub(super) is_healed: bool,
}

/// Reads them; what is no plain route is named as not carried.
pub(super) fn read(service: &Service, findings: &mut Findings) -> Labels {
    let mut labels = Labels::default();
    let mut lost: Option<(Place, Vec<&str>)> = None;
    let mut hpa = BTreeMap::new();
    let mut probes: [(Option<String>, Option<u16>); 2] = Default::default();
    for (name, (value, at)) in service.labels.iter().chain(&service.deploy.labels) {
        let key = name.as_str();
        let is_known = if let Some(key) = key.strip_prefix("kompose.hpa.") {
            hpa.insert(key, (value, at));
            true
        } else if let Some(key) = key.strip_prefix("kompose.service.healthcheck.") {
            let (probe, rest) = match key.split_once('.') {
                Some(("readiness", rest)) => (&mut probes[0], rest),
                Some((_, rest)) => (&mut probes[1], rest),
                None => (&mut probes[1], ""),
            };
            match rest {
                "http_get_path" => probe.0 = Some(value.clone()),
                "http_get_port" | "tcp_port" => probe.1 = value.parse().ok(),
                _ => {}
            }
            matches!(rest, "http_get_path" | "http_get_port" | "tcp_port")
        } else if key.starts_with("traefik.") {
            traefik(key, value, at, &mut labels, findings)
        } else {
            plain(key, value, &mut labels)
        };
        if !is_known {
            lost.get_or_insert_with(|| (at.clone(), Vec::new())).1.push(key);
        }
    }
    autoscale(&hpa, &mut labels);
    let [ready, live] = probes.map(|(path, port)| {
        let ask = path.map(Ask::Http).or(port.map(|_| Ask::Tcp))?;
        Some(Probe { port, ..Probe::new(ask) })
    });
    (labels.ready, labels.live) = (ready, live);
    labels.routes.retain(|(host, _)| match host.as_deref().map(str::parse::<Host>) {
        Some(Err(error)) => {
            findings.lost(&service.at, format!("a route of `{}`: {error}", service.name), "");
            false
        }
        _ => true,
    });
    if let Some((at, names)) = lost {
        let names = names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
        let instead = "containers get minipaas's own; [proxy] and [[route]] say how requests are treated";
        findings.lost(&at, format!("labels of `{}`: {names}", service.name), instead);
    }
    labels
}

/// Labels without a family; whether this is one.
fn plain(key: &str, value: &str, labels: &mut Labels) -> bool {
    match key {
        "kompose.service.expose" => match value.trim() {
            "true" => labels.is_exposed = true,
            "false" | "" => {}
            hosts => labels.routes.extend(hosts.split(',').map(|host| split_host(host.trim()))),
        },
        "kompose.cronjob.schedule" => labels.schedule = Some(value.to_owned()),
        // What kompose does with them is what happens here: a box is one host, and looks after its volumes.
        "kompose.service.type" | "kompose.service.nodeport.port" | "kompose.controller.type" => {}
        "kompose.service.expose.tls-secret" | "kompose.service.expose.ingress-class-name" => {}
        "kompose.volume.size" | "kompose.volume.storage-class-name" | "kompose.image-pull-policy" => {}
        "caddy" => labels.routes.extend(value.split([',', ' ']).filter(|h| !h.is_empty()).map(split_host)),
        "autoheal" => labels.is_healed = value == "true",
        "io.containers.autoupdate" | "com.centurylinklabs.watchtower.enable" => {}
        key if key.starts_with("org.opencontainers.") || key.starts_with("com.docker.compose.") => {}
        _ => return false,
    }
    true
}

/// `a.com/path`, also behind a scheme.
fn split_host(text: &str) -> (Option<String>, Option<String>) {
    let bare = text.split_once("://").map_or(text, |(_, rest)| rest);
    let (host, path) = bare.split_once('/').unwrap_or((bare, ""));
    let host = host.split(':').next().unwrap_or(host);
    let path = path.trim_end_matches('*').trim_end_matches('/');
    let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    (some(host), some(path).map(|path| format!("/{path}")))
}

/// Whether the label is carried, or says what is so anyway.
fn traefik(key: &str, value: &str, at: &Place, labels: &mut Labels, findings: &mut Findings) -> bool {
    let parts: Vec<_> = key.split('.').collect();
    match parts.as_slice() {
        ["traefik", "http", "routers", _, "rule"] => {
            let routes = rule(value);
            if routes.is_none() {
                findings.lost(
                    at,
                    format!("Traefik's rule `{value}`"),
                    "write it as [[route]], with `host` and `path`",
                );
            }
            labels.routes.extend(routes.unwrap_or_default());
            true
        }
        ["traefik", "http", "services", _, "loadbalancer", "server", "port"] => {
            labels.port = value.parse().ok();
            labels.port.is_some()
        }
        ["traefik", "enable"] | ["traefik", "docker", "network"] => true,
        // https is for every host.
        ["traefik", "http", "routers", _, "tls" | "entrypoints" | "service" | "priority"] => true,
        ["traefik", "http", "routers", _, "tls", "certresolver"] => true,
        _ => false,
    }
}

/// The hosts and paths of a rule made of `Host`, `PathPrefix`, `&&` and `||`; `None` for any other.
fn rule(rule: &str) -> Option<Vec<(Option<String>, Option<String>)>> {
    let mut routes = Vec::new();
    for alternative in rule.split("||") {
        let (mut hosts, mut paths) = (Vec::new(), Vec::new());
        for part in alternative.trim().trim_matches(['(', ')']).split("&&") {
            let (name, values) = part.trim().split_once('(')?;
            let values =
                values.trim_end_matches(')').split(',').map(|v| v.trim().trim_matches(['`', '"', '\'']));
            match name.trim() {
                "Host" => hosts.extend(values.map(str::to_owned)),
                "PathPrefix" | "Path" => {
                    paths.extend(values.map(|path| path.trim_end_matches('/').to_owned()));
                }
                _ => return None,
            }
        }
        if hosts.is_empty() {
            return None;
        }
        for host in hosts {
            if paths.is_empty() {
                routes.push((Some(host.clone()), None));
            }
            let with_path = |path: &String| (Some(host.clone()), (!path.is_empty()).then(|| path.clone()));
            routes.extend(paths.iter().map(with_path));
        }
    }
    Some(routes)
}

fn autoscale(hpa: &BTreeMap<&str, (&String, &Place)>, labels: &mut Labels) {
    let number = |key: &str| hpa.get(key).and_then(|(value, _)| value.parse::<u32>().ok());
    let (min, max) = (number("replicas.min"), number("replicas.max"));
    if hpa.is_empty() {
        return;
    }
    // The numbers of kompose where nothing is said.
    labels.autoscale = vec![
        ("min", min.unwrap_or(1).max(1).to_string()),
        ("max", max.unwrap_or(3).max(min.unwrap_or(1)).max(1).to_string()),
        ("cpu", write::string(&format!("{}%", number("cpu").unwrap_or(50).clamp(1, 100)))),
    ];
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_rules_of_traefik_are_routes() {
        let check = |text: &str, expected: &str| {
            let told = rule(text).map_or("none".to_owned(), |routes| {
                let shown = routes
                    .into_iter()
                    .map(|(host, path)| host.unwrap_or_default() + &path.unwrap_or_default());
                shown.collect::<Vec<_>>().join(" ")
            });
            assert_eq!(told, expected, "{text}");
        };
        check("Host(`a.com`)", "a.com");
        check("Host(`a.com`, `b.com`) && PathPrefix(`/x/`)", "a.com/x b.com/x");
        check("(Host(`a.com`) && PathPrefix(`/x`)) || Host(`b.com`)", "a.com/x b.com");
        check("HostRegexp(`.+`)", "none");
        check("PathPrefix(`/`)", "none");
        check("", "none");
    }
}
