//! A policy as the manifest would say it, key by key: what `minipaas proxy` prints.
//!
//! What is shown reads back as the same policy, but for what is secret or long: a hash, the value of a header that carries
//! credentials, and a page are never shown.

use std::time::Duration;

use http::{HeaderName, HeaderValue};

use super::super::overrides::quoted;
use super::super::quantity::Bytes;
use super::content::HEADERS_SECRET;
use crate::policy::{
    Balance, Cors, Ejection, HeaderEdits, Hsts, Logging, Policy, Protocol, Queue, RateLimit,
};

/// Stands for what is not shown.
const MASK: &str = "***";
/// Response headers that hold secrets by their nature.
const RESPONSE_HEADERS_SECRET: [&str; 1] = ["set-cookie"];

/// Keys whose values hold secrets, or the names of files.
const MASKED: [&str; 4] = ["basic_auth", "request_headers", "response_headers", "error_pages"];

/// Whether the value of this key is told as [`shown`] tells it alone, and never as it was written.
#[must_use]
pub fn is_masked(key: &str) -> bool {
    MASKED.contains(&key)
}

/// Every key of `[proxy]` with its value as TOML, in the order of the reference.
#[must_use]
pub fn shown(policy: &Policy) -> Vec<(&'static str, String)> {
    let off = |value: Option<String>| value.unwrap_or_else(|| "false".to_owned());
    let text = |text: &dyn ToString| quoted(&text.to_string());
    let timeouts = &policy.timeouts;
    vec![
        ("public", policy.is_public.to_string()),
        ("https_redirect", policy.https_redirect.to_string()),
        ("canonical_host", off(policy.canonical_host.as_ref().map(|host| text(host)))),
        ("redirects", redirects(policy)),
        ("hsts", off(policy.hsts.as_ref().map(hsts))),
        ("allow", list(&policy.access.allow)),
        ("deny", list(&policy.access.deny)),
        ("basic_auth", basic_auth(policy)),
        ("rate_limit", off(policy.rate_limit.as_ref().map(rate_limit))),
        ("cors", off(policy.cors.as_ref().map(cors))),
        ("body_max", off(policy.body_max.map(|bytes| text(&Bytes(bytes))))),
        ("buffer_requests", policy.buffering.requests.to_string()),
        ("buffer_responses", policy.buffering.responses.to_string()),
        ("request_headers", header_edits(&policy.request_headers)),
        ("response_headers", header_edits(&policy.response_headers)),
        ("compress", compress(policy)),
        ("scope_cookies", policy.scope_cookies.to_string()),
        ("error_pages", error_pages(policy)),
        ("connect_timeout", duration(timeouts.connect)),
        ("first_byte_timeout", duration(timeouts.first_byte)),
        ("idle_timeout", off(timeouts.idle.map(duration))),
        ("timeout", off(timeouts.whole.map(duration))),
        ("retries", policy.retries.to_string()),
        ("balance", quoted(balance(policy.balance))),
        ("eject", ejection(&policy.ejection)),
        ("max_connections", off(policy.upstream_requests_max.map(|max| max.to_string()))),
        ("queue", queue(&policy.queue)),
        ("protocol", quoted(protocol(policy.protocol))),
        ("log", logging(&policy.logging)),
    ]
}

fn redirects(policy: &Policy) -> String {
    let redirects = policy.redirects.iter().map(|redirect| {
        let (from, to) = (quoted(&redirect.from), quoted(&redirect.to));
        format!("{{ from = {from}, to = {to}, status = {} }}", redirect.status)
    });
    array(redirects)
}

fn hsts(hsts: &Hsts) -> String {
    let Hsts { max_age, subdomains, preload } = hsts;
    format!(
        "{{ max_age = {}, subdomains = {subdomains}, preload = {preload} }}",
        quoted(&format!("{}s", max_age.as_secs()))
    )
}

fn basic_auth(policy: &Policy) -> String {
    if policy.basic_auth.is_empty() {
        return "false".to_owned();
    }
    inline(policy.basic_auth.iter().map(|known| (quoted(&known.user), quoted(MASK))))
}

fn rate_limit(limit: &RateLimit) -> String {
    let RateLimit { requests, per, burst } = limit;
    format!("{{ requests = {requests}, per = {}, burst = {burst} }}", duration(*per))
}

