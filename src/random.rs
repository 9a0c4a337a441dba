//! Random bits, for ids and secrets.

/// 32 bits from the operating system's generator.
#[must_use]
pub fn bits() -> u32 {
    u32::from_ne_bytes(bytes())
}

/// As many bytes as are asked for, from the same generator.
#[must_use]
pub fn bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    rustls::crypto::ring::default_provider()
        .secure_random
        .fill(&mut bytes)
        .expect("the operating system's generator has no failure mode once it is seeded");
    bytes
}
