//! Why a store could not be read or changed: which file or tool it was, and what that said.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use thiserror::Error;

/// Why a store could not be read or changed.
#[derive(Debug, Error)]
pub enum TrustError {
    /// A file of the store cannot be read.
    #[error("cannot read `{}`", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// A file of the store cannot be written or removed.
    #[error("cannot change `{}`", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// A tool of the store cannot be run.
    #[error("cannot run `{}`", tool.display())]
    Start {
        /// The tool.
        tool: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// A tool of the store did not end in time, and was killed.
    #[error("`{}` was still running after {}s and was killed", tool.display(), limit.as_secs())]
    Timeout {
        /// The tool.
        tool: PathBuf,
        /// How long it was given.
        limit: Duration,
    },
    /// A tool of the store reported a failure.
    #[error("`{}` failed: {output}", tool.display())]
    Tool {
        /// The tool.
        tool: PathBuf,
        /// The end of what it printed, or its exit status if it printed nothing.
        output: String,
    },
    /// The store was updated without complaint, and yet it does not trust the certificate.
    #[error("the store was updated and still does not trust `{label}`")]
    NotInstalled {
        /// The certificate's label.
        label: String,
    },
    /// The store was updated without complaint, and yet it trusts the certificate.
    #[error("the store was updated and still trusts `{label}`")]
    NotRemoved {
        /// The certificate's label.
        label: String,
    },
}
