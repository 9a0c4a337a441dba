//! Requests of apps to apps: who may ask for `<app>.internal`.
//!
//! The caller is the container that the connection comes from, whatever its headers say. It may call what the `[link]` of its
//! release names, and is refused everything else; to anybody who is no container of the box these hosts do not exist. What is
//! admitted goes on as any request of the app's own host, without what guards that host against the world: redirects to https
//! and to the canonical host, address lists, passwords, client certificates.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use super::Proxy;
use super::error::Error;
use crate::metrics::CallMetrics;
use crate::route::{Caller, RouteTable};
use crate::traffic::Live;

/// How long a container waits that has just started, or taken over the address of another one: it is known once the engine
/// was asked, which a busy one takes seconds for.
const INTRODUCTION_TIME_MAX: Duration = Duration::from_secs(5);

impl Proxy {
    /// Admits a request for an app's internal host; `None` when that is a host like any other on this box.
    ///
    /// # Errors
    ///
    /// [`Error::NotLinked`], and [`Error::NoRoute`] for who is no container, or when there is no such app.
    pub(super) async fn admit_call(
        &self,
        app: &str,
        host: &str,
        from: IpAddr,
    ) -> Result<Option<Arc<CallMetrics>>, Error> {
        let routes = &self.0.routes;
        let mut tables = routes.subscribe();
        let live = routes.load();
        if !live.table().callers().covers(from) {
            let is_internal = live.table().is_internal(host);
            return if is_internal { Err(Error::NoRoute) } else { Ok(None) };
        }
        if let Some(metrics) = admitted(&live, app, from) {
            return found(&live, host, metrics);
        }
        // Not known, or not as one that may: maybe not yet.
        let is_introduced = tables.wait_for(|live| admitted(live, app, from).is_some());
        match tokio::time::timeout(introduction(live.table(), from), is_introduced).await {
            Ok(Ok(live)) => {
                let live = Arc::clone(&live);
                let metrics = admitted(&live, app, from).ok_or(Error::NoRoute)?;
                found(&live, host, metrics)
            }
            _ => {
                let caller =
                    routes.load().table().callers().known.get(&from).map(|caller| caller.app.clone());
                Err(Error::NotLinked { caller, app: app.to_owned() })
            }
        }
    }
}

/// What counts the call, if the caller may call.
fn admitted(live: &Live, app: &str, from: IpAddr) -> Option<Arc<CallMetrics>> {
    let caller = live.table().callers().known.get(&from)?;
    caller.may_call(app).then(|| live.call(&caller.app, app)).flatten()
}

/// An app that is linked to and not deployed has no route.
fn found(live: &Live, host: &str, metrics: Arc<CallMetrics>) -> Result<Option<Arc<CallMetrics>>, Error> {
    if live.table().is_internal(host) { Ok(Some(metrics)) } else { Err(Error::NoRoute) }
}

/// One that is known and may not call is told so at once.
fn introduction(table: &RouteTable, from: IpAddr) -> Duration {
    let known: Option<&Caller> = table.callers().known.get(&from);
    if known.is_some() { Duration::ZERO } else { INTRODUCTION_TIME_MAX }
}
