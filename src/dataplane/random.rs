//! Random bits for ids and keys.

use std::sync::LazyLock;

use rustls::crypto::{SecureRandom, ring};

/// Kept, since a provider is made anew, with all its lists, whenever it is asked for.
static SYSTEM: LazyLock<&'static dyn SecureRandom> = LazyLock::new(|| ring::default_provider().secure_random);

/// 32 bits from the operating system's generator.
#[must_use]
pub fn bits() -> u32 {
    u32::from_ne_bytes(bytes())
}

/// So many bytes from the operating system's generator.
#[must_use]
pub fn bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    SYSTEM.fill(&mut bytes).expect("the operating system's generator has no failure mode once it is seeded");
    bytes
}
