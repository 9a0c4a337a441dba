//! What is done to headers and bodies: `hsts`, `request_headers`, `response_headers`, `compress`, `error_pages`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderName, HeaderValue};

use super::super::quantity;
use super::super::read::{Entry, Report};
use super::super::references::References;
use crate::policy::{Encoding, HeaderEdits, Hsts, PageKey};

/// What the browsers' own lists ask for (hstspreload.org), and the default.
const HSTS_YEAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);
/// Request headers that hold secrets by their nature.
pub(super) const HEADERS_SECRET: [&str; 3] = ["authorization", "cookie", "proxy-authorization"];
/// Headers of one connection, or that say where a message ends or leads: they are the proxy's.
const HEADERS_KEPT: [&str; 11] = [
    "connection",
    "content-length",
    "host",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// `true`, or a table.
pub(super) fn hsts(entry: &Entry<'_>, report: &mut Report<'_>) -> Option<Hsts> {
    let mut hsts = Hsts { max_age: HSTS_YEAR, subdomains: false, preload: false };
    if entry.flag() == Some(true) {
        return Some(hsts);
    }
    let mut table = entry.table(report, "`hsts`")?;
    table.set("max_age", &mut hsts.max_age, |entry| {
        entry.parsed(report, "a duration such as `\"1y\"`", quantity::age)
    });
    table.set("subdomains", &mut hsts.subdomains, |entry| entry.boolean(report));
    table.set("preload", &mut hsts.preload, |entry| entry.boolean(report));
    table.finish(report);
    if hsts.preload && !(hsts.subdomains && hsts.max_age >= HSTS_YEAR) {
        let message = "`preload` is taken only with `subdomains = true` and a `max_age` of a year or more";
        report.problem(&entry.span(), message.to_owned(), None);
    }
    Some(hsts)
}

/// `{ set = { name = "value" }, remove = ["name"] }`; no message repeats a value.
pub(super) fn header_edits(entry: &Entry<'_>, report: &mut Report<'_>) -> Option<HeaderEdits> {
    let mut table = entry.table(report, format!("`{}`", entry.key()))?;
    let mut edits = HeaderEdits::default();
    if let Some(mut set) = table.take("set").and_then(|entry| entry.table(report, "`set`")) {
        edits.set = set.take_all().iter().filter_map(|entry| header(entry, report)).collect();
    }
    table.set("remove", &mut edits.remove, |entry| entry.list(report, changeable));
    table.finish(report);
    Some(edits)
}

fn header(entry: &Entry<'_>, report: &mut Report<'_>) -> Option<(HeaderName, HeaderValue)> {
    let name = entry.checked(report, changeable(entry.key()));
    let text = entry.string(report)?;
    let value = HeaderValue::from_str(&text)
        .map_err(|_| format!("the value of `{}` has a character that no header has", entry.key()));
    let (name, mut value) = (name?, entry.checked(report, value)?);
    // Printed by nobody, and in no table of HTTP/2.
    value.set_sensitive(HEADERS_SECRET.contains(&name.as_str()));
    Some((name, value))
}

/// The name of a header.
pub(super) fn header_name(text: &str) -> Result<HeaderName, String> {
    text.parse().map_err(|_| format!("`{}` is not a header's name", text.escape_debug()))
}

fn changeable(text: &str) -> Result<HeaderName, String> {
    let name = header_name(text)?;
    if HEADERS_KEPT.contains(&name.as_str()) {
        return Err(format!("`{text}` cannot be changed; the proxy needs it as it is"));
    }
    Ok(name)
}

/// `true` for all, or a list, the most wanted first.
pub(super) fn compress(entry: &Entry<'_>, report: &mut Report<'_>) -> Option<Vec<Encoding>> {
    match entry.flag() {
        Some(true) => return Some(vec![Encoding::Zstd, Encoding::Brotli, Encoding::Gzip]),
        Some(false) => return Some(Vec::new()),
        None => {}
    }
    let mut encodings = entry.list(report, |text| {
        let known = [Encoding::Zstd, Encoding::Brotli, Encoding::Gzip];
        let found = known.into_iter().find(|encoding| encoding.as_str() == text);
        found.ok_or_else(|| format!("`{text}` is not one of `zstd`, `br`, `gzip`"))
    })?;
    let mut seen = Vec::new();
    encodings.retain(|encoding| {
        let is_new = !seen.contains(encoding);
        seen.push(*encoding);
        is_new
    });
    Some(encodings)
}

/// `{ 404 = "errors/404.html", 5xx = "errors/5xx.html", maintenance = "…" }`.
pub(super) fn error_pages(
    entry: &Entry<'_>,
    references: &mut References<'_>,
    report: &mut Report<'_>,
) -> Option<BTreeMap<PageKey, Arc<str>>> {
    if entry.flag() == Some(false) {
        return Some(BTreeMap::new());
    }
    let mut pages = BTreeMap::new();
    for page in entry.table(report, "`error_pages`")?.take_all() {
        let key = page.key().parse::<PageKey>().map_err(|_| {
            let key = page.key();
            format!(
                "`{key}` in `error_pages` is none of a status such as `404`, `4xx`, `5xx` and `maintenance`"
            )
        });
        if let Some(key) = page.checked(report, key)
            && let Some(text) = references.file(&page, report)
        {
            pages.insert(key, text);
        }
    }
    Some(pages)
}
