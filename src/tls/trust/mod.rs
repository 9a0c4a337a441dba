//! `minipaas trust`: puts a CA's certificate into the trust stores of this machine, and takes it out again.
//!
//! [`stores`] says what is there: the system's own store (Debian, Ubuntu, Alpine, Fedora, RHEL, Arch), which
//! command-line tools use, and the NSS databases of Chromium and Firefox, which ask nobody else. Each store
//! can look, install and remove; [`status`], [`trust()`] and [`untrust`] go through all of them, and one that
//! cannot be used or fails never keeps the others from being done. Every operation looks first, changes only
//! what is different, and looks again: `Installed` and `Removed` are what was seen, not what was tried. So
//! it can be repeated at will, also after it was killed.
//!
//! Nothing but our own certificate is touched: it is known by its label, `minipaas-<id>`, in every store.
//!
//! Everything blocks, on disks and on the stores' own tools; async callers use `spawn_blocking`. Not here:
//! the keychain of macOS, telling running browsers (they look when they start), and programs with a list of
//! their own (Node, some of Python; Java's follows the system's on Debian).

mod environment;
mod nss;
mod system;
mod tool;

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use thiserror::Error;

use super::CaCertificate;
use nss::NssDatabase;
use system::SystemStore;

pub use environment::{Environment, Owner};

/// A place where programs on this machine look up whom to trust.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Store(Kind);

/// What became of one store.
#[derive(Debug)]
pub struct Outcome {
    /// Which store.
    pub store: Store,
    /// What was found or done there.
    pub change: Change,
}

/// What was found in a store, or done to it.
#[derive(Debug)]
pub enum Change {
    /// The certificate was not trusted there, and now is.
    Installed,
    /// The certificate is trusted there, and was before.
    AlreadyThere,
    /// The certificate was there, and now is not.
    Removed,
    /// The certificate is not there, and was not before.
    NotThere,
    /// The store cannot be used as things are; nothing was changed.
    Skipped {
        /// What is missing.
        reason: String,
        /// What to type to change that.
        hint: String,
    },
    /// It was tried and did not work.
    Failed {
        /// What went wrong.
        error: TrustError,
        /// What to do about it.
        hint: String,
    },
}

/// Why a store could not be read or changed.
#[derive(Debug, Error)]
pub enum TrustError {
    /// A file of the store cannot be read.
    #[error("cannot read `{}`", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// A file of the store cannot be written or removed.
    #[error("cannot change `{}`", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// A tool of the store cannot be run.
    #[error("cannot run `{}`", tool.display())]
    Start {
        /// The tool.
        tool: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// A tool of the store did not end in time, and was killed.
    #[error("`{}` was still running after {}s and was killed", tool.display(), limit.as_secs())]
    Timeout {
        /// The tool.
        tool: PathBuf,
        /// How long it was given.
        limit: Duration,
    },
    /// A tool of the store reported a failure.
    #[error("`{}` failed: {output}", tool.display())]
    Tool {
        /// The tool.
        tool: PathBuf,
        /// The end of what it printed, or its exit status if it printed nothing.
        output: String,
    },
    /// The store was updated without complaint, and yet it does not trust the certificate.
    #[error("the store was updated and still does not trust `{label}`")]
    NotInstalled {
        /// The certificate's label.
        label: String,
    },
    /// The store was updated without complaint, and yet it trusts the certificate.
    #[error("the store was updated and still trusts `{label}`")]
    NotRemoved {
        /// The certificate's label.
        label: String,
    },
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Kind {
    System(SystemStore),
    Nss(NssDatabase),
}

/// What a store has of the certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Presence {
    Trusted,
    /// Known by our label and yet not trusted: an update was interrupted, or somebody took the trust away.
    Untrusted,
    Absent,
}

/// Why a store cannot be used, for [`Change::Skipped`].
struct Obstacle {
    reason: String,
    hint: String,
}

/// The stores of this machine and of `env`'s home, the system's first. It only looks.
///
/// Chromium's database is listed even where there is none yet: it is made when a certificate is installed.
pub fn stores(env: &Environment) -> Vec<Store> {
    let system = SystemStore::detect(env).map(Kind::System);
    let nss = NssDatabase::detect(env).into_iter().map(Kind::Nss);
    system.into_iter().chain(nss).map(Store).collect()
}

/// Has every store trust `certificate`: `Installed`, `AlreadyThere`, `Skipped` or `Failed`.
pub fn trust(certificate: &CaCertificate, env: &Environment) -> Vec<Outcome> {
    each_store(env, |store| store.install(certificate, env))
}

/// Takes `certificate` out of every store: `Removed`, `NotThere`, `Skipped` or `Failed`.
pub fn untrust(certificate: &CaCertificate, env: &Environment) -> Vec<Outcome> {
    each_store(env, |store| store.remove(certificate, env))
}

/// Says which stores trust `certificate`, changing none: `AlreadyThere`, `NotThere`, `Skipped` or `Failed`.
pub fn status(certificate: &CaCertificate, env: &Environment) -> Vec<Outcome> {
    each_store(env, |store| {
        if let Some(obstacle) = store.obstacle_to_looking(env) {
            return Ok(obstacle.into());
        }
        Ok(match store.look(certificate, env)? {
            Presence::Trusted => Change::AlreadyThere,
            Presence::Untrusted | Presence::Absent => Change::NotThere,
        })
    })
}

impl Store {
    fn install(&self, certificate: &CaCertificate, env: &Environment) -> Result<Change, TrustError> {
        if let Some(obstacle) = self.obstacle_to_looking(env) {
            return Ok(obstacle.into());
        }
        if self.look(certificate, env)? == Presence::Trusted {
            return Ok(Change::AlreadyThere);
        }
        if let Some(obstacle) = self.obstacle_to_changing(env) {
            return Ok(obstacle.into());
        }
        match &self.0 {
            Kind::System(store) => store.install(certificate)?,
            Kind::Nss(database) => database.install(certificate, env)?,
        }
        match self.look(certificate, env)? {
            Presence::Trusted => Ok(Change::Installed),
            Presence::Untrusted | Presence::Absent => {
                Err(TrustError::NotInstalled { label: certificate.label() })
            }
        }
    }

