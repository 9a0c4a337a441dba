//! All integration tests, as one binary.
#![allow(
    clippy::unwrap_used,
    unreachable_pub,
    reason = "a test that panics has failed; and a test binary has nobody that its items could be public for"
)]

mod proxy;
mod support;
