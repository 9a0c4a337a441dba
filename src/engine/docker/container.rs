//! Containers: making, starting, stopping, looking at them.
//!
//! What a container is for stands in its labels, so that a daemon that knows nothing finds it again. Every container gets an
//! init process (children are reaped, SIGTERM arrives), no new privileges, a bounded number of processes and a bounded log;
//! none is restarted by the engine, because restarting is the controller's decision.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::pin::pin;
use std::time::Duration;

use bollard::errors::Error;
use bollard::models::{
    ContainerCreateBody, ContainerInspectResponse, ContainerState as EngineState, ContainerStateStatusEnum,
    HealthStatusEnum, HostConfig, HostConfigLogConfig, Mount, MountType, NetworkSettings, PortBinding,
    RestartPolicy, RestartPolicyNameEnum,
};
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, KillContainerOptionsBuilder, ListContainersOptionsBuilder,
    RemoveContainerOptionsBuilder, StopContainerOptionsBuilder, WaitContainerOptions,
};
use futures_util::{StreamExt, TryStreamExt, stream};
use tokio_util::sync::CancellationToken;

use super::super::{
    Container, ContainerSpec, ContainerState, EngineError, Health, Labels, OneOffKind, label,
};
use super::error::explain;
use super::{CALL_TIME_MAX, DockerEngine};

/// How many processes and threads a container may have: enough for a server of hundreds of threads, too few for a fork bomb.
const PIDS_MAX: i64 = 1024;
/// How large a container's log file grows before it is turned over, and how many are kept.
const LOG_FILE_SIZE_MAX: &str = "10m";
const LOG_FILES_MAX: &str = "3";
/// How many containers are looked at at a time: each costs the engine a lock and a thread.
const INSPECTS_MAX: usize = 8;
/// What the engine counts of a core: billionths, where the manifest counts thousandths.
const NANO_CPUS_PER_MILLI: i64 = 1_000_000;

impl DockerEngine {
    pub(super) async fn create_container(&self, spec: &ContainerSpec) -> Result<String, EngineError> {
        let name = spec.labels.container_name();
        let action = format!("create container `{name}`");
        self.ensure_network().await?;
        let options = CreateContainerOptionsBuilder::default().name(&name).build();
        let create = self.client.create_container(Some(options), self.container_body(spec));
        match self.call(&action, &format!("image `{}`", spec.image), create).await {
            Ok(created) => Ok(created.id),
            // The name is taken: by ourselves, when an earlier call was cut off before its answer arrived.
            Err(error @ EngineError::Refused { .. }) => {
                let found = self.inspect_container(&name).await?;
                found.filter(|found| found.labels == spec.labels).map(|found| found.id).ok_or(error)
            }
            Err(error) => Err(error),
        }
    }

    pub(super) async fn start_container(&self, container: &str) -> Result<(), EngineError> {
        let what = format!("container `{container}`");
        let options = None::<bollard::query_parameters::StartContainerOptions>;
        self.call(&format!("start {what}"), &what, self.client.start_container(container, options)).await
    }

    /// The engine's own stop does not say when the signal was sent, so it only does what is left after the grace.
    pub(super) async fn stop_container(
        &self,
        container: &str,
        grace: Duration,
        told: &CancellationToken,
    ) -> Result<(), EngineError> {
        if !self.terminate(container).await? {
            return self.stop_within(container, grace).await;
        }
        told.cancel();
        let mut end = pin!(self.client.wait_container(container, None::<WaitContainerOptions>));
        match tokio::time::timeout(grace, end.try_next()).await {
            // The exit code comes as an error, unless it is 0.
            Ok(Ok(_) | Err(Error::DockerContainerWaitError { .. })) | Err(_) => {
                self.stop_within(container, Duration::ZERO).await
            }
            Ok(Err(error)) => {
                let what = format!("container `{container}`");
                unless_gone(Err(explain(&self.endpoint, &format!("stop {what}"), &what, error)))
            }
        }
    }

    /// Sends the signal that the image asks for, else SIGTERM; whether there is a process that got it.
    async fn terminate(&self, container: &str) -> Result<bool, EngineError> {
        let what = format!("container `{container}`");
        let Some(found) = self.inspect(container).await? else { return Ok(false) };
        let signal = found.config.and_then(|config| config.stop_signal).filter(|signal| !signal.is_empty());
        let signal = signal.unwrap_or_else(|| "SIGTERM".to_owned());
        let options = KillContainerOptionsBuilder::default().signal(&signal).build();
        let call = self.client.kill_container(container, Some(options));
        match self.call(&format!("stop {what}"), &what, call).await {
            // It does not run: not yet, or not any more.
            Err(EngineError::Refused { .. } | EngineError::NotFound { .. }) => Ok(false),
            result => result.map(|()| true),
        }
    }

