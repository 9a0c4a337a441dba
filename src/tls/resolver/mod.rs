//! Which certificate a handshake gets: signed when a host is first asked for, kept, and renewed in time.
//!
//! rustls calls the resolver in the middle of a handshake, so it must not wait. A known host costs a look
//! into a map; a new one costs a signature as well (below 100 µs), made outside of the lock. Two handshakes
//! may therefore sign for one host at once; the first to come back wins, and both clients are served.
//!
//! Anybody can send any name. Only names that the routes serve get a certificate of their own; all others,
//! and clients that send none (those that dial an address), get the one of the default host, so that the
//! client's own message says which name it met. The map is bounded all the same, since a wildcard route
//! serves names without end: the oldest entry makes room, and costs one signature if it is asked for again.
//!
//! Not here: certificates of public CAs.

use std::collections::{HashMap, VecDeque};
use std::error::Error;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::SystemTime;

use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::ca::{CaError, Leaf, LocalCa};

/// Hosts whose certificate is kept, at about 1 KiB each.
const HOSTS_MAX: usize = 10_000;

type IsServed = dyn Fn(&str) -> bool + Send + Sync;
type Clock = dyn Fn() -> SystemTime + Send + Sync;

/// Chooses, signs and keeps the certificates of the box's hosts.
pub struct LeafResolver {
    ca: Arc<LocalCa>,
    default_host: String,
    is_served: Box<IsServed>,
    clock: Box<Clock>,
    leaves: Mutex<Leaves>,
}

/// What is known so far, with the order in which hosts came in.
struct Leaves {
    by_host: HashMap<String, Arc<Leaf>>,
    oldest_first: VecDeque<String>,
    hosts_max: usize,
}

impl LeafResolver {
    /// A resolver that signs with `ca` for the hosts for which `is_served` says true.
    ///
    /// `is_served` is asked in every handshake with a host in lower case without a trailing dot, so that a
    /// route that goes takes its certificate with it; it must not block. `default_host`, a DNS name or an IP
    /// address, is for clients that send no name or one that is not served; it is not asked about.
    ///
    /// # Errors
    ///
    /// If there cannot be a certificate for `default_host`.
    pub fn new(
        ca: Arc<LocalCa>,
        default_host: &str,
        is_served: impl Fn(&str) -> bool + Send + Sync + 'static,
    ) -> Result<Self, CaError> {
        let resolver = Self {
            ca,
            default_host: normalized(default_host),
            is_served: Box::new(is_served),
            clock: Box::new(SystemTime::now),
            leaves: Mutex::new(Leaves::new(HOSTS_MAX)),
        };
        resolver.leaf(&resolver.default_host)?;
        Ok(resolver)
    }

    /// Reads the time from `clock` instead of from the system.
    #[must_use]
    pub fn with_clock(mut self, clock: impl Fn() -> SystemTime + Send + Sync + 'static) -> Self {
        self.clock = Box::new(clock);
        self
    }

    /// The certificate for a client that asks for `server_name`, and `None` only if none can be signed.
    pub fn certified_key(&self, server_name: Option<&str>) -> Option<Arc<CertifiedKey>> {
        let asked = server_name.map(normalized).filter(|host| (self.is_served)(host));
        let host = asked.as_deref().unwrap_or(&self.default_host);
        match self.leaf(host) {
            Ok(leaf) => Some(Arc::clone(&leaf.certified)),
            Err(error) => {
                tracing::error!(host, error = &error as &dyn Error, "no certificate for host");
                None
            }
        }
    }

    /// The leaf kept for `host`, or a new one if there is none or its time runs out.
    fn leaf(&self, host: &str) -> Result<Arc<Leaf>, CaError> {
        let now = (self.clock)();
        let kept = self.leaves().by_host.get(host).cloned();
        if let Some(leaf) = kept.as_ref().filter(|leaf| leaf.is_fresh(now)) {
            return Ok(Arc::clone(leaf));
        }
        match self.ca.leaf_at(host, now) {
            Ok(leaf) => Ok(self.leaves().insert(host, Arc::new(leaf), now)),
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

    fn leaves(&self) -> MutexGuard<'_, Leaves> {
        self.leaves.lock().expect("nothing panics while the map is locked")
    }
}

impl ResolvesServerCert for LeafResolver {
    fn resolve(&self, client_hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.certified_key(client_hello.server_name())
    }
}

impl fmt::Debug for LeafResolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LeafResolver")
            .field("ca", &self.ca)
            .field("default_host", &self.default_host)
            .finish_non_exhaustive()
    }
}

impl Leaves {
    fn new(hosts_max: usize) -> Self {
        Self { by_host: HashMap::new(), oldest_first: VecDeque::new(), hosts_max }
    }

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

/// `host` as routes and certificates write it.
fn normalized(host: &str) -> String {
    host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase()
}

#[cfg(test)]
mod tests;
