//! The writing side: batches of lines to the ends of files, within the budget.
//!
//! When there is no room, whether by the budget or because the disk says so, the oldest segment goes. What then still cannot
//! be written is lost, counted, and told in the stream as soon as there is room.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::sync::Arc;

use super::super::line::{Line, Source, Speaker};
use super::segment::{self, Segment, note};
use super::{Budget, Journal, Shelf, State, record};
use crate::clock;
use crate::name::{AppName, InstanceId};

/// Into how many segments a budget is cut: as much of it goes at a time.
const SEGMENTS: u64 = 16;
/// The smallest segment that is worth a file.
const SEGMENT_BYTES_MIN: u64 = 16 * 1024;
/// The largest: it is what the daemon reads at its start, for each app.
const SEGMENT_BYTES_MAX: u64 = 4 << 20;
/// Segments that go to make room on a disk that is full, for one batch.
const DROPS_MAX: usize = 4;

/// Lines that are written together.
#[derive(Debug)]
pub(in crate::logs) struct Batch {
    pub(in crate::logs) app: AppName,
    pub(in crate::logs) lines: Vec<Line>,
}

/// How bytes are appended; another one in tests.
type Append = fn(&mut File, &[u8]) -> io::Result<()>;

/// What writes the journals; there is one.
pub(in crate::logs) struct Disk {
    journal: Journal,
    budget: Budget,
    files: BTreeMap<AppName, File>,
    /// Lines that could not be written, by app.
    lost: BTreeMap<AppName, u64>,
    append: Append,
    /// Used again and again.
    buffer: Vec<u8>,
    is_counted: bool,
}

impl Disk {
    pub(in crate::logs) fn new(journal: Journal, budget: Budget) -> Self {
        Self {
            journal,
            budget,
            files: BTreeMap::new(),
            lost: BTreeMap::new(),
            append: |file, bytes| file.write_all(bytes),
            buffer: Vec::new(),
            is_counted: false,
        }
    }

    #[cfg(test)]
    pub(super) fn with_append(self, append: Append) -> Self {
        Self { append, ..self }
    }

    /// Writes lines, those of each app by their time. Blocks; whatever the disk does, it returns.
    pub(in crate::logs) fn write(&mut self, batches: Vec<Batch>) {
        let mut apps: BTreeMap<AppName, Vec<Line>> = BTreeMap::new();
        for Batch { app, lines } in batches {
            apps.entry(app).or_default().extend(lines);
        }
        for (app, mut lines) in apps {
            // Stable: lines of one instance stay in their order, if their times do not go back.
            lines.sort_by_key(|line| line.at);
            if let Err(error) = self.write_app(&app, &lines) {
                tracing::warn!(%app, %error, lines = lines.len(), "log lines are lost: they cannot be written");
                *self.lost.entry(app).or_default() += lines.len() as u64;
            }
        }
        self.keep_within_all();
    }

    /// Forgets how far an instance's log was read: it is gone.
    pub(in crate::logs) fn forget(&self, app: &AppName, instance: &InstanceId) {
        if let Ok(shelf) = self.journal.shelf(app) {
            shelf.state().positions.remove(instance);
        }
    }

    /// Removes everything of an app that is gone. Blocks.
    pub(in crate::logs) fn forget_app(&mut self, app: &AppName) {
        self.files.remove(app);
        self.lost.remove(app);
        let removed = self.journal.shelf(app).and_then(|shelf| shelf.clear());
        if let Err(error) = removed {
            tracing::warn!(%app, %error, "the log of an app that is gone cannot be removed");
        }
    }

    fn write_app(&mut self, app: &AppName, lines: &[Line]) -> io::Result<()> {
        let shelf = self.journal.shelf(app)?;
        let lost = self.lost.get(app).copied().unwrap_or(0);
        if lost > 0 {
            self.write_part(app, &shelf, &[lost_line(lost)])?;
            self.lost.remove(app);
        }
        let mut rest = lines;
        while !rest.is_empty() {
            let mut bytes = 0;
            let end = rest.iter().position(|line| {
                bytes += line.text.len() as u64;
                bytes > self.segment_bytes()
            });
            let (part, after) = rest.split_at(end.unwrap_or(rest.len()).max(1));
            if let Err(error) = self.write_part(app, &shelf, part) {
                *self.lost.entry(app.clone()).or_default() += after.len() as u64;
                return Err(error);
            }
            rest = after;
        }
        Ok(())
    }

    /// Writes what fits into a segment.
    fn write_part(&mut self, app: &AppName, shelf: &Shelf, lines: &[Line]) -> io::Result<()> {
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.clear();
        lines.iter().for_each(|line| record::write_line(&mut buffer, line));
        let mut result = self.append(app, shelf, &buffer);
        for _ in 0..DROPS_MAX {
            let is_full = result.as_ref().is_err_and(|error| {
                matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
            });
            if !is_full || !shelf.drop_oldest() {
                break;
            }
            tracing::warn!(%app, "the disk is full: the oldest log lines are dropped");
            result = self.append(app, shelf, &buffer);
        }
        if result.is_ok() {
            shelf.wrote(lines, buffer.len() as u64);
            shelf.keep_within(self.budget.app);
        }
        self.buffer = buffer;
        result
    }

