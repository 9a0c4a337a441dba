//! Chooses the upstream that gets a request, and waits for one where the route says so.
//!
//! A request looks in the newest table. Three things may make it wait for another one: the route is held, because an instance
//! is about to be ready; it is paused by an operator; every upstream has as many requests as its policy lets it. Each wait has
//! a limit of its own, and how many may wait is bounded: for the first two by the proxy, for the third by the route's queue.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use http::header::SET_COOKIE;
use http::{HeaderMap, HeaderValue, StatusCode};
use tokio::time::{Instant, sleep_until};

use super::Proxy;
use super::error::Error;
use crate::policy::{Balance, Protocol, Timeouts};
use crate::route::{Mode, Route};
use crate::traffic::{Client, Found, InFlight, Outcome, Place, Refusal, STICKY_COOKIE, Upstream};

/// An upstream that took a request, and what its route says about the request.
#[derive(Debug)]
pub(super) struct Claim {
    pub guard: InFlight,
    /// How many bytes are taken off the path.
    pub strip: usize,
    /// How long its route waits.
    pub timeouts: Timeouts,
    /// How often the request may be sent again.
    pub retries: u32,
    /// What is spoken with the upstream.
    pub protocol: Protocol,
    /// What makes the client come back to this upstream, unless it does already.
    cookie: Option<HeaderValue>,
}

/// Where a request was going and where it came from, to look again.
#[derive(Debug, Clone, Copy)]
pub(super) struct Address<'r> {
    pub host: &'r str,
    pub path: &'r str,
    pub client: IpAddr,
    pub is_tls: bool,
}

/// For how long a request waits, and what it is told after.
struct Wait {
    limit: Duration,
    expired: Error,
}

// === impl Claim ===

impl Claim {
    /// Counts the request on one of a route's upstreams.
    pub(super) fn of(
        found: Found<'_>,
        to: Address<'_>,
        headers: &HeaderMap,
        except: Option<&Upstream>,
    ) -> Result<Self, Refusal> {
        let guard = found.pick(&to.client(headers), except.map(Upstream::instance))?;
        Ok(Self::with(guard, found, to, headers))
    }

    fn with(guard: InFlight, found: Found<'_>, to: Address<'_>, headers: &HeaderMap) -> Self {
        let policy = found.policy();
        if policy.retries > 0 {
            found.state().budget().count();
        }
        let cookie = if policy.balance == Balance::Sticky {
            let token = guard.upstream().token();
            let is_known = to.client(headers).cookies(STICKY_COOKIE).any(|cookie| cookie == token.as_str());
            (!is_known).then(|| token.set_cookie(&found.route.path, to.is_tls))
        } else {
            None
        };
        Self {
            guard,
            strip: stripped(found),
            timeouts: policy.timeouts,
            retries: policy.retries,
            protocol: policy.protocol,
            cookie,
        }
    }

    /// Notes the response, and tells the client where to come back to.
    pub(super) fn answered(self, status: StatusCode, headers: &mut HeaderMap) -> InFlight {
        let Self { mut guard, cookie, .. } = self;
        guard.note(Outcome::of_status(status));
        if let Some(cookie) = cookie {
            headers.append(SET_COOKIE, cookie);
        }
        guard
    }

    /// Notes that there was no response, and uncounts the request.
    pub(super) fn failed(mut self, error: &Error) -> Arc<Upstream> {
        if let Some(outcome) = error.outcome() {
            self.guard.note(outcome);
        }
        Arc::clone(self.guard.upstream())
    }
}

// === impl Address ===

impl Address<'_> {
    fn client<'h>(&self, headers: &'h HeaderMap) -> Client<'h> {
        Client { ip: self.client, headers }
    }
}

// === impl Wait ===

impl Wait {
    /// What a request of this route waits for.
    fn of(route: &Route, refusal: Refusal, hold: Duration) -> Result<Self, Error> {
        match (refusal, &route.mode) {
            (Refusal::Full, _) => Ok(Self { limit: route.policy.queue.wait, expired: Error::QueueExpired }),
            (Refusal::Paused, Mode::Paused { wait }) => {
                Ok(Self { limit: *wait, expired: Error::PauseExpired })
            }
            _ if route.is_held => Ok(Self { limit: hold, expired: Error::HoldExpired }),
            _ if route.is_scaled_to_zero => Err(Error::ScaledToZero),
            _ => Err(Error::NotReady),
        }
    }
}

