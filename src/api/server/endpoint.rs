//! The routes as data: each says what it does and who may use it.
//!
//! A module of handlers lists its [`Endpoint`]s; [`router`] makes of them what axum serves. What is in no list is not served,
//! and nothing is in a list without saying what it [`Needs`]: access is denied by default.
//!
//! What a route takes and gives is read from its handler's own type ([`Described`]), so that the OpenAPI document cannot say
//! anything else. Whatever changes something is recorded in the audit log (`audit`) and may be sent again with an
//! `Idempotency-Key` (`idempotency`): that follows from its method, and a route that only reads by `POST` says so with
//! [`Endpoint::reading`].

use std::future::{Ready, ready};
use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::handler::Handler;
use axum::http::{HeaderValue, Method, StatusCode};
use axum::middleware::{from_fn_with_state, map_response};
use axum::response::Response;
use axum::routing::{MethodFilter, MethodRouter, on};
use schemars::JsonSchema;

use super::denials::Denials;
use super::describe::{Described, Docs};
use super::failure::Refusal;
use super::gate::{self, Gate, Guard};
use super::{Api, audit, idempotency, stream};
use crate::api::{CODE_NO_ROUTE, Failure, VERSION_HEADER};
use crate::events::Journal;
use crate::people::Role;

/// What somebody must be to use a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Needs {
    /// Nobody in particular: it says what anyone may know.
    Nothing,
    /// Any user of the box; to change something, by a token that is good for more than looking.
    Account,
    /// Any user of the box, by a token that is good for everything they may do.
    Oneself,
    /// This role or a greater one, for the app in the path.
    OfApp(Role),
    /// An administrator of the box.
    Admin,
}

/// Whether there is to be an app of the name in the path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Creation {
    /// There is to be one.
    No,
    /// It may be that it will be made: any user may ask.
    Precedes,
    /// It is made here if need be: any user may, and is its owner.
    Begins,
}

/// One route of the API.
pub(super) struct Endpoint<S = Api> {
    pub(super) method: Method,
    /// As axum writes it, with the version: `/v1/apps/{app}`.
    pub(super) path: &'static str,
    pub(super) needs: Needs,
    pub(super) creation: Creation,
    /// What it does, as a sentence without a period. The first word is the verb.
    pub(super) summary: &'static str,
    /// What it takes and gives.
    pub(super) docs: Docs,
    /// What the audit log calls it; `None` for the name that its method and path make.
    action: Option<&'static str>,
    is_reading: bool,
    tells_secrets: bool,
    handler: MethodRouter<S>,
}

/// What keeps a record of whatever is changed.
#[derive(Clone)]
pub(super) struct Record {
    pub(super) journal: Journal,
    pub(super) kept: Arc<idempotency::Kept>,
    pub(super) denials: Arc<Denials>,
}

impl<S> Endpoint<S>
where
    S: Clone + Send + Sync + 'static,
{
    /// `handler` at this method and path.
    pub(super) fn new<H, T>(
        method: Method,
        path: &'static str,
        needs: Needs,
        summary: &'static str,
        handler: H,
    ) -> Self
    where
        H: Handler<T, S> + Described<T>,
        T: 'static,
    {
        let is_reading = method.is_safe();
        let handler = on(filter(&method), handler);
        let (creation, action) = (Creation::No, None);
        Self {
            method,
            path,
            needs,
            creation,
            summary,
            docs: H::docs(),
            action,
            is_reading,
            tells_secrets: false,
            handler,
        }
    }

    /// The same, with a handler that only says that it was reached.
    #[cfg(test)]
    pub(super) fn stubbed(&self) -> Endpoint<()> {
        let Self { method, path, needs, creation, summary, docs, action, is_reading, tells_secrets, .. } =
            self;
        Endpoint {
            method: method.clone(),
            path,
            needs: *needs,
            creation: *creation,
            summary,
            docs: docs.clone(),
            action: *action,
            is_reading: *is_reading,
            tells_secrets: *tells_secrets,
            handler: on(filter(method), || async { "reached" }),
        }
    }

    /// The same, also for an app that is yet to be.
    pub(super) fn before_creation(self) -> Self {
        Self { creation: Creation::Precedes, ..self }
    }

    /// The same, which makes the app if need be.
    pub(super) fn creating(self) -> Self {
        Self { creation: Creation::Begins, ..self }
    }

    /// With this word for it in the audit log. It is told to scripts: it stays as it is.
    pub(super) fn action(self, action: &'static str) -> Self {
        Self { action: Some(action), ..self }
    }

    /// Its answer tells a secret once: it is not kept, and a request that comes again is a new one.
    pub(super) fn telling_secrets(self) -> Self {
        Self { tells_secrets: true, ..self }
    }

    /// It changes nothing, though its method says so.
    pub(super) fn reading(self) -> Self {
        Self { is_reading: true, ..self }
    }

    /// Its answer is a stream of these, one JSON value a line.
    pub(super) fn streaming<T: JsonSchema>(self) -> Self {
        Self { docs: self.docs.streaming::<T>(), ..self }
    }

    /// Its answer is one of these, though its handler does not say so.
    pub(super) fn answering<T: JsonSchema>(self) -> Self {
        Self { docs: self.docs.answering::<T>(), ..self }
    }

    /// Whether it is in the audit log.
    pub(super) fn is_write(&self) -> bool {
        !self.is_reading
    }

    /// What the audit log calls it: its own word, or one of its path and method, as `certs-create`.
    pub(super) fn action_name(&self) -> String {
        if let Some(action) = self.action {
            return action.to_owned();
        }
        let is_word = |part: &&str| !part.is_empty() && !part.starts_with('{') && *part != "v1";
        let words: Vec<_> = self.path.split('/').filter(is_word).collect();
        let words = match words.as_slice() {
            ["apps", rest @ ..] if !rest.is_empty() => rest,
            all => all,
        };
        let verb = match self.method {
            Method::POST => "create",
            Method::PUT => "set",
            Method::PATCH => "change",
            Method::DELETE => "remove",
            _ => "read",
        };
        format!("{}-{verb}", words.join("-"))
    }
}

