//! The audit log, webhooks and the API's outer form, on a box that has no engine; and a deploy that is followed again.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use minipaas::hooks::{SIGNATURE_HEADER, signature};
use serde_json::{Value, json};
use tokio::net::UnixStream;

use super::command::until;
use super::release::TestApp;
use super::world::TestBox;
use crate::support::backend::{Backend, full};

/// Where no engine is.
const NO_ENGINE: [(&str, &str); 1] = [("DOCKER_HOST", "unix:///nonexistent/docker.sock")];

/// One request to the box's API, with these headers.
async fn send(
    on: &TestBox,
    method: Method,
    path: &str,
    headers: &[(&str, &str)],
    body: Value,
) -> Response<Incoming> {
    let stream = UnixStream::connect(on.home().join("minipaas.sock")).await.expect("the daemon listens");
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.expect("a connection");
    tokio::spawn(connection);
    let req = Request::builder().method(method).uri(path).header("host", "minipaas");
    let req = headers.iter().fold(req, |req, (name, value)| req.header(*name, *value));
    let body = if body.is_null() { Bytes::new() } else { body.to_string().into() };
    let req = req.header("content-type", "application/json").body(Full::new(body)).expect("a request");
    sender.send_request(req).await.expect("an answer")
}

async fn text(res: Response<Incoming>) -> String {
    let body = res.into_body().collect().await.expect("a whole body");
    String::from_utf8(body.to_bytes().to_vec()).expect("UTF-8")
}

async fn value(res: Response<Incoming>) -> Value {
    serde_json::from_str(&text(res).await).expect("JSON")
}

/// What `minipaas events --json` says, as `action outcome`.
async fn events(on: &TestBox, args: &[&str]) -> Vec<String> {
    let run = on.run(&[&["events", "--json"], args].concat()).await.success();
    let events: Vec<Value> = serde_json::from_str(&run.stdout).expect("JSON");
    let word = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    events.iter().map(|event| format!("{} {}", word(&event["action"]), word(&event["outcome"]))).collect()
}

async fn create(on: &TestBox) {
    on.run(&["apps", "create", "legacy", "--upstream", "http://192.0.2.1:9", "--yes"]).await.success();
}

