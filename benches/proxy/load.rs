//! Load from `wrk` and `h2load`, and what they say about it.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;
use std::{fs, str};

use anyhow::{Context as _, ensure};

use super::peers::{self, HOST};
use super::process;

/// Clients of HTTP/1.1.
pub(crate) const CONNECTIONS: usize = 64;
/// Clients of HTTP/2, each with so many streams.
pub(crate) const H2_CONNECTIONS: usize = 16;
pub(crate) const H2_STREAMS: usize = 10;

/// What a load brought.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Answered {
    pub requests: u64,
    pub per_second: f64,
    pub p50: Duration,
    pub p99: Duration,
}

/// The programs that make load.
#[derive(Debug)]
pub(crate) struct Loaders {
    wrk: anyhow::Result<PathBuf>,
    h2load: anyhow::Result<PathBuf>,
    dir: PathBuf,
}

/// How `h2load` asks.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Ask {
    /// HTTP/2, as fast as it is answered.
    H2,
    /// HTTP/1.1 in the clear, at this many requests a second, whatever is answered.
    Paced(f64),
}

impl Loaders {
    /// `dir` is where they may write.
    pub(crate) fn find(dir: PathBuf) -> Self {
        Self { wrk: peers::tool("wrk"), h2load: peers::tool("h2load"), dir }
    }

    /// Keep-alive HTTP/1.1, as fast as it is answered. `hosts` above 1 asks for one of so many at random.
    pub(crate) fn wrk(&self, url: &str, seconds: u64, hosts: Option<usize>) -> anyhow::Result<Answered> {
        let mut command = peers::command(found(&self.wrk, "wrk")?);
        command.args(["-t", "1", "-c", &CONNECTIONS.to_string(), "-d", &format!("{seconds}s"), "--latency"]);
        if let Some(hosts) = hosts {
            let script = self.dir.join("hosts.lua");
            fs::write(&script, include_str!("hosts.lua")).context("cannot write the script of `wrk`")?;
            command.arg("-s").arg(script).args([url, "--", &hosts.to_string()]);
        } else {
            command.arg(url);
        }
        let text = output(&command)?;
        parse_wrk(&text).with_context(|| format!("`wrk` said:\n{text}"))?
    }

    pub(crate) fn h2load(&self, addr: SocketAddr, ask: Ask, seconds: u64) -> anyhow::Result<Answered> {
        let log = self.dir.join("h2load.log");
        let mut command = peers::command(found(&self.h2load, "h2load")?);
        command.args(["-t", "1", "-D", &seconds.to_string(), &format!("--connect-to={addr}")]);
        let scheme = match ask {
            Ask::H2 => {
                command.args(["-c", &H2_CONNECTIONS.to_string(), "-m", &H2_STREAMS.to_string()]);
                "https"
            }
            Ask::Paced(rate) => {
                #[expect(clippy::cast_precision_loss, reason = "it is small")]
                let rate = rate / CONNECTIONS as f64;
                command.args(["--h1", "-c", &CONNECTIONS.to_string(), &format!("--rps={rate:.3}")]);
                "http"
            }
        };
        command.arg("--log-file").arg(&log).arg(format!("{scheme}://{HOST}:{}/small", addr.port()));
        // It does not truncate.
        drop(fs::remove_file(&log));
        let text = output(&command)?;
        parse_h2load(&text, &log, seconds).with_context(|| format!("`h2load` said:\n{text}"))
    }
}

fn found<'p>(program: &'p anyhow::Result<PathBuf>, name: &str) -> anyhow::Result<&'p Path> {
    match program {
        Ok(program) => Ok(program),
        Err(error) => anyhow::bail!("`{name}` is missing: {error:#}"),
    }
}

fn output(command: &Command) -> anyhow::Result<String> {
    let mut command = process::bound(command, None);
    let output = command.stdin(Stdio::null()).output().with_context(|| format!("cannot run {command:?}"))?;
    let error = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{command:?}: {}", error.trim());
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The outer result is whether it could be read, the inner whether every request was answered well.
fn parse_wrk(text: &str) -> anyhow::Result<anyhow::Result<Answered>> {
    let after = |label: &str| {
        let line = text.lines().find_map(|line| line.trim().strip_prefix(label));
        line.map(str::trim).with_context(|| format!("no `{label}`"))
    };
    let count = text.lines().find_map(|line| line.trim().split_once(" requests in ")).context("no count")?;
    let answered = Answered {
        requests: count.0.parse()?,
        per_second: after("Requests/sec:")?.parse()?,
        p50: wrk_time(after("50%")?)?,
        p99: wrk_time(after("99%")?)?,
    };
    let bad = ["Non-2xx or 3xx responses:", "Socket errors:"]
        .into_iter()
        .find_map(|label| Some(format!("{label} {}", after(label).ok()?)));
    Ok(bad.map_or(Ok(answered), |bad| Err(anyhow::anyhow!(bad))))
}

/// `812.00us`, `1.34ms`, `2.10s`.
fn wrk_time(text: &str) -> anyhow::Result<Duration> {
    let end = text.find(|c: char| c.is_alphabetic()).context("a time without a unit")?;
    let seconds = match &text[end..] {
        "us" => 1e-6,
        "ms" => 1e-3,
        "s" => 1.0,
        unit => anyhow::bail!("a time in `{unit}`"),
    };
    Ok(Duration::from_secs_f64(text[..end].parse::<f64>()? * seconds))
}

#[expect(clippy::cast_precision_loss, reason = "there are not so many requests")]
fn parse_h2load(text: &str, log: &Path, seconds: u64) -> anyhow::Result<Answered> {
    // Start, status and duration in microseconds. Requests that were under way at the end are not in it.
    let log = fs::read_to_string(log).context("cannot read its log")?;
    let mut times = Vec::new();
    for line in log.lines() {
        let mut fields = line.split('\t').skip(1);
        let status: u16 = fields.next().context("no status")?.parse()?;
        ensure!(status == 200, "a request was answered with {status}");
        times.push(Duration::from_micros(fields.next().context("no duration")?.parse()?));
    }
    ensure!(!times.is_empty(), "nothing was answered");
    ensure!(text.contains(" 0 failed,") && text.contains(" 0 errored,"), "requests failed");
    times.sort_unstable();
    let at = |percent: usize| times[(times.len() - 1) * percent / 100];
    let requests = times.len() as u64;
    Ok(Answered { requests, per_second: requests as f64 / seconds as f64, p50: at(50), p99: at(99) })
}
