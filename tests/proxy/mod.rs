//! The proxy over real sockets: every test names the rule that it proves.

mod access;
mod auth;
mod buffer;
mod compress;
mod cors;
mod drain;
mod forward;
mod guards;
mod headers;
mod pages;
mod rate;
mod routing;
mod smuggling;
mod tls;
mod upgrade;

const BLOG: &str = "blog.localhost";
