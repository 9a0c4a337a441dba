//! `[[port]]`: a TCP port of the box that leads to a process as it is, without HTTP.

use std::collections::BTreeSet;

use super::PortRule;
use super::read::{Entry, Report};
use super::schema::References;
use crate::policy::ProxyVersion;

/// Where minipaas serves HTTP by default: 80 and 443 where it may listen there, else the others.
const HTTP_PORTS: [u16; 4] = [80, 443, 8080, 8443];

/// Reads all of them; two must not listen at the same port.
pub(super) fn rules(
    entry: &Entry<'_>,
    references: &mut References,
    report: &mut Report<'_>,
) -> Vec<PortRule> {
    let mut taken = BTreeSet::new();
    let tables = entry.tables(report, "[[port]]");
    tables
        .into_iter()
        .filter_map(|(at, mut table)| {
            let listen = match table.take("port") {
                Some(entry) => listen(&entry, &mut taken, report),
                None => {
                    let hint = Some("add one, such as `port = 5432`".to_owned());
                    report.problem(&at, "a [[port]] has no `port`".to_owned(), hint);
                    None
                }
            };
            let process = references.process(&mut table, &at, "a port", report);
            let target = table.take("target").and_then(|entry| entry.port(report));
            let send_proxy = table.take("proxy_protocol").and_then(|entry| proxy_version(&entry, report));
            let accept_proxy = table.take("accept_proxy_protocol").and_then(|entry| entry.boolean(report));
            let drain = table.take("drain").and_then(|entry| entry.duration(report));
            table.finish(report);
            Some(PortRule {
                listen: listen?,
                process,
                port: target,
                send_proxy,
                accept_proxy: accept_proxy.unwrap_or(false),
                drain,
            })
        })
        .collect()
}

fn listen(entry: &Entry<'_>, taken: &mut BTreeSet<u16>, report: &mut Report<'_>) -> Option<u16> {
    let port = entry.port(report)?;
    if HTTP_PORTS.contains(&port) {
        let hint = Some("a [[route]] leads there; for plain TCP choose another port".to_owned());
        report.problem(&entry.span(), format!("port {port} is kept for http and https"), hint);
        return None;
    }
    if !taken.insert(port) {
        report.problem(&entry.span(), format!("port {port} stands here twice; keep one [[port]]"), None);
        return None;
    }
    Some(port)
}

fn proxy_version(entry: &Entry<'_>, report: &mut Report<'_>) -> Option<ProxyVersion> {
    entry.one_of(report, &[("v1", ProxyVersion::V1), ("v2", ProxyVersion::V2)])
}
