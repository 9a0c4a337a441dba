//! What leaves the proxy: no header of one connection goes on to the next, and what tells the app of its client is ours alone.

use std::net::SocketAddr;

use http::{HeaderMap, HeaderName, HeaderValue, Version};
use minipaas::policy::HeaderEdits;
use minipaas::proxy::fuzzing;

use super::Input;

const NAMES: [&str; 26] = [
    "connection",
    "keep-alive",
    "te",
    "transfer-encoding",
    "upgrade",
    "proxy-connection",
    "proxy-authorization",
    "proxy-authenticate",
    "trailer",
    "host",
    "forwarded",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-port",
    "x-forwarded-proto",
    "x-forwarded-prefix",
    "x-request-id",
    "x-request-start",
    "content-length",
    "cookie",
    "location",
    "set-cookie",
    "authorization",
    "x-a",
    "x-b",
    "connection",
];
const WORDS: [&str; 30] = [
    "close",
    "keep-alive",
    "upgrade",
    "websocket",
    "h2c",
    "chunked",
    "trailers",
    ";q=0.5",
    ", ",
    ",",
    " ",
    "\t",
    "content-length",
    "host",
    "x-forwarded-for",
    "transfer-encoding",
    "cookie",
    "x-a",
    "te",
    "connection",
    "a=b",
    "; ",
    "Path=/",
    "path=/x",
    "/",
    "//",
    "https://h.example",
    "http://h.example:80",
    "/api",
    "\u{e9}",
];
const FRAMING: [&str; 6] = ["connection", "content-length", "te", "trailer", "transfer-encoding", "upgrade"];
/// What belongs to one connection and is never passed on.
const HOP_BY_HOP: [&str; 5] =
    ["keep-alive", "proxy-connection", "proxy-authenticate", "proxy-authorization", "transfer-encoding"];
const OURS: [&str; 9] = [
    "host",
    "forwarded",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-port",
    "x-forwarded-proto",
    "x-forwarded-prefix",
    "x-request-id",
    "x-request-start",
];

pub fn check(data: &[u8]) {
    let mut input = Input::new(data);
    let headers = header_map(&mut input);
    request(&mut input, headers.clone());
    response(&mut input, headers);
}

fn request(input: &mut Input<'_>, mut headers: HeaderMap) {
    let peers: [SocketAddr; 3] = [([192, 0, 2, 1], 80).into(), ([0; 16], 0).into(), ([0xfe; 16], 1).into()];
    let peer = peers[input.below(peers.len())];
    let host = HeaderValue::from_static(input.pick(&["h.example", "h.example:8080", "[::1]:443"]));
    let version = [Version::HTTP_11, Version::HTTP_2, Version::HTTP_10][input.below(3)];
    let prefix = input.flag().then_some("/api");
    let before = headers.clone();
    let upgrade = fuzzing::rewrite_request(&mut headers, version, peer, &host, prefix);

    let only = |name: &str| {
        let mut values = headers.get_all(name).iter();
        (values.next().cloned(), values.next().is_some())
    };
    let is = |name: &str, expected: Option<&str>| {
        let expected = expected.map(|value| HeaderValue::from_str(value).expect("ours is valid"));
        assert_eq!(only(name), (expected, false), "{name} of {before:?}");
    };
    for name in HOP_BY_HOP {
        is(name, None);
    }
    is("connection", upgrade.as_ref().map(|_| "upgrade"));
    assert_eq!(only("upgrade"), (upgrade.clone(), false));
    assert!(upgrade.is_none() || version == Version::HTTP_11, "{before:?}");
    let te = only("te");
    assert!(te == (None, false) || te == (Some(HeaderValue::from_static("trailers")), false), "{before:?}");
    for name in listed(&before) {
        let is_ours = OURS.contains(&name.as_str()) || FRAMING.contains(&name.as_str());
        assert!(is_ours || !headers.contains_key(&name), "{name} of {before:?}");
    }
    assert_eq!(lines(&headers, "content-length"), lines(&before, "content-length"));
    let ip = peer.ip().to_canonical().to_string();
    is("host", Some(host.to_str().expect("it is ours")));
    is("x-forwarded-for", Some(&ip));
    is("x-forwarded-host", Some(host.to_str().expect("it is ours")));
    is("x-forwarded-port", Some(&peer.port().to_string()));
    is("x-forwarded-proto", Some("http"));
    is("x-forwarded-prefix", prefix);
    is("x-request-id", Some(fuzzing::REQUEST_ID));
    is("x-request-start", Some("1"));
    let (forwarded, is_repeated) = only("forwarded");
    let forwarded = forwarded.expect("it is said");
    assert!(!is_repeated && forwarded.to_str().is_ok_and(|text| text.matches("for=").count() == 1));
    if version == Version::HTTP_2 && !listed(&before).any(|name| name == "cookie") {
        let crumbs = lines(&before, "cookie").join(&b"; "[..]);
        assert_eq!(lines(&headers, "cookie").concat(), crumbs);
    }
    visible(&headers);
}

