//! `minipaas.toml` and `Procfile`: what a project says about itself.
//!
//! [`Source`] holds the files' texts as they were checked in, [`Manifest::parse`] turns them into a value with every default
//! filled in and every rule checked. Nothing else reads the files, and a release keeps its [`Source`], so that the same
//! words always mean the same thing. All problems of a file are reported at once, each with its line ([`ManifestError`]).
//!
//! An empty source is a valid manifest: one `web` process, made from whatever the folder holds.
//!
//! Pure: no I/O, no clock. Whether an image has the port, or a host is free, is decided later, by who can see it.

mod cron;
mod defaults;
mod deploy;
mod link;
mod overrides;
mod port;
mod probes;
mod process;
mod procfile;
mod proxy;
mod quantity;
pub(crate) mod read;
mod references;
mod release;
mod schema;
mod source;
#[cfg(test)]
mod tests;
mod tls;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::autoscale::Autoscale;
use crate::environment::Value;
use crate::name::{AppName, Host, PathPrefix, ProcessType};
use crate::policy::{Policy, ProxyVersion};
use crate::route::Share;

use references::References;

pub use cron::CronJob;
pub use overrides::{Ignored, Overrides, ProxyKeys, RouteName, Settings, is_value, quoted, setting};
pub use probes::{NoSuchProbe, ProbeKind, ProbeSetting, ProbeSettings};
pub use proxy::{example, is_masked, shown};
pub use quantity::{Bytes, MilliCpu, age, cpu, duration, memory, size};
pub(crate) use read::nearest;
pub use release::ReleaseCommand;
pub use source::{FILE_BYTES_MAX, FILES_MAX, Source, WantedFile};

/// The manifest's file name.
pub const MANIFEST_FILE: &str = "minipaas.toml";
/// Where the health-checks API tells of all of its checks together.
pub const HOOTSUITE_PATH: &str = "/status/aggregate";
/// The Procfile's file name.
pub const PROCFILE: &str = "Procfile";

/// A project's description, complete and valid.
#[derive(Debug, Clone, PartialEq)]
pub struct Manifest {
    /// The app's name; `None` leaves it to `--app` or the folder.
    pub app: Option<AppName>,
    /// Where the image comes from.
    pub build: Build,
    /// Environment variables of every process.
    pub env: BTreeMap<String, String>,
    /// Files of every container, by their paths. No manifest names any: they are the secrets of the app's config.
    pub secrets: BTreeMap<String, Value>,
    /// What runs. Never empty: `web` alone when nothing is named.
    pub processes: BTreeMap<ProcessType, Process>,
    /// Routes beyond the app's own `<app>.<domain>`, in the file's order.
    pub routes: Vec<RouteRule>,
    /// How the proxy treats the app's requests.
    pub proxy: Arc<Policy>,
    /// TCP ports that lead to a process as they are, in the file's order.
    pub ports: Vec<PortRule>,
    /// The other apps that this one may call, by the keys of `[link]`; each variable once.
    pub links: Vec<Link>,
    /// How one release takes over from another.
    pub deploy: Deploy,
    /// What is run once for each release, before any of it starts.
    pub release: Option<ReleaseCommand>,
    /// Named volumes, mounted into every process.
    pub volumes: BTreeMap<String, Volume>,
    /// Commands that run at times, by name.
    pub cron: BTreeMap<String, CronJob>,
}

/// `[build]`: at most one of the first three is set.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Build {
    /// A ready image.
    pub image: Option<String>,
    /// A Dockerfile, relative to the folder.
    pub dockerfile: Option<String>,
    /// A folder of static files, relative to the folder.
    pub static_dir: Option<String>,
    /// Static files: answer unknown pages with `index.html`.
    pub spa: bool,
    /// Build arguments.
    pub args: BTreeMap<String, String>,
    /// The stage of a multi-stage Dockerfile.
    pub target: Option<String>,
}

/// `[process.NAME]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Process {
    /// What to run instead of the image's own command; its entry point stays.
    pub command: Option<Command>,
    /// The port that the process listens on; `None`: the image's only exposed one, else 8080.
    pub port: Option<u16>,
    /// How many instances. Default 1.
    pub replicas: u32,
    /// When an instance has started: until then nothing else is asked; `None`: once it runs.
    pub startup: Option<Probe>,
    /// When an instance may receive traffic; `None`: the default for its type.
    pub ready: Option<Probe>,
    /// When an instance is to be restarted; `None`: only when it exits.
    pub live: Option<Probe>,
    /// The memory limit; `None`: none.
    pub memory: Option<Bytes>,
    /// The CPU limit; `None`: none.
    pub cpu: Option<MilliCpu>,
    /// From SIGTERM to SIGKILL. Default 30 s, as Heroku and Kubernetes.
    pub stop_grace: Duration,
    /// By what rule the number of instances changes; `None`: it does not.
    pub autoscale: Option<Autoscale>,
}

