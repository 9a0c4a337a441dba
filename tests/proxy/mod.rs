//! The proxy over real sockets: every test names the rule that it proves.

mod access;
mod drain;
mod forward;
mod headers;
mod identity;
mod pages;
mod proxy_protocol;
mod routing;
mod tcp;
mod tls;
mod upgrade;

const BLOG: &str = "blog.localhost";
