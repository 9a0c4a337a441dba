//! How much each client of a route has asked lately.
//!
//! A token bucket for each client, kept as one number (the generic cell rate algorithm): the moment at which the bucket will be
//! full again. A request moves it on by one interval; one that would move it further ahead than the burst allows is refused.
//! An IPv6 client is its /64, which is what a network hands to one household or machine.
//!
//! Clients are spread over shards, each behind a lock that is held for one look-up. A full shard forgets the client whose
//! bucket is the fullest, so an attacker with many addresses makes us forget those who asked least, never himself first.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::policy::RateLimit;

/// Clients that are remembered for one route: about 640 KiB.
const CLIENTS_MAX: usize = 10_000;
const SHARDS: usize = 16;

/// The buckets of one route's clients.
#[derive(Debug)]
pub struct RateLimiter {
    /// How long until one more request is allowed, in nanoseconds.
    interval: u64,
    /// How far ahead of now a bucket may be, in nanoseconds.
    tolerance: u64,
    since: Instant,
    keys: RandomState,
    shards: [Mutex<Shard>; SHARDS],
}

/// When the bucket of each client is full again, in nanoseconds after `since`.
type Shard = HashMap<u128, u64>;

impl RateLimiter {
    /// Full buckets for everybody.
    #[must_use]
    pub fn new(limit: RateLimit) -> Self {
        let interval = nanos(limit.per) / u64::from(limit.requests.max(1));
        Self {
            interval,
            tolerance: interval.saturating_mul(u64::from(limit.burst.max(1)) - 1),
            since: Instant::now(),
            keys: RandomState::new(),
            shards: Default::default(),
        }
    }

    /// Takes one request from a client's bucket.
    ///
    /// # Errors
    ///
    /// How long until there is one, when the bucket is empty.
    pub fn take(&self, client: IpAddr) -> Result<(), Duration> {
        let client = client_bucket(client);
        let now = nanos(self.since.elapsed());
        let shard = &self.shards[self.keys.hash_one(client) as usize % SHARDS];
        let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
        let full_at = shard.get(&client).map_or(now, |full_at| now.max(*full_at));
        let ahead = full_at - now;
        if ahead > self.tolerance {
            return Err(Duration::from_nanos(ahead - self.tolerance));
        }
        if shard.len() >= CLIENTS_MAX / SHARDS && !shard.contains_key(&client) {
            make_room(&mut shard, now);
        }
        shard.insert(client, full_at.saturating_add(self.interval));
        Ok(())
    }

    /// How many clients are remembered.
    #[must_use]
    pub fn clients(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().unwrap_or_else(PoisonError::into_inner).len()).sum()
    }
}

/// Forgets everybody whose bucket is full, or the one whose bucket is the fullest.
fn make_room(shard: &mut Shard, now: u64) {
    let before = shard.len();
    shard.retain(|_, full_at| *full_at > now);
    if shard.len() < before {
        return;
    }
    if let Some(fullest) = shard.iter().min_by_key(|(_, full_at)| **full_at).map(|(client, _)| *client) {
        shard.remove(&fullest);
    }
}

/// The client that an address belongs to: itself, or its /64.
#[must_use]
pub fn client_bucket(client: IpAddr) -> u128 {
    match client {
        // Below every /64 but ::/64, which is nobody's.
        IpAddr::V4(addr) => u128::from(addr.to_bits()),
        IpAddr::V6(addr) => addr.to_bits() >> 64 << 64,
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limiter(requests: u32, per: u64, burst: u32) -> RateLimiter {
        RateLimiter::new(RateLimit { requests, per: Duration::from_secs(per), burst })
    }

    fn taken(limiter: &RateLimiter, client: &str, tries: usize) -> usize {
        let client = client.parse().unwrap();
        (0..tries).filter(|_| limiter.take(client).is_ok()).count()
    }

    #[tokio::test(start_paused = true)]
    async fn a_burst_is_let_through_and_then_the_rate() {
        let limiter = limiter(10, 10, 3);
        assert_eq!(taken(&limiter, "10.0.0.1", 9), 3);
        assert_eq!(limiter.take("10.0.0.1".parse().unwrap()), Err(Duration::from_secs(1)));
        tokio::time::advance(Duration::from_secs(2)).await;
        assert_eq!(taken(&limiter, "10.0.0.1", 9), 2);
        tokio::time::advance(Duration::from_secs(60)).await;
        assert_eq!(taken(&limiter, "10.0.0.1", 9), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_is_an_address_or_a_64() {
        let limiter = limiter(1, 60, 1);
        assert_eq!(taken(&limiter, "10.0.0.1", 2), 1);
        assert_eq!(taken(&limiter, "10.0.0.2", 2), 1);
        assert_eq!(taken(&limiter, "2001:db8::1", 1), 1);
        assert_eq!(taken(&limiter, "2001:db8::ffff:2", 1), 0);
        assert_eq!(taken(&limiter, "2001:db8:0:1::1", 1), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn many_addresses_do_not_make_it_forget_the_worst() {
        let limiter = limiter(1, 3600, 2);
        assert_eq!(taken(&limiter, "10.0.0.1", 3), 2);
        for host in 0..50_000_u32 {
            let _ = limiter.take(IpAddr::from((0x0b00_0000 + host).to_be_bytes()));
        }
        assert!(limiter.clients() <= CLIENTS_MAX, "{}", limiter.clients());
        assert_eq!(taken(&limiter, "10.0.0.1", 1), 0);
    }
}
