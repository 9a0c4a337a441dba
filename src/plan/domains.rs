//! Routes for hosts that were given to an app by command, beside those of its manifest.

use super::{Plan, PlannedRoute};
use crate::name::Host;

impl Plan {
    /// The plan with routes for these hosts, and for no others that a command gave; `None` when it is so already.
    #[must_use]
    pub fn with_domains<'h>(&self, domains: impl IntoIterator<Item = &'h Host>) -> Option<Self> {
        let mut routes: Vec<_> = self.routes.iter().filter(|route| !route.is_added).cloned().collect();
        add(&mut routes, self.domain_route.as_ref(), domains);
        (routes != self.routes).then(|| Self { routes, ..self.clone() })
    }
}

/// Adds a route like `like` for each of the hosts that the manifest says nothing of.
pub(super) fn add<'h>(
    routes: &mut Vec<PlannedRoute>,
    like: Option<&PlannedRoute>,
    domains: impl IntoIterator<Item = &'h Host>,
) {
    let Some(like) = like else { return };
    for host in domains {
        if !routes.iter().any(|route| route.host == *host && route.path == like.path) {
            routes.push(PlannedRoute { host: host.clone(), is_added: true, ..like.clone() });
        }
    }
}
