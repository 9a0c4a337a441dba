//! What leads to pods, and who may: Services, Ingresses, NetworkPolicies, EndpointSlices.

use std::net::IpAddr;

use ipnet::IpNet;
use serde_json::Value;

use super::super::node::Node;
use super::super::report::Report;
use super::super::syntax;
use super::{exactly_one, metadata, port, port_or_name, word};

/// Parts of a path that an Ingress refuses, whatever they may mean.
const PATH_REFUSED: &[&str] = &["//", "/./", "/../", "%2f", "%2F"];
/// How many endpoints a slice has at most.
const ENDPOINTS_MAX: usize = 1000;

/// The `spec` of a Service.
pub(super) fn service(node: &Node<'_>, report: &mut Report<'_>) {
    let ports = node.items("ports");
    let is_external = node.text("type") == Some("ExternalName");
    if ports.is_empty() && !is_external && node.text("clusterIP") != Some("None") {
        report.server(&node.at("ports"), "is empty");
    }
    if is_external && !node.text("externalName").is_some_and(syntax::is_dns_subdomain) {
        report.server(&node.at("externalName"), format!("is missing, or no name; {}", syntax::DNS_SUBDOMAIN));
    }
    for (index, item) in ports.iter().enumerate() {
        port(item, "port", report);
        port_or_name(item, "targetPort", report);
        word(item, "name", syntax::is_dns_label, syntax::DNS_LABEL, report);
        let name = item.text("name");
        if name.is_none() && ports.len() > 1 {
            report.server(&item.at("name"), "is missing; of several ports each has one");
        }
        if name.is_some() && ports[..index].iter().any(|other| other.text("name") == name) {
            report.server(
                &item.at("name"),
                format!("is `{}`, as that of another port", name.unwrap_or_default()),
            );
        }
    }
    metadata::labels(node, "selector", report);
}

/// The `spec` of an Ingress.
pub(super) fn ingress(node: &Node<'_>, report: &mut Report<'_>) {
    let rules = node.items("rules");
    if rules.is_empty() && !node.has("defaultBackend") {
        report.server(&node.path, "has neither `rules` nor a `defaultBackend`");
    }
    word(node, "ingressClassName", syntax::is_dns_subdomain, syntax::DNS_SUBDOMAIN, report);
    for rule in &rules {
        host(rule.get("host").as_ref(), report);
        for path in rule.get("http").map(|http| http.items("paths")).unwrap_or_default() {
            let text = path.text("path").unwrap_or_default();
            let is_free = path.text("pathType") == Some("ImplementationSpecific");
            let is_nothing = is_free && text.is_empty();
            if !is_nothing && !text.starts_with('/') {
                report.server(&path.at("path"), format!("is `{text}`; it begins with `/`"));
            }
            let refused = PATH_REFUSED.iter().find(|part| text.contains(**part));
            if let Some(part) = refused.filter(|_| !is_free) {
                report.server(&path.at("path"), format!("is `{text}`; it has no `{part}`"));
            }
        }
    }
    for tls in node.items("tls") {
        for name in tls.items("hosts") {
            host(Some(&name), report);
        }
        word(&tls, "secretName", syntax::is_dns_subdomain, syntax::DNS_SUBDOMAIN, report);
    }
}

/// Where a path of an Ingress leads.
pub(super) fn ingress_backend(node: &Node<'_>, report: &mut Report<'_>) {
    exactly_one(node, &["resource", "service"], report);
    let Some(service) = node.get("service") else { return };
    word(&service, "name", syntax::is_service_name, syntax::SERVICE_NAME, report);
    match service.get("port") {
        Some(target) => {
            exactly_one(&target, &["name", "number"], report);
            port(&target, "number", report);
            word(&target, "name", syntax::is_port_name, syntax::PORT_NAME, report);
        }
        None => report.server(&service.at("port"), "is missing"),
    }
}

