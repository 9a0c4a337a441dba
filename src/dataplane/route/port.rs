//! TCP ports of the box that lead to an app.

use std::time::Duration;

use super::Upstream;
use crate::name::{AppName, ProcessType};
use crate::policy::ProxyVersion;

/// A TCP port of the box, and the instances that answer there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortRoute {
    /// The app that owns the port.
    pub app: AppName,
    /// The process type whose instances answer.
    pub process: ProcessType,
    /// The port, on every interface of the box.
    pub listen: u16,
    /// Whether and how the process is told who is connected.
    pub send_proxy: Option<ProxyVersion>,
    /// Whether trusted proxies in front say who is connected.
    pub accept_proxy: bool,
    /// How long connections to a replaced instance may last.
    pub drain: Duration,
    /// Whether connections wait while no instance is ready, because one is about to be.
    pub is_held: bool,
    /// The ready instances, in the order of their slots, each with the address of this port.
    pub upstreams: Vec<Upstream>,
}

/// Two apps want the same port.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("port {listen} already leads to app `{owner}`")]
pub struct PortConflict {
    /// The port.
    pub listen: u16,
    /// The app that has it.
    pub owner: AppName,
}

/// The first of `wanted` that another app already has among `existing`, which are ports and their owners.
///
/// # Errors
///
/// [`PortConflict`], naming the owner.
pub fn find_port_conflict(
    app: &AppName,
    wanted: impl IntoIterator<Item = u16>,
    existing: &[(u16, &AppName)],
) -> Result<(), PortConflict> {
    for listen in wanted {
        if let Some((_, owner)) = existing.iter().find(|(port, owner)| *port == listen && *owner != app) {
            return Err(PortConflict { listen, owner: (*owner).clone() });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_has_one_owner() {
        let (blog, shop): (AppName, AppName) = ("blog".parse().unwrap(), "shop".parse().unwrap());
        let existing = &[(5432, &blog)];
        let conflict = find_port_conflict(&shop, [80, 5432], existing).unwrap_err();
        assert_eq!(conflict.to_string(), "port 5432 already leads to app `blog`");
        assert!(find_port_conflict(&blog, [5432], existing).is_ok());
        assert!(find_port_conflict(&shop, [5433], existing).is_ok());
    }
}
