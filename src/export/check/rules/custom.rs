//! Kinds that are no part of Kubernetes: whoever installs them brings their schemas, so that there are rules alone here.
//!
//! They ask what every version of these kinds asks: the parts that have to be there, and how names are written.

use super::super::node::Node;
use super::super::report::Report;
use super::super::syntax;
use super::{Rule, exactly_one, port, word};

const KINDS: &[(&str, Rule)] = &[
    ("bitnami.com/v1alpha1/SealedSecret", sealed_secret),
    ("external-secrets.io/v1/ExternalSecret", external_secret),
    ("gateway.networking.k8s.io/v1/HTTPRoute", http_route),
    ("gateway.networking.k8s.io/v1alpha2/TCPRoute", tcp_route),
    ("traefik.io/v1alpha1/IngressRouteTCP", ingress_route_tcp),
    ("traefik.io/v1alpha1/Middleware", middleware),
    ("traefik.io/v1alpha1/ServersTransport", servers_transport),
    ("traefik.io/v1alpha1/TLSOption", tls_option),
];
/// What a filter of a route is, with the field that says how.
const FILTERS: &[(&str, &str)] = &[
    ("CORS", "cors"),
    ("ExtensionRef", "extensionRef"),
    ("RequestHeaderModifier", "requestHeaderModifier"),
    ("RequestMirror", "requestMirror"),
    ("RequestRedirect", "requestRedirect"),
    ("ResponseHeaderModifier", "responseHeaderModifier"),
    ("URLRewrite", "urlRewrite"),
];
/// What Traefik (v3) knows of connections to upstreams, and of those to itself.
const TRANSPORT_FIELDS: &[&str] = &[
    "certificatesSecrets",
    "disableHTTP2",
    "forwardingTimeouts",
    "insecureSkipVerify",
    "maxIdleConnsPerHost",
    "peerCertURI",
    "rootCAs",
    "rootCAsSecrets",
    "serverName",
    "spiffe",
];
const TLS_FIELDS: &[&str] = &[
    "alpnProtocols",
    "cipherSuites",
    "clientAuth",
    "curvePreferences",
    "disableSessionTickets",
    "maxVersion",
    "minVersion",
    "preferServerCipherSuites",
    "sniStrict",
];
const CLIENT_AUTH: &[&str] = &[
    "NoClientCert",
    "RequestClientCert",
    "RequireAndVerifyClientCert",
    "RequireAnyClientCert",
    "VerifyClientCertIfGiven",
];
/// What a route, a rule and a match may have (Gateway API, `HTTPRouteSpec`).
const HOSTS_MAX: usize = 16;
const RULES_MAX: usize = 16;
const BACKENDS_MAX: usize = 16;

/// The rule for objects of this kind; `None` if it is not known.
pub(in super::super) fn rule(kind: &str) -> Option<Rule> {
    KINDS.iter().find(|(known, _)| *known == kind).map(|(_, rule)| *rule)
}

fn http_route(root: &Node<'_>, report: &mut Report<'_>) {
    let Some(spec) = spec(root, report) else { return };
    only(&spec, &["hostnames", "parentRefs", "rules"], report);
    parents(&spec, report);
    let hosts = spec.items("hostnames");
    at_most(&spec, "hostnames", HOSTS_MAX, report);
    for host in &hosts {
        if let Some(text) = host.as_text().filter(|text| !syntax::is_host(text)) {
            report.server(&host.path, format!("is `{text}`, which is no host"));
        }
    }
    at_most(&spec, "rules", RULES_MAX, report);
    for rule in spec.items("rules") {
        only(
            &rule,
            &["backendRefs", "filters", "matches", "name", "retry", "sessionPersistence", "timeouts"],
            report,
        );
        for path in rule.items("matches").iter().filter_map(|one| one.get("path")) {
            let is_expression = path.text("type") == Some("RegularExpression");
            if !is_expression && path.text("value").is_some_and(|text| !text.starts_with('/')) {
                report.server(&path.at("value"), "has to begin with `/`");
            }
        }
        backends(&rule, report);
        filters(&rule, report);
    }
}

fn tcp_route(root: &Node<'_>, report: &mut Report<'_>) {
    let Some(spec) = spec(root, report) else { return };
    only(&spec, &["parentRefs", "rules"], report);
    parents(&spec, report);
    for rule in spec.items("rules") {
        only(&rule, &["backendRefs", "name"], report);
        backends(&rule, report);
    }
}

fn ingress_route_tcp(root: &Node<'_>, report: &mut Report<'_>) {
    let Some(spec) = spec(root, report) else { return };
    only(&spec, &["entryPoints", "routes", "tls"], report);
    if spec.items("routes").is_empty() {
        report.server(&spec.at("routes"), "is empty");
    }
    for route in spec.items("routes") {
        if route.text("match").is_none_or(str::is_empty) {
            report.server(&route.at("match"), "is missing");
        }
        for service in route.items("services") {
            word(&service, "name", syntax::is_service_name, syntax::SERVICE_NAME, report);
            port(&service, "port", report);
        }
    }
}

fn middleware(root: &Node<'_>, report: &mut Report<'_>) {
    let Some(spec) = spec(root, report) else { return };
    let length = spec.value.as_object().map_or(0, serde_json::Map::len);
    if length != 1 {
        report.server(&spec.path, format!("is {length} things; a middleware is one"));
    }
}

