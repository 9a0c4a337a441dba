use expect_test::{Expect, expect};
use http::Response;
use minipaas::acme::OrderErrorKind;
use tokio::time::{Instant, timeout};

use super::gate::{Act, Gate, problem};
use super::*;
use crate::support::SOON;

/// The kind of a failure and its words, without what differs from run to run.
fn told(error: &OrderError, world: &World) -> String {
    let http = world.pebble.ports.0.to_string();
    let tls = world.pebble.ports.1.to_string();
    let text = error.message.replace(&http, "HTTP").replace(&tls, "TLS");
    let text = text.split(' ').map(|word| if word.contains("/.well-known/") { "URL" } else { word });
    format!("{}: {}", error.kind.as_str(), text.collect::<Vec<_>>().join(" "))
}

async fn check_words(world: &World, names: &[&str], kinds: &[ChallengeKind], expected: Expect) -> OrderError {
    let error = world.issue(names, kinds).await.unwrap_err();
    expected.assert_eq(&told(&error, world));
    error
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_leads_elsewhere_is_told_with_what_each_kind_came_to() {
    let closed = nobody().await;
    let world = World::with(|options| options.ports = (closed.port(), closed.port())).await;
    let error = check_words(&world, &["blog.example.com"], &[HTTP, TLS], expect!["validation: `blog.example.com` was not found to be ours: http-01: Get URL dial tcp 127.0.0.1:HTTP: connect: connection refused; tls-alpn-01: Failed to connect to 127.0.0.1:HTTP for the tls-alpn-01 challenge; ports 80 and 443 of the name must lead to this box"]).await;
    let kinds: Vec<_> = error.verdicts.iter().map(|verdict| verdict.kind).collect();
    assert_eq!(kinds, [HTTP, TLS]);
    assert_eq!(world.notes.orders(), 2);
    assert!(error.verdicts.iter().all(|verdict| verdict.host == "blog.example.com"));
    assert!(world.challenges.http("any").is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_somebody_else_serves_is_told() {
    let world = World::new().await;
    let request = request(&["blog.example.com"], &[HTTP]);
    let unanswered = Post::new(Challenges::default(), None);
    let error = world.authority().issue(&request, &world.notes, &unanswered).await.unwrap_err();
    expect!["validation: `blog.example.com` was not found to be ours: http-01: Non-200 status code from HTTP: URL returned 404; port 80 of the name must lead to this box"].assert_eq(&told(&error, &world));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_is_not_found_is_told() {
    let world = World::new().await;
    world.pebble.break_name("gone.example.com.").await;
    let error = check_words(&world, &["gone.example.com"], &[HTTP, TLS], expect![[r#"validation: `gone.example.com` was not found to be ours: http-01: Get URL could not resolve URL URL tls-alpn-01: Could not resolve URL "gone.example.com"; ports 80 and 443 of the name must lead to this box"#]]).await;
    // Pebble does not call this `dns`, of which no second order would be made.
    assert_eq!(error.verdicts.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn records_that_are_not_seen_are_told() {
    struct Nowhere;

    #[async_trait]
    impl TxtRecords for Nowhere {
        async fn add(&self, _: &str, _: &str) -> Result<(), RespondError> {
            Ok(())
        }

        async fn remove(&self, _: &str, _: &str) -> Result<(), RespondError> {
            Err("the zone is gone".into())
        }
    }

    let world = World::new().await;
    let request = request(&["*.example.com"], &[HTTP, DNS]);
    let post = Post::new(Challenges::default(), Some(Arc::new(Nowhere)));
    let error = world.authority().issue(&request, &world.notes, &post).await.unwrap_err();
    expect!["validation: `example.com` was not found to be ours: dns-01: No TXT records found for DNS challenge; its TXT records must be seen by everybody: see whether `acme_dns` changes the right zone"].assert_eq(&told(&error, &world));
    assert_eq!(world.notes.orders(), 1, "nothing else proves a wildcard");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wildcard_without_dns_is_refused_before_anybody_is_asked() {
    let world = World::new().await;
    check_words(
        &world,
        &["*.example.com"],
        &[HTTP, TLS],
        expect!["no-dns: `*.example.com` is a wildcard, and a wildcard needs dns-01; set `acme_dns`"],
    )
    .await;
    assert_eq!((world.notes.orders(), world.notes.account_url()), (0, None));
}

#[tokio::test(flavor = "multi_thread")]
async fn records_that_nobody_can_change_are_told() {
    let world = World::new().await;
    let post = Post::new(world.challenges.clone(), None);
    let request = request(&["blog.example.com"], &[DNS]);
    let error = world.authority().issue(&request, &world.notes, &post).await.unwrap_err();
    expect!["responder: the answer to dns-01 at `_acme-challenge.blog.example.com` cannot be given: nobody changes DNS records for this box; set `acme_dns`"].assert_eq(&told(&error, &world));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_the_authority_does_not_want_is_told() {
    let world = World::with(|options| options.blocked = vec!["blocked.example"]).await;
    check_words(&world, &["www.blocked.example"], &[HTTP], expect![[r#"refused: it does not issue for such names: Order included an identifier for which issuance is forbidden by policy: "www.blocked.example"; use a name that is public, or another authority"#]]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_profile_must_be_one_that_there_is() {
    let world = World::new().await;
    let authority =
        world.authority_at(&world.pebble.directory, |config| config.profile = Some("short".to_owned()));
    let request = request(&["blog.example.com"], &[HTTP]);
    let error = authority.issue(&request, &world.notes, &world.post()).await.unwrap_err();
    expect!["refused: it has no profile `short`; it has none"].assert_eq(&told(&error, &world));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_authority_that_is_down_or_is_none_is_told() {
    let world = World::new().await;
    let request = request(&["blog.example.com"], &[HTTP]);
    let closed = nobody().await;
    let trusts_nobody = minipaas::web::Client::new(&minipaas::web::Settings::default()).unwrap();
    let down = world.authority_at(&format!("http://{closed}/dir"), |_| {});
    let wrong = world.authority_at(&format!("{}ectory", world.pebble.directory), |_| {});
    let untrusted =
        AcmeAuthority::new(AuthorityConfig::new("pebble", &world.pebble.directory), trusts_nobody);
    for (authority, expected) in [
        (
            down,
            expect![
                "unreachable: cannot reach `127.0.0.1`: Connection refused (os error 111); it is tried again later, see whether this box has a way there"
            ],
        ),
        (
            wrong,
            expect![
                "protocol: `127.0.0.1` answered with 404 Not Found, which is not ACME; see whether `acme_directory` is right"
            ],
        ),
        (
            untrusted,
            expect![
                "unreachable: the certificate of `127.0.0.1` is not trusted: its issuer is not known here; name the root of its issuer in `acme_root`"
            ],
        ),
    ] {
        let error = authority.issue(&request, &world.notes, &world.post()).await.unwrap_err();
        expected.assert_eq(&told(&error, &world));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_authority_is_given_up_and_its_answers_withdrawn() {
    let world = World::new().await;
    let gate = Gate::start(&world.pebble).await;
    gate.set(|seen| if seen.uri.path().starts_with("/chalZ") { Act::Hold } else { Act::Pass });
    let authority =
        world.authority_at(&gate.directory(), |config| config.order_time_max = Duration::from_secs(2));
    let request = request(&["blog.example.com"], &[TLS]);
    let began = Instant::now();
    let error =
        timeout(SOON, authority.issue(&request, &world.notes, &world.post())).await.unwrap().unwrap_err();
    expect!["late: the order was not done within 2s; it goes on at the next attempt"]
        .assert_eq(&told(&error, &world));
    assert!(began.elapsed() >= Duration::from_secs(2));
    assert!(world.challenges.tls("blog.example.com").is_none());
}

/// What the box makes of this answer to its order.
async fn check_answer(
    answer: impl Fn() -> Response<bytes::Bytes> + Send + 'static,
    expected: Expect,
) -> OrderError {
    let world = World::new().await;
    let gate = Gate::start(&world.pebble).await;
    gate.set(
        move |seen| if seen.uri.path().starts_with("/order-plz") { Act::Say(answer()) } else { Act::Pass },
    );
    let authority = world.authority_at(&gate.directory(), |_| {});
    let request = request(&["blog.example.com"], &[HTTP]);
    let error = authority.issue(&request, &world.notes, &world.post()).await.unwrap_err();
    expected.assert_eq(&told(&error, &world));
    error
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rate_limit_says_when_to_come_back() {
    let answer = || {
        let mut answer = problem(429, "rateLimited", "too many new orders recently");
        answer.headers_mut().insert("retry-after", "3600".parse().unwrap());
        answer
    };
    let error = check_answer(answer, expect!["rate-limited: it limits how many orders it takes: too many new orders recently; wait, or use another authority"]).await;
    assert_eq!(error.retry_after, Some(Duration::from_secs(3600)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caa_record_is_told() {
    let detail = "While processing CAA for blog.example.com: CAA record for example.com prevents issuance";
    let error = check_answer(move || problem(403, "caa", detail), expect!["caa: a CAA record forbids this authority to issue: While processing CAA for blog.example.com: CAA record for example.com prevents issuance; name it in a CAA record of the domain, or use another authority"]).await;
    assert_eq!(error.kind, OrderErrorKind::Caa);
}

#[tokio::test(flavor = "multi_thread")]
async fn trouble_of_the_authority_is_not_ours() {
    let maintenance = || {
        let response = Response::builder().status(503).header("retry-after", "60");
        response.body("<h1>Down for maintenance</h1>".into()).unwrap()
    };
    let error = check_answer(
        maintenance,
        expect!["unreachable: `127.0.0.1` answered with 503 Service Unavailable; wait"],
    )
    .await;
    assert_eq!(error.retry_after, Some(Duration::from_secs(60)));
    check_answer(
        || problem(500, "serverInternal", "Error creating new order."),
        expect!["unreachable: it is in trouble itself: Error creating new order; wait"],
    )
    .await;
    check_answer(|| Response::new("<h1>Welcome</h1>".into()), expect!["protocol: what it answered is not ACME: failed to (de)serialize JSON: expected value at line 1 column 1; see whether `acme_directory` is right"]).await;
}
