//! The `minipaas` program: hands its arguments to the command line, and the daemon to it as a function.

use std::process::ExitCode;

fn main() -> ExitCode {
    minipaas::cli::run(std::env::args_os(), serve)
}

/// SEAM: to be replaced by `minipaas::server::run`, which has this type.
fn serve(_: minipaas::config::ServerConfig) -> anyhow::Result<()> {
    anyhow::bail!("this build has no daemon")
}
