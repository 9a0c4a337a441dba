//! Randomness and hashing for choices: cheap, and no secret.

use std::cell::Cell;
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;

thread_local! {
    /// Each thread its own, so that no two wait for each other; never 0, which would stay 0.
    static STATE: Cell<u64> = Cell::new(RandomState::new().hash_one(0_u64) | 1);
}

/// 64 random bits (xorshift64, Marsaglia 2003, stirred). Good enough to choose by, guessable by whoever wants to.
pub(super) fn bits() -> u64 {
    STATE.with(|state| {
        let mut x = state.get();
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        state.set(x);
        mix(x)
    })
}

/// A random number below `limit`.
pub(super) fn below(limit: u32) -> u32 {
    scale(bits(), u64::from(limit)) as u32
}

/// Two different random numbers below `count`, which is at least 2.
pub(super) fn two_below(count: usize) -> (usize, usize) {
    let bits = bits();
    let first = scale(bits, count as u64) as usize;
    let second = scale(bits << 32, count as u64 - 1) as usize;
    (first, if second >= first { second + 1 } else { second })
}

/// Spreads a number over all 64 bits (the finaliser of splitmix64), the same way in every process.
pub(super) fn mix(number: u64) -> u64 {
    let mut z = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// A hash of some bytes (FNV-1a), the same in every process.
pub(super) fn hash_bytes(bytes: &[u8]) -> u64 {
    let hash = bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    mix(hash)
}

/// A hash of a client's address; of IPv6 the network alone, since a client changes the rest of it every day (RFC 8981).
pub(super) fn hash_ip(ip: IpAddr) -> u64 {
    match ip.to_canonical() {
        IpAddr::V4(ip) => mix(u64::from(ip.to_bits())),
        IpAddr::V6(ip) => mix((ip.to_bits() >> 64) as u64),
    }
}

/// The upper 32 of these bits, scaled to below `limit`.
fn scale(bits: u64, limit: u64) -> u64 {
    ((bits >> 32) * limit) >> 32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_are_different_and_each_pair_comes_as_often() {
        let mut counts = [0_u32; 16];
        for _ in 0..12_000 {
            let (first, second) = two_below(4);
            counts[first * 4 + second] += 1;
        }
        for (index, count) in counts.iter().enumerate() {
            // 1,000 expected, with a deviation of about 30.
            let expected = if index % 5 == 0 { 0..1 } else { 700..1_300 };
            assert!(expected.contains(count), "{index}: {count}");
        }
    }

    #[test]
    fn a_client_is_known_by_its_address_or_its_network() {
        let hash = |ip: &str| hash_ip(ip.parse().unwrap());
        assert_eq!(hash("10.0.0.1"), hash("::ffff:10.0.0.1"));
        assert_ne!(hash("10.0.0.1"), hash("10.0.0.2"));
        assert_eq!(hash("2001:db8::1"), hash("2001:db8::ffff:1"));
        assert_ne!(hash("2001:db8::1"), hash("2001:db8:0:1::1"));
    }
}
