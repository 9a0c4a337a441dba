//! Which certificates the box has: ordered, renewed and given up without anybody's doing.
//!
//! # Theory of operation
//!
//! One task (`task`) owns every name. It is level-triggered: after each published route table, each order that ended, each
//! command and each moment that something is due, it compares what the routes want ([`Wanted`], pure) with what the vault holds,
//! and starts what is missing. At most one order runs for a name, and ten in all. When to renew and how long to wait
//! after a failure is [`schedule`]'s to say, pure as well.
//!
//! An order (`order`) goes to the authorities one after the other, until one gives a certificate or says what another would say,
//! too. Its key and its URL are stored, sealed, before they are used: after a `kill -9` it is gone on with. The certificate is
//! in the vault, flushed, before the order is forgotten, and the next handshake gets it; connections that are open keep theirs.
//!
//! Names on demand come from handshakes ([`Demand`], which never waits), and are ordered once the app has said yes.
//!
//! It answers no challenge and speaks no ACME, which is [`crate::acme`]'s; it chooses no certificate for a handshake, which is
//! [`crate::tls`]'s.

mod demand;
mod look;
mod name;
mod order;
mod record;
pub mod schedule;
mod task;
#[cfg(test)]
mod tests;
mod view;
mod wanted;

use std::fmt;
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::acme::{Authority, ChallengeKind, Responder};
use crate::clock::WallClock;
use crate::events::Reporter;
use crate::seal::BoxKey;
use crate::store::{Store, StoreError};
use crate::tls::{CertificateId, Chain, Vault, VaultError};
use crate::traffic::Routes;

pub use demand::{AppAsker, Asker};
pub use look::{Elsewhere, Look, SelfCheck};
pub use record::{Millis, NameRecord, OpenOrder, Problem, Renewal};
pub use view::{NameView, Signer, State};
pub use wanted::{Means, OnDemand, Want, Wanted, Wish};

/// Orders that run at the same time.
const ORDERS_MAX: usize = 10;
/// Questions when to renew that are open at the same time.
const CHECKS_MAX: usize = 4;
/// Commands that wait for the task; who has one more waits to give it.
const COMMANDS_MAX: usize = 16;
/// Names that were asked for in handshakes and not looked at yet; more are dropped, and asked for again.
const DEMANDS_MAX: usize = 64;

/// The handle on the certificates; clones share them. When the last is dropped the task ends.
#[derive(Debug, Clone)]
pub struct Certs {
    commands: mpsc::Sender<Command>,
    view: watch::Receiver<Arc<[NameView]>>,
    task: TaskTracker,
    look: Arc<dyn Look>,
}

/// Tells the task which names handshakes ask for; made before it, as handshakes begin before it.
#[derive(Debug, Clone)]
pub struct Demand(mpsc::Sender<String>);

/// What a [`Demand`] tells.
#[derive(Debug)]
pub struct Demanded(mpsc::Receiver<String>);

/// What the task works with.
#[derive(Clone)]
pub struct Parts {
    /// What is remembered.
    pub store: Store,
    /// Where certificates are kept.
    pub vault: Vault,
    /// What seals the keys of orders and accounts.
    pub key: BoxKey,
    /// What is served.
    pub routes: Routes,
    /// What the box can do.
    pub means: Means,
    /// The authorities, the most wanted first.
    pub authorities: Arc<[Arc<dyn Authority>]>,
    /// Answers their challenges.
    pub responder: Arc<dyn Responder>,
    /// The kinds of challenges that it answers, the most wanted first.
    pub kinds: Vec<ChallengeKind>,
    /// Why DNS records cannot be made though they are to prove names; then nothing is ordered, until the daemon starts anew.
    pub no_provider: Option<String>,
    /// Whether a name leads here.
    pub look: Arc<dyn Look>,
    /// Whether a name may be ordered that nobody has listed.
    pub asker: Arc<dyn Asker>,
    /// The time of day.
    pub clock: WallClock,
    /// Hears what became of certificates.
    pub reporter: Reporter,
}

