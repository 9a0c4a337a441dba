//! Follows the frames of a stream (RFC 9114, 7.1) before h3 sees them.
//!
//! h3 keeps every frame but DATA until it is complete, however long it says it is; takes an empty DATA frame for the end of the
//! body; and panics where a stream ends within a DATA frame. So frames that are too long are refused here, empty ones are left
//! out, and the end of a stream is known to be one.
//!
//! It changes nothing else, and knows no other type of frame.

use bytes::{Buf, Bytes};

/// The type of a DATA frame.
const DATA: u64 = 0;
/// The type of a control stream, the only one of one direction that has frames.
const CONTROL: u64 = 0;
/// Type and length of a frame, each a number of at most 8 bytes (RFC 9000, 16).
const HEAD_BYTES_MAX: usize = 16;

/// Where in its frames a stream is.
#[derive(Debug)]
pub(super) struct Frames {
    state: State,
    /// As much as there is of the type and length that are being read.
    head: [u8; HEAD_BYTES_MAX],
    filled: usize,
    /// Received, and not yet handed on.
    input: Bytes,
    /// How long a frame may be that is kept until it is complete.
    max: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// The type of a stream of one direction.
    Type,
    /// A frame's type and length.
    Head,
    /// So many bytes of a frame.
    Payload(u64),
    /// A stream without frames.
    Raw,
}

/// A rule of frames that was broken.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error("a frame of {length} bytes is longer than the limit of {max}")]
    TooLong { length: u64, max: u64 },
    #[error("the stream ended within a frame")]
    Cut,
}

impl Frames {
    /// Those of a request's stream.
    pub(super) fn of_request(max: u64) -> Self {
        Self { state: State::Head, head: [0; HEAD_BYTES_MAX], filled: 0, input: Bytes::new(), max }
    }

    /// Those of a stream of one direction, if it has any.
    pub(super) fn of_one_way(max: u64) -> Self {
        Self { state: State::Type, ..Self::of_request(max) }
    }

    /// Takes what was received; call when [`Self::next`] has no more.
    pub(super) fn feed(&mut self, input: Bytes) {
        debug_assert!(self.input.is_empty(), "what was received before was handed on");
        self.input = input;
    }

    /// The next piece, never an empty one; `None` when more has to be received.
    ///
    /// # Errors
    ///
    /// [`Error::TooLong`].
    pub(super) fn next(&mut self) -> Result<Option<Bytes>, Error> {
        while !self.input.is_empty() {
            match self.state {
                State::Raw => return Ok(Some(std::mem::take(&mut self.input))),
                State::Payload(left) => {
                    let count = usize::try_from(left).unwrap_or(usize::MAX).min(self.input.len());
                    let left = left - count as u64;
                    self.state = if left == 0 { State::Head } else { State::Payload(left) };
                    return Ok(Some(self.input.split_to(count)));
                }
                State::Type => {
                    if let Some((kind, _)) = number(self.push()) {
                        self.state = if kind == CONTROL { State::Head } else { State::Raw };
                        return Ok(Some(self.emit()));
                    }
                }
                State::Head => {
                    let head = self.push();
                    let Some((kind, rest)) = number(head) else { continue };
                    let Some((length, _)) = number(rest) else { continue };
                    if kind != DATA && length > self.max {
                        return Err(Error::TooLong { length, max: self.max });
                    }
                    if length > 0 {
                        self.state = State::Payload(length);
                    } else if kind == DATA {
                        self.filled = 0;
                        continue;
                    }
                    return Ok(Some(self.emit()));
                }
            }
        }
        Ok(None)
    }

    /// Hears that nothing more will be received.
    ///
    /// # Errors
    ///
    /// [`Error::Cut`].
    pub(super) fn end(&self) -> Result<(), Error> {
        let is_whole = self.filled == 0 && !matches!(self.state, State::Payload(_));
        if is_whole { Ok(()) } else { Err(Error::Cut) }
    }

