//! What goes wrong, as one `minipaas certs` tells it; the app is served meanwhile, and the authority left alone.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::SystemTime;

use expect_test::{Expect, expect};
use http::Response;
use minipaas::clock::millis;

use super::commands::Program;
use super::gate::{Act, Gate, problem};
use super::*;

/// A box whose authority is behind a gate, and how many orders came to that.
struct Guarded {
    program: Program,
    pebble: Arc<Pebble>,
    gate: Gate,
    orders: Arc<AtomicUsize>,
}

impl Guarded {
    async fn new(change: impl FnOnce(&mut Options)) -> Self {
        let (mut program, mut options) = Program::new().await;
        change(&mut options);
        let pebble = Arc::new(options.start().await);
        let gate = Gate::start(&pebble).await;
        program.trust(&[&pebble]);
        program.set("ACME_DIRECTORY", &gate.directory());
        program.set("DNS", &pebble.dns.to_string());
        program.start().await;
        let guarded = Self { program, pebble, gate, orders: Arc::default() };
        guarded.answers(|| None);
        guarded
    }

    /// Orders are answered so from now on; with nothing, by the authority.
    fn answers(&self, answer: impl Fn() -> Option<Response<bytes::Bytes>> + Send + 'static) {
        let orders = Arc::clone(&self.orders);
        self.gate.set(move |seen| {
            if seen.uri.path() != "/order-plz" {
                return Act::Pass;
            }
            orders.fetch_add(1, Ordering::SeqCst);
            answer().map_or(Act::Pass, Act::Say)
        });
    }

