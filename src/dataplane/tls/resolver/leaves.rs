//! The local CA's certificates: signed when a host is first asked for, kept, and renewed in time.
//!
//! A known host costs a look into a map; a new one costs a signature as well (below 100 µs), made outside of the lock. Two
//! handshakes may therefore sign for one host at once; the first to come back wins, and both clients are served. The map is
//! bounded, since a wildcard route serves names without end: the oldest entry makes room, and costs one signature if it is
//! asked for again.

use std::collections::{HashMap, VecDeque};
use std::error::Error;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::SystemTime;

use crate::tls::ca::{CaError, Leaf, LocalCa};

/// Hosts whose certificate is kept, at about 1 KiB each.
const HOSTS_MAX: usize = 10_000;

/// What the CA has signed for hosts.
pub(super) struct Leaves {
    ca: Arc<LocalCa>,
    pub(super) clock: Box<dyn Fn() -> SystemTime + Send + Sync>,
    kept: Mutex<Kept>,
}

/// What is known so far, with the order in which hosts came in.
struct Kept {
    by_host: HashMap<String, Arc<Leaf>>,
    oldest_first: VecDeque<String>,
    hosts_max: usize,
}

// === impl Leaves ===

impl Leaves {
    pub(super) fn new(ca: Arc<LocalCa>) -> Self {
        let kept = Kept { by_host: HashMap::new(), oldest_first: VecDeque::new(), hosts_max: HOSTS_MAX };
        Self { ca, clock: Box::new(SystemTime::now), kept: Mutex::new(kept) }
    }

    /// The leaf kept for `host`, or a new one if there is none or its time runs out.
    pub(super) fn get(&self, host: &str) -> Result<Arc<Leaf>, CaError> {
        let now = (self.clock)();
        let kept = self.kept().by_host.get(host).cloned();
        if let Some(leaf) = kept.as_ref().filter(|leaf| leaf.is_fresh(now)) {
            return Ok(Arc::clone(leaf));
        }
        match self.ca.leaf_at(host, now) {
            Ok(leaf) => Ok(self.kept().insert(host, Arc::new(leaf), now)),
            // Renewal starts ten days early, so that a failure has time to be seen and mended.
            Err(error) => match kept.filter(|leaf| leaf.is_valid(now)) {
                Some(leaf) => {
                    tracing::warn!(host, error = &error as &dyn Error, "certificate not renewed");
                    Ok(leaf)
                }
                None => Err(error),
            },
        }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().expect("nothing panics while the map is locked")
    }
}

// === impl Kept ===

impl Kept {
    /// Keeps `leaf`, unless another handshake was faster; returns the one to use from now on.
    fn insert(&mut self, host: &str, leaf: Arc<Leaf>, now: SystemTime) -> Arc<Leaf> {
        if let Some(kept) = self.by_host.get_mut(host) {
            if !kept.is_fresh(now) {
                *kept = leaf;
            }
            return Arc::clone(kept);
        }
        while self.by_host.len() >= self.hosts_max {
            let Some(oldest) = self.oldest_first.pop_front() else { break };
            self.by_host.remove(&oldest);
        }
        self.oldest_first.push_back(host.to_owned());
        self.by_host.insert(host.to_owned(), Arc::clone(&leaf));
        leaf
    }
}

#[cfg(test)]
mod tests {
    use std::thread;
    use std::time::Duration;

    use super::*;

    const DAY: Duration = Duration::from_secs(24 * 60 * 60);

    fn leaves() -> Leaves {
        let dir = tempfile::tempdir().unwrap();
        Leaves::new(Arc::new(
            LocalCa::open_or_create(dir.path(), &crate::seal::BoxKey::new(&[7; 32]), &[]).unwrap(),
        ))
    }

    #[test]
    fn the_cache_is_bounded_and_forgets_the_oldest() {
        let leaves = leaves();
        leaves.kept().hosts_max = 3;
        let names = ["a.localhost", "b.localhost", "c.localhost", "d.localhost"];
        let got = names.map(|name| leaves.get(name).unwrap());
        assert_eq!(leaves.kept().by_host.len(), 3);
        assert_eq!(leaves.kept().oldest_first, ["b.localhost", "c.localhost", "d.localhost"]);
        assert!(Arc::ptr_eq(&got[3], &leaves.get(names[3]).unwrap()));
        assert!(!Arc::ptr_eq(&got[0], &leaves.get(names[0]).unwrap()));
        assert_eq!(leaves.kept().oldest_first.len(), 3);
    }

    #[test]
    fn of_two_handshakes_at_once_one_wins() {
        let leaves = leaves();
        let got: Vec<_> = thread::scope(|scope| {
            let ask = || leaves.get("blog.localhost").unwrap();
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(ask)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(got.iter().all(|leaf| Arc::ptr_eq(leaf, &got[0])));
        assert_eq!(leaves.kept().oldest_first.len(), 1);
    }

    #[test]
    fn a_clock_that_was_set_back_gets_a_certificate_that_is_valid_now() {
        let now = SystemTime::now();
        let mut leaves = leaves();
        leaves.clock = Box::new(move || now - DAY * 400);
        assert!(leaves.get("localhost").unwrap().is_valid(now - DAY * 400));
    }

    #[test]
    fn a_host_that_cannot_have_a_certificate_has_no_place() {
        let leaves = leaves();
        assert!(matches!(leaves.get("not a host"), Err(CaError::Host { .. })));
        assert!(leaves.kept().by_host.is_empty());
    }
}
