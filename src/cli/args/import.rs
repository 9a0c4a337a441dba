//! What is typed about other tools' projects.

use std::path::PathBuf;

/// `minipaas import`.
#[derive(Debug, clap::Args)]
pub(crate) struct ImportArgs {
    /// The project's file, or its folder: compose.yaml, fly.toml, config/deploy.yml, captain-definition, app.json or Procfile;
    /// several compose files are merged
    #[arg(value_name = "FILE|DIR", default_value = ".")]
    pub(crate) paths: Vec<PathBuf>,
    /// Where to write [default: beside the project's file]
    #[arg(short, long, value_name = "DIR")]
    pub(crate) output: Option<PathBuf>,
    /// Compose: take in services of this profile; may be given more than once, `*` is all
    #[arg(long = "profile", value_name = "NAME")]
    pub(crate) profiles: Vec<String>,
    /// Compose: the file of variables [default: .env]
    #[arg(long, value_name = "FILE")]
    pub(crate) env_file: Option<PathBuf>,
    /// Print what would be written, and write nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Fail, and write nothing, if something is not carried
    #[arg(long)]
    pub(crate) strict: bool,
}