    /// Appends to the newest segment, or to a new one when that has enough.
    fn append(&mut self, app: &AppName, shelf: &Shelf, bytes: &[u8]) -> io::Result<()> {
        let newest = shelf.newest();
        let segment_bytes = self.segment_bytes();
        let newest = newest.filter(|newest| newest.bytes + bytes.len() as u64 <= segment_bytes);
        let (segment, file) = match newest {
            Some(newest) if self.files.contains_key(app) => {
                (newest, self.files.get_mut(app).expect("it was just looked up"))
            }
            Some(newest) => {
                let file = OpenOptions::new().append(true).open(shelf.path(newest.first))?;
                (newest, self.files.entry(app.clone()).or_insert(file))
            }
            None => {
                self.files.remove(app);
                let (segment, file) = shelf.add_segment(self.append)?;
                (segment, self.files.entry(app.clone()).or_insert(file))
            }
        };
        let result = (self.append)(file, bytes);
        if result.is_err() {
            // A part of it may be there. What cannot even be cut off is not appended to any more.
            if file.set_len(segment.bytes).is_err() {
                self.files.remove(app);
                shelf.seal();
            }
        }
        result
    }

    fn segment_bytes(&self) -> u64 {
        (self.budget.app / SEGMENTS).clamp(SEGMENT_BYTES_MIN, SEGMENT_BYTES_MAX)
    }

    /// Drops the oldest segments of the box, whosever they are, as long as all have too much together.
    fn keep_within_all(&mut self) {
        if !self.is_counted {
            self.is_counted = true;
            // Those of apps that say nothing count, too.
            for app in self.journal.apps().unwrap_or_default() {
                if let Err(error) = self.journal.shelf(&app) {
                    tracing::warn!(%app, %error, "a log cannot be read");
                }
            }
        }
        let shelves: Vec<_> = self.journal.shelves().values().cloned().collect();
        let mut all: u64 = shelves.iter().map(|shelf| shelf.bytes()).sum();
        while all > self.budget.all {
            let oldest = shelves.iter().filter_map(|shelf| Some((shelf.oldest()?, shelf)));
            let Some((segment, shelf)) = oldest.min_by_key(|(segment, _)| segment.created) else { return };
            if !shelf.drop_oldest() {
                return;
            }
            all = all.saturating_sub(segment.bytes);
        }
    }
}

impl Shelf {
    /// Makes a new segment the newest.
    fn add_segment(&self, append: Append) -> io::Result<(Segment, File)> {
        fs::create_dir_all(&self.dir)?;
        let first = *self.end.borrow();
        let created = clock::nanos();
        let begin = segment::beginning(created, &self.state().positions);
        let path = self.path(first);
        let mut file = segment::create(&path)?;
        if let Err(error) = append(&mut file, &begin) {
            let _ = fs::remove_file(&path);
            return Err(error);
        }
        let segment = Segment { first, lines: 0, bytes: begin.len() as u64, created };
        let mut state = self.state();
        // One that has no line has the same number, and the same name.
        state.segments.retain(|old| old.first != first);
        state.segments.push_back(segment);
        state.is_sealed = false;
        Ok((segment, file))
    }

    /// Notes what was written, and tells the readers.
    fn wrote(&self, lines: &[Line], bytes: u64) {
        let mut state = self.state();
        let State { segments, positions, .. } = &mut *state;
        let newest = segments.back_mut().expect("it was written to");
        newest.lines += lines.len() as u64;
        newest.bytes += bytes;
        let end = newest.first + newest.lines;
        lines.iter().for_each(|line| note(positions, line));
        drop(state);
        self.end.send_replace(end);
    }

    /// Removes everything. Readers go on with what comes; the numbers go on, so that they miss nothing by it.
    fn clear(&self) -> io::Result<()> {
        let mut state = self.state();
        *state = State::default();
        drop(state);
        match fs::remove_dir_all(&self.dir) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// The newest, if it may be appended to.
    fn newest(&self) -> Option<Segment> {
        let state = self.state();
        state.segments.back().copied().filter(|_| !state.is_sealed)
    }

    /// Has the next line begin a new segment.
    fn seal(&self) {
        self.state().is_sealed = true;
    }

    fn keep_within(&self, budget: u64) {
        while self.bytes() > budget && self.drop_oldest() {}
    }

    fn bytes(&self) -> u64 {
        self.state().segments.iter().map(|segment| segment.bytes).sum()
    }

    /// The oldest of those that may go.
    fn oldest(&self) -> Option<Segment> {
        let state = self.state();
        state.segments.front().copied().filter(|_| state.segments.len() > 1)
    }

    /// Drops the oldest segment; false when only the newest is left.
    fn drop_oldest(&self) -> bool {
        let Some(oldest) = self.oldest() else { return false };
        let path = self.path(oldest.first);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!(path = %path.display(), %error, "an old log cannot be removed");
                false
            }
            _ => {
                self.state().segments.pop_front();
                true
            }
        }
    }
}

fn lost_line(lines: u64) -> Line {
    Line {
        at: clock::nanos(),
        is_stderr: true,
        is_cut: false,
        speaker: Arc::new(Speaker { process: "logs".to_owned(), ..Speaker::of_box(Source::Platform, None) }),
        text: format!("dropped {lines} lines: the disk was full"),
    }
}
