//! Makes sure that a daemon answers, by starting one in the background if none does.
//!
//! The daemon is this very program, run as `minipaas server` in a session of its own, so that neither Ctrl-C nor the
//! terminal's end reaches it. What it says goes to `daemon.log` in its home. Whoever comes first holds the home's lock, and a
//! second daemon ends at once; so when two commands start one each, the one whose daemon lost goes on waiting for the socket
//! and uses the other's.
//!
//! It does not restart, upgrade or supervise: that is systemd's, where minipaas is installed with it.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::Context as _;
use tokio::time::Instant;

use super::Session;
use super::failure::{Failure, Kind};
use crate::api::client::{Client, ClientError};

/// As the daemon makes it: the group may reach the socket, and the keys have narrower modes of their own.
const HOME_MODE: u32 = 0o750;
/// Where a daemon that runs in the background logs to, in its home.
const LOG_FILE: &str = "daemon.log";
/// From the start to the first answer on the socket.
const START_TIMEOUT: Duration = Duration::from_secs(15);
/// From the end of our own daemon to the first answer of the one that may have been faster.
const RIVAL_TIMEOUT: Duration = Duration::from_secs(5);
/// Between two looks at the socket.
const POLL_INTERVAL: Duration = Duration::from_millis(50);
/// Lines of the log in a failure.
const TAIL_LINES: usize = 15;
/// Bytes of the log that they are taken from.
const TAIL_BYTES: u64 = 16 * 1024;
/// The exit code of a daemon that was given wrong settings: waiting for another one is no use.
const EXIT_USAGE: i32 = 2;

/// A daemon that was started and has not answered yet.
struct Starting {
    child: Child,
    log: PathBuf,
    /// The log's length before.
    log_start: u64,
}

/// A client whose daemon answers. A box elsewhere is not started from here.
pub(crate) async fn ensure(session: &Session) -> Result<Client, Failure> {
    let client = session.client();
    match client.connect().await {
        Ok(()) => return Ok(client),
        Err(error) if session.is_remote() => return Err(error.into()),
        Err(ClientError::Unreachable { ref source, .. }) if is_nobody_there(source) => {}
        Err(error) => return Err(error.into()),
    }
    let starting = Starting::spawn(&session.home)
        .with_context(|| format!("cannot start a daemon in `{}`", session.home.display()))
        .map_err(|error| Failure::new(Kind::Unreachable, error))?;
    session
        .out
        .notice(format_args!("no daemon answers: starting one, which logs to `{}`", starting.log.display()));
    starting.answer(&client).await?;
    Ok(client)
}

fn is_nobody_there(error: &std::io::Error) -> bool {
    matches!(error.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::ConnectionRefused)
}

impl Starting {
    fn spawn(home: &Path) -> anyhow::Result<Self> {
        // Keys and env values are in there.
        DirBuilder::new().recursive(true).mode(HOME_MODE).create(home).context("cannot make the folder")?;
        let log = home.join(LOG_FILE);
        let file = OpenOptions::new().create(true).append(true).mode(0o600).open(&log);
        let file = file.with_context(|| format!("cannot open `{}`", log.display()))?;
        let log_start = file.metadata().map_or(0, |metadata| metadata.len());
        let program = std::env::current_exe().context("cannot tell where this program is")?;
        let child = Command::new(&program)
            .args(["server", "--detached", "--home"])
            .arg(home)
            // Not to keep the project's folder, or the disk it is on, busy.
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(file.try_clone().context("cannot share the log")?)
            .stderr(file)
            .spawn()
            .with_context(|| format!("cannot run `{}`", program.display()))?;
        Ok(Self { child, log, log_start })
    }

    /// Waits for an answer on the socket: ours, or that of a daemon that was faster.
    async fn answer(mut self, client: &Client) -> Result<(), Failure> {
        let mut deadline = Instant::now() + START_TIMEOUT;
        let mut ended = None;
        loop {
            if client.connect().await.is_ok() {
                return Ok(());
            }
            if ended.is_none()
                && let Ok(Some(status)) = self.child.try_wait()
            {
                ended = Some(status);
                if status.code() == Some(EXIT_USAGE) {
                    return Err(self.failure("the daemon could not start"));
                }
                deadline = deadline.min(Instant::now() + RIVAL_TIMEOUT);
            }
            if Instant::now() >= deadline {
                return Err(match ended {
                    Some(status) => self.failure(&format!("the daemon ended at once with {status}")),
                    None => self.failure(&format!(
                        "the daemon was started and did not answer within {}s",
                        START_TIMEOUT.as_secs()
                    )),
                });
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }

    fn failure(&self, message: &str) -> Failure {
        let title = format!("`{}`", self.log.display());
        Failure::unreachable(message)
            .with_log(title, self.tail())
            .hint("`minipaas server` runs it in the foreground; `minipaas doctor` looks for the reason")
    }

    /// The last lines that were logged since the start.
    fn tail(&self) -> Vec<String> {
        let read = || {
            let mut file = File::open(&self.log)?;
            let length = file.metadata()?.len();
            file.seek(SeekFrom::Start(self.log_start.max(length.saturating_sub(TAIL_BYTES))))?;
            let mut bytes = Vec::new();
            file.take(TAIL_BYTES).read_to_end(&mut bytes)?;
            Ok::<_, std::io::Error>(bytes)
        };
        // A log that cannot be read is not what the command failed for.
        let bytes = read().unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes);
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(TAIL_LINES)..].iter().map(ToString::to_string).collect()
    }
}
