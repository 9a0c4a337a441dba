//! Names that nobody has listed: ordered when somebody asks for them, once the app has said that they are its own.

use http::StatusCode;

use super::commands::Program;
use super::*;
use crate::support::backend::{Backend, full};
use crate::support::eventually;

/// What the app was asked about, in the order of names.
fn asked(program: &Program) -> Vec<String> {
    let seen = program.app.seen();
    let asked = seen.iter().filter_map(|seen| seen.uri.query()?.strip_prefix("domain="));
    let mut asked: Vec<_> = asked.map(str::to_owned).collect();
    asked.sort();
    asked
}

/// A box with an app that knows the names below `customers.example.com`.
async fn program() -> (Program, Arc<Pebble>) {
    let (mut program, pebble) = Program::with(|_| {}).await;
    program.app = Backend::answering(|seen| async move {
        let is_known = seen.uri.query().is_none_or(|query| query.ends_with(".customers.example.com"));
        let mut response = http::Response::new(full("app"));
        *response.status_mut() = if is_known { StatusCode::OK } else { StatusCode::FORBIDDEN };
        response
    })
    .start()
    .await;
    program.write("tls.toml", "[tls]\non_demand = \"/allowed\"\n");
    let upstream = format!("http://{}", program.app.addr);
    program.run(&format!("apps create shop --upstream {upstream} --host * -f tls.toml")).await;
    (program, pebble)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_is_asked_about_and_ordered_if_the_app_knows_it() {
    let (program, pebble) = program().await;
    let (ann, eve) = ("ann.customers.example.com", "eve.example.net");
    for host in [ann, eve, eve] {
        program.meets_box(host).await;
    }
    let found = program.has_certificate(ann, ann, &pebble).await;
    assert_eq!(found["apps"], serde_json::json!(["shop"]));
    eventually("the stranger is asked about", || asked(&program).iter().any(|name| name == eve)).await;
    program.meets_box(eve).await;
    assert_eq!(asked(&program).iter().filter(|name| *name == eve).count(), 1, "a no is remembered");
    let listed = program.run("certs").await;
    assert!(!listed.stdout.contains(eve) && listed.stderr.is_empty(), "{}", listed.text());
    let asked_as = program.app.seen();
    assert!(
        asked_as.iter().any(|seen| seen.uri.to_string() == format!("/allowed?domain={ann}")),
        "{asked_as:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_names_asks_about_twenty_a_minute() {
    let (program, pebble) = program().await;
    for number in 0..200 {
        program.meets_box(&format!("{number}.example.net")).await;
    }
    eventually("as many are asked about as may be", || asked(&program).len() >= 20).await;
    program.meets_box("last.example.net").await;
    assert_eq!(asked(&program).len(), 20);
    assert!(!pebble.log().contains("POST /order-plz"), "{}", pebble.log());
}
