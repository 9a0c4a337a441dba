//! The box's place on the bridge of its containers: where they find each other's apps, and the names of those.
//!
//! The address is in the route table once the engine has told it, also in that of the last process, so that a restarted daemon
//! is there before anything is asked. At that address http is served, where the box's own listener is not there anyway, and
//! names are answered on port 53. Either may be impossible (no right to a low port, somebody else there): that is said once, and
//! tried again. Links work without the names, which every container has in its `/etc/hosts`, too.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use async_trait::async_trait;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::dns::server::{Answer, NameServer, Names};
use crate::proxy::Proxy;
use crate::route::{Bridge, internal_app};
use crate::traffic::Routes;

/// Where resolvers ask.
const DNS_PORT: u16 = 53;
/// Between two tries at what could not be had.
const RETRY_PAUSE: Duration = Duration::from_secs(15);
/// How long a name is looked for by a container that is not known yet. Resolvers ask again after 5 s.
const INTRODUCTION_TIME_MAX: Duration = Duration::from_secs(3);

/// What is open at an address.
#[derive(Default)]
struct Doors {
    http: Option<AbortOnDropHandle<()>>,
    names: Option<AbortOnDropHandle<()>>,
    /// What was told that it cannot be had.
    complaints: Vec<&'static str>,
}

/// The apps' names, as each container may know them.
struct AppNames {
    routes: Routes,
}

/// Is on the bridge until `shutdown`; `http` is where the box serves anyway.
pub(super) async fn run(routes: Routes, proxy: Proxy, http: SocketAddr, shutdown: CancellationToken) {
    let mut tables = routes.subscribe();
    let mut place = None;
    let mut doors = Doors::default();
    loop {
        let bridge = tables.borrow_and_update().table().callers().bridge;
        if bridge != place {
            (place, doors) = (bridge, Doors::default());
        }
        let is_open = match bridge {
            Some(Bridge { gateway, .. }) => doors.open(gateway, http, &routes, &proxy, &shutdown).await,
            None => true,
        };
        tokio::select! {
            () = shutdown.cancelled() => return,
            changed = tables.wait_for(|live| live.table().callers().bridge != place) => {
                if changed.is_err() {
                    return;
                }
            }
            () = tokio::time::sleep(RETRY_PAUSE), if !is_open => {}
        }
    }
}

impl Doors {
    /// Opens what is not open yet; whether all of it is now.
    async fn open(
        &mut self,
        gateway: IpAddr,
        http: SocketAddr,
        routes: &Routes,
        proxy: &Proxy,
        shutdown: &CancellationToken,
    ) -> bool {
        let is_there = http.ip().is_unspecified() || http.ip() == gateway;
        if self.http.is_none() && !is_there {
            let bound = TcpListener::bind((gateway, http.port())).await;
            if let Some(listener) = self.take(bound, "http", gateway) {
                let serving = proxy.clone().serve_http(listener, shutdown.child_token());
                self.http = Some(AbortOnDropHandle::new(tokio::spawn(serving)));
            }
        }
        if self.names.is_none() {
            let names = AppNames { routes: routes.clone() };
            let bound = NameServer::bind((gateway, DNS_PORT).into(), names).await;
            if let Some(server) = self.take(bound, "names", gateway) {
                self.names = Some(AbortOnDropHandle::new(tokio::spawn(server.serve())));
            }
        }
        (self.http.is_some() || is_there) && self.names.is_some()
    }

    fn take<T>(&mut self, bound: io::Result<T>, what: &'static str, gateway: IpAddr) -> Option<T> {
        match bound {
            Ok(bound) => {
                tracing::info!(%gateway, what, "open to containers");
                self.complaints.retain(|told| *told != what);
                Some(bound)
            }
            Err(error) => {
                if !self.complaints.contains(&what) {
                    tracing::warn!(%gateway, what, %error, "not open to containers");
                    self.complaints.push(what);
                }
                None
            }
        }
    }
}

#[async_trait]
impl Names for AppNames {
    async fn find(&self, name: &str, asker: IpAddr) -> Answer {
        let Some(app) = internal_app(name) else { return Answer::Elsewhere };
        let mut tables = self.routes.subscribe();
        let known = tables.wait_for(|live| {
            let callers = live.table().callers();
            callers.known.contains_key(&asker) || !callers.covers(asker)
        });
        let Ok(Ok(live)) = tokio::time::timeout(INTRODUCTION_TIME_MAX, known).await else {
            return Answer::Nothing;
        };
        let callers = live.table().callers();
        let may_call = callers.known.get(&asker).is_some_and(|caller| caller.may_call(app));
        match callers.bridge {
            Some(Bridge { gateway: IpAddr::V4(gateway), .. }) if may_call => Answer::Host(gateway),
            _ => Answer::Nothing,
        }
    }
}