    fn remove(&self, certificate: &CaCertificate, env: &Environment) -> Result<Change, TrustError> {
        if let Some(obstacle) = self.obstacle_to_looking(env) {
            return Ok(obstacle.into());
        }
        if self.look(certificate, env)? == Presence::Absent {
            return Ok(Change::NotThere);
        }
        if let Some(obstacle) = self.obstacle_to_changing(env) {
            return Ok(obstacle.into());
        }
        match &self.0 {
            Kind::System(store) => store.remove(certificate)?,
            Kind::Nss(database) => database.remove(certificate, env)?,
        }
        match self.look(certificate, env)? {
            Presence::Absent => Ok(Change::Removed),
            Presence::Trusted | Presence::Untrusted => {
                Err(TrustError::NotRemoved { label: certificate.label() })
            }
        }
    }

    fn look(&self, certificate: &CaCertificate, env: &Environment) -> Result<Presence, TrustError> {
        match &self.0 {
            Kind::System(store) => store.look(certificate),
            Kind::Nss(database) => database.look(certificate, env),
        }
    }

    fn obstacle_to_looking(&self, env: &Environment) -> Option<Obstacle> {
        match &self.0 {
            Kind::System(_) => None,
            Kind::Nss(database) => database.obstacle_to_looking(env),
        }
    }

    fn obstacle_to_changing(&self, env: &Environment) -> Option<Obstacle> {
        match &self.0 {
            Kind::System(store) => store.obstacle(env),
            Kind::Nss(database) => database.obstacle_to_changing(env),
        }
    }

    fn failure_hint(&self) -> String {
        match &self.0 {
            Kind::System(store) => store.failure_hint(),
            Kind::Nss(database) => database.failure_hint(),
        }
    }
}

impl fmt::Display for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::System(store) => store.fmt(f),
            Kind::Nss(database) => database.fmt(f),
        }
    }
}

impl From<Obstacle> for Change {
    fn from(Obstacle { reason, hint }: Obstacle) -> Self {
        Self::Skipped { reason, hint }
    }
}

fn each_store(env: &Environment, operation: impl Fn(&Store) -> Result<Change, TrustError>) -> Vec<Outcome> {
    let outcome = |store: Store| {
        let change =
            operation(&store).unwrap_or_else(|error| Change::Failed { error, hint: store.failure_hint() });
        Outcome { store, change }
    };
    stores(env).into_iter().map(outcome).collect()
}

#[cfg(test)]
mod tests;
