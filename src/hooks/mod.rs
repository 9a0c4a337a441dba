//! Webhooks: what happens on the box, told to others by http.
//!
//! # Theory of operation
//!
//! A [`Hook`] is a place and the actions that it is told of. Each has a task of its own, which reads the journal from where it
//! was and sends one event after the other, signed. The journal is the queue: nothing is copied, an event is sent only once it
//! is on disk, and after a `kill -9` the hook goes on where it was. What was sent and not noted before a crash is sent again;
//! its number tells.
//!
//! An event that is not taken is tried again, ever later ([`Retry`]), and those after it wait, so that they arrive in order.
//! After [`Retry::attempts_max`] tries or a day it is given up, and the next one's turn comes. 410 Gone disables the hook. A
//! hook's task waits for nobody and nobody waits for it; a deploy does not notice.
//!
//! URL and secret are sealed at rest and are told to nobody. Addresses inside the machine and its surroundings that no hook
//! should reach are refused (`reach`) when it is added and again at each connection, so that a name that changes its
//! address gains nothing.

mod deliver;
mod payload;
mod reach;

use std::collections::{BTreeMap, VecDeque};
use std::str::FromStr;
use std::sync::{Arc, Mutex as StdMutex, PoisonError};
use std::time::Duration;

use tokio::sync::Mutex;
use tokio_util::task::AbortOnDropHandle;

use self::deliver::Courier;
use crate::events::Journal;
use crate::hex;
use crate::name::AppName;
use crate::people::Actor;
use crate::seal::BoxKey;
use crate::store::{Store, StoreError};
use crate::web::{self, WebError};
use crate::{clock, random};

pub use payload::{SIGNATURE_HEADER, signature};

/// What a hook is told of when nobody says.
pub const DEFAULT_EVENTS: [&str; 3] = ["release-active", "release-failed", "rolled-back-by-itself"];
/// Hooks of a box.
pub const HOOKS_MAX: usize = 100;
/// Deliveries of a hook that are remembered.
pub const DELIVERIES_MAX: usize = 50;
/// Longer than any URL that a service gives.
const URL_BYTES_MAX: usize = 2_048;
/// As HMAC-SHA256 uses them, and some.
const SECRET_BYTES_MAX: usize = 256;

/// A place that is told of events.
#[derive(Clone, PartialEq, Eq)]
pub struct Hook {
    /// Its id on this box.
    pub id: String,
    /// The app whose events it is for; everything that happens without one.
    pub app: Option<AppName>,
    /// Where it is. A secret.
    pub url: String,
    /// What signs what is sent. A secret.
    pub secret: String,
    /// The actions that it is for.
    pub events: Vec<String>,
    /// What is sent.
    pub format: Format,
    /// Who added it.
    pub by: Actor,
    /// When, in milliseconds since the Unix epoch.
    pub created_at: u64,
    /// Whether it may be on this machine: an administrator has added it.
    pub may_be_here: bool,
}

/// What is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// Everything, as JSON.
    #[default]
    Json,
    /// A sentence, as Slack and those that imitate it take it.
    Slack,
}

/// What a hook is to be.
#[derive(Clone)]
pub struct Wanted {
    /// The app whose events it is for.
    pub app: Option<AppName>,
    /// Where it is.
    pub url: String,
    /// What signs what is sent; made when there is none.
    pub secret: Option<String>,
    /// The actions that it is for; [`DEFAULT_EVENTS`] when it is empty.
    pub events: Vec<String>,
    /// What is sent.
    pub format: Format,
    /// Who adds it.
    pub by: Actor,
    /// Whether it may be on this machine.
    pub may_be_here: bool,
}

/// How far a hook is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Progress {
    /// Every event up to this number is done with.
    pub after: u64,
    /// Why nothing is sent any more.
    pub disabled: Option<String>,
    /// The last deliveries, the newest first; the one that is under way is among them.
    pub deliveries: VecDeque<Delivery>,
}

/// An event on its way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// The event's number; 0 for a test.
    pub event: u64,
    /// What it was.
    pub action: String,
    /// When it was last tried, in milliseconds since the Unix epoch.
    pub at: u64,
    /// How often it was tried.
    pub attempts: u32,
    /// What came of it.
    pub state: DeliveryState,
    /// What the other side answered last.
    pub status: Option<u16>,
    /// Why it was not taken.
    pub error: Option<String>,
}

/// What came of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeliveryState {
    /// The other side has it.
    Delivered,
    /// It is tried again at this time, in milliseconds since the Unix epoch.
    Waiting(u64),
    /// It is not tried any more.
    GivenUp,
}

/// When an event that was not taken is sent again: after `first`, then each time three times later, up to `pause_max`.
#[derive(Debug, Clone, Copy)]
pub struct Retry {
    /// After the first try.
    pub first: Duration,
    /// At most so long.
    pub pause_max: Duration,
    /// Tries of one event.
    pub attempts_max: u32,
    /// An event that is older, and was tried, is given up.
    pub age_max: Duration,
}

