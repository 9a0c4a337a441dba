//! Headers that are lists, such as `Connection` and `TE` (RFC 9110, 5.6.1).

use http::{HeaderMap, HeaderName};

/// Whether a header lists this member, in whatever case and with whatever parameters: `trailers;q=0.5` is `trailers`.
pub(crate) fn lists(headers: &HeaderMap, name: &HeaderName, member: &str) -> bool {
    headers.get_all(name).iter().any(|value| has(value.as_bytes(), member))
}

/// [`lists`], for one value.
pub(super) fn has(value: &[u8], member: &str) -> bool {
    value.split(|b| *b == b',').any(|item| {
        let item = item.split(|b| *b == b';').next().unwrap_or_default();
        item.trim_ascii().eq_ignore_ascii_case(member.as_bytes())
    })
}
