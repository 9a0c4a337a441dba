//! `redirects`: each leads somewhere, and none in a circle.

use std::ops::Range;

use http::Uri;

use super::super::read::{Entry, Report, Table};
use crate::policy::Redirect;

/// Statuses that lead a client to another place (RFC 9110, 15.4).
const STATUSES: [i64; 5] = [301, 302, 303, 307, 308];
/// Permanent, and the method stays.
const STATUS_DEFAULT: u16 = 308;

/// Reads all of them.
pub(super) fn redirects(entry: &Entry<'_>, report: &mut Report<'_>) -> Option<Vec<Redirect>> {
    if !entry.is_array() {
        let hint = Some("write `redirects = [{ from = \"/old\", to = \"/new\" }]`".to_owned());
        report.problem(&entry.span(), "`redirects` is not a list of tables".to_owned(), hint);
        return None;
    }
    let found: Vec<_> = entry
        .tables(report, "`redirects`")
        .into_iter()
        .filter_map(|(at, table)| Some((redirect(table, &at, report)?, at)))
        .collect();
    let redirects: Vec<_> = found.iter().map(|(redirect, _)| redirect.clone()).collect();
    for (redirect, at) in &found {
        if is_endless(redirect, &redirects) {
            let message = format!("the redirect from `{}` to `{}` never ends", redirect.from, redirect.to);
            report.problem(at, message, None);
        }
    }
    Some(redirects)
}

fn redirect(mut table: Table<'_>, at: &Range<usize>, report: &mut Report<'_>) -> Option<Redirect> {
    let (from, to) = (table.take("from"), table.take("to"));
    if from.is_none() || to.is_none() {
        let message = "a redirect needs `from` and `to`, such as `{ from = \"/old\", to = \"/new\" }`";
        report.problem(at, message.to_owned(), None);
    }
    let from = from.and_then(|entry| entry.parsed(report, "a path such as `\"/old\"`", self::from));
    let to = to.and_then(|entry| Some((entry.span(), entry.parsed(report, "a path or a URL", self::to)?)));
    let status = table.take("status").map_or(Some(STATUS_DEFAULT), |entry| status(&entry, report));
    table.finish(report);
    let (from, (to_at, to), status) = (from?, to?, status?);
    if to.ends_with('*') && !from.ends_with('*') {
        let message = format!("`{to}` has a `*`, and `{from}` has none that it could stand for");
        report.problem(&to_at, message, None);
        return None;
    }
    Some(Redirect { from, to, status })
}

fn status(entry: &Entry<'_>, report: &mut Report<'_>) -> Option<u16> {
    let status = entry.integer(report, (0, 999))?;
    if !STATUSES.contains(&status) {
        let message = format!("`{}` is {status}; a redirect is 301, 302, 303, 307 or 308", entry.key());
        report.problem(&entry.span(), message, None);
        return None;
    }
    u16::try_from(status).ok()
}

fn from(text: &str) -> Result<String, String> {
    check_characters(text)?;
    if !text.starts_with('/') || text.contains(['?', '#']) {
        return Err(format!("`{text}` is not a path; it starts with `/` and has no query"));
    }
    check_star(text)?;
    Ok(text.to_owned())
}

fn to(text: &str) -> Result<String, String> {
    check_characters(text)?;
    // Two slashes would be another host.
    let is_path = text.starts_with('/') && !text.starts_with("//");
    let is_url = || {
        let scheme_and_host = text
            .parse::<Uri>()
            .ok()
            .map(|uri| (uri.scheme_str().map(str::to_owned), uri.host().map(str::len)));
        matches!(scheme_and_host, Some((Some(scheme), Some(1..))) if scheme == "http" || scheme == "https")
    };
    if !is_path && !is_url() {
        return Err(format!("`{text}` is neither a path nor a URL with `http://` or `https://`"));
    }
    check_star(text)?;
    Ok(text.to_owned())
}

fn check_characters(text: &str) -> Result<(), String> {
    match text.chars().find(|c| !c.is_ascii_graphic() || *c == '\\') {
        Some(c) => {
            Err(format!("`{}` has `{}`; encode it, as in `%20`", text.escape_debug(), c.escape_debug()))
        }
        None => Ok(()),
    }
}

/// A `*` stands at the end, after a slash, or nowhere.
fn check_star(text: &str) -> Result<(), String> {
    if text.strip_suffix("/*").unwrap_or(text).contains('*') {
        return Err(format!("`{text}` has a `*` that is not its last segment, as in `/old/*`"));
    }
    Ok(())
}

/// Whether a client that follows it, and whatever comes then, is still following after more steps than there are redirects.
fn is_endless(redirect: &Redirect, all: &[Redirect]) -> bool {
    let start = redirect.from.trim_end_matches('*');
    let mut location = redirect.location(start, None);
    for _ in 0..=all.len() {
        // Another origin has redirects of its own.
        let Some(path) = location.filter(|location| location.starts_with('/')) else { return false };
        let path = path.split(['?', '#']).next().unwrap_or_default();
        location = all.iter().find_map(|next| next.location(path, None));
    }
    location.is_some()
}
