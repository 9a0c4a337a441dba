//! What is kept of every app's stream, on disk.
//!
//! # Theory of operation
//!
//! An app's journal is a folder of segments (`segment`), files that are appended to until they have a sixteenth of the budget.
//! Lines are numbered from 0 for ever; a segment is named by its first one. One task writes (`disk`), any number
//! read at their own pace: what they read is the files, so that nobody who is slow costs memory or holds up anybody. Whoever is
//! so slow that a segment is gone knows by the numbers how many lines that were.
//!
//! A [`Shelf`] is what the writer and the readers of one app share: which segments there are and how far each is whole. It is
//! changed after the bytes are with the system, so that what it promises can be read.
//!
//! Nothing is flushed to the platter: `kill -9` loses what was not handed to the system yet, at most 100 ms; a power cut what
//! the system had not written. What an instance has written is read from the engine again then.

mod disk;
mod reader;
mod record;
mod segment;

use std::collections::{BTreeMap, VecDeque};
use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use self::segment::{Scanned, Segment};
use super::position::Position;
use crate::name::{AppName, InstanceId};

pub(super) use self::disk::{Batch, Disk};
pub(super) use self::reader::{Chunk, Cursor, Item};

/// What journals may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// Of one app, in bytes. Default 64 MiB.
    pub app: u64,
    /// Of all apps together, in bytes. Default 1 GiB.
    pub all: u64,
}

/// The journals of all apps; clones are handles on the same ones.
#[derive(Debug, Clone)]
pub(super) struct Journal(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// One folder for each app.
    root: PathBuf,
    shelves: Mutex<BTreeMap<AppName, Arc<Shelf>>>,
}

/// One app's journal.
#[derive(Debug)]
pub(super) struct Shelf {
    dir: PathBuf,
    state: Mutex<State>,
    /// The number that the next line gets; told after it was written.
    end: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct State {
    /// The oldest first; the last one is written to.
    segments: VecDeque<Segment>,
    positions: BTreeMap<InstanceId, Position>,
    /// Whether the newest segment has a torn end that could not be cut off.
    is_sealed: bool,
}

impl Default for Budget {
    fn default() -> Self {
        Self { app: 64 << 20, all: 1 << 30 }
    }
}

impl Journal {
    /// Those in this folder, which is made when something is written.
    pub(super) fn new(root: PathBuf) -> Self {
        Self(Arc::new(Inner { root, shelves: Mutex::default() }))
    }

    /// The app's, read from disk when it is first asked for. Blocks.
    pub(super) fn shelf(&self, app: &AppName) -> io::Result<Arc<Shelf>> {
        let mut shelves = self.shelves();
        if let Some(known) = shelves.get(app) {
            return Ok(Arc::clone(known));
        }
        let shelf = Arc::new(Shelf::load(self.dir(app))?);
        shelves.insert(app.clone(), Arc::clone(&shelf));
        Ok(shelf)
    }

    /// The app's folder, which may not be there.
    pub(super) fn dir(&self, app: &AppName) -> PathBuf {
        self.0.root.join(app.as_str())
    }

    /// Whether anything is kept of the app. Blocks.
    pub(super) fn has(&self, app: &AppName) -> bool {
        self.shelf(app).is_ok_and(|shelf| !shelf.state().segments.is_empty())
    }

    /// Every app that something is kept of. Blocks.
    fn apps(&self) -> io::Result<Vec<AppName>> {
        let entries = match fs::read_dir(&self.0.root) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        let names = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
        Ok(names.collect())
    }

    fn shelves(&self) -> MutexGuard<'_, BTreeMap<AppName, Arc<Shelf>>> {
        self.0.shelves.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shelf {
    fn load(dir: PathBuf) -> io::Result<Self> {
        let mut firsts = Vec::new();
        match fs::read_dir(&dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            entries => {
                for entry in entries? {
                    firsts.extend(entry?.file_name().to_str().and_then(segment::first_of));
                }
            }
        }
        firsts.sort_unstable();
        let mut segments = VecDeque::new();
        let mut positions = BTreeMap::new();
        for (at, first) in firsts.iter().enumerate() {
            let path = segment::path(&dir, *first);
            match firsts.get(at + 1) {
                Some(next) => segments.extend(sealed(&path, *first, *next)?),
                None => match segment::scan(&path, *first)? {
                    Some(Scanned { segment, positions: found }) => {
                        cut(&path, segment.bytes)?;
                        segments.push_back(segment);
                        positions = found;
                    }
                    // Made by a process that ended before it wrote the header: nothing is in it.
                    None => fs::remove_file(&path)?,
                },
            }
        }
        let end = segments.back().map_or(0, |last| last.first + last.lines);
        Ok(Self {
            dir,
            state: Mutex::new(State { segments, positions, is_sealed: false }),
            end: watch::Sender::new(end),
        })
    }

    /// How far an instance's log was read.
    pub(super) fn position(&self, instance: &InstanceId) -> Option<Position> {
        self.state().positions.get(instance).copied()
    }

    /// Hears of every line that is written.
    pub(super) fn end(&self) -> watch::Receiver<u64> {
        self.end.subscribe()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn path(&self, segment: u64) -> PathBuf {
        segment::path(&self.dir, segment)
    }
}

/// A segment that is not written to any more; `None` when it cannot be read.
fn sealed(path: &Path, first: u64, next: u64) -> io::Result<Option<Segment>> {
    let file = File::open(path)?;
    let bytes = file.metadata()?.len();
    Ok(segment::created(&file).map(|created| Segment { first, lines: next - first, bytes, created }))
}

/// Takes away what is not whole at the end.
fn cut(path: &Path, bytes: u64) -> io::Result<()> {
    let file = OpenOptions::new().write(true).open(path)?;
    let length = file.metadata()?.len();
    if length > bytes {
        tracing::info!(path = %path.display(), bytes = length - bytes, "a log's torn end was cut off");
        file.set_len(bytes)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
