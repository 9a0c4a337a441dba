//! Buffers for the heads of lines, used again and again by the same thread.

use std::cell::RefCell;

/// How many a thread keeps.
const KEPT_MAX: usize = 64;
/// A buffer that a long path has made larger is not kept.
const KEPT_BYTES_MAX: usize = 1024;
/// What most heads fit in.
const BYTES: usize = 256;

thread_local! {
    static KEPT: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

/// An empty buffer.
pub(super) fn take() -> Vec<u8> {
    KEPT.with_borrow_mut(Vec::pop).unwrap_or_else(|| Vec::with_capacity(BYTES))
}

/// Keeps the buffer for another line.
pub(super) fn give_back(mut buffer: Vec<u8>) {
    if (1..=KEPT_BYTES_MAX).contains(&buffer.capacity()) {
        buffer.clear();
        // A thread that ends keeps nothing.
        let _ = KEPT.try_with(|kept| {
            let mut kept = kept.borrow_mut();
            if kept.len() < KEPT_MAX {
                kept.push(buffer);
            }
        });
    }
}
