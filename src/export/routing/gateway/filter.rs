//! What a policy says, as filters: each kind once in a rule.

use http::uri::Uri;

use super::super::credentials::is_secret;
use super::super::draft::Draft;
use super::super::moves::Move;
use super::route::{Cors, Filter, Header, Headers, PathModifier, Redirect};
use crate::policy::{self, HeaderEdits, Hsts, Policy};

/// How many headers a filter sets, and how many it removes, at most.
const HEADERS_MAX: usize = 16;
/// Methods that the Gateway API knows.
const METHODS: [&str; 9] = ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"];

/// The filters of whatever the policy says of headers.
pub(super) fn of_policy(policy: &Policy, draft: &mut Draft<'_, '_>) -> Vec<Filter> {
    let mut filters = Vec::new();
    let request = headers("[proxy] request_headers", &policy.request_headers, None, draft);
    if request != Headers::default() {
        filters.push(Filter::RequestHeaderModifier { headers: request });
    }
    let response = headers("[proxy] response_headers", &policy.response_headers, policy.hsts, draft);
    if response != Headers::default() {
        filters.push(Filter::ResponseHeaderModifier { headers: response });
    }
    if let Some(cors) = &policy.cors {
        filters.extend(self::cors(cors, draft).map(|cors| Filter::Cors { cors }));
    }
    filters
}

/// Where a client is led; `None` where that cannot be said, and the app gets the request.
pub(super) fn redirect(location: &Move, draft: &mut Draft<'_, '_>) -> Option<Filter> {
    let Move { to, keeps_rest, status, key } = location;
    let Ok(uri) = to.parse::<Uri>() else {
        draft.dropped(
            key,
            format!("a Gateway leads nowhere but to a URL, which `{to}` is not; have the app redirect"),
        );
        return None;
    };
    let path = uri.path().to_owned();
    if uri.query().is_some() {
        draft.changed(
            key,
            format!("a Gateway keeps the query of a request, and leaves out the one of `{to}`"),
        );
    }
    // The standard channel before v1.5 has these two alone.
    let status_code = if matches!(status, 301 | 308) { 301 } else { 302 };
    if status_code != *status {
        draft.changed(
            key,
            format!("a Gateway answers {status_code} and not {status}: older ones know no other"),
        );
    }
    let path = if *keeps_rest {
        PathModifier::ReplacePrefixMatch { replace_prefix_match: path }
    } else {
        PathModifier::ReplaceFullPath { replace_full_path: path }
    };
    Some(Filter::RequestRedirect {
        redirect: Redirect {
            scheme: uri.scheme_str().map(str::to_owned),
            hostname: uri.host().map(str::to_owned),
            port: uri.port_u16(),
            path,
            status_code,
        },
    })
}

/// A route reads no Secret, so what is one stays out of it.
fn headers(what: &str, edits: &HeaderEdits, hsts: Option<Hsts>, draft: &mut Draft<'_, '_>) -> Headers {
    let mut headers = Headers::default();
    for (name, value) in &edits.set {
        match value.to_str().ok().filter(|text| !text.is_empty() && !is_secret(name, value)) {
            Some(value) => headers.set.push(Header { name: name.to_string(), value: value.to_owned() }),
            None => draft.dropped(
                what,
                format!(
                    "the value of `{name}` is a secret or empty, which a route has no place for; set it in the app"
                ),
            ),
        }
    }
    headers.remove = edits.remove.iter().map(ToString::to_string).collect();
    if let Some(hsts) = hsts {
        headers.set.push(Header { name: "strict-transport-security".to_owned(), value: strict(hsts) });
    }
    if headers.set.len() > HEADERS_MAX || headers.remove.len() > HEADERS_MAX {
        draft
            .dropped(what, format!("a Gateway changes {HEADERS_MAX} headers at most; the rest are left out"));
        headers.set.truncate(HEADERS_MAX);
        headers.remove.truncate(HEADERS_MAX);
    }
    headers
}

fn strict(hsts: Hsts) -> String {
    let subdomains = if hsts.subdomains { "; includeSubDomains" } else { "" };
    let preload = if hsts.preload { "; preload" } else { "" };
    format!("max-age={}{subdomains}{preload}", hsts.max_age.as_secs())
}

/// `None` where no origin is left; the app answers then.
fn cors(cors: &policy::Cors, draft: &mut Draft<'_, '_>) -> Option<Cors> {
    let what = "[proxy] cors";
    draft.todo(what, "filter `CORS` is standard from Gateway API v1.5 on; the cluster's must be as new");
    let is_known = |method: &&str| METHODS.contains(method);
    let methods: Vec<_> = cors.methods.iter().map(http::Method::as_str).collect();
    for method in methods.iter().filter(|method| !is_known(method)) {
        draft
            .dropped(what, format!("the Gateway API knows no method `{method}`; have the app answer for it"));
    }
    // What the schema takes: a name, a port, and no address of IPv6.
    let is_origin = |origin: &&String| {
        let host = origin.split_once("://").map_or(origin.as_str(), |(_, host)| host);
        host == "*" || host.chars().all(|c| c.is_ascii_alphanumeric() || "-.:".contains(c))
    };
    for origin in cors.origins.iter().filter(|origin| !is_origin(origin)) {
        draft.dropped(what, format!("the Gateway API takes no origin such as `{origin}`; name its host"));
    }
    let origins: Vec<_> = cors.origins.iter().filter(is_origin).cloned().collect();
    let names =
        |names: &[http::HeaderName]| -> Vec<String> { names.iter().map(ToString::to_string).collect() };
    (!origins.is_empty()).then(|| Cors {
        allow_origins: origins,
        allow_credentials: cors.credentials.then_some(true),
        allow_methods: methods.into_iter().filter(is_known).map(str::to_owned).collect(),
        allow_headers: names(&cors.headers),
        expose_headers: names(&cors.expose),
        max_age: i32::try_from(cors.max_age.as_secs()).unwrap_or(i32::MAX).max(1),
    })
}
