//! minipaas: a mini-PaaS in one binary, on Docker.

pub mod builder;
pub mod static_server;
