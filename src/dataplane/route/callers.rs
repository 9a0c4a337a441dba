//! Who calls whom inside of the box: the containers of apps by their addresses, and the apps that each may call.
//!
//! An app reaches another one at `http://<app>.internal`, which is an address of the box on the bridge of its containers. Who
//! calls is known by where the call comes from, and what it may call by the `[link]` of the release that it runs.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;

use crate::name::AppName;

/// What follows the dot in the name by which apps call an app.
const INTERNAL: &str = ".internal";

/// The containers of a box, by address.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Callers {
    /// The network that they are on, once it is known.
    pub bridge: Option<Bridge>,
    /// Those that run.
    pub known: BTreeMap<IpAddr, Caller>,
}

/// One container, as somebody who calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// Its app.
    pub app: AppName,
    /// The apps that it may call.
    pub links: Arc<BTreeSet<AppName>>,
}

/// The network of a box's containers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bridge {
    /// Where the box itself is on it.
    pub gateway: IpAddr,
    /// The addresses of the containers.
    pub subnet: IpNet,
}

/// The app that is called by this host; `None` for hosts that are not below `internal`, or deeper than one label.
#[must_use]
pub fn internal_app(host: &str) -> Option<&str> {
    host.strip_suffix(INTERNAL).filter(|app| !app.is_empty() && !app.contains('.'))
}

/// The name by which apps call this one.
#[must_use]
pub fn internal_host(app: &AppName) -> String {
    format!("{app}{INTERNAL}")
}

impl Callers {
    /// Whether this is the address of a container, known or not.
    #[must_use]
    pub fn covers(&self, addr: IpAddr) -> bool {
        self.bridge.is_some_and(|bridge| bridge.subnet.contains(&addr) && bridge.gateway != addr)
    }

    /// Every app that somebody may call.
    pub(super) fn called(&self) -> BTreeSet<&AppName> {
        self.known.values().flat_map(|caller| &*caller.links).collect()
    }

    /// Who may call whom: each pair of a caller and an app once, in order.
    #[must_use]
    pub fn pairs(&self) -> BTreeSet<(&AppName, &AppName)> {
        let pairs = self
            .known
            .values()
            .flat_map(|Caller { app, links }| links.iter().map(move |called| (app, called)));
        pairs.collect()
    }
}

impl Caller {
    /// Whether it may call the app of this name.
    #[must_use]
    pub fn may_call(&self, app: &str) -> bool {
        self.links.iter().any(|link| link.as_str() == app)
    }
}

#[cfg(test)]
mod tests {
    use super::internal_app;

    #[test]
    fn an_app_is_called_by_one_label() {
        for (host, app) in [
            ("billing.internal", Some("billing")),
            ("a.billing.internal", None),
            (".internal", None),
            ("internal", None),
            ("billing.internal.example.com", None),
            ("billinginternal", None),
        ] {
            assert_eq!(internal_app(host), app, "{host}");
        }
    }
}
