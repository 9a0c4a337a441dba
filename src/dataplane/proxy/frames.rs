//! Where WebSocket frames end (RFC 6455, 5.2), found as the bytes pass.
//!
//! A close frame may be put between two frames of others, never inside one. [`Frames`] follows the headers of one direction
//! and tells where each frame ends, and whether a close frame has passed. It keeps no payload, checks nothing that the
//! endpoints check themselves, and does no I/O.

use super::request_id::RequestId;

/// An unmasked close frame, as a server sends it: FIN and opcode 8, two bytes, status 1001 "going away".
pub(super) const CLOSE_GOING_AWAY: [u8; 4] = [0x88, 0x02, 0x03, 0xe9];

const OPCODE_CLOSE: u8 = 0x8;
/// Two bytes, the extended length, the mask.
const HEADER_BYTES_MAX: usize = 2 + 8 + 4;

/// One direction of a WebSocket, as far as it has passed.
#[derive(Debug, Default)]
pub(super) struct Frames {
    header: [u8; HEADER_BYTES_MAX],
    header_count: usize,
    /// Of the frame whose header is complete.
    payload_left: Option<u64>,
    has_closed: bool,
}

impl Frames {
    /// Follows `bytes` to the end of the frame that they begin or continue, and returns where that is; `None` when the frame
    /// goes on after them.
    pub(super) fn next_boundary(&mut self, bytes: &[u8]) -> Option<usize> {
        let mut at = 0;
        let left = loop {
            if let Some(left) = self.payload_left {
                break left;
            }
            if let Some(length) = self.header_length()
                && length == self.header_count
            {
                break self.payload_length();
            }
            self.header[self.header_count] = *bytes.get(at)?;
            self.header_count += 1;
            at += 1;
        };
        let passing = left.min((bytes.len() - at) as u64);
        self.payload_left = Some(left - passing);
        if passing < left {
            return None;
        }
        self.has_closed |= self.header[0] & 0xf == OPCODE_CLOSE;
        self.payload_left = None;
        self.header_count = 0;
        // No more than what `bytes` holds, so it fits.
        Some(at + passing as usize)
    }

    /// Follows all of `bytes`.
    pub(super) fn follow(&mut self, mut bytes: &[u8]) {
        while let Some(boundary) = self.next_boundary(bytes) {
            bytes = &bytes[boundary..];
        }
    }

    /// Whether a frame of ours may come next: nothing has begun that is not complete, and nothing was closed.
    pub(super) fn takes_close(&self) -> bool {
        self.is_at_boundary() && !self.has_closed
    }

    /// Whether no frame has begun that is not complete.
    pub(super) fn is_at_boundary(&self) -> bool {
        self.header_count == 0
    }

    /// How long the header is, once its first two bytes tell.
    fn header_length(&self) -> Option<usize> {
        if self.header_count < 2 {
            return None;
        }
        let extended = match self.header[1] & 0x7f {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        let mask = if self.header[1] & 0x80 == 0 { 0 } else { 4 };
        Some(2 + extended + mask)
    }

    fn payload_length(&self) -> u64 {
        match self.header[1] & 0x7f {
            126 => u64::from(u16::from_be_bytes([self.header[2], self.header[3]])),
            127 => self.header[2..10].iter().fold(0, |length, byte| length << 8 | u64::from(*byte)),
            short => u64::from(short),
        }
    }
}

/// A masked close frame, as a client sends it: status 1001 "going away".
pub(super) fn masked_close(id: &RequestId) -> [u8; 8] {
    let [a, b, c, d] = id.mask();
    [0x88, 0x82, a, b, c, d, 0x03 ^ a, 0xe9 ^ b]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{CLOSE_GOING_AWAY, Frames};

    fn frame(opcode: u8, is_masked: bool, payload: usize) -> Vec<u8> {
        let mask = if is_masked { 0x80 } else { 0 };
        let mut bytes = vec![0x80 | opcode];
        match payload {
            0..126 => bytes.push(mask | payload as u8),
            126..0x1_0000 => {
                bytes.push(mask | 126);
                bytes.extend((payload as u16).to_be_bytes());
            }
            _ => {
                bytes.push(mask | 127);
                bytes.extend((payload as u64).to_be_bytes());
            }
        }
        if is_masked {
            bytes.extend([1, 2, 3, 4]);
        }
        bytes.resize(bytes.len() + payload, 0x88);
        bytes
    }

    /// Where frames end when the bytes come in these pieces.
    fn boundaries(pieces: &[&[u8]]) -> Vec<usize> {
        let (mut frames, mut offset, mut found) = (Frames::default(), 0, Vec::new());
        for piece in pieces {
            let mut at = 0;
            while let Some(boundary) = frames.next_boundary(&piece[at..]) {
                at += boundary;
                found.push(offset + at);
            }
            offset += piece.len();
        }
        found
    }

    #[test]
    fn a_frame_ends_where_its_header_says() {
        for (payload, is_masked, length) in [
            (0, false, 2),
            (0, true, 6),
            (125, false, 127),
            (126, false, 130),
            (126, true, 134),
            (65_535, false, 65_539),
            (65_536, false, 65_546),
            (65_536, true, 65_550),
        ] {
            let bytes = frame(2, is_masked, payload);
            assert_eq!(boundaries(&[&bytes]), [length], "payload {payload}, masked {is_masked}");
        }
    }

    #[test]
    fn a_close_frame_may_only_come_between_frames_and_once() {
        let mut frames = Frames::default();
        assert!(frames.takes_close());
        frames.follow(&frame(1, false, 5)[..4]);
        assert!(!frames.takes_close());
        frames.follow(&frame(1, false, 5)[4..]);
        assert!(frames.takes_close());
        frames.follow(&CLOSE_GOING_AWAY);
        assert!(frames.is_at_boundary() && !frames.takes_close());
    }

    proptest! {
        #[test]
        fn any_split_gives_the_same_boundaries(
            sizes in prop::collection::vec((0usize..300, any::<bool>(), 0u8..16), 1..12),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..20),
        ) {
            let mut stream = Vec::new();
            let mut expected = Vec::new();
            for (payload, is_masked, opcode) in sizes {
                stream.extend(frame(opcode, is_masked, payload));
                expected.push(stream.len());
            }
            let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(stream.len())).collect();
            cuts.extend([0, stream.len()]);
            cuts.sort_unstable();
            let pieces: Vec<&[u8]> = cuts.windows(2).map(|cut| &stream[cut[0]..cut[1]]).collect();
            prop_assert_eq!(boundaries(&pieces), expected);
        }
    }
}
