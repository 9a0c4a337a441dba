//! The NSS databases of Chromium and Firefox, through NSS's own `certutil`.
//!
//! Both browsers carry their roots with them and take additional ones from such a database only: one for
//! each user (Chromium and its relatives), one for each profile (Firefox). `certutil` gets the certificate
//! on its standard input and an empty password file, so that it never asks anything at the terminal; a
//! database with a primary password is therefore a failure with a hint.

use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::keychain::Keychain;
use super::system::Distribution;
use super::tool;
use super::{CaCertificate, Environment, Keeper, Obstacle, Presence, TrustError};

/// Trusted to issue certificates of TLS servers, and for nothing else (mail, code).
const TRUST_FLAGS: &str = "C,,";

/// Where Chromium, Chrome and their relatives look; made if there is none.
const CHROMIUM: &str = ".pki/nssdb";

/// Where else they look if it is there: the newer place, and those of snaps and Flatpaks.
const OTHER_CHROMIUM: [&str; 7] = [
    CHROMIUM_NEWER,
    "snap/chromium/current/.pki/nssdb",
    "snap/brave/current/.pki/nssdb",
    ".var/app/org.chromium.Chromium/.pki/nssdb",
    ".var/app/com.google.Chrome/.pki/nssdb",
    ".var/app/com.brave.Browser/.pki/nssdb",
    ".var/app/com.microsoft.Edge/.pki/nssdb",
];

/// Where Chromium looks in a home that was never used by an older one. It prefers the older place, so that must not be made
/// beside this one: what is in this one would be lost.
const CHROMIUM_NEWER: &str = ".local/share/pki/nssdb";

/// Where Firefox keeps profiles: its own place, the newer one, those of snap and Flatpak, and that of macOS.
const FIREFOX: [&str; 6] = [
    ".mozilla/firefox",
    ".config/mozilla/firefox",
    "snap/firefox/common/.mozilla/firefox",
    ".var/app/org.mozilla.firefox/.mozilla/firefox",
    ".var/app/org.mozilla.firefox/config/mozilla/firefox",
    "Library/Application Support/Firefox/Profiles",
];

/// The file that makes a directory an NSS database.
const DATABASE_FILE: &str = "cert9.db";

/// One database, by its directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NssDatabase {
    browser: Browser,
    directory: PathBuf,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Browser {
    Chromium,
    Firefox,
}

impl NssDatabase {
    /// The databases in the home: Chromium's, there or not, and those of Firefox that there are.
    pub(super) fn detect(env: &Environment) -> Vec<Self> {
        let chromium = |path: &str| Self { browser: Browser::Chromium, directory: env.home.join(path) };
        let others: Vec<Self> = OTHER_CHROMIUM.into_iter().map(chromium).filter(Self::exists).collect();
        // On macOS it takes the keychain's word.
        let is_missed = !Keychain::is_there(env) && !chromium(CHROMIUM_NEWER).exists();
        let own = Some(chromium(CHROMIUM)).filter(|database| is_missed || database.exists());
        let profiles = FIREFOX.iter().flat_map(|path| subdirectories(&env.home.join(path)));
        let firefox = profiles.map(|directory| Self { browser: Browser::Firefox, directory });
        own.into_iter().chain(others).chain(firefox.filter(Self::exists)).collect()
    }

    fn exists(&self) -> bool {
        self.directory.join(DATABASE_FILE).is_file()
    }

    fn certutil(&self, env: &Environment, operation: &str) -> Command {
        let certutil = env.certutil.as_deref().unwrap_or(Path::new("certutil"));
        let mut command = tool::as_owner(env, certutil);
        let mut database = OsString::from("sql:");
        database.push(&self.directory);
        command.arg(operation).arg("-d").arg(database);
        command
    }
}

impl Keeper for NssDatabase {
    /// One that does not exist needs no tool to be empty.
    fn obstacle_to_looking(&self, env: &Environment) -> Option<Obstacle> {
        if self.exists() { self.obstacle_to_changing(env) } else { None }
    }

    fn obstacle_to_changing(&self, env: &Environment) -> Option<Obstacle> {
        if env.certutil.is_some() {
            return None;
        }
        let hint = match Distribution::detect(env) {
            Some(distribution) => format!("install it with `{}`", distribution.get_certutil),
            None => "install the tools of NSS, Mozilla's security library".to_owned(),
        };
        Some(Obstacle { reason: "`certutil` is not installed".to_owned(), hint })
    }

    fn look(&self, certificate: &CaCertificate, env: &Environment) -> Result<Presence, TrustError> {
        if !self.exists() {
            return Ok(Presence::Absent);
        }
        let listing = tool::run(self.certutil(env, "-L").args(["-f", "/dev/null"]), b"")?;
        Ok(trust_flags(&listing, &certificate.label()).map_or(Presence::Absent, |flags| {
            let is_trusted = flags.split(',').next().is_some_and(|tls| tls.contains('C'));
            if is_trusted { Presence::Trusted } else { Presence::Untrusted }
        }))
    }

    fn install(&self, certificate: &CaCertificate, env: &Environment) -> Result<(), TrustError> {
        if !self.exists() {
            // As the owner, like all that is written in a home: root would follow any link there.
            tool::run(
                tool::as_owner(env, Path::new("mkdir")).args(["-p", "-m", "700"]).arg(&self.directory),
                b"",
            )?;
            tool::run(self.certutil(env, "-N").arg("--empty-password"), b"")?;
        }
        let label = certificate.label();
        let add = ["-n", &label, "-t", TRUST_FLAGS, "-a", "-f", "/dev/null"];
        tool::run(self.certutil(env, "-A").args(add), certificate.pem().as_bytes()).map(drop).inspect_err(
            // With a primary password it adds the certificate and then fails to trust it.
            |_| drop(self.remove(certificate, env)),
        )
    }

    fn remove(&self, certificate: &CaCertificate, env: &Environment) -> Result<(), TrustError> {
        let label = certificate.label();
        tool::run(self.certutil(env, "-D").args(["-n", &label, "-f", "/dev/null"]), b"").map(drop)
    }

    fn failure_hint(&self) -> String {
        let page = match self.browser {
            Browser::Chromium => "chrome://certificate-manager",
            Browser::Firefox => "about:preferences#privacy",
        };
        format!("if the database has a primary password, do it at `{page}` in the browser")
    }
}

impl fmt::Display for NssDatabase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let browser = match self.browser {
            Browser::Chromium => "Chromium",
            Browser::Firefox => "Firefox",
        };
        write!(f, "{browser} ({})", self.directory.display())
    }
}

/// The directories in `directory`, sorted; none if it cannot be read.
pub(super) fn subdirectories(directory: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(directory) else { return Vec::new() };
    let mut found: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    found.retain(|path| path.is_dir());
    found.sort();
    found
}

/// The flags of one certificate in what `certutil -L` prints: a line each, nickname, spaces, flags.
fn trust_flags<'a>(listing: &'a str, label: &str) -> Option<&'a str> {
    listing.lines().find_map(|line| match line.split_whitespace().collect::<Vec<_>>()[..] {
        [nickname, flags] if nickname == label => Some(flags),
        _ => None,
    })
}
