//! What installing comes to, as data: a function of what was found. Pure.
//!
//! [`plan`] has a step for what is not yet as it is to be, and for nothing else; so of an installed box without anything new it
//! makes no steps at all. What keeps it from being carried out is in [`problems`].

use std::fmt;
use std::path::PathBuf;

use super::layout::{BINARY, HOME, SERVICE, Unit};
use super::settings::Merged;
use crate::cli::doctor::{DISK_BYTES_ENOUGH, DISK_BYTES_MIN};
use crate::cli::engine::{CommandLine, EngineAction};

/// Below this a build of an image may find no room.
const MEMORY_BYTES_ENOUGH: u64 = 512 << 20;
const GIB: f64 = (1_u64 << 30) as f64;

/// What was found.
#[derive(Debug, Clone)]
pub(super) struct Facts {
    /// Whether it is for an image: nothing of this machine counts.
    pub(super) is_image: bool,
    pub(super) is_root: bool,
    pub(super) distribution: Distribution,
    pub(super) service: Service,
    /// The process of a daemon that somebody else than systemd started in the home.
    pub(super) by_hand: Option<u32>,
    /// The ports that others have, and who.
    pub(super) taken: Vec<(u16, String)>,
    pub(super) disk_free_bytes: Option<u64>,
    pub(super) memory_bytes: Option<u64>,
    /// What to do about the engine; nothing where one answers.
    pub(super) engine: Option<EngineAction>,
    pub(super) binary: FileState,
    pub(super) home: HomeState,
    pub(super) settings: Merged,
    /// The units whose file is another one, or is not there.
    pub(super) units: Vec<&'static Unit>,
    /// The units that do not start with the machine.
    pub(super) disabled: Vec<&'static Unit>,
}

/// What `/etc/os-release` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Distribution {
    /// Debian, Ubuntu, or one of theirs.
    Known,
    /// Another one, by its name.
    Other(String),
}

