//! `startup`, `ready` and `live`, as a kubelet asks them.
//!
//! On the box nothing but readiness is asked of an instance until it was ready once, sooner and sooner at first, and one that is
//! not ready by its deadline goes. A kubelet has a probe of its own for that: `startupProbe`. Where the manifest has no `startup`,
//! it is the readiness check with the deadline of that. So a release that never becomes ready fails here, too, and the one before
//! it serves on.

use std::time::Duration;

use k8s_openapi::api::core::v1::{
    ExecAction, GRPCAction, HTTPGetAction, HTTPHeader, Probe as KubeletProbe, TCPSocketAction,
};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::pod::escaped;
use super::{Draft, unit};
use crate::export::object::{NoteKind, Sheet};
use crate::export::subject::Healthcheck;
use crate::manifest::{Check, Probe, Process};
use crate::name::ProcessType;

/// The name of a process's port in its pods.
pub(super) const PORT_NAME: &str = "http";
/// Between two HEALTHCHECKs of a container that starts, as newer engines have it (`--start-interval`).
const HEALTHCHECK_STARTING: Duration = Duration::from_secs(5);
/// What an engine takes for a HEALTHCHECK that does not say.
const HEALTHCHECK_DEFAULT: Duration = Duration::from_secs(30);
/// The same, for how many failures.
const HEALTHCHECK_RETRIES: u32 = 3;

/// The probes of one process type's pods.
#[derive(Debug, Default)]
pub(super) struct Probes {
    pub(super) startup: Option<KubeletProbe>,
    pub(super) readiness: Option<KubeletProbe>,
    pub(super) liveness: Option<KubeletProbe>,
    /// How long a pod must run to count as there: of one that is asked nothing.
    pub(super) settle: Option<Duration>,
    /// How long a pod may take until it is ready.
    pub(super) deadline: Duration,
}

/// How often, and how long.
struct Rhythm {
    period: Duration,
    timeout: Duration,
    failures: u32,
}

/// Which process type is asked.
struct Asked<'a> {
    draft: &'a Draft<'a>,
    name: &'a ProcessType,
    port: Option<u16>,
}

/// The probes of a process type, with what is said of them.
pub(super) fn probes(
    draft: &Draft<'_>,
    name: &ProcessType,
    process: &Process,
    port: Option<u16>,
    sheet: &mut Sheet<'_>,
) -> Probes {
    let asked = Asked { draft, name, port };
    let healthcheck = draft.subject.image.healthcheck.as_ref();
    let ready = process.ready_probe(name, port, healthcheck.is_some_and(is_on));
    let mut probes = Probes::default();
    for probe in process.startup.iter().chain(&ready) {
        probes.deadline += probe.deadline;
    }
    // The readiness check until the first success, unless something else says that it has started.
    let startup = process.startup.as_ref().or(ready.as_ref());
    let key = if process.startup.is_some() { "startup" } else { "ready" };
    probes.startup = startup.and_then(|probe| {
        let rhythm = asked.starting(probe);
        asked.probe(key, probe, &rhythm, sheet)
    });
    probes.readiness = ready.as_ref().and_then(|probe| {
        let rhythm = asked.running(probe);
        asked.probe("ready", probe, &rhythm, sheet)
    });
    probes.liveness = process.live.as_ref().and_then(|probe| {
        let rhythm = asked.running(probe);
        asked.probe("live", probe, &rhythm, sheet)
    });
    if process.startup.is_some() && probes.liveness.is_some() {
        sheet.note(
            NoteKind::Changed,
            format!("[process.{name}] live"),
            "asked from when the pod has started; on the box from when it was ready once",
        );
    }
    if probes.readiness.is_none() {
        probes.settle = Some(Process::SETTLE_TIME);
        probes.deadline += Process::SETTLE_TIME;
    }
    probes
}