impl Proxy {
    /// Claims an upstream from the newest table, waiting where the route says so.
    ///
    /// A retry, which has an upstream that it does not want, stands in no queue.
    ///
    /// # Errors
    ///
    /// [`Error::NoRoute`], [`Error::NotReady`]; [`Error::HoldFull`] and [`Error::QueueFull`] when too many wait;
    /// [`Error::HoldExpired`], [`Error::PauseExpired`] and [`Error::QueueExpired`] when the wait was in vain.
    pub(super) async fn claim_again(
        &self,
        to: Address<'_>,
        headers: &HeaderMap,
        except: Option<&Upstream>,
    ) -> Result<Claim, Error> {
        let inner = &*self.0;
        let mut tables = inner.routes.subscribe();
        let since = Instant::now();
        let mut held = None;
        let mut place: Option<Place> = None;
        loop {
            let live = Arc::clone(&tables.borrow_and_update());
            let found = live.find(to.host, to.path).ok_or(Error::NoRoute)?;
            let refusal = match Claim::of(found, to, headers, except) {
                Ok(claim) => return Ok(claim),
                Err(refusal) => refusal,
            };
            // Whoever drains was taken out of the table before: there is a newer one than that just read.
            if matches!(tables.has_changed(), Ok(true)) {
                continue;
            }
            let wait = Wait::of(found.route, refusal, inner.config.timeouts.hold)?;
            if refusal != Refusal::Full {
                place = None;
                if held.is_none() {
                    held = Some(inner.held.try_acquire().map_err(|_| Error::HoldFull)?);
                }
            } else if place.is_none() {
                held = None;
                let joined = found.join_line().filter(|_| except.is_none());
                place = Some(joined.ok_or(Error::QueueFull)?);
                // Now that it would be told, it looks again for what became free in between.
                continue;
            }
            let turn = async {
                match &mut place {
                    Some(place) => place.turn().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                guard = turn => return Ok(Claim::with(guard, found, to, headers)),
                changed = tables.changed() => changed.expect("the proxy itself holds the sending half"),
                () = sleep_until(since + wait.limit) => return Err(wait.expired),
            }
        }
    }

    /// Claims an upstream for a request that failed on `first`; `None` when it is not to be sent again.
    ///
    /// `was_seen` says that `first` may have got the request, and that it may get it twice.
    pub(super) async fn claim_retry(
        &self,
        to: Address<'_>,
        headers: &HeaderMap,
        first: &Arc<Upstream>,
        was_seen: bool,
    ) -> Option<Claim> {
        let live = self.0.routes.load();
        let found = live.find(to.host, to.path)?;
        if !found.state().budget().withdraw() {
            return None;
        }
        match self.claim_again(to, headers, Some(first)).await {
            Ok(claim) => Some(claim),
            // A kept connection may have died of age while the only instance is well.
            Err(_) if was_seen => Some(Claim::with(first.claim()?, found, to, headers)),
            Err(_) => None,
        }
    }
}

fn stripped(found: Found<'_>) -> usize {
    // A plain route strips nothing, and is not looked at for that.
    if found.guards().is_plain || !found.route.strip_prefix {
        return 0;
    }
    let prefix = found.route.path.as_str();
    if prefix == "/" { 0 } else { prefix.len() }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::time::Duration;

    use http::HeaderMap;

    use super::{Address, Mode, Route};
    use crate::name::{InstanceId, PathPrefix, ProcessType, ReleaseId, Slot};
    use crate::proxy::{Proxy, ProxyConfig};
    use crate::route::{RouteTable, Upstream};
    use crate::traffic::Routes;

    const HOST: &str = "blog.localhost";

    fn table(generation: u64, instance: &InstanceId) -> RouteTable {
        let upstream = Upstream {
            instance: instance.clone(),
            slot: Slot { process: ProcessType::web(), number: 1 },
            release: ReleaseId::FIRST,
            addr: (Ipv4Addr::LOCALHOST, 1).into(),
        };
        let route = Route {
            app: "blog".parse().unwrap(),
            process: ProcessType::web(),
            host: HOST.parse().unwrap(),
            path: PathPrefix::root(),
            strip_prefix: false,
            policy: Arc::default(),
            mode: Mode::Open,
            canary: None,
            is_held: false,
            is_scaled_to_zero: false,
            upstreams: vec![upstream],
        };
        RouteTable::new(generation, vec![route])
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_request_that_meets_one_swap_after_the_other_is_not_refused() {
        const CLAIMS: u32 = 20_000;
        let (routes, is_done) = (Routes::new(), Arc::new(AtomicBool::new(false)));
        routes.publish(table(1, &InstanceId::from_bits(1)));
        let swapper = tokio::spawn({
            let (routes, is_done) = (routes.clone(), Arc::clone(&is_done));
            async move {
                let mut swaps = 1;
                while !is_done.load(Ordering::Relaxed) {
                    let old = routes.upstream(&InstanceId::from_bits(swaps)).unwrap();
                    swaps += 1;
                    routes.publish(table(swaps.into(), &InstanceId::from_bits(swaps)));
                    old.drain(Duration::ZERO).await;
                    routes.forget(old.instance());
                }
                swaps
            }
        });
        let proxy = Proxy::new(routes, ProxyConfig::new("localhost"));
        let client = Ipv4Addr::LOCALHOST.into();
        let to = Address { host: HOST, path: "/", client, is_tls: false };
        let mut refused = Vec::new();
        for _ in 0..CLAIMS {
            refused.extend(proxy.claim_again(to, &HeaderMap::new(), None).await.err());
            tokio::task::yield_now().await;
        }
        is_done.store(true, Ordering::Relaxed);
        let swaps = swapper.await.unwrap();
        assert!(refused.is_empty(), "{} of {CLAIMS} in {swaps} swaps: {:?}", refused.len(), refused[0]);
    }
}