/// The service of an installed minipaas.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Service {
    /// systemd does not run here.
    NoSystemd,
    Stopped,
    Runs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FileState {
    Missing,
    Same,
    Other,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum HomeState {
    Missing,
    /// Others than its owner may look into it.
    Open,
    Closed,
}

/// One thing to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// Runs this, so that there is an engine.
    Engine(CommandLine),
    /// Makes the home, or closes it to others.
    Home,
    /// Writes the settings' file.
    Settings(Merged),
    /// Copies the program that runs.
    Binary { is_upgrade: bool },
    /// Writes a unit's file.
    Unit(&'static Unit),
    /// Has a unit start with the machine.
    Enable(&'static Unit),
    /// Ends a daemon that was started by hand, as it has the ports and the home.
    EndByHand(u32),
    /// Runs `systemctl` with these arguments.
    Systemctl(Vec<&'static str>),
    /// Waits until the daemon answers.
    Await,
}

/// What keeps minipaas from being installed.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Problem {
    pub(super) message: String,
    pub(super) hint: String,
}

/// The steps, in their order.
pub(super) fn plan(facts: &Facts) -> Vec<Step> {
    let mut steps = Vec::new();
    if let Some(EngineAction::Run { commands, .. }) = &facts.engine {
        steps.extend(commands.iter().cloned().map(Step::Engine));
    }
    if facts.home != HomeState::Closed {
        steps.push(Step::Home);
    }
    if !facts.settings.changed.is_empty() {
        steps.push(Step::Settings(facts.settings.clone()));
    }
    if facts.binary != FileState::Same {
        steps.push(Step::Binary { is_upgrade: facts.binary == FileState::Other });
    }
    steps.extend(facts.units.iter().copied().map(Step::Unit));
    steps.extend(facts.disabled.iter().copied().map(Step::Enable));
    if facts.is_image || facts.service == Service::NoSystemd {
        return steps;
    }
    let is_other = !steps.iter().all(|step| matches!(step, Step::Engine(_) | Step::Home | Step::Enable(_)));
    if facts.service == Service::Runs && !is_other && facts.by_hand.is_none() {
        return steps;
    }
    steps.extend(facts.by_hand.map(Step::EndByHand));
    steps.push(Step::Systemctl(vec!["daemon-reload"]));
    steps.push(Step::Systemctl(vec!["start", "minipaas-http.socket", "minipaas-https.socket"]));
    // The sockets stay open meanwhile: no connection is refused.
    steps.push(Step::Systemctl(vec!["restart", SERVICE]));
    steps.push(Step::Await);
    steps
}

/// What is in the way, all at once.
pub(super) fn problems(facts: &Facts) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut add = |message: String, hint: &str| problems.push(Problem { message, hint: hint.to_owned() });
    if !facts.is_root && !facts.is_image {
        add("only root may install minipaas".to_owned(), "`sudo minipaas install`");
    }
    if let Distribution::Other(name) = &facts.distribution {
        add(
            format!("`minipaas install` knows Debian and Ubuntu, and this is {name}"),
            "with an engine and systemd, `docs/install.md` says what to copy where",
        );
    }
    for (port, owner) in &facts.taken {
        add(
            format!("port {port} is taken by {owner}"),
            "end what has it, and see that it does not start again",
        );
    }
    if let Some(free) = facts.disk_free_bytes.filter(|free| *free < DISK_BYTES_MIN) {
        add(
            format!("only {:.1} GiB of the disk are free", free as f64 / GIB),
            "1 GiB is needed, and 5 GiB are comfortable",
        );
    }
    if let Some(EngineAction::GiveUp { hints }) = &facts.engine {
        add("there is no Docker, and it cannot be installed from here".to_owned(), &hints.join("; "));
    }
    problems
}

/// What does not keep minipaas from being installed, but is worth knowing.
pub(super) fn warnings(facts: &Facts) -> Vec<String> {
    let mut warnings = Vec::new();
    if let Some(free) =
        facts.disk_free_bytes.filter(|free| (DISK_BYTES_MIN..DISK_BYTES_ENOUGH).contains(free))
    {
        warnings
            .push(format!("only {:.1} GiB of the disk are free: a few builds fill it", free as f64 / GIB));
    }
    if let Some(memory) = facts.memory_bytes.filter(|memory| *memory < MEMORY_BYTES_ENOUGH) {
        warnings.push(format!("the machine has {} MiB of memory: builds may need more", memory >> 20));
    }
    warnings
}

/// What has to be typed where no systemd starts the daemon.
pub(super) fn by_hand(facts: &Facts) -> Option<String> {
    (!facts.is_image && facts.service == Service::NoSystemd)
        .then(|| format!("MINIPAAS_HOME={HOME} {BINARY} server"))
}

/// The file that a step is about.
pub(super) fn path(step: &Step) -> Option<PathBuf> {
    match step {
        Step::Home => Some(HOME.into()),
        Step::Settings(_) => Some(PathBuf::from(HOME).join(crate::config::SERVER_FILE)),
        Step::Binary { .. } => Some(BINARY.into()),
        Step::Unit(unit) => Some(unit.path()),
        Step::Enable(unit) => Some(unit.link()),
        Step::Engine(_) | Step::EndByHand(_) | Step::Systemctl(_) | Step::Await => None,
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = path(self).unwrap_or_default();
        let path = path.display();
        match self {
            Self::Engine(command) => write!(f, "run      {command}"),
            Self::Home => write!(f, "folder   {path}, for root alone"),
            Self::Settings(Merged { changed, .. }) => write!(f, "settings {path}: {}", changed.join(", ")),
            Self::Binary { is_upgrade: false } => write!(f, "program  {path}"),
            Self::Binary { is_upgrade: true } => write!(f, "program  {path}, in place of another version"),
            Self::Unit(_) => write!(f, "unit     {path}"),
            Self::Enable(unit) => write!(f, "enable   {}, with the machine", unit.name),
            Self::EndByHand(pid) => write!(f, "end      the daemon that was started by hand, pid {pid}"),
            Self::Systemctl(args) => write!(f, "run      systemctl {}", args.join(" ")),
            Self::Await => write!(f, "wait     until the daemon answers"),
        }
    }
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::super::layout::UNITS;
    use super::*;

    fn bare() -> Facts {
        Facts {
            is_image: false,
            is_root: true,
            distribution: Distribution::Known,
            service: Service::Stopped,
            by_hand: None,
            taken: Vec::new(),
            disk_free_bytes: Some(20 << 30),
            memory_bytes: Some(2 << 30),
            engine: None,
            binary: FileState::Missing,
            home: HomeState::Missing,
            settings: Merged { text: "domain = \"a.com\"\n".to_owned(), changed: vec!["domain"] },
            units: UNITS.iter().collect(),
            disabled: UNITS.iter().collect(),
        }
    }

    fn installed() -> Facts {
        Facts {
            service: Service::Runs,
            binary: FileState::Same,
            home: HomeState::Closed,
            settings: Merged { text: String::new(), changed: Vec::new() },
            units: Vec::new(),
            disabled: Vec::new(),
            ..bare()
        }
    }

    #[expect(clippy::needless_pass_by_value, reason = "the tables read better")]
    fn check(facts: Facts, expected: Expect) {
        let steps = plan(&facts);
        expected.assert_eq(&steps.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"));
    }

    #[test]
    fn bare_machine_gets_everything() {
        check(
            bare(),
            expect![[r#"
                folder   /var/lib/minipaas, for root alone
                settings /var/lib/minipaas/server.toml: domain
                program  /usr/local/bin/minipaas
                unit     /etc/systemd/system/minipaas-http.socket
                unit     /etc/systemd/system/minipaas-https.socket
                unit     /etc/systemd/system/minipaas.service
                enable   minipaas-http.socket, with the machine
                enable   minipaas-https.socket, with the machine
                enable   minipaas.service, with the machine
                run      systemctl daemon-reload
                run      systemctl start minipaas-http.socket minipaas-https.socket
                run      systemctl restart minipaas.service
                wait     until the daemon answers"#]],
        );
    }

    #[test]
    fn installed_machine_gets_nothing() {
        check(installed(), expect![""]);
        check(Facts { service: Service::NoSystemd, ..installed() }, expect![""]);
    }

    #[test]
    fn upgrade_restarts_the_service_behind_its_sockets() {
        check(
            Facts { binary: FileState::Other, ..installed() },
            expect![[r#"
                program  /usr/local/bin/minipaas, in place of another version
                run      systemctl daemon-reload
                run      systemctl start minipaas-http.socket minipaas-https.socket
                run      systemctl restart minipaas.service
                wait     until the daemon answers"#]],
        );
    }

    #[test]
    fn daemon_that_was_started_by_hand_makes_room() {
        check(
            Facts { service: Service::Stopped, by_hand: Some(7), ..installed() },
            expect![[r#"
                end      the daemon that was started by hand, pid 7
                run      systemctl daemon-reload
                run      systemctl start minipaas-http.socket minipaas-https.socket
                run      systemctl restart minipaas.service
                wait     until the daemon answers"#]],
        );
    }

    #[test]
    fn nothing_is_started_where_nothing_starts_it() {
        let facts = Facts { service: Service::NoSystemd, ..bare() };
        assert!(!plan(&facts).iter().any(|step| matches!(step, Step::Systemctl(_) | Step::Await)));
        assert_eq!(
            by_hand(&facts).as_deref(),
            Some("MINIPAAS_HOME=/var/lib/minipaas /usr/local/bin/minipaas server")
        );
        let image = Facts { is_image: true, ..bare() };
        assert!(!plan(&image).iter().any(|step| matches!(step, Step::Systemctl(_) | Step::Await)));
        assert_eq!(by_hand(&image), None);
    }

    #[test]
    fn all_that_is_in_the_way_is_said_at_once() {
        let facts = Facts {
            is_root: false,
            distribution: Distribution::Other("`Fedora 43`".to_owned()),
            taken: vec![(80, "`nginx` (pid 7)".to_owned())],
            disk_free_bytes: Some(512 << 20),
            memory_bytes: Some(256 << 20),
            engine: Some(EngineAction::GiveUp { hints: vec!["do it".to_owned()] }),
            ..bare()
        };
        let text =
            problems(&facts).iter().map(|problem| problem.message.clone()).collect::<Vec<_>>().join("\n");
        expect![[r#"
            only root may install minipaas
            `minipaas install` knows Debian and Ubuntu, and this is `Fedora 43`
            port 80 is taken by `nginx` (pid 7)
            only 0.5 GiB of the disk are free
            there is no Docker, and it cannot be installed from here"#]]
        .assert_eq(&text);
        expect!["the machine has 256 MiB of memory: builds may need more"]
            .assert_eq(&warnings(&facts).join("\n"));
        assert!(problems(&bare()).is_empty() && warnings(&bare()).is_empty());
    }
}
