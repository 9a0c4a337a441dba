//! The little of an ELF file that says how it is loaded: its loader, and the name it is linked by.
//!
//! Only what minipaas itself is built as: 64-bit, little-endian, the tables in the file's own order. A file that is no
//! such ELF is no error, since what a process maps may be anything.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

const MAGIC: &[u8] = b"\x7fELF\x02\x01\x01";
const HEADER_BYTES: usize = 64;
const SEGMENT_BYTES: usize = 56;
/// A real file has a dozen; the count is 16 bits wide.
const SEGMENTS_MAX: usize = 256;
/// Longest loader path or library name, and largest dynamic table that is read.
const NAME_BYTES_MAX: u64 = 4096;
const DYNAMIC_BYTES_MAX: u64 = 64 * 1024;

const SEGMENT_LOAD: u32 = 1;
const SEGMENT_DYNAMIC: u32 = 2;
const SEGMENT_INTERPRETER: u32 = 3;
const DYNAMIC_STRINGS: u64 = 5;
const DYNAMIC_SONAME: u64 = 14;

/// How an ELF file is loaded.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Elf {
    /// The loader it asks for; none in a static executable and in most libraries.
    pub(super) interpreter: Option<String>,
    /// The name others link to it by, which may differ from the file's.
    pub(super) soname: Option<String>,
}

#[derive(Debug)]
struct Segment {
    kind: u32,
    offset: u64,
    address: u64,
    bytes: u64,
}

impl Elf {
    /// Reads the file at `path`; `None` if it is no ELF file of this kind.
    pub(super) fn read(path: &Path) -> io::Result<Option<Elf>> {
        match parse(&File::open(path)?) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
            parsed => parsed,
        }
    }
}

fn parse(file: &File) -> io::Result<Option<Elf>> {
    let header = read_at(file, 0, HEADER_BYTES as u64)?;
    if !header.starts_with(MAGIC) {
        return Ok(None);
    }
    let table = u64_at(&header, 32);
    let (entry_bytes, entries) = (usize::from(u16_at(&header, 54)), usize::from(u16_at(&header, 56)));
    if entry_bytes != SEGMENT_BYTES || entries > SEGMENTS_MAX {
        return Ok(None);
    }
    let table = read_at(file, table, (entry_bytes * entries) as u64)?;
    let segments: Vec<Segment> = table.chunks_exact(SEGMENT_BYTES).map(Segment::parse).collect();
    let find = |kind| segments.iter().find(|segment| segment.kind == kind);

    let interpreter = match find(SEGMENT_INTERPRETER) {
        Some(segment) => Some(text(&read_at(file, segment.offset, segment.bytes.min(NAME_BYTES_MAX))?)),
        None => None,
    };
    let soname = match find(SEGMENT_DYNAMIC) {
        Some(segment) => soname(file, segment, &segments)?,
        None => None,
    };
    Ok(Some(Elf { interpreter, soname }))
}

fn soname(file: &File, dynamic: &Segment, segments: &[Segment]) -> io::Result<Option<String>> {
    let table = read_at(file, dynamic.offset, dynamic.bytes.min(DYNAMIC_BYTES_MAX))?;
    let find =
        |tag| table.chunks_exact(16).find(|entry| u64_at(entry, 0) == tag).map(|entry| u64_at(entry, 8));
    let (Some(strings), Some(name)) = (find(DYNAMIC_STRINGS), find(DYNAMIC_SONAME)) else {
        return Ok(None);
    };
    // The table holds addresses; the segment that is loaded there says where in the file that is.
    let address = strings.saturating_add(name);
    let holds = |segment: &&Segment| {
        segment.kind == SEGMENT_LOAD && (segment.address..segment.address + segment.bytes).contains(&address)
    };
    let Some(segment) = segments.iter().find(holds) else { return Ok(None) };
    let within = address - segment.address;
    let name = read_at(file, segment.offset + within, (segment.bytes - within).min(NAME_BYTES_MAX))?;
    Ok(Some(text(&name)))
}

impl Segment {
    fn parse(entry: &[u8]) -> Segment {
        let kind = u32::from_le_bytes(entry[..4].try_into().expect("4 bytes"));
        let (offset, address, bytes) = (u64_at(entry, 8), u64_at(entry, 16), u64_at(entry, 32));
        // A malformed size must not overflow what is computed from it.
        Segment { kind, offset, address, bytes: bytes.min(u64::MAX - address.max(offset)) }
    }
}

fn read_at(file: &File, offset: u64, bytes: u64) -> io::Result<Vec<u8>> {
    let mut content = vec![0; usize::try_from(bytes).expect("sizes read are bounded")];
    file.read_exact_at(&mut content, offset)?;
    Ok(content)
}

/// The text before the first NUL.
fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end]).into_owned()
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes(bytes[at..at + 2].try_into().expect("2 bytes"))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("8 bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_elf_file_is_none() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let path = dir.path().join("file");
        let garbage = [MAGIC, &[0xff; 200]].concat();
        for content in [&b""[..], b"#!/bin/sh", b"\x7fELF\x02\x01\x01", &garbage] {
            std::fs::write(&path, content).expect("a file");
            assert_eq!(Elf::read(&path).expect("a readable file"), None);
        }
    }
}