fn servers_transport(root: &Node<'_>, report: &mut Report<'_>) {
    let Some(spec) = spec(root, report) else { return };
    only(&spec, TRANSPORT_FIELDS, report);
    let Some(timeouts) = spec.get("forwardingTimeouts") else { return };
    only(
        &timeouts,
        &["dialTimeout", "idleConnTimeout", "pingTimeout", "readIdleTimeout", "responseHeaderTimeout"],
        report,
    );
}

fn tls_option(root: &Node<'_>, report: &mut Report<'_>) {
    let Some(spec) = spec(root, report) else { return };
    only(&spec, TLS_FIELDS, report);
    let Some(clients) = spec.get("clientAuth") else { return };
    only(&clients, &["clientAuthType", "secretNames"], report);
    if let Some(kind) = clients.text("clientAuthType").filter(|kind| !CLIENT_AUTH.contains(kind)) {
        report.server(
            &clients.at("clientAuthType"),
            format!("is `{kind}`; one of {}", syntax::listed(CLIENT_AUTH)),
        );
    }
}

fn sealed_secret(root: &Node<'_>, report: &mut Report<'_>) {
    let Some(spec) = spec(root, report) else { return };
    only(&spec, &["encryptedData", "template"], report);
    for (key, entry) in spec.entries("encryptedData") {
        if !syntax::is_config_key(key) {
            report.server(&entry.path, format!("is no key that can be; {}", syntax::CONFIG_KEY));
        }
        if !entry.as_text().is_some_and(syntax::is_base64) {
            report.server(&entry.path, "is not base64");
        }
    }
}

fn external_secret(root: &Node<'_>, report: &mut Report<'_>) {
    let Some(spec) = spec(root, report) else { return };
    only(
        &spec,
        &["data", "dataFrom", "refreshInterval", "refreshPolicy", "secretStoreRef", "target"],
        report,
    );
    let store = spec.get("secretStoreRef");
    if store.and_then(|store| store.text("name").map(str::to_owned)).is_none_or(|name| name.is_empty()) {
        report.server(&spec.at("secretStoreRef.name"), "is missing");
    }
    for entry in spec.items("data") {
        word(&entry, "secretKey", syntax::is_config_key, syntax::CONFIG_KEY, report);
        for (field, is_there) in [
            ("secretKey", entry.text("secretKey").is_some()),
            ("remoteRef.key", entry.find(&["remoteRef", "key"]).is_some()),
        ] {
            if !is_there {
                report.server(&entry.at(field), "is missing");
            }
        }
    }
}

fn spec<'a>(root: &Node<'a>, report: &mut Report<'_>) -> Option<Node<'a>> {
    only(root, &["apiVersion", "kind", "metadata", "spec"], report);
    let spec = root.get("spec");
    if spec.is_none() {
        report.server("spec", "is missing");
    }
    spec
}

/// To which Gateway a route belongs.
fn parents(spec: &Node<'_>, report: &mut Report<'_>) {
    if spec.items("parentRefs").is_empty() {
        report.server(&spec.at("parentRefs"), "is empty; the route would belong to no Gateway");
    }
    for parent in spec.items("parentRefs") {
        if parent.text("name").is_none() {
            report.server(&parent.at("name"), "is missing");
        }
        word(&parent, "namespace", syntax::is_dns_label, syntax::DNS_LABEL, report);
        port(&parent, "port", report);
    }
}

fn backends(rule: &Node<'_>, report: &mut Report<'_>) {
    at_most(rule, "backendRefs", BACKENDS_MAX, report);
    for backend in rule.items("backendRefs") {
        word(&backend, "name", syntax::is_service_name, syntax::SERVICE_NAME, report);
        for key in ["name", "port"].into_iter().filter(|key| !backend.has(key)) {
            report.server(&backend.at(key), "is missing");
        }
        port(&backend, "port", report);
    }
}

fn filters(rule: &Node<'_>, report: &mut Report<'_>) {
    for filter in rule.items("filters") {
        let kind = filter.text("type").unwrap_or_default();
        let Some((_, field)) = FILTERS.iter().find(|(known, _)| *known == kind) else {
            report.server(&filter.at("type"), format!("is `{kind}`, which is no filter"));
            continue;
        };
        let fields: Vec<_> = FILTERS.iter().map(|(_, field)| *field).collect();
        exactly_one(&filter, &fields, report);
        if !filter.has(field) {
            report.server(&filter.at(field), "is missing, which `type` says");
        }
    }
    let is = |field: &str| rule.items("filters").iter().any(|filter| filter.has(field));
    if is("requestRedirect") && (is("urlRewrite") || !rule.items("backendRefs").is_empty()) {
        report.server(&rule.at("filters"), "has a redirect, which goes with neither a rewrite nor a backend");
    }
}

fn at_most(node: &Node<'_>, key: &str, most: usize, report: &mut Report<'_>) {
    let length = node.items(key).len();
    if length > most {
        report.server(&node.at(key), format!("has {length} items; at most {most}"));
    }
}

/// No other fields than these.
fn only(node: &Node<'_>, known: &[&str], report: &mut Report<'_>) {
    for (key, _) in node.value.as_object().into_iter().flatten() {
        if !known.contains(&key.as_str()) {
            report.server(&node.at(key), "is no field that there is");
        }
    }
}
