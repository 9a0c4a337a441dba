//! Kept certificates whose keys are in memory, ready for handshakes.
//!
//! A key is read and opened when its certificate is first asked for. At most [`LOADED_MAX`] stay; who was not asked for since
//! the queue last came by goes first (the clock algorithm). A handshake whose certificate is here takes no lock.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use arc_swap::ArcSwapOption;
use rustls::pki_types::CertificateDer;
use rustls::sign::CertifiedKey;

use super::Summary;

/// Chains with their keys, at 3 to 6 KiB each.
pub(super) const LOADED_MAX: usize = 4096;

/// A kept certificate.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) summary: Summary,
    /// Written by the shelf alone.
    certified: ArcSwapOption<CertifiedKey>,
    was_used: AtomicBool,
    /// It was tried, and no later try can have another outcome.
    is_broken: AtomicBool,
    /// The log has a line about it.
    was_reported: AtomicBool,
}

/// A chain and its key as they are on disk.
#[derive(Debug)]
pub(super) struct Sealed {
    pub(super) certificates: Vec<CertificateDer<'static>>,
    pub(super) key: Vec<u8>,
}

/// Bounds what is loaded.
#[derive(Debug)]
pub(super) struct Shelf {
    loaded: Mutex<VecDeque<Weak<Entry>>>,
    loaded_max: usize,
}

// === impl Entry ===

impl Entry {
    pub(super) fn new(summary: Summary) -> Self {
        Self {
            summary,
            certified: ArcSwapOption::empty(),
            was_used: AtomicBool::new(false),
            is_broken: AtomicBool::new(false),
            was_reported: AtomicBool::new(false),
        }
    }

    /// What a handshake needs, if it is loaded.
    pub(super) fn certified(&self) -> Option<Arc<CertifiedKey>> {
        let certified = self.certified.load_full()?;
        self.was_used.store(true, Ordering::Relaxed);
        Some(certified)
    }

    pub(super) fn is_broken(&self) -> bool {
        self.is_broken.load(Ordering::Relaxed)
    }

    pub(super) fn mark_broken(&self) {
        self.is_broken.store(true, Ordering::Relaxed);
    }

    /// Whether this is the first report.
    pub(super) fn report(&self) -> bool {
        !self.was_reported.swap(true, Ordering::Relaxed)
    }
}

// === impl Shelf ===

impl Shelf {
    pub(super) fn new(loaded_max: usize) -> Self {
        Self { loaded: Mutex::default(), loaded_max }
    }

    /// Keeps what was loaded for the entry, and lets go of another if there are too many.
    pub(super) fn keep(&self, entry: &Arc<Entry>, certified: Arc<CertifiedKey>) {
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        // Another handshake may have loaded it at the same time.
        if entry.certified.swap(Some(certified)).is_some() {
            return;
        }
        entry.was_used.store(true, Ordering::Relaxed);
        loaded.push_back(Arc::downgrade(entry));
        // Once around takes the marks away; so this ends, unless all are asked for again meanwhile.
        let mut spared_max = loaded.len();
        while loaded.len() > self.loaded_max {
            let Some(oldest) = loaded.pop_front() else { return };
            let Some(entry) = oldest.upgrade() else { continue };
            if spared_max > 0 && entry.was_used.swap(false, Ordering::Relaxed) {
                spared_max -= 1;
                loaded.push_back(oldest);
            } else {
                entry.certified.store(None);
            }
        }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.loaded.lock().unwrap().len()
    }
}
