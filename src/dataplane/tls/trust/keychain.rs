//! The keychain of macOS, through its own `security`: what Safari, Chrome and `curl` ask there.
//!
//! A certificate is in the system's keychain, and trusted by a setting beside it; both are looked at, and both are taken away.
//! The tool takes a certificate to trust by a file's name, so it lies in `/var/run`, where root alone may write, meanwhile.

use std::fmt;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use super::tool;
use super::{CaCertificate, Environment, Keeper, Obstacle, Presence, TrustError, contains, need_root};
use crate::file;

const TOOL: &str = "usr/bin/security";
const KEYCHAIN: &str = "Library/Keychains/System.keychain";
const SCRATCH: &str = "var/run";
/// Nobody else has to read it.
const SCRATCH_MODE: u32 = 0o600;
/// What the tool says, as a failure, where nothing is trusted.
const NO_SETTINGS: &str = "No Trust Settings";

/// The system's keychain below a root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Keychain {
    root: PathBuf,
}

impl Keychain {
    /// The keychain, where there is one.
    pub(super) fn detect(env: &Environment) -> Option<Self> {
        Self::is_there(env).then(|| Self { root: env.root.clone() })
    }

    /// Whether there is one.
    pub(super) fn is_there(env: &Environment) -> bool {
        env.root.join(TOOL).is_file() && env.root.join(KEYCHAIN).is_file()
    }

    fn keychain(&self) -> PathBuf {
        self.root.join(KEYCHAIN)
    }

    fn security(&self, operation: &str) -> Command {
        let mut command = Command::new(self.root.join(TOOL));
        command.arg(operation);
        command
    }

    /// Runs the command with the certificate's file as its last argument.
    fn run_with_file(&self, command: &mut Command, certificate: &CaCertificate) -> Result<(), TrustError> {
        let path = self.root.join(SCRATCH).join(format!("{}.crt", certificate.label()));
        let write = |source| TrustError::Write { path: path.clone(), source };
        file::replace(&path, SCRATCH_MODE, certificate.pem().as_bytes()).map_err(write)?;
        let done = tool::run(command.arg(&path), b"").map(drop);
        fs::remove_file(&path).map_err(write)?;
        done
    }

    /// Whether the certificate is trusted, be it in the keychain or not.
    fn is_set(&self, certificate: &CaCertificate) -> Result<bool, TrustError> {
        match tool::run(self.security("dump-trust-settings").arg("-d"), b"") {
            Ok(settings) => Ok(settings.contains(&certificate.name())),
            Err(TrustError::Tool { output, .. }) if output.contains(NO_SETTINGS) => Ok(false),
            Err(error) => Err(error),
        }
    }
}

impl Keeper for Keychain {
    fn obstacle_to_changing(&self, env: &Environment) -> Option<Obstacle> {
        need_root(env)
    }

    fn look(&self, certificate: &CaCertificate, _env: &Environment) -> Result<Presence, TrustError> {
        let listing =
            tool::run(self.security("find-certificate").args(["-a", "-p"]).arg(self.keychain()), b"")?;
        Ok(match (contains(&listing, certificate), self.is_set(certificate)?) {
            (true, true) => Presence::Trusted,
            (false, false) => Presence::Absent,
            _ => Presence::Untrusted,
        })
    }

    fn install(&self, certificate: &CaCertificate, _env: &Environment) -> Result<(), TrustError> {
        let mut add = self.security("add-trusted-cert");
        add.args(["-d", "-r", "trustRoot", "-p", "ssl", "-k"]).arg(self.keychain());
        self.run_with_file(&mut add, certificate)
    }

    fn remove(&self, certificate: &CaCertificate, _env: &Environment) -> Result<(), TrustError> {
        if self.is_set(certificate)? {
            self.run_with_file(self.security("remove-trusted-cert").arg("-d"), certificate)?;
        }
        let mut delete = self.security("delete-certificate");
        tool::run(delete.arg("-c").arg(certificate.name()).arg(self.keychain()), b"").map(drop)
    }

    fn failure_hint(&self) -> String {
        "open the certificate in Keychain Access, and choose whether to trust it there".to_owned()
    }
}

impl fmt::Display for Keychain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("keychain (macOS)")
    }
}
