//! The `minipaas` program: hands its arguments to the command line, and the daemon to it as a function.

use std::process::ExitCode;

use minipaas::config::ServerConfig;

/// A proxy allocates little pieces and frees them on the same thread at once, which is what mimalloc is made for.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    minipaas::cli::run(std::env::args_os(), serve)
}

fn serve(config: ServerConfig) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(minipaas::server::run(config, |name| std::env::var(name).ok()))?;
    Ok(())
}
