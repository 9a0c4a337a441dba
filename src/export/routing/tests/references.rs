//! What objects name is there.

use std::collections::BTreeSet;

use serde_json::Value;

use super::super::super::{Entrance, Export};
use super::{HASH, gateway, ingress, routed, subject};

/// Everything that a policy can say, for two hosts, a stripped path and another process.
fn everything() -> String {
    format!(
        r#"
[process.web]
port = 3000
[process.admin]
port = 4000
[proxy]
canonical_host = "shop.example.com"
redirects = [{{ from = "/old", to = "/new" }}, {{ from = "/blog/*", to = "https://blog.example.com/*", status = 301 }}]
basic_auth = {{ ann = "{HASH}" }}
allow = ["10.0.0.0/8"]
deny = ["10.9.0.0/16"]
rate_limit = "10/1s"
body_max = "20M"
response_headers = {{ set = {{ x-frame-options = "DENY" }} }}
balance = "sticky"
max_connections = 5
[tls]
client_ca = "ca.pem"
[[route]]
path = "/api"
strip_prefix = true
proxy = {{ basic_auth = false, timeout = "90s" }}
[[route]]
host = "admin.example.com"
process = "admin"
proxy = {{ canonical_host = false, protocol = "h2" }}
[[port]]
port = 5432
process = "admin"
[[port]]
port = 5433
target = 5000
"#
    )
}

#[test]
fn references_resolve() {
    let subject = subject("shop", &["shop.example.com", "www.example.com"], &everything());
    for options in [ingress("nginx"), ingress("traefik"), ingress("other"), gateway()] {
        let export = routed(&subject, &options);
        let ingresses =
            export.objects.iter().filter(|object| matches!(object.kind(), "Ingress" | "HTTPRoute"));
        assert!(ingresses.count() > 0);
        check(&export, &options.entrance);
        let names: BTreeSet<_> = export.objects.iter().map(|object| (object.kind(), object.name())).collect();
        assert_eq!(names.len(), export.objects.len(), "two objects of one name");
        for (_, name) in names {
            assert!(
                name.len() <= 63
                    && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-'),
                "{name}"
            );
        }
    }
}

fn check(export: &Export, entrance: &Entrance) {
    let names = |kind: &str| -> BTreeSet<&str> {
        export
            .objects
            .iter()
            .filter(|object| object.kind() == kind)
            .map(crate::export::object::Object::name)
            .collect()
    };
    let of_middlewares = |reference: &str| {
        let name = reference.strip_prefix("prod-").unwrap().strip_suffix("@kubernetescrd").unwrap();
        name.to_owned()
    };
    for object in &export.objects {
        let annotations = object.value["metadata"]["annotations"].as_object().cloned().unwrap_or_default();
        for (key, value) in &annotations {
            let value = value.as_str().unwrap();
            let of_namespace = || value.strip_prefix("prod/").unwrap_or_else(|| panic!("{key}: {value}"));
            let (kind, named): (&str, Vec<String>) = match key.rsplit_once('/').unwrap().1 {
                "auth-secret" => ("Secret", vec![value.to_owned()]),
                "auth-tls-secret" => ("Secret", vec![of_namespace().to_owned()]),
                "custom-headers" => ("ConfigMap", vec![of_namespace().to_owned()]),
                "router.middlewares" => ("Middleware", value.split(',').map(of_middlewares).collect()),
                "router.tls.options" => ("TLSOption", vec![of_middlewares(value)]),
                "service.serverstransport" => ("ServersTransport", vec![of_middlewares(value)]),
                _ => continue,
            };
            for name in named {
                assert!(names(kind).contains(name.as_str()), "{key} names {name} at {entrance:?}");
            }
        }
        let secrets = [
            &object.value["spec"]["basicAuth"]["secret"],
            &object.value["spec"]["clientAuth"]["secretNames"][0],
        ];
        for secret in secrets.into_iter().filter_map(Value::as_str) {
            assert!(names("Secret").contains(secret), "{secret}");
        }
        each_backend(&object.value["spec"], &mut |backend| {
            let port = &backend["port"];
            let service = export
                .objects
                .iter()
                .find(|object| object.kind() == "Service" && object.name() == backend["name"]);
            let service = service.unwrap_or_else(|| panic!("{backend} at {entrance:?}"));
            let ports = service.value["spec"]["ports"].as_array().unwrap();
            assert!(
                ports.iter().any(|known| known["name"] == port["name"] || known["port"] == *port),
                "{backend}"
            );
        });
    }
}

fn each_backend(spec: &Value, check: &mut dyn FnMut(&Value)) {
    for rule in spec["rules"].as_array().into_iter().flatten() {
        for path in rule["http"]["paths"].as_array().into_iter().flatten() {
            check(&path["backend"]["service"]);
        }
        for backend in rule["backendRefs"].as_array().into_iter().flatten() {
            check(backend);
        }
    }
}

#[test]
fn no_secret_is_outside_of_a_secret() {
    let toml = format!(
        "[proxy]\nbasic_auth = {{ ann = \"{HASH}\" }}\nrequest_headers = {{ set = {{ authorization = \"hunter2\" }} }}\n\
         response_headers = {{ set = {{ set-cookie = \"hunter2\" }} }}"
    );
    let subject = subject("shop", &["shop.example.com"], &toml);
    for options in [ingress("nginx"), ingress("traefik"), ingress("other"), gateway()] {
        let export = routed(&subject, &options);
        let rest: Vec<_> = export.objects.iter().filter(|object| object.kind() != "Secret").collect();
        let text = format!("{rest:?} {:?}", export.notes);
        assert!(!text.contains("hunter2") && !text.contains(&HASH[7..]), "{text}");
    }
}
