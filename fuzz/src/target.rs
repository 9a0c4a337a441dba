//! What a request is aimed at: hosts are hosts, and no redirect leads where nobody meant it to.

use http::header::HOST;
use http::{HeaderMap, HeaderValue, Uri};
use minipaas::policy::{Policy, Redirect};
use minipaas::proxy::fuzzing;

use super::Input;

const HOSTS: [&str; 22] = [
    "h",
    "H.Example",
    "example.com",
    ".",
    "..",
    ":",
    "80",
    "443",
    "[",
    "]",
    "::1",
    "@",
    "/",
    "\\",
    " ",
    ",",
    "_",
    "-",
    "127.0.0.1",
    "%",
    "\u{e9}",
    "\t",
];
const TARGETS: [&str; 22] = [
    "/",
    "//",
    "\\",
    "/old",
    "/api",
    "evil.example",
    "?",
    "#",
    "a=b",
    "*",
    "%2e",
    "%5c",
    "..",
    ".",
    "http://",
    "https://",
    "h",
    ":80",
    "@",
    " ",
    "\t",
    "\u{e9}",
];
/// Redirects as a manifest may have them.
const REDIRECTS: [(&str, &str); 7] = [
    ("/old/*", "/*"),
    ("/old/*", "/new/*"),
    ("/old", "/new"),
    ("/*", "/new/*"),
    ("/old/*", "https://h.example/*"),
    ("/*", "https://h.example/new?x"),
    ("/old/*", "/"),
];

pub fn check(data: &[u8]) {
    let mut input = Input::new(data);
    let mut headers = HeaderMap::new();
    for _ in 0..input.below(3) {
        if let Ok(value) = HeaderValue::from_bytes(&input.words(&HOSTS, 6)) {
            headers.append(HOST, value);
        }
    }
    let Ok(uri) = Uri::try_from(input.words(&TARGETS, 8)) else { return };
    redirects(&uri);
    let Some((named, host)) = fuzzing::host(&uri, &headers) else { return };
    let is_host = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-._:[]".contains(c);
    assert!(
        host.chars().all(is_host) && !host.is_empty() && !host.starts_with('.') && !host.ends_with('.'),
        "{host}"
    );
    assert!(
        named.to_str().is_ok_and(|named| named.to_ascii_lowercase().starts_with(&host)),
        "{named:?} {host}"
    );
    assert!(headers.get_all(HOST).iter().count() < 2);

    for strip in [0, "/api".len()] {
        if strip > 0
            && !uri.path().strip_prefix("/api").is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        {
            continue;
        }
        let sent = fuzzing::for_upstream(&uri, strip);
        assert!(sent.authority().is_none() && sent.scheme().is_none(), "{uri} became {sent}");
        assert!(sent.path().starts_with('/') || sent.path() == "*", "{uri} became {sent}");
        assert_eq!(sent.query(), uri.query());
    }
    let over = fuzzing::over_https(&host, 8443, &uri).expect("a routed host can be in a header");
    let policy = Policy {
        canonical_host: Some("www.example.org".parse().expect("it is a host")),
        ..Policy::default()
    };
    let canonical = fuzzing::canonical(&policy, &host, &named, &uri);
    for (location, expected) in [(Some(over), host.as_str()), (canonical, "www.example.org")] {
        let Some(location) = location else { continue };
        // What is not ASCII goes on as it came.
        let text = String::from_utf8_lossy(location.as_bytes());
        let rest = text.strip_prefix("https://").and_then(|rest| rest.strip_prefix(expected));
        let rest = rest.unwrap_or_else(|| panic!("{location:?} does not lead to {expected}"));
        let rest =
            rest.strip_prefix(':').map_or(rest, |rest| rest.trim_start_matches(|c: char| c.is_ascii_digit()));
        assert!(rest.starts_with(['/', '?']), "{location:?}");
    }
}

fn redirects(uri: &Uri) {
    for (from, to) in REDIRECTS {
        let redirect = Redirect { from: from.to_owned(), to: to.to_owned(), status: 308 };
        let Some(location) = redirect.location(uri.path(), uri.query()) else { continue };
        assert!(HeaderValue::from_str(&location).is_ok() || !location.is_ascii(), "{location:?}");
        // As a browser reads it (WHATWG URL, 4.4).
        let read: String = location.replace('\\', "/").chars().filter(|c| !c.is_ascii_control()).collect();
        let is_there = if to.starts_with('/') {
            read.starts_with('/') && !read.starts_with("//")
        } else {
            read.starts_with("https://h.example/")
        };
        assert!(is_there, "{uri} leads to {location}");
    }
}
