//! The system's own store: a directory for certificates of the administrator, and a tool that collects them.
//!
//! Distributions differ in paths and in names only, so each is a row of data. Whether a certificate is
//! trusted is read from the bundle that the tool writes and that OpenSSL, curl and most languages read, and
//! not from the directory alone: between the two lies the tool, which may have been interrupted.

use std::ffi::OsStr;
use std::fmt::{self, Write as _};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::tool;
use super::{CaCertificate, Environment, Keeper, Obstacle, Presence, TrustError, contains, need_root};
use crate::file;

/// Everybody must be able to read whom to trust, whatever root's umask.
const CERTIFICATE_MODE: u32 = 0o644;

/// Where tools are, below the root; never `PATH`, which the person behind `sudo` controls.
const TOOL_DIRECTORIES: [&str; 4] = ["usr/sbin", "usr/bin", "sbin", "bin"];

/// How one family of distributions keeps its store.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Distribution {
    name: &'static str,
    /// As in `ID` or `ID_LIKE` of `/etc/os-release`.
    ids: &'static [&'static str],
    anchors: &'static str,
    tool: &'static str,
    on_install: &'static [&'static str],
    on_remove: Removal,
    bundle: &'static str,
    /// What to type when the tool is missing.
    get_tool: &'static str,
    /// What to type when NSS's `certutil` is missing.
    pub(super) get_certutil: &'static str,
}

/// How a store learns that a certificate's file is gone.
#[derive(Debug, PartialEq, Eq)]
enum Removal {
    /// The tool sees it when it is run with these arguments.
    Run(&'static [&'static str]),
    /// The tool has to be told, with a line `!<file>` in a copy of its settings. Debian's otherwise leaves
    /// its links behind, and does not tell its hooks, so that Java would go on trusting the certificate. Its
    /// `--fresh` does not tell them either, and has Java trust whatever else is in the system's store.
    Deselect { settings: &'static str },
}

static DISTRIBUTIONS: [Distribution; 5] = [
    Distribution {
        name: "Debian",
        ids: &["debian", "ubuntu"],
        anchors: "usr/local/share/ca-certificates",
        tool: "update-ca-certificates",
        on_install: &[],
        on_remove: Removal::Deselect { settings: "etc/ca-certificates.conf" },
        bundle: "etc/ssl/certs/ca-certificates.crt",
        get_tool: "apt-get install ca-certificates",
        get_certutil: "apt-get install libnss3-tools",
    },
    Distribution {
        name: "Alpine",
        ids: &["alpine"],
        anchors: "usr/local/share/ca-certificates",
        tool: "update-ca-certificates",
        on_install: &[],
        on_remove: Removal::Run(&[]),
        bundle: "etc/ssl/certs/ca-certificates.crt",
        get_tool: "apk add ca-certificates",
        get_certutil: "apk add nss-tools",
    },
    Distribution {
        name: "Fedora",
        ids: &["fedora", "rhel", "centos"],
        anchors: "etc/pki/ca-trust/source/anchors",
        tool: "update-ca-trust",
        on_install: &["extract"],
        on_remove: Removal::Run(&["extract"]),
        bundle: "etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
        get_tool: "dnf install ca-certificates",
        get_certutil: "dnf install nss-tools",
    },
    Distribution {
        name: "Arch",
        ids: &["arch"],
        anchors: "etc/ca-certificates/trust-source/anchors",
        tool: "trust",
        on_install: &["extract-compat"],
        on_remove: Removal::Run(&["extract-compat"]),
        bundle: "etc/ca-certificates/extracted/tls-ca-bundle.pem",
        get_tool: "pacman -S ca-certificates-utils",
        get_certutil: "pacman -S nss",
    },
    Distribution {
        name: "openSUSE",
        ids: &["opensuse", "suse", "sles"],
        anchors: "etc/pki/trust/anchors",
        tool: "update-ca-certificates",
        on_install: &[],
        on_remove: Removal::Run(&[]),
        bundle: "var/lib/ca-certificates/ca-bundle.pem",
        get_tool: "zypper install ca-certificates",
        get_certutil: "zypper install mozilla-nss-tools",
    },
];

/// The store of the system below a root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SystemStore {
    distribution: &'static Distribution,
    root: PathBuf,
}

impl Distribution {
    /// The family of the system below `env.root`, by its `os-release`; `None` if it is no known one.
    pub(super) fn detect(env: &Environment) -> Option<&'static Self> {
        let text = ["etc/os-release", "usr/lib/os-release"]
            .iter()
            .find_map(|path| fs::read_to_string(env.root.join(path)).ok())?;
        let value = |key: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
            line.unwrap_or_default().trim_matches(['"', '\''])
        };
        // ID first: a derivative that has a row of its own is not taken for what it is like.
        let mut ids = value("ID").split_whitespace().chain(value("ID_LIKE").split_whitespace());
        ids.find_map(|id| DISTRIBUTIONS.iter().find(|distribution| distribution.ids.contains(&id)))
    }
}

