//! The client against scripted answers of a daemon, over a real socket.

use std::sync::Arc;

use axum::Router;
use axum::body::Body as AxumBody;
use axum::extract::Request as AxumRequest;
use axum::response::{IntoResponse, Response as AxumResponse};
use futures_util::TryStreamExt as _;
use tempfile::TempDir;
use tokio::net::UnixListener;

use super::*;
use crate::builder::ignore::IgnoreRules;

/// A daemon that answers every request with `reply`.
async fn daemon<F, R>(reply: F) -> (TempDir, Client)
where
    F: Fn(AxumRequest) -> R + Send + Sync + 'static,
    R: Future<Output = AxumResponse> + Send + 'static,
{
    let dir = tempfile::tempdir().expect("a temporary directory");
    let socket = dir.path().join("sock");
    let listener = UnixListener::bind(&socket).expect("a socket");
    let reply = Arc::new(reply);
    let router = Router::new().fallback(move |req: AxumRequest| reply(req));
    tokio::spawn(async move { axum::serve(listener, router).await });
    (dir, Client::unix(socket))
}

fn shop() -> AppName {
    "shop".parse().expect("a name")
}

fn build_query(args: Option<&str>) -> BuildQuery {
    BuildQuery {
        content: "ab12".to_owned(),
        dockerfile: "Dockerfile".to_owned(),
        target: None,
        args: args.map(str::to_owned),
    }
}

#[test]
fn queries_are_encoded_and_leave_out_what_is_not_set() {
    let text = query(&build_query(Some("{\"A\":\"b c&d=é\"}")));
    assert_eq!(text, "?args=%7B%22A%22%3A%22b%20c%26d%3D%C3%A9%22%7D&content=ab12&dockerfile=Dockerfile");
    assert_eq!(
        query(&LogsQuery { follow: true, tail: Some(5), ..LogsQuery::default() }),
        "?follow=true&tail=5"
    );
}

#[tokio::test]
async fn no_daemon_is_unreachable() {
    let error = Client::unix("/nonexistent/minipaas.sock".into()).status().await.expect_err("no daemon");
    assert_eq!(error.to_string(), "no daemon answers on `/nonexistent/minipaas.sock`");
    assert!(matches!(error, ClientError::Unreachable { .. }));
}

#[tokio::test]
async fn refusal_carries_the_daemons_failure() {
    let failure = Failure::new("not-found", "there is no app `shop`").hinted("`minipaas apps` lists them");
    let reply = failure.clone();
    let (_dir, client) = daemon(move |_| {
        let reply = (StatusCode::NOT_FOUND, axum::Json(reply.clone())).into_response();
        async move { reply }
    })
    .await;
    match client.app(&shop()).await {
        Err(ClientError::Failed(got)) => assert_eq!(got, failure),
        other => panic!("{other:?}"),
    }
    assert_eq!(client.find_build(&shop(), "ab12").await.expect("an answer"), None);
}

#[tokio::test]
async fn answer_of_another_kind_is_a_protocol_error() {
    let (_dir, client) = daemon(|_| async { "hello".into_response() }).await;
    let error = client.status().await.expect_err("not a status");
    assert_eq!(
        error.to_string(),
        "the daemon's answer to `GET /v1/status` is not understood: expected value at line 1 column 1"
    );
}

#[tokio::test]
async fn progress_ends_with_its_last_event() {
    let (_dir, client) = daemon(|_| async {
        "{\"event\":\"step\",\"step\":\"start\",\"detail\":\"web.1\"}\n\n{\"event\":\"failed\",\"failure\":\
         {\"code\":\"internal\",\"message\":\"no\"}}\n{\"event\":\"log\",\"line\":\"late\"}\n"
            .into_response()
    })
    .await;
    let stream = client.image(&shop(), &ImageQuery { reference: "x".to_owned() }).await.expect("a stream");
    let events: Vec<Progress> = stream.try_collect().await.expect("no error");
    assert_eq!(
        events,
        [
            Progress::Step { step: "start".to_owned(), detail: "web.1".to_owned() },
            Progress::Failed { failure: Failure::new("internal", "no") }
        ]
    );
}

#[tokio::test]
async fn progress_without_a_last_event_was_cut_off() {
    let (_dir, client) = daemon(|_| async { "{\"event\":\"log\",\"line\":\"a\"}\n".into_response() }).await;
    let mut stream =
        client.image(&shop(), &ImageQuery { reference: "x".to_owned() }).await.expect("a stream");
    assert!(stream.try_next().await.expect("a line").is_some());
    assert!(matches!(stream.try_next().await, Err(ClientError::CutOff { .. })));
    assert!(stream.try_next().await.expect("the end").is_none());
}

#[tokio::test]
async fn upload_arrives_as_the_archive() {
    let (_dir, client) = daemon(|req| async {
        let body = axum::body::to_bytes(req.into_body(), usize::MAX).await.expect("a body");
        let mut archive = tar::Archive::new(&body[..]);
        let names: Vec<String> = archive
            .entries()
            .expect("an archive")
            .map(|entry| entry.expect("an entry").path().expect("a path").display().to_string())
            .collect();
        let line =
            serde_json::json!({"event": "failed", "failure": {"code": "", "message": names.join(" ")}});
        format!("{line}\n").into_response()
    })
    .await;
    // More than all chunks together, so that the writer has to wait for the daemon.
    let context = Context::default().with_file("a", "one").with_file("b", vec![0; 3 << 20]);
    let stream = client.build(&shop(), &build_query(None), context).await.expect("a stream");
    let events: Vec<Progress> = stream.try_collect().await.expect("no error");
    assert_eq!(events, [Progress::Failed { failure: Failure::new("", "a b") }]);
}

#[tokio::test]
async fn file_that_changes_during_the_upload_is_named() {
    let (_dir, client) = daemon(|req| async {
        let _ = axum::body::to_bytes(req.into_body(), usize::MAX).await;
        AxumResponse::new(AxumBody::empty())
    })
    .await;
    let folder = tempfile::tempdir().expect("a temporary directory");
    let file = folder.path().join("page");
    std::fs::write(&file, "one").expect("a file");
    let context = Context::scan(folder.path(), &IgnoreRules::default()).expect("a context");
    std::fs::write(&file, "another").expect("a file");
    match client.build(&shop(), &build_query(None), context).await {
        Err(ClientError::Upload(ContextError::Changed { path })) => assert_eq!(path, file),
        Err(other) => panic!("{other:?}"),
        Ok(_) => panic!("an incomplete archive was taken"),
    }
}
