//! Records as they lie in a segment.
//!
//! ```text
//! record   = length (u32) · CRC-32 of the body (u32) · body
//! body     = 1 · flags (u8: 1 standard error, 2 goes on in the next) · time (u64, ns) · speaker's length (u16) · speaker · text
//!          | 2 · positions
//! speaker  = source (u8) · release (u64, 0 for none) · process's length (u8) · process · instance, maybe none
//! position = instance's length (u8) · instance · 2 x (time (u64, ns) · count (u32)): standard output, standard error
//! ```
//!
//! Numbers are little-endian, texts UTF-8. Whatever is no such record, by its length, its sum or its parts, is the end of what
//! can be read of a segment.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use flate2::Crc;

use super::super::line::{Line, Source, Speaker, TEXT_BYTES_MAX};
use super::super::position::{Mark, Position};
use crate::name::{InstanceId, ReleaseId};

/// The longest body: the positions of some ten thousand instances; a line is far shorter.
pub(super) const BODY_BYTES_MAX: usize = 512 * 1024;
/// Length and sum.
pub(super) const FRAME_BYTES: usize = 8;
/// Instances whose positions a segment has at most.
pub(super) const POSITIONS_MAX: usize = 4096;
/// What a speaker has at most; names are far shorter.
const SPEAKER_BYTES_MAX: usize = 1024;
/// Speakers that a decoder remembers.
const SPEAKERS_KEPT_MAX: usize = 1024;
const LINE: u8 = 1;
const POSITIONS: u8 = 2;
const STDERR: u8 = 1;
const CUT: u8 = 2;

/// A record that was read.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Record {
    Line(Line),
    Positions(BTreeMap<InstanceId, Position>),
}

/// What is at the beginning of some bytes.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Read {
    /// A record of so many bytes.
    Record(Record, usize),
    /// The beginning of one, or nothing.
    Partial,
    /// No record.
    Broken,
}

/// Reads records, and has lines of one speaker share it.
#[derive(Debug, Default)]
pub(super) struct Decoder {
    speakers: HashMap<Vec<u8>, Arc<Speaker>>,
}

pub(super) fn write_line(to: &mut Vec<u8>, line: &Line) {
    debug_assert!(line.text.len() <= TEXT_BYTES_MAX, "whoever makes lines cuts them");
    frame(to, |body| {
        let flags = if line.is_stderr { STDERR } else { 0 } | if line.is_cut { CUT } else { 0 };
        body.extend_from_slice(&[LINE, flags]);
        body.extend_from_slice(&line.at.to_le_bytes());
        let speaker = &line.speaker;
        let process = &speaker.process.as_bytes()[..speaker.process.len().min(u8::MAX.into())];
        let instance = speaker.instance.as_ref().map_or("", InstanceId::as_str).as_bytes();
        let length = 1 + 8 + 1 + process.len() + instance.len();
        body.extend_from_slice(&u16::try_from(length).expect("names are short").to_le_bytes());
        body.push(source_number(speaker.source));
        body.extend_from_slice(&speaker.release.map_or(0, ReleaseId::number).to_le_bytes());
        body.push(u8::try_from(process.len()).expect("it was cut"));
        body.extend_from_slice(process);
        body.extend_from_slice(instance);
        body.extend_from_slice(line.text.as_bytes());
    });
}

pub(super) fn write_positions(to: &mut Vec<u8>, positions: &BTreeMap<InstanceId, Position>) {
    frame(to, |body| {
        body.push(POSITIONS);
        for (instance, position) in positions.iter().take(POSITIONS_MAX) {
            let instance = instance.as_str().as_bytes();
            body.push(u8::try_from(instance.len()).expect("an instance's id has eight digits"));
            body.extend_from_slice(instance);
            for mark in [position.stdout, position.stderr] {
                body.extend_from_slice(&mark.at.to_le_bytes());
                body.extend_from_slice(&mark.count.to_le_bytes());
            }
        }
    });
}

fn frame(to: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    let start = to.len();
    to.extend_from_slice(&[0; FRAME_BYTES]);
    write(to);
    let body = start + FRAME_BYTES;
    let length = u32::try_from(to.len() - body).expect("a body is below BODY_BYTES_MAX");
    let sum = sum(&to[body..]);
    to[start..start + 4].copy_from_slice(&length.to_le_bytes());
    to[start + 4..body].copy_from_slice(&sum.to_le_bytes());
}

fn sum(bytes: &[u8]) -> u32 {
    let mut crc = Crc::new();
    crc.update(bytes);
    crc.sum()
}

fn source_number(source: Source) -> u8 {
    match source {
        Source::App => 1,
        Source::Router => 2,
        Source::Build => 3,
        Source::Release => 4,
        Source::Platform => 5,
    }
}

impl Decoder {
    /// Reads the record that these bytes begin with.
    pub(super) fn read(&mut self, bytes: &[u8]) -> Read {
        let Some((frame, rest)) = bytes.split_first_chunk::<FRAME_BYTES>() else { return Read::Partial };
        let [a, b, c, d, e, f, g, h] = *frame;
        let length = usize::try_from(u32::from_le_bytes([a, b, c, d])).unwrap_or(usize::MAX);
        if length == 0 || length > BODY_BYTES_MAX {
            return Read::Broken;
        }
        let Some(body) = rest.get(..length) else { return Read::Partial };
        if sum(body) != u32::from_le_bytes([e, f, g, h]) {
            return Read::Broken;
        }
        match self.body(body) {
            Some(record) => Read::Record(record, FRAME_BYTES + length),
            None => Read::Broken,
        }
    }