fn cors(cors: &Cors) -> String {
    inline([
        ("origins".to_owned(), list(&cors.origins)),
        ("methods".to_owned(), list(&cors.methods)),
        ("headers".to_owned(), list(&cors.headers)),
        ("expose".to_owned(), list(&cors.expose)),
        ("credentials".to_owned(), cors.credentials.to_string()),
        ("max_age".to_owned(), duration(cors.max_age)),
    ])
}

fn header_edits(edits: &HeaderEdits) -> String {
    if edits.is_empty() {
        return "{}".to_owned();
    }
    let set = edits.set.iter().map(|(name, value)| (quoted(name.as_str()), header_value(name, value)));
    let set = (!edits.set.is_empty()).then(|| ("set".to_owned(), inline(set)));
    let remove = (!edits.remove.is_empty()).then(|| ("remove".to_owned(), list(&edits.remove)));
    inline(set.into_iter().chain(remove))
}

fn header_value(name: &HeaderName, value: &HeaderValue) -> String {
    let is_secret = value.is_sensitive()
        || HEADERS_SECRET.contains(&name.as_str())
        || RESPONSE_HEADERS_SECRET.contains(&name.as_str());
    quoted(if is_secret { MASK } else { value.to_str().unwrap_or(MASK) })
}

fn compress(policy: &Policy) -> String {
    if policy.compress.is_empty() {
        return "false".to_owned();
    }
    array(policy.compress.iter().map(|encoding| quoted(encoding.as_str())))
}

/// The pages' lengths in place of their files, which nobody but their author has.
fn error_pages(policy: &Policy) -> String {
    if policy.error_pages.is_empty() {
        return "false".to_owned();
    }
    inline(policy.error_pages.iter().map(|(key, page)| {
        let noun = if page.len() == 1 { "byte" } else { "bytes" };
        (key.to_string(), quoted(&format!("({} {noun})", page.len())))
    }))
}

fn balance(balance: Balance) -> &'static str {
    match balance {
        Balance::Least => "least",
        Balance::RoundRobin => "round-robin",
        Balance::Sticky => "sticky",
        Balance::ClientIp => "client-ip",
    }
}

fn ejection(ejection: &Ejection) -> String {
    let Ejection { failures, base, max, slow_start } = ejection;
    if *failures == 0 {
        return "false".to_owned();
    }
    let [base, max, slow_start] = [base, max, slow_start].map(|one| duration(*one));
    format!("{{ failures = {failures}, base = {base}, max = {max}, slow_start = {slow_start} }}")
}

fn queue(queue: &Queue) -> String {
    let Queue { max, wait } = queue;
    if *max == 0 { "false".to_owned() } else { format!("{{ max = {max}, wait = {} }}", duration(*wait)) }
}

fn protocol(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Auto => "auto",
        Protocol::Http1 => "http1",
        Protocol::Http2 => "h2",
    }
}

fn logging(logging: &Logging) -> String {
    if *logging == Logging::default() {
        return "{}".to_owned();
    }
    let lists = [
        ("exclude", list(&logging.exclude)),
        ("headers", list(&logging.headers)),
        ("mask", list(&logging.mask)),
    ];
    inline(lists.map(|(key, list)| (key.to_owned(), list)))
}

/// In its largest unit that needs no fraction, as people write it.
fn duration(duration: Duration) -> String {
    let millis = duration.as_millis();
    let (number, unit) = match millis {
        0 => (0, "s"),
        _ if !millis.is_multiple_of(1_000) => (millis, "ms"),
        _ if !millis.is_multiple_of(60_000) => (millis / 1_000, "s"),
        _ if !millis.is_multiple_of(3_600_000) => (millis / 60_000, "m"),
        _ => (millis / 3_600_000, "h"),
    };
    quoted(&format!("{number}{unit}"))
}

fn list<T: ToString>(items: &[T]) -> String {
    array(items.iter().map(|item| quoted(&item.to_string())))
}

fn array(items: impl Iterator<Item = String>) -> String {
    format!("[{}]", items.collect::<Vec<_>>().join(", "))
}

fn inline(entries: impl IntoIterator<Item = (String, String)>) -> String {
    let entries: Vec<_> = entries.into_iter().map(|(key, value)| format!("{key} = {value}")).collect();
    if entries.is_empty() { "{}".to_owned() } else { format!("{{ {} }}", entries.join(", ")) }
}