/// What serves these endpoints, each behind its guard, and answers 404 to everything else.
pub(super) fn router<S>(endpoints: Vec<Endpoint<S>>, gate: &Gate, record: Option<&Record>) -> Router<S>
where
    S: Clone + Send + Sync + 'static,
{
    let guarded = |endpoint: &Endpoint<S>| {
        let guard = Guard {
            gate: gate.clone(),
            needs: endpoint.needs,
            creation: endpoint.creation,
            is_read: endpoint.method.is_safe(),
            action: endpoint.action_name().into(),
            denials: record.map(|record| Arc::clone(&record.denials)),
        };
        from_fn_with_state(Arc::new(guard), gate::pass)
    };
    let router = endpoints.into_iter().fold(Router::new(), |router, endpoint| {
        let Endpoint { ref method, path, needs, creation, summary, .. } = endpoint;
        tracing::trace!(%method, path, ?needs, ?creation, summary);
        let guarded = guarded(&endpoint);
        router.route(path, endpoint.recorded(record).route_layer(guarded))
    });
    router
        .method_not_allowed_fallback(nothing(gate, StatusCode::METHOD_NOT_ALLOWED))
        .fallback(nothing(gate, StatusCode::NOT_FOUND))
        .layer(axum::middleware::from_fn(stream::as_events))
        .layer(map_response(with_version))
}

impl<S> Endpoint<S>
where
    S: Clone + Send + Sync + 'static,
{
    /// Its handler, in the audit log and done once for each key if it changes something.
    fn recorded(self, record: Option<&Record>) -> MethodRouter<S> {
        let Some(record) = record.filter(|_| self.is_write()) else { return self.handler };
        let (journal, summary) = (record.journal.clone(), self.summary);
        let audited = audit::Audited { journal, action: self.action_name().into(), summary };
        let handler = self.handler.layer(from_fn_with_state(audited, audit::record));
        if self.docs.takes_bytes() || self.tells_secrets {
            return handler;
        }
        // Outside of the audit log: what is answered again is not done again.
        handler.layer(from_fn_with_state(Arc::clone(&record.kept), idempotency::once))
    }
}

/// What is not there is told to those alone who may know what is.
fn nothing(
    gate: &Gate,
    status: StatusCode,
) -> impl Fn(Request) -> Ready<Response> + Clone + Send + Sync + 'static {
    let gate = gate.clone();
    move |mut req| ready(gate.refuse_unknown(&mut req, status))
}

fn filter(method: &Method) -> MethodFilter {
    MethodFilter::try_from(method.clone()).expect("the API uses methods that axum knows")
}

/// There is no such route, or none of this method.
pub(super) fn no_route(method: &Method, path: &str) -> Refusal {
    let version = env!("CARGO_PKG_VERSION");
    let message = format!("this box runs minipaas {version}, which has no `{method} {path}`");
    Refusal::new(StatusCode::NOT_FOUND, Failure::new(CODE_NO_ROUTE, message))
}

async fn with_version(mut res: Response) -> Response {
    res.headers_mut().insert(VERSION_HEADER, HeaderValue::from_static(env!("CARGO_PKG_VERSION")));
    res
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use crate::api::server::endpoints;

    #[test]
    fn each_write_has_an_action_of_its_own() {
        let mut seen = BTreeMap::new();
        for endpoint in endpoints().iter().filter(|endpoint| endpoint.is_write()) {
            let (action, route) = (endpoint.action_name(), format!("{} {}", endpoint.method, endpoint.path));
            let is_word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
            assert!(action.chars().all(is_word), "`{action}` of `{route}` is no kebab-case word");
            if let Some(other) = seen.insert(action.clone(), route.clone()) {
                panic!("`{action}` is what both `{other}` and `{route}` are called");
            }
        }
    }

    #[test]
    fn summaries_are_sentences() {
        for endpoint in endpoints() {
            let summary = endpoint.summary;
            assert!(summary.starts_with(|c: char| c.is_ascii_uppercase()), "{summary}");
            assert!(!summary.ends_with('.'), "{summary}");
        }
    }
}
