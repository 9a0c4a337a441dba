//! minipaas.

pub mod api;
pub mod builder;
pub mod cli;
pub mod config;
pub mod engine;
pub mod manifest;
pub mod name;
pub mod plan;
pub mod release;
pub mod route;
pub mod static_server;
pub mod tls;
pub mod traffic;
pub mod watch;
