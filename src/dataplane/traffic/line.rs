//! Requests that wait for a place on an upstream whose policy lets in only so many.
//!
//! A line belongs to the upstreams of one process type of an app, whatever routes lead there. Whoever leaves an upstream while
//! somebody waits gives its place to the one who waits longest, already counted, so that nobody who comes later can take it.
//! Without a limit nobody ever waits, and a line costs the read of one number at the end of a request.
//!
//! That no wake-up is lost: a request stands in line first and looks for a place after, while one that ends uncounts first and
//! looks at the line after; whichever comes second sees the other (all of it is `SeqCst`).

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use super::upstream::InFlight;

/// Who waits, the longest first.
#[derive(Debug, Default)]
pub(super) struct Line {
    /// As long as `waiters`; read without the lock.
    length: AtomicUsize,
    tickets: AtomicU64,
    waiters: Mutex<VecDeque<Waiter>>,
}

/// Somebody who waits.
#[derive(Debug)]
pub(super) struct Waiter {
    ticket: u64,
    /// How many requests may be in flight on an upstream, with this one.
    pub(super) max: u32,
    pub(super) to: oneshot::Sender<InFlight>,
}

/// A place in line; dropping it gives it up.
#[derive(Debug)]
pub struct Place {
    line: Arc<Line>,
    ticket: u64,
    from: oneshot::Receiver<InFlight>,
}

// === impl Line ===

impl Line {
    /// Stands in line behind at most `length_max - 1` others; `None` when there are more. Look for an upstream once more after.
    pub(super) fn join(self: &Arc<Self>, max: u32, length_max: u32) -> Option<Place> {
        let mut waiters = self.lock();
        if waiters.len() >= length_max as usize {
            return None;
        }
        let ticket = self.tickets.fetch_add(1, Ordering::Relaxed);
        let (to, from) = oneshot::channel();
        waiters.push_back(Waiter { ticket, max, to });
        self.length.store(waiters.len(), Ordering::SeqCst);
        drop(waiters);
        Some(Place { line: Arc::clone(self), ticket, from })
    }

    /// How many wait.
    pub(super) fn len(&self) -> usize {
        self.length.load(Ordering::SeqCst)
    }

    pub(super) fn pop(&self) -> Option<Waiter> {
        let mut waiters = self.lock();
        let first = waiters.pop_front();
        self.length.store(waiters.len(), Ordering::SeqCst);
        first
    }

    /// Puts one who was popped in vain where it was.
    pub(super) fn put_back(&self, waiter: Waiter) {
        // It may have gone meanwhile, when it could not be found in here.
        if waiter.to.is_closed() {
            return;
        }
        let mut waiters = self.lock();
        waiters.push_front(waiter);
        self.length.store(waiters.len(), Ordering::SeqCst);
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Waiter>> {
        self.waiters.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Place ===

impl Place {
    /// Waits for its turn: a request that is counted already. Cancel-safe.
    pub async fn turn(&mut self) -> InFlight {
        match (&mut self.from).await {
            Ok(claim) => claim,
            // Whoever popped it has been dropped with it, which only the end of the process does.
            Err(_) => std::future::pending().await,
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // Closed before it is looked for, so that one who puts it back at this moment sees it.
        self.from.close();
        let mut waiters = self.line.lock();
        waiters.retain(|waiter| waiter.ticket != self.ticket);
        self.line.length.store(waiters.len(), Ordering::SeqCst);
        // A turn that came at the last moment is dropped with the receiver, and goes to the next one.
    }
}