/// The `spec` of a NetworkPolicy.
pub(super) fn policy(node: &Node<'_>, report: &mut Report<'_>) {
    let types = node.items("policyTypes");
    for kind in &types {
        if let Some(text) = kind.as_text().filter(|text| !matches!(*text, "Egress" | "Ingress")) {
            report.server(&kind.path, format!("is `{text}`; one of `Egress`, `Ingress`"));
        }
    }
    let is_said = |name: &str| types.iter().any(|kind| kind.as_text() == Some(name));
    if !types.is_empty() && !node.items("egress").is_empty() && !is_said("Egress") {
        report.server(&node.at("egress"), "is of no effect, as `policyTypes` does not have `Egress`");
    }
}

/// From whom, or to whom.
pub(super) fn peer(node: &Node<'_>, report: &mut Report<'_>) {
    match node.among(&["ipBlock", "namespaceSelector", "podSelector"]).as_slice() {
        [] => report
            .server(&node.path, "names nobody; it takes `ipBlock`, `namespaceSelector` or `podSelector`"),
        ["ipBlock", _, ..] => report.server(&node.at("ipBlock"), "goes with no selector"),
        _ => {}
    }
}

/// At which port.
pub(super) fn policy_port(node: &Node<'_>, report: &mut Report<'_>) {
    port_or_name(node, "port", report);
    let Some(end) = node.number("endPort") else { return };
    match node.number("port") {
        Some(first) if first <= end => {}
        _ => report.server(&node.at("endPort"), format!("is {end}; it is not less than `port`, a number")),
    }
}

/// A network, with others in it that do not count.
pub(super) fn ip_block(node: &Node<'_>, report: &mut Report<'_>) {
    let network = |text: &str| text.parse::<IpNet>().ok();
    let outer = node.text("cidr").and_then(network);
    if outer.is_none() {
        report.server(&node.at("cidr"), "is no network such as `10.0.0.0/8`");
    }
    for inner in node.items("except") {
        let parsed = inner.as_text().and_then(network);
        let is_within =
            outer.zip(parsed).is_some_and(|(outer, inner)| outer != inner && outer.contains(&inner));
        if !is_within {
            report.server(&inner.path, "is no network within `cidr`");
        }
    }
}

/// An EndpointSlice.
pub(super) fn endpoints(node: &Node<'_>, report: &mut Report<'_>) {
    let endpoints = node.items("endpoints");
    if endpoints.len() > ENDPOINTS_MAX {
        report
            .server(&node.at("endpoints"), format!("has {} items; at most {ENDPOINTS_MAX}", endpoints.len()));
    }
    for item in node.items("ports") {
        port(&item, "port", report);
    }
    let is_right: fn(&str) -> bool = match node.text("addressType") {
        Some("IPv4") => {
            |text| text.parse::<IpAddr>().is_ok_and(|address| address.is_ipv4() && is_reachable(address))
        }
        Some("IPv6") => {
            |text| text.parse::<IpAddr>().is_ok_and(|address| address.is_ipv6() && is_reachable(address))
        }
        _ => syntax::is_dns_subdomain,
    };
    for endpoint in &endpoints {
        if endpoint.value.get("addresses").and_then(Value::as_array).is_some_and(Vec::is_empty) {
            report.server(&endpoint.at("addresses"), "is empty");
        }
        for address in endpoint.items("addresses") {
            if let Some(text) = address.as_text().filter(|text| !is_right(text)) {
                report.server(
                    &address.path,
                    format!("is `{text}`, which is no address of the `addressType` that pods may reach"),
                );
            }
        }
    }
}

/// The server refuses what would lead back to a node itself.
fn is_reachable(address: IpAddr) -> bool {
    let is_link_local = match address {
        IpAddr::V4(address) => address.is_link_local(),
        IpAddr::V6(address) => address.is_unicast_link_local(),
    };
    !(address.is_loopback() || address.is_unspecified() || address.is_multicast() || is_link_local)
}

fn host(node: Option<&Node<'_>>, report: &mut Report<'_>) {
    let Some((node, text)) = node.and_then(|node| Some((node, node.as_text()?))) else { return };
    if !text.is_empty() && !syntax::is_host(text) {
        report.server(
            &node.path,
            format!("is `{text}`, which is no host; a DNS name in lower case, or `*.` and one"),
        );
    }
}
