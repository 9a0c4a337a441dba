//! What handshakes need, opened from the home.

use std::path::Path;
use std::sync::Arc;

use super::ServerError;
use super::hosts::Hosts;
use crate::certs::Demand;
use crate::config::ServerConfig;
use crate::seal::{BoxKey, SealError};
use crate::tls::{Challenges, LocalCa, Resolver, Tickets, Vault};
use crate::traffic::Routes;

/// What seals every other secret of the box.
const BOX_KEY_FILE: &str = "box.key";
/// Where the local CA is.
const CA_DIRECTORY: &str = "ca";
/// Where certificates are kept.
const VAULT_DIRECTORY: &str = "certs";
/// What lets clients come back cheaply after a restart.
const TICKETS_FILE: &str = "tickets";

/// The box's secrets, and who chooses among its certificates.
pub(super) struct Tls {
    pub(super) key: BoxKey,
    pub(super) ca: Arc<LocalCa>,
    pub(super) vault: Vault,
    pub(super) challenges: Challenges,
    pub(super) resolver: Arc<Resolver>,
    pub(super) tickets: Arc<Tickets>,
}

impl Tls {
    /// Opens what is there, and makes what is not; `key` seals it. Names on demand are told to `demand`.
    pub(super) fn open(
        config: &ServerConfig,
        key: BoxKey,
        routes: &Routes,
        demand: Demand,
    ) -> Result<Self, ServerError> {
        let ca = LocalCa::open_or_create(&config.home.join(CA_DIRECTORY), &key, &[&config.domain])?;
        let ca = Arc::new(ca);
        let vault = Vault::open(&config.home.join(VAULT_DIRECTORY), key.clone())?;
        let challenges = Challenges::default();
        let hosts = Hosts::new(routes.clone(), &config.domain).with_demand(vault.clone(), demand);
        let resolver = Resolver::new(Arc::clone(&ca), vault.clone(), challenges.clone(), Arc::new(hosts));
        let tickets = Tickets::open(config.home.join(TICKETS_FILE), key.clone());
        Ok(Self { key, ca, vault, challenges, resolver: Arc::new(resolver), tickets: Arc::new(tickets) })
    }
}

/// The box's key. A lost one is not replaced: what a new one cannot open would only be found out later, one by one.
pub(super) fn box_key(home: &Path) -> Result<BoxKey, SealError> {
    let path = home.join(BOX_KEY_FILE);
    match LocalCa::sealed_key(&home.join(CA_DIRECTORY)) {
        Some(sealed) if !path.exists() => Err(SealError::Missing { path, sealed }),
        _ => BoxKey::open_or_create(&path),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lost_key_is_asked_for_and_not_replaced() {
        let home = tempfile::tempdir().unwrap();
        let (key_file, ca) = (home.path().join(BOX_KEY_FILE), home.path().join(CA_DIRECTORY));
        let key = box_key(home.path()).unwrap();
        LocalCa::open_or_create(&ca, &key, &[]).unwrap();
        box_key(home.path()).unwrap();

        std::fs::remove_file(&key_file).unwrap();
        let error = box_key(home.path()).unwrap_err().to_string();
        assert!(error.starts_with(&format!("`{}` is missing, and ", key_file.display())), "{error}");
        assert!(!key_file.exists());

        std::fs::remove_dir_all(&ca).unwrap();
        box_key(home.path()).unwrap();
    }
}
