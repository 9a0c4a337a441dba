//! Heads of requests and responses, before and after the proxy.

use http::header::{CONNECTION, CONTENT_LENGTH, COOKIE, HOST, TE, UPGRADE};
use http::{HeaderMap, HeaderName, HeaderValue, Version};

use super::super::client::Client;
use super::{Told, join_cookies, rewrite_request, rewrite_response, wanted_upgrade};

fn headers(list: &[(&'static str, &'static str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in list {
        headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    headers
}

fn rewritten(list: &[(&'static str, &'static str)]) -> HeaderMap {
    let mut headers = headers(list);
    let value = HeaderValue::from_static;
    let told = Told {
        client: &Client::direct("192.0.2.1:4711".parse().unwrap(), 8443, true),
        host: &value("blog.localhost:8443"),
        prefix: None,
        id: value("abc"),
        start_ms: 5,
    };
    rewrite_request(&mut headers, told, None);
    headers
}

#[test]
fn headers_of_one_connection_end_here() {
    let list = [
        ("connection", "close, X-Mine"),
        ("connection", "x-yours"),
        ("x-mine", "1"),
        ("x-yours", "1"),
        ("keep-alive", "timeout=5"),
        ("proxy-connection", "keep-alive"),
        ("proxy-authorization", "Basic x"),
        ("proxy-authenticate", "Basic"),
        ("te", "gzip"),
        ("transfer-encoding", "chunked"),
        ("upgrade", "foo"),
        ("accept", "*/*"),
    ];
    let names: Vec<_> =
        rewritten(&list).keys().map(ToString::to_string).filter(|n| !n.starts_with("x-")).collect();
    assert_eq!(names, ["accept", "host", "forwarded"]);
    let mut response = headers(&list);
    rewrite_response(&mut response);
    assert_eq!(response.keys().map(ToString::to_string).collect::<Vec<_>>(), ["accept"]);
}

#[test]
fn what_connection_lists_cannot_take_away_our_own_words() {
    let list = [
        ("connection", "x-forwarded-for, x-request-id, host, content-length"),
        ("host", "evil"),
        ("content-length", "3"),
    ];
    let headers = rewritten(&list);
    assert_eq!(headers["x-forwarded-for"], "192.0.2.1");
    assert_eq!(headers["x-request-id"], "abc");
    assert_eq!(headers[HOST], "blog.localhost:8443");
    assert_eq!(headers[CONTENT_LENGTH], "3");
}

#[test]
fn what_a_client_claims_about_itself_is_replaced() {
    let headers = rewritten(&[
        ("x-forwarded-for", "10.0.0.1"),
        ("x-forwarded-for", "10.0.0.2"),
        ("x-forwarded-proto", "http"),
        ("x-forwarded-prefix", "/admin"),
        ("x-request-id", "mine"),
        ("forwarded", "for=10.0.0.1"),
    ]);
    assert_eq!(headers.get_all("x-forwarded-for").iter().collect::<Vec<_>>(), ["192.0.2.1"]);
    assert_eq!(headers["x-forwarded-proto"], "https");
    assert_eq!(headers["x-forwarded-port"], "8443");
    assert_eq!(headers["x-forwarded-host"], "blog.localhost:8443");
    assert_eq!(headers["x-request-id"], "abc");
    assert_eq!(headers["x-request-start"], "5");
    assert_eq!(headers["forwarded"], "for=192.0.2.1;host=\"blog.localhost:8443\";proto=https");
    assert!(!headers.contains_key("x-forwarded-prefix"));
}

#[test]
fn te_keeps_trailers_alone() {
    assert_eq!(rewritten(&[("te", "gzip, Trailers;q=0.5")])[TE], "trailers");
    assert!(!rewritten(&[("te", "gzip")]).contains_key(TE));
}

#[test]
fn an_upgrade_is_asked_for_in_both_headers_and_is_never_h2c() {
    for (connection, upgrade, version, is_wanted) in [
        ("Upgrade", "websocket", Version::HTTP_11, true),
        ("keep-alive, upgrade", "foo", Version::HTTP_11, true),
        ("keep-alive", "websocket", Version::HTTP_11, false),
        ("upgrade", "websocket", Version::HTTP_10, false),
        ("upgrade, http2-settings", "h2c", Version::HTTP_11, false),
        ("upgrade", "websocket, h2c", Version::HTTP_11, false),
    ] {
        let headers = HeaderMap::from_iter([
            (CONNECTION, HeaderValue::from_static(connection)),
            (UPGRADE, HeaderValue::from_static(upgrade)),
        ]);
        assert_eq!(
            wanted_upgrade(version, &headers).is_some(),
            is_wanted,
            "{connection} {upgrade} {version:?}"
        );
    }
}

#[test]
fn cookie_crumbs_become_one_header() {
    let mut crumbs = headers(&[("cookie", "a=1"), ("cookie", "b=2; c=3")]);
    join_cookies(&mut crumbs);
    assert_eq!(crumbs.get_all(COOKIE).iter().collect::<Vec<_>>(), ["a=1; b=2; c=3"]);
}
