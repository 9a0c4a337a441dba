//! Running a store's own tool: nothing to type into, bounded in time, and quoted when it fails.

use std::convert::Infallible;
use std::io::{Read, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::{Environment, TrustError};

/// `update-ca-certificates` takes seconds on a Raspberry Pi, and runs hooks (Java's key store) after it.
const TOOL_TIME_MAX: Duration = Duration::from_secs(120);
/// The end of the output that goes into an error: where tools say why.
const OUTPUT_CHARS_MAX: usize = 400;
/// Far below the 64 KiB that a pipe holds, so that writing never waits for the tool to read.
const INPUT_BYTES_MAX: usize = 16 * 1024;

/// A command that runs as the home's owner.
pub(super) fn as_owner(env: &Environment, program: &Path) -> Command {
    let mut command = Command::new(program);
    command.env("HOME", &env.home);
    if let Some(owner) = env.owner {
        command.uid(owner.uid).gid(owner.gid);
    }
    command
}

/// Runs `command` with `input` on its standard input, and returns its standard output.
pub(super) fn run(command: &mut Command, input: &[u8]) -> Result<String, TrustError> {
    run_within(command, input, TOOL_TIME_MAX)
}

fn run_within(command: &mut Command, input: &[u8], limit: Duration) -> Result<String, TrustError> {
    assert!(input.len() <= INPUT_BYTES_MAX, "a certificate is a few hundred bytes");
    let tool = PathBuf::from(command.get_program());
    let start = |source| TrustError::Start { tool: tool.clone(), source };
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        // Their messages are read by `look`, and quoted.
        .env("LC_ALL", "C")
        .spawn()
        .map_err(start)?;
    // A tool that ends without reading is judged by its exit status, not by the broken pipe.
    let _ = child.stdin.take().expect("stdin is piped").write_all(input);

    // Threads read both pipes, so that a chatty tool never blocks; the channel closes when both are done.
    let (tx, rx) = mpsc::channel::<Infallible>();
    let out = read_to_end(child.stdout.take().expect("stdout is piped"), tx.clone());
    let err = read_to_end(child.stderr.take().expect("stderr is piped"), tx);
    if let Err(RecvTimeoutError::Timeout) = rx.recv_timeout(limit) {
        let _ = child.kill();
        let _ = child.wait();
        return Err(TrustError::Timeout { tool, limit });
    }
    let status = child.wait().map_err(start)?;
    let out = out.join().expect("reading a pipe does not panic");
    let err = err.join().expect("reading a pipe does not panic");
    if status.success() {
        return Ok(String::from_utf8_lossy(&out).into_owned());
    }
    let printed = if err.is_empty() { out } else { err };
    let printed = String::from_utf8_lossy(&printed);
    let printed = printed.trim();
    let from = printed.char_indices().rev().nth(OUTPUT_CHARS_MAX - 1).map_or(0, |(at, _)| at);
    let output = if printed.is_empty() { status.to_string() } else { printed[from..].to_owned() };
    Err(TrustError::Tool { tool, output })
}

/// Reads all of `pipe` on a thread of its own, which lets go of `done` at the end.
fn read_to_end(mut pipe: impl Read + Send + 'static, done: Sender<Infallible>) -> JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        // What was read before an error is still worth quoting.
        let _ = pipe.read_to_end(&mut bytes);
        drop(done);
        bytes
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(script: &str, input: &[u8], limit: Duration) -> Result<String, TrustError> {
        run_within(Command::new("/bin/sh").args(["-c", script]), input, limit)
    }

    #[test]
    fn input_goes_in_and_output_comes_out() {
        assert_eq!(sh("cat; echo noise >&2", b"text", TOOL_TIME_MAX).unwrap(), "text");
    }

    #[test]
    fn a_failure_quotes_the_end_of_what_the_tool_said() {
        let error = sh("seq 1000 >&2; echo 'no such store' >&2; exit 3", b"", TOOL_TIME_MAX).unwrap_err();
        let message = error.to_string();
        assert!(
            message.starts_with("`/bin/sh` failed: ") && message.ends_with("1000\nno such store"),
            "{message}"
        );
        assert!(message.len() < OUTPUT_CHARS_MAX + 40, "{message}");
    }

    #[test]
    fn a_silent_failure_names_the_exit_status() {
        assert_eq!(
            sh("exit 3", b"", TOOL_TIME_MAX).unwrap_err().to_string(),
            "`/bin/sh` failed: exit status: 3"
        );
    }

    #[test]
    fn a_tool_that_hangs_is_killed() {
        let error = sh("exec sleep 600", b"", Duration::from_millis(50)).unwrap_err();
        assert!(matches!(error, TrustError::Timeout { .. }), "{error}");
    }

    #[test]
    fn a_missing_tool_is_named() {
        let error = run(&mut Command::new("/nonexistent/tool"), b"").unwrap_err();
        assert_eq!(error.to_string(), "cannot run `/nonexistent/tool`");
    }
}
