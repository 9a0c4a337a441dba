//! Redirects, and the paths of hosts whose paths are regular expressions.

use super::super::draft::{Annotations, Draft};
use super::super::moves::{Action, At, Entry, Move};
use super::key;

/// What follows the place, as `$1$2`. All tails and what they follow are so long that of two places the deeper one is longer.
const TAIL: &str = "(/|$)(.*)";
const TAIL_BELOW: &str = "(|$)(.*)";
const REST: &str = "$1$2";

/// Whether the entry can be written as a regular expression alone.
pub(in super::super) fn needs_regex(entry: &Entry<'_>) -> bool {
    // The admission webhook takes no other characters for a plain prefix.
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '/');
    let keeps_rest = matches!(&entry.action, Action::Move(location) if location.keeps_rest);
    keeps_rest
        || !entry.at.path().chars().all(is_plain)
        || !entry.at.is_plain()
        || (entry.rule.strips && entry.action == Action::Forward)
}

/// The paths of an entry, as the controller writes them behind `^`.
pub(in super::super) fn regex(at: &At) -> String {
    match at {
        At::Prefix(path) if path == "/" => format!("/{TAIL_BELOW}"),
        At::Prefix(path) => format!("{}{TAIL}", escaped(path)),
        At::Below(path) => format!("{}{TAIL_BELOW}", escaped(path)),
        At::Exact(path) => format!("{}$", escaped(path)),
    }
}

/// Where the Ingress leads to.
pub(super) fn add(location: &Move, to: &mut Annotations, draft: &mut Draft<'_, '_>) {
    let Move { to: target, keeps_rest, status, key: what } = location;
    // What the controller's own check of annotations lets through.
    let is_taken =
        |c: char| c.is_ascii_alphanumeric() || "-._~/:".contains(c) || (!keeps_rest && ",?&=".contains(c));
    if !target.chars().all(is_taken) {
        let text = "ingress-nginx takes no redirect to it, which has other characters than a plain URL; have the app redirect";
        draft.dropped(what, format!("`{target}`: {text}"));
        return;
    }
    if *keeps_rest {
        // A rewrite to a URL is a redirect (ngx_http_rewrite_module, "rewrite"); one to a path would be none.
        let base = if target.starts_with('/') { "$scheme://$host" } else { "" };
        to.set(key("rewrite-target"), format!("{base}{target}{REST}"));
        draft.changed(what, "ingress-nginx answers with 302 where the rest of the path is kept");
        return;
    }
    to.set(key("permanent-redirect"), target);
    to.set(key("permanent-redirect-code"), status.to_string());
    draft.changed(what, "ingress-nginx leaves the query out of a redirect");
}

fn escaped(path: &str) -> String {
    let mut escaped = String::with_capacity(path.len());
    for c in path.chars() {
        if "^$.|?*+()[]{}\\".contains(c) {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    escaped
}