    /// So many orders are made for an app at this host; it is told why nothing came of them, and no other is made, whatever is
    /// done to the box. Gives how many seconds later it is tried again.
    async fn check(&mut self, host: &str, kind: &str, orders: usize, expected: Expect) -> u64 {
        let began = millis(SystemTime::now());
        self.program.create("blog", &[host]).await;
        let asked = host.replace('*', "any");
        let found = self.program.has_none(host, &asked).await;
        assert_eq!(found["problem"]["kind"], kind, "{found}");
        let told = self.program.run("certs").await.stderr;
        let told = self.program.redact(&told).replace(&self.gate.directory()["https://".len()..], "CA");
        let told = told.replace(&self.pebble.ports.0.to_string(), "HTTP");
        let words = told.split(' ').map(|word| if word.contains("/.well-known/") { "URL" } else { word });
        expected.assert_eq(&words.collect::<Vec<_>>().join(" "));
        let info = self.program.run(&format!("certs info {host}")).await;
        assert!(info.stdout.contains(found["problem"]["message"].as_str().unwrap()), "{}", info.text());
        assert_eq!(self.orders.load(Ordering::SeqCst), orders);

        self.program.create("blog", &[host]).await;
        self.program.restart().await;
        let again = self.program.has_none(host, &asked).await;
        if kind != "needs-dns" {
            assert_eq!((&again["next"], &again["problem"]), (&found["next"], &found["problem"]));
        }
        assert_eq!(self.orders.load(Ordering::SeqCst), orders);
        (found["next"].as_u64().unwrap() - began) / 1000
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_without_an_address_is_told_before_an_authority_is_asked() {
    let mut guarded = Guarded::new(|options| options.resolves = false).await;
    let wait = guarded.check("blog.example.com", "unresolved", 0, expect![[r#"
        warning: there is no certificate for `blog.example.com`: `blog.example.com` has no address in the DNS; add an A or AAAA record that leads to this box (tried again in ..)
    "#]]).await;
    assert!((60..80).contains(&wait), "{wait}");
    // The record is made, and somebody cannot wait.
    guarded.pebble.set_a("blog.example.com.", "127.0.0.1").await;
    guarded.program.run("certs renew blog.example.com").await;
    guarded.program.has_certificate("blog.example.com", "blog.example.com", &guarded.pebble).await;
    assert_eq!(guarded.orders.load(Ordering::SeqCst), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_does_not_lead_here_is_told_with_what_the_authority_saw() {
    let closed = nobody().await;
    let mut guarded = Guarded::new(|options| options.ports = (closed.port(), closed.port())).await;
    // One for each kind of proof.
    let wait = guarded.check("blog.example.com", "validation", 2, expect![[r#"
        warning: there is no certificate for `blog.example.com`: CA: `blog.example.com` was not found to be ours: http-01: Get URL dial tcp 127.0.0.1:HTTP: connect: connection refused; tls-alpn-01: Failed to connect to 127.0.0.1:HTTP for the tls-alpn-01 challenge; ports 80 and 443 of the name must lead to this box (tried again in ..)
    "#]]).await;
    assert!((60..80).contains(&wait), "{wait}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_the_authority_refuses_is_told() {
    let mut guarded = Guarded::new(|options| options.blocked = vec!["example.com"]).await;
    let wait = guarded.check("blog.example.com", "refused", 1, expect![[r#"
        warning: there is no certificate for `blog.example.com`: CA: it does not issue for such names: Order included an identifier for which issuance is forbidden by policy: "blog.example.com"; use a name that is public, or another authority (tried again in ..)
    "#]]).await;
    assert!((60..80).contains(&wait), "{wait}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caa_record_is_told() {
    let mut guarded = Guarded::new(|_| {}).await;
    let detail = "While processing CAA for blog.example.com: CAA record for example.com prevents issuance";
    guarded.answers(move || Some(problem(403, "caa", detail)));
    guarded.check("blog.example.com", "caa", 1, expect![[r#"
        warning: there is no certificate for `blog.example.com`: CA: a CAA record forbids this authority to issue: While processing CAA for blog.example.com: CAA record for example.com prevents issuance; name it in a CAA record of the domain, or use another authority (tried again in ..)
    "#]]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rate_limit_is_obeyed_over_restarts() {
    let mut guarded = Guarded::new(|_| {}).await;
    guarded.answers(|| {
        let mut answer = problem(429, "rateLimited", "too many new orders recently");
        answer.headers_mut().insert("retry-after", "7200".parse().unwrap());
        Some(answer)
    });
    let wait = guarded.check("blog.example.com", "rate-limited", 1, expect![[r#"
        warning: there is no certificate for `blog.example.com`: CA: it limits how many orders it takes: too many new orders recently; wait, or use another authority (tried again in ..)
    "#]]).await;
    assert!((7200..7260).contains(&wait), "{wait}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wildcard_without_dns_is_told() {
    let mut guarded = Guarded::new(|_| {}).await;
    guarded.check("*.example.com", "needs-dns", 0, expect![[r#"
        warning: there is no certificate for `*.example.com`: `*.example.com` is a wildcard, which authorities give for DNS records alone; set `acme_dns`, or let the app be asked about each name with `on_demand` in `[tls]` (tried again in ..)
    "#]]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_authority_that_is_down_is_told() {
    let mut guarded = Guarded::new(|_| {}).await;
    guarded.gate.set(|_| Act::Say(Response::builder().status(503).body("<h1>Away</h1>".into()).unwrap()));
    guarded.check("blog.example.com", "unreachable", 0, expect![[r#"
        warning: there is no certificate for `blog.example.com`: CA: `127.0.0.1` answered with 503 Service Unavailable; wait (tried again in ..)
    "#]]).await;
}

/// Several that are wrong at a time are each told by a line of their own, and one that is well is not held up.
#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_is_well_does_not_wait_for_others() {
    let guarded = Guarded::new(|options| options.resolves = false).await;
    guarded.pebble.set_a("good.example.com.", "127.0.0.1").await;
    let hosts: Vec<_> = (0..12).map(|n| format!("bad-{n}.example.com")).collect();
    let hosts: Vec<_> = hosts.iter().map(String::as_str).chain(["good.example.com"]).collect();
    guarded.program.create("blog", &hosts).await;
    guarded.program.has_certificate("good.example.com", "good.example.com", &guarded.pebble).await;
    for host in &hosts[..12] {
        assert_eq!(guarded.program.settled(host).await["problem"]["kind"], "unresolved");
    }
    let told = guarded.program.run("certs").await.stderr;
    assert_eq!(told.lines().count(), 12, "{told}");
    assert_eq!(guarded.orders.load(Ordering::SeqCst), 1);
}
