//! minipaas.

pub mod engine;
pub mod manifest;
pub mod name;
pub mod proxy;
pub mod release;
pub mod route;
pub mod traffic;
