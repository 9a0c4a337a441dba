//! What must hold whatever anybody sends: one module a target, each with a `check` that takes bytes and panics.
//!
//! A target makes a case of the bytes ([`Input`]), mostly by choosing from words that matter there, so that chance finds its
//! way past the first comma; then it compares what the code makes of the case with a rule that is written another way.
//!
//! `cargo fuzz` drives them through `fuzz_targets/`. `tests/fuzz.rs` includes this very file and drives them with the seeds
//! and some thousand inputs of a fixed seed, so that every run of the tests is a short one of the fuzzer, without nightly.

pub mod compression;
pub mod headers;
pub mod manifest;
pub mod negotiation;
pub mod proxy_header;
pub mod response;
pub mod routes;
pub mod target;

/// Makes a case of some bytes, and panics when a rule does not hold.
pub type Check = fn(&[u8]);

/// Every target, by the name of its seeds' folder.
pub const TARGETS: [(&str, Check); 8] = [
    ("compression", compression::check),
    ("headers", headers::check),
    ("manifest", manifest::check),
    ("negotiation", negotiation::check),
    ("proxy_header", proxy_header::check),
    ("response", response::check),
    ("routes", routes::check),
    ("target", target::check),
];

/// From here on a byte is itself, below it is a word.
const RAW: u8 = 224;

/// Bytes that decide what a case is; when they are used up, all further ones are 0.
pub struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    /// A case made of these bytes.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// Whether no byte is left.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The next byte.
    pub fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    /// A number below `end`.
    pub fn below(&mut self, end: usize) -> usize {
        usize::from(self.byte()) % end
    }

    /// One bit.
    pub fn flag(&mut self) -> bool {
        self.byte() & 1 == 1
    }

    /// So many bytes, or as many as there are.
    pub fn take(&mut self, count: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(count.min(self.0.len()));
        self.0 = rest;
        taken
    }

    /// One of several.
    pub fn pick<'t, T: ?Sized>(&mut self, all: &[&'t T]) -> &'t T {
        all[self.below(all.len())]
    }

    /// Up to `count_max` words, with a byte of the case's own among them now and then.
    pub fn words(&mut self, words: &[&str], count_max: usize) -> Vec<u8> {
        let mut out = Vec::new();
        for _ in 0..self.below(count_max + 1) {
            match self.byte() {
                RAW.. => out.push(self.byte()),
                word => out.extend_from_slice(words[usize::from(word) % words.len()].as_bytes()),
            }
        }
        out
    }

    /// The same as text; what is no UTF-8 is left out.
    pub fn text(&mut self, words: &[&str], count_max: usize) -> String {
        String::from_utf8_lossy(&self.words(words, count_max)).replace(char::REPLACEMENT_CHARACTER, "")
    }
}
