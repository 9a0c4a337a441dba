//! The walk that lists a folder.
//!
//! Depth first; the order does not matter, since a context sorts. Each folder hands the rules' trail down to what is in
//! it. An ignored folder is entered only if an exception may be below it, and is listed only if one is.

use std::fs::{DirEntry, Metadata};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use super::stamped::StampedFile;
use super::{Context, ContextError, EXECUTABLE_MODE, Item, PLAIN_MODE, Skipped, unreadable};
use crate::builder::ignore::{IgnoreRules, Trail};

/// Separate from the constants, so that tests reach them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub(super) entries_max: usize,
    pub(super) bytes_max: u64,
}

struct Scan<'a> {
    root: &'a Path,
    rules: &'a IgnoreRules,
    limits: Limits,
    bytes: u64,
    context: Context,
}

/// Lists what the rules leave of the folder `dir`, within the limits.
pub(super) fn scan(dir: &Path, rules: &IgnoreRules, limits: Limits) -> Result<Context, ContextError> {
    let mut scan = Scan { root: dir, rules, limits, bytes: 0, context: Context::default() };
    scan.folder(dir, "", &Trail::default())?;
    scan.context.skipped.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(scan.context)
}

impl Scan<'_> {
    fn folder(&mut self, dir: &Path, relative: &str, trail: &Trail) -> Result<(), ContextError> {
        for child in std::fs::read_dir(dir).map_err(|error| unreadable(dir, error))? {
            let child = child.map_err(|error| unreadable(dir, error))?;
            let name = child.file_name().into_string().map_err(|_| not_utf8(&child.path()))?;
            let relative = if relative.is_empty() { name } else { format!("{relative}/{name}") };
            self.child(&child, relative, trail)?;
        }
        Ok(())
    }

    fn child(&mut self, child: &DirEntry, relative: String, parent: &Trail) -> Result<(), ContextError> {
        let path = child.path();
        let (is_ignored, trail) = self.rules.judge(&relative, parent);
        let kind = child.file_type().map_err(|error| unreadable(&path, error))?;
        if kind.is_dir() {
            if is_ignored && !self.rules.may_hold_exceptions(&relative) {
                return Ok(());
            }
            if !is_ignored {
                self.add(Item::directory(relative.clone()))?;
            }
            return self.folder(&path, &relative, &trail);
        }
        if is_ignored {
            return Ok(());
        }
        let metadata = child.metadata().map_err(|error| unreadable(&path, error))?;
        if kind.is_symlink() {
            let target = std::fs::read_link(&path).map_err(|error| unreadable(&path, error))?;
            let target = target.into_os_string().into_string().map_err(|_| not_utf8(&path))?;
            self.add(Item::symlink(relative, target))
        } else if metadata.is_file() {
            self.file(path, relative, &metadata)
        } else {
            self.context.skipped.push(Skipped { path: relative, what: special_kind(&metadata) });
            Ok(())
        }
    }

    fn file(&mut self, path: PathBuf, relative: String, metadata: &Metadata) -> Result<(), ContextError> {
        self.bytes = self.bytes.saturating_add(metadata.len());
        if self.bytes > self.limits.bytes_max {
            return Err(ContextError::TooLarge { path, bytes_max: self.limits.bytes_max });
        }
        // The owner's bit, as in git: the others follow the umask.
        let mode = if metadata.mode() & 0o100 != 0 { EXECUTABLE_MODE } else { PLAIN_MODE };
        self.add(Item::file(relative, mode, metadata.len(), StampedFile::new(path, metadata)))
    }

    /// Adds an entry and, for what is in an ignored folder, the folders that lead to it.
    fn add(&mut self, item: Item) -> Result<(), ContextError> {
        let ends: Vec<usize> = item.entry.path.match_indices('/').map(|(at, _)| at).collect();
        for parent in ends.into_iter().rev().map(|end| item.entry.path[..end].to_owned()) {
            if self.context.items.contains_key(&parent) {
                break;
            }
            self.context.insert(Item::directory(parent));
        }
        self.context.insert(item);
        if self.context.items.len() > self.limits.entries_max {
            let path = self.root.to_owned();
            return Err(ContextError::TooManyEntries { path, entries_max: self.limits.entries_max });
        }
        Ok(())
    }
}

fn special_kind(metadata: &Metadata) -> &'static str {
    let kind = metadata.file_type();
    if kind.is_socket() {
        "socket"
    } else if kind.is_fifo() {
        "named pipe"
    } else {
        "device"
    }
}

fn not_utf8(path: &Path) -> ContextError {
    ContextError::NotUtf8 { path: path.to_owned() }
}
