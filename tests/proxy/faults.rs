//! Apps that do not speak HTTP, or not to its end: the client is told, and the log says once who was to blame.

use std::sync::Arc;
use std::time::Duration;

use minipaas::metrics::Metrics;
use minipaas::policy::{Encoding, Policy, Timeouts};
use minipaas::proxy::{AccessLog, ProxyConfig};
use tokio::sync::Notify;
use tracing::subscriber::DefaultGuard;

use super::access::{Fields, Lines, check};
use super::{BLOG, with_policy};
use crate::support::backend::Backend;
use crate::support::client::{Raw, get};
use crate::support::eventually;
use crate::support::proxy::TestProxy;

/// A proxy in front of one app, and what it logs.
struct Scene {
    app: Backend,
    proxy: TestProxy,
    lines: Lines,
    log: Lines,
    go_on: Arc<Notify>,
    /// The daemon's log of this thread, on which the whole test runs.
    _guard: DefaultGuard,
}

/// What an app does once it has read a request's head.
#[derive(Clone, Copy)]
enum Then {
    Close,
    Stay,
}

impl Scene {
    /// With an app that answers every head with these bytes; those after a `|` once it is told to.
    async fn with(answer: &'static str, then: Then, change: impl FnOnce(&mut Policy)) -> Self {
        let go_on = Arc::new(Notify::new());
        let told = Arc::clone(&go_on);
        let app = Backend::speaking(move |stream| {
            let told = Arc::clone(&told);
            async move {
                let mut raw = Raw(stream);
                raw.until("\r\n\r\n").await;
                let (first, second) = answer.split_once('|').unwrap_or((answer, ""));
                raw.send(first).await;
                if first.len() < answer.len() {
                    told.notified().await;
                    raw.send(second).await;
                }
                if matches!(then, Then::Stay) {
                    raw.rest().await;
                }
            }
        });
        let (app, lines, log) = (app.start().await, Lines::default(), Lines::default());
        let writer = log.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(tracing::Level::WARN)
            .with_ansi(false)
            .with_writer(move || writer.clone());
        let guard = tracing::subscriber::set_default(subscriber.finish());
        let access_log = Some(AccessLog::to(lines.clone(), &Metrics::default()).unwrap());
        let proxy = TestProxy::start(ProxyConfig { access_log, ..ProxyConfig::new("localhost") }).await;
        proxy.publish([with_policy(proxy.route(BLOG, &[&app]), |policy| {
            policy.retries = 0;
            change(policy);
        })]);
        Self { app, proxy, lines, log, go_on, _guard: guard }
    }

    /// Everything that the client of one GET gets, up to the end of its connection.
    async fn get(&self) -> String {
        self.get_beyond("").await
    }

    /// The same; the app goes on once the client got this.
    async fn get_beyond(&self, text: &str) -> String {
        let mut client = Raw::connect(self.proxy.http).await;
        client.send("GET / HTTP/1.1\r\nHost: blog.localhost\r\nAccept-Encoding: gzip\r\n").await;
        client.send("Connection: close\r\n\r\n").await;
        let begun = client.until(text).await;
        self.go_on.notify_one();
        begun + &String::from_utf8_lossy(&client.rest().await)
    }

    /// The line of the one request, which was blamed on this side in both logs, once each.
    async fn blamed(&self, message: &str, code: &str, side: &str) -> Fields {
        let line = self.lines.last_of(1).await;
        check(&line, &[("at", "error"), ("code", code), ("side", side), ("app", "blog")]);
        let log = self.log.text();
        assert_eq!(log.lines().count(), 1, "{log}");
        assert!(log.contains(message) && log.contains(&format!("side=\"{side}\"")), "{log}");
        assert!(log.contains(&line["request_id"]), "{log}");
        line
    }
}

