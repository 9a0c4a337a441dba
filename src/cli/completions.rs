//! `minipaas completions`, `minipaas openapi` and `minipaas version`: what the program says about itself.

use clap::CommandFactory as _;
use clap_complete::Shell;
use serde::Serialize;

use super::Session;
use super::args::Args;
use super::failure::Failure;
use crate::api::server::openapi_document;

/// This program's version.
pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");

#[derive(Debug, Serialize)]
struct VersionResult {
    version: &'static str,
}

/// Prints the shell's completion script.
pub(crate) fn run(session: &Session, shell: Shell) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Args::command(), "minipaas", &mut script);
    Ok(session.out.bytes(&script)?)
}

/// Prints the version.
pub(crate) fn version(session: &Session) -> Result<(), Failure> {
    if session.out.is_json() {
        session.out.json(&VersionResult { version: VERSION })?;
    } else {
        session.out.line(format_args!("minipaas {VERSION}"))?;
    }
    Ok(())
}

/// Prints the API of this program as an OpenAPI document.
pub(crate) fn openapi(session: &Session) -> Result<(), Failure> {
    Ok(session.out.json(openapi_document())?)
}
