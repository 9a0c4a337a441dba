//! Whole flows: the real program, its daemon and its proxy, on the machine's engine.
//!
//! Every test has a box of its own ([`world::TestBox`]): a home, two ports, an id that its containers carry. Nothing is
//! shared but the engine, so tests run side by side; what a box made is removed when its test ends, however it ends.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a failing test shows what was said, a load test its figures"
)]

pub(crate) mod command;
mod release;
mod traffic;
mod world;

mod browser;
mod config;
mod domains;
mod events;
mod examples;
mod export;
mod external;
mod health;
mod install;
mod kill;
mod links;
mod load;
mod logs;
mod oneoff;
mod operations;
mod people;
mod ports;
mod processes;
mod push;
mod refusals;
mod script;
mod trust;
