//! Which lines are written, and what becomes of those that are not.

use std::io;
use std::sync::mpsc;
use std::sync::{Arc, Mutex};

use super::{AccessLog, SHARD_BYTES_MAX, SHARDS};
use crate::metrics::Metrics;

/// A writer whose bytes can be looked at.
#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Vec<u8>>>);

impl io::Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A writer that says that it was called, and waits until it is told to go on.
struct Stuck(mpsc::Sender<()>, mpsc::Receiver<()>);

impl io::Write for Stuck {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let _ = self.0.send(());
        let _ = self.1.recv();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct Broken;

impl io::Write for Broken {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(io::ErrorKind::StorageFull.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn nothing_is_lost_at_the_end() {
    const LINES: usize = 20_000;
    let (shared, metrics) = (Shared::default(), Metrics::default());
    let log = AccessLog::to(shared.clone(), &metrics).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let log = &log;
            scope.spawn(move || {
                for number in 0..LINES / 4 {
                    log.append(|line| line.extend(format!("{thread} {number}\n").bytes()));
                }
            });
        }
    });
    log.finish().await;
    let text = String::from_utf8(shared.0.lock().unwrap().clone()).unwrap();
    let mut lines: Vec<_> = text.lines().collect();
    lines.sort_unstable();
    lines.dedup();
    assert_eq!(lines.len() as u64 + metrics.log_dropped().get(), LINES as u64);
    assert_eq!(metrics.log_dropped().get(), 0);
}

#[tokio::test]
async fn a_line_is_written_without_another_one() {
    let shared = Shared::default();
    let log = AccessLog::to(shared.clone(), &Metrics::default()).unwrap();
    log.append(|line| line.extend(b"alone\n"));
    while shared.0.lock().unwrap().is_empty() {
        tokio::task::yield_now().await;
    }
    assert_eq!(*shared.0.lock().unwrap(), b"alone\n");
    log.finish().await;
}

#[tokio::test]
async fn a_reader_that_takes_nothing_costs_lines_and_no_time() {
    let ((called, was_called), (go, gate)) = (mpsc::channel(), mpsc::channel());
    let metrics = Metrics::default();
    let log = AccessLog::to(Stuck(called, gate), &metrics).unwrap();
    log.append(|line| line.extend(b"first\n"));
    was_called.recv().unwrap();
    let large = [b'x'; SHARD_BYTES_MAX];
    for _ in 0..SHARDS + 1 {
        log.append(|line| line.extend_from_slice(&large));
    }
    assert!(metrics.log_dropped().get() > 0, "this thread's shard is full");
    drop(go);
    log.finish().await;
}

#[tokio::test]
async fn lines_that_cannot_be_written_are_counted() {
    let metrics = Metrics::default();
    let log = AccessLog::to(Broken, &metrics).unwrap();
    log.append(|line| line.extend(b"one\n"));
    log.append(|line| line.extend(b"two\n"));
    log.finish().await;
    assert_eq!(metrics.log_dropped().get(), 2);
    log.append(|line| line.extend(b"late\n"));
    assert_eq!(metrics.log_dropped().get(), 3);
}
