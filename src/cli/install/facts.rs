//! Looks at the machine, or at the image, that minipaas is installed on. Nothing is changed.

use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::Context as _;
use rustix::fs::statvfs;

use super::layout::{HOME, Layout, SERVICE, UNITS, Unit};
use super::plan::{Distribution, Facts, FileState, HomeState, Service};
use super::settings::merge;
use crate::api::client::Client;
use crate::cli::args::InstallArgs;
use crate::cli::failure::{Failure, Kind};
use crate::cli::{Session, engine};
use crate::config::{Env, ServerConfig, ServerFlags};
use crate::port::owner;

/// What the socket units hold.
const PORTS: [u16; 2] = [80, 443];
/// The program that runs, even when its file was replaced meanwhile.
const OURSELVES: &str = "/proc/self/exe";

/// Everything that the plan is made of. Asks the daemon in the home, if there is one.
pub(super) async fn look(
    session: &Session,
    args: &InstallArgs,
    layout: &Layout,
    client: &Client,
) -> Result<Facts, Failure> {
    let wanted = wanted(args)?;
    check_settings(&wanted, layout)?;
    let is_image = layout.is_image();
    let service = service(layout);
    let answering = if is_image { None } else { client.status().await.ok() };
    let by_hand = answering.map(|status| status.pid).filter(|_| service != Service::Runs);
    let is_installed = layout.at(UNITS[0].path()).exists();
    let taken = PORTS.iter().filter_map(|port| Some((*port, owner(*port)?)));
    let taken = taken.filter(|(_, owner)| !is_image && !is_ours(owner, is_installed));
    let text = read(&layout.settings()).map_err(failed)?.unwrap_or_default();
    let settings = String::from_utf8(text)
        .context("it is no text")
        .and_then(|text| merge(&text, &wanted).context("it is no TOML"))
        .with_context(|| format!("cannot change `{}`", layout.settings().display()))
        .map_err(failed)?;
    let program = program().map_err(failed)?;
    Ok(Facts {
        is_image,
        is_root: session.env.is_root,
        distribution: distribution(layout),
        service,
        by_hand,
        taken: taken.collect(),
        disk_free_bytes: disk_free(layout),
        memory_bytes: if is_image { None } else { memory() },
        engine: if is_image { None } else { engine::of_machine(session) },
        binary: compare(&layout.binary(), &program).map_err(failed)?,
        home: home(&layout.home()),
        settings,
        units: units(|unit| {
            compare(&layout.at(unit.path()), unit.text.as_bytes()).is_ok_and(|state| state == FileState::Same)
        }),
        disabled: units(|unit| layout.at(unit.link()).symlink_metadata().is_ok()),
    })
}

/// The program that runs, as bytes.
pub(super) fn program() -> anyhow::Result<Vec<u8>> {
    std::fs::read(OURSELVES).context("cannot read this very program")
}

/// Whether systemd runs the machine, and the service.
pub(super) fn service(layout: &Layout) -> Service {
    if layout.is_image() || !Path::new("/run/systemd/system").exists() {
        return Service::NoSystemd;
    }
    let mut ask = Command::new("systemctl");
    ask.args(["is-active", "--quiet", SERVICE]).stdin(Stdio::null()).stderr(Stdio::null());
    if ask.status().is_ok_and(|status| status.success()) { Service::Runs } else { Service::Stopped }
}

/// The settings that were typed, by key.
fn wanted(args: &InstallArgs) -> Result<Vec<(&'static str, String)>, Failure> {
    let credentials = args.acme_dns_file.as_ref().map(std::path::absolute).transpose();
    let credentials = credentials.context("cannot tell which folder this is").map_err(failed)?;
    let typed = [
        ("domain", args.domain.clone()),
        ("acme_directory", args.acme_directory.clone()),
        ("acme_email", args.acme_email.clone()),
        ("acme_dns", args.acme_dns.clone()),
        ("acme_dns_file", credentials.map(|path| path.display().to_string())),
    ];
    Ok(typed.into_iter().filter_map(|(key, value)| Some((key, value?))).collect())
}