fn response(input: &mut Input<'_>, mut headers: HeaderMap) {
    fuzzing::rewrite_response(&mut headers);
    for name in HOP_BY_HOP.iter().chain(&["connection", "te", "upgrade"]) {
        assert!(!headers.contains_key(*name), "{name}");
    }
    let before = headers.clone();
    let edits = HeaderEdits {
        remove: (0..input.below(4)).map(|_| name(input)).collect(),
        set: (0..input.below(4)).filter_map(|_| Some((name(input), value(input)?))).collect(),
    };
    fuzzing::edit(&edits, &mut headers);
    for name in FRAMING {
        assert_eq!(lines(&headers, name), lines(&before, name), "{edits:?}");
    }
    for (name, _) in edits.set.iter().filter(|(name, _)| !FRAMING.contains(&name.as_str())) {
        let last = edits.set.iter().rfind(|(other, _)| other == name).map(|(_, value)| value.as_bytes());
        assert_eq!(lines(&headers, name.as_str()), [last.expect("it is there")]);
    }

    let before = headers.clone();
    let host = HeaderValue::from_static("h.example");
    fuzzing::restore_prefix("/api", &host, &mut headers);
    if let (Some(was), Some(is)) = (before.get("location"), headers.get("location")) {
        // The prefix is put in, or nothing is done; so nobody is led to another host than before.
        let (was, is) = (was.as_bytes(), is.as_bytes());
        let with_prefix = |at: usize| [&was[..at], b"/api", &was[at..]].concat();
        assert!(is == was || (0..=was.len()).any(|at| is == with_prefix(at)));
        assert_eq!(was.starts_with(b"//"), is.starts_with(b"//"));
    }
    for cookie in headers.get_all("set-cookie").iter().filter_map(|cookie| cookie.to_str().ok()) {
        let path = cookie
            .split(';')
            .skip(1)
            .filter_map(|part| part.split_once('='))
            .filter(|(name, _)| name.trim().eq_ignore_ascii_case("path"))
            .last();
        let path = path.expect("each has a path").1.trim();
        assert!(
            path.strip_prefix("/api")
                .is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', '?', '#']))
        );
    }
    visible(&headers);
}

fn header_map(input: &mut Input<'_>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for _ in 0..input.below(12) {
        let name = name(input);
        if let Some(value) = value(input) {
            headers.append(name, value);
        }
    }
    headers
}

fn name(input: &mut Input<'_>) -> HeaderName {
    HeaderName::from_static(input.pick(&NAMES))
}

fn value(input: &mut Input<'_>) -> Option<HeaderValue> {
    HeaderValue::from_bytes(&input.words(&WORDS, 8)).ok()
}

fn lines<'h>(headers: &'h HeaderMap, name: &str) -> Vec<&'h [u8]> {
    headers.get_all(name).iter().map(HeaderValue::as_bytes).collect()
}

/// What `Connection` lists.
fn listed(headers: &HeaderMap) -> impl Iterator<Item = HeaderName> {
    headers
        .get_all("connection")
        .iter()
        .flat_map(|value| value.as_bytes().split(|b| *b == b','))
        .filter_map(|name| HeaderName::from_bytes(name.trim_ascii()).ok())
}

/// Nothing in it ends a line.
fn visible(headers: &HeaderMap) {
    let is_control = |b: &u8| (*b < 0x20 && *b != b'\t') || *b == 0x7f;
    for (name, value) in headers {
        assert!(!value.as_bytes().iter().any(is_control), "{name}: {value:?}");
    }
}
