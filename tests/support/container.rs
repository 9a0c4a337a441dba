//! A container that a test starts by itself, without minipaas.

use std::{
    io::{BufRead, BufReader},
    process::{Command, Stdio},
};

use super::docker::{docker, docker_succeeds};

/// A running container, reached at its bridge address. Dropping it removes it.
pub(crate) struct Container {
    id: String,
}

impl Container {
    /// Starts `image` with these variables.
    pub(crate) fn start(image: &str, env: &[&str]) -> Self {
        let env: String = env.iter().map(|var| format!("{var}\n")).collect();
        let file = tempfile::NamedTempFile::new().expect("a temporary file can be made");
        std::fs::write(file.path(), env).expect("a temporary file can be written");
        let path = file.path().to_str().expect("its path is UTF-8");
        let id = docker(["run", "--detach", "--label", "minipaas.testbed=1", "--env-file", path, image]);
        Self { id }
    }

    /// Its address on the default bridge.
    pub(crate) fn addr(&self) -> String {
        docker(["inspect", "--format", "{{.NetworkSettings.IPAddress}}", &self.id])
    }

    /// Waits until it prints a line with `text`, and returns that line.
    ///
    /// # Panics
    ///
    /// If it ends without.
    pub(crate) fn wait_for_line(&self, text: &str) -> String {
        let mut follow = Command::new("docker")
            .args(["logs", "--follow", &self.id])
            .stdout(Stdio::piped())
            .spawn()
            .expect("no `docker` command here; run `tests/prepare`");
        let stdout = BufReader::new(follow.stdout.take().expect("stdout is piped"));
        let found = stdout.lines().map_while(Result::ok).find(|line| line.contains(text));
        drop(follow.kill());
        drop(follow.wait());
        found.unwrap_or_else(|| panic!("the container ended without printing `{text}`"))
    }

    /// Asks it to stop, and returns its exit code.
    pub(crate) fn stop(&self) -> i32 {
        docker(["stop", "--time", "10", &self.id]);
        docker(["wait", &self.id]).parse().expect("an exit code is a number")
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        docker_succeeds(["rm", "--force", "--volumes", &self.id]);
    }
}
