//! How many connections each client address holds, so that one client cannot take all there are.
//!
//! A client is what [`crate::traffic::client_bucket`] says it is: an IPv4 address, or an IPv6 /64. The counts lie in shards, each
//! behind a lock that is held for one look-up, once when a connection begins and once when it ends; requests do not come here.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use ipnet::IpNet;

use crate::traffic::client_bucket;

const SHARDS: usize = 16;

/// The connections of every client.
#[derive(Debug)]
pub(super) struct Clients {
    max: u32,
    unlimited: Vec<IpNet>,
    keys: RandomState,
    shards: [Mutex<HashMap<u128, u32>>; SHARDS],
}

/// One counted connection; dropping it uncounts.
#[derive(Debug)]
pub(super) struct Place(Option<(Arc<Clients>, u128)>);

impl Clients {
    /// Nobody yet; `max` each, but for those who are `unlimited`.
    pub(super) fn new(max: u32, unlimited: Vec<IpNet>) -> Arc<Self> {
        Arc::new(Self { max, unlimited, keys: RandomState::new(), shards: Default::default() })
    }

    /// Counts one more connection of a client; `None` when it has enough.
    pub(super) fn admit(self: &Arc<Self>, client: IpAddr) -> Option<Place> {
        if self.unlimited.iter().any(|net| net.contains(&client)) {
            return Some(Place(None));
        }
        let bucket = client_bucket(client);
        let mut shard = self.shard(bucket).lock().unwrap_or_else(PoisonError::into_inner);
        let count = shard.entry(bucket).or_default();
        if *count >= self.max {
            return None;
        }
        *count += 1;
        Some(Place(Some((Arc::clone(self), bucket))))
    }

    fn shard(&self, bucket: u128) -> &Mutex<HashMap<u128, u32>> {
        &self.shards[self.keys.hash_one(bucket) as usize % SHARDS]
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Some((clients, bucket)) = self.0.take() else { return };
        let mut shard = clients.shard(bucket).lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = shard.get_mut(&bucket) {
            *count -= 1;
            if *count == 0 {
                shard.remove(&bucket);
            }
        }
    }
}
