//! A container of the scripted engine, and its process while it runs.

use std::net::Ipv4Addr;

use tokio::time::Instant;

use super::super::{Container, ContainerSpec, ContainerState, Health, LogLine};
use super::{Behaviour, Change, ProbeAnswer};
use crate::name::BoxId;

#[derive(Debug)]
pub(super) struct StoredContainer {
    pub(super) owner: BoxId,
    pub(super) id: String,
    pub(super) spec: ContainerSpec,
    pub(super) state: ContainerState,
    pub(super) is_removed: bool,
    /// What its process does and since when, while it runs.
    pub(super) process: Option<Process>,
    /// How often it was started.
    pub(super) runs: u32,
    pub(super) lines: Vec<LogLine>,
    pub(super) history: Vec<(std::time::Duration, Change)>,
}

#[derive(Debug)]
pub(super) struct Process {
    pub(super) behaviour: Behaviour,
    pub(super) started_at: Instant,
    pub(super) ip: Ipv4Addr,
    /// Whether it is unready although it has started.
    pub(super) is_ailing: bool,
}

impl StoredContainer {
    /// The port on which its process listens; `None` when none runs.
    pub(super) fn listening_port(&self) -> Option<u16> {
        self.process.as_ref()?.behaviour.listens_on.or(self.spec.port)
    }

    /// What a probe of this port hears; `None` when no process runs.
    pub(super) fn answer(&self, port: u16) -> Option<ProbeAnswer> {
        let process = self.process.as_ref()?;
        Some(if self.listening_port() != Some(port) {
            ProbeAnswer::Refused
        } else if process.is_ready() {
            ProbeAnswer::Ready
        } else {
            ProbeAnswer::NotReady
        })
    }

    /// What an engine says of it.
    pub(super) fn view(&self, has_healthcheck: bool) -> Container {
        let process = self.process.as_ref();
        Container {
            id: self.id.clone(),
            labels: self.spec.labels.clone(),
            state: self.state,
            addr: process.zip(self.spec.port).map(|(process, port)| (process.ip, port).into()),
            more_addrs: process
                .into_iter()
                .flat_map(|process| {
                    self.spec.more_ports.iter().map(|port| (*port, (process.ip, *port).into()))
                })
                .collect(),
            health: match process {
                Some(process) if has_healthcheck && process.is_ready() => Health::Healthy,
                Some(_) if has_healthcheck => Health::Starting,
                _ => Health::None,
            },
            has_volume: !self.spec.volumes.is_empty(),
            one_off: self.spec.one_off,
        }
    }
}

impl Process {
    /// Whether its probes pass now.
    pub(super) fn is_ready(&self) -> bool {
        !self.is_ailing && self.behaviour.ready_after.is_some_and(|after| self.started_at.elapsed() >= after)
    }
}

/// A line that was written so long after the start.
pub(super) fn line(at: std::time::Duration, is_stderr: bool, text: &str) -> LogLine {
    let at = u64::try_from(at.as_millis()).expect("a simulation is shorter than 500 million years");
    LogLine { at, is_stderr, text: text.to_owned() }
}
