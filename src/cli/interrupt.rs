//! Ctrl-C, as something to wait for.
//!
//! From [`Interrupts::listen`] on SIGINT no longer ends the process by itself: whoever runs a command waits for it and
//! decides. One that arrives while nobody waits is kept for the next one who does.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::failure::Failure;

/// The interrupts that are still to come.
#[derive(Debug)]
pub(crate) struct Interrupts {
    signal: Signal,
}

impl Interrupts {
    /// Takes the signal over. Must be called within a runtime.
    pub(crate) fn listen() -> io::Result<Self> {
        Ok(Self { signal: signal(SignalKind::interrupt())? })
    }

    /// Waits for the next one. Cancel-safe.
    pub(crate) async fn next(&mut self) {
        if self.signal.recv().await.is_none() {
            // The runtime delivers no more of them: as good as none being sent.
            std::future::pending::<()>().await;
        }
    }

    /// Does the work unless an interrupt comes first; the work is dropped then.
    pub(crate) async fn or<T>(
        &mut self,
        work: impl Future<Output = Result<T, Failure>>,
        interrupted: impl FnOnce() -> Failure,
    ) -> Result<T, Failure> {
        tokio::select! {
            biased;
            () = self.next() => Err(interrupted()),
            result = work => result,
        }
    }
}
