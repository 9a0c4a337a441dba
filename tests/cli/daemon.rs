//! A control API that says what a test has written down, on a socket in a home of its own.

use std::collections::BTreeMap;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use futures_util::stream::{self, StreamExt as _};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::UnixListener;
use tokio::sync::Notify;

/// Answers requests by their method and path; whatever is not written down is a 404.
pub(crate) struct FakeDaemon {
    home: TempDir,
    requests: Arc<Mutex<Vec<String>>>,
}

/// What a request is answered with.
pub(crate) enum Reply {
    /// One JSON value.
    Json(StatusCode, Value),
    /// These values, one a request.
    Turns(Vec<Value>),
    /// Text.
    Text(String),
    /// One JSON value a line.
    Lines(Vec<Value>),
    /// The first ones at once, the others when the gate opens.
    Gated(Vec<Value>, Arc<Notify>, Vec<Value>),
    /// 202, and the gate opens.
    Opens(Arc<Notify>),
}

impl FakeDaemon {
    pub(crate) fn start<const N: usize>(replies: [(&str, Reply); N]) -> Self {
        let home = tempfile::tempdir().expect("a temporary directory");
        std::fs::set_permissions(home.path(), Permissions::from_mode(0o700)).expect("it is ours");
        let listener = UnixListener::bind(home.path().join("minipaas.sock")).expect("a socket");
        let requests = Arc::new(Mutex::new(Vec::new()));
        let replies: BTreeMap<String, Reply> =
            replies.into_iter().map(|(request, reply)| (request.to_owned(), reply)).collect();
        let (replies, seen) = (Arc::new(replies), Arc::clone(&requests));
        let router = Router::new().fallback(move |req| answer(Arc::clone(&replies), Arc::clone(&seen), req));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { home, requests }
    }

    pub(crate) fn home(&self) -> &Path {
        self.home.path()
    }

    /// Every request so far, with its query and, for JSON, its body.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.requests.lock().expect("no test panics with it").clone()
    }
}

async fn answer(
    replies: Arc<BTreeMap<String, Reply>>,
    seen: Arc<Mutex<Vec<String>>>,
    req: Request,
) -> Response {
    let name = format!("{} {}", req.method(), req.uri().path());
    let full = format!("{} {}", req.method(), req.uri());
    let body = to_bytes(req.into_body(), usize::MAX).await.expect("a whole body");
    let body = match std::str::from_utf8(&body) {
        Ok(text) if text.starts_with('{') => format!(" {text}"),
        _ if body.is_empty() => String::new(),
        _ => format!(" tar of {}", names(&body)),
    };
    let turn = {
        let mut seen = seen.lock().expect("no test panics with it");
        seen.push(full + &body);
        seen.len() - 1
    };
    match replies.get(&name) {
        Some(Reply::Json(status, value)) => (*status, axum::Json(value.clone())).into_response(),
        Some(Reply::Turns(values)) => axum::Json(values[turn].clone()).into_response(),
        Some(Reply::Text(text)) => text.clone().into_response(),
        Some(Reply::Lines(values)) => lines(values).into_response(),
        Some(Reply::Gated(first, gate, then)) => {
            let (first, gate, then) = (lines(first), Arc::clone(gate), lines(then));
            let rest = async move {
                gate.notified().await;
                Ok::<_, std::convert::Infallible>(Bytes::from(then))
            };
            let chunks = stream::iter([Ok(Bytes::from(first))]).chain(stream::once(rest));
            Body::from_stream(chunks).into_response()
        }
        Some(Reply::Opens(gate)) => {
            gate.notify_one();
            StatusCode::ACCEPTED.into_response()
        }
        None => {
            let failure = json!({"code": "not-found", "message": format!("there is nothing at `{name}`")});
            (StatusCode::NOT_FOUND, axum::Json(failure)).into_response()
        }
    }
}

fn lines(values: &[Value]) -> String {
    values.iter().map(|value| format!("{value}\n")).collect()
}

fn names(archive: &[u8]) -> String {
    let mut archive = tar::Archive::new(archive);
    let entries = archive.entries().expect("an archive");
    let name = |entry: std::io::Result<tar::Entry<'_, _>>| {
        entry.expect("an entry").path().expect("a path").display().to_string()
    };
    entries.map(name).collect::<Vec<_>>().join(" ")
}