    async fn stop_within(&self, container: &str, grace: Duration) -> Result<(), EngineError> {
        let what = format!("container `{container}`");
        // The engine counts whole seconds; a fraction is rounded up, because less than asked for would cut requests off.
        let seconds = grace.as_secs() + u64::from(grace.subsec_nanos() > 0);
        let options = StopContainerOptionsBuilder::default().t(i32::try_from(seconds).unwrap_or(i32::MAX));
        let call = self.client.stop_container(container, Some(options.build()));
        let limit = grace.saturating_add(CALL_TIME_MAX);
        unless_gone(self.call_within(limit, &format!("stop {what}"), &what, call).await)
    }

    pub(super) async fn remove_container(&self, container: &str) -> Result<(), EngineError> {
        let what = format!("container `{container}`");
        let options = RemoveContainerOptionsBuilder::default().force(true).v(true).build();
        let call = self.client.remove_container(container, Some(options));
        match self.call(&format!("remove {what}"), &what, call).await {
            // Two removals at a time: the other one does it.
            Err(EngineError::Refused { message, .. }) if message.contains("already in progress") => Ok(()),
            result => unless_gone(result),
        }
    }

    pub(super) async fn inspect_container(&self, container: &str) -> Result<Option<Container>, EngineError> {
        Ok(self.inspect(container).await?.and_then(|found| self.read_container(found)))
    }

    pub(super) async fn list_containers(&self) -> Result<Vec<Container>, EngineError> {
        let filters = HashMap::from([("label".to_owned(), vec![self.owner_filter()])]);
        let options = ListContainersOptionsBuilder::default().all(true).filters(&filters).build();
        let found =
            self.call("list containers", "a container", self.client.list_containers(Some(options))).await?;
        // The list knows neither exit codes nor who ran out of memory.
        let ids = found.into_iter().filter_map(|summary| summary.id);
        let mut containers: Vec<Container> = stream::iter(ids)
            .map(|id| async move { self.inspect_container(&id).await })
            .buffer_unordered(INSPECTS_MAX)
            .try_filter_map(|container| async move { Ok(container) })
            .try_collect()
            .await?;
        containers.sort_by(|a, b| a.labels.cmp(&b.labels));
        Ok(containers)
    }

