//! The routes as data: each says what it does and who may use it.
//!
//! A module of handlers lists its [`Endpoint`]s; [`router`] makes of them what axum serves. What is in no list is not served,
//! and nothing is in a list without saying what it [`Needs`]: access is denied by default.

use axum::Router;
use axum::handler::Handler;
use axum::http::Method;
use axum::routing::{MethodFilter, MethodRouter, on};

use super::Api;
use super::failure::Refusal;
use crate::people::Role;

/// What somebody must be to use a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Needs {
    /// Nobody in particular: it says what anyone may know.
    Nothing,
    /// Any user of the box.
    Account,
    /// This role or a greater one, for the app in the path.
    OfApp(Role),
    /// An administrator of the box.
    Admin,
}

/// One route of the API.
pub(super) struct Endpoint {
    pub(super) method: Method,
    /// As axum writes it, with the version: `/v1/apps/{app}`.
    pub(super) path: &'static str,
    pub(super) needs: Needs,
    /// What it does, as a sentence without a period. The first word is the verb.
    pub(super) summary: &'static str,
    handler: MethodRouter<Api>,
}

impl Endpoint {
    /// `handler` at this method and path.
    pub(super) fn new<H, T>(
        method: Method,
        path: &'static str,
        needs: Needs,
        summary: &'static str,
        handler: H,
    ) -> Self
    where
        H: Handler<T, Api>,
        T: 'static,
    {
        let filter = MethodFilter::try_from(method.clone()).expect("the API uses methods that axum knows");
        Self { method, path, needs, summary, handler: on(filter, handler) }
    }
}

/// What serves these endpoints, and answers 404 to everything else.
pub(super) fn router(endpoints: Vec<Endpoint>, api: Api) -> Router {
    endpoints
        .into_iter()
        .fold(Router::new(), |router, endpoint| {
            tracing::trace!(method = %endpoint.method, endpoint.path, needs = ?endpoint.needs, endpoint.summary);
            router.route(endpoint.path, endpoint.handler)
        })
        .fallback(|| async { Refusal::not_found("there is no such route in this version of the API") })
        .with_state(api)
}
