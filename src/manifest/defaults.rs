//! What a manifest leaves to the image: which port a process listens on, and when it is ready.
//!
//! The box and an export ask here, so that both give the same answer.

use std::time::Duration;

use super::{Check, Manifest, Probe, Process};
use crate::name::ProcessType;

/// The port of a process that takes requests when neither the manifest nor the image names one.
const PORT_DEFAULT: u16 = 8080;

impl Manifest {
    /// The port that is `$PORT` for a process, and where it is asked whether it is ready: what the manifest says; where it says
    /// nothing, the default of a process that takes requests, and of any other the first that a TCP route leads to.
    #[must_use]
    pub fn port_of(&self, name: &ProcessType, exposed_ports: &[u16]) -> Option<u16> {
        let takes_requests = name.is_web() || self.routes.iter().any(|route| route.process == *name);
        let rule = self.ports.iter().find(|rule| rule.process == *name);
        let said = self.processes.get(name).and_then(|process| process.port);
        said.or_else(|| rule?.port.filter(|_| !takes_requests))
            .or_else(|| (takes_requests || rule.is_some()).then(|| port_of_image(exposed_ports)))
    }
}

impl Process {
    /// How long one without any probe must have run to count as ready: long enough to see a start that fails at once.
    pub const SETTLE_TIME: Duration = Duration::from_secs(1);

    /// What is asked of an instance before it counts as ready: what the manifest says, else the image's HEALTHCHECK, else whether
    /// it accepts connections at its port; `None` for a process without one, which is ready by running.
    #[must_use]
    pub fn ready_probe(&self, name: &ProcessType, port: Option<u16>, has_healthcheck: bool) -> Option<Probe> {
        if let Some(probe) = &self.ready {
            return Some(probe.clone());
        }
        // The image's own HEALTHCHECK is about the image's own command; a worker that runs another one is not what it asks about.
        if has_healthcheck && (name.is_web() || self.command.is_none()) {
            return Some(Probe::new(Check::Docker));
        }
        port.map(|_| Probe::new(Check::Tcp { port: None }))
    }
}

fn port_of_image(exposed_ports: &[u16]) -> u16 {
    match exposed_ports {
        [only] => *only,
        _ => PORT_DEFAULT,
    }
}
