//! minipaas.

pub mod api;
pub mod builder;
pub mod cli;
pub mod clock;
pub mod config;
pub mod controller;
pub mod engine;
pub mod instance;
pub mod logs;
pub mod manifest;
pub mod name;
pub mod plan;
pub mod port;
pub mod probe;
pub mod proxy;
pub mod random;
pub mod release;
pub mod rollout;
pub mod route;
pub mod server;
pub mod static_server;
pub mod store;
pub mod tls;
pub mod traffic;
pub mod watch;
