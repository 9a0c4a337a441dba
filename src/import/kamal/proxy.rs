//! `proxy`: hosts, port, health check and limits of requests.

use std::time::Duration;

use super::super::draft::{Ask, Draft, Probe, Route};
use super::super::findings::Findings;
use super::super::node::{Node, Section};
use super::super::write;
use crate::manifest::Bytes;
use crate::name::Host;

/// What kamal-proxy does when nothing is said.
const APP_PORT: u16 = 80;
const HEALTH_PATH: &str = "/up";

pub(super) fn read(node: Option<&Node>, draft: &mut Draft, findings: &mut Findings) {
    let Some(node) = node.filter(|node| !node.is_null()) else {
        draft.process("web").port = Some(APP_PORT);
        draft.process("web").ready = Some(Probe::new(Ask::Http(HEALTH_PATH.to_owned())));
        draft.remark("process.web", "Kamal's defaults: port 80, and ready when /up answers.");
        return;
    };
    let mut section = Section::new("`proxy`", node, findings);
    let mut hosts = section.take("host").map(|node| node.strings("`host`", findings)).unwrap_or_default();
    hosts.extend(section.take("hosts").map(|node| node.strings("`hosts`", findings)).unwrap_or_default());
    let prefix = section.take("path_prefix").or_else(|| section.take("path_prefixes"));
    let paths = prefix.map(|node| node.strings("`path_prefix`", findings)).unwrap_or_default();
    let strip =
        section.take("strip_path_prefix").and_then(|node| node.boolean("`strip_path_prefix`", findings));
    for (host, at) in &hosts {
        if let Err(error) = host.parse::<Host>() {
            findings.problem(at, error.to_string());
            continue;
        }
        let paths: Vec<_> = if paths.is_empty() {
            vec![None]
        } else {
            paths.iter().map(|(path, _)| Some(path.clone())).collect()
        };
        for path in paths {
            // kamal-proxy takes a prefix off unless it is told not to.
            let strip_prefix = path.is_some() && strip != Some(false);
            draft.routes.push(Route {
                host: Some(host.clone()),
                path,
                process: "web".to_owned(),
                strip_prefix,
            });
        }
    }
    let port =
        section.take("app_port").and_then(|node| node.port("`app_port`", findings)).unwrap_or(APP_PORT);
    let redirect = section.take("ssl_redirect").and_then(|node| node.boolean("`ssl_redirect`", findings));
    if let Some((key, node)) = section.take_key("ssl") {
        if node.map().is_some() {
            let instead = "`minipaas certs add` brings a certificate of one's own";
            findings.lost(&key.at, "the certificate of `ssl`", instead);
        } else if node.scalar().as_deref() == Some("false") {
            draft.remark(
                "proxy.https_redirect",
                "`ssl` was off: something in front of the proxy spoke https, perhaps.",
            );
            draft.proxy.push(("https_redirect", "false".to_owned()));
        }
    }
    if redirect == Some(false) && !draft.proxy.iter().any(|(key, _)| *key == "https_redirect") {
        draft.proxy.push(("https_redirect", "false".to_owned()));
    }
    let check = section.take("healthcheck");
    let ready = health(check, findings);
    if let Some(timeout) =
        section.take("response_timeout").and_then(|node| span(node, "`response_timeout`", findings))
    {
        draft.proxy.push(("first_byte_timeout", write::time(timeout)));
    }
    if let Some(node) = section.take("buffering") {
        buffering(node, draft, findings);
    }
    if let Some(node) = section.take("logging") {
        let mut inner = Section::new("`logging` of `proxy`", node, findings);
        for key in ["request_headers", "response_headers"] {
            inner.lose(key, "`log` in [proxy] names headers", findings);
        }
        inner.finish(findings);
    }
    if section.take("forward_headers").is_some_and(|node| node.scalar().as_deref() == Some("true")) {
        let instead = "`trusted_proxies` of the server says whose headers are believed";
        findings.lost(&section.at, "`forward_headers` of `proxy`", instead);
    }
    section.lose("maintenance_path", "`minipaas maintenance on --page FILE`", findings);
    section.lose("error_pages_path", "`error_pages` in [proxy] names files", findings);
    section.lose("run", "minipaas is the proxy", findings);
    section.lose("loadbalancer", "a box is one host", findings);
    section.finish(findings);
    let web = draft.process("web");
    (web.port, web.ready) = (Some(port), Some(ready));
}

fn health(node: Option<&Node>, findings: &mut Findings) -> Probe {
    let mut probe = Probe::new(Ask::Http(HEALTH_PATH.to_owned()));
    let Some(node) = node else { return probe };
    let mut section = Section::new("`healthcheck` of `proxy`", node, findings);
    if let Some(path) = section.take("path").and_then(|node| node.string("`path`", findings)) {
        probe.ask = Ask::Http(if path.starts_with('/') { path } else { format!("/{path}") });
    }
    probe.interval = section.take("interval").and_then(|node| span(node, "`interval`", findings));
    probe.timeout = section.take("timeout").and_then(|node| span(node, "`timeout`", findings));
    section.finish(findings);
    probe
}

/// Seconds, or a duration with its unit.
fn span(node: &Node, what: &str, findings: &mut Findings) -> Option<Duration> {
    let text = node.string(what, findings)?;
    if let Ok(seconds) = text.parse::<u32>()
        && (1..=86_400).contains(&seconds)
    {
        return Some(Duration::from_secs(seconds.into()));
    }
    match crate::manifest::duration(&text) {
        Ok(span) if !span.is_zero() => Some(span),
        _ => {
            findings.problem(&node.at, format!("{what} is `{text}`; it takes seconds, such as `30`"));
            None
        }
    }
}

fn buffering(node: &Node, draft: &mut Draft, findings: &mut Findings) {
    let mut section = Section::new("`buffering` of `proxy`", node, findings);
    for (key, own) in [("requests", "buffer_requests"), ("responses", "buffer_responses")] {
        if section.take(key).and_then(|node| node.boolean(&format!("`{key}`"), findings)) == Some(true) {
            draft.proxy.push((own, "true".to_owned()));
        }
    }
    if let Some(bytes) = section
        .take("max_request_body")
        .and_then(|node| node.count("`max_request_body`", (0, u32::MAX), findings))
        && bytes > 0
    {
        draft.proxy.push(("body_max", write::string(&Bytes(bytes.into()).to_string())));
    }
    section.lose("max_response_body", "responses have no limit", findings);
    section.take("memory");
    section.finish(findings);
}
