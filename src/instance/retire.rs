//! Taking an instance out of service without losing what it is doing.

use std::time::Duration;

use crate::engine::{ContainerId, Engine, EngineError};
use crate::manifest::Deploy;
use crate::name::{InstanceId, ReleaseId, Slot};
use crate::traffic::Routes;

/// After SIGTERM an app may say its own goodbye to its WebSockets for so long; then the proxy says it.
const FAREWELL_PAUSE: Duration = Duration::from_secs(1);

/// An instance that is to go, and how patiently.
#[derive(Debug, Clone)]
pub struct Retirement {
    /// The instance; no published table may name it any more.
    pub instance: InstanceId,
    /// Its slot.
    pub slot: Slot,
    /// Its release.
    pub release: ReleaseId,
    /// Its container; `None` when none was made.
    pub container: Option<ContainerId>,
    /// How long what is in flight may take.
    pub limits: Deploy,
    /// From SIGTERM to SIGKILL.
    pub stop_grace: Duration,
}

impl Retirement {
    /// Waits for requests, then for upgraded connections, each up to its limit. No request starts on the instance from the
    /// moment this is first polled.
    pub async fn drain(&self, routes: &Routes) {
        let Some(upstream) = routes.upstream(&self.instance) else { return };
        let requests = upstream.drain(self.limits.drain).await;
        let upgraded = upstream.drain_upgraded(self.limits.websocket_drain).await;
        tracing::info!(
            instance = %self.slot, release = %self.release, requests_cut = requests.cut, upgraded_left = upgraded.cut,
            "drained"
        );
    }

    /// Stops the container, which stays to be started again or removed. A second after SIGTERM, or as soon as the process
    /// has ended, whatever WebSocket is still open is closed with a close frame. Safe to repeat.
    ///
    /// # Errors
    ///
    /// When the engine does not stop it.
    pub async fn stop(&self, engine: &dyn Engine, routes: &Routes) -> Result<(), EngineError> {
        let upstream = routes.upstream(&self.instance);
        let close_upgraded = || upstream.iter().for_each(|upstream| upstream.close_upgraded());
        if let Some(container) = &self.container {
            let stop = engine.stop(container, self.stop_grace);
            tokio::pin!(stop);
            tokio::select! {
                result = &mut stop => result?,
                () = tokio::time::sleep(FAREWELL_PAUSE) => {
                    close_upgraded();
                    stop.await?;
                }
            }
        }
        close_upgraded();
        routes.forget(&self.instance);
        Ok(())
    }

    /// Removes the container. Safe to repeat.
    ///
    /// # Errors
    ///
    /// When the engine does not remove it.
    pub async fn remove(&self, engine: &dyn Engine) -> Result<(), EngineError> {
        match &self.container {
            Some(container) => engine.remove(container).await,
            None => Ok(()),
        }
    }
}
