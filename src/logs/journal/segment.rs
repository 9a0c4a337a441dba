//! One file of a journal: a header, then records, appended to and never changed.
//!
//! ```text
//! <number of its first line, 20 digits>.log = "MPLG" · version (1) · 3 x 0 · made at (u64, ns) · positions · lines…
//! ```
//!
//! The positions say how far each instance's log had been read when the file was made; its lines tell the rest. So the newest
//! file alone says where to go on, and what a crash cut off is read from the engine again.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use super::super::line::Line;
use super::super::position::Position;
use super::record::{self, BODY_BYTES_MAX, Decoder, FRAME_BYTES, Read, Record};
use crate::file::PRIVATE_MODE;
use crate::name::InstanceId;

const MAGIC: &[u8; 4] = b"MPLG";
const VERSION: u8 = 1;
/// Before the first record.
pub(super) const HEADER_BYTES: u64 = 16;
const EXTENSION: &str = "log";
/// What is read at a time; more than any record.
const READ_BYTES: usize = BODY_BYTES_MAX + FRAME_BYTES;

/// A file, and what is known of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Segment {
    /// The number of its first line.
    pub(super) first: u64,
    /// Lines that are whole.
    pub(super) lines: u64,
    /// Bytes up to the end of the last whole one.
    pub(super) bytes: u64,
    /// When it was made, in nanoseconds since the Unix epoch.
    pub(super) created: u64,
}

/// What the newest file tells.
#[derive(Debug)]
pub(super) struct Scanned {
    pub(super) segment: Segment,
    pub(super) positions: BTreeMap<InstanceId, Position>,
}

/// A line and where it is.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) line: Line,
    /// Where its record begins.
    pub(super) offset: u64,
}

/// Reads the records of a file between two places.
pub(super) struct Records<'f> {
    file: &'f File,
    decoder: &'f mut Decoder,
    buffer: Vec<u8>,
    /// What of the buffer was taken.
    taken: usize,
    /// Where the buffer begins.
    offset: u64,
    end: u64,
}

/// What comes next.
pub(super) enum Next {
    Line(Found),
    Positions(BTreeMap<InstanceId, Position>),
    /// Everything whole was read, up to here.
    End(u64),
}

pub(super) fn path(dir: &Path, first: u64) -> PathBuf {
    dir.join(format!("{first:020}.{EXTENSION}"))
}

/// The number of its first line, if this is a segment's name.
pub(super) fn first_of(name: &str) -> Option<u64> {
    name.strip_suffix(EXTENSION)?.strip_suffix('.').filter(|digits| digits.len() == 20)?.parse().ok()
}

/// What a new file begins with.
pub(super) fn beginning(created: u64, positions: &BTreeMap<InstanceId, Position>) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    bytes.extend_from_slice(&[VERSION, 0, 0, 0]);
    bytes.extend_from_slice(&created.to_le_bytes());
    record::write_positions(&mut bytes, positions);
    bytes
}

/// Makes an empty file in the place of whatever is there.
pub(super) fn create(path: &Path) -> io::Result<File> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    OpenOptions::new().append(true).create_new(true).mode(PRIVATE_MODE).open(path)
}

/// When the file was made; `None` when it is no segment of this version.
pub(super) fn created(file: &File) -> Option<u64> {
    let mut header = [0; HEADER_BYTES as usize];
    file.read_exact_at(&mut header, 0).ok()?;
    let (begin, created) = header.split_first_chunk::<8>()?;
    let is_ours = begin.starts_with(MAGIC) && begin[4] == VERSION;
    Some(u64::from_le_bytes(*created.first_chunk()?)).filter(|_| is_ours)
}

/// Reads a whole file; what is not whole at its end, or not readable, is not counted.
pub(super) fn scan(path: &Path, first: u64) -> io::Result<Option<Scanned>> {
    let file = File::open(path)?;
    let Some(created) = created(&file) else { return Ok(None) };
    let mut decoder = Decoder::default();
    let mut records = Records::new(&file, &mut decoder, HEADER_BYTES, file.metadata()?.len());
    let (mut lines, mut positions) = (0, BTreeMap::new());
    let bytes = loop {
        match records.next()? {
            Next::Positions(found) => positions = found,
            Next::Line(Found { line, .. }) => {
                lines += 1;
                note(&mut positions, &line);
            }
            Next::End(end) => break end,
        }
    };
    Ok(Some(Scanned { segment: Segment { first, lines, bytes, created }, positions }))
}

/// Notes a line that an instance wrote.
pub(super) fn note(positions: &mut BTreeMap<InstanceId, Position>, line: &Line) {
    let Some(instance) = &line.speaker.instance else { return };
    match positions.get_mut(instance) {
        Some(position) => position.note(line.is_stderr, line.at),
        None => {
            let mut position = Position::default();
            position.note(line.is_stderr, line.at);
            positions.insert(instance.clone(), position);
        }
    }
}

impl<'f> Records<'f> {
    pub(super) fn new(file: &'f File, decoder: &'f mut Decoder, start: u64, end: u64) -> Self {
        Self { file, decoder, buffer: Vec::new(), taken: 0, offset: start, end }
    }

    /// Where the next record begins.
    pub(super) fn place(&self) -> u64 {
        self.offset + self.taken as u64
    }

    pub(super) fn next(&mut self) -> io::Result<Next> {
        loop {
            let at = self.place();
            match self.decoder.read(&self.buffer[self.taken..]) {
                Read::Record(record, length) => {
                    self.taken += length;
                    return Ok(match record {
                        Record::Line(line) => Next::Line(Found { line, offset: at }),
                        Record::Positions(positions) => Next::Positions(positions),
                    });
                }
                Read::Broken => return Ok(Next::End(at)),
                Read::Partial if !self.fill(at)? => return Ok(Next::End(at)),
                Read::Partial => {}
            }
        }
    }

    /// Reads on from `at`; false when there is no more than there was.
    fn fill(&mut self, at: u64) -> io::Result<bool> {
        let had = self.buffer.len() - self.taken;
        let wanted = usize::try_from(self.end.saturating_sub(at)).unwrap_or(READ_BYTES).min(READ_BYTES);
        if wanted <= had {
            return Ok(false);
        }
        self.buffer.drain(..self.taken);
        (self.taken, self.offset) = (0, at);
        self.buffer.resize(wanted, 0);
        let mut length = had;
        while length < wanted {
            match self.file.read_at(&mut self.buffer[length..], at + length as u64) {
                Ok(0) => break,
                Ok(read) => length += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.buffer.truncate(length);
        Ok(length > had)
    }
}