impl SystemStore {
    /// The system's store; `None` on a system whose store is not known.
    pub(super) fn detect(env: &Environment) -> Option<Self> {
        Some(Self { distribution: Distribution::detect(env)?, root: env.root.clone() })
    }

    fn anchor(&self, certificate: &CaCertificate) -> PathBuf {
        // Debian and Alpine take `.crt` alone; the others take any name.
        self.root.join(self.distribution.anchors).join(format!("{}.crt", certificate.label()))
    }

    fn tool(&self) -> Option<PathBuf> {
        TOOL_DIRECTORIES
            .iter()
            .map(|directory| self.root.join(directory).join(self.distribution.tool))
            .find(|path| path.is_file())
    }

    /// Runs the tool with settings that say that the certificate is not wanted any more.
    fn update_without(&self, certificate: &CaCertificate, settings: &Path) -> Result<(), TrustError> {
        let mut text = fs::read_to_string(settings)
            .map_err(|source| TrustError::Read { path: settings.to_owned(), source })?;
        let _ = write!(text, "\n!{}.crt\n", certificate.label());
        let path = settings.with_extension("conf.minipaas");
        let write = |source| TrustError::Write { path: path.clone(), source };
        file::replace(&path, CERTIFICATE_MODE, text.as_bytes()).map_err(write)?;
        let updated = self.update([OsStr::new("--certsconf"), path.as_os_str()]);
        fs::remove_file(&path).map_err(write)?;
        updated
    }

    fn update<'a>(&self, arguments: impl IntoIterator<Item = &'a OsStr>) -> Result<(), TrustError> {
        // Whether the tool is there has been asked; if it has gone since, starting it says so.
        let tool = self.tool().unwrap_or_else(|| PathBuf::from(self.distribution.tool));
        tool::run(Command::new(tool).args(arguments), b"").map(drop)
    }
}

impl Keeper for SystemStore {
    fn obstacle_to_changing(&self, env: &Environment) -> Option<Obstacle> {
        let Distribution { tool, get_tool, .. } = self.distribution;
        need_root(env).or_else(|| {
            self.tool().is_none().then(|| Obstacle {
                reason: format!("`{tool}` is not installed"),
                hint: format!("install it with `{get_tool}`"),
            })
        })
    }

    fn look(&self, certificate: &CaCertificate, _env: &Environment) -> Result<Presence, TrustError> {
        let bundle = read(self.root.join(self.distribution.bundle))?.unwrap_or_default();
        let anchor = read(self.anchor(certificate))?;
        let is_in_bundle = contains(&bundle, certificate);
        Ok(match anchor {
            Some(text) if is_in_bundle && text == certificate.pem() => Presence::Trusted,
            Some(_) => Presence::Untrusted,
            None if is_in_bundle => Presence::Untrusted,
            None => Presence::Absent,
        })
    }

    fn install(&self, certificate: &CaCertificate, _env: &Environment) -> Result<(), TrustError> {
        let anchor = self.anchor(certificate);
        let write = |source| TrustError::Write { path: anchor.clone(), source };
        if let Some(directory) = anchor.parent() {
            fs::create_dir_all(directory).map_err(write)?;
        }
        file::replace(&anchor, CERTIFICATE_MODE, certificate.pem().as_bytes()).map_err(write)?;
        self.update(self.distribution.on_install.iter().map(OsStr::new))
    }

    fn remove(&self, certificate: &CaCertificate, _env: &Environment) -> Result<(), TrustError> {
        let path = self.anchor(certificate);
        match fs::remove_file(&path) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                return Err(TrustError::Write { path, source });
            }
            // Even without a file the tool runs: an earlier removal may have been interrupted before that.
            _ => {}
        }
        match self.distribution.on_remove {
            Removal::Run(arguments) => self.update(arguments.iter().map(OsStr::new)),
            Removal::Deselect { settings } => self.update_without(certificate, &self.root.join(settings)),
        }
    }

    fn failure_hint(&self) -> String {
        let Distribution { tool, anchors, .. } = self.distribution;
        format!("see what `{tool}` says when root runs it; the certificate's file is in `/{anchors}`")
    }
}

impl fmt::Display for SystemStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "system store ({})", self.distribution.name)
    }
}

fn read(path: PathBuf) -> Result<Option<String>, TrustError> {
    match fs::read(&path) {
        Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(TrustError::Read { path, source }),
    }
}
