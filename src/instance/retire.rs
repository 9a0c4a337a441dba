//! Taking an instance out of service without losing what it is doing.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, MutexGuard, watch};
use tokio_util::sync::CancellationToken;

use super::Observation;
use crate::engine::{Container, ContainerId, Engine, EngineError};
use crate::manifest::Deploy;
use crate::name::{InstanceId, ReleaseId, Slot};
use crate::route;
use crate::traffic::Routes;

/// After SIGTERM an app may say its own goodbye to its WebSockets for so long; then the proxy says it. Counted from when the
/// process got the signal: an engine that is busy with other containers may take seconds until then.
const FAREWELL_PAUSE: Duration = Duration::from_secs(1);

/// What keeps an instance's container from being started once it was told to stop.
///
/// The task that makes the container holds the lock from before the engine is asked for it until it runs; whoever stops the
/// instance closes the gate under that lock. So a container either runs before it is stopped, and its id is known, or it is
/// never started.
#[derive(Debug, Clone)]
pub(super) struct Gate {
    /// Whether nothing may be started any more.
    is_closed: Arc<Mutex<bool>>,
    observed: watch::Receiver<Observation>,
}

/// An instance that is to go, and how patiently.
#[derive(Debug, Clone)]
pub struct Retirement {
    /// The instance; no published table may name it any more.
    pub instance: InstanceId,
    /// Its slot.
    pub slot: Slot,
    /// Its release.
    pub release: ReleaseId,
    /// Its container, if one was made by now.
    pub container: Option<ContainerId>,
    /// Whether one may still be made; `None` for a container that nobody looks after.
    pub(super) gate: Option<Gate>,
    /// How long what is in flight may take.
    pub limits: Deploy,
    /// From SIGTERM to SIGKILL.
    pub stop_grace: Duration,
    /// Since when, in milliseconds since the Unix epoch.
    pub since: u64,
}

impl Gate {
    pub(super) fn new(observed: watch::Receiver<Observation>) -> Self {
        Self { is_closed: Arc::default(), observed }
    }

    /// Held while a container is made and started; true when that must not happen any more.
    pub(super) async fn enter(&self) -> MutexGuard<'_, bool> {
        self.is_closed.lock().await
    }

    /// Waits for what is being made; after that, nothing is started.
    async fn close(&self) {
        *self.is_closed.lock().await = true;
    }
}

impl Retirement {
    /// That of a container that nobody looks after.
    #[must_use]
    pub fn of_container(container: Container, limits: Deploy, stop_grace: Duration) -> Self {
        let labels = container.labels;
        Self {
            instance: labels.instance,
            slot: labels.slot,
            release: labels.release,
            container: Some(container.id),
            gate: None,
            limits,
            stop_grace,
            since: crate::clock::now(),
        }
    }

    /// That of an upstream that runs elsewhere: it is drained, and there is nothing to stop.
    #[must_use]
    pub fn of_upstream(upstream: &route::Upstream, limits: Deploy) -> Self {
        Self {
            instance: upstream.instance.clone(),
            slot: upstream.slot.clone(),
            release: upstream.release,
            container: None,
            gate: None,
            limits,
            stop_grace: Duration::ZERO,
            since: crate::clock::now(),
        }
    }

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
        if let Some(gate) = &self.gate {
            gate.close().await;
        }
        if let Some(container) = self.made() {
            let told = CancellationToken::new();
            let stop = engine.stop_and_tell(&container, self.stop_grace, &told);
            tokio::pin!(stop);
            let farewell = async {
                told.cancelled().await;
                tokio::time::sleep(FAREWELL_PAUSE).await;
            };
            tokio::select! {
                result = &mut stop => result?,
                () = farewell => {
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
        match self.made() {
            Some(container) => engine.remove(&container).await,
            None => Ok(()),
        }
    }

    /// The container, that was made since, too.
    fn made(&self) -> Option<ContainerId> {
        let since = self.gate.as_ref().and_then(|gate| gate.observed.borrow().container.clone());
        since.or_else(|| self.container.clone())
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::sleep;

    use super::*;
    use crate::engine::fake::{Behaviour, FakeEngine};
    use crate::engine::{ContainerSpec, Image, Labels};
    use crate::name::{BoxId, ProcessType};
    use crate::route::{Mode, Route, RouteTable, Upstream};

    const SECOND: Duration = Duration::from_secs(1);

    async fn started(engine: &FakeEngine) -> Container {
        engine.behave("shop", Behaviour { ignores_term: true, ..Behaviour::default() });
        let labels = Labels {
            app: "shop".parse().unwrap(),
            release: ReleaseId::FIRST,
            slot: Slot { process: ProcessType::web(), number: 1 },
            instance: InstanceId::from_bits(1),
        };
        let image = Image {
            id: String::new(),
            exposed_ports: vec![3000],
            has_healthcheck: false,
            has_command: true,
            ..Image::default()
        };
        let spec = ContainerSpec {
            labels,
            image: engine.add_image("shop:1", image),
            argv: None,
            env: Default::default(),
            files: std::collections::BTreeMap::new(),
            port: Some(3000),
            more_ports: Vec::new(),
            memory: None,
            cpu: None,
            volumes: Default::default(),
            links: Default::default(),
            stop_grace: 30 * SECOND,
            one_off: None,
        };
        let id = engine.create(&spec).await.unwrap();
        engine.start(&id).await.unwrap();
        engine.container(&id).await.unwrap().unwrap()
    }

    fn publish(routes: &Routes, container: &Container) {
        let Labels { instance, slot, release, .. } = container.labels.clone();
        let route = Route {
            app: "shop".parse().unwrap(),
            process: ProcessType::web(),
            host: "shop.localhost".parse().unwrap(),
            path: "/".parse().unwrap(),
            strip_prefix: false,
            policy: Arc::default(),
            mode: Mode::Open,
            canary: None,
            is_held: false,
            is_scaled_to_zero: false,
            upstreams: vec![Upstream { instance, slot, release, addr: ([127, 0, 0, 1], 3000).into() }],
        };
        routes.publish(RouteTable::new(1, vec![route]));
    }

    #[tokio::test(start_paused = true)]
    async fn an_app_has_its_second_for_a_goodbye_however_late_the_engine_asks_it_to_stop() {
        let (engine, routes) = (FakeEngine::new(BoxId::from_bits(1)), Routes::new());
        let container = started(&engine).await;
        publish(&routes, &container);
        let farewell = routes.upstream(&container.labels.instance).unwrap().farewell();
        let retirement = Retirement::of_container(container, Deploy::default(), 30 * SECOND);
        engine.hang(true);
        let stop = tokio::spawn({
            let engine = engine.clone();
            async move { retirement.stop(&engine, &routes).await }
        });
        sleep(4 * SECOND).await;
        assert!(!farewell.is_cancelled(), "nobody has asked the app to stop");
        engine.hang(false);
        sleep(FAREWELL_PAUSE * 9 / 10).await;
        assert!(!farewell.is_cancelled(), "the app may still say goodbye itself");
        sleep(FAREWELL_PAUSE * 2 / 10).await;
        assert!(farewell.is_cancelled() && !stop.is_finished());
        stop.await.unwrap().unwrap();
    }
}
