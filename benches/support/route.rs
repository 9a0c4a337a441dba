//! A route as the controller would publish it, of an app that minipaas did not start.

use std::net::SocketAddr;
use std::sync::Arc;

use minipaas::name::{InstanceId, NameError, PathPrefix, ProcessType, ReleaseId, Slot};
use minipaas::policy::Policy;
use minipaas::route::{Mode, Route, Upstream};

/// The app of all routes.
pub(crate) const APP: &str = "bench";

/// All paths of a host go to one upstream, over http as well.
pub(crate) fn to(host: &str, upstream: SocketAddr) -> Result<Route, NameError> {
    let upstream = Upstream {
        instance: InstanceId::from_bits(1),
        slot: Slot { process: ProcessType::web(), number: 1 },
        release: ReleaseId::FIRST,
        addr: upstream,
    };
    Ok(Route {
        app: APP.parse()?,
        process: ProcessType::web(),
        host: host.parse()?,
        path: PathPrefix::root(),
        strip_prefix: false,
        policy: Arc::new(Policy { https_redirect: false, ..Policy::default() }),
        mode: Mode::Open,
        canary: None,
        is_held: false,
        is_scaled_to_zero: false,
        upstreams: vec![upstream],
    })
}
