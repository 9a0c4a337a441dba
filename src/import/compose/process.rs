//! A service's command, probes and limits as those of a process type.

use super::super::draft::{Ask, Draft, Probe, Process};
use super::super::findings::Findings;
use super::group::Member;
use super::health::Health;
use super::service::Service;
use crate::manifest::Command;

/// What runs for the member.
pub(super) fn process(member: &Member<'_>, draft: &mut Draft, findings: &mut Findings) -> Process {
    let service = member.service;
    let section = format!("process.{}", member.process);
    let (memory, cpu) = service.limits();
    let mut process = Process {
        command: command(service, findings),
        port: if member.is_web() { member.http_port() } else { None },
        replicas: service.deploy.replicas.filter(|replicas| *replicas != 1),
        memory,
        cpu,
        stop_grace: service.stop_grace,
        autoscale: member.labels.autoscale.clone(),
        live: member.labels.live.clone(),
        ..Process::default()
    };
    match &service.health {
        Some(Health::Probes(startup, ready)) => {
            process.startup = startup.as_deref().cloned();
            process.ready = Some((**ready).clone());
            if member.labels.is_healed {
                process.live = Some(Probe { deadline: None, ..(**ready).clone() });
            }
        }
        Some(Health::Off) if member.is_web() => {
            draft.remark(&section, "The image's own health check is not to be asked.");
            process.ready = Some(Probe::new(Ask::Tcp));
        }
        Some(Health::Off) => {
            let text = format!("that the image's own health check of `{}` is off", service.name);
            findings.lost(&service.at, text, "`ready` of its [process] table may ask something else");
        }
        None => {}
    }
    if let Some(ready) = &member.labels.ready {
        process.ready = Some(ready.clone());
    }
    restart(service, findings);
    process
}

/// The words of a command as somebody would write them.
pub(super) fn line(words: &[String]) -> Command {
    let line = Command::Line(words.join(" "));
    // A line of plain words means just these words.
    if line.argv() == words { line } else { Command::Args(words.to_vec()) }
}

/// The service's command; the image's own when it says none.
pub(super) fn command(service: &Service, findings: &mut Findings) -> Option<Command> {
    for (words, at) in [&service.command, &service.entrypoint].into_iter().flatten() {
        if words.first().is_some_and(|program| program.trim().is_empty()) {
            findings.problem(at, format!("the command of `{}` begins with an empty word", service.name));
        }
    }
    let own: &[String] = service.command.as_ref().map_or(&[], |(words, _)| words);
    let Some((entrypoint, at)) = &service.entrypoint else {
        return (!own.is_empty()).then(|| line(own));
    };
    let words = [entrypoint, own].concat();
    let (text, instead) = if entrypoint.is_empty() {
        (
            format!("the empty `entrypoint` of `{}`", service.name),
            "the image's own stays: build an image without one",
        )
    } else {
        (
            format!("`entrypoint` of `{}`", service.name),
            "it begins `command`, which is right for images without an ENTRYPOINT of their own; else write it in the Dockerfile",
        )
    };
    findings.lost(at, text, instead);
    (!words.is_empty()).then(|| line(&words))
}

/// What ends is started again, always.
fn restart(service: &Service, findings: &mut Findings) {
    let Some((policy, at)) = &service.restart else { return };
    let name = &service.name;
    match policy.split(':').next().unwrap_or_default() {
        "always" | "unless-stopped" | "" => {}
        "no" => {
            let instead =
                "what ends is started again; what is to run once is for `minipaas run`, [release] or [cron]";
            findings.lost(at, format!("`restart: no` of `{name}`"), instead);
        }
        "on-failure" => {
            let instead = "it is started again whatever its exit code is, ever later";
            findings.lost(at, format!("`restart: {policy}` of `{name}`"), instead);
        }
        other => {
            let rule = "use `no`, `always`, `on-failure` or `unless-stopped`";
            findings.problem(at, format!("`restart` of `{name}` is `{other}`; {rule}"));
        }
    }
}