/// What the hooks work with.
#[derive(Debug, Clone)]
pub struct Parts {
    /// Where they are kept.
    pub store: Store,
    /// What seals them.
    pub key: BoxKey,
    /// What they tell of.
    pub journal: Journal,
    /// When it is tried again.
    pub retry: Retry,
    /// The box's id, which each payload names.
    pub box_id: String,
    /// The port in the URLs of apps.
    pub https_port: u16,
}

/// The box's hooks; clones are handles on the same ones. They end with the last handle.
#[derive(Clone)]
pub struct Hooks(Arc<Inner>);

/// Why a hook is not as it was wanted.
#[derive(Debug, thiserror::Error)]
pub enum HookError {
    /// There is none of this id.
    #[error("there is no hook `{0}`")]
    Unknown(String),
    /// Something about it breaks a rule.
    #[error("{0}")]
    Invalid(String),
    /// There are as many as there may be.
    #[error("there are {HOOKS_MAX} hooks already")]
    TooMany,
    /// It could not be stored.
    #[error("the hook could not be stored")]
    Store(#[from] StoreError),
    /// There is no client to send with.
    #[error("cannot speak https with others")]
    Web(#[from] WebError),
}

struct Inner {
    parts: Parts,
    /// For hooks of those who may not reach this machine, and of those who may.
    clients: [web::Client; 2],
    hooks: Mutex<BTreeMap<String, Running>>,
}

/// A hook with its task.
struct Running {
    courier: Courier,
    _task: AbortOnDropHandle<()>,
}

impl Hooks {
    /// Starts those that the store has.
    ///
    /// # Errors
    ///
    /// When they cannot be read.
    pub async fn start(parts: Parts) -> Result<Self, HookError> {
        let client = |may_reach| {
            web::Client::new(&web::Settings { may_reach: Some(may_reach), ..web::Settings::default() })
        };
        let clients = [client(reach::may_reach_from_outside)?, client(reach::may_reach)?];
        let kept = parts.store.hooks(&parts.key).await?;
        let hooks = Self(Arc::new(Inner { parts, clients, hooks: Mutex::default() }));
        let mut running = hooks.0.hooks.lock().await;
        for (hook, progress) in kept {
            running.insert(hook.id.clone(), hooks.run(hook, progress));
        }
        drop(running);
        Ok(hooks)
    }

    /// All, or those for one app, with how far each is; the oldest first.
    pub async fn list(&self, app: Option<&AppName>) -> Vec<(Hook, Progress)> {
        let hooks = self.0.hooks.lock().await;
        let wanted = hooks.values().filter(|running| is_of(running, app));
        let mut found: Vec<_> =
            wanted.map(|running| (running.courier.hook().clone(), running.courier.progress())).collect();
        found.sort_by_key(|(hook, _)| hook.created_at);
        found
    }

    /// Adds one, which is told of what happens from now on.
    ///
    /// # Errors
    ///
    /// When it breaks a rule, or cannot be stored.
    pub async fn add(&self, wanted: Wanted) -> Result<Hook, HookError> {
        let hook = checked(wanted)?;
        let mut hooks = self.0.hooks.lock().await;
        if hooks.len() >= HOOKS_MAX {
            return Err(HookError::TooMany);
        }
        let Parts { store, key, journal, .. } = &self.0.parts;
        let after = *journal.newest().borrow();
        let progress = Progress { after, ..Progress::default() };
        store.save_hook(&hook, key).await?;
        store.save_hook_progress(&hook.id, &progress).await?;
        hooks.insert(hook.id.clone(), self.run(hook.clone(), progress));
        Ok(hook)
    }

    /// Forgets one; what waits to be sent is not.
    ///
    /// # Errors
    ///
    /// When there is none of this id for this app, or it cannot be removed.
    pub async fn remove(&self, app: Option<&AppName>, id: &str) -> Result<(), HookError> {
        let mut hooks = self.0.hooks.lock().await;
        hooks.get(id).filter(|running| is_of(running, app)).ok_or_else(|| unknown(id))?;
        // Before its records go, so that its task does not write one anew.
        if let Some(running) = hooks.remove(id) {
            running.courier.stop().await;
        }
        Ok(self.0.parts.store.remove_hook(id).await?)
    }

    /// Sends a test, once, and says what came of it.
    ///
    /// # Errors
    ///
    /// When there is none of this id for this app.
    pub async fn test(&self, app: Option<&AppName>, id: &str) -> Result<Delivery, HookError> {
        let courier = self.courier(app, id).await?;
        Ok(courier.test().await)
    }

    /// Its last deliveries, the newest first.
    ///
    /// # Errors
    ///
    /// When there is none of this id for this app.
    pub async fn deliveries(&self, app: Option<&AppName>, id: &str) -> Result<Vec<Delivery>, HookError> {
        Ok(self.courier(app, id).await?.progress().deliveries.into())
    }

    async fn courier(&self, app: Option<&AppName>, id: &str) -> Result<Courier, HookError> {
        let hooks = self.0.hooks.lock().await;
        let found = hooks.get(id).filter(|running| is_of(running, app));
        found.map(|running| running.courier.clone()).ok_or_else(|| unknown(id))
    }

    fn run(&self, hook: Hook, progress: Progress) -> Running {
        let client = self.0.clients[usize::from(hook.may_be_here)].clone();
        let progress = Arc::new(StdMutex::new(progress));
        let courier = Courier::new(hook, progress, client, self.0.parts.clone());
        let task = tokio::spawn(courier.clone().run());
        Running { courier, _task: AbortOnDropHandle::new(task) }
    }
}

impl std::fmt::Debug for Hook {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hook").field("id", &self.id).field("app", &self.app).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Hooks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hooks").finish_non_exhaustive()
    }
}

