//! The proxy over real sockets: every test names the rule that it proves.

mod access;
mod auth;
mod balance;
mod buffer;
mod canary;
mod compress;
mod cors;
mod crowds;
mod drain;
mod eject;
mod faults;
mod floods;
mod forward;
mod guards;
mod headers;
mod identity;
mod metrics;
mod pages;
mod pause;
mod proxy_protocol;
mod queue;
mod rate;
mod retry;
mod routing;
mod smuggling;
mod tcp;
mod tls;
mod upgrade;

use std::sync::Arc;

use minipaas::policy::{Balance, Policy};
use minipaas::route::Route;

const BLOG: &str = "blog.localhost";

/// The route with another policy.
fn with_policy(mut route: Route, change: impl FnOnce(&mut Policy)) -> Route {
    change(Arc::make_mut(&mut route.policy));
    route
}

/// The route with its upstreams taking turns.
fn taking_turns(route: Route) -> Route {
    with_policy(route, |policy| policy.balance = Balance::RoundRobin)
}
