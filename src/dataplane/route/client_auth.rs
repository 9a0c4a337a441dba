//! Which hosts ask their clients for a certificate.

use std::sync::Arc;

use super::RouteTable;
use crate::policy::ClientCa;

/// What clients of one host are asked for in the handshake, before it is known which route they want.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ClientAuth {
    /// A certificate of any of them will do; whether it is the route's own is asked with each request. Each is there once.
    pub cas: Vec<Arc<ClientCa>>,
    /// Whether there is no route of the host for those who have none.
    pub is_required: bool,
}

impl RouteTable {
    /// Whether any route wants a certificate.
    #[must_use]
    pub fn has_client_auth(&self) -> bool {
        self.has_client_auth
    }

    /// What clients of this host are asked for; `None` where no route of it wants a certificate. `host` is as in [`Self::find`].
    #[must_use]
    pub fn client_auth(&self, host: &str) -> Option<ClientAuth> {
        if !self.has_client_auth {
            return None;
        }
        let routes = self.routes_of(host).into_iter().map(|route| route.policy.client_ca.as_ref());
        let (mut cas, mut is_required) = (Vec::<Arc<ClientCa>>::new(), true);
        for wanted in routes {
            match wanted {
                Some(ca) if cas.contains(ca) => {}
                Some(ca) => cas.push(Arc::clone(ca)),
                None => is_required = false,
            }
        }
        (!cas.is_empty()).then_some(ClientAuth { cas, is_required })
    }
}
