//! `minipaas server`: the daemon in the foreground, and its end.
//!
//! The daemon itself is handed in; here its settings are resolved and its log goes to standard error. It is stopped by
//! SIGTERM, since that is how systemd does it, too: there is one way to end, and it drains.

use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use rustix::process::{Pid, Signal};
use tokio::time::Instant;

use super::args::ServerArgs;
use super::failure::{Failure, Kind};
use super::output::Output;
use super::{ServerMain, Session, log_to_stderr};
use crate::api::client::Client;
use crate::config::{Env, ServerConfig, ServerFlags};

/// For requests in flight to finish: the daemon's own limit, and some.
const STOP_TIMEOUT: Duration = Duration::from_secs(90);
/// Between two looks at the process.
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// Runs the daemon until it is told to end.
pub(crate) fn run(args: &ServerArgs, env: &Env, server: ServerMain) -> Result<(), Failure> {
    let flags = ServerFlags {
        home: args.home.clone(),
        http: args.http.clone(),
        https: args.https.clone(),
        http3: args.http3.clone(),
        domain: args.domain.clone(),
        host: args.host.clone(),
        acme_directory: args.acme_directory.clone(),
        acme_root: args.acme_root.clone(),
        acme_email: args.acme_email.clone(),
        acme_eab_file: args.acme_eab_file.clone(),
        acme_dns: args.acme_dns.clone(),
        acme_dns_file: args.acme_dns_file.clone(),
        dns: args.dns.clone(),
        metrics: args.metrics.clone(),
        access_log: args.access_log.clone(),
        trusted_proxies: args.trusted_proxies.clone(),
        client_ip_header: args.client_ip_header.clone(),
        proxy_protocol: args.proxy_protocol.clone(),
    };
    let config = ServerConfig::resolve(&flags, env)?;
    log_to_stderr(&config.log)?;
    if args.detached {
        rustix::process::setsid()
            .context("cannot leave the terminal's session")
            .map_err(|error| Failure::new(Kind::Failed, error))?;
    }
    server(config).map_err(|error| Failure::new(Kind::Failed, error))
}

/// Ends the daemon, and returns when it has ended.
pub(crate) async fn stop(session: &Session) -> Result<(), Failure> {
    end(session.out, &session.local_client()).await
}

/// Ends this daemon, and returns when it has ended.
pub(crate) async fn end(out: Output, client: &Client) -> Result<(), Failure> {
    let pid = client.status().await?.pid;
    let process = i32::try_from(pid).ok().and_then(Pid::from_raw);
    let process = process.ok_or_else(|| Failure::failed(format!("the daemon says that its pid is {pid}")))?;
    rustix::process::kill_process(process, Signal::TERM)
        .with_context(|| format!("cannot end the daemon, pid {pid}"))
        .map_err(|error| Failure::new(Kind::Failed, error))?;
    out.notice(format_args!("the daemon, pid {pid}, finishes its requests"));
    let deadline = Instant::now() + STOP_TIMEOUT;
    while is_running(pid) {
        if Instant::now() >= deadline {
            let message = format!("the daemon, pid {pid}, still runs after {}s", STOP_TIMEOUT.as_secs());
            return Err(Failure::failed(message).hint(format!("`kill -9 {pid}` ends it; nothing is lost")));
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
    out.notice("the daemon has ended; apps go on running in Docker");
    Ok(())
}

/// Whether the process does anything yet: one that nobody has waited for is listed, but has ended.
fn is_running(pid: u32) -> bool {
    let stat = std::fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("stat"));
    // The name before the state may hold anything but is in parentheses.
    let state = |stat: &str| stat.rsplit_once(')')?.1.trim_start().chars().next();
    stat.is_ok_and(|stat| !matches!(state(&stat), Some('Z' | 'X')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processes_that_ended_do_not_run() {
        assert!(is_running(std::process::id()));
        let mut child = std::process::Command::new("true").spawn().expect("a process");
        let pid = child.id();
        // It becomes a zombie now, and is one until it is waited for.
        while is_running(pid) {
            std::thread::yield_now();
        }
        child.wait().expect("an end");
        assert!(!is_running(pid));
    }
}