    fn body(&mut self, body: &[u8]) -> Option<Record> {
        match body.split_first()? {
            (&LINE, rest) => self.line(rest).map(Record::Line),
            (&POSITIONS, rest) => positions(rest).map(Record::Positions),
            _ => None,
        }
    }

    fn line(&mut self, rest: &[u8]) -> Option<Line> {
        let (flags, rest) = rest.split_first()?;
        let (at, rest) = rest.split_first_chunk::<8>()?;
        let (length, rest) = rest.split_first_chunk::<2>()?;
        let length = usize::from(u16::from_le_bytes(*length));
        let (speaker, text) = (rest.get(..length).filter(|_| length <= SPEAKER_BYTES_MAX)?, &rest[length..]);
        let speaker = match self.speakers.get(speaker) {
            Some(known) => Arc::clone(known),
            None => {
                if self.speakers.len() >= SPEAKERS_KEPT_MAX {
                    self.speakers.clear();
                }
                let read = Arc::new(read_speaker(speaker)?);
                self.speakers.insert(speaker.to_vec(), Arc::clone(&read));
                read
            }
        };
        Some(Line {
            at: u64::from_le_bytes(*at),
            is_stderr: flags & STDERR != 0,
            is_cut: flags & CUT != 0,
            speaker,
            text: std::str::from_utf8(text).ok()?.to_owned(),
        })
    }
}

fn read_speaker(bytes: &[u8]) -> Option<Speaker> {
    let (number, rest) = bytes.split_first()?;
    let source = Source::ALL.into_iter().find(|source| source_number(*source) == *number)?;
    let (release, rest) = rest.split_first_chunk::<8>()?;
    let (length, rest) = rest.split_first()?;
    let process = std::str::from_utf8(rest.get(..usize::from(*length))?).ok()?.to_owned();
    let instance = std::str::from_utf8(&rest[usize::from(*length)..]).ok()?;
    Some(Speaker {
        source,
        process,
        release: ReleaseId::from_number(u64::from_le_bytes(*release)),
        instance: if instance.is_empty() { None } else { Some(instance.parse().ok()?) },
    })
}

fn positions(mut rest: &[u8]) -> Option<BTreeMap<InstanceId, Position>> {
    let mut positions = BTreeMap::new();
    while let Some((length, after)) = rest.split_first() {
        let instance = std::str::from_utf8(after.get(..usize::from(*length))?).ok()?.parse().ok()?;
        let (stdout, after) = mark(&after[usize::from(*length)..])?;
        let (stderr, after) = mark(after)?;
        positions.insert(instance, Position { stdout, stderr });
        rest = after;
    }
    Some(positions)
}

fn mark(bytes: &[u8]) -> Option<(Mark, &[u8])> {
    let (at, rest) = bytes.split_first_chunk::<8>()?;
    let (count, rest) = rest.split_first_chunk::<4>()?;
    Some((Mark { at: u64::from_le_bytes(*at), count: u32::from_le_bytes(*count) }, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str) -> Line {
        let speaker = Speaker {
            source: Source::App,
            process: "web.1".to_owned(),
            release: ReleaseId::from_number(3),
            instance: Some(InstanceId::from_bits(7)),
        };
        Line {
            at: 1_234_567_890,
            is_stderr: true,
            is_cut: false,
            speaker: Arc::new(speaker),
            text: text.to_owned(),
        }
    }

    #[test]
    fn what_was_written_is_read() {
        let positions = BTreeMap::from([(
            InstanceId::from_bits(7),
            Position { stdout: Mark { at: 5, count: 1 }, stderr: Mark { at: u64::MAX, count: 9 } },
        )]);
        let router = Line {
            speaker: Arc::new(Speaker::of_box(Source::Router, None)),
            is_stderr: false,
            is_cut: true,
            ..line("Grüße")
        };
        let mut bytes = Vec::new();
        write_positions(&mut bytes, &positions);
        write_line(&mut bytes, &line(""));
        write_line(&mut bytes, &router);
        let mut decoder = Decoder::default();
        for expected in [Record::Positions(positions), Record::Line(line("")), Record::Line(router)] {
            let Read::Record(record, length) = decoder.read(&bytes) else { panic!("no record") };
            assert_eq!(record, expected);
            bytes.drain(..length);
        }
        assert_eq!(decoder.read(&bytes), Read::Partial);
    }

    #[test]
    fn no_part_and_no_change_of_a_record_is_one() {
        let mut bytes = Vec::new();
        write_line(&mut bytes, &line("hello"));
        let mut decoder = Decoder::default();
        for end in 0..bytes.len() {
            assert_eq!(decoder.read(&bytes[..end]), Read::Partial, "cut at {end}");
        }
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 0x20;
            let read = decoder.read(&changed);
            assert!(!matches!(read, Read::Record(..)), "changed at {at}: {read:?}");
        }
        assert_eq!(decoder.read(&[0; 64]), Read::Broken, "a file may end in zeroes after a power cut");
    }
}
