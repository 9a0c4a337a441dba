//! Chooses an upstream: which are in question, which of them is asked first, and who is asked when that one refuses.
//!
//! In question are, in this order: the well ones of the release that the request is for, the well ones of the other release,
//! and, when every one is ejected, all. The policy says which of them is asked first; when it refuses, because it drains or is
//! full since a moment ago, the others are asked in turn. Nothing is collected or sorted on the way.

use std::sync::atomic::Ordering;

use crate::name::InstanceId;
use crate::policy::Balance;
use crate::route::Canary;

use super::client::Client;
use super::health::FULL_SHARE;
use super::line::Place;
use super::sticky::STICKY_COOKIE;
use super::upstream::{InFlight, Upstream};
use super::{Found, random};

/// Why no upstream took a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// The route is paused: no upstream was asked.
    Paused,
    /// There is none, or each drains: then the table has changed since it was loaded.
    NotReady,
    /// Each has as many requests in flight as the route's policy lets it.
    Full,
}

/// Which release a request is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Group {
    is_canary: bool,
    /// Whether the client asked for it, by a cookie or a header.
    is_asked_for: bool,
}

/// One choice.
#[derive(Clone, Copy)]
struct Choice<'c> {
    found: Found<'c>,
    client: Client<'c>,
    except: Option<&'c InstanceId>,
    /// Which side of the canary is in question; `None`: both.
    is_canary: Option<bool>,
    /// Whether ejected upstreams are, too.
    with_ejected: bool,
}

impl Found<'_> {
    /// Counts a request on the upstream that the route's policy chooses.
    ///
    /// `except` is one that was just tried in vain.
    ///
    /// # Errors
    ///
    /// [`Refusal`] says why there is none.
    pub fn pick(&self, client: &Client<'_>, except: Option<&InstanceId>) -> Result<InFlight, Refusal> {
        if self.guards().is_paused {
            return Err(Refusal::Paused);
        }
        if let [only] = self.upstreams() {
            let is_wanted = except != Some(only.instance());
            return if is_wanted { self.claim(only) } else { Err(Refusal::NotReady) };
        }
        let choice = Choice { found: *self, client: *client, except, is_canary: None, with_ejected: false };
        let group = self.route.canary.as_ref().map(|canary| Group::of(canary, client));
        if self.policy().balance == Balance::Sticky
            && let Some(claim) = choice.former(group)
        {
            return Ok(claim);
        }
        let sides = match group {
            None => [Some(None), None],
            Some(Group { is_canary, .. }) => [Some(Some(is_canary)), Some(Some(!is_canary))],
        };
        let mut refusal = Refusal::NotReady;
        for with_ejected in [false, true] {
            for is_canary in sides.into_iter().flatten() {
                match (Choice { is_canary, with_ejected, ..choice }).claim() {
                    Ok(claim) => return Ok(claim),
                    Err(Refusal::Full) => refusal = Refusal::Full,
                    Err(_) => {}
                }
            }
        }
        Err(refusal)
    }

    /// Stands in line for an upstream that is full; `None` when the line is as long as the policy lets it.
    ///
    /// [`Self::pick`] once more after that: a place may have become free in between.
    #[must_use]
    pub fn join_line(&self) -> Option<Place> {
        let policy = self.policy();
        self.upstreams().first()?.line().join(policy.upstream_requests_max?, policy.queue.max)
    }

    fn claim(&self, upstream: &std::sync::Arc<Upstream>) -> Result<InFlight, Refusal> {
        match self.policy().upstream_requests_max {
            None => upstream.claim().ok_or(Refusal::NotReady),
            Some(max) => upstream.claim_below(max),
        }
    }
}

// === impl Group ===

