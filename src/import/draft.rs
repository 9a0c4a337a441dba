//! A manifest that is being made, before it has words.
//!
//! It holds what somebody would write, not what that means: a default that nobody said is not there. [`super::write`] gives
//! it its text.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::manifest::{Build, Bytes, Command, MilliCpu};

/// One app: the manifest of a folder, and files that it needs there.
#[derive(Debug, Default)]
pub(super) struct Draft {
    /// Its folder below the output, with no `/` at its end; empty is the output itself.
    pub(super) folder: String,
    pub(super) app: Option<String>,
    pub(super) build: Build,
    pub(super) env: BTreeMap<String, String>,
    pub(super) release: Option<Command>,
    pub(super) processes: BTreeMap<String, Process>,
    pub(super) routes: Vec<Route>,
    pub(super) ports: Vec<Port>,
    /// The app and its variable, by the key in `[link]`.
    pub(super) links: BTreeMap<String, (String, String)>,
    /// Keys and their values as TOML.
    pub(super) proxy: Vec<(&'static str, String)>,
    pub(super) deploy: Vec<(&'static str, String)>,
    /// Where each is mounted.
    pub(super) volumes: BTreeMap<String, String>,
    pub(super) cron: BTreeMap<String, Cron>,
    /// Other files beside the manifest, with their texts.
    pub(super) files: BTreeMap<String, String>,
    /// Why something is as it is, by the section or key that it is about: `process.web`, `env.API_URL`.
    remarks: BTreeMap<String, Vec<String>>,
    /// Whose notes stand in this file.
    pub(super) parts: BTreeSet<String>,
}

/// `[process.NAME]`.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Process {
    pub(super) command: Option<Command>,
    pub(super) port: Option<u16>,
    pub(super) replicas: Option<u32>,
    pub(super) startup: Option<Probe>,
    pub(super) ready: Option<Probe>,
    pub(super) live: Option<Probe>,
    pub(super) memory: Option<Bytes>,
    pub(super) cpu: Option<MilliCpu>,
    pub(super) stop_grace: Option<Duration>,
    /// Keys and their values as TOML.
    pub(super) autoscale: Vec<(&'static str, String)>,
}

/// A probe, with what is said of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Probe {
    pub(super) ask: Ask,
    pub(super) port: Option<u16>,
    pub(super) interval: Option<Duration>,
    pub(super) timeout: Option<Duration>,
    pub(super) deadline: Option<Duration>,
    pub(super) failures: Option<u32>,
}

/// What a probe asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Ask {
    Http(String),
    Tcp,
    Command(Command),
}

/// `[[route]]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Route {
    pub(super) host: Option<String>,
    pub(super) path: Option<String>,
    pub(super) process: String,
    pub(super) strip_prefix: bool,
}

/// `[[port]]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Port {
    pub(super) port: u16,
    pub(super) process: String,
    pub(super) target: u16,
}

/// `[cron.NAME]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Cron {
    pub(super) schedule: String,
    pub(super) command: Command,
}

impl Draft {
    pub(super) fn new(folder: impl Into<String>, app: Option<String>) -> Self {
        Self { folder: folder.into(), app, ..Self::default() }
    }

    /// Has a comment stand above a section or key.
    pub(super) fn remark(&mut self, above: impl Into<String>, text: impl Into<String>) {
        let (remarks, text) = (self.remarks.entry(above.into()).or_default(), text.into());
        if !remarks.contains(&text) {
            remarks.push(text);
        }
    }

    pub(super) fn remarks(&self, above: &str) -> &[String] {
        self.remarks.get(above).map_or(&[], Vec::as_slice)
    }

    /// The process type, made if it is not there.
    pub(super) fn process(&mut self, name: &str) -> &mut Process {
        self.processes.entry(name.to_owned()).or_default()
    }
}

impl Probe {
    /// This question, with nothing else said.
    pub(super) fn new(ask: Ask) -> Self {
        Self { ask, port: None, interval: None, timeout: None, deadline: None, failures: None }
    }
}
