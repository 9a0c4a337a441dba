//! What to do when there is no engine, as a function of what is known of the machine. Pure.

use std::fmt;

/// What counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct EngineFacts {
    /// `DOCKER_HOST`, when it is set.
    pub(super) docker_host: Option<String>,
    /// What is found at Docker's own socket.
    pub(super) socket: Socket,
    /// Whether `dockerd` is installed.
    pub(super) has_dockerd: bool,
    /// Whether packages are installed with `apt-get`.
    pub(super) has_apt: bool,
    /// Whether it knows any package.
    pub(super) has_apt_lists: bool,
    /// Whether systemd runs the machine.
    pub(super) has_systemd: bool,
    /// What this user may do.
    pub(super) privilege: Privilege,
}

/// What is found at a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Socket {
    /// Somebody takes connections.
    Answers,
    /// It may not be opened.
    Denied,
    /// Nothing.
    Silent,
}

/// What a user may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Privilege {
    /// Everything.
    Root,
    /// Everything, through `sudo`, which may ask for a password.
    Sudo,
    /// Nothing.
    None,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum EngineAction {
    /// These commands, in order.
    Run {
        /// To be asked before, because it changes more than what runs.
        question: Option<&'static str>,
        /// At least one.
        commands: Vec<CommandLine>,
    },
    /// Nothing; a person has to.
    GiveUp {
        /// What to type.
        hints: Vec<String>,
    },
}

/// A program and its arguments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CommandLine {
    pub(crate) argv: Vec<String>,
    /// Whether it goes on in the background.
    pub(crate) is_detached: bool,
}

const DOCTOR: &str = "`minipaas doctor` looks for the reason";

/// Decides what to do about an engine that the daemon cannot reach.
pub(super) fn decide(facts: &EngineFacts) -> EngineAction {
    if let Some(host) = &facts.docker_host {
        return give_up([
            format!("`DOCKER_HOST` is `{host}`: start the engine there, or unset the variable"),
            "the daemon keeps the variable it was started with: `minipaas server --stop` lets it forget"
                .into(),
        ]);
    }
    match facts.socket {
        Socket::Denied => {
            return give_up([
                "you may not use Docker: `sudo usermod -aG docker $USER`, then log out and in again".into(),
                "the daemon has to be restarted to notice: `minipaas server --stop`".into(),
            ]);
        }
        Socket::Answers => return give_up([DOCTOR.to_owned()]),
        Socket::Silent => {}
    }
    let Some(start) = start(facts) else {
        return give_up([by_hand(facts)]);
    };
    if facts.has_dockerd {
        return EngineAction::Run { question: None, commands: vec![start] };
    }
    if !facts.has_apt {
        return give_up([by_hand(facts)]);
    }
    let mut commands = Vec::new();
    if !facts.has_apt_lists {
        commands.push(facts.privileged("apt-get update"));
    }
    commands.push(facts.privileged("apt-get install -y docker.io"));
    commands.push(start);
    EngineAction::Run { question: Some("there is no Docker on this machine: install `docker.io`?"), commands }
}

/// How `dockerd` is started; `None` where this user cannot.
fn start(facts: &EngineFacts) -> Option<CommandLine> {
    match (facts.privilege, facts.has_systemd) {
        (Privilege::Root | Privilege::Sudo, true) => Some(facts.privileged("systemctl start docker")),
        (Privilege::Root, false) => Some(CommandLine { argv: vec!["dockerd".to_owned()], is_detached: true }),
        // A program that `sudo` leaves in the background without a service manager is nobody's.
        (Privilege::Sudo, false) | (Privilege::None, _) => None,
    }
}

fn by_hand(facts: &EngineFacts) -> String {
    let start = if facts.has_systemd { "sudo systemctl start docker" } else { "sudo service docker start" };
    match (facts.has_dockerd, facts.has_apt) {
        (true, _) => format!("Docker is installed and does not run: `{start}`"),
        (false, true) => {
            format!("there is no Docker on this machine: `sudo apt-get install docker.io`, then `{start}`")
        }
        (false, false) => {
            "there is no Docker on this machine: https://docs.docker.com/engine/install says how to install it"
                .to_owned()
        }
    }
}

fn give_up(hints: impl Into<Vec<String>>) -> EngineAction {
    EngineAction::GiveUp { hints: hints.into() }
}

