//! What is exported: one app, as its box knows it.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use crate::manifest::Manifest;
use crate::name::{AppName, Host, PathPrefix, ReleaseId};

/// An app with the release that serves.
#[derive(Debug, Clone, PartialEq)]
pub struct Subject {
    /// The app.
    pub app: AppName,
    /// The release.
    pub release: ReleaseId,
    /// What was new about it, as the ledger says: `deployed 1f2e3d4c`.
    pub summary: String,
    /// How it runs: the manifest, with what commands have set over it (variables, secrets, limits, number of instances, autoscaling,
    /// `proxy set`).
    pub manifest: Manifest,
    /// The names of those of the manifest's variables whose values nobody is to see.
    pub confidential: BTreeSet<String>,
    /// What runs.
    pub image: Image,
    /// Where it is reached: its own host on the box first, then those that `domains add` has added. Those of `[[route]]` are in
    /// the manifest.
    pub hosts: Vec<Host>,
    /// The jobs of `[cron]` that somebody has suspended.
    pub suspended: BTreeSet<String>,
}

/// An app that is only a route: its upstreams run elsewhere, and stay there.
#[derive(Debug, Clone, PartialEq)]
pub struct External {
    /// The app.
    pub app: AppName,
    /// Where it leads. Never empty.
    pub upstreams: Vec<Upstream>,
    /// Where it is reached: its own host on the box first, then its others. Those of `[[route]]` are in the manifest.
    pub hosts: Vec<Host>,
    /// The path prefix of all of them.
    pub path: PathPrefix,
    /// `[proxy]` and `[[route]]`, with what `proxy set` has said over them.
    pub manifest: Manifest,
}

/// Where an app that is only a route leads; plain HTTP is spoken there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Upstream {
    /// An address.
    Address(SocketAddr),
    /// A name and a port.
    Name(String, u16),
}

/// An image, as the engine that holds it describes it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Image {
    /// What a person calls it: `ghcr.io/x/y:1`, or the tag that the box gave.
    pub reference: String,
    /// Where a cluster finds it, with its digest: `ghcr.io/x/y@sha256:…`; `None` if only the engine has it.
    pub pinned: Option<String>,
    /// The TCP ports that it exposes, ascending.
    pub exposed_ports: Vec<u16>,
    /// The user that its processes run as, as its Dockerfile says: `1000`, `app`, `1000:1000`; empty: root.
    pub user: String,
    /// Its ENTRYPOINT.
    pub entrypoint: Vec<String>,
    /// Its CMD.
    pub command: Vec<String>,
    /// Its HEALTHCHECK.
    pub healthcheck: Option<Healthcheck>,
}

/// A HEALTHCHECK, as Docker keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Healthcheck {
    /// `["CMD", "curl", …]` or `["CMD-SHELL", "curl …"]`.
    pub test: Vec<String>,
    /// Between two of them. Docker's default is 30 s.
    pub interval: Duration,
    /// For one of them. Docker's default is 30 s.
    pub timeout: Duration,
    /// In which failures do not count. Docker's default is none.
    pub start_period: Duration,
    /// How many failures in a row make it unhealthy. Docker's default is 3.
    pub retries: u32,
}