    /// What the engine knows of a container, ours or not.
    pub(super) async fn inspect(
        &self,
        container: &str,
    ) -> Result<Option<ContainerInspectResponse>, EngineError> {
        let what = format!("container `{container}`");
        let options = None::<bollard::query_parameters::InspectContainerOptions>;
        let call = self.client.inspect_container(container, options);
        match self.call(&format!("look at {what}"), &what, call).await {
            Ok(found) => Ok(Some(found)),
            Err(EngineError::NotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The filter that only our objects pass.
    pub(super) fn owner_filter(&self) -> String {
        format!("{}={}", label::BOX, self.owner)
    }

    fn container_body(&self, spec: &ContainerSpec) -> ContainerCreateBody {
        let mut labels: HashMap<String, String> = spec.labels.to_map(&self.owner).into_iter().collect();
        labels.extend(spec.port.map(|port| (label::PORT.to_owned(), port.to_string())));
        if !spec.more_ports.is_empty() {
            let ports: Vec<_> = spec.more_ports.iter().map(ToString::to_string).collect();
            labels.insert(label::MORE_PORTS.to_owned(), ports.join(","));
        }
        labels.extend(spec.one_off.map(|kind| (label::ONE_OFF.to_owned(), kind.as_str().to_owned())));
        let ports: Vec<_> = spec.port.iter().chain(&spec.more_ports).map(|port| tcp(*port)).collect();
        ContainerCreateBody {
            image: Some(spec.image.clone()),
            cmd: spec.argv.clone(),
            env: Some(spec.env.iter().map(|(key, value)| format!("{key}={value}")).collect()),
            exposed_ports: (!ports.is_empty()).then_some(ports),
            labels: Some(labels),
            stop_timeout: Some(i64::try_from(spec.stop_grace.as_secs()).unwrap_or(i64::MAX)),
            host_config: Some(self.host_config(spec)),
            ..Default::default()
        }
    }

    fn host_config(&self, spec: &ContainerSpec) -> HostConfig {
        let memory = spec.memory.map(|bytes| i64::try_from(bytes).unwrap_or(i64::MAX));
        let on_loopback = || PortBinding {
            host_ip: Some(Ipv4Addr::LOCALHOST.to_string()),
            // The engine chooses one.
            host_port: Some(String::new()),
        };
        let ports = spec.port.iter().chain(&spec.more_ports);
        let published: HashMap<_, _> = ports
            .filter(|_| !self.is_bridge_reachable)
            .map(|port| (tcp(*port), Some(vec![on_loopback()])))
            .collect();
        HostConfig {
            network_mode: Some(self.network_name()),
            port_bindings: (!published.is_empty()).then_some(published),
            mounts: Some(spec.volumes.iter().map(|(volume, path)| mount(volume, path)).collect()),
            memory,
            // The same as memory, which means: no swap. A limit that swaps makes a slow box, not a small app.
            memory_swap: memory,
            nano_cpus: spec.cpu.map(|milli| i64::from(milli) * NANO_CPUS_PER_MILLI),
            init: Some(true),
            pids_limit: Some(PIDS_MAX),
            security_opt: Some(vec!["no-new-privileges".to_owned()]),
            restart_policy: Some(RestartPolicy {
                name: Some(RestartPolicyNameEnum::NO),
                ..Default::default()
            }),
            log_config: Some(HostConfigLogConfig {
                typ: Some("json-file".to_owned()),
                config: Some(HashMap::from([
                    ("max-size".to_owned(), LOG_FILE_SIZE_MAX.to_owned()),
                    ("max-file".to_owned(), LOG_FILES_MAX.to_owned()),
                ])),
            }),
            ..Default::default()
        }
    }

    /// `None` when it is not ours.
    fn read_container(&self, found: ContainerInspectResponse) -> Option<Container> {
        let map = found.config?.labels?;
        let labels = Labels::from_map(&self.owner, &map)?;
        let port = map.get(label::PORT).and_then(|port| port.parse().ok());
        let more_ports = map.get(label::MORE_PORTS).map_or("", String::as_str).split(',');
        let network = found.network_settings.unwrap_or_default();
        let state = found.state.unwrap_or_default();
        // An image may declare volumes of its own: those have other names, and nobody else writes to them.
        let ours = self.volume_prefix();
        let mut mounted = found.mounts.iter().flatten().filter_map(|mount| mount.name.as_deref());
        Some(Container {
            id: found.id?,
            labels,
            has_volume: mounted.any(|name| name.starts_with(&ours)),
            one_off: map.get(label::ONE_OFF).map(|kind| OneOffKind::from_label(kind)),
            addr: port.and_then(|port| self.address(port, &network)),
            more_addrs: more_ports
                .filter_map(|port| port.parse().ok())
                .filter_map(|port| Some((port, self.address(port, &network)?)))
                .collect(),
            health: read_health(&state),
            state: read_state(&state),
        })
    }

    fn address(&self, port: u16, network: &NetworkSettings) -> Option<SocketAddr> {
        if self.is_bridge_reachable {
            let ip = network.networks.as_ref()?.get(&self.network_name())?.ip_address.as_deref()?;
            return Some(SocketAddr::new(ip.parse::<IpAddr>().ok()?, port));
        }
        let binding = network.ports.as_ref()?.get(&tcp(port))?.as_ref()?.first()?;
        Some(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), binding.host_port.as_ref()?.parse().ok()?))
    }
}

fn unless_gone(result: Result<(), EngineError>) -> Result<(), EngineError> {
    match result {
        Err(EngineError::NotFound { .. }) => Ok(()),
        result => result,
    }
}

fn tcp(port: u16) -> String {
    format!("{port}/tcp")
}

fn mount(volume: &str, path: &str) -> Mount {
    Mount {
        typ: Some(MountType::VOLUME),
        source: Some(volume.to_owned()),
        target: Some(path.to_owned()),
        ..Default::default()
    }
}

fn read_state(state: &EngineState) -> ContainerState {
    if state.running == Some(true) {
        return ContainerState::Running;
    }
    match state.status {
        Some(ContainerStateStatusEnum::CREATED) => ContainerState::Created,
        _ => ContainerState::Exited {
            code: state.exit_code.unwrap_or_default(),
            // A busy engine (seen with 20.10) may have missed it; then it is just a 137.
            is_out_of_memory: state.oom_killed.unwrap_or_default(),
        },
    }
}

fn read_health(state: &EngineState) -> Health {
    match state.health.as_ref().and_then(|health| health.status) {
        Some(HealthStatusEnum::STARTING) => Health::Starting,
        Some(HealthStatusEnum::HEALTHY) => Health::Healthy,
        Some(HealthStatusEnum::UNHEALTHY) => Health::Unhealthy,
        _ => Health::None,
    }
}