impl EngineFacts {
    fn privileged(&self, line: &str) -> CommandLine {
        let sudo = (self.privilege == Privilege::Sudo).then_some("sudo");
        let argv = sudo.into_iter().chain(line.split(' ')).map(str::to_owned).collect();
        CommandLine { argv, is_detached: false }
    }
}

impl fmt::Display for CommandLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.argv.join(" "))?;
        if self.is_detached { f.write_str(" &") } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;

    /// A Debian machine without Docker, and root on it.
    const BARE: EngineFacts = EngineFacts {
        docker_host: None,
        socket: Socket::Silent,
        has_dockerd: false,
        has_apt: true,
        has_apt_lists: true,
        has_systemd: true,
        privilege: Privilege::Root,
    };

    #[expect(clippy::needless_pass_by_value, reason = "the tables read better")]
    fn check(facts: EngineFacts, expected: Expect) {
        expected.assert_eq(&match decide(&facts) {
            EngineAction::GiveUp { hints } => format!("give up: {}", hints.join("; ")),
            EngineAction::Run { question, commands } => question
                .map(|question| format!("ask: {question}"))
                .into_iter()
                .chain(commands.iter().map(ToString::to_string))
                .collect::<Vec<_>>()
                .join("\n"),
        });
    }

    #[test]
    fn stopped_engine_is_started() {
        let installed = EngineFacts { has_dockerd: true, ..BARE };
        check(installed.clone(), expect!["systemctl start docker"]);
        check(
            EngineFacts { privilege: Privilege::Sudo, ..installed.clone() },
            expect!["sudo systemctl start docker"],
        );
        check(EngineFacts { has_systemd: false, ..installed.clone() }, expect!["dockerd &"]);
        check(
            EngineFacts { privilege: Privilege::None, ..installed.clone() },
            expect!["give up: Docker is installed and does not run: `sudo systemctl start docker`"],
        );
        check(
            EngineFacts { privilege: Privilege::Sudo, has_systemd: false, ..installed },
            expect!["give up: Docker is installed and does not run: `sudo service docker start`"],
        );
    }

    #[test]
    fn missing_engine_is_installed_when_somebody_says_yes() {
        check(
            BARE,
            expect![[r#"
                ask: there is no Docker on this machine: install `docker.io`?
                apt-get install -y docker.io
                systemctl start docker"#]],
        );
        check(
            EngineFacts { has_apt_lists: false, has_systemd: false, ..BARE },
            expect![[r#"
                ask: there is no Docker on this machine: install `docker.io`?
                apt-get update
                apt-get install -y docker.io
                dockerd &"#]],
        );
        check(
            EngineFacts { privilege: Privilege::Sudo, has_apt_lists: false, ..BARE },
            expect![[r#"
                ask: there is no Docker on this machine: install `docker.io`?
                sudo apt-get update
                sudo apt-get install -y docker.io
                sudo systemctl start docker"#]],
        );
    }

    #[test]
    fn what_cannot_be_done_is_said() {
        check(
            EngineFacts { privilege: Privilege::None, ..BARE },
            expect![
                "give up: there is no Docker on this machine: `sudo apt-get install docker.io`, then `sudo systemctl start docker`"
            ],
        );
        check(
            EngineFacts { has_apt: false, ..BARE },
            expect![
                "give up: there is no Docker on this machine: https://docs.docker.com/engine/install says how to install it"
            ],
        );
    }

    #[test]
    fn engine_of_somebody_else_is_left_alone() {
        check(
            EngineFacts { docker_host: Some("tcp://10.0.0.1:2375".to_owned()), has_dockerd: true, ..BARE },
            expect![
                "give up: `DOCKER_HOST` is `tcp://10.0.0.1:2375`: start the engine there, or unset the variable; the daemon keeps the variable it was started with: `minipaas server --stop` lets it forget"
            ],
        );
        check(
            EngineFacts { socket: Socket::Denied, has_dockerd: true, ..BARE },
            expect![
                "give up: you may not use Docker: `sudo usermod -aG docker $USER`, then log out and in again; the daemon has to be restarted to notice: `minipaas server --stop`"
            ],
        );
        check(
            EngineFacts { socket: Socket::Answers, ..BARE },
            expect!["give up: `minipaas doctor` looks for the reason"],
        );
    }
}
