//! The network that a box's containers are on.
//!
//! It is one bridge a box, on which containers cannot talk to each other (`enable_icc=false`: the engine drops what goes from
//! one port of the bridge to another), while the host reaches them all. That keeps apps apart without a network for each: an
//! engine's default address pools hold about 30 networks, and a box holds 200 apps. What apps have to say to each other goes
//! through the proxy.
//!
//! The network is looked for before every container that is made, because it is not only ours to remove: `docker network
//! prune` takes it whenever nothing runs on it. The daemon removes it when it ends and there are no apps.

use std::collections::HashMap;
use std::net::IpAddr;

use bollard::models::{NetworkCreateRequest, NetworkInspect};

use super::super::{EngineError, label};
use super::DockerEngine;
use crate::route::Bridge;

/// Keeps containers on a bridge from talking to each other.
const NO_TALKING: (&str, &str) = ("com.docker.network.bridge.enable_icc", "false");

impl DockerEngine {
    pub(super) fn network_name(&self) -> String {
        format!("minipaas-{}", self.owner)
    }

    /// Makes the network if it is not there; where the box is on it, if it can be reached there.
    pub(super) async fn ensure_network(&self) -> Result<Option<Bridge>, EngineError> {
        let name = self.network_name();
        let what = format!("network `{name}`");
        let _only_one_at_a_time = self.network.lock().await;
        if let Some(found) = self.inspect_network().await? {
            return Ok(self.bridge_of(found));
        }
        let request = NetworkCreateRequest {
            name: name.clone(),
            driver: Some("bridge".to_owned()),
            options: Some(HashMap::from([(NO_TALKING.0.to_owned(), NO_TALKING.1.to_owned())])),
            labels: Some(HashMap::from([(label::BOX.to_owned(), self.owner.to_string())])),
            ..Default::default()
        };
        self.call(&format!("create {what}"), &what, self.client.create_network(request)).await?;
        tracing::info!(network = name, "network created");
        self.find_bridge().await
    }

    /// Where the box is on the network, if that is there and the box can be reached on it.
    pub(super) async fn find_bridge(&self) -> Result<Option<Bridge>, EngineError> {
        Ok(self.inspect_network().await?.and_then(|found| self.bridge_of(found)))
    }

    /// Removes the network, if it is there; the engine refuses that as long as a container is on it.
    pub(super) async fn remove_our_network(&self) -> Result<(), EngineError> {
        let name = self.network_name();
        let what = format!("network `{name}`");
        let _only_one_at_a_time = self.network.lock().await;
        // One of this name that is not ours is not there for us.
        let is_ours = |found: &NetworkInspect| {
            found.labels.as_ref().and_then(|labels| labels.get(label::BOX)) == Some(&self.owner.to_string())
        };
        if !self.inspect_network().await?.is_some_and(|found| is_ours(&found)) {
            return Ok(());
        }
        match self.call(&format!("remove {what}"), &what, self.client.remove_network(&name)).await {
            Err(EngineError::NotFound { .. }) => Ok(()),
            removed => removed,
        }
    }

    async fn inspect_network(&self) -> Result<Option<NetworkInspect>, EngineError> {
        let name = self.network_name();
        let what = format!("network `{name}`");
        let options = None::<bollard::query_parameters::InspectNetworkOptions>;
        let inspect = self.client.inspect_network(&name, options);
        match self.call(&format!("look at {what}"), &what, inspect).await {
            Err(EngineError::NotFound { .. }) => Ok(None),
            result => result.map(Some),
        }
    }

    /// An engine in a virtual machine has a bridge that is none of ours.
    fn bridge_of(&self, network: NetworkInspect) -> Option<Bridge> {
        let configs = network.ipam?.config?;
        let bridge = configs.iter().find_map(|config| {
            let gateway: IpAddr = config.gateway.as_deref()?.split('/').next()?.parse().ok()?;
            Some(Bridge { gateway, subnet: config.subnet.as_deref()?.parse().ok()? })
        });
        bridge.filter(|_| self.is_bridge_reachable)
    }
}
