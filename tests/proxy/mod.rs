//! The proxy over real sockets: every test names the rule that it proves.

mod access;
mod auth;
mod balance;
mod buffer;
mod canary;
mod compress;
mod connection;
mod cors;
mod crowds;
mod drain;
mod echo;
mod eject;
mod events;
mod faults;
mod floods;
mod forward;
mod grpc;
mod guards;
mod h2;
mod headers;
mod http3;
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
mod tls_clients;
mod tls_sessions;
mod trailers;
mod upgrade;
mod upstream_h2;
mod websocket_h2;

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