/// One entry of `[link]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// The app that may be called.
    pub app: AppName,
    /// The variable that says where it is.
    pub variable: String,
}

/// A command line: one text for a shell, or the arguments as they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// `"npm start"`.
    Line(String),
    /// `["npm", "start"]`.
    Args(Vec<String>),
}

/// `startup`, `ready` and `live`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    /// What is asked.
    pub check: Check,
    /// Between two probes; `None`: [`Probe::INTERVAL_STARTING`] until the first success, [`Probe::INTERVAL_RUNNING`] after it.
    pub interval: Option<Duration>,
    /// For one probe. Default 5 s.
    pub timeout: Duration,
    /// Until the first success. Default 60 s, Heroku's time to bind.
    pub deadline: Duration,
    /// Consecutive failures that make a ready instance unready, or a live one restart. Default 3, as in Kubernetes.
    pub failures: u32,
}

/// What a probe asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Check {
    /// `GET path`: 2xx passes.
    Http {
        /// The path, with its query.
        path: String,
        /// Another port than the process's own.
        port: Option<u16>,
    },
    /// A connection is accepted.
    Tcp {
        /// Another port than the process's own.
        port: Option<u16>,
    },
    /// The command exits with 0 inside the container.
    Command(Command),
    /// The image's own HEALTHCHECK says healthy.
    Docker,
    /// gRPC's own health service (`grpc.health.v1`), over HTTP/2 without TLS, says `SERVING`.
    Grpc {
        /// Which service of the process; `None`: the process as a whole.
        service: Option<String>,
        /// Another port than the process's own.
        port: Option<u16>,
    },
    /// The health-checks API: the status is always 200, and the body says `OK`, `WARN` (which passes) or `CRIT`.
    Hootsuite {
        /// The path of its aggregate. Default [`HOOTSUITE_PATH`].
        path: String,
        /// Another port than the process's own.
        port: Option<u16>,
    },
}

/// `[[route]]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteRule {
    /// The host; `None`: the app's own.
    pub host: Option<Host>,
    /// The path prefix. Default `/`.
    pub path: PathPrefix,
    /// The process type. Default `web`.
    pub process: ProcessType,
    /// Whether the prefix is taken off before the app sees the path. Default false.
    pub strip_prefix: bool,
    /// How the proxy treats its requests: `[proxy]`, with what `[route.proxy]` says instead.
    pub policy: Arc<Policy>,
}

/// `[[port]]`: whoever connects to it reaches the process as if there was nothing between.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortRule {
    /// The port of the box, on all of its addresses.
    pub listen: u16,
    /// The process type. Default `web`.
    pub process: ProcessType,
    /// The port inside the container; `None`: the process's own.
    pub port: Option<u16>,
    /// In which form the app is told the client's address, before the first byte of a connection. Default none.
    pub send_proxy: Option<ProxyVersion>,
    /// Whether a trusted proxy in front says the client's address that way. Default false.
    pub accept_proxy: bool,
    /// How long connections to a replaced instance may last; `None`: [`Deploy::websocket_drain`].
    pub drain: Option<Duration>,
}

/// `[deploy]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deploy {
    /// How long requests on a replaced instance may take to finish. Default 30 s.
    pub drain: Duration,
    /// The same for WebSockets and other upgraded connections. Default 5 min.
    pub websocket_drain: Duration,
    /// Which requests a new release gets at first, beside the one that serves. Default all, at once.
    pub canary: Option<Share>,
    /// After how long a canary takes over by itself, unless it fails clearly more often than the release beside it; then it goes.
    /// Default never: somebody decides.
    pub canary_for: Option<Duration>,
    /// For how long a new release is compared with the one before it; when it fails more often, that one comes back.
    /// Default not at all.
    pub watch_window: Option<Duration>,
}

/// `[volume.NAME]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Volume {
    /// Where it is mounted.
    pub path: String,
}

/// Something worth saying that is no mistake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning(pub String);

/// One broken rule, where it stands, and what to write instead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The file's name.
    pub file: &'static str,
    /// The line, from 1.
    pub line: usize,
    /// What is wrong, with the rule.
    pub message: String,
    /// What to write instead.
    pub hint: Option<String>,
}

