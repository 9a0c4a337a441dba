//! `[proxy]` tables, and the policy or the problems that come of them.

mod show;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use expect_test::{Expect, expect};
use http::{HeaderName, HeaderValue, Method};

use crate::manifest::{FILE_BYTES_MAX, FILES_MAX, Manifest, ManifestError, Source, WantedFile};
use crate::policy::{
    Access, Balance, Buffering, Cors, Credential, Ejection, Encoding, HeaderEdits, Hsts, Logging, PageKey,
    Policy, Protocol, Queue, RateLimit, Redirect, Timeouts,
};

/// In the form that `htpasswd -nB` prints behind the colon.
const HASH: &str = "$2y$05$c4WoMPo3SXsafkva.HHa6uXQZWr7oboPiC2bT/r7q1BB8I2s0BRqC";

fn source(toml: &str) -> Source {
    let files = [("errors/404.html", "<p>404</p>"), ("errors/5xx.html", "<p>5xx</p>")];
    let files = files.map(|(path, text)| (path.to_owned(), text.to_owned())).into();
    Source { toml: Some(toml.to_owned()), procfile: None, files }
}

fn parse(toml: &str) -> Result<Manifest, ManifestError> {
    Manifest::parse(&source(toml)).map(|(manifest, _)| manifest)
}

/// What `[proxy]` with these lines means.
fn policy(lines: &str) -> Policy {
    let manifest = parse(&format!("[proxy]\n{lines}\n")).unwrap_or_else(|error| panic!("{lines}: {error}"));
    Arc::unwrap_or_clone(manifest.proxy)
}

