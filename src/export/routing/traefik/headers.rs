//! The one Middleware of headers: changes to them, `Strict-Transport-Security`, and CORS.

use serde_json::{Map, Value, json};

use super::super::credentials::is_secret;
use super::super::draft::Draft;
use crate::policy::{Cors, HeaderEdits, Policy};

/// What it says; `None` where the policy is about none.
pub(super) fn of_policy(policy: &Policy, draft: &mut Draft<'_, '_>) -> Option<Value> {
    let mut headers = Map::new();
    let edits = [
        ("customRequestHeaders", "[proxy] request_headers", &policy.request_headers),
        ("customResponseHeaders", "[proxy] response_headers", &policy.response_headers),
    ];
    for (field, what, edits) in edits {
        let changes = changes(what, edits, draft);
        if !changes.is_empty() {
            headers.insert(field.to_owned(), changes.into());
        }
    }
    if let Some(hsts) = policy.hsts {
        headers.insert("stsSeconds".to_owned(), hsts.max_age.as_secs().into());
        headers.insert("stsIncludeSubdomains".to_owned(), hsts.subdomains.into());
        headers.insert("stsPreload".to_owned(), hsts.preload.into());
    }
    if let Some(cors) = &policy.cors {
        add_cors(cors, &mut headers);
    }
    (!headers.is_empty()).then(|| headers.into())
}

/// An empty value takes a header off. A Middleware reads no Secret, so what is one stays out of it.
fn changes(what: &str, edits: &HeaderEdits, draft: &mut Draft<'_, '_>) -> Map<String, Value> {
    let mut changes = Map::new();
    for name in &edits.remove {
        changes.insert(name.to_string(), json!(""));
    }
    for (name, value) in &edits.set {
        match value.to_str().ok().filter(|_| !is_secret(name, value)) {
            Some(value) => {
                changes.insert(name.to_string(), json!(value));
            }
            None => draft.dropped(
                what,
                format!("the value of `{name}` is a secret, and a Middleware has no place for one; set it in the app"),
            ),
        }
    }
    changes
}

fn add_cors(cors: &Cors, headers: &mut Map<String, Value>) {
    let mut methods = vec!["GET", "HEAD", "POST"];
    let more = cors.methods.iter().map(http::Method::as_str);
    methods.extend(more.filter(|method| !matches!(*method, "GET" | "HEAD" | "POST")));
    let names =
        |names: &[http::HeaderName]| -> Vec<String> { names.iter().map(ToString::to_string).collect() };
    let mut set = |field: &str, value: Value| headers.insert(field.to_owned(), value);
    set("accessControlAllowOriginList", json!(cors.origins));
    set("accessControlAllowMethods", json!(methods));
    set("accessControlAllowCredentials", json!(cors.credentials));
    set("accessControlMaxAge", json!(cors.max_age.as_secs()));
    set("addVaryHeader", json!(true));
    if !cors.headers.is_empty() {
        set("accessControlAllowHeaders", json!(names(&cors.headers)));
    }
    if !cors.expose.is_empty() {
        set("accessControlExposeHeaders", json!(names(&cors.expose)));
    }
}