/// Everything that is wrong with a [`Source`]; never empty.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", .problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n       "))]
pub struct ManifestError {
    /// In the order of the files, and of their lines.
    pub problems: Vec<Problem>,
}

impl Manifest {
    /// Reads the texts, checks every rule, and fills in every default.
    ///
    /// # Errors
    ///
    /// All problems of both files at once.
    pub fn parse(source: &Source) -> Result<(Self, Vec<Warning>), ManifestError> {
        let mut problems = Vec::new();
        let warnings = Vec::new();
        let toml = source.toml.as_deref().unwrap_or("");
        let mut references = References::new(&source.files);
        let mut manifest = schema::manifest(toml, &mut references, &mut problems);
        if let Some(text) = &source.procfile {
            procfile::merge(text, &mut manifest, &mut problems);
        }
        if manifest.processes.is_empty() {
            manifest.processes.insert(ProcessType::web(), Process::default());
        }
        schema::check_references(&manifest, &references, toml, &mut problems);
        if problems.is_empty() { Ok((manifest, warnings)) } else { Err(ManifestError::new(problems)) }
    }

    /// Reads the texts of an app that is only a route: they may say how requests are treated, and nothing else.
    ///
    /// # Errors
    ///
    /// As [`Manifest::parse`], and for every table that is about what runs.
    pub fn of_routes(source: &Source) -> Result<Self, ManifestError> {
        let mut problems = Vec::new();
        schema::check_routes_alone(source.toml.as_deref().unwrap_or(""), &mut problems);
        match Self::parse(source) {
            Ok((manifest, _)) if problems.is_empty() => Ok(manifest),
            Ok(_) => Err(ManifestError::new(problems)),
            Err(error) => Err(ManifestError::new([problems, error.problems].concat())),
        }
    }
}

impl ManifestError {
    /// These problems, as a person reads the files: not as the tables are read.
    #[must_use]
    pub fn new(mut problems: Vec<Problem>) -> Self {
        problems.sort_by_key(|problem| (problem.file == PROCFILE, problem.line));
        Self { problems }
    }
}

impl Default for Process {
    fn default() -> Self {
        Self {
            command: None,
            port: None,
            replicas: 1,
            startup: None,
            ready: None,
            live: None,
            memory: None,
            cpu: None,
            stop_grace: Duration::from_secs(30),
            autoscale: None,
        }
    }
}

impl Probe {
    /// Between probes of an instance that was never ready, unless the manifest says otherwise.
    pub const INTERVAL_STARTING: Duration = Duration::from_secs(1);
    /// Between probes of a running instance, unless the manifest says otherwise: the period of Kubernetes.
    pub const INTERVAL_RUNNING: Duration = Duration::from_secs(10);

    /// This check with every default.
    #[must_use]
    pub fn new(check: Check) -> Self {
        Self {
            check,
            interval: None,
            timeout: Duration::from_secs(5),
            deadline: Duration::from_secs(60),
            failures: 3,
        }
    }
}

impl Command {
    /// What the container runs: the arguments as they are, or a line's words; a line that needs a shell gets `/bin/sh -c`.
    ///
    /// A line of plain words is run without a shell, so that it also runs in an image that has none, and receives SIGTERM itself.
    #[must_use]
    pub fn argv(&self) -> Vec<String> {
        const SHELL_CHARACTERS: &[char] = &[
            '$', '&', '|', ';', '<', '>', '(', ')', '*', '?', '[', ']', '#', '~', '=', '%', '\\', '"', '\'',
            '`', '!', '{', '}', '\n',
        ];
        match self {
            Self::Args(args) => args.clone(),
            Self::Line(line) if line.contains(SHELL_CHARACTERS) => {
                vec!["/bin/sh".to_owned(), "-c".to_owned(), line.clone()]
            }
            Self::Line(line) => line.split_whitespace().map(str::to_owned).collect(),
        }
    }
}

impl Default for Deploy {
    fn default() -> Self {
        Self {
            drain: Duration::from_secs(30),
            websocket_drain: Duration::from_secs(300),
            canary: None,
            canary_for: None,
            watch_window: None,
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file, self.line, self.message)?;
        self.hint.as_ref().map_or(Ok(()), |hint| write!(f, "; {hint}"))
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line(line) => f.write_str(line),
            Self::Args(args) => f.write_str(&args.join(" ")),
        }
    }
}
