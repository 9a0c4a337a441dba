//! What is typed about how apps are.

/// `minipaas status`.
#[derive(Debug, clap::Args)]
pub(crate) struct StatusArgs {
    /// Show which apps call which, and what that means for how they are
    #[arg(long)]
    pub(crate) graph: bool,
}
