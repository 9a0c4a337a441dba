//! What no object says: every key of a manifest that has no counterpart, or one that somebody has to see to.
//!
//! The manifest is taken apart here without a rest, so that a new key does not compile until an export knows of it.

use std::collections::BTreeSet;
use std::time::Duration;

use super::config::address;
use super::names::Names;
use super::object::{NoteKind, Sheet};
use super::subject::Subject;
use super::workload::seconds;
use crate::manifest::{CronJob, Deploy, Manifest, Probe, Process, ReleaseCommand};
use crate::name::AppName;
use crate::route::internal_app;

/// Notes what of the app is not in its objects; `subjects` are all that are exported with it.
pub(super) fn note(subject: &Subject, subjects: &[Subject], sheet: &mut Sheet<'_>) {
    let Manifest {
        app: _,     // The subject has the name that it was deployed under.
        build: _,   // The image is what came of it.
        env,        // config
        secrets: _, // config
        processes,  // workload::deployment
        routes: _,  // routing
        proxy: _,   // routing
        ports: _,   // routing
        links: _,   // config; whether the other app is there, below
        deploy,     // workload::deployment, and below
        release,    // workload::job
        volumes: _, // workload::volume
        cron,       // workload::cron
    } = &subject.manifest;
    image(subject, sheet);
    instance(sheet);
    links(subject, subjects, sheet);
    hosts_of_the_box(env.iter().map(|(name, value)| (name.as_str(), value.as_str())), sheet);
    deploys(deploy, sheet);
    let mut times = Vec::new();
    times.extend([("[deploy] drain".to_owned(), deploy.drain)]);
    times.extend(processes.iter().flat_map(|(name, process)| durations(name.as_str(), process)));
    if let Some(ReleaseCommand { command: _, deadline }) = release {
        times.push(("[release] deadline".to_owned(), *deadline));
    }
    for (name, job) in cron {
        let CronJob { schedule: _, command: _, overlap: _, deadline, memory: _, cpu: _, process: _ } = job;
        times.push((format!("[cron.{name}] deadline"), *deadline));
    }
    rounded(&times, sheet);
}

fn image(subject: &Subject, sheet: &mut Sheet<'_>) {
    if subject.image.pinned.is_none() {
        let text = format!(
            "`{}` is on the box's engine alone, where no cluster can pull it: export with `--push --registry HOST/PATH`",
            subject.image.reference
        );
        sheet.note(NoteKind::Todo, "image", text);
    }
}

fn instance(sheet: &mut Sheet<'_>) {
    let text = "is the pod's name, such as `shop-6d5f7c9b8d-x2x4k`; on the box it is `web.1`, with a number that stays";
    sheet.note(NoteKind::Changed, "MINIPAAS_INSTANCE", text);
}

/// A link leads to a Service that another export makes.
fn links(subject: &Subject, subjects: &[Subject], sheet: &mut Sheet<'_>) {
    for link in &subject.manifest.links {
        let what = format!("[link] {}", link.app);
        let service = Names::of(&link.app).app();
        match subjects.iter().find(|other| other.app == link.app) {
            None => {
                let text = format!(
                    "`{}` is `{}`, and `{}` is not in this export: export it into the same namespace, or set the variable",
                    link.variable,
                    address(&service),
                    link.app
                );
                sheet.note(NoteKind::Todo, what, text);
            }
            Some(other) if !other.manifest.processes.keys().any(crate::name::ProcessType::is_web) => {
                let text = format!(
                    "`{}` has no process type `web`, so nothing answers at `{}`",
                    link.app,
                    address(&service)
                );
                sheet.note(NoteKind::Todo, what, text);
            }
            Some(_) => {}
        }
    }
}

/// `http://billing.internal` is known on the box alone. The value is not told: it may be a secret.
fn hosts_of_the_box<'a>(env: impl Iterator<Item = (&'a str, &'a str)>, sheet: &mut Sheet<'_>) {
    for (name, value) in env {
        let is_host = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.';
        let apps: BTreeSet<AppName> =
            value.split(|c: char| !is_host(c)).filter_map(|host| internal_app(host)?.parse().ok()).collect();
        for app in apps {
            let text = format!(
                "its value names `{app}.internal`, which only the box knows; on the cluster it is `{}`",
                address(&Names::of(&app).app())
            );
            sheet.note(NoteKind::Todo, format!("[env] {name}"), text);
        }
    }
}

fn deploys(deploy: &Deploy, sheet: &mut Sheet<'_>) {
    let Deploy { drain: _, websocket_drain: _, canary, canary_for: _, watch_window } = deploy;
    if let Some(share) = canary {
        let text = format!(
            "a Deployment has no canary ({share} here): a rollout goes on as soon as new pods are ready; Argo Rollouts and Flagger \
             have them"
        );
        sheet.note(NoteKind::Dropped, "[deploy] canary", text);
    }
    if watch_window.is_some() {
        sheet.note(
            NoteKind::Dropped,
            "[deploy] watch_window",
            "a cluster does not go back by itself when a release fails more requests: alert on it, and `kubectl rollout undo`",
        );
    }
}

/// The durations of a process type, by their keys.
fn durations(name: &str, process: &Process) -> Vec<(String, Duration)> {
    let Process {
        command: _,
        port: _,
        replicas: _,
        startup,
        ready,
        live,
        memory: _,
        cpu: _,
        stop_grace,
        autoscale: _,
    } = process;
    let mut times = vec![(format!("[process.{name}] stop_grace"), *stop_grace)];
    for (key, probe) in [("startup", startup), ("ready", ready), ("live", live)] {
        let Some(Probe { check: _, interval, timeout, deadline, failures: _ }) = probe else { continue };
        let all = [("interval", *interval), ("timeout", Some(*timeout)), ("deadline", Some(*deadline))];
        let said = all.into_iter().filter_map(|(what, time)| Some((what, time?)));
        times.extend(said.map(|(what, time)| (format!("[process.{name}] {key} {what}"), time)));
    }
    times
}

/// One note for all that have no whole number of seconds.
fn rounded(times: &[(String, Duration)], sheet: &mut Sheet<'_>) {
    let is_rounded = |time: Duration| time.subsec_nanos() > 0;
    let changed: Vec<_> = times
        .iter()
        .filter(|(_, time)| is_rounded(*time))
        .map(|(what, time)| format!("{what} = {time:?} is {} s", seconds(*time)))
        .collect();
    if !changed.is_empty() {
        let text = format!("a cluster counts whole seconds, so they are rounded up: {}", changed.join("; "));
        sheet.note(NoteKind::Changed, "durations", text);
    }
}
