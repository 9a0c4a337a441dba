//! Chooses the upstream that gets a request, and waits for one where the route says so.
//!
//! A request looks in the newest table; on a held route it waits for the first table that has an upstream for it. How many
//! requests may wait, and for how long, is bounded.

use std::sync::Arc;

use tokio::time::{Instant, timeout_at};

use super::Proxy;
use super::error::Error;
use crate::route::Route;
use crate::traffic::{Found, InFlight, Upstream};

/// An upstream that took a request, and what its route says about the path.
#[derive(Debug)]
pub(super) struct Claim {
    pub guard: InFlight,
    /// How many bytes are taken off the path.
    pub strip: usize,
}

/// Where a request was going, to look again.
#[derive(Debug, Clone, Copy)]
pub(super) struct Address<'r> {
    pub host: &'r str,
    pub path: &'r str,
}

// === impl Claim ===

impl Claim {
    /// Counts the request on one of a route's upstreams.
    pub(super) fn of(found: Found<'_>, except: Option<&Upstream>) -> Option<Self> {
        let guard = found.pick(except.map(Upstream::instance))?;
        Some(Self { guard, strip: stripped(found.route) })
    }
}

impl Proxy {
    /// Claims an upstream from the newest table; on a held route from the first that has one.
    ///
    /// # Errors
    ///
    /// [`Error::NoRoute`], [`Error::NotReady`], [`Error::HoldFull`], [`Error::HoldExpired`].
    pub(super) async fn claim_again(
        &self,
        to: Address<'_>,
        except: Option<&Upstream>,
    ) -> Result<Claim, Error> {
        let inner = &*self.0;
        let mut tables = inner.routes.subscribe();
        let mut place = None;
        let deadline = Instant::now() + inner.config.timeouts.hold;
        loop {
            let live = Arc::clone(&tables.borrow_and_update());
            let found = live.find(to.host, to.path).ok_or(Error::NoRoute)?;
            if let Some(claim) = Claim::of(found, except) {
                return Ok(claim);
            }
            if !found.route.is_held {
                return Err(Error::NotReady);
            }
            drop(live);
            if place.is_none() {
                place = Some(inner.held.try_acquire().map_err(|_| Error::HoldFull)?);
            }
            let changed = timeout_at(deadline, tables.changed()).await.map_err(|_| Error::HoldExpired)?;
            changed.expect("the proxy itself holds the sending half");
        }
    }
}

fn stripped(route: &Route) -> usize {
    let prefix = route.path.as_str();
    if route.strip_prefix && prefix != "/" { prefix.len() } else { 0 }
}