/// The problems of `[proxy]` with these lines, which begin at line 2.
fn check(lines: &str, expected: &Expect) {
    let problems = match parse(&format!("[proxy]\n{lines}\n")) {
        Ok(_) => "valid".to_owned(),
        Err(error) => error.problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"),
    };
    expected.assert_eq(&problems);
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn name(name: &'static str) -> HeaderName {
    HeaderName::from_static(name)
}

#[test]
fn every_key_has_its_place() {
    let read = policy(&format!(
        r#"
public = false
https_redirect = false
canonical_host = "WWW.example.com"
redirects = [
  {{ from = "/old", to = "/new", status = 301 }},
  {{ from = "/blog/*", to = "https://blog.example.com/*" }},
]
hsts = {{ max_age = "2y", subdomains = true, preload = true }}
allow = ["10.1.2.3/8", "2001:db8::1"]
deny = ["10.0.0.1"]
basic_auth = {{ ann = "{HASH}" }}
rate_limit = {{ requests = 100, per = "1m", burst = 20 }}
body_max = "20M"
buffer_requests = true
buffer_responses = true
request_headers = {{ set = {{ x-from = "proxy" }}, remove = ["X-Debug"] }}
response_headers = {{ remove = ["Server"] }}
compress = true
scope_cookies = true
error_pages = {{ 404 = "errors/404.html", 5xx = "./errors//5xx.html", maintenance = "errors/5xx.html" }}
connect_timeout = "2s"
first_byte_timeout = "20s"
idle_timeout = "10s"
timeout = "30s"
retries = 0
balance = "client-ip"
eject = {{ failures = 3, base = "1s", max = "1m", slow_start = "0s" }}
max_connections = 50
queue = {{ max = 10, wait = "5s" }}
protocol = "h2"
log = {{ exclude = ["/up"], headers = ["User-Agent"], mask = ["token"] }}
[proxy.cors]
origins = ["https://App.example.com", "http://localhost:3000"]
methods = ["PUT", "DELETE"]
headers = ["x-a"]
expose = ["x-b"]
credentials = true
max_age = "1h"
"#
    ));
    let redirect =
        |from: &str, to: &str, status| Redirect { from: from.to_owned(), to: to.to_owned(), status };
    let expected = Policy {
        is_public: false,
        https_redirect: false,
        canonical_host: Some("www.example.com".parse().unwrap()),
        redirects: vec![
            redirect("/old", "/new", 301),
            redirect("/blog/*", "https://blog.example.com/*", 308),
        ],
        hsts: Some(Hsts { max_age: seconds(2 * 31_536_000), subdomains: true, preload: true }),
        access: Access {
            allow: vec!["10.0.0.0/8".parse().unwrap(), "2001:db8::1/128".parse().unwrap()],
            deny: vec!["10.0.0.1/32".parse().unwrap()],
        },
        basic_auth: vec![Credential { user: "ann".to_owned(), hash: HASH.to_owned() }],
        issuer: None,
        ask: None,
        client_ca: None,
        rate_limit: Some(RateLimit { requests: 100, per: seconds(60), burst: 20 }),
        cors: Some(Cors {
            origins: vec!["https://app.example.com".to_owned(), "http://localhost:3000".to_owned()],
            methods: vec![Method::PUT, Method::DELETE],
            headers: vec![name("x-a")],
            expose: vec![name("x-b")],
            credentials: true,
            max_age: seconds(3600),
        }),
        body_max: Some(20 << 20),
        buffering: Buffering { requests: true, responses: true },
        request_headers: HeaderEdits {
            remove: vec![name("x-debug")],
            set: vec![(name("x-from"), HeaderValue::from_static("proxy"))],
        },
        response_headers: HeaderEdits { remove: vec![name("server")], set: Vec::new() },
        compress: vec![Encoding::Zstd, Encoding::Brotli, Encoding::Gzip],
        scope_cookies: true,
        error_pages: BTreeMap::from([
            (PageKey::Status(404), "<p>404</p>".into()),
            (PageKey::Class(5), "<p>5xx</p>".into()),
            (PageKey::Maintenance, "<p>5xx</p>".into()),
        ]),
        timeouts: Timeouts {
            connect: seconds(2),
            first_byte: seconds(20),
            idle: Some(seconds(10)),
            whole: Some(seconds(30)),
        },
        retries: 0,
        balance: Balance::ClientIp,
        ejection: Ejection { failures: 3, base: seconds(1), max: seconds(60), slow_start: seconds(0) },
        upstream_requests_max: Some(50),
        queue: Queue { max: 10, wait: seconds(5) },
        protocol: Protocol::Http2,
        logging: Logging {
            exclude: vec!["/up".parse().unwrap()],
            headers: vec![name("user-agent")],
            mask: vec!["token".to_owned()],
        },
    };
    assert_eq!(read, expected);
}

#[test]
fn short_forms_mean_the_usual() {
    assert_eq!(policy(""), Policy::default());
    let year = Hsts { max_age: seconds(31_536_000), subdomains: false, preload: false };
    assert_eq!(policy("hsts = true").hsts, Some(year));
    let rate = RateLimit { requests: 100, per: seconds(60), burst: 100 };
    for text in ["\"100/1m\"", "\"100/m\"", "{ requests = 100, per = \"60s\" }"] {
        assert_eq!(policy(&format!("rate_limit = {text}")).rate_limit, Some(rate), "{text}");
    }
    assert_eq!(
        policy("compress = [\"gzip\", \"br\", \"gzip\"]").compress,
        [Encoding::Gzip, Encoding::Brotli]
    );
    assert_eq!(policy("eject = false").ejection.failures, 0);
    assert_eq!(policy("eject = { base = \"10m\" }").ejection.max, seconds(600));
    assert_eq!(policy("queue = false").queue.max, 0);
}

#[test]
fn a_routes_table_goes_before_the_apps_key_by_key() {
    let manifest = parse(&format!(
        "[proxy]\nhsts = true\nretries = 3\nrate_limit = \"1/1s\"\nbasic_auth = {{ ann = \"{HASH}\" }}\n\
         canonical_host = \"a.example\"\nbody_max = \"1M\"\ncors = {{ origins = [\"*\"] }}\ncompress = true\n\
         timeout = \"1m\"\nmax_connections = 1\nerror_pages = {{ 404 = \"errors/404.html\" }}\n\
         log = {{ mask = [\"a\"] }}\n\
         [[route]]\npath = \"/open\"\n[route.proxy]\nhsts = false\nrate_limit = false\nbasic_auth = false\n\
         canonical_host = false\nbody_max = false\ncors = false\ncompress = false\ntimeout = false\n\
         max_connections = false\nerror_pages = false\nlog = {{ exclude = [\"/up\"] }}\n[[route]]\npath = \"/same\"\n"
    ))
    .unwrap();
    let logging = Logging { exclude: vec!["/up".parse().unwrap()], ..Logging::default() };
    assert_eq!(*manifest.routes[0].policy, Policy { retries: 3, logging, ..Policy::default() });
    assert!(Arc::ptr_eq(&manifest.routes[1].policy, &manifest.proxy));
}

#[test]
fn unknown_keys_are_suggested_at_every_depth() {
    check(
        "hstss = true\nhsts = { maxage = \"1y\" }\nlog = { excluded = [] }\nbalance = \"lest\"\nqueue = { wiat = \"1s\" }\n\
         redirects = [\n{ form = \"/a\", to = \"/b\" }]\ncors = { origin = [] }",
        &expect![[r#"
            minipaas.toml:2: unknown key `hstss` in [proxy]; did you mean `hsts`?
            minipaas.toml:3: unknown key `maxage` in `hsts`; did you mean `max_age`?
            minipaas.toml:4: unknown key `excluded` in `log`; did you mean `exclude`?
            minipaas.toml:5: `balance` is `lest`; it takes one of `least`, `round-robin`, `sticky`, `client-ip`; did you mean `least`?
            minipaas.toml:6: unknown key `wiat` in `queue`; did you mean `wait`?
            minipaas.toml:8: a redirect needs `from` and `to`, such as `{ from = "/old", to = "/new" }`
            minipaas.toml:8: unknown key `form` in `redirects`; did you mean `from`?
            minipaas.toml:9: unknown key `origin` in `cors`; did you mean `origins`?
            minipaas.toml:9: `cors` needs `origins`; such as `origins = ["https://app.example.com"]`"#]],
    );
}

#[test]
fn wrong_types_and_ranges_name_the_right_ones() {
    check(
        "https_redirect = 1\ncanonical_host = \"*.example.com\"\nredirects = \"/a\"\nhsts = \"1y\"\nallow = \"10.0.0.0/8\"\n\
         basic_auth = \"ann:secret\"\nrate_limit = 5\nbody_max = 20\ncompress = [\"zip\"]\nerror_pages = \"x\"\nretries = 6\n\
         eject = true\nmax_connections = 0\nprotocol = \"h3\"\nlog = { exclude = [\"up\"], headers = [\"Cookie\", \"a b\"], mask = [\"\"] }",
        &expect![[r#"
            minipaas.toml:2: `https_redirect` is a whole number; it takes `true` or `false`
            minipaas.toml:3: `*.example.com` is not one host; give one such as `www.example.com`
            minipaas.toml:4: `redirects` is not a list of tables; write `redirects = [{ from = "/old", to = "/new" }]`
            minipaas.toml:5: `hsts` is a string; it takes a table
            minipaas.toml:6: `allow` is a string; it takes a list of strings
            minipaas.toml:7: `basic_auth` is a string; it takes a table
            minipaas.toml:8: `rate_limit` is a whole number; it takes a table
            minipaas.toml:9: `body_max` is a whole number; it takes a size such as `"20M"`, or `false`
            minipaas.toml:10: `zip` is not one of `zstd`, `br`, `gzip`
            minipaas.toml:11: `error_pages` is a string; it takes a table
            minipaas.toml:12: `retries` is 6; it takes 0 to 5
            minipaas.toml:13: `eject` is true or false; it takes a table
            minipaas.toml:14: `max_connections` is 0; it takes 1 to 1000000
            minipaas.toml:15: `protocol` is `h3`; it takes one of `auto`, `http1`, `h2`; did you mean `h2`?
            minipaas.toml:16: path `up` does not start with `/`; use a prefix such as `/` or `/api`
            minipaas.toml:16: `Cookie` is a secret and not for a log
            minipaas.toml:16: `a b` is not a header's name
            minipaas.toml:16: a query parameter's name is empty"#]],
    );
}

#[test]
fn a_bad_network_is_named_at_its_line() {
    check(
        "allow = [\n  \"10.0.0.0/8\",\n  \"10.0.0.0/33\",\n]\ndeny = [\"example.com\", \"::1\"]",
        &expect![[r#"
            minipaas.toml:4: `10.0.0.0/33` in `allow` is neither an address nor a network such as `10.0.0.0/8` or `2001:db8::/32`
            minipaas.toml:6: `example.com` in `deny` is neither an address nor a network such as `10.0.0.0/8` or `2001:db8::/32`"#]],
    );
}

#[test]
fn redirects_lead_somewhere_and_end() {
    check(
        "redirects = [\n\
         { from = \"/*\", to = \"/*\" },\n\
         { from = \"/a\", to = \"/b\" },\n\
         { from = \"/b\", to = \"/a?x\" },\n\
         { from = \"/c\", to = \"/c/*\" },\n\
         { from = \"/d/*x\", to = \"/e\" },\n\
         { from = \"f\", to = \"/e\" },\n\
         { from = \"/g\", to = \"//evil.example\" },\n\
         { from = \"/h\", to = \"ftp://h.example\", status = 200 },\n\
         { from = \"/i\", to = \"/a b\" },\n\
         { to = \"/e\" },\n\
         ]",
        &expect![[r#"
            minipaas.toml:3: the redirect from `/*` to `/*` never ends
            minipaas.toml:4: the redirect from `/a` to `/b` never ends
            minipaas.toml:5: the redirect from `/b` to `/a?x` never ends
            minipaas.toml:6: `/c/*` has a `*`, and `/c` has none that it could stand for
            minipaas.toml:7: `/d/*x` has a `*` that is not its last segment, as in `/old/*`
            minipaas.toml:8: `f` is not a path; it starts with `/` and has no query
            minipaas.toml:9: `//evil.example` is neither a path nor a URL with `http://` or `https://`
            minipaas.toml:10: `ftp://h.example` is neither a path nor a URL with `http://` or `https://`
            minipaas.toml:10: `status` is 200; a redirect is 301, 302, 303, 307 or 308
            minipaas.toml:11: `/a b` has ` `; encode it, as in `%20`
            minipaas.toml:12: a redirect needs `from` and `to`, such as `{ from = "/old", to = "/new" }`"#]],
    );
    for (from, to, ends) in [
        ("/*", "/new/*", false),
        ("/*", "/new", false),
        ("/*", "https://elsewhere.example/*", true),
        ("/a/*", "/*", true),
        ("/a/*", "/a/b", false),
        ("/a", "/a/", true),
    ] {
        let toml = format!("[proxy]\nredirects = [{{ from = \"{from}\", to = \"{to}\" }}]\n");
        assert_eq!(parse(&toml).is_ok(), ends, "{from} -> {to}");
    }
}

#[test]
fn a_password_is_a_hash_and_never_repeated() {
    let dear = HASH.replace("$05$", "$31$");
    let toml = format!(
        "[proxy.basic_auth]\nann = \"hunter2\"\nbob = \"{dear}\"\n\"c:d\" = \"hunter2\"\neve = 4711\n"
    );
    let error = parse(&toml).unwrap_err().to_string();
    expect![[r#"
        minipaas.toml:2: the password of `ann` is not a bcrypt hash; make one with `htpasswd -nB ann`, and write what follows the colon
               minipaas.toml:3: the hash of `bob` has a cost of 31; at most 14 is checked; make one with `htpasswd -nB bob`, and write what follows the colon
               minipaas.toml:4: `c:d` is not a user's name; it has no colon
               minipaas.toml:5: `eve` is a whole number; it takes a string"#]].assert_eq(&error);
    let manifest = parse(&format!(
        "[proxy]\nbasic_auth = {{ ann = \"{HASH}\" }}\nrequest_headers = {{ set = {{ Authorization = \"hunter2\" }} }}\n"
    ));
    let source = source(&toml);
    assert!(manifest.is_ok());
    let debugged = format!("{source:?} {manifest:?}");
    assert!(!debugged.contains("hunter2") && !debugged.contains("$2y$"), "{debugged}");
    check(
        "basic_auth = {}",
        &expect!["minipaas.toml:2: `basic_auth` names no user; `basic_auth = false` lets everybody in"],
    );
}

#[test]
fn rates_and_origins_state_their_rule() {
    check(
        "rate_limit = \"100\"\ncors = { origins = [\"*\", \"https://a.example/\", \"a.example\", \"https://*.a\"], credentials = true,\n\
         methods = [\"put\"], headers = [\"a b\"] }",
        &expect![[r#"
            minipaas.toml:2: `100` is not a rate; write requests and a duration, such as `"100/1m"`
            minipaas.toml:3: `https://a.example/` is not an origin such as `https://app.example.com`, without a path
            minipaas.toml:3: `a.example` is not an origin such as `https://app.example.com`, without a path
            minipaas.toml:3: `https://*.a` is not an origin such as `https://app.example.com`, without a path
            minipaas.toml:3: `origins = ["*"]` with `credentials` would let every page act for its visitor; name the origins
            minipaas.toml:4: `put` is not a method such as `PUT`
            minipaas.toml:4: `a b` is not a header's name"#]],
    );
    check(
        "rate_limit = { requests = 0 }\ncors = {}",
        &expect![[r#"
        minipaas.toml:2: `rate_limit` needs `requests` and `per`, such as `{ requests = 100, per = "1m" }`
        minipaas.toml:2: `requests` is 0; it takes 1 to 1000000
        minipaas.toml:3: `cors` needs `origins`; such as `origins = ["https://app.example.com"]`"#]],
    );
    check(
        "rate_limit = \"0/1m\"\nhsts = { preload = true }",
        &expect![[r#"
        minipaas.toml:2: `0/1m` is not a rate; write requests and a duration, such as `"100/1m"`
        minipaas.toml:3: `preload` is taken only with `subdomains = true` and a `max_age` of a year or more"#]],
    );
    check("cors = { origins = [\"*\"] }", &expect![[r#"valid"#]]);
}

#[test]
fn the_proxys_own_headers_are_not_changed() {
    check(
        "request_headers = { set = { Host = \"x\", X-A = \"a\\nb\", \"x y\" = \"1\", X-B = 1 }, remove = [\"Content-Length\"] }\n\
         response_headers = { set = { Transfer-Encoding = \"chunked\" }, add = {} }",
        &expect![[r#"
            minipaas.toml:2: `Host` cannot be changed; the proxy needs it as it is
            minipaas.toml:2: the value of `X-A` has a character that no header has
            minipaas.toml:2: `X-B` is a whole number; it takes a string
            minipaas.toml:2: `x y` is not a header's name
            minipaas.toml:2: `Content-Length` cannot be changed; the proxy needs it as it is
            minipaas.toml:3: `Transfer-Encoding` cannot be changed; the proxy needs it as it is
            minipaas.toml:3: unknown key `add` in `response_headers`; known here: `set`, `remove`"#]],
    );
}

#[test]
fn a_timeout_that_can_never_pass_is_refused() {
    check(
        "connect_timeout = \"0s\"\ntimeout = \"0s\"\nidle_timeout = \"soon\"",
        &expect![[r#"
        minipaas.toml:2: `connect_timeout` is zero; it takes a duration such as `"1s"`
        minipaas.toml:3: `timeout` is zero; it takes a duration such as `"1s"`
        minipaas.toml:4: `soon` is not a duration; write a number with `ms`, `s`, `m` or `h`, such as `30s`"#]],
    );
    check("connect_timeout = \"2h\"", &expect!["minipaas.toml:2: `connect_timeout` is longer than an hour"]);
    check(
        "timeout = \"10s\"\nfirst_byte_timeout = \"11s\"\nconnect_timeout = \"12s\"\nidle_timeout = \"13s\"",
        &expect![[r#"
            minipaas.toml:3: `first_byte_timeout` is 11s and can never pass, because `timeout` ends the whole request after 10s
            minipaas.toml:4: `connect_timeout` is 12s and can never pass, because `timeout` ends the whole request after 10s
            minipaas.toml:5: `idle_timeout` is 13s and can never pass, because `timeout` ends the whole request after 10s"#]],
    );
    // Nobody wrote the defaults, so they may be longer.
    check("timeout = \"1s\"", &expect![[r#"valid"#]]);
    check(
        "eject = { base = \"2m\", max = \"1m\" }",
        &expect!["minipaas.toml:2: `base` of `eject` is 120s, and `max` only 60s"],
    );
    let toml = "[proxy]\nfirst_byte_timeout = \"20s\"\n[[route]]\n[route.proxy]\ntimeout = \"10s\"\n";
    expect!["minipaas.toml:5: `first_byte_timeout` is 20s and can never pass, because `timeout` ends the whole request after 10s"].assert_eq(&parse(toml).unwrap_err().to_string());
}

#[test]
fn error_pages_are_files_of_the_folder() {
    check(
        "[proxy.error_pages]\n404 = \"errors/404.html\"\n200 = \"errors/404.html\"\n500 = \"/etc/passwd\"\n\
         501 = \"../x\"\n502 = \"gone.html\"\n503 = \".\"\nmaintenence = \"errors/404.html\"",
        &expect![[r#"
            minipaas.toml:4: `200` in `error_pages` is none of a status such as `404`, `4xx`, `5xx` and `maintenance`
            minipaas.toml:5: `/etc/passwd` is outside the project folder; give a path below it
            minipaas.toml:6: `../x` is outside the project folder; give a path below it
            minipaas.toml:7: there is no file `gone.html` in the project folder
            minipaas.toml:8: `.` is not a file's path
            minipaas.toml:9: `maintenence` in `error_pages` is none of a status such as `404`, `4xx`, `5xx` and `maintenance`"#]],
    );
    let wanted = source(
        "[proxy]\nerror_pages = { 404 = \"./a\" }\n[[route]]\n[route.proxy.error_pages]\n5xx = \"b/c\"\n",
    )
    .wanted_files();
    let file = |path: &str, line| WantedFile { path: path.to_owned(), line };
    assert_eq!(wanted, [file("a", 2), file("b/c", 5)]);

    let long = "x".repeat(FILE_BYTES_MAX + 1);
    let mut source = source("[proxy]\nerror_pages = { 404 = \"errors/404.html\" }\n");
    source.files.insert("errors/404.html".to_owned(), long);
    let error = Manifest::parse(&source).unwrap_err().to_string();
    assert_eq!(error, "minipaas.toml:2: `errors/404.html` is larger than 64 KiB");

    let names: Vec<_> = (400..).map(|status| status.to_string()).take(FILES_MAX + 1).collect();
    source.toml = Some(
        names
            .iter()
            .fold("[proxy.error_pages]\n".to_owned(), |toml, name| toml + &format!("{name} = \"{name}\"\n")),
    );
    source.files = names.into_iter().map(|name| (name, String::new())).collect();
    let error = Manifest::parse(&source).unwrap_err().to_string();
    assert_eq!(error, "minipaas.toml:18: `416` is one file too many; at most 16 are kept");
}

#[test]
fn the_documentations_examples_are_valid() {
    let docs = include_str!("../../../../docs/proxy.md");
    let examples: Vec<_> =
        docs.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert!(examples.len() > 8);
    for example in examples {
        let mut source = source(example);
        for file in source.wanted_files() {
            source.files.insert(file.path, String::new());
        }
        let problems = Manifest::parse(&source).err().map(|error| error.to_string());
        assert_eq!(problems, None, "{example}");
    }
}
