//! What `minipaas proxy` shows of a policy: every key, as the manifest would write it, and no secret.

use super::*;

/// What is shown of a policy, without its pages, read again.
fn shown_again(policy: &Policy) -> Policy {
    let shown = crate::manifest::shown(policy).into_iter().filter(|(key, _)| *key != "error_pages");
    self::policy(&shown.map(|(key, value)| format!("{key} = {value}\n")).collect::<String>())
}

#[test]
fn what_is_shown_reads_as_the_same() {
    assert_eq!(shown_again(&Policy::default()), Policy::default());
    let all = policy(
        r#"
https_redirect = false
canonical_host = "www.example.com"
redirects = [{ from = "/old/*", to = "/new/*", status = 301 }]
hsts = { max_age = "2y", subdomains = true, preload = true }
allow = ["10.1.2.3/8", "2001:db8::1"]
deny = ["10.0.0.1"]
rate_limit = { requests = 100, per = "90s", burst = 20 }
body_max = "20M"
buffer_requests = true
buffer_responses = true
request_headers = { set = { x-from = "a \"proxy\"" }, remove = ["X-Debug"] }
response_headers = { remove = ["Server"] }
compress = ["br", "gzip"]
scope_cookies = true
connect_timeout = "2500ms"
first_byte_timeout = "20s"
idle_timeout = "10s"
timeout = "2h"
retries = 0
balance = "client-ip"
eject = { failures = 3, base = "1s", max = "1m", slow_start = "0s" }
max_connections = 50
queue = { max = 10, wait = "5s" }
protocol = "h2"
log = { exclude = ["/up"], headers = ["User-Agent"], mask = ["token"] }
cors = { origins = ["https://app.example.com"], methods = ["PUT"], headers = ["x-a"], credentials = true, max_age = "1h" }
"#,
    );
    assert_eq!(shown_again(&all), all);
    let off = policy("eject = false\nqueue = false\nerror_pages = false\n");
    let again = shown_again(&off);
    assert_eq!((again.ejection.failures, again.queue.max), (0, 0));
}

#[test]
fn every_key_is_shown() {
    let error = parse("[proxy]\nnothing_of_this_name_or_alike = 1\n").unwrap_err();
    let hint = error.problems[0].hint.clone().unwrap();
    let mut known: Vec<_> = hint.trim_start_matches("known here: ").split(", ").map(str::to_owned).collect();
    let mut shown: Vec<_> =
        crate::manifest::shown(&Policy::default()).into_iter().map(|(key, _)| format!("`{key}`")).collect();
    known.sort();
    shown.sort();
    assert_eq!(shown, known);
}

#[test]
fn secrets_and_pages_are_not_shown() {
    let policy = policy(&format!(
        r#"
basic_auth = {{ ann = "{HASH}" }}
request_headers = {{ set = {{ authorization = "s3cret", cookie = "s3cret", x-a = "open" }} }}
response_headers = {{ set = {{ set-cookie = "s3cret" }} }}
error_pages = {{ 404 = "errors/404.html" }}
"#
    ));
    let secret = ["basic_auth", "request_headers", "response_headers", "error_pages"];
    let shown = crate::manifest::shown(&policy).into_iter().filter(|(key, _)| secret.contains(key));
    let lines: String = shown.map(|(key, value)| format!("{key} = {value}\n")).collect();
    expect![[r#"
        basic_auth = { "ann" = "***" }
        request_headers = { set = { "authorization" = "***", "cookie" = "***", "x-a" = "open" } }
        response_headers = { set = { "set-cookie" = "***" } }
        error_pages = { 404 = "(10 bytes)" }
    "#]]
    .assert_eq(&lines);
}
