//! The reading side: a place in a journal, and what comes after it.
//!
//! A cursor holds one open file and a number. When the segment that it is in is dropped it goes on with the oldest one that
//! there is, and says how many lines it missed. Lines that are no longer readable are missed in the same way.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::sync::Arc;

use super::super::line::Line;
use super::Shelf;
use super::record::Decoder;
use super::segment::{Found, HEADER_BYTES, Next, Records, Segment};

/// A place in a journal.
pub(in crate::logs) struct Cursor {
    shelf: Arc<Shelf>,
    /// The segment that it is in, by the number of its first line.
    segment: u64,
    offset: u64,
    /// The number of the line that comes next.
    next: u64,
    file: Option<File>,
    decoder: Decoder,
}

/// What a cursor comes upon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::logs) enum Item {
    /// A line.
    Line(Line),
    /// So many lines that are gone.
    Missed(u64),
}

/// What was read at a time.
#[derive(Debug, Default)]
pub(in crate::logs) struct Chunk {
    /// Only what was wanted.
    pub(in crate::logs) items: Vec<Item>,
    /// Whether there is no more now.
    pub(in crate::logs) is_end: bool,
}

impl Cursor {
    /// After everything that is there.
    pub(in crate::logs) fn at_end(shelf: Arc<Shelf>) -> Self {
        let newest = shelf.state().segments.back().copied();
        match newest {
            Some(newest) => {
                Self { offset: newest.bytes, next: newest.first + newest.lines, ..Self::at(shelf, newest) }
            }
            None => Self::of_nothing(shelf),
        }
    }

    /// At the line of this number, or at the first one after it that is still there. Reads.
    pub(in crate::logs) fn at_number(shelf: Arc<Shelf>, number: u64) -> io::Result<Self> {
        let segments = shelf.state().segments.clone();
        let begin =
            segments.iter().rev().find(|segment| segment.first <= number).or(segments.front()).copied();
        let Some(segment) = begin else { return Ok(Self::of_nothing(shelf)) };
        let mut cursor = Self::at(shelf, segment);
        while cursor.next < number {
            let before = cursor.next;
            cursor.read_until(Some(number), u64::MAX, &|_| false)?;
            if cursor.next == before {
                break;
            }
        }
        Ok(cursor)
    }

    /// Before the first line that there ever was, whether it is there or not.
    #[cfg(test)]
    pub(super) fn before_all(shelf: Arc<Shelf>) -> Self {
        Self { segment: u64::MAX, next: 0, ..Self::of_nothing(shelf) }
    }

    /// Before the oldest line that can be as young as `since`, in nanoseconds since the Unix epoch.
    pub(in crate::logs) fn since(shelf: Arc<Shelf>, since: Option<u64>) -> Self {
        let segments = shelf.state().segments.clone();
        let first = segments.iter().rev().find(|segment| since.is_some_and(|since| segment.created <= since));
        match first.or(segments.front()) {
            Some(segment) => Self::at(shelf, *segment),
            None => Self::of_nothing(shelf),
        }
    }

    /// Before the last `count` wanted lines that can be as young as `since`; before all when there are fewer. Reads.
    pub(in crate::logs) fn before_last(
        shelf: &Arc<Shelf>,
        count: usize,
        since: Option<u64>,
        is_wanted: &dyn Fn(&Line) -> bool,
    ) -> io::Result<Self> {
        let mut cursor = Self::at_end(Arc::clone(shelf));
        let segments = shelf.state().segments.clone();
        let mut missing = count;
        for (at, segment) in segments.iter().enumerate().rev() {
            let follower = segments.get(at + 1);
            if missing == 0 || follower.zip(since).is_some_and(|(follower, since)| follower.created < since) {
                break;
            }
            let Ok(file) = File::open(shelf.path(segment.first)) else { break };
            let mut found = VecDeque::new();
            let mut decoder = Decoder::default();
            let mut records = Records::new(&file, &mut decoder, HEADER_BYTES, segment.bytes);
            let mut number = segment.first;
            loop {
                match records.next()? {
                    Next::Line(Found { line, offset }) => {
                        if is_wanted(&line) {
                            if found.len() == missing {
                                found.pop_front();
                            }
                            found.push_back((offset, number));
                        }
                        number += 1;
                    }
                    Next::Positions(_) => {}
                    Next::End(_) => break,
                }
            }
            missing -= found.len();
            if let Some((offset, next)) = found.front().copied() {
                cursor = Self { offset, next, ..Self::at(Arc::clone(shelf), *segment) };
            }
        }
        Ok(cursor)
    }

