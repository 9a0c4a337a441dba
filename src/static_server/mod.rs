//! The static file server that runs inside the containers of static sites.
//!
//! A static site is an app like any other: its image carries minipaas itself and the site's files, and the container
//! runs `minipaas static-server`. The proxy in front of it speaks TLS, compresses and limits; this server finds files
//! and answers HTTP/1.1 about them correctly: conditional requests, ranges, precompressed siblings, clean URLs.
//!
//! How a request is answered: `path` decodes and judges the path, `lookup` decides which file that means, `root`
//! opens it without ever leaving the root, `response` negotiates and builds the answer. All of it is one short
//! blocking call on tokio's blocking pool; only bodies larger than a chunk are streamed afterwards.
//!
//! An `ETag` is a hash of the content, computed at the first request and remembered for the open file's state. Size and
//! modification time, the usual choice, would not do: images carry the same time on every file.
//!
//! What it does not do: HTTP/2 and TLS (the proxy's), compression on the fly, directory listings, range lists, uploads.

mod conditional;
mod etag;
mod kind;
mod lookup;
mod negotiate;
mod path;
mod response;
mod root;
mod serve;
#[cfg(test)]
mod tests;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

pub use serve::serve;

use etag::Etags;
use root::Root;

/// How a site is served.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Options {
    /// Whether a path that names no file gets `index.html` with status 200, when a browser navigates to it and it has
    /// no file extension: what a single-page app with its own router wants. Default `false`.
    pub spa: bool,
}

/// A folder of files, open and ready to be served.
///
/// A cheap clone; the folder is closed when the last one is dropped.
#[derive(Debug, Clone)]
pub struct StaticSite {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    root: Root,
    options: Options,
    etags: Etags,
}

/// Why a site cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The root is not there, is no folder or cannot be read.
    #[error("cannot open the site's root `{}`", path.display())]
    OpenRoot {
        /// The root that was asked for.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The listener is broken.
    #[error("cannot accept connections: {failures} failures in a row")]
    Accept {
        /// How many times in a row it failed.
        failures: u32,
        /// The last failure.
        #[source]
        source: io::Error,
    },
}

impl StaticSite {
    /// Opens the folder `root` as a site.
    ///
    /// # Errors
    /// [`Error::OpenRoot`] when `root` is not a folder that can be opened.
    pub fn open(root: PathBuf, options: Options) -> Result<StaticSite, Error> {
        match Root::open(&root) {
            Ok(root) => Ok(StaticSite { inner: Arc::new(Inner { root, options, etags: Etags::default() }) }),
            Err(source) => Err(Error::OpenRoot { path: root, source }),
        }
    }
}
