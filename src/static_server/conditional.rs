//! Conditional and range requests (RFC 9110, sections 13 and 14), as pure decisions.
//!
//! A range list is answered with the whole file, which the RFC allows: `multipart/byteranges` has no users left and
//! many bugs. Preconditions that guard writes (`If-Match`, `If-Unmodified-Since`) are ignored: nothing is written here.

use std::time::SystemTime;

use http::header::{HeaderValue, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, RANGE};
use http::{HeaderMap, HeaderName};

/// What identifies one state of one representation.
#[derive(Debug, Clone)]
pub(super) struct Validators {
    /// Strong, quoted.
    pub(super) etag: HeaderValue,
    /// Whole seconds, as HTTP counts.
    pub(super) modified: Option<SystemTime>,
}

/// Which bytes to send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Slice {
    Whole,
    /// `first` up to and including `last`.
    Part {
        first: u64,
        last: u64,
    },
    Unsatisfiable,
}

impl Validators {
    /// Whether the client has this state already.
    pub(super) fn is_not_modified(&self, headers: &HeaderMap) -> bool {
        if headers.contains_key(IF_NONE_MATCH) {
            // `If-Modified-Since` counts only without it (RFC 9110, 13.1.3).
            return headers.get_all(IF_NONE_MATCH).iter().any(|value| self.matches_any(value));
        }
        match (date(headers, &IF_MODIFIED_SINCE), self.modified) {
            (Some(since), Some(modified)) => modified <= since,
            _ => false,
        }
    }

    /// The bytes that a `GET` with these headers gets of a body of `size` bytes.
    pub(super) fn slice(&self, headers: &HeaderMap, size: u64) -> Slice {
        let mut ranges = headers.get_all(RANGE).iter();
        let (Some(range), None) = (ranges.next(), ranges.next()) else { return Slice::Whole };
        if headers.contains_key(IF_RANGE) && !self.allows_range(headers) {
            return Slice::Whole;
        }
        range.to_str().ok().and_then(|range| parse_range(range, size)).unwrap_or(Slice::Whole)
    }

    fn matches_any(&self, list: &HeaderValue) -> bool {
        let Ok(list) = list.to_str() else { return false };
        list.split(',').map(str::trim).any(|tag| {
            // The comparison is weak (13.1.2): a proxy that recompressed may have weakened our tag.
            tag == "*" || tag.strip_prefix("W/").unwrap_or(tag).as_bytes() == self.etag.as_bytes()
        })
    }

    fn allows_range(&self, headers: &HeaderMap) -> bool {
        let is_tag = headers.get(IF_RANGE).is_some_and(|value| *value == self.etag);
        is_tag || self.modified.is_some_and(|modified| date(headers, &IF_RANGE) == Some(modified))
    }
}

fn date(headers: &HeaderMap, name: &HeaderName) -> Option<SystemTime> {
    httpdate::parse_http_date(headers.get(name)?.to_str().ok()?).ok()
}

/// `None` for what is to be ignored: another unit, a list, a syntax error.
fn parse_range(range: &str, size: u64) -> Option<Slice> {
    let (unit, spec) = range.split_once('=')?;
    if !unit.trim().eq_ignore_ascii_case("bytes") {
        return None;
    }
    let (first, last) = spec.trim().split_once('-')?;
    let slice = match (first, last) {
        ("", suffix) => {
            let suffix = number(suffix)?;
            if suffix == 0 || size == 0 {
                Slice::Unsatisfiable
            } else {
                Slice::Part { first: size.saturating_sub(suffix), last: size - 1 }
            }
        }
        (first, last) => {
            let first = number(first)?;
            let last = if last.is_empty() { u64::MAX } else { number(last)? };
            if last < first {
                return None;
            }
            if first >= size { Slice::Unsatisfiable } else { Slice::Part { first, last: last.min(size - 1) } }
        }
    };
    Some(slice)
}

