//! An authority that means harm: whatever it says, nothing is done that was not ordered, in bounded time and memory.

use bytes::Bytes;
use expect_test::{Expect, expect};
use http::{Response, header};

use super::gate::{Act, Gate};
use super::*;

/// What becomes of an order when everything below `path` is answered so.
async fn check(
    path: &'static str,
    answer: impl Fn() -> Response<Bytes> + Send + 'static,
    expected: &Expect,
) -> World {
    let world = World::new().await;
    let gate = Gate::start(&world.pebble).await;
    gate.set(move |seen| if seen.uri.path().starts_with(path) { Act::Say(answer()) } else { Act::Pass });
    let authority = world.authority_at(&gate.directory(), |_| {});
    let request = request(&["blog.example.com"], &[HTTP, TLS]);
    let error = authority.issue(&request, &world.notes, &world.post()).await.unwrap_err();
    expected.assert_eq(&format!("{}: {}", error.kind.as_str(), error.message));
    world
}

#[tokio::test(flavor = "multi_thread")]
async fn only_names_that_were_ordered_are_proved() {
    let other = || {
        let challenge = serde_json::json!({
            "type": "http-01", "url": "https://127.0.0.1:1/chalZ/1", "token": "token", "status": "pending",
        });
        let body = serde_json::json!({
            "status": "pending",
            "identifier": { "type": "dns", "value": "bank.example.com" },
            "challenges": [challenge],
        });
        Response::new(body.to_string().into())
    };
    check(
        "/authZ",
        other,
        &expect!["protocol: it wants `bank.example.com` to be proved, which was not ordered"],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_redirect_is_followed() {
    let inward = || {
        let response = Response::builder().status(302).header(header::LOCATION, "http://169.254.169.254/");
        response.body(Bytes::new()).unwrap()
    };
    check("/order-plz", inward, &expect!["protocol: `127.0.0.1` answered with 302 Found, which is not ACME; see whether `acme_directory` is right"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_response_without_end_is_not_read_to_its_end() {
    let flood = || Response::new(vec![b' '; 10 << 20].into());
    check(
        "/order-plz",
        flood,
        &expect!["protocol: the response of `127.0.0.1` is larger than 1048576 bytes"],
    )
    .await;
}
