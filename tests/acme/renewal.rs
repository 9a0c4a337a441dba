use std::time::SystemTime;

use http::Response;
use minipaas::acme::OrderErrorKind;

use super::gate::{Act, Gate};
use super::*;

/// Adds renewal information to an authority that has none.
async fn gate_with_renewal(
    world: &World,
    answer: impl Fn() -> Response<bytes::Bytes> + Send + 'static,
) -> Gate {
    let gate = Gate::start(&world.pebble).await;
    let base = gate.directory().replace("/dir", "");
    let directory =
        world.pebble.web.send(http::Request::get(gate.directory()).body(bytes::Bytes::new()).unwrap());
    let mut directory: serde_json::Value = serde_json::from_slice(directory.await.unwrap().body()).unwrap();
    directory["renewalInfo"] = format!("{base}/renewal").into();
    gate.set(move |seen| match seen.uri.path() {
        "/dir" => Act::Say(Response::new(directory.to_string().into())),
        path if path.starts_with("/renewal/") => Act::Say(answer()),
        _ => Act::Pass,
    });
    gate
}

#[tokio::test(flavor = "multi_thread")]
async fn an_authority_without_renewal_information_has_no_opinion() {
    let world = World::new().await;
    let issued = world.issue(&["blog.example.com"], &[HTTP]).await.unwrap();
    assert_eq!(world.authority().renewal(&chain(&issued)[0]).await.unwrap(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_window_is_a_time_and_a_reason() {
    let world = World::new().await;
    let issued = world.issue(&["blog.example.com"], &[HTTP]).await.unwrap();
    let leaf = &chain(&issued)[0];
    let answer = || {
        let body = r#"{"suggestedWindow":{"start":"2026-01-02T04:00:00Z","end":"2026-01-03T04:00:00Z"},
                       "explanationURL":"https://authority.example/incident"}"#;
        Response::builder().header("retry-after", "21600").body(body.into()).unwrap()
    };
    let gate = gate_with_renewal(&world, answer).await;
    let info = world.authority_at(&gate.directory(), |_| {}).renewal(leaf).await.unwrap().unwrap();
    let start = SystemTime::UNIX_EPOCH + Duration::from_secs(1_767_326_400);
    assert_eq!(info.window, start..start + Duration::from_secs(24 * 60 * 60));
    assert_eq!(info.explanation.as_deref(), Some("https://authority.example/incident"));
    assert_eq!(info.check_again, Duration::from_secs(21_600));

    let backwards = || {
        let body = r#"{"suggestedWindow":{"start":"2026-01-03T04:00:00Z","end":"2026-01-02T04:00:00Z"}}"#;
        Response::new(body.into())
    };
    let gate = gate_with_renewal(&world, backwards).await;
    let error = world.authority_at(&gate.directory(), |_| {}).renewal(leaf).await.unwrap_err();
    assert_eq!(error.kind, OrderErrorKind::Protocol);
    assert_eq!(error.message, "its word on renewal is not ACME: its window to renew ends before it begins");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_want_to_hear_what_is_replaced_still_issues() {
    let world = World::new().await;
    let first = world.issue(&["blog.example.com"], &[HTTP]).await.unwrap();
    let replacing = || OrderRequest {
        replaces: Some(chain(&first)[0].clone()),
        ..request(&["blog.example.com"], &[HTTP])
    };
    // One has no renewal information, the other says that it has, and does not repeat what is replaced.
    let gate = gate_with_renewal(&world, || Response::new(bytes::Bytes::new())).await;
    for directory in [world.pebble.directory.clone(), gate.directory()] {
        let request = replacing();
        let authority = world.authority_at(&directory, |_| {});
        check(&request, &authority.issue(&request, &world.notes, &world.post()).await.unwrap());
    }
}
