use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex};

use http::HeaderValue;
use minipaas::metrics::Metrics;
use minipaas::policy::{Logging, Policy};
use minipaas::proxy::{AccessLog, ProxyConfig};
use minipaas::route::Route;

use super::BLOG;
use crate::support::backend::Backend;
use crate::support::client::{Client2, Raw, get, post, tls};
use crate::support::eventually;
use crate::support::http3::Client3;
use crate::support::proxy::TestProxy;

/// What the access log wrote.
#[derive(Clone, Default)]
pub(super) struct Lines(Arc<Mutex<Vec<u8>>>);

/// The fields of a line.
pub(super) type Fields = BTreeMap<String, String>;

impl Lines {
    pub(super) fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }

    fn count(&self) -> usize {
        self.text().lines().count()
    }

    /// The newest line, once there are so many.
    pub(super) async fn last_of(&self, count: usize) -> Fields {
        eventually("the line is written", || self.count() >= count).await;
        assert_eq!(self.count(), count, "{}", self.text());
        fields(self.text().lines().last().unwrap())
    }
}

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Reads a line as logfmt is read. Panics when it is none.
fn fields(line: &str) -> Fields {
    let (time, mut rest) = line.split_once(" router:").unwrap();
    time.parse::<jiff::Timestamp>().unwrap();
    let mut fields = Fields::new();
    while let Some(field) = rest.strip_prefix(' ') {
        let (key, after) = field.split_once('=').unwrap();
        let value;
        if after.starts_with('"') {
            let mut values = serde_json::Deserializer::from_str(after).into_iter::<String>();
            value = values.next().unwrap().unwrap();
            rest = &after[values.byte_offset()..];
        } else {
            let end = after.find(' ').unwrap_or(after.len());
            value = after[..end].to_owned();
            rest = &after[end..];
        }
        assert_eq!(fields.insert(key.to_owned(), value), None, "{key} is there twice in {line}");
    }
    assert_eq!(rest, "", "{line}");
    fields
}

#[track_caller]
pub(super) fn check(fields: &Fields, expected: &[(&str, &str)]) {
    for (key, value) in expected {
        assert_eq!(fields.get(*key).map(String::as_str), Some(*value), "{key} in {fields:?}");
    }
}

async fn logging_proxy() -> (TestProxy, Lines) {
    logging_proxy_with(|_| ()).await
}

async fn logging_proxy_with(change: impl FnOnce(&mut ProxyConfig)) -> (TestProxy, Lines) {
    let lines = Lines::default();
    let log = AccessLog::to(lines.clone(), &Metrics::default()).unwrap();
    let mut config = ProxyConfig { access_log: Some(log), ..ProxyConfig::new("localhost") };
    change(&mut config);
    (TestProxy::start(config).await, lines)
}

/// A route whose policy logs like this.
fn logged(proxy: &TestProxy, backend: &Backend, logging: Logging) -> Route {
    let policy = Policy { https_redirect: false, logging, ..Policy::default() };
    Route { policy: Arc::new(policy), ..proxy.route(BLOG, &[backend]) }
}

#[tokio::test]
async fn http3_is_logged_like_the_others() {
    let (proxy, lines) = logging_proxy_with(|config| config.http3 = true).await;
    let app = Backend::replying("app").start().await;
    proxy.publish([proxy.route(BLOG, &[&app])]);
    Client3::connect(proxy.https, &proxy.root, BLOG).await.get("https://blog.localhost/x").await;
    let line = lines.last_of(1).await;
    let expected = [
        ("path", "/x"),
        ("host", BLOG),
        ("status", "200"),
        ("bytes", "3"),
        ("protocol", "h3"),
        ("tls", "true"),
    ];
    check(&line, &expected);
}

#[tokio::test]
async fn every_request_is_one_line_with_the_fields_of_herokus_router() {
    let (proxy, lines) = logging_proxy().await;
    let app = Backend::replying("app").start().await;
    proxy.publish([proxy.route(BLOG, &[&app])]);
    proxy.send(get(BLOG, "/path?query=1")).await;
    let line = lines.last_of(1).await;
    let id = app.seen()[0].header("x-request-id").unwrap().to_owned();
    check(
        &line,
        &[
            ("at", "info"),
            ("method", "GET"),
            ("path", "/path?query=1"),
            ("host", BLOG),
            ("request_id", &id),
            ("fwd", "127.0.0.1"),
            ("app", "blog"),
            ("instance", "web.1"),
            ("release", "v1"),
            ("status", "200"),
            ("bytes", "3"),
            ("protocol", "http/1.1"),
            ("tls", "false"),
        ],
    );
    assert!(line["connect"].ends_with("ms") && line["service"].ends_with("ms"), "{line:?}");
    assert!(!line.contains_key("code"));
}

#[tokio::test]
async fn http_2_is_told_apart() {
    let (proxy, lines) = logging_proxy().await;
    let app = Backend::replying("app").start().await;
    proxy.publish([proxy.route(BLOG, &[&app])]);
    let mut client = Client2::over(tls(proxy.https, &proxy.root, BLOG, "h2").await).await;
    client.send(http::Request::get(format!("https://{BLOG}/x")).body(Default::default()).unwrap()).await;
    check(
        &lines.last_of(1).await,
        &[("protocol", "h2"), ("tls", "true"), ("host", BLOG), ("path", "/x"), ("status", "200")],
    );
}

