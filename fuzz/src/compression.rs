//! Compression: what a client unpacks is what the app sent, however it came.

use std::io::Read;

use bytes::Bytes;
use minipaas::policy::Encoding;
use minipaas::proxy::fuzzing;

use super::Input;

const PIECES_MAX: usize = 40;

pub fn check(data: &[u8]) {
    let mut input = Input::new(data);
    let encoding = [Encoding::Gzip, Encoding::Brotli, Encoding::Zstd][input.below(3)];
    let mut pieces = Vec::new();
    let mut expected: Vec<u8> = Vec::new();
    while !input.is_empty() && pieces.len() < PIECES_MAX {
        let piece = match input.below(6) {
            0 => None,
            1 => Some(Vec::new()),
            2 => Some(input.take(32).to_vec()),
            // Long runs, which are packed across pieces.
            3 => Some(vec![input.byte(); 64 * usize::from(input.byte())]),
            // What gets no smaller.
            4 => Some(noise(input.byte(), 32 * usize::from(input.byte()))),
            _ => Some(b"<p>text</p>".repeat(input.below(64))),
        };
        expected.extend(piece.iter().flatten());
        pieces.push(piece.map(Bytes::from));
    }
    let packed = fuzzing::compressed(encoding, pieces);
    let mut unpacked = Vec::new();
    let read = match encoding {
        Encoding::Gzip => flate2::read::GzDecoder::new(&*packed).read_to_end(&mut unpacked),
        Encoding::Brotli => brotli::Decompressor::new(&*packed, 4096).read_to_end(&mut unpacked),
        Encoding::Zstd => zstd::stream::read::Decoder::new(&*packed)
            .and_then(|mut decoder| decoder.read_to_end(&mut unpacked)),
    };
    read.expect("it can be unpacked");
    assert!(unpacked == expected, "{encoding:?}: {} bytes became {}", expected.len(), unpacked.len());
}

fn noise(seed: u8, length: usize) -> Vec<u8> {
    let mut state = u32::from(seed) + 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state as u8
    };
    (0..length).map(|_| next()).collect()
}
