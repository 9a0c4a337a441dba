//! Random bits for ids.

/// 32 bits from the operating system's generator.
#[must_use]
pub fn bits() -> u32 {
    let mut bytes = [0; 4];
    rustls::crypto::ring::default_provider()
        .secure_random
        .fill(&mut bytes)
        .expect("the operating system's generator has no failure mode once it is seeded");
    u32::from_ne_bytes(bytes)
}