/// The daemon must find valid what it will read; of this shell's variables it knows nothing.
fn check_settings(wanted: &[(&str, String)], layout: &Layout) -> Result<(), Failure> {
    let typed = |key: &str| wanted.iter().find(|(name, _)| *name == key).map(|(_, value)| value.clone());
    let flags = ServerFlags {
        home: Some(layout.home()),
        domain: typed("domain"),
        acme_directory: typed("acme_directory"),
        acme_email: typed("acme_email"),
        acme_dns: typed("acme_dns"),
        acme_dns_file: typed("acme_dns_file"),
        ..ServerFlags::default()
    };
    ServerConfig::resolve(&flags, &Env::default())?;
    Ok(())
}

/// A port that a daemon of ours has, or systemd for it.
fn is_ours(owner: &str, is_installed: bool) -> bool {
    owner.starts_with("`minipaas`") || is_installed && owner.starts_with("`systemd`")
}

fn distribution(layout: &Layout) -> Distribution {
    let text = std::fs::read_to_string(layout.at("/etc/os-release")).unwrap_or_default();
    judge_distribution(&text)
}

fn judge_distribution(os_release: &str) -> Distribution {
    let value = |key: &str| {
        let line = os_release.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
        line.map_or("", |value| value.trim_matches(['"', '\'']))
    };
    let mut names = value("ID_LIKE").split(' ').chain([value("ID")]);
    if names.any(|name| matches!(name, "debian" | "ubuntu")) {
        return Distribution::Known;
    }
    match value("PRETTY_NAME") {
        "" => Distribution::Other("something without `/etc/os-release`".to_owned()),
        name => Distribution::Other(format!("`{name}`")),
    }
}

fn home(path: &Path) -> HomeState {
    match std::fs::metadata(path) {
        Err(_) => HomeState::Missing,
        Ok(metadata) if metadata.permissions().mode() & 0o077 != 0 => HomeState::Open,
        Ok(_) => HomeState::Closed,
    }
}

fn units(is_there: impl Fn(&Unit) -> bool) -> Vec<&'static Unit> {
    UNITS.iter().filter(|unit| !is_there(unit)).collect()
}

fn compare(path: &Path, wanted: &[u8]) -> anyhow::Result<FileState> {
    Ok(match read(path)? {
        None => FileState::Missing,
        Some(bytes) if bytes == wanted => FileState::Same,
        Some(_) => FileState::Other,
    })
}

/// The file's bytes; nothing when there is no file.
fn read(path: &Path) -> anyhow::Result<Option<Vec<u8>>> {
    match std::fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        // Nor when what should be its folder is a file: writing it says that.
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            Ok(None)
        }
        Err(error) => Err(error).with_context(|| format!("cannot read `{}`", path.display())),
    }
}

fn disk_free(layout: &Layout) -> Option<u64> {
    let home = layout.at(HOME);
    let nearest = home.ancestors().find(|dir| dir.exists())?;
    statvfs(nearest).ok().map(|disk| disk.f_bavail.saturating_mul(disk.f_frsize))
}

fn memory() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

fn failed(error: anyhow::Error) -> Failure {
    Failure::new(Kind::Failed, error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distributions_are_known_by_their_family() {
        let check =
            |text: &str, expected: Distribution| assert_eq!(judge_distribution(text), expected, "{text}");
        check("PRETTY_NAME=\"Debian GNU/Linux 12\"\nID=debian\n", Distribution::Known);
        check("ID=ubuntu\nID_LIKE=debian\n", Distribution::Known);
        check("ID=linuxmint\nID_LIKE=\"ubuntu debian\"\n", Distribution::Known);
        check(
            "ID=fedora\nPRETTY_NAME=\"Fedora Linux 43\"\n",
            Distribution::Other("`Fedora Linux 43`".to_owned()),
        );
        check("", Distribution::Other("something without `/etc/os-release`".to_owned()));
    }

    #[test]
    fn ports_of_systemd_are_ours_once_its_units_are() {
        assert!(is_ours("`minipaas` (pid 7)", false));
        assert!(is_ours("`systemd` (pid 1)", true));
        assert!(!is_ours("`systemd` (pid 1)", false));
        assert!(!is_ours("`nginx` (pid 7)", true));
    }
}