impl Hook {
    /// Scheme and host of where it is: what may be shown.
    #[must_use]
    pub fn shown(&self) -> String {
        let uri = self.url.parse::<http::Uri>().ok();
        let shown = uri.as_ref().and_then(|uri| {
            let port = uri.port().map(|port| format!(":{port}")).unwrap_or_default();
            Some(format!("{}://{}{port}/…", uri.scheme_str()?, uri.host()?))
        });
        shown.unwrap_or_else(|| "…".to_owned())
    }
}

impl Default for Retry {
    /// 10 tries in 21 hours.
    fn default() -> Self {
        Self {
            first: Duration::from_secs(10),
            pause_max: Duration::from_secs(12 * 60 * 60),
            attempts_max: 10,
            age_max: Duration::from_secs(24 * 60 * 60),
        }
    }
}

impl Retry {
    /// How long to wait after so many tries; `jitter` is from 0 to 1, and takes or adds up to a fifth.
    #[must_use]
    pub fn pause(&self, attempts: u32, jitter: f64) -> Duration {
        let pause = self.first.saturating_mul(3_u32.saturating_pow(attempts.saturating_sub(1)));
        pause.min(self.pause_max).mul_f64(0.8 + 0.4 * jitter.clamp(0.0, 1.0))
    }
}

impl Format {
    /// As it is typed and stored.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Slack => "slack",
        }
    }
}

impl FromStr for Format {
    type Err = HookError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let all = [Self::Json, Self::Slack];
        let found = all.into_iter().find(|format| format.as_str() == text);
        found.ok_or_else(|| HookError::Invalid(format!("`{text}` is no format; there are json and slack")))
    }
}

fn unknown(id: &str) -> HookError {
    HookError::Unknown(id.to_owned())
}

fn is_of(running: &Running, app: Option<&AppName>) -> bool {
    app.is_none_or(|app| running.courier.hook().app.as_ref() == Some(app))
}

fn checked(wanted: Wanted) -> Result<Hook, HookError> {
    let Wanted { app, url, secret, events, format, by, may_be_here } = wanted;
    let invalid = |text: &str| Err(HookError::Invalid(text.to_owned()));
    if url.len() > URL_BYTES_MAX {
        return Err(HookError::Invalid(format!("a hook's URL has {URL_BYTES_MAX} characters at most")));
    }
    let uri = url.parse::<http::Uri>().ok();
    let Some(uri) = uri.filter(|uri| matches!(uri.scheme_str(), Some("http" | "https"))) else {
        return invalid("a hook's URL begins with https:// or http:// and a host");
    };
    if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) {
        return invalid("a hook's URL has no user and no password; what is sent is signed with its secret");
    }
    reach::check(&uri, may_be_here).map_err(HookError::Invalid)?;
    if secret.as_ref().is_some_and(|secret| secret.is_empty() || secret.len() > SECRET_BYTES_MAX) {
        return Err(HookError::Invalid(format!("a hook's secret has 1 to {SECRET_BYTES_MAX} characters")));
    }
    let is_word = |word: &String| {
        !word.is_empty() && word.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
    };
    if let Some(event) = events.iter().find(|event| !is_word(event)) {
        let message = format!("`{event}` is no event; they are words such as `release-failed`");
        return Err(HookError::Invalid(message));
    }
    let events = if events.is_empty() { DEFAULT_EVENTS.map(str::to_owned).to_vec() } else { events };
    Ok(Hook {
        id: hex::encode(random::bytes::<4>()),
        app,
        url,
        secret: secret.unwrap_or_else(|| format!("whsec_{}", hex::encode(random::bytes::<24>()))),
        events,
        format,
        by,
        created_at: clock::now(),
        may_be_here,
    })
}

/// Locks what no thread panics with.
fn lock<T>(mutex: &StdMutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