impl Asked<'_> {
    /// Until the first success: as often as fit into the deadline.
    fn starting(&self, probe: &Probe) -> Rhythm {
        let period = match (&probe.check, self.healthcheck()) {
            (Check::Docker, Some(healthcheck)) => healthcheck.period().min(HEALTHCHECK_STARTING),
            _ => probe.interval.unwrap_or(Probe::INTERVAL_STARTING),
        };
        let deadline = match (&probe.check, self.healthcheck()) {
            (Check::Docker, Some(healthcheck)) => probe.deadline.max(healthcheck.start_period),
            _ => probe.deadline,
        };
        let failures = unit::seconds(deadline).div_ceil(unit::seconds(period).max(1)).max(1);
        Rhythm { period, failures, ..self.running(probe) }
    }

    /// After it.
    fn running(&self, probe: &Probe) -> Rhythm {
        match (&probe.check, self.healthcheck()) {
            (Check::Docker, Some(healthcheck)) => healthcheck.rhythm(),
            _ => Rhythm {
                period: probe.interval.unwrap_or(Probe::INTERVAL_RUNNING),
                timeout: probe.timeout,
                failures: probe.failures,
            },
        }
    }

    fn healthcheck(&self) -> Option<&Healthcheck> {
        self.draft.subject.image.healthcheck.as_ref().filter(|healthcheck| is_on(healthcheck))
    }

    /// The probe in this rhythm; `None`, and a note, where a kubelet cannot ask it.
    fn probe(
        &self,
        key: &str,
        probe: &Probe,
        rhythm: &Rhythm,
        sheet: &mut Sheet<'_>,
    ) -> Option<KubeletProbe> {
        let what = format!("[process.{}] {key}", self.name);
        let action = self.action(&probe.check, &what, sheet)?;
        Some(KubeletProbe {
            period_seconds: Some(unit::positive(rhythm.period)),
            timeout_seconds: Some(unit::positive(rhythm.timeout)),
            failure_threshold: Some(i32::try_from(rhythm.failures).unwrap_or(i32::MAX)),
            ..action
        })
    }

    /// What is asked.
    fn action(&self, check: &Check, what: &str, sheet: &mut Sheet<'_>) -> Option<KubeletProbe> {
        match check {
            Check::Http { path, port } => {
                sheet.note(
                    NoteKind::Changed,
                    "http probes",
                    "a kubelet takes 200 to 399 for well, and follows a redirect; the box takes 2xx alone",
                );
                self.http(path, *port, what, sheet)
            }
            Check::Tcp { port } => {
                let port = self.port(*port, what, sheet)?;
                let action = TCPSocketAction { port, ..TCPSocketAction::default() };
                Some(KubeletProbe { tcp_socket: Some(action), ..KubeletProbe::default() })
            }
            Check::Command(command) => Some(exec(&command.argv())),
            Check::Docker => {
                let Some(healthcheck) = self.healthcheck() else {
                    let text = "the image has no HEALTHCHECK, so there is nothing to ask; write `http`, `tcp` or `command`";
                    sheet.note(NoteKind::Dropped, what, text);
                    return None;
                };
                self.healthcheck_command(healthcheck, sheet)
            }
            Check::Grpc { service, port } => {
                // A kubelet finds a gRPC port by its number alone.
                let Some(port) = port.or(self.port) else { return self.no_port(what, sheet) };
                let action = GRPCAction { port: i32::from(port), service: service.clone() };
                Some(KubeletProbe { grpc: Some(action), ..KubeletProbe::default() })
            }
            Check::Hootsuite { path, port } => {
                sheet.note(
                    NoteKind::Dropped,
                    what,
                    format!(
                        "a kubelet sees that `{path}` answers, and not the `CRIT` in its body: have the app answer 503 then, at a \
                         path of its own, and write `http = \"…\"`"
                    ),
                );
                self.http(path, *port, what, sheet)
            }
        }
    }

    /// As the box asks: of the app by its name, and as if over https.
    fn http(&self, path: &str, port: Option<u16>, what: &str, sheet: &mut Sheet<'_>) -> Option<KubeletProbe> {
        let header = |name: &str, value: &str| HTTPHeader { name: name.to_owned(), value: value.to_owned() };
        let app = self.draft.subject.app.as_str();
        let action = HTTPGetAction {
            path: Some(path.to_owned()),
            port: self.port(port, what, sheet)?,
            http_headers: Some(vec![header("Host", app), header("X-Forwarded-Proto", "https")]),
            ..HTTPGetAction::default()
        };
        Some(KubeletProbe { http_get: Some(action), ..KubeletProbe::default() })
    }

    fn healthcheck_command(&self, healthcheck: &Healthcheck, sheet: &mut Sheet<'_>) -> Option<KubeletProbe> {
        match healthcheck.test.split_first() {
            Some((form, rest)) if form == "CMD-SHELL" => {
                let line = rest.join(" ");
                sheet.note(
                    NoteKind::Changed,
                    "HEALTHCHECK",
                    "asked by `/bin/sh -c` in the container, whatever SHELL the Dockerfile says",
                );
                Some(exec(&["/bin/sh".to_owned(), "-c".to_owned(), line]))
            }
            Some((_, argv)) => Some(exec(argv)),
            None => None,
        }
    }

    /// The process's own port by its name, another by its number.
    fn port(&self, port: Option<u16>, what: &str, sheet: &mut Sheet<'_>) -> Option<IntOrString> {
        match (port, self.port) {
            (None, Some(_)) => Some(IntOrString::String(PORT_NAME.to_owned())),
            (Some(port), own) if own == Some(port) => Some(IntOrString::String(PORT_NAME.to_owned())),
            (Some(port), _) => Some(IntOrString::Int(i32::from(port))),
            (None, None) => self.no_port(what, sheet),
        }
    }

    fn no_port<T>(&self, what: &str, sheet: &mut Sheet<'_>) -> Option<T> {
        let text = format!("`{}` has no port to ask at; set `port` in [process.{}]", self.name, self.name);
        sheet.note(NoteKind::Dropped, what, text);
        None
    }
}

impl Healthcheck {
    fn period(&self) -> Duration {
        if self.interval.is_zero() { HEALTHCHECK_DEFAULT } else { self.interval }
    }

    fn rhythm(&self) -> Rhythm {
        Rhythm {
            period: self.period(),
            timeout: if self.timeout.is_zero() { HEALTHCHECK_DEFAULT } else { self.timeout },
            failures: if self.retries == 0 { HEALTHCHECK_RETRIES } else { self.retries },
        }
    }
}

/// Whether it asks anything: `HEALTHCHECK NONE` turns off what the base image has.
fn is_on(healthcheck: &Healthcheck) -> bool {
    match healthcheck.test.split_first() {
        Some((form, rest)) => matches!(form.as_str(), "CMD" | "CMD-SHELL") && !rest.is_empty(),
        None => false,
    }
}

fn exec(argv: &[String]) -> KubeletProbe {
    let action = ExecAction { command: Some(escaped(argv)) };
    KubeletProbe { exec: Some(action), ..KubeletProbe::default() }
}
