//! Every change that is asked for, in the audit log.
//!
//! A layer around each route that changes something: it lets the request be served, and then records who asked for what and
//! how that ended, before the answer goes out. An answer that is a stream is recorded as it begins: what came of a deploy is
//! an event of its own.

use std::borrow::Cow;
use std::sync::Arc;

use axum::Extension;
use axum::extract::{FromRequestParts as _, RawPathParams, Request, State};
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use futures_util::future::join_all;

use super::failure::Refusal;
use super::gate::ClientAddr;
use crate::api::Failure;
use crate::events::{Journal, News, Outcome};
use crate::name::AppName;
use crate::people::Actor;
use crate::plain::plain;

/// What of a path is kept: names are shorter.
const DETAIL_CHARS_MAX: usize = 200;

/// What is known of a route.
#[derive(Clone)]
pub(super) struct Audited {
    pub(super) journal: Journal,
    pub(super) action: Arc<str>,
    pub(super) summary: &'static str,
}

/// The code of an answer that is a failure, beside the answer.
#[derive(Debug, Clone)]
pub(super) struct FailureCode(pub(super) String);

/// What was done, said by a handler that knows more than its route, beside its answer.
#[derive(Debug, Clone)]
pub(super) struct Detail(pub(super) String);

/// Which apps it was done to, said by a handler of a route that has none in its path, beside its answer. Each gets an event.
#[derive(Debug, Clone)]
pub(super) struct OfApps(pub(super) Vec<AppName>);

/// Serves the request, and records it.
pub(super) async fn record(
    State(audited): State<Audited>,
    Extension(actor): Extension<Actor>,
    client: Option<Extension<ClientAddr>>,
    req: Request,
    next: Next,
) -> Response {
    let (mut parts, body) = req.into_parts();
    let mut app = None;
    let mut rest = Vec::new();
    if let Ok(params) = RawPathParams::from_request_parts(&mut parts, &()).await {
        for (name, value) in &params {
            match value.parse::<AppName>() {
                Ok(found) if name == "app" => app = Some(found),
                _ => rest.push(value.to_owned()),
            }
        }
    }
    let mut res = next.run(Request::from_parts(parts, body)).await;
    let detail = res.extensions_mut().remove::<Detail>().map(|detail| Cow::from(detail.0));
    let detail = detail.unwrap_or_else(|| match rest.as_slice() {
        [] => audited.summary.into(),
        rest => format!("{}: {}", audited.summary, rest.join(" ")).into(),
    });
    let apps = match res.extensions_mut().remove::<OfApps>() {
        Some(OfApps(apps)) if !apps.is_empty() => apps.into_iter().map(Some).collect(),
        _ => vec![app],
    };
    let outcome = outcome(&res);
    let news = apps.into_iter().map(|app| News {
        actor: actor.clone(),
        app,
        action: audited.action.as_ref().to_owned(),
        detail: plain(&detail, DETAIL_CHARS_MAX),
        outcome: outcome.clone(),
        from: client.as_ref().map(|Extension(ClientAddr(addr))| addr.to_string()),
        release: None,
    });
    let recorded = join_all(news.map(|news| audited.journal.record(news))).await;
    match recorded.into_iter().find_map(Result::err) {
        None => res,
        Some(error) => {
            let is_done = res.status().is_success();
            let message = if is_done { "it was done, and could not be recorded" } else { "it was not done" };
            let failure = Failure::new("not-recorded", message)
                .caused_by(error.to_string())
                .hinted("`minipaas doctor` looks whether the disk is full");
            Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, failure).into_response()
        }
    }
}

fn outcome(res: &Response) -> Outcome {
    match (res.status(), res.extensions().get::<FailureCode>()) {
        (status, _) if status.is_success() || status.is_informational() => Outcome::Ok,
        (_, Some(FailureCode(code))) => Outcome::Failed(code.clone()),
        (status, None) => Outcome::Failed(status.as_u16().to_string()),
    }
}
