//! All tests that need more than one module: one binary, so that they link once and share what is slow to make.

mod cli;
mod docker;
mod simulation;
mod support;
mod testapp;
