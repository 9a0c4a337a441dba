//! `[http_service]` and `[[services]]`: what is served, where, and when it is ready.

use super::super::draft::{Ask, Draft, Port, Probe};
use super::super::findings::Findings;
use super::super::node::{Node, Section};
use super::{Names, seconds, tables};

/// The ports at which the box itself listens.
const HTTP_PORTS: [u32; 4] = [80, 443, 8080, 8443];
/// What Fly has an app listen on when nothing is said.
const PORT: u16 = 8080;

pub(super) fn read(section: &mut Section<'_>, names: &Names, draft: &mut Draft, findings: &mut Findings) {
    for (_, node) in tables(section, "http_service") {
        http(&node, names, draft, findings);
    }
    for (_, node) in tables(section, "services") {
        service(&node, names, draft, findings);
    }
    if let Some(node) = section.take("checks") {
        for (key, node) in node.map().unwrap_or_default() {
            let node = Node { at: key.at.clone(), ..node.clone() };
            let about = names.about(node.get("processes"), findings);
            let Some(probe) = check(&node, None, findings) else { continue };
            for name in about {
                add(draft, &name, probe.clone(), &node, findings);
            }
        }
    }
}

fn http(node: &Node, names: &Names, draft: &mut Draft, findings: &mut Findings) {
    let mut section = Section::new("[http_service]", node, findings);
    let port = section.take("internal_port").and_then(|node| node.port("`internal_port`", findings));
    let about = section.take("processes");
    let process = names.about(about, findings).into_iter().next().unwrap_or_else(|| "web".to_owned());
    draft.process(&process).port = Some(port.unwrap_or(PORT));
    let force = section.take("force_https").and_then(|node| node.boolean("`force_https`", findings));
    if force != Some(true) {
        draft.remark("proxy.https_redirect", "`force_https` was not on.");
        draft.proxy.push(("https_redirect", "false".to_owned()));
    }
    for node in section.take("checks").and_then(Node::list).unwrap_or_default() {
        if let Some(probe) = check(node, Some("http"), findings) {
            add(draft, &process, probe, node, findings);
        }
    }
    concurrency(section.take("concurrency"), draft, findings);
    machines(&mut section, findings);
    section.lose("tls_options", "[tls] says which versions are spoken", findings);
    section.lose("http_options", "[proxy] says how requests are treated", findings);
    section.finish(findings);
}

fn service(node: &Node, names: &Names, draft: &mut Draft, findings: &mut Findings) {
    let mut section = Section::new("[[services]]", node, findings);
    let port =
        section.take("internal_port").and_then(|node| node.port("`internal_port`", findings)).unwrap_or(PORT);
    let protocol = section.take("protocol").and_then(Node::scalar).unwrap_or_else(|| "tcp".to_owned());
    let about = section.take("processes");
    let process = names.about(about, findings).into_iter().next().unwrap_or_else(|| "web".to_owned());
    if protocol == "udp" {
        findings.lost(
            &node.at,
            format!("the service at port {port}, which is UDP"),
            "run it beside minipaas",
        );
    }
    let mut is_http = false;
    for node in section.take("ports").and_then(Node::list).unwrap_or_default() {
        let mut ports = Section::new("[[services.ports]]", node, findings);
        let listen = ports.take("port").and_then(|node| node.count("`port`", (1, 65_535), findings));
        let handlers =
            ports.take("handlers").map(|node| node.strings("`handlers`", findings)).unwrap_or_default();
        let force = ports.take("force_https").and_then(|node| node.boolean("`force_https`", findings));
        ports.lose("start_port", "a [[port]] is one port", findings);
        ports.lose("end_port", "a [[port]] is one port", findings);
        for key in ["tls_options", "http_options", "proxy_proto_options"] {
            ports.lose(key, "[proxy] and [[port]] say how traffic is treated", findings);
        }
        ports.finish(findings);
        let has = |name: &str| handlers.iter().any(|(handler, _)| handler == name);
        if has("http") {
            is_http = true;
            if !has("tls")
                && force != Some(true)
                && !draft.proxy.iter().any(|(key, _)| *key == "https_redirect")
            {
                draft.remark("proxy.https_redirect", "`force_https` was not on.");
                draft.proxy.push(("https_redirect", "false".to_owned()));
            }
        } else if let Some(listen) = listen.filter(|_| protocol != "udp") {
            if HTTP_PORTS.contains(&listen) || has("tls") {
                let instead =
                    "a [[port]] leads on what comes, without TLS, at any port but those of http and https";
                findings.lost(&node.at, format!("port {listen}"), instead);
            } else if let Ok(listen) = u16::try_from(listen) {
                draft.ports.push(Port { port: listen, process: process.clone(), target: port });
            }
        }
    }
    let entry = draft.process(&process);
    if is_http {
        entry.port = Some(port);
    }
    for (key, kind) in [("http_checks", "http"), ("tcp_checks", "tcp")] {
        for node in section.take(key).and_then(Node::list).unwrap_or_default() {
            if let Some(mut probe) = check(node, Some(kind), findings) {
                probe.port = probe.port.or((!is_http).then_some(port));
                add(draft, &process, probe, node, findings);
            }
        }
    }
    concurrency(section.take("concurrency"), draft, findings);
    machines(&mut section, findings);
    section.lose("script_checks", "a probe's `command` runs in the container", findings);
    section.finish(findings);
}

