//! Every key of a policy is carried or noted, at every entrance.

use super::{HASH, gateway, ingress, routed, subject};
use crate::manifest::shown;
use crate::policy::Policy;

/// Each key with a value that is not its default.
fn keys() -> Vec<(&'static str, String)> {
    [
        ("public", "false"),
        ("https_redirect", "false"),
        ("canonical_host", "\"www.example.com\""),
        ("redirects", "[{ from = \"/old\", to = \"/new\" }]"),
        ("hsts", "true"),
        ("allow", "[\"10.0.0.0/8\"]"),
        ("deny", "[\"10.9.0.0/16\"]"),
        ("basic_auth", "{ ann = \"HASH\" }"),
        ("rate_limit", "\"100/1m\""),
        ("cors", "{ origins = [\"https://app.example.com\"] }"),
        ("body_max", "\"20M\""),
        ("buffer_requests", "true"),
        ("buffer_responses", "true"),
        ("request_headers", "{ set = { x-from = \"proxy\" } }"),
        ("response_headers", "{ remove = [\"server\"] }"),
        ("compress", "true"),
        ("scope_cookies", "true"),
        ("error_pages", "{ 404 = \"404.html\" }"),
        ("connect_timeout", "\"2s\""),
        ("first_byte_timeout", "\"20s\""),
        ("idle_timeout", "\"2m\""),
        ("timeout", "\"5m\""),
        ("retries", "3"),
        ("balance", "\"sticky\""),
        ("eject", "{ failures = 3 }"),
        ("max_connections", "50"),
        ("queue", "{ max = 5 }"),
        ("protocol", "\"h2\""),
        ("log", "{ exclude = [\"/up\"] }"),
    ]
    .map(|(key, value)| (key, value.replace("HASH", HASH)))
    .into()
}

#[test]
fn every_key_is_carried_or_noted_at_every_entrance() {
    let known: Vec<_> = shown(&Policy::default()).into_iter().map(|(key, _)| key).collect();
    assert_eq!(keys().iter().map(|(key, _)| *key).collect::<Vec<_>>(), known, "a key without a value here");
    let of_proxy = keys().into_iter().map(|(key, value)| format!("[proxy]\n{key} = {value}\n"));
    let of_tls = ["issuer = \"local\"", "on_demand = \"/allowed\"", "client_ca = \"ca.pem\""];
    let of_tls = of_tls.into_iter().map(|line| format!("[tls]\n{line}\n"));
    let route = "[[route]]\npath = \"/api\"\nstrip_prefix = true\n";
    let hosts = ["shop.example.com", "www.example.com"];
    let entrances = [ingress("nginx"), ingress("traefik"), ingress("other"), gateway()];
    for table in of_proxy.chain(of_tls) {
        for options in &entrances {
            let default = routed(&subject("shop", &hosts, route), options);
            let other = routed(&subject("shop", &hosts, &format!("{table}{route}")), options);
            assert_ne!(default, other, "{table} at {:?}", options.entrance);
        }
    }
}

#[test]
fn an_app_that_asks_for_nothing_is_told_of_nothing() {
    for class in ["nginx", "traefik", "other"] {
        let export = routed(&subject("shop", &["shop.example.com"], ""), &ingress(class));
        assert_eq!(export.notes, [], "{class}");
    }
}
