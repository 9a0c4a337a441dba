//! Which file a path means: index pages, clean URLs, the page for what is missing.

use std::io;

use super::Inner;
use super::path::SitePath;
use super::root::{Found, SiteFile};

/// The page of a directory.
const INDEX: &str = "index.html";
/// The page for what is not there.
const NOT_FOUND: &str = "404.html";

/// A file and the name it was found under.
#[derive(Debug)]
pub(super) struct Page {
    /// Below the root, without a leading slash.
    pub(super) path: String,
    pub(super) file: SiteFile,
}

/// What a path means.
#[derive(Debug)]
pub(super) enum Meaning {
    Page(Page),
    /// The path is a directory's and lacks its slash: relative links in its page would go astray.
    Directory,
    Missing,
}

impl Inner {
    /// Finds the page a path means. The first of these that is there counts: the file itself, the directory's index
    /// page, the path with `.html`, and for a navigation in a single-page app the site's own index page.
    pub(super) fn find(&self, path: &SitePath, is_navigation: bool) -> io::Result<Meaning> {
        if path.is_hidden() {
            return Ok(Meaning::Missing);
        }
        if path.is_directory() {
            if let Some(page) = self.page(path.child(INDEX))? {
                return Ok(Meaning::Page(page));
            }
        } else {
            match self.root.find(&path.relative())? {
                Found::File(file) => return Ok(Meaning::Page(Page { path: path.relative(), file })),
                Found::Directory if self.page(path.child(INDEX))?.is_some() => return Ok(Meaning::Directory),
                Found::Directory | Found::Nothing => {}
            }
            if let Some(page) = self.page(format!("{}.html", path.relative()))? {
                return Ok(Meaning::Page(page));
            }
        }
        let is_route = self.options.spa && is_navigation && !path.has_extension();
        let app = if is_route { self.page(INDEX.to_owned())? } else { None };
        Ok(app.map_or(Meaning::Missing, Meaning::Page))
    }

    /// The site's own page for what is missing, if it has one.
    pub(super) fn not_found_page(&self) -> io::Result<Option<Page>> {
        self.page(NOT_FOUND.to_owned())
    }

    /// The file at `path`, if there is one.
    pub(super) fn page(&self, path: String) -> io::Result<Option<Page>> {
        match self.root.find(&path)? {
            Found::File(file) => Ok(Some(Page { path, file })),
            Found::Directory | Found::Nothing => Ok(None),
        }
    }
}
