//! The `docker` command, for what tests do beside minipaas: they check its work with other means than its own.

use std::{
    io::Write,
    process::{Command, Stdio},
};

/// Runs `docker` and returns its trimmed stdout.
///
/// # Panics
///
/// With its stderr, if it fails.
pub(crate) fn docker<const N: usize>(args: [&str; N]) -> String {
    docker_with_input(args, &[])
}

/// Runs `docker` with `input` on its stdin.
///
/// # Panics
///
/// With its stderr, if it fails.
pub(crate) fn docker_with_input<const N: usize>(args: [&str; N], input: &[u8]) -> String {
    let mut child = Command::new("docker")
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("no `docker` command here; run `tests/prepare`");
    // It reads all its input before it says much, so that neither side waits for the other. Should it end early, its
    // stderr tells more than the broken pipe.
    let written = child.stdin.take().expect("stdin is piped").write_all(input);
    let output = child.wait_with_output().expect("docker can be waited for");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "docker {args:?}: {}\n{stderr}", output.status);
    written.unwrap_or_else(|error| panic!("docker {args:?}: {error}\n{stderr}"));
    String::from_utf8(output.stdout).expect("docker prints UTF-8").trim().to_owned()
}

/// Runs `docker` and tells whether it succeeded.
pub(crate) fn docker_succeeds<const N: usize>(args: [&str; N]) -> bool {
    let output = Command::new("docker").args(args).output();
    output.expect("no `docker` command here; run `tests/prepare`").status.success()
}
