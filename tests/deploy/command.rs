//! A command, started and waited for. What it says goes to files, so that it never waits for its reader.

use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal};
use tempfile::TempDir;
use tokio::time::Instant;

/// Longer than anything takes here, on a machine with other things to do; what hangs fails its test.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
/// Between two looks at a condition of another process, which nothing here could wait for.
pub(crate) const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// A command that goes on. Dropping it kills it.
pub(crate) struct Running {
    child: Child,
    output: TempDir,
}

/// How a command ended.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

// === impl Running ===

impl Running {
    pub(crate) fn of(mut command: Command) -> Self {
        let output = tempfile::tempdir().expect("a temporary directory");
        let file = |name| fs::File::create(output.path().join(name)).expect("a file");
        command.stdin(Stdio::null()).stdout(file("stdout")).stderr(file("stderr"));
        Self { child: command.spawn().expect("the program runs"), output }
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("it is ours").is_none()
    }

    pub(crate) fn stderr(&self) -> String {
        self.read("stderr")
    }

    pub(crate) fn stdout(&self) -> String {
        self.read("stdout")
    }

    /// Waits until it has said this on standard error.
    pub(crate) async fn says(&mut self, text: &str) {
        until(&format!("`{text}` is said"), || {
            let is_running = self.is_running();
            let stderr = self.stderr();
            let is_said = stderr.contains(text);
            assert!(is_said || is_running, "`{text}` was not said:\n{stderr}");
            is_said
        })
        .await;
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).expect("a process id");
        rustix::process::kill_process(pid, signal).expect("it is ours");
    }

    /// Ends it the hard way, at this very moment.
    pub(crate) fn kill(mut self) {
        self.child.kill().expect("it is ours");
        self.child.wait().expect("it ended");
    }

    pub(crate) async fn finish(mut self) -> Run {
        until("the command ends", || !self.is_running()).await;
        let status = self.child.wait().expect("it ended");
        let code = status.code().unwrap_or_else(|| 128 + status.signal().expect("a code or a signal"));
        Run { code, stdout: self.read("stdout"), stderr: self.read("stderr") }
    }

    fn read(&self, name: &str) -> String {
        let bytes = fs::read(self.output.path().join(name)).expect("a file");
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- stderr of {}\n{}", self.child.id(), self.stderr());
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

// === impl Run ===

impl Run {
    #[track_caller]
    pub(crate) fn success(self) -> Self {
        self.ends_with(0)
    }

    #[track_caller]
    pub(crate) fn ends_with(self, code: i32) -> Self {
        assert_eq!(self.code, code, "\n--- stdout\n{}--- stderr\n{}", self.stdout, self.stderr);
        self
    }

    /// Checks that standard output has each of these.
    #[track_caller]
    pub(crate) fn printing(self, texts: &[&str]) -> Self {
        for text in texts {
            assert!(self.stdout.contains(text), "`{text}` is not in:\n{}", self.stdout);
        }
        self
    }

    /// Checks that standard error has each of these.
    #[track_caller]
    pub(crate) fn saying(self, texts: &[&str]) -> Self {
        for text in texts {
            assert!(self.stderr.contains(text), "`{text}` is not in:\n{}", self.stderr);
        }
        self
    }
}

/// Looks again and again until the condition holds.
pub(crate) async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "never: {what}");
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}