/// Digits alone: `u64::from_str` would take a `+` as well. More than fits is as good as the largest.
fn number(text: &str) -> Option<u64> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn validators() -> Validators {
        let modified = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        Validators { etag: HeaderValue::from_static("\"abc\""), modified: Some(modified) }
    }

    fn headers(pairs: &[(HeaderName, &str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (name.clone(), HeaderValue::from_str(value).expect("a header value")))
            .collect()
    }

    #[track_caller]
    fn check_not_modified(pairs: &[(HeaderName, &str)], expected: bool) {
        assert_eq!(validators().is_not_modified(&headers(pairs)), expected, "{pairs:?}");
    }

    #[track_caller]
    fn check_slice(pairs: &[(HeaderName, &str)], expected: Slice) {
        assert_eq!(validators().slice(&headers(pairs), 10), expected, "{pairs:?}");
    }

    const SAME: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
    const EARLIER: &str = "Sun, 06 Nov 1994 08:49:36 GMT";

    #[test]
    fn etag_decides_alone_when_there_is_one() {
        check_not_modified(&[], false);
        check_not_modified(&[(IF_NONE_MATCH, "\"abc\"")], true);
        check_not_modified(&[(IF_NONE_MATCH, "\"x\", W/\"abc\"")], true);
        check_not_modified(&[(IF_NONE_MATCH, "*")], true);
        check_not_modified(&[(IF_NONE_MATCH, "abc")], false);
        check_not_modified(&[(IF_NONE_MATCH, "\"x\""), (IF_MODIFIED_SINCE, SAME)], false);
    }

    #[test]
    fn date_decides_without_an_etag() {
        check_not_modified(&[(IF_MODIFIED_SINCE, SAME)], true);
        check_not_modified(&[(IF_MODIFIED_SINCE, EARLIER)], false);
        check_not_modified(&[(IF_MODIFIED_SINCE, "yesterday")], false);
        let undated = Validators { modified: None, ..validators() };
        assert!(!undated.is_not_modified(&headers(&[(IF_MODIFIED_SINCE, SAME)])));
    }

    #[test]
    fn single_range_is_cut_to_the_size() {
        let part = |first, last| Slice::Part { first, last };
        check_slice(&[(RANGE, "bytes=0-3")], part(0, 3));
        check_slice(&[(RANGE, "bytes=4-")], part(4, 9));
        check_slice(&[(RANGE, "bytes=-3")], part(7, 9));
        check_slice(&[(RANGE, "bytes=-30")], part(0, 9));
        check_slice(&[(RANGE, "bytes=8-99999999999999999999999")], part(8, 9));
        check_slice(&[(RANGE, "Bytes=9-9")], part(9, 9));
    }

    #[test]
    fn range_past_the_end_is_unsatisfiable() {
        check_slice(&[(RANGE, "bytes=10-")], Slice::Unsatisfiable);
        check_slice(&[(RANGE, "bytes=-0")], Slice::Unsatisfiable);
        let empty = validators().slice(&headers(&[(RANGE, "bytes=0-")]), 0);
        assert_eq!(empty, Slice::Unsatisfiable);
    }

    #[test]
    fn ranges_that_are_no_single_range_get_the_whole() {
        for range in
            ["bytes=0-1,3-4", "bytes=5-2", "bytes=a-b", "bytes=+1-2", "bytes=", "bytes=-", "lines=0-1"]
        {
            check_slice(&[(RANGE, range)], Slice::Whole);
        }
    }

    #[test]
    fn range_of_another_state_gets_the_whole() {
        let part = Slice::Part { first: 0, last: 1 };
        check_slice(&[(RANGE, "bytes=0-1"), (IF_RANGE, "\"abc\"")], part);
        check_slice(&[(RANGE, "bytes=0-1"), (IF_RANGE, SAME)], part);
        check_slice(&[(RANGE, "bytes=0-1"), (IF_RANGE, "W/\"abc\"")], Slice::Whole);
        check_slice(&[(RANGE, "bytes=0-1"), (IF_RANGE, EARLIER)], Slice::Whole);
    }
}
