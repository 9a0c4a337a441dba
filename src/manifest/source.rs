//! The texts that a manifest is made of.

use std::collections::BTreeMap;
use std::fmt;

use super::{References, schema};

/// The largest file that a manifest may name; a page, not a picture.
pub const FILE_BYTES_MAX: usize = 64 * 1024;
/// How many files a manifest may name: the whole source is one request to the daemon.
pub const FILES_MAX: usize = 16;

/// The texts that a manifest is made of, as they were checked in.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Source {
    /// `minipaas.toml`, if there is one.
    pub toml: Option<String>,
    /// `Procfile`, if there is one.
    pub procfile: Option<String>,
    /// The files that `minipaas.toml` names, by their paths in the folder, as [`Self::wanted_files`] says them.
    pub files: BTreeMap<String, String>,
}

/// A file that `minipaas.toml` names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WantedFile {
    /// Its path below the project's folder, with no `.` or `..` in it.
    pub path: String,
    /// The line that names it, from 1.
    pub line: usize,
}

impl Source {
    /// The files that belong into [`Self::files`], in the order of their lines; one that is named twice is there twice.
    ///
    /// Whatever else is wrong with the text, [`Manifest::parse`](super::Manifest::parse) says.
    #[must_use]
    pub fn wanted_files(&self) -> Vec<WantedFile> {
        let mut references = References::new(&self.files);
        // All of them are reported when the files are there.
        let _ = schema::manifest(self.toml.as_deref().unwrap_or(""), &mut references, &mut Vec::new());
        references.wanted.sort_by_key(|wanted| wanted.line);
        references.wanted
    }
}

impl fmt::Debug for Source {
    /// Without the texts: there are secrets in them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Source")
            .field("toml", &self.toml.as_ref().map(String::len))
            .field("procfile", &self.procfile.as_ref().map(String::len))
            .field("files", &self.files.keys())
            .finish()
    }
}
