//! Apps that are only routes: a Service without pods, which leads to addresses, or to a name.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use k8s_openapi::api::core::v1::{Service, ServicePort, ServiceSpec};
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointConditions, EndpointPort, EndpointSlice};

use super::super::{External, NAME_LENGTH_MAX, Object, Upstream};
use super::draft::Draft;
use super::rule::{Rule, arranged};
use super::service;
use crate::manifest::RouteRule;
use crate::name::{PathPrefix, ProcessType};
use crate::policy::Protocol;

/// Says which Service an EndpointSlice is of.
const SERVICE_LABEL: &str = "kubernetes.io/service-name";

/// The app's rules, which all lead to its one Service.
pub(super) fn rules(external: &External, draft: &mut Draft<'_, '_>) -> Vec<Rule> {
    let like = RouteRule {
        host: None,
        path: external.path.clone(),
        process: ProcessType::upstream(),
        strip_prefix: false,
        policy: Arc::clone(&external.manifest.proxy),
    };
    let (service, port) = (draft.names().app(), port(external));
    let instances = u32::try_from(external.upstreams.len()).unwrap_or(u32::MAX);
    arranged(&external.hosts, &external.manifest.routes, Some(&like), draft, |route, host| Rule {
        host,
        strips: route.strip_prefix && route.path != PathPrefix::root(),
        path: route.path,
        service: service.clone(),
        port,
        speaks_http2: route.policy.protocol == Protocol::Http2,
        policy: route.policy,
        instances,
    })
}

/// The Service. Addresses are in EndpointSlices; a name is the Service's own, and there can be only one.
pub(super) fn add(external: &External, rules: &[Rule], draft: &mut Draft<'_, '_>) {
    let mut addresses: BTreeMap<(bool, u16), Vec<IpAddr>> = BTreeMap::new();
    for upstream in &external.upstreams {
        match upstream {
            Upstream::Address(addr) if is_unusable(addr) => draft.todo(
                "--upstream",
                format!("`{addr}` means another machine on a cluster; make it listen at an address that pods can reach"),
            ),
            Upstream::Address(addr) => {
                addresses.entry((addr.is_ipv6(), addr.port())).or_default().push(addr.ip());
            }
            Upstream::Name(name, port) if only_name(external) != Some((name, *port)) => draft.dropped(
                "--upstream",
                format!("`{name}:{port}` is left out: a Service leads to addresses, or to one name; give its addresses"),
            ),
            Upstream::Name(..) => draft.todo(
                "--upstream",
                "the Service stands for a name (`ExternalName`): the controller must be allowed to follow it (Traefik: \
                 `allowExternalNameServices`), and the upstream is asked for the app's host",
            ),
        }
    }
    add_service(external, rules, draft);
    for ((is_ipv6, port), ips) in addresses {
        add_slice(is_ipv6, port, &ips, draft);
    }
}

/// The name that the Service stands for: a Service is that or addresses, and those are known to work.
fn only_name(external: &External) -> Option<(&String, u16)> {
    let has_addresses = external
        .upstreams
        .iter()
        .any(|upstream| matches!(upstream, Upstream::Address(addr) if !is_unusable(addr)));
    let mut names = external.upstreams.iter().filter_map(|upstream| match upstream {
        Upstream::Name(name, port) => Some((name, *port)),
        Upstream::Address(_) => None,
    });
    names.next().filter(|_| !has_addresses)
}

/// DNS leads to a name and says nothing of ports: whoever comes to one uses that of the upstream.
fn port(external: &External) -> i32 {
    only_name(external).map_or(service::PORT, |(_, port)| i32::from(port))
}

fn add_service(external: &External, rules: &[Rule], draft: &mut Draft<'_, '_>) {
    let (service_name, rules) = (draft.names().app(), rules.iter().collect::<Vec<_>>());
    let name = only_name(external).map(|(name, _)| name.clone());
    let spec = ServiceSpec {
        type_: Some(if name.is_some() { "ExternalName" } else { "ClusterIP" }.to_owned()),
        external_name: name,
        ports: Some(vec![ServicePort { port: port(external), ..service::http_port(&rules) }]),
        ..ServiceSpec::default()
    };
    let annotations = service::annotations(&service_name, &rules, draft);
    let metadata = annotations.on(draft.metadata(service_name));
    let service = Service { metadata, spec: Some(spec), ..Service::default() };
    let object = Object::new(draft.app, &service).comment("", "no selector: the upstreams run elsewhere");
    draft.add(annotations.comment(object));
}

/// One for each family and port, as a slice has one of each.
fn add_slice(is_ipv6: bool, port: u16, ips: &[IpAddr], draft: &mut Draft<'_, '_>) {
    let family = if is_ipv6 { "IPv6" } else { "IPv4" };
    let part = format!("{}-{port}", family.to_ascii_lowercase());
    let mut metadata = draft.metadata(draft.names().part(&part, NAME_LENGTH_MAX));
    let labels = metadata.labels.get_or_insert_default();
    labels.insert(SERVICE_LABEL.to_owned(), draft.names().app());
    let endpoint = |ip: &IpAddr| Endpoint {
        addresses: vec![ip.to_string()],
        conditions: Some(EndpointConditions { ready: Some(true), ..EndpointConditions::default() }),
        ..Endpoint::default()
    };
    let slice = EndpointSlice {
        address_type: family.to_owned(),
        endpoints: ips.iter().map(endpoint).collect(),
        metadata,
        ports: Some(vec![EndpointPort {
            name: Some(service::PORT_NAME.to_owned()),
            port: Some(i32::from(port)),
            protocol: Some("TCP".to_owned()),
            app_protocol: None,
        }]),
    };
    draft.add(Object::new(draft.app, &slice));
}

/// What the API refuses in an EndpointSlice.
fn is_unusable(addr: &SocketAddr) -> bool {
    let is_link_local = match addr.ip() {
        IpAddr::V4(ip) => ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_unicast_link_local(),
    };
    addr.ip().is_loopback() || addr.ip().is_unspecified() || addr.ip().is_multicast() || is_link_local
}
