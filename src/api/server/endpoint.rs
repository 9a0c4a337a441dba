//! The routes as data: each says what it does and who may use it.
//!
//! A module of handlers lists its [`Endpoint`]s; [`router`] makes of them what axum serves. What is in no list is not served,
//! and nothing is in a list without saying what it [`Needs`]: access is denied by default.

use std::future::{Ready, ready};
use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::handler::Handler;
use axum::http::Method;
use axum::middleware::from_fn_with_state;
use axum::response::Response;
use axum::routing::{MethodFilter, MethodRouter, on};

use super::Api;
use super::gate::{self, Gate, Guard};
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
    handler: MethodRouter<S>,
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
        H: Handler<T, S>,
        T: 'static,
    {
        let filter = MethodFilter::try_from(method.clone()).expect("the API uses methods that axum knows");
        Self { method, path, needs, creation: Creation::No, summary, handler: on(filter, handler) }
    }

    /// The same, with a handler that only says that it was reached.
    #[cfg(test)]
    pub(super) fn stubbed(&self) -> Endpoint<()> {
        let Self { method, path, needs, creation, summary, .. } = self;
        let stub = Endpoint::new(method.clone(), path, *needs, summary, || async { "reached" });
        Endpoint { creation: *creation, ..stub }
    }

    /// The same, also for an app that is yet to be.
    pub(super) fn before_creation(self) -> Self {
        Self { creation: Creation::Precedes, ..self }
    }

    /// The same, which makes the app if need be.
    pub(super) fn creating(self) -> Self {
        Self { creation: Creation::Begins, ..self }
    }
}

/// What serves these endpoints, each behind its guard, and answers 404 to everything else.
pub(super) fn router<S>(endpoints: Vec<Endpoint<S>>, gate: &Gate) -> Router<S>
where
    S: Clone + Send + Sync + 'static,
{
    let guarded = |needs, creation, is_read| {
        let guard = Guard { gate: gate.clone(), needs, creation, is_read };
        from_fn_with_state(Arc::new(guard), gate::pass)
    };
    endpoints
        .into_iter()
        .fold(Router::new(), |router, endpoint| {
            let Endpoint { method, path, needs, creation, summary, handler } = endpoint;
            tracing::trace!(%method, path, ?needs, ?creation, summary);
            router.route(path, handler.route_layer(guarded(needs, creation, method.is_safe())))
        })
        .method_not_allowed_fallback(nothing(gate))
        .fallback(nothing(gate))
}

/// What is not there is told to those alone who may know what is.
fn nothing(gate: &Gate) -> impl Fn(Request) -> Ready<Response> + Clone + Send + Sync + 'static {
    let gate = gate.clone();
    move |mut req| ready(gate.refuse_unknown(&mut req))
}
