//! All tests that need more than one module: one binary, so that they link once and share what is slow to make.
#![allow(
    clippy::unwrap_used,
    unreachable_pub,
    reason = "a test that panics has failed; and a test binary has nobody that its items could be public for"
)]

mod acme;
mod cli;
mod deploy;
mod dns;
mod docker;
mod export;
mod fuzz;
mod import;
mod kubernetes;
mod proxy;
mod simulation;
mod support;
mod testapp;
mod tidy;
