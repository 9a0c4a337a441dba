//! What serves requests: names, routes and policies, the published table, HTTP and TLS on both sides, and the proxy.
//!
//! The data plane of `minipaas`, whose crate docs show the whole. It reads the newest [`route::RouteTable`] that somebody
//! [published](traffic::Routes::publish), and asks nobody: it knows neither controller, store nor engine, which is why it is a
//! crate of its own. `minipaas` re-exports each module under the same name, so a path means the same in both.
//!
//! Values first: [`name`], [`policy`], [`route`]. Then what both planes share, [`traffic`] and [`metrics`]; protocols, [`http1`]
//! and [`http2`]; [`tls`], with the certificates that the box keeps; and [`proxy`]. The small modules (a clock, random numbers,
//! files that are replaced whole, the box's key) are here because these need them, and serve the rest of minipaas, too.
//!
//! It is built for speed and the rest for size (`[profile.release]` in the workspace's `Cargo.toml`): a request meets nothing
//! else.

pub mod alarm;
pub mod clock;
pub mod file;
pub mod hex;
pub mod http1;
pub mod http2;
pub mod metrics;
pub mod name;
pub mod plain;
pub mod policy;
pub mod port;
pub mod proxy;
pub mod random;
pub mod route;
pub mod seal;
pub mod tls;
pub mod traffic;
