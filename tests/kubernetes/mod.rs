//! Applying an export to a cluster: the real client, and a stand-in for the API server (see [`server`]).

mod apply;
mod controllers;
mod discovery;
mod fields;
mod kubectl;
mod plan;
mod prune;
mod reply;
mod rules;
mod server;
mod state;
mod world;