#[tokio::test]
async fn an_app_that_sends_no_response_is_a_502_with_a_request_id() {
    let huge = &*format!("HTTP/1.1 200 OK\r\nx: {}\r\n\r\n", "x".repeat(100_000)).leak();
    let many = &*format!("HTTP/1.1 200 OK\r\n{}\r\n", "x: y\r\n".repeat(200)).leak();
    for answer in [
        "SSH-2.0-OpenSSH_9.6\r\n",
        "",
        "HTTP/1.1 200 O",
        "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n",
        "HTTP/1.1 abc OK\r\n\r\n",
        "HTTP/2.0 200 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 3\r\ncontent-length: 4\r\n\r\nabcd",
        "HTTP/1.1 200 OK\r\ncontent-length: -3\r\n\r\nabc",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nx : y\r\n\r\n",
        huge,
        many,
    ] {
        let scene = Scene::with(answer, Then::Close, |_| {}).await;
        let reply = scene.get().await;
        assert!(reply.starts_with("HTTP/1.1 502 "), "{answer:.80}: {reply}");
        let line = scene.blamed("request failed", "no-response", "upstream").await;
        check(&line, &[("status", "502"), ("instance", "web.1")]);
        assert!(reply.contains(&format!("x-request-id: {}", line["request_id"])), "{reply}");
        assert_eq!(scene.proxy.routes.snapshot().upstreams[0].failures, 1);
    }
}

#[tokio::test]
async fn an_app_that_never_answers_is_a_504() {
    let scene = Scene::with("", Then::Stay, |policy| {
        policy.timeouts = Timeouts { first_byte: Duration::from_millis(50), ..policy.timeouts };
    })
    .await;
    assert!(scene.get().await.starts_with("HTTP/1.1 504 "));
    scene.blamed("request failed", "response-timeout", "upstream").await;
}

#[tokio::test]
async fn a_response_that_breaks_off_is_an_error_and_a_failure_of_its_instance() {
    for answer in [
        "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf|",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf|\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf|\r\nnonsense\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf|garbage",
    ] {
        let scene = Scene::with(answer, Then::Close, |_| {}).await;
        let reply = scene.get_beyond("half").await;
        let is_whole = reply.ends_with("0\r\n\r\n") || reply.contains("content-length: 4");
        assert!(reply.starts_with("HTTP/1.1 200 ") && reply.contains("half") && !is_whole, "{reply}");
        let line = scene.blamed("response broke off", "response-broken", "upstream").await;
        check(&line, &[("status", "200"), ("bytes", "4"), ("instance", "web.1")]);
        let snapshot = scene.proxy.routes.snapshot();
        assert_eq!((snapshot.upstreams[0].requests, snapshot.upstreams[0].failures), (1, 1));
        assert_eq!(snapshot.global.errors, [("response-broken", 1)]);
        assert!(scene.proxy.upstream().is_idle());
    }
}

#[tokio::test]
async fn a_response_that_a_policy_changed_breaks_off_in_the_same_way() {
    let half = "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 1000\r\n\r\nhalf|";
    let compress = |policy: &mut Policy| policy.compress = vec![Encoding::Gzip];
    let scene = Scene::with(half, Then::Close, compress).await;
    assert!(scene.get_beyond("\r\n\r\n").await.contains("content-encoding: gzip"));
    scene.blamed("response broke off", "response-broken", "upstream").await;

    let late = |policy: &mut Policy| policy.timeouts.idle = Some(Duration::from_millis(50));
    let scene = Scene::with(half, Then::Stay, late).await;
    assert!(scene.get_beyond("half").await.ends_with("half"));
    scene.blamed("response broke off", "response-timeout", "upstream").await;
}

#[tokio::test]
async fn what_follows_a_response_is_nobodys() {
    let two =
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nokHTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil";
    let scene = Scene::with(two, Then::Stay, |_| {}).await;
    for _ in 0..3 {
        assert_eq!(scene.proxy.send(get(BLOG, "/")).await.body, "ok");
    }
    assert_eq!(scene.app.connections(), 3, "such a connection is not used again");
}

#[tokio::test]
async fn a_coding_wins_over_a_length_in_responses_too() {
    let both =
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
    let scene = Scene::with(both, Then::Stay, |_| {}).await;
    let reply = scene.proxy.send(get(BLOG, "/")).await;
    assert_eq!((&*reply.body, reply.header("content-length")), ("hello", None));
    let same = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 5\r\n\r\nhello";
    let scene = Scene::with(same, Then::Stay, |_| {}).await;
    let reply = scene.proxy.send(get(BLOG, "/")).await;
    assert_eq!((&*reply.body, reply.headers.get_all("content-length").iter().count()), ("hello", 1));
    eventually("nothing is in flight", || scene.proxy.upstream().is_idle()).await;
}
