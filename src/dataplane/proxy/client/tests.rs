//! What a trusted proxy may say, and what nobody may.

use http::{HeaderMap, HeaderName, HeaderValue};

use super::{Client, Trust, given_id};

fn trust() -> Trust {
    let proxies = ["10.0.0.0/8", "2001:db8:1::/48"].map(|net| net.parse().unwrap());
    Trust { proxies: proxies.to_vec(), ..Trust::default() }
}

fn headers(list: &[(&'static str, &'static str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in list {
        headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    headers
}

/// What the app hears of a request with these headers, from the trusted proxy 10.0.0.1 over plain http on port 80.
fn told(list: &[(&'static str, &'static str)], trust: &Trust) -> (Client, HeaderMap) {
    let mut headers = headers(list);
    let client = Client::direct("10.0.0.1:4711".parse().unwrap(), 80, false).behind(&headers, trust);
    client.tell(&mut headers, &HeaderValue::from_static("blog.localhost"), None);
    (client, headers)
}

#[track_caller]
fn check_chain(received: &[&'static str], client: &str, chain: &str) {
    let list: Vec<_> = received.iter().map(|value| ("x-forwarded-for", *value)).collect();
    let (found, headers) = told(&list, &trust());
    assert_eq!(
        (found.ip.to_string().as_str(), headers["x-forwarded-for"].to_str().unwrap()),
        (client, chain)
    );
}

#[test]
fn the_client_is_the_right_most_address_that_is_not_trusted() {
    check_chain(&[], "10.0.0.1", "10.0.0.1");
    check_chain(&["192.0.2.1"], "192.0.2.1", "192.0.2.1, 10.0.0.1");
    check_chain(&["192.0.2.1, 10.0.0.2"], "192.0.2.1", "192.0.2.1, 10.0.0.2, 10.0.0.1");
    check_chain(&["10.0.0.3, 10.0.0.2"], "10.0.0.3", "10.0.0.3, 10.0.0.2, 10.0.0.1");
    check_chain(&["192.0.2.1", "2001:db8:1::7"], "192.0.2.1", "192.0.2.1, 2001:db8:1::7, 10.0.0.1");
}

#[test]
fn what_an_untrusted_hop_claimed_is_dropped() {
    check_chain(&["127.0.0.1, 192.0.2.1"], "192.0.2.1", "192.0.2.1, 10.0.0.1");
    check_chain(&["10.9.9.9", "192.0.2.1,10.0.0.2"], "192.0.2.1", "192.0.2.1, 10.0.0.2, 10.0.0.1");
}

#[test]
fn addresses_may_have_ports_and_anything_else_ends_the_chain() {
    check_chain(&["192.0.2.1:4711"], "192.0.2.1", "192.0.2.1, 10.0.0.1");
    check_chain(&["[2001:db8::1]:4711"], "2001:db8::1", "2001:db8::1, 10.0.0.1");
    check_chain(&["[2001:db8::1]"], "2001:db8::1", "2001:db8::1, 10.0.0.1");
    check_chain(&["::ffff:192.0.2.1"], "192.0.2.1", "192.0.2.1, 10.0.0.1");
    check_chain(&["192.0.2.1, unknown, 10.0.0.2"], "10.0.0.2", "10.0.0.2, 10.0.0.1");
    check_chain(&["192.0.2.1,"], "10.0.0.1", "10.0.0.1");
}

#[test]
fn a_header_of_the_operators_choice_goes_before_the_chain() {
    let name = HeaderName::from_static("cf-connecting-ip");
    let trust = Trust { client_ip_header: Some(name), ..trust() };
    let chain = ("x-forwarded-for", "198.51.100.1");
    let (client, headers) = told(&[("cf-connecting-ip", "192.0.2.1"), chain], &trust);
    assert_eq!(client.ip.to_string(), "192.0.2.1");
    assert_eq!(headers["x-forwarded-for"], "192.0.2.1, 10.0.0.1");
    for bad in [&[chain][..], &[("cf-connecting-ip", "x"), chain], &[("cf-connecting-ip", "::1"); 2]] {
        assert_eq!(told(bad, &trust).0.ip.to_string(), "10.0.0.1", "{bad:?}");
    }
}

#[test]
fn scheme_host_and_port_are_believed_where_they_are_well_formed() {
    let (client, headers) = told(
        &[
            ("x-forwarded-proto", "HTTPS"),
            ("x-forwarded-host", "shop.example:8443"),
            ("x-forwarded-port", "8443"),
            ("x-forwarded-prefix", "/shop"),
        ],
        &trust(),
    );
    assert!(client.is_https && client.is_proxied);
    assert_eq!(headers["x-forwarded-proto"], "https");
    assert_eq!(headers["x-forwarded-host"], "shop.example:8443");
    assert_eq!(headers["x-forwarded-port"], "8443");
    assert_eq!(headers["x-forwarded-prefix"], "/shop");
    let (_, headers) = told(&[("x-forwarded-proto", "https")], &trust());
    assert_eq!(headers["x-forwarded-port"], "443");

    let (client, headers) = told(
        &[
            ("x-forwarded-proto", "gopher"),
            ("x-forwarded-host", "evil/\\x"),
            ("x-forwarded-port", "99999"),
            ("x-forwarded-prefix", "//evil.example"),
        ],
        &trust(),
    );
    assert!(!client.is_https && !client.is_proxied);
    assert_eq!(headers["x-forwarded-proto"], "http");
    assert_eq!(headers["x-forwarded-host"], "blog.localhost");
    assert_eq!(headers["x-forwarded-port"], "80");
    assert!(!headers.contains_key("x-forwarded-prefix"));
}

#[test]
fn prefixes_add_up_and_name_no_other_host() {
    let client = Client::direct("10.0.0.1:1".parse().unwrap(), 80, false);
    for (given, stripped, expected) in [
        ("/a", Some("/b"), Some("/a/b")),
        ("/a", None, Some("/a")),
        ("", Some("/b"), Some("/b")),
        ("/", None, None),
        ("a", None, None),
        ("/a/../b", None, None),
        ("/a//b", None, None),
        ("/a\"b", None, None),
    ] {
        let mut headers = headers(&[("x-forwarded-prefix", given)]);
        let behind = client.behind(&headers, &trust());
        behind.tell(&mut headers, &HeaderValue::from_static("h"), stripped);
        let told = headers.get("x-forwarded-prefix").map(|prefix| prefix.to_str().unwrap());
        assert_eq!(told, expected, "{given} {stripped:?}");
    }
}

#[test]
fn forwarded_quotes_what_is_no_token() {
    for (peer, host, is_https, expected) in [
        ("192.0.2.1:1", "h", false, "for=192.0.2.1;host=h;proto=http"),
        ("192.0.2.1:1", "h:8443", true, "for=192.0.2.1;host=\"h:8443\";proto=https"),
        ("[2001:db8::1]:1", "[::1]", false, "for=\"[2001:db8::1]\";host=\"[::1]\";proto=http"),
        ("[::ffff:192.0.2.1]:1", "h", false, "for=192.0.2.1;host=h;proto=http"),
    ] {
        let client = Client::direct(peer.parse().unwrap(), 80, is_https);
        let mut headers = HeaderMap::new();
        for (asked, expected) in [(host, expected), ("x", ""), (host, expected)] {
            client.tell(&mut headers, &HeaderValue::from_static(asked), None);
            let told = headers["forwarded"].to_str().unwrap();
            assert!(told == expected || expected.is_empty() && told.contains(";host=x;"), "{told}");
        }
    }
    let (_, headers) = told(&[("x-forwarded-for", "2001:db8::1"), ("x-forwarded-proto", "https")], &trust());
    assert_eq!(headers["forwarded"], "for=\"[2001:db8::1]\";host=blog.localhost;proto=https, for=10.0.0.1");
}

#[test]
fn an_id_is_kept_when_it_is_short_and_plain() {
    let id = |value: &str| {
        let headers = HeaderMap::from_iter([(
            HeaderName::from_static("x-request-id"),
            HeaderValue::from_str(value).unwrap(),
        )]);
        given_id(&headers).map(|id| id.to_string())
    };
    for kept in
        ["5f2b1c1e-7a6b-4c1d-9d5e-0f6d0c7b8a90", "Root=1-67891233-abcdef012345678912345678", "abcdefgh"]
    {
        assert_eq!(id(kept).as_deref(), Some(kept));
    }
    for replaced in ["", "short", "a b c d e f g", "a\"b\"c\"d\"e", &"a".repeat(65)] {
        assert_eq!(id(replaced), None, "{replaced}");
    }
    assert!(given_id(&headers(&[("x-request-id", "abcdefgh"), ("x-request-id", "abcdefgh")])).is_none());
}
