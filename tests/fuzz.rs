//! A short run of every fuzz target: its seeds, what is left of them after a few changes, and random bytes.
//!
//! Stable and without nightly: the same inputs each time. `just fuzz` looks further.

use std::fs;
use std::panic::catch_unwind;
use std::path::Path;

#[path = "../fuzz/src/lib.rs"]
mod targets;

/// Random inputs of each kind for each target.
const INPUTS: u64 = 1_000;
const INPUT_BYTES_MAX: u64 = 200;

/// A generator whose numbers are the same on every machine (splitmix64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end as u64).expect("it is below a usize")
    }

    fn bytes(&mut self) -> Vec<u8> {
        let length = self.next() % (1 + self.next() % INPUT_BYTES_MAX);
        (0..length).map(|_| self.next() as u8).collect()
    }

    /// The bytes with some of them replaced, taken away, doubled or new.
    fn changed(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut bytes = bytes.to_vec();
        for _ in 0..=self.below(4) {
            let at = self.below(bytes.len() + 1);
            match self.below(4) {
                0 => bytes.insert(at, self.next() as u8),
                1 => drop(bytes.drain(..at)),
                2 => bytes.truncate(at),
                _ => {
                    if let Some(byte) = bytes.get_mut(at) {
                        *byte = self.next() as u8;
                    }
                }
            }
        }
        bytes
    }
}

fn run(name: &str) {
    let (_, check) =
        targets::TARGETS.iter().find(|(target, _)| *target == name).expect("there is such a target");
    let one = |input: &[u8]| {
        let outcome = catch_unwind(|| check(input));
        assert!(outcome.is_ok(), "`{name}` fails with {input:?}");
    };
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds").join(name);
    let mut paths: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let seeds: Vec<_> = paths.iter().map(|path| fs::read(path).unwrap()).collect();
    assert!(!seeds.is_empty(), "`{}` has no seeds", folder.display());
    one(&[]);
    seeds.iter().for_each(|seed| one(seed));
    let mut random = Random(name.len() as u64);
    for round in 0..INPUTS {
        one(&random.bytes());
        let seed = &seeds[usize::try_from(round).expect("it is small") % seeds.len()];
        one(&random.changed(seed));
    }
}

#[test]
fn what_a_client_unpacks_is_what_the_app_sent() {
    run("compression");
}

#[test]
fn headers_of_one_connection_end_there_and_ours_are_ours_alone() {
    run("headers");
}

#[test]
fn a_manifest_is_valid_or_its_problems_have_lines() {
    run("manifest");
}

#[test]
fn the_best_coding_for_a_client_is_chosen() {
    run("negotiation");
}

#[test]
fn a_proxy_header_is_read_to_its_end_and_no_further() {
    run("proxy_header");
}

#[test]
fn a_response_is_the_same_however_it_is_cut() {
    run("response");
}

#[test]
fn the_table_finds_what_looking_at_every_route_finds() {
    run("routes");
}

#[test]
fn no_target_leads_to_another_host() {
    run("target");
}