    /// Before the first line of a journal that has none.
    fn of_nothing(shelf: Arc<Shelf>) -> Self {
        let next = *shelf.end.borrow();
        Self { shelf, segment: next, offset: HEADER_BYTES, next, file: None, decoder: Decoder::default() }
    }

    fn at(shelf: Arc<Shelf>, segment: Segment) -> Self {
        Self {
            shelf,
            segment: segment.first,
            offset: HEADER_BYTES,
            next: segment.first,
            file: None,
            decoder: Decoder::default(),
        }
    }

    /// The number of the line that comes next.
    pub(in crate::logs) fn next(&self) -> u64 {
        self.next
    }

    /// How many lines there are from here on.
    pub(in crate::logs) fn behind(&self) -> u64 {
        self.shelf.end.borrow().saturating_sub(self.next)
    }

    /// Goes to the newest segment; how many lines that leaves out.
    pub(in crate::logs) fn skip_to_newest(&mut self) -> u64 {
        let newest = self.shelf.state().segments.back().copied();
        newest.map_or(0, |newest| self.go_to(newest))
    }

    /// Reads on, some `bytes_max`, and gives what is wanted of it. Blocks, but does not wait for lines.
    pub(in crate::logs) fn read(
        &mut self,
        bytes_max: u64,
        is_wanted: &dyn Fn(&Line) -> bool,
    ) -> io::Result<Chunk> {
        self.read_until(None, bytes_max, is_wanted)
    }

    /// As [`Self::read`], and not beyond the line of this number.
    fn read_until(
        &mut self,
        number: Option<u64>,
        bytes_max: u64,
        is_wanted: &dyn Fn(&Line) -> bool,
    ) -> io::Result<Chunk> {
        let mut chunk = Chunk::default();
        let (segment, follower) = {
            let state = self.shelf.state();
            let at = state.segments.iter().position(|segment| segment.first == self.segment);
            match at {
                Some(at) => (state.segments.get(at).copied(), state.segments.get(at + 1).copied()),
                None => (None, state.segments.iter().find(|segment| segment.first >= self.next).copied()),
            }
        };
        let Some(segment) = segment else {
            // Dropped, or nothing was ever there.
            chunk.is_end = follower.is_none();
            if let Some(follower) = follower {
                chunk.items.extend(Some(self.go_to(follower)).filter(|lines| *lines > 0).map(Item::Missed));
            }
            return Ok(chunk);
        };
        let mut is_all = true;
        if self.offset < segment.bytes {
            let path = self.shelf.path(segment.first);
            let file = match self.file.take() {
                Some(file) => file,
                None => match File::open(path) {
                    Ok(file) => file,
                    // Dropped since we looked: the next look finds the one after.
                    Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(chunk),
                    Err(error) => return Err(error),
                },
            };
            let mut records = Records::new(&file, &mut self.decoder, self.offset, segment.bytes);
            loop {
                if records.place() - self.offset >= bytes_max || number == Some(self.next) {
                    is_all = false;
                    break;
                }
                match records.next()? {
                    Next::Line(Found { line, .. }) => {
                        self.next += 1;
                        if is_wanted(&line) {
                            chunk.items.push(Item::Line(line));
                        }
                    }
                    Next::Positions(_) => {}
                    Next::End(_) => break,
                }
            }
            let place = records.place();
            // One that has less than it should may have been made anew in its place: looked for again then.
            self.file = (place > self.offset).then_some(file);
            self.offset = place;
        }
        if is_all {
            match follower {
                Some(follower) => {
                    chunk
                        .items
                        .extend(Some(self.go_to(follower)).filter(|lines| *lines > 0).map(Item::Missed));
                }
                None => chunk.is_end = true,
            }
        }
        Ok(chunk)
    }

    fn go_to(&mut self, segment: Segment) -> u64 {
        let missed = segment.first.saturating_sub(self.next);
        if segment.first != self.segment {
            (self.segment, self.offset, self.file) = (segment.first, HEADER_BYTES, None);
            self.next = segment.first;
        }
        missed
    }
}