    /// One more byte of the head.
    fn push(&mut self) -> &[u8] {
        self.head[self.filled] = self.input.get_u8();
        self.filled += 1;
        &self.head[..self.filled]
    }

    fn emit(&mut self) -> Bytes {
        let head = Bytes::copy_from_slice(&self.head[..self.filled]);
        self.filled = 0;
        head
    }
}

/// A number of variable length (RFC 9000, 16), and what follows it; `None` when it is not complete.
fn number(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let length = 1_usize << (bytes.first()? >> 6);
    let (number, rest) = bytes.split_at_checked(length)?;
    let value = number.iter().fold(0_u64, |value, byte| value << 8 | u64::from(*byte));
    // The first two bits are the length.
    Some((value & (u64::MAX >> (66 - 8 * length)), rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What comes out when the input arrives in pieces of this size.
    fn passed(mut frames: Frames, input: &[u8], size: usize) -> Result<Vec<u8>, Error> {
        let mut passed = Vec::new();
        for piece in input.chunks(size) {
            frames.feed(Bytes::copy_from_slice(piece));
            while let Some(piece) = frames.next()? {
                assert!(!piece.is_empty());
                passed.extend_from_slice(&piece);
            }
        }
        frames.end().map(|()| passed)
    }

    fn check(input: &[u8], expected: &[u8]) {
        for size in 1..=input.len() {
            assert_eq!(passed(Frames::of_request(100), input, size).unwrap(), expected, "in {size}s");
        }
    }

    #[test]
    fn frames_pass_as_they_are() {
        check(b"\x01\x03abc\x00\x05hello\x40\x21\x00", b"\x01\x03abc\x00\x05hello\x40\x21\x00");
        check(b"\x00\x40\x02hi\x01\x00", b"\x00\x40\x02hi\x01\x00");
    }

    #[test]
    fn empty_data_is_left_out() {
        check(b"\x01\x01a\x00\x00\x00\x00\x00\x01b\x00\x40\x00", b"\x01\x01a\x00\x01b");
    }

    #[test]
    fn data_may_be_long_and_nothing_else() {
        let data = [b"\x00\x40\x65".as_slice(), &[b'x'; 101]].concat();
        check(&data, &data);
        for head in [b"\x01\x40\x65".as_slice(), b"\x40\x21\xc0\x00\x00\x00\xff\xff\xff\xff"] {
            let error = passed(Frames::of_request(100), head, 1).unwrap_err();
            assert!(matches!(error, Error::TooLong { max: 100, .. }), "{error}");
        }
    }

    #[test]
    fn a_stream_ends_between_frames() {
        for input in [b"\x00".as_slice(), b"\x00\x05hell", b"\x01\x40"] {
            let error = passed(Frames::of_request(100), input, 1).unwrap_err();
            assert!(matches!(error, Error::Cut), "{error}");
        }
    }

    #[test]
    fn only_the_control_stream_has_frames_in_one_direction() {
        let long = [b"\x02\x01".as_slice(), &[0xff; 200]].concat();
        assert_eq!(passed(Frames::of_one_way(100), &long, 7).unwrap(), long);
        assert!(passed(Frames::of_one_way(100), b"\x00\x04\x40\x65", 1).is_err());
        assert_eq!(passed(Frames::of_one_way(100), b"\x00\x04\x00", 1).unwrap(), b"\x00\x04\x00");
    }

    #[test]
    fn numbers_have_four_lengths() {
        // RFC 9000, A.1.
        let check = |bytes: &[u8], expected| assert_eq!(number(bytes), Some((expected, [].as_slice())));
        check(b"\xc2\x19\x7c\x5e\xff\x14\xe8\x8c", 151_288_809_941_952_652);
        check(b"\x9d\x7f\x3e\x7d", 494_878_333);
        check(b"\x7b\xbd", 15_293);
        check(b"\x25", 37);
        assert_eq!(number(b"\x7b"), None);
        assert_eq!(number(b""), None);
    }
}