/// Why a command was not obeyed.
#[derive(Debug, thiserror::Error)]
pub enum CertsError {
    /// The vault did not do it.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// The store did not do it.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// No certificate has this name or id.
    #[error("there is no certificate `{0}`")]
    Unknown(String),
    /// Several certificates have this name.
    #[error("{} certificates are for `{name}`; say which, by its id: {}", ids.len(), list(ids))]
    Ambiguous {
        /// What was asked for.
        name: String,
        /// Those that it may be.
        ids: Vec<CertificateId>,
    },
    /// It is not an authority's.
    #[error(
        "`{0}` is not ordered from a certificate authority; `minipaas certs` tells who signs for which name"
    )]
    NotOrdered(String),
    /// It was not added by command.
    #[error("`{0}` is renewed by the box; only certificates that were added can be removed")]
    NotOwn(String),
    /// The daemon ends.
    #[error("the daemon is stopping")]
    Stopping,
}

type Reply<T> = oneshot::Sender<Result<T, CertsError>>;

enum Command {
    Add(Box<Chain>, Reply<CertificateId>),
    Remove(String, Reply<()>),
    Renew(String, Reply<()>),
}

// === impl Certs ===

impl Certs {
    /// Reads what is remembered and starts the task, which ends with `shutdown`.
    ///
    /// # Errors
    ///
    /// When what is remembered cannot be read.
    pub async fn start(
        parts: Parts,
        demanded: Demanded,
        shutdown: CancellationToken,
    ) -> Result<Self, StoreError> {
        let (commands, commands_rx) = mpsc::channel(COMMANDS_MAX);
        let (view_tx, view) = watch::channel(Arc::default());
        let records = parts.store.certificate_names().await?;
        let task = TaskTracker::new();
        let look = Arc::clone(&parts.look);
        task.spawn(task::Task::new(parts, records, view_tx).run(commands_rx, demanded.0, shutdown));
        task.close();
        Ok(Self { commands, view, task, look })
    }

    /// Every name that has or wants a certificate, in the order of names.
    #[must_use]
    pub fn view(&self) -> Arc<[NameView]> {
        Arc::clone(&self.view.borrow())
    }

    /// A receiver that wakes at every change of [`Self::view`].
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<Arc<[NameView]>> {
        self.view.clone()
    }

    /// Waits until the task has ended, and with it every order.
    pub async fn ended(&self) {
        self.task.wait().await;
    }

    /// Finds out whether a name leads here, as is done before one is ordered.
    ///
    /// # Errors
    ///
    /// When it certainly does not.
    pub async fn look(&self, host: &str) -> Result<(), Elsewhere> {
        self.look.look(host).await
    }

    /// Takes a certificate into use that somebody brings.
    ///
    /// # Errors
    ///
    /// When it cannot be kept.
    pub async fn add(&self, chain: Chain) -> Result<CertificateId, CertsError> {
        self.ask(|reply| Command::Add(Box::new(chain), reply)).await
    }

    /// Takes a certificate out of use that somebody brought, by its id or one of its names.
    ///
    /// # Errors
    ///
    /// When there is no such certificate, or it cannot be removed.
    pub async fn remove(&self, which: &str) -> Result<(), CertsError> {
        self.ask(|reply| Command::Remove(which.to_owned(), reply)).await
    }

    /// Orders or renews the certificate of a name now, whatever went wrong before.
    ///
    /// # Errors
    ///
    /// When the name is not ordered from an authority.
    pub async fn renew(&self, name: &str) -> Result<(), CertsError> {
        self.ask(|reply| Command::Renew(name.to_owned(), reply)).await
    }

    async fn ask<T>(&self, command: impl FnOnce(Reply<T>) -> Command) -> Result<T, CertsError> {
        let (reply, answer) = oneshot::channel();
        self.commands.send(command(reply)).await.map_err(|_| CertsError::Stopping)?;
        answer.await.map_err(|_| CertsError::Stopping)?
    }
}

// === impl Demand ===

/// Both ends of the way from handshakes to the task.
#[must_use]
pub fn demand() -> (Demand, Demanded) {
    let (sender, receiver) = mpsc::channel(DEMANDS_MAX);
    (Demand(sender), Demanded(receiver))
}

impl Demand {
    /// Says that a handshake asked for a name that has no certificate of its own. Never waits; what is too much is forgotten,
    /// and asked for again.
    pub fn ask_for(&self, host: &str) {
        let _ = self.0.try_send(host.to_owned());
    }
}

// === impl Parts ===

impl fmt::Debug for Parts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parts").field("authorities", &self.authorities).finish_non_exhaustive()
    }
}

fn list(ids: &[CertificateId]) -> String {
    ids.iter().map(|id| format!("`{id}`")).collect::<Vec<_>>().join(", ")
}
