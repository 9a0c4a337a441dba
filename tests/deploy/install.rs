//! `minipaas install` as root on a Debian machine: in a container, where a script stands in for `systemctl`.

use std::path::Path;
use std::process::{Command, Output};

use crate::support::docker::{docker, docker_succeeds};

/// Debian; the tests have it anyway.
const IMAGE: &str = "python:3.13-slim";
/// What systemd would do with the service, and a log of what it was asked.
const SYSTEMCTL: &str = r#"#!/bin/sh
echo "$*" >>/var/log/systemctl
pid=$(cat /run/minipaas.pid 2>/dev/null)
case "$*" in
"is-active "*) [ -n "$pid" ] && kill -0 "$pid" 2>/dev/null ;;
"restart "* | "stop "*)
    if [ -n "$pid" ]; then
        kill "$pid"
        while kill -0 "$pid" 2>/dev/null; do sleep 0.05; done
        rm /run/minipaas.pid
    fi
    case "$*" in "stop "*) exit 0 ;; esac
    MINIPAAS_HOME=/var/lib/minipaas DOCKER_HOST= /usr/local/bin/minipaas server </dev/null >/var/log/minipaas 2>&1 &
    echo $! >/run/minipaas.pid
    ;;
esac
"#;

/// A container that is taken for a machine.
struct Machine(String);

impl Machine {
    /// With the machine's engine, and with the program at `/opt/minipaas`.
    fn start() -> Self {
        let socket = "/var/run/docker.sock:/var/run/docker.sock";
        // `--init` reaps what ends.
        let id = docker([
            "run",
            "--detach",
            "--init",
            "--label",
            "minipaas.testbed=1",
            "--volume",
            socket,
            IMAGE,
            "sleep",
            "infinity",
        ]);
        let machine = Self(id);
        let folder = tempfile::tempdir().expect("a folder");
        let script = folder.path().join("systemctl");
        std::fs::write(&script, SYSTEMCTL).expect("a file");
        machine.copy(Path::new(env!("CARGO_BIN_EXE_minipaas")), "/opt/minipaas");
        machine.copy(&script, "/usr/local/sbin/systemctl");
        machine.sh("chmod +x /usr/local/sbin/systemctl");
        machine
    }

    fn copy(&self, from: &Path, to: &str) {
        docker(["cp", from.to_str().expect("UTF-8"), &format!("{}:{to}", self.0)]);
    }

    fn run(&self, script: &str) -> Output {
        let mut command = Command::new("docker");
        command.args(["exec", &self.0, "sh", "-c", script]).output().expect("`docker` runs")
    }

    /// Its standard output.
    fn sh(&self, script: &str) -> String {
        let output = self.run(script);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "`{script}`: {}\n{stderr}", output.status);
        String::from_utf8(output.stdout).expect("UTF-8")
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        docker_succeeds(["rm", "--force", "--volumes", &self.0]);
    }
}

#[test]
fn machine_becomes_a_box_and_a_machine_again() {
    let machine = Machine::start();
    machine.sh("mkdir -p /run/systemd/system");

    let first = machine.sh("/opt/minipaas install --domain apps.example.com 2>&1");
    assert!(first.contains("is installed; its state is in `/var/lib/minipaas`"), "{first}");
    assert!(first.contains("the first admin's invite, good once"), "{first}");
    assert!(first.contains("let `*.apps.example.com` lead to this machine"), "{first}");
    assert_eq!(
        machine.sh("cat /var/log/systemctl"),
        "is-active --quiet minipaas.service\ndaemon-reload\nstart minipaas-http.socket minipaas-https.socket\n\
         restart minipaas.service\n"
    );
    let status = machine.sh("minipaas status --json");
    assert!(status.contains(r#""domain":"apps.example.com""#), "{status}");
    let pid = machine.sh("cat /run/minipaas.pid");

    let second = machine.sh("minipaas install");
    assert_eq!(second, format!("unchanged: minipaas {} is installed\n", env!("CARGO_PKG_VERSION")));
    assert_eq!(machine.sh("cat /run/minipaas.pid"), pid, "it was not restarted");

    machine.sh("cp /opt/minipaas /tmp/other && echo >>/tmp/other && chmod +x /tmp/other");
    let upgrade = machine.sh("/tmp/other install 2>&1");
    assert!(upgrade.contains("in place of another version"), "{upgrade}");
    assert!(!upgrade.contains("root is the admin"), "that is said once: {upgrade}");
    assert_ne!(machine.sh("cat /run/minipaas.pid"), pid, "it was restarted");
    machine.sh("cmp /tmp/other /usr/local/bin/minipaas");

    machine.sh("minipaas uninstall");
    machine.sh("test ! -e /usr/local/bin/minipaas && test ! -e /etc/systemd/system/minipaas.service");
    machine.sh("test -e /var/lib/minipaas/server.toml");
    let refused = machine.run("/opt/minipaas uninstall --data --yes");
    assert_eq!(refused.status.code(), Some(3), "the daemon alone knows what is the box's");
    machine.sh("/opt/minipaas install && /opt/minipaas uninstall --data --yes");
    machine.sh("test ! -e /var/lib/minipaas");
}

#[test]
fn machine_without_systemd_is_told_what_to_start() {
    let machine = Machine::start();
    let output = machine.sh("/opt/minipaas install 2>&1");
    let start = "MINIPAAS_HOME=/var/lib/minipaas /usr/local/bin/minipaas server";
    assert!(output.contains(&format!("start it yourself: `{start}`")), "{output}");
    machine.sh("test ! -e /var/log/systemctl");
    machine.sh(&format!("({start} >/var/log/minipaas 2>&1 &) && until minipaas status; do sleep 0.1; done"));
    let taken =
        machine.run("python3 -c 'import socket; s=socket.socket(); s.bind((\"\", 81))'; minipaas install");
    assert!(taken.status.success(), "{}", String::from_utf8_lossy(&taken.stderr));
    let uninstalled = machine.sh("minipaas uninstall 2>&1");
    assert!(uninstalled.contains("end      the daemon that was started by hand"), "{uninstalled}");
}

#[test]
fn port_of_somebody_else_is_in_the_way() {
    let machine = Machine::start();
    let listen = "import socket,time; s=socket.socket(); s.bind((\"\", 80)); s.listen(); time.sleep(600)";
    docker(["exec", "--detach", &machine.0, "python3", "-c", listen]);
    machine.sh("until grep -q ' 00000000:0050 ' /proc/net/tcp; do sleep 0.05; done");
    let refused = machine.run("/opt/minipaas install");
    let stderr = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(refused.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("port 80 is taken by `python3` (pid "), "{stderr}");
    machine.sh("test ! -e /var/lib/minipaas");
}
