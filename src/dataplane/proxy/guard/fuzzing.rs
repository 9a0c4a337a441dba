//! Doors for `proxy::fuzzing` to what is private here. Compiled with `testing` alone.

use http::{HeaderMap, HeaderValue, Uri};

use super::{canonical, edits, prefix};
use crate::policy::{HeaderEdits, Policy};

pub(in crate::proxy) fn edit(edits: &HeaderEdits, headers: &mut HeaderMap) {
    edits::apply(edits, headers);
}

pub(in crate::proxy) fn restore_prefix(prefix: &str, host: &HeaderValue, headers: &mut HeaderMap) {
    prefix::rewrite_location(prefix, host, headers);
    prefix::scope_cookies(prefix, headers);
}

pub(in crate::proxy) fn canonical(
    policy: &Policy,
    host: &str,
    named: &HeaderValue,
    uri: &Uri,
) -> Option<HeaderValue> {
    canonical::location(policy, true, host, named, uri)
}