#[tokio::test]
async fn an_error_has_its_code_its_words_and_its_side() {
    let (proxy, lines) = logging_proxy().await;
    proxy.send(get("nobody.localhost", "/")).await;
    let line = lines.last_of(1).await;
    check(&line, &[("at", "error"), ("code", "no-route"), ("side", "downstream"), ("status", "404")]);
    check(&line, &[("desc", "no app answers at this address"), ("host", "nobody.localhost")]);
    assert!(!line.contains_key("app"));

    let refusing = Backend::refusing().await;
    proxy.publish([proxy.route(BLOG, &[&refusing])]);
    proxy.send(get(BLOG, "/")).await;
    let line = lines.last_of(2).await;
    check(&line, &[("at", "error"), ("code", "unreachable"), ("side", "upstream"), ("status", "502")]);
    check(&line, &[("app", "blog"), ("instance", "web.1")]);
}

#[tokio::test]
async fn a_client_that_went_away_is_status_499() {
    let (proxy, lines) = logging_proxy().await;
    let silent = Backend::answering(|_| std::future::pending()).start().await;
    proxy.publish([proxy.route(BLOG, &[&silent])]);
    let mut client = Raw::connect(proxy.http).await;
    client.send("GET / HTTP/1.1\r\nHost: blog.localhost\r\n\r\n").await;
    eventually("the app got the request", || silent.seen().len() == 1).await;
    drop(client);
    let line = lines.last_of(1).await;
    check(&line, &[("at", "error"), ("code", "client-gone"), ("status", "499"), ("bytes", "0")]);
}

#[tokio::test]
async fn masked_parameters_are_not_in_the_log_and_reach_the_app() {
    let (proxy, lines) = logging_proxy().await;
    let app = Backend::replying("app").start().await;
    let mask = vec!["token".to_owned()];
    proxy.publish([logged(&proxy, &app, Logging { mask, ..Logging::default() })]);
    proxy.send(get(BLOG, "/p?a=1&t%6fken=secret&b=2")).await;
    check(&lines.last_of(1).await, &[("path", "/p?a=1&t%6fken=***&b=2"), ("host", BLOG)]);
    assert_eq!(app.seen()[0].uri.query(), Some("a=1&t%6fken=secret&b=2"));

    let mask = vec!["*".to_owned()];
    proxy.publish([logged(&proxy, &app, Logging { mask, ..Logging::default() })]);
    proxy.send(get(BLOG, "/p?a=1&secret")).await;
    check(&lines.last_of(2).await, &[("path", "/p?a=***&***")]);
}

#[tokio::test]
async fn captured_headers_cannot_forge_a_field_or_a_line() {
    let (proxy, lines) = logging_proxy().await;
    let app = Backend::replying("app").start().await;
    let headers = ["user-agent", "x-team", "x-none"].map(|name| name.parse().unwrap()).to_vec();
    proxy.publish([logged(&proxy, &app, Logging { headers, ..Logging::default() })]);
    let mut request = get(BLOG, "/%22%20status=200");
    let forged = b"\" status=200\\\" at=info\tx\xe2\x80\xa8y";
    request.headers_mut().insert("user-agent", HeaderValue::from_bytes(forged).unwrap());
    request.headers_mut().insert("x-team", HeaderValue::from_static("blue"));
    proxy.send(request).await;
    let line = lines.last_of(1).await;
    check(&line, &[("header.x-team", "blue"), ("at", "info"), ("status", "200")]);
    let read: Vec<u8> =
        line["header.user-agent"].chars().map(|c| u8::try_from(u32::from(c)).unwrap()).collect();
    assert_eq!(read, forged);
    assert!(lines.text().is_ascii());
    assert!(!line.contains_key("header.x-none"));
}

#[tokio::test]
async fn a_bad_host_cannot_forge_a_line() {
    let (proxy, lines) = logging_proxy().await;
    let mut client = Raw::connect(proxy.http).await;
    client.send("GET / HTTP/1.1\r\nHost: a\" at=info b=\"\r\n\r\n").await;
    client.until("HTTP/1.1 400").await;
    let line = lines.last_of(1).await;
    check(&line, &[("host", "a\" at=info b=\""), ("at", "error"), ("code", "bad-host"), ("status", "400")]);
}

#[tokio::test]
async fn excluded_paths_are_counted_and_not_logged() {
    let (proxy, lines) = logging_proxy().await;
    let app = Backend::replying("app").start().await;
    let exclude = vec!["/up".parse().unwrap()];
    proxy.publish([logged(&proxy, &app, Logging { exclude, ..Logging::default() })]);
    proxy.send(get(BLOG, "/up")).await;
    proxy.send(post(BLOG, "/up/deep", "body")).await;
    proxy.send(get(BLOG, "/upper")).await;
    check(&lines.last_of(1).await, &[("path", "/upper")]);
    eventually("all are counted", || proxy.routes.snapshot().routes[0].ended[1] == 3).await;
}
