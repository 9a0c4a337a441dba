//! `[proxy]`, and `[route.proxy]`, which says the same for one route.
//!
//! A key of a route's table goes before the same key of the app's table, as a whole: nothing within the two values is
//! merged. `false` turns off what the app's table turned on. Every rule is checked here, so that a [`Policy`] that exists can
//! be obeyed; `docs/proxy.md` is the reference for people.
//!
//! The values of `basic_auth` and of headers are secrets, or may be: no message repeats one.

mod access;
mod content;
mod example;
mod redirect;
mod show;
#[cfg(test)]
mod tests;
mod upstream;

use super::quantity;
use super::read::{Entry, Report, Table};
use super::references::References;
use crate::name::{Host, PathPrefix};
use crate::policy::{Logging, Policy};

pub use example::example;
pub use show::{is_masked, shown};

/// What the table says, and what `base` says where it is silent.
pub(super) fn policy(
    mut table: Table<'_>,
    base: &Policy,
    references: &mut References<'_>,
    report: &mut Report<'_>,
) -> Policy {
    let mut policy = base.clone();
    let is = &mut policy;
    table.set("public", &mut is.is_public, |entry| entry.boolean(report));
    table.set("https_redirect", &mut is.https_redirect, |entry| entry.boolean(report));
    table
        .set("canonical_host", &mut is.canonical_host, |entry| entry.or_off(|on| canonical_host(on, report)));
    table.set("redirects", &mut is.redirects, |entry| redirect::redirects(entry, report));
    table.set("hsts", &mut is.hsts, |entry| entry.or_off(|on| content::hsts(on, report)));
    table.set("allow", &mut is.access.allow, |entry| access::networks(entry, report));
    table.set("deny", &mut is.access.deny, |entry| access::networks(entry, report));
    table.set("basic_auth", &mut is.basic_auth, |entry| access::basic_auth(entry, report));
    table.set("rate_limit", &mut is.rate_limit, |entry| entry.or_off(|on| access::rate_limit(on, report)));
    table.set("cors", &mut is.cors, |entry| entry.or_off(|on| access::cors(on, report)));
    table.set("body_max", &mut is.body_max, |entry| entry.or_off(|on| body_max(on, report)));
    table.set("buffer_requests", &mut is.buffering.requests, |entry| entry.boolean(report));
    table.set("buffer_responses", &mut is.buffering.responses, |entry| entry.boolean(report));
    table.set("request_headers", &mut is.request_headers, |entry| content::header_edits(entry, report));
    table.set("response_headers", &mut is.response_headers, |entry| content::header_edits(entry, report));
    table.set("compress", &mut is.compress, |entry| content::compress(entry, report));
    table.set("scope_cookies", &mut is.scope_cookies, |entry| entry.boolean(report));
    table.set("error_pages", &mut is.error_pages, |entry| content::error_pages(entry, references, report));
    upstream::timeouts(&mut table, &mut is.timeouts, report);
    table.set("retries", &mut is.retries, |entry| entry.count(report, (0, upstream::RETRIES_MAX)));
    table.set("balance", &mut is.balance, |entry| upstream::balance(entry, report));
    table.set("eject", &mut is.ejection, |entry| upstream::ejection(entry, report));
    table.set("max_connections", &mut is.upstream_requests_max, |entry| {
        entry.or_off(|on| on.count(report, (1, upstream::REQUESTS_MAX)))
    });
    table.set("queue", &mut is.queue, |entry| upstream::queue(entry, report));
    table.set("protocol", &mut is.protocol, |entry| upstream::protocol(entry, report));
    table.set("log", &mut is.logging, |entry| logging(entry, report));
    table.finish(report);
    policy
}

fn canonical_host(entry: &Entry<'_>, report: &mut Report<'_>) -> Option<Host> {
    entry.parsed(report, "a host name, or `false`", |text| match text.parse() {
        Ok(host @ Host::Exact(_)) => Ok(host),
        Ok(_) => Err(format!("`{text}` is not one host; give one such as `www.example.com`")),
        Err(error) => Err(error.to_string()),
    })
}

fn body_max(entry: &Entry<'_>, report: &mut Report<'_>) -> Option<u64> {
    entry.parsed(report, "a size such as `\"20M\"`, or `false`", quantity::size).map(|bytes| bytes.0)
}

fn logging(entry: &Entry<'_>, report: &mut Report<'_>) -> Option<Logging> {
    let mut table = entry.table(report, "`log`")?;
    let mut logging = Logging::default();
    table.set("exclude", &mut logging.exclude, |entry| entry.list(report, str::parse::<PathPrefix>));
    table.set("headers", &mut logging.headers, |entry| {
        entry.list(report, |text| {
            let name = content::header_name(text)?;
            if content::HEADERS_SECRET.contains(&name.as_str()) {
                return Err(format!("`{text}` is a secret and not for a log"));
            }
            Ok(name)
        })
    });
    table.set("mask", &mut logging.mask, |entry| {
        entry.list(report, |text| match text {
            "" => Err("a query parameter's name is empty".to_owned()),
            name => Ok(name.to_owned()),
        })
    });
    table.finish(report);
    Some(logging)
}
