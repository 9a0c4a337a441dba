//! `minipaas trust`: puts a CA's certificate into the trust stores of this machine, and takes it out again.
//!
//! [`stores`] says what is there: the system's own store (Debian, Ubuntu, Alpine, Fedora, RHEL, Arch, openSUSE; the keychain of
//! macOS), which command-line tools use, the NSS databases of Chromium and Firefox, which ask nobody else, and the key stores
//! of Java that do not follow the system's. Each store can look, install and remove; [`status`], [`trust()`] and [`untrust`]
//! go through all of them, and one that cannot be used or fails never keeps the others from being done. Every operation looks
//! first, changes only what is different, and looks again: `Installed` and `Removed` are what was seen, not what was tried. So
//! it can be repeated at will, also after it was killed.
//!
//! Nothing but our own certificate is touched: it is known by its label, `minipaas-<id>`, in every store.
//!
//! Everything blocks, on disks and on the stores' own tools; async callers use `spawn_blocking`. Not here: telling running
//! browsers (they look when they start), and programs with a list of their own (Node, some of Python).

mod environment;
mod error;
mod java;
mod keychain;
mod nss;
mod system;
mod tool;

use std::fmt;

use super::CaCertificate;
use java::JavaStore;
use keychain::Keychain;
use nss::NssDatabase;
use system::SystemStore;

pub use environment::{Environment, Owner};
pub use error::TrustError;

/// A place where programs on this machine look up whom to trust.
#[derive(Debug)]
pub struct Store(Box<dyn Keeper>);

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

/// One kind of store: how to look at it and to change it. Whether that had the effect is [`Store`]'s to find out.
trait Keeper: fmt::Debug + fmt::Display + Send {
    /// What keeps us from looking into the store.
    fn obstacle_to_looking(&self, _env: &Environment) -> Option<Obstacle> {
        None
    }

    /// What keeps us from changing the store.
    fn obstacle_to_changing(&self, env: &Environment) -> Option<Obstacle>;

    fn look(&self, certificate: &CaCertificate, env: &Environment) -> Result<Presence, TrustError>;

    fn install(&self, certificate: &CaCertificate, env: &Environment) -> Result<(), TrustError>;

    fn remove(&self, certificate: &CaCertificate, env: &Environment) -> Result<(), TrustError>;

    /// What to do when it fails.
    fn failure_hint(&self) -> String;
}

/// The stores of this machine and of `env`'s home, the system's first. It only looks.
///
/// Chromium's database is listed even where there is none yet: it is made when a certificate is installed.
pub fn stores(env: &Environment) -> Vec<Store> {
    let mut found: Vec<Box<dyn Keeper>> = Vec::new();
    found.extend(SystemStore::detect(env).map(|store| Box::new(store) as _));
    found.extend(Keychain::detect(env).map(|store| Box::new(store) as _));
    found.extend(NssDatabase::detect(env).into_iter().map(|store| Box::new(store) as _));
    found.extend(JavaStore::detect(env).into_iter().map(|store| Box::new(store) as _));
    found.into_iter().map(Store).collect()
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
        if let Some(obstacle) = store.0.obstacle_to_looking(env) {
            return Ok(obstacle.into());
        }
        Ok(match store.0.look(certificate, env)? {
            Presence::Trusted => Change::AlreadyThere,
            Presence::Untrusted | Presence::Absent => Change::NotThere,
        })
    })
}

impl Store {
    fn install(&self, certificate: &CaCertificate, env: &Environment) -> Result<Change, TrustError> {
        if let Some(obstacle) = self.0.obstacle_to_looking(env) {
            return Ok(obstacle.into());
        }
        if self.0.look(certificate, env)? == Presence::Trusted {
            return Ok(Change::AlreadyThere);
        }
        if let Some(obstacle) = self.0.obstacle_to_changing(env) {
            return Ok(obstacle.into());
        }
        self.0.install(certificate, env)?;
        match self.0.look(certificate, env)? {
            Presence::Trusted => Ok(Change::Installed),
            Presence::Untrusted | Presence::Absent => {
                Err(TrustError::NotInstalled { label: certificate.label() })
            }
        }
    }

    fn remove(&self, certificate: &CaCertificate, env: &Environment) -> Result<Change, TrustError> {
        if let Some(obstacle) = self.0.obstacle_to_looking(env) {
            return Ok(obstacle.into());
        }
        if self.0.look(certificate, env)? == Presence::Absent {
            return Ok(Change::NotThere);
        }
        if let Some(obstacle) = self.0.obstacle_to_changing(env) {
            return Ok(obstacle.into());
        }
        self.0.remove(certificate, env)?;
        match self.0.look(certificate, env)? {
            Presence::Absent => Ok(Change::Removed),
            Presence::Trusted | Presence::Untrusted => {
                Err(TrustError::NotRemoved { label: certificate.label() })
            }
        }
    }
}

impl fmt::Display for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
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
            operation(&store).unwrap_or_else(|error| Change::Failed { error, hint: store.0.failure_hint() });
        Outcome { store, change }
    };
    stores(env).into_iter().map(outcome).collect()
}

/// The obstacle of a store that is root's.
fn need_root(env: &Environment) -> Option<Obstacle> {
    (!env.is_root).then(|| Obstacle {
        reason: "only root may change it".to_owned(),
        hint: "run the same command with `sudo`".to_owned(),
    })
}

/// `text` without white space: tools may write the same base64 with other line ends or lengths.
fn squeezed(text: &str) -> String {
    text.split_whitespace().collect()
}

/// Whether the text of many certificates has this one.
fn contains(text: &str, certificate: &CaCertificate) -> bool {
    squeezed(text).contains(&squeezed(certificate.pem()))
}

#[cfg(test)]
mod tests;