impl Group {
    fn of(canary: &Canary, client: &Client<'_>) -> Self {
        let share = &canary.share;
        let told = share.cookie.as_deref().and_then(|name| client.cookies(name).next());
        if let Some(told) = told {
            return Self { is_canary: !matches!(told, "0" | "never"), is_asked_for: true };
        }
        let has_header = share.header.as_ref().is_some_and(|(name, wanted)| {
            let mut values = client.headers.get_all(name).into_iter();
            values.any(|value| wanted.as_ref().is_none_or(|wanted| wanted == value))
        });
        if has_header {
            return Self { is_canary: true, is_asked_for: true };
        }
        // Stirred once more: the same hash chooses among upstreams, and must not choose the same clients.
        let hundredth = random::mix(random::hash_ip(client.ip)) % 100;
        Self { is_canary: hundredth < u64::from(share.percent), is_asked_for: false }
    }
}

// === impl Choice ===

impl Choice<'_> {
    /// The upstream that the client had before, if its cookie says so; a canary that it asked for comes first.
    fn former(&self, group: Option<Group>) -> Option<InFlight> {
        let mut cookies = self.client.cookies(STICKY_COOKIE).peekable();
        cookies.peek()?;
        let asked_for = group.filter(|group| group.is_asked_for).map(|group| group.is_canary);
        let choice = Choice { is_canary: asked_for, ..*self };
        cookies.find_map(|cookie| {
            let index =
                self.found.upstreams().iter().position(|upstream| upstream.token().as_str() == cookie)?;
            if choice.fits(index) { self.found.claim(&self.found.upstreams()[index]).ok() } else { None }
        })
    }

    fn claim(&self) -> Result<InFlight, Refusal> {
        let upstreams = self.found.upstreams();
        let first = match self.found.policy().balance {
            Balance::Least | Balance::Sticky => self.less_busy(),
            Balance::RoundRobin => self.next(),
            Balance::ClientIp => self.of_client(),
        };
        if let Some(first) = first
            && let Ok(claim) = self.found.claim(&upstreams[first])
        {
            return Ok(claim);
        }
        // It drains, or is full, or none is left in question but full ones.
        let mut refusal = Refusal::NotReady;
        let start = if upstreams.is_empty() { 0 } else { random::below(upstreams.len() as u32) as usize };
        for index in (start..upstreams.len()).chain(0..start).filter(|index| self.is_in_question(*index)) {
            match self.found.claim(&upstreams[index]) {
                Ok(claim) => return Ok(claim),
                Err(Refusal::Full) => refusal = Refusal::Full,
                Err(_) => {}
            }
        }
        Err(refusal)
    }

    /// Of two at random the one with fewer requests in flight; of equals, which is the first of two random ones, either.
    fn less_busy(&self) -> Option<usize> {
        let upstreams = self.found.upstreams();
        if upstreams.len() < 2 {
            return None;
        }
        let (a, b) = random::two_below(upstreams.len());
        let (a, b) = if self.fits(a) && self.fits(b) {
            (a, b)
        } else {
            match self.count() {
                0 | 1 => return self.nth(0),
                count => {
                    let (a, b) = random::two_below(count);
                    (self.nth(a)?, self.nth(b)?)
                }
            }
        };
        let (less, more) = if upstreams[b].in_flight() < upstreams[a].in_flight() { (b, a) } else { (a, b) };
        Some(if self.passes_over(less) { more } else { less })
    }

    fn next(&self) -> Option<usize> {
        let count = self.count();
        if count == 0 {
            // Nobody's turn is used up.
            return None;
        }
        let turn = self.found.state().turn.fetch_add(1, Ordering::Relaxed);
        let index = self.nth(turn % count)?;
        if self.passes_over(index) { self.nth(turn.wrapping_add(1) % count) } else { Some(index) }
    }

    /// The upstream with the highest hash of client and instance: one that comes or goes moves only its own clients. One that
    /// starts slowly has first a few of its clients, then all.
    fn of_client(&self) -> Option<usize> {
        let client = random::hash_ip(self.client.ip);
        let weight = |index: &usize| random::mix(self.found.upstreams()[*index].seed() ^ client);
        let fitting = || (0..self.found.upstreams().len()).filter(|index| self.fits(*index));
        let is_open = |index: &usize| {
            let share = self.found.upstreams()[*index].share();
            share == FULL_SHARE || random::mix(weight(index)) % u64::from(FULL_SHARE) < u64::from(share)
        };
        fitting().filter(is_open).max_by_key(weight).or_else(|| fitting().max_by_key(weight))
    }

    /// Whether an upstream that starts slowly leaves this turn to another.
    fn passes_over(&self, index: usize) -> bool {
        let share = self.found.upstreams()[index].share();
        share < FULL_SHARE && !self.with_ejected && random::below(FULL_SHARE) >= share
    }

    fn count(&self) -> usize {
        (0..self.found.upstreams().len()).filter(|index| self.fits(*index)).count()
    }

    fn nth(&self, n: usize) -> Option<usize> {
        (0..self.found.upstreams().len()).filter(|index| self.fits(*index)).nth(n)
    }

    /// Whether the upstream is in question and has room.
    fn fits(&self, index: usize) -> bool {
        let has_room = |max: u32| self.found.upstreams()[index].in_flight() < max as usize;
        self.is_in_question(index) && self.found.policy().upstream_requests_max.is_none_or(has_room)
    }

    fn is_in_question(&self, index: usize) -> bool {
        let upstream = &self.found.upstreams()[index];
        let is_on_side = |is_canary: bool| {
            let release = self.found.route.upstreams[index].release;
            self.found.route.canary.as_ref().is_some_and(|canary| canary.release == release) == is_canary
        };
        (self.with_ejected || upstream.share() > 0)
            && self.except.is_none_or(|except| except != upstream.instance())
            && self.is_canary.is_none_or(is_on_side)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::net::{IpAddr, Ipv4Addr};
    use std::time::Duration;

    use http::HeaderMap;

    use super::super::tests::table;
    use super::super::{Outcome, Routes};
    use super::*;
    use crate::name::ReleaseId;
    use crate::policy::{Ejection, Policy};
    use crate::route::{RouteTable, Share};

    const SLOW_START: Duration = Duration::from_secs(10);

    /// Who gets each of so many requests, each of a client of its own, one after the other.
    fn tally(routes: &Routes, requests: u32) -> BTreeMap<u32, u32> {
        let mut tally = BTreeMap::new();
        for client in 0..requests {
            *tally.entry(number(&pick(routes, client).unwrap())).or_default() += 1;
        }
        tally
    }

    fn pick(routes: &Routes, client: u32) -> Result<InFlight, Refusal> {
        let ip = IpAddr::V4(Ipv4Addr::from_bits(0x0a00_0000 | client));
        routes
            .load()
            .find("blog.localhost", "/")
            .unwrap()
            .pick(&Client { ip, headers: &HeaderMap::new() }, None)
    }

    /// The number that the instance was made of.
    fn number(claim: &InFlight) -> u32 {
        (0..100).find(|bits| *claim.upstream().instance() == InstanceId::from_bits(*bits)).unwrap()
    }

    fn publish(routes: &Routes, instances: &[u32], balance: Balance, canary: Option<Canary>) {
        let ejection =
            Ejection { failures: 1, base: SLOW_START, slow_start: SLOW_START, ..Ejection::default() };
        let table = table(routes.load().table().generation() + 1, instances);
        let mut route = table.routes()[0].clone();
        route.policy = std::sync::Arc::new(Policy { balance, ejection, ..Policy::default() });
        if let Some(upstream) = route.upstreams.last_mut().filter(|_| canary.is_some()) {
            upstream.release = ReleaseId::FIRST.next();
        }
        route.canary = canary;
        routes.publish(RouteTable::new(table.generation(), vec![route]));
    }

    #[test]
    fn equals_get_the_same() {
        for balance in [Balance::Least, Balance::RoundRobin, Balance::ClientIp, Balance::Sticky] {
            let routes = Routes::new();
            publish(&routes, &[1, 2, 3, 4], balance, None);
            for (instance, count) in tally(&routes, 4_000) {
                // 1,000 expected, with a deviation of about 27.
                assert!((800..=1_200).contains(&count), "{balance:?}: {instance} got {count}");
            }
        }
    }

    #[test]
    fn an_instance_that_comes_or_goes_moves_only_its_own_clients() {
        let (all, without) = (Routes::new(), Routes::new());
        publish(&all, &[1, 2, 3, 4], Balance::ClientIp, None);
        publish(&without, &[1, 2, 4], Balance::ClientIp, None);
        for client in 0..1_000 {
            let before = number(&pick(&all, client).unwrap());
            let after = number(&pick(&without, client).unwrap());
            assert!(before == after || before == 3, "client {client} was moved from {before} to {after}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_is_new_among_others_starts_slowly() {
        for balance in [Balance::Least, Balance::RoundRobin, Balance::ClientIp] {
            let routes = Routes::new();
            publish(&routes, &[1], balance, None);
            publish(&routes, &[1, 2], balance, None);
            let mut shares = Vec::new();
            for _ in 0..3 {
                shares.push(tally(&routes, 2_000).get(&2).copied().unwrap_or_default());
                tokio::time::advance(SLOW_START / 2).await;
            }
            // 5 %, half and all of 1,000, with deviations below 25.
            let expected = [1..150, 350..650, 850..1_150];
            for (share, expected) in shares.iter().zip(&expected) {
                assert!(expected.contains(share), "{balance:?}: {shares:?}");
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_release_that_is_all_new_starts_at_once() {
        let routes = Routes::new();
        publish(&routes, &[1, 2], Balance::Least, None);
        publish(&routes, &[3, 4], Balance::Least, None);
        for (instance, count) in tally(&routes, 2_000) {
            assert!((800..=1_200).contains(&count), "{instance} got {count}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_ejected_one_gets_nothing_and_the_others_the_same() {
        for balance in [Balance::Least, Balance::RoundRobin] {
            let routes = Routes::new();
            publish(&routes, &[1, 2, 3, 4], balance, None);
            routes.upstream(&InstanceId::from_bits(2)).unwrap().report(Outcome::Broken);
            let tally = tally(&routes, 3_000);
            assert_eq!(tally.get(&2), None);
            for (instance, count) in tally {
                assert!((800..=1_200).contains(&count), "{balance:?}: {instance} got {count}");
            }
        }
    }

    #[test]
    fn a_canary_gets_its_percentage_of_clients_and_they_stay() {
        let release = ReleaseId::FIRST.next();
        let canary = |percent| Some(Canary { release, share: Share { percent, ..Share::default() } });
        let routes = Routes::new();
        let mut before = Vec::new();
        for percent in [10, 30] {
            publish(&routes, &[1, 2, 3], Balance::Least, canary(percent));
            let is_canary = |client| number(&pick(&routes, client).unwrap()) == 3;
            let clients: Vec<u32> = (0..2_000).filter(|client| is_canary(*client)).collect();
            // Of 2,000, with a deviation of about 20; the hash is the same every time.
            let expected = u32::from(percent) * 20;
            assert!((expected - 80..=expected + 80).contains(&(clients.len() as u32)), "{}", clients.len());
            assert!(before.iter().all(|client| clients.contains(client)), "a larger share keeps the smaller");
            before = clients;
        }
    }

    #[test]
    fn a_limit_is_never_exceeded() {
        let routes = Routes::new();
        publish(&routes, &[1, 2], Balance::Least, None);
        let mut route = routes.load().table().routes()[0].clone();
        std::sync::Arc::make_mut(&mut route.policy).upstream_requests_max = Some(2);
        routes.publish(RouteTable::new(9, vec![route]));
        let claims: Vec<_> = (0..4).map(|client| pick(&routes, client).unwrap()).collect();
        assert_eq!(pick(&routes, 5).unwrap_err(), Refusal::Full);
        drop(claims);
        assert!(pick(&routes, 5).is_ok());
    }
}
