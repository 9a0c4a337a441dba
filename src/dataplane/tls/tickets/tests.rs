//! Keys that age, on a clock of ours.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use super::*;

const HOUR: Duration = Duration::from_hours(1);

/// A clock in seconds since 1970 that a test sets.
#[derive(Clone)]
struct TestClock(Arc<AtomicU64>);

impl TestClock {
    fn new() -> Self {
        Self(Arc::new(AtomicU64::new(1_800_000_000)))
    }

    fn advance(&self, by: Duration) {
        self.0.fetch_add(by.as_secs(), Ordering::SeqCst);
    }

    fn open(&self, path: &Path, seal: u8) -> Tickets {
        let seconds = Arc::clone(&self.0);
        let now = move || UNIX_EPOCH + Duration::from_secs(seconds.load(Ordering::SeqCst));
        Tickets::open_at(path.to_owned(), BoxKey::new(&[seal; 32]), now)
    }
}

fn opened(tickets: &Tickets, ticket: &[u8]) -> Option<Vec<u8>> {
    tickets.decrypt(ticket)
}

#[test]
fn a_ticket_is_good_for_its_life_and_not_beyond_its_keys() {
    let (dir, clock) = (tempfile::tempdir().unwrap(), TestClock::new());
    let tickets = clock.open(&dir.path().join("tickets"), 1);
    let early = tickets.encrypt(b"early").unwrap();
    assert_eq!(opened(&tickets, &early).as_deref(), Some(&b"early"[..]));
    assert!(!early.windows(5).any(|window| window == b"early"));

    clock.advance(ROTATION - HOUR);
    let late = tickets.encrypt(b"late").unwrap();
    assert_eq!(early[..NAME_BYTES], late[..NAME_BYTES]);
    clock.advance(LIFE);
    let next = tickets.encrypt(b"next").unwrap();
    assert_ne!(next[..NAME_BYTES], late[..NAME_BYTES]);
    assert_eq!(opened(&tickets, &late).as_deref(), Some(&b"late"[..]));

    clock.advance(HOUR);
    assert_eq!(opened(&tickets, &early), None);
    assert_eq!(opened(&tickets, &late), None);
    assert_eq!(opened(&tickets, &next).as_deref(), Some(&b"next"[..]));
}

#[test]
fn keys_survive_a_restart_as_long_as_they_are_of_use() {
    let (dir, clock) = (tempfile::tempdir().unwrap(), TestClock::new());
    let path = dir.path().join("tickets");
    let ticket = clock.open(&path, 1).encrypt(b"session").unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);

    let again = clock.open(&path, 1);
    assert_eq!(opened(&again, &ticket).as_deref(), Some(&b"session"[..]));
    assert_eq!(again.encrypt(b"x").unwrap()[..NAME_BYTES], ticket[..NAME_BYTES]);

    clock.advance(ROTATION);
    let newer = clock.open(&path, 1);
    assert_ne!(newer.encrypt(b"x").unwrap()[..NAME_BYTES], ticket[..NAME_BYTES]);
    assert_eq!(opened(&newer, &ticket).as_deref(), Some(&b"session"[..]));
    assert_eq!(opened(&clock.open(&path, 1), &ticket).as_deref(), Some(&b"session"[..]));

    clock.advance(LIFE);
    assert_eq!(opened(&clock.open(&path, 1), &ticket), None);
    let kept = Kept { path, seal: BoxKey::new(&[1; 32]) }.read().unwrap();
    assert!(kept.iter().all(|key| key.name != ticket[..NAME_BYTES]), "an old key stays on disk");
}

#[test]
fn a_rotation_is_on_disk_at_once() {
    let (dir, clock) = (tempfile::tempdir().unwrap(), TestClock::new());
    let path = dir.path().join("tickets");
    let tickets = clock.open(&path, 1);
    clock.advance(ROTATION);
    let ticket = tickets.encrypt(b"session").unwrap();
    assert_eq!(opened(&clock.open(&path, 1), &ticket).as_deref(), Some(&b"session"[..]));
}

#[test]
fn foreign_and_damaged_keys_mean_new_ones() {
    let (dir, clock) = (tempfile::tempdir().unwrap(), TestClock::new());
    let path = dir.path().join("tickets");
    let ticket = clock.open(&path, 1).encrypt(b"session").unwrap();
    assert_eq!(opened(&clock.open(&path, 2), &ticket), None);
    for damaged in [&b""[..], b"short", &[0; 200]] {
        std::fs::write(&path, damaged).unwrap();
        let tickets = clock.open(&path, 1);
        assert!(tickets.encrypt(b"x").is_some());
        assert_eq!(opened(&tickets, &ticket), None);
    }
    let unwritable = clock.open(&dir.path().join("missing/tickets"), 1);
    let ticket = unwritable.encrypt(b"x").unwrap();
    assert_eq!(opened(&unwritable, &ticket).as_deref(), Some(&b"x"[..]));
}

#[test]
fn what_is_no_ticket_of_ours_opens_nothing() {
    let tickets = Tickets::in_memory();
    let ticket = tickets.encrypt(b"session").unwrap();
    assert_eq!(opened(&Tickets::in_memory(), &ticket), None);
    for at in [0, NAME_BYTES, ticket.len() - 1] {
        let mut changed = ticket.clone();
        changed[at] ^= 1;
        assert_eq!(opened(&tickets, &changed), None, "{at}");
    }
    for length in 0..ticket.len() {
        assert_eq!(opened(&tickets, &ticket[..length]), None);
    }
}

#[test]
fn a_clock_that_was_set_back_far_gives_new_keys() {
    let (dir, clock) = (tempfile::tempdir().unwrap(), TestClock::new());
    let path = dir.path().join("tickets");
    let ticket = clock.open(&path, 1).encrypt(b"session").unwrap();
    clock.0.fetch_sub(3_600, Ordering::SeqCst);
    assert_eq!(opened(&clock.open(&path, 1), &ticket), None);
}