/// The first check of a process is when it is ready.
fn add(draft: &mut Draft, process: &str, probe: Probe, node: &Node, findings: &mut Findings) {
    let ready = &mut draft.process(process).ready;
    if ready.is_none() {
        *ready = Some(probe);
    } else {
        findings.lost(
            &node.at,
            format!("another check of `{process}`"),
            "a process is ready by one; `live` may be another",
        );
    }
}

/// Machines that stop by themselves.
fn machines(section: &mut Section<'_>, findings: &mut Findings) {
    section.lose(
        "auto_stop_machines",
        "instances go on running; `minipaas autoscale` changes their number",
        findings,
    );
    section.take("auto_start_machines");
    section.take("min_machines_running");
}

/// A soft limit is where balancing begins, which it does from the first request; a hard limit is a limit.
fn concurrency(node: Option<&Node>, draft: &mut Draft, findings: &mut Findings) {
    let Some(node) = node else { return };
    let mut section = Section::new("`concurrency`", node, findings);
    let kind = section.take("type").and_then(Node::scalar);
    let hard =
        section.take("hard_limit").and_then(|node| node.count("`hard_limit`", (1, 1_000_000), findings));
    section.take("soft_limit");
    section.finish(findings);
    if let Some(hard) = hard
        && !draft.proxy.iter().any(|(key, _)| *key == "max_connections")
    {
        if kind.as_deref() != Some("requests") {
            draft.remark("proxy.max_connections", "Fly counted connections; these are requests.");
        }
        draft.proxy.push(("max_connections", hard.to_string()));
    }
}

/// A check as a probe.
fn check(node: &Node, kind: Option<&str>, findings: &mut Findings) -> Option<Probe> {
    let mut section = Section::new("a check", node, findings);
    let said = section.take("type").and_then(Node::scalar);
    let path = section.take("path").and_then(Node::scalar);
    let ask = match said.as_deref().or(kind) {
        Some("tcp") => Ask::Tcp,
        _ => Ask::Http(path.unwrap_or_else(|| "/".to_owned())),
    };
    let mut probe = Probe::new(ask);
    probe.port = section.take("port").and_then(|node| node.port("`port` of a check", findings));
    probe.interval = section.take("interval").and_then(|node| seconds(node, "`interval`", findings));
    probe.timeout = section.take("timeout").and_then(|node| seconds(node, "`timeout`", findings));
    let grace = section.take("grace_period").and_then(|node| seconds(node, "`grace_period`", findings));
    // Less than the default would fail what takes its time here.
    probe.deadline = grace.filter(|grace| grace.as_secs() > 60);
    section.take("processes");
    section.lose("restart_limit", "`live` of a process restarts it", findings);
    section.lose("headers", "a probe sends none of its own", findings);
    section.lose("tls_skip_verify", "probes speak plain HTTP", findings);
    if let Some((key, node)) = section.take_key("method")
        && !node.scalar().is_some_and(|method| method.eq_ignore_ascii_case("get"))
    {
        findings.lost(&key.at, format!("method {} of a check", node.shown()), "probes are GET");
    }
    if let Some((key, node)) = section.take_key("protocol")
        && node.scalar().as_deref() == Some("https")
    {
        findings.lost(&key.at, "that a check speaks https", "probes speak plain HTTP");
    }
    section.finish(findings);
    Some(probe)
}
