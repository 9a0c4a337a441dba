//! What is remembered of a route between requests, whatever table names it.
//!
//! A table is replaced at every change; whose turn it is, how many retries there were and who used up their rate must not be.
//! So [`super::Routes::publish`] gives a route the state that the route of the same app, host and path had before, and forgets
//! the state of a route that is in the table no more. Everything in here is shared by all requests of the route: atomics, or
//! locks that the request path takes only where a policy asks for what they guard.

use std::sync::atomic::AtomicUsize;

use super::budget::RetryBudget;

/// What is remembered of one route.
#[derive(Debug)]
pub struct RouteState {
    /// Whose turn it is among the route's upstreams.
    pub(super) turn: AtomicUsize,
    budget: RetryBudget,
}

impl RouteState {
    pub(super) fn new() -> Self {
        Self { turn: AtomicUsize::new(0), budget: RetryBudget::new() }
    }

    /// How many retries the route may have.
    #[must_use]
    pub fn budget(&self) -> &RetryBudget {
        &self.budget
    }
}
