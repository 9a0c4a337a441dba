//! What is measured, and how a turn of one proxy goes.

use std::net::SocketAddr;
use std::thread;
use std::time::Duration;

use anyhow::Context as _;

use super::Options;
use super::client;
use super::load::{Answered, Ask, Loaders};
use super::peers::{Contender, HOST, Peer, Running};
use super::process;
use super::report::{Report, Sample};
use super::upstream;

/// Routes of a box that has many.
const HOSTS: usize = 10_000;
/// Connections that do nothing.
const IDLE_CONNECTIONS: usize = 5_000;
/// Requests that have a proxy make whatever it makes for its first ones, before its memory is looked at.
const FIRST_CONNECTIONS: usize = 64;
/// One upload.
const UPLOAD_BYTES: usize = 1024 * 1024 * 1024;
/// Before what is counted: caches, idle connections, branch predictors.
const WARM_UP_SECONDS: u64 = 1;
/// To find out how much load is half.
const CALIBRATION_SECONDS: u64 = 2;
/// For memory to come to rest.
const SETTLE: Duration = Duration::from_millis(500);

/// A case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub(crate) enum Case {
    /// Small responses, keep-alive.
    Small,
    /// Responses of 64 KiB, keep-alive.
    #[value(name = "64k")]
    Large,
    /// Small responses over TLS, keep-alive.
    Tls,
    /// The same over HTTP/2.
    H2,
    /// A full TLS 1.3 handshake a request.
    Handshake,
    /// Small responses at half the load that the slowest of minipaas, nginx and HAProxy can bear.
    Half,
    /// minipaas alone: one of 10,000 hosts against one host.
    Hosts,
    /// Memory for 5,000 idle connections.
    Idle,
    /// Memory for an upload of 1 GiB.
    Upload,
}

/// What all turns share.
pub(crate) struct World {
    upstream: SocketAddr,
    loaders: Loaders,
    rounds: usize,
    seconds: u64,
    proxy_core: usize,
    /// Where all that is started may write.
    dir: tempfile::TempDir,
}

// === impl Case ===

impl Case {
    const ALL: [Self; 9] = [
        Self::Small,
        Self::Large,
        Self::Tls,
        Self::H2,
        Self::Handshake,
        Self::Half,
        Self::Hosts,
        Self::Idle,
        Self::Upload,
    ];

    /// Those that were asked for, all by default.
    pub(crate) fn of(wanted: &[Self]) -> Vec<Self> {
        Self::ALL.into_iter().filter(|case| wanted.is_empty() || wanted.contains(case)).collect()
    }

    /// What is printed above its table.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Small => "small: 128 bytes over http, 64 keep-alive connections",
            Self::Large => "64k: 64 KiB over http, 64 keep-alive connections",
            Self::Tls => "tls: 128 bytes over https, HTTP/1.1, 64 keep-alive connections",
            Self::H2 => "h2: 128 bytes over https, HTTP/2, 16 connections with 10 streams each",
            Self::Handshake => "handshake: a full TLS 1.3 handshake and one request, P-256, 8 clients",
            Self::Half => {
                "half: 128 bytes over http, paced at half of what the slowest of our three can bear"
            }
            Self::Hosts => "hosts: small, for one host and for one of 10,000 at random",
            Self::Idle => "idle: 5,000 keep-alive connections after one request each",
            Self::Upload => "upload: 1 GiB in one request over http",
        }
    }

    /// Has every contender take its turn in every round. Who fails is out, and comes back with the reason.
    pub(crate) fn run(
        self,
        world: &World,
        contenders: &[Contender],
        report: &mut Report,
    ) -> Vec<(String, anyhow::Error)> {
        let mut failures = Vec::new();
        let mut contenders = self.contenders(contenders);
        let start =
            |contender: &Contender| contender.start(world.proxy_core, world.upstream, world.dir.path());
        if self.is_about_memory() {
            // What a process once had it may keep: each turn is a new one's.
            for _ in 0..world.rounds {
                contenders.retain(|contender| {
                    let sample = start(contender).and_then(|proxy| self.turn(world, &proxy, 0.0));
                    take(&contender.name, sample, self, report, &mut failures)
                });
            }
            return failures;
        }
        let mut running = Vec::new();
        for contender in &contenders {
            match start(contender) {
                Ok(proxy) => running.push((contender.peer, proxy)),
                Err(error) => failures.push((contender.name.clone(), error)),
            }
        }
        let rate = if self == Self::Half { world.half_load(&running) } else { 0.0 };
        for _ in 0..world.rounds {
            running.retain(|(_, proxy)| {
                let sample = self.turn(world, proxy, rate);
                take(&proxy.name, sample, self, report, &mut failures)
            });
        }
        failures
    }

    fn contenders(self, all: &[Contender]) -> Vec<Contender> {
        if self != Self::Hosts {
            return all.to_vec();
        }
        let ours = all.iter().filter(|contender| contender.peer == Peer::Minipaas);
        ours.flat_map(|contender| [1, HOSTS].map(|hosts| contender.with_hosts(hosts))).collect()
    }

    fn is_about_memory(self) -> bool {
        matches!(self, Self::Idle | Self::Upload)
    }

    fn turn(self, world: &World, proxy: &Running, rate: f64) -> anyhow::Result<Sample> {
        let ports = proxy.ports;
        let http = |path: &str| format!("http://{HOST}:{}/{path}", ports.http.port());
        let https = |path: &str| format!("https://{HOST}:{}/{path}", ports.https.port());
        let wrk = |url: String| world.measure(proxy, |seconds| world.loaders.wrk(&url, seconds, None));
        match self {
            Self::Small => wrk(http("small")),
            Self::Large => wrk(http("64k")),
            Self::Tls => wrk(https("small")),
            Self::H2 => world.measure(proxy, |seconds| world.loaders.h2load(ports.https, Ask::H2, seconds)),
            Self::Handshake => world.measure(proxy, |seconds| client::handshakes(ports.https, seconds)),
            Self::Half => {
                world.measure(proxy, |seconds| world.loaders.h2load(ports.http, Ask::Paced(rate), seconds))
            }
            Self::Hosts => {
                let hosts = Some(proxy.hosts);
                world.measure(proxy, |seconds| world.loaders.wrk(&http("small"), seconds, hosts))
            }
            Self::Idle => {
                let first = client::idle(ports.http, FIRST_CONNECTIONS)?;
                thread::sleep(SETTLE);
                let before = proxy.process.memory();
                let connections = client::idle(ports.http, IDLE_CONNECTIONS)?;
                thread::sleep(SETTLE);
                let after = proxy.process.memory();
                drop((first, connections));
                Ok(Sample::of_memory(after.resident, after.resident.saturating_sub(before.resident)))
            }
            Self::Upload => {
                drop(client::idle(ports.http, FIRST_CONNECTIONS)?);
                let before = proxy.process.memory();
                let cpu = proxy.process.cpu();
                let took = client::upload(ports.http, UPLOAD_BYTES)?;
                let cpu = proxy.process.cpu().saturating_sub(cpu);
                let after = proxy.process.memory();
                let growth = after.peak.saturating_sub(before.resident);
                Ok(Sample { p50: Some(took), cpu: Some(cpu), ..Sample::of_memory(after.resident, growth) })
            }
        }
    }
}