#[tokio::test(flavor = "multi_thread")]
async fn every_change_is_recorded_and_survives_a_kill() {
    let on = TestBox::new();
    let daemon = on.serve(&NO_ENGINE).await;
    create(&on).await;
    on.run(&["pause", "-a", "legacy"]).await.success();
    on.run(&["resume", "-a", "legacy"]).await.success();
    on.run(&["canary", "abort", "-a", "legacy"]).await.ends_with(1);
    // What was answered is on disk.
    daemon.kill();
    let _daemon = on.serve(&NO_ENGINE).await;
    assert_eq!(events(&on, &[]).await, ["upstreams-set ok", "pause ok", "resume ok", "canary-abort failed"]);
    assert_eq!(events(&on, &["-a", "legacy", "-n", "1"]).await, ["canary-abort failed"]);
    assert_eq!(events(&on, &["--action", "pause"]).await, ["pause ok"]);
    assert!(events(&on, &["--actor", "minipaas"]).await.is_empty());
    let run = on.run(&["events", "-a", "legacy"]).await.success();
    assert!(run.stdout.contains("canary-abort [no-canary]  Take a canary back"), "{}", run.stdout);

    let page = send(&on, Method::GET, "/v1/events?after=0&limit=2", &[], Value::Null).await;
    assert_eq!(page.headers()["minipaas-version"], env!("CARGO_PKG_VERSION"));
    let link = page.headers()["link"].to_str().expect("text").to_owned();
    let page = value(page).await;
    let next = page["next"].as_str().expect("there is more").to_owned();
    assert_eq!(link, format!("<{next}>; rel=\"next\""));
    let page = value(send(&on, Method::GET, &next, &[], Value::Null).await).await;
    assert_eq!((&page["events"][1]["id"], &page["next"]), (&json!(4), &Value::Null));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_with_a_key_is_done_once() {
    let on = TestBox::new();
    let daemon = on.serve(&NO_ENGINE).await;
    create(&on).await;
    let path = "/v1/apps/legacy/pause";
    let key = [("idempotency-key", "k-1")];
    let first = send(&on, Method::PUT, path, &key, json!({"wait-ms": 1000})).await;
    assert_eq!(first.status(), StatusCode::OK);
    let first = text(first).await;
    on.run(&["resume", "-a", "legacy"]).await.success();
    daemon.kill();
    let _daemon = on.serve(&NO_ENGINE).await;
    let again = send(&on, Method::PUT, path, &key, json!({"wait-ms": 1000})).await;
    assert_eq!(again.headers()["idempotency-replayed"], "true");
    assert_eq!(text(again).await, first);
    let other = send(&on, Method::PUT, path, &key, json!({"wait-ms": 2000})).await;
    assert_eq!(other.status(), StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(value(other).await["code"], "idempotency-mismatch");
    assert_eq!(events(&on, &["--action", "pause"]).await, ["pause ok"], "it was done once");

    let unknown = send(&on, Method::GET, "/v1/teapots", &[], Value::Null).await;
    assert_eq!(unknown.status(), StatusCode::NOT_FOUND);
    assert_eq!(value(unknown).await["code"], "no-such-route");
    let unknown = send(&on, Method::PUT, "/v1/status", &[], Value::Null).await;
    assert_eq!(unknown.status(), StatusCode::METHOD_NOT_ALLOWED);
    let served = value(send(&on, Method::GET, "/v1/openapi.json", &[], Value::Null).await).await;
    let printed = on.run(&["openapi"]).await.success().stdout;
    assert_eq!(serde_json::from_str::<Value>(&printed).expect("JSON"), served);
}

#[tokio::test(flavor = "multi_thread")]
async fn events_are_followed_as_server_sent_events() {
    let on = TestBox::new();
    let _daemon = on.serve(&NO_ENGINE).await;
    create(&on).await;
    let accept = [("accept", "text/event-stream"), ("last-event-id", "1")];
    let res = send(&on, Method::GET, "/v1/events?follow=true", &accept, Value::Null).await;
    assert_eq!(res.headers()["content-type"], "text/event-stream");
    let mut body = res.into_body();
    on.run(&["pause", "-a", "legacy"]).await.success();
    let frame = body.frame().await.expect("an event").expect("no error").into_data().expect("data");
    let text = String::from_utf8_lossy(&frame).into_owned();
    assert!(text.starts_with("id: 2\ndata: {\"id\":2,") && text.ends_with("}\n\n"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn hooks_outlive_a_kill_and_prove_who_sends() {
    let on = TestBox::new().env("MINIPAAS_HOOK_RETRY_MS", "50");
    let is_well = Arc::new(AtomicBool::new(false));
    let well = Arc::clone(&is_well);
    let receiver = Backend::answering(move |_| {
        let status = if well.load(Ordering::SeqCst) { StatusCode::OK } else { StatusCode::BAD_GATEWAY };
        async move {
            let mut res = Response::new(full(""));
            *res.status_mut() = status;
            res
        }
    });
    let receiver = receiver.start().await;
    let daemon = on.serve(&NO_ENGINE).await;
    create(&on).await;
    let url = format!("http://{}/hidden-path", receiver.addr);
    let added = on.run(&["hooks", "add", &url, "--event", "pause,resume", "--json"]).await.success();
    let added: Value = serde_json::from_str(&added.stdout).expect("JSON");
    let (id, secret) =
        (added["hook"]["id"].as_str().expect("an id"), added["secret"].as_str().expect("a secret"));
    on.run(&["pause", "-a", "legacy"]).await.success();
    until("it was tried twice", || receiver.seen().len() >= 2).await;
    daemon.kill();
    is_well.store(true, Ordering::SeqCst);
    let before = receiver.seen().len();
    let daemon = on.serve(&NO_ENGINE).await;
    until("it is tried again", || receiver.seen().len() > before).await;
    on.run(&["resume", "-a", "legacy"]).await.success();
    until("the next one comes", || receiver.seen().len() > before + 1).await;

    let seen = receiver.seen();
    let told: Vec<Value> =
        seen.iter().map(|seen| serde_json::from_slice(&seen.body).expect("JSON")).collect();
    assert_eq!(told[before]["id"], told[0]["id"], "the same event");
    assert_eq!((&told[0]["event"], &told[0]["app"]), (&json!("pause"), &json!("legacy")));
    assert_eq!(told[before + 1]["event"], "resume");
    for seen in &seen {
        let given = seen.header(SIGNATURE_HEADER).expect("it is signed");
        let seconds = given.strip_prefix("t=").and_then(|rest| rest.split(',').next()).expect("a time");
        assert_eq!(given, signature(secret, seconds.parse().expect("a number"), &seen.body));
    }

    on.run(&["hooks", "test", id]).await.success().saying(&["status 200"]);
    let listed = on.run(&["hooks"]).await.success().stdout;
    let deliveries = on.run(&["hooks", "deliveries", id]).await.success().stdout;
    assert!(deliveries.contains("delivered") && deliveries.contains("resume"), "{deliveries}");
    for told in [&listed, &deliveries, &daemon.stderr()] {
        assert!(!told.contains("hidden-path") && !told.contains(secret), "{told}");
    }
    let refused = on.run(&["hooks", "add", "http://169.254.169.254/latest"]).await;
    assert!(refused.stderr.contains("where no hook may lead"), "{}", refused.stderr);
    on.run(&["hooks", "remove", id]).await.success();
    assert_eq!(on.run(&["hooks", "test", id]).await.code, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deploy_is_heard_again_and_over_a_restart() {
    let on = TestBox::new();
    let daemon = on.serve(&[]).await;
    let project = on.project("shop");
    project.deploy(&TestApp::version("one")).await.success();
    let path = "/v1/apps/shop/deploys/v1";
    let whole = text(send(&on, Method::GET, path, &[], Value::Null).await).await;
    let lines: Vec<_> = whole.lines().collect();
    assert!(lines[lines.len() - 1].contains(r#""event":"deployed""#), "{whole}");
    let accept = [("accept", "text/event-stream"), ("last-event-id", "1")];
    let rest = text(send(&on, Method::GET, path, &accept, Value::Null).await).await;
    assert!(rest.starts_with("id: 2\nevent: "), "{rest}");
    assert_eq!(rest.matches("data: ").count(), lines.len() - 1);
    daemon.kill();

    let mut halting = on.serve(&[("MINIPAAS_HALT_AT", "awaiting-readiness")]).await;
    on.serving("shop").await;
    project.write("minipaas.toml", &TestApp::version("two").toml());
    let up = project.start_up();
    halting.says("halted").await;
    halting.kill();
    let _daemon = on.serve(&[]).await;
    up.finish().await.success().saying(&["the connection to the daemon broke", "v2 of `shop` serves"]);
    let forgotten = text(send(&on, Method::GET, path, &[], Value::Null).await).await;
    assert!(forgotten.contains(r#""code":"forgotten""#) && forgotten.contains("v2 serves"), "{forgotten}");
    let actions = events(&on, &["-a", "shop", "--action", "deploy,release-active"]).await;
    assert_eq!(actions, ["deploy ok", "release-active ok", "deploy ok", "release-active ok"]);
}
