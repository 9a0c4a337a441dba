//! Records by a program of the user's, for whatever has no provider here.
//!
//! `HOOK_COMMAND` is called as `COMMAND add NAME VALUE` and `COMMAND remove NAME VALUE`; name and value are also in
//! `MINIPAAS_DNS_NAME` and `MINIPAAS_DNS_VALUE`. Its exit code 0 says that it is done. It has a process group of its own, which is killed
//! when its time is up, and as well when nobody waits for it any more. What it prints on standard output goes nowhere; the end of
//! its standard error is the reason of a failure. No shell is involved. It has the daemon's environment, without the credentials.

use std::ffi::OsStr;
use std::io;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use async_trait::async_trait;
use rustix::process::{Pid, Signal};
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::Command;
use tokio::time::timeout;

use super::credentials::Credentials;
use super::record::Record;
use super::{DnsError, Provider, VARIABLES};

pub(super) const KIND: &str = "hook";
/// For one call.
const TIME_DEFAULT: Duration = Duration::from_secs(120);
const TIME_SECONDS_MAX: u64 = 3600;
/// Of standard error so much is kept, from its end.
const STDERR_BYTES_MAX: usize = 2048;
/// How long standard error is read after the program has ended: a child of it may hold it open.
const STDERR_TIME_MAX: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct Hook {
    command: String,
    time_max: Duration,
}

/// A process group that is killed when this is dropped.
struct Group(Option<Pid>);

// === impl Hook ===

impl Hook {
    pub(super) fn new(credentials: &Credentials<'_>) -> Result<Self, DnsError> {
        let command = credentials.need("HOOK_COMMAND", "/usr/local/bin/dns-hook")?.to_owned();
        let time_max = match credentials.get("HOOK_TIMEOUT") {
            None => TIME_DEFAULT,
            Some(text) => {
                let seconds = text.parse().ok().filter(|seconds| (1..=TIME_SECONDS_MAX).contains(seconds));
                Duration::from_secs(seconds.ok_or_else(|| {
                    credentials.invalid("HOOK_TIMEOUT", "is no number of seconds from 1 to 3600")
                })?)
            }
        };
        Ok(Self { command, time_max })
    }

    async fn run(&self, action: &str, doing: &str, record: &Record) -> Result<(), DnsError> {
        let io_error = |source| DnsError::Io {
            provider: KIND,
            place: self.command.clone(),
            doing: doing.to_owned(),
            source,
        };
        let failed = |reason| DnsError::Failed { provider: KIND, doing: doing.to_owned(), reason };
        let mut command = Command::new(&self.command);
        for (name, _) in std::env::vars_os().filter(|(name, _)| is_withheld(name)) {
            command.env_remove(name);
        }
        let mut child = command
            .args([action, record.name(), record.value()])
            .env("MINIPAAS_DNS_NAME", record.name())
            .env("MINIPAAS_DNS_VALUE", record.value())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(io_error)?;
        let mut group = Group(child.id().and_then(|id| Pid::from_raw(id.cast_signed())));
        let mut stderr = child.stderr.take().expect("it was asked for");

        let mut tail = Vec::new();
        let ended = timeout(self.time_max, wait(&mut child, &mut stderr, &mut tail)).await;
        let status = match ended {
            Ok(status) => status.map_err(io_error)?,
            Err(_) => {
                drop(group);
                let limit = self.time_max.as_secs();
                return Err(failed(format!(
                    "`{}` was killed, as it took longer than {limit} s (`HOOK_TIMEOUT`){}",
                    self.command,
                    said(&tail)
                )));
            }
        };
        // What it has left running may go on.
        group.0 = None;
        if status.success() {
            return Ok(());
        }
        Err(failed(format!("`{}` ended with {status}{}", self.command, said(&tail))))
    }
}

#[async_trait]
impl Provider for Hook {
    fn name(&self) -> &str {
        KIND
    }

    async fn add_txt(&self, name: &str, value: &str) -> Result<(), DnsError> {
        let record = Record::new(name, value)?;
        self.run("add", &record.adding(), &record).await
    }

    async fn remove_txt(&self, name: &str, value: &str) -> Result<(), DnsError> {
        let record = Record::new(name, value)?;
        self.run("remove", &record.removing(), &record).await
    }
}

// === impl Group ===

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            // It may be gone by itself.
            let _ = rustix::process::kill_process_group(group, Signal::KILL);
        }
    }
}

/// What of the environment is the daemon's alone: the credentials that it reads there, and the ways to whoever started it.
fn is_withheld(variable: &OsStr) -> bool {
    let is_credential = |name: &str| VARIABLES.contains(&name) && !name.starts_with("HOOK_");
    let is_of_daemon =
        |name: &str| matches!(name, "CREDENTIALS_DIRECTORY" | "NOTIFY_SOCKET") || name.starts_with("LISTEN_");
    variable.to_str().is_some_and(|name| is_credential(name) || is_of_daemon(name))
}

/// Waits for the end of the program, reading meanwhile, as it would wait for a full pipe.
async fn wait(
    child: &mut tokio::process::Child,
    stderr: &mut (impl AsyncRead + Unpin),
    tail: &mut Vec<u8>,
) -> io::Result<ExitStatus> {
    let status = tokio::select! {
        status = child.wait() => status?,
        () = read(stderr, tail) => return child.wait().await,
    };
    // Past the limit its end is unknown, and what there is will do.
    let _ = timeout(STDERR_TIME_MAX, read(stderr, tail)).await;
    Ok(status)
}

/// Reads to the end and keeps the last of it. Cancel-safe: what was read is kept.
async fn read(stderr: &mut (impl AsyncRead + Unpin), tail: &mut Vec<u8>) {
    let mut chunk = [0; 1024];
    while let Ok(count @ 1..) = stderr.read(&mut chunk).await {
        tail.extend_from_slice(&chunk[..count]);
        tail.drain(..tail.len().saturating_sub(STDERR_BYTES_MAX));
    }
}

/// The last lines, for the end of a sentence.
fn said(tail: &[u8]) -> String {
    let text = String::from_utf8_lossy(tail);
    let lines: Vec<_> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    if lines.is_empty() { String::new() } else { format!(": {}", lines.join(" | ")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_does_not_inherit_the_credentials_of_the_daemon() {
        for name in ["AWS_SECRET_ACCESS_KEY", "RFC2136_TSIG_SECRET", "CREDENTIALS_DIRECTORY", "LISTEN_FDS"] {
            assert!(is_withheld(OsStr::new(name)), "{name}");
        }
        for name in ["PATH", "HOME", "HOOK_TIMEOUT", "HOOK_TOKEN", "MY_PROVIDER_TOKEN"] {
            assert!(!is_withheld(OsStr::new(name)), "{name}");
        }
    }
}
