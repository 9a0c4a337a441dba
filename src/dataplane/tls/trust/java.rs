//! Java's own key stores, through the `keytool` beside each.
//!
//! A Java of the distribution follows the system's store, to which its `cacerts` is a link; it is left to that. Others (from a
//! vendor's package, SDKMAN, an IDE) bring a `cacerts` of their own, with a password that everybody knows.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::nss::subdirectories;
use super::tool;
use super::{CaCertificate, Environment, Keeper, Obstacle, Presence, TrustError, contains, need_root};

/// Where the system keeps Javas.
const OF_SYSTEM: [&str; 3] = ["usr/lib/jvm", "usr/java", "Library/Java/JavaVirtualMachines"];
/// Where a person's tools do.
const OF_HOME: [&str; 3] = [".sdkman/candidates/java", ".jdks", "Library/Java/JavaVirtualMachines"];
/// From such a place's entry to the Java in it.
const HOMES: [&str; 2] = ["", "Contents/Home"];
/// From a Java to its key store: since Java 9, and before.
const KEY_STORES: [&str; 2] = ["lib/security/cacerts", "jre/lib/security/cacerts"];
/// What the distributions' own updates write.
const OF_DISTRIBUTION: [&str; 2] = ["etc", "var/lib/ca-certificates"];
/// As every Java is delivered.
const PASSWORD: &str = "changeit";

/// One key store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct JavaStore {
    keytool: PathBuf,
    cacerts: PathBuf,
    /// Whether it is in the home, and so the person's to change.
    is_of_home: bool,
}

impl JavaStore {
    /// Every Java with a key store that nobody else keeps.
    pub(super) fn detect(env: &Environment) -> Vec<Self> {
        let of_system = OF_SYSTEM.iter().map(|path| env.root.join(path));
        let of_home = OF_HOME.iter().map(|path| env.home.join(path));
        let installed = of_system.chain(of_home).flat_map(|place| subdirectories(&place));
        let mut found: Vec<Self> = Vec::new();
        for java in env.java_home.iter().cloned().chain(installed) {
            let store = HOMES.iter().find_map(|home| Self::of(&java.join(home), env));
            // Several names may lead to one.
            found.extend(store.filter(|store| found.iter().all(|other| other.cacerts != store.cacerts)));
        }
        found
    }

    fn of(java: &Path, env: &Environment) -> Option<Self> {
        let keytool = java.join("bin/keytool");
        let cacerts = KEY_STORES.iter().find_map(|path| fs::canonicalize(java.join(path)).ok())?;
        let is_below = |place: &Path| fs::canonicalize(place).is_ok_and(|place| cacerts.starts_with(place));
        if !keytool.is_file() || OF_DISTRIBUTION.iter().any(|place| is_below(&env.root.join(place))) {
            return None;
        }
        Some(Self { keytool, is_of_home: is_below(&env.home), cacerts })
    }

    fn keytool(&self, env: &Environment, operation: &str) -> Command {
        // A program in somebody's home is run as nobody else.
        let mut command =
            if self.is_of_home { tool::as_owner(env, &self.keytool) } else { Command::new(&self.keytool) };
        command.env_remove("JAVA_TOOL_OPTIONS").env_remove("JDK_JAVA_OPTIONS");
        command.arg(operation).arg("-keystore").arg(&self.cacerts).args(["-storepass", PASSWORD]);
        command
    }
}

impl Keeper for JavaStore {
    fn obstacle_to_changing(&self, env: &Environment) -> Option<Obstacle> {
        if self.is_of_home { None } else { need_root(env) }
    }

    fn look(&self, certificate: &CaCertificate, env: &Environment) -> Result<Presence, TrustError> {
        // All of them: asked for one that is not there, it fails, and says why in words that change.
        let listing = tool::run(self.keytool(env, "-list").arg("-rfc"), b"")?;
        Ok(if contains(&listing, certificate) {
            Presence::Trusted
        } else if listing.lines().any(|line| line.ends_with(&format!(": {}", certificate.label()))) {
            Presence::Untrusted
        } else {
            Presence::Absent
        })
    }

    fn install(&self, certificate: &CaCertificate, env: &Environment) -> Result<(), TrustError> {
        let label = certificate.label();
        if self.look(certificate, env)? == Presence::Untrusted {
            self.remove(certificate, env)?;
        }
        let import = ["-noprompt", "-trustcacerts", "-alias", &label];
        tool::run(self.keytool(env, "-importcert").args(import), certificate.pem().as_bytes()).map(drop)
    }

    fn remove(&self, certificate: &CaCertificate, env: &Environment) -> Result<(), TrustError> {
        tool::run(self.keytool(env, "-delete").args(["-alias", &certificate.label()]), b"").map(drop)
    }

    fn failure_hint(&self) -> String {
        format!("if the key store has another password than `{PASSWORD}`, use its `keytool` by hand")
    }
}

impl fmt::Display for JavaStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Java ({})", self.cacerts.display())
    }
}