/// Notes what a turn brought; whether the contender goes on.
fn take(
    name: &str,
    sample: anyhow::Result<Sample>,
    case: Case,
    report: &mut Report,
    failures: &mut Vec<(String, anyhow::Error)>,
) -> bool {
    match sample {
        Ok(sample) => {
            report.add(case, name, sample);
            true
        }
        Err(error) => {
            failures.push((name.to_owned(), error));
            false
        }
    }
}

// === impl World ===

impl World {
    /// Starts the upstream and looks for what makes load.
    pub(crate) fn new(options: &Options) -> anyhow::Result<Self> {
        let dir = tempfile::tempdir().context("cannot make a temporary folder")?;
        process::end_on_signals(dir.path().to_owned());
        Ok(Self {
            upstream: upstream::start().context("cannot start the upstream")?,
            loaders: Loaders::find(dir.path().to_owned()),
            rounds: options.rounds,
            seconds: options.seconds,
            proxy_core: options.proxy_core,
            dir,
        })
    }

    /// One turn: warm up, then see what the load costs.
    fn measure(
        &self,
        proxy: &Running,
        load: impl Fn(u64) -> anyhow::Result<Answered>,
    ) -> anyhow::Result<Sample> {
        load(WARM_UP_SECONDS)?;
        let before = proxy.process.cpu();
        let answered = load(self.seconds)?;
        let cpu = proxy.process.cpu().saturating_sub(before);
        #[expect(clippy::cast_precision_loss, reason = "there are not so many requests")]
        let cpu = cpu.div_f64(answered.requests as f64);
        Ok(Sample {
            per_second: Some(answered.per_second),
            p50: Some(answered.p50),
            p99: Some(answered.p99),
            cpu: Some(cpu),
            resident: proxy.process.memory().resident,
            growth: None,
        })
    }

    /// Half of what the slowest of those can bear that are compared at it.
    fn half_load(&self, running: &[(Peer, Running)]) -> f64 {
        let compared = |peer: &Peer| matches!(peer, Peer::Minipaas | Peer::Nginx | Peer::Haproxy);
        let has_compared = running.iter().any(|(peer, _)| compared(peer));
        let rates =
            running.iter().filter(|(peer, _)| !has_compared || compared(peer)).filter_map(|(_, proxy)| {
                let url = format!("http://{HOST}:{}/small", proxy.ports.http.port());
                Some(self.loaders.wrk(&url, CALIBRATION_SECONDS, None).ok()?.per_second)
            });
        let rate = rates.reduce(f64::min).unwrap_or_default() / 2.0;
        println!("  {rate:.0} requests a second");
        rate
    }
}
