//! A scripted engine, for the simulation and for tests that need no Docker.
//!
//! It keeps what a real one would keep, in memory, and lets time pass as tokio's clock says: with paused time a day of crashes
//! takes a moment, and the same script gives the same story. A clone is a handle on the same engine; [`FakeEngine::for_box`]
//! gives the view of another box, or of a daemon that was started again.
//!
//! What containers do is set per app or per image with [`FakeEngine::behave`]. What the engine does to its caller is set with
//! [`FakeEngine::fail_next`], [`FakeEngine::hang`] and [`FakeEngine::disconnect`]. What happened is read from
//! [`FakeEngine::log`], [`FakeEngine::containers_ever`] and, by a fake prober, [`FakeEngine::answers`].
//!
//! It keeps the promises of [`Engine`](super::Engine), checked by the same contract tests as the real one, but runs nothing:
//! files, limits and what a command prints are beyond it.

mod attached;
mod calls;
mod container;
mod state;
#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use self::state::State;
use super::{Container, ContainerSpec, EngineError, Image};
use crate::name::{AppName, BoxId, InstanceId};

/// Where the fake engine says it is.
const ENDPOINT: &str = "fake:";

/// A box's view of a scripted engine.
#[derive(Debug, Clone)]
pub struct FakeEngine {
    owner: BoxId,
    shared: Arc<Shared>,
}

/// What a container's process does. By default it starts at once, is ready at once and runs until it is stopped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Behaviour {
    /// How long [`Engine::start`](super::Engine::start) takes.
    pub start_delay: Duration,
    /// From its start until it is ready; `None` for never.
    pub ready_after: Option<Duration>,
    /// From its start until it ends by itself, and with which code.
    pub exits_after: Option<(Duration, i64)>,
    /// Whether only SIGKILL ends it.
    pub ignores_term: bool,
    /// The port that it listens on; `None` for the one that it was given.
    pub listens_on: Option<u16>,
    /// What it writes to standard output when it starts.
    pub says: Vec<String>,
}

/// A call that can be made to fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operation {
    /// `info`.
    Info,
    /// `build`.
    Build,
    /// `pull`.
    Pull,
    /// `push`.
    Push,
    /// `image`, `remove_image` and `remove_images`.
    Image,
    /// `create`.
    Create,
    /// `start`.
    Start,
    /// `stop`.
    Stop,
    /// `remove`.
    Remove,
    /// `container`, `containers` and `listening_ports`.
    Inspect,
    /// `events`.
    Events,
    /// `logs`.
    Logs,
    /// `exec`.
    Exec,
    /// `ensure_volume` and `remove_volumes`.
    Volume,
}

/// How a call fails.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// [`EngineError::Unreachable`].
    Unreachable,
    /// [`EngineError::NotFound`].
    NotFound,
    /// [`EngineError::DiskFull`].
    DiskFull,
    /// [`EngineError::BuildFailed`] with this message.
    BuildFailed(String),
    /// [`EngineError::Refused`] with this message.
    Refused(String),
}

/// What somebody who connects to a container's address meets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProbeAnswer {
    /// The process answers that it is ready.
    Ready,
    /// The process answers that it is not.
    NotReady,
    /// Nothing listens on that port.
    Refused,
}

/// A container that exists or has existed, and its story.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Biography {
    /// How it is, or was last.
    pub container: Container,
    /// What it was made from.
    pub spec: ContainerSpec,
    /// Whether it was removed.
    pub is_removed: bool,
    /// What happened to it and when, counted from the engine's beginning.
    pub history: Vec<(Duration, Change)>,
}

/// What can happen to a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// It was made.
    Created,
    /// Its process started.
    Started,
    /// Its process was made unready while it ran.
    Ailed,
    /// Its process was sent SIGTERM.
    Terminated,
    /// Its process ended.
    Exited {
        /// The exit code; 128 + signal when killed.
        code: i64,
    },
    /// It was removed.
    Removed,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    /// Sent after every change of the state.
    changed: watch::Sender<()>,
}

impl Default for Behaviour {
    fn default() -> Self {
        Self {
            start_delay: Duration::ZERO,
            ready_after: Some(Duration::ZERO),
            exits_after: None,
            ignores_term: false,
            listens_on: None,
            says: Vec::new(),
        }
    }
}

impl FakeEngine {
    /// An empty engine. Its time begins now.
    #[must_use]
    pub fn new(owner: BoxId) -> Self {
        let state = Mutex::new(State::new(Instant::now()));
        Self { owner, shared: Arc::new(Shared { state, changed: watch::Sender::new(()) }) }
    }

    /// The same engine, as another box sees it.
    #[must_use]
    pub fn for_box(&self, owner: BoxId) -> Self {
        Self { owner, shared: Arc::clone(&self.shared) }
    }

    /// Says what containers of this image (a tag or an id) or else of this app do, from their next start on. One-off containers
    /// go by `<app>/<kind>`, such as `shop/release`, and end at once with 0 where nothing is said.
    pub fn behave(&self, image_or_app: impl Into<String>, behaviour: Behaviour) {
        self.change(|state| state.behaviours.insert(image_or_app.into(), behaviour));
    }

    /// Puts an image on the engine, or describes the one that a build or pull of this reference will give. Its id is derived
    /// from the reference, whatever `image` says, and returned.
    pub fn add_image(&self, reference: &str, image: Image) -> String {
        self.change(|state| state.add_image(reference, image))
    }

    /// Makes the next such call fail before it does anything. More than one for an operation happen in order.
    pub fn fail_next(&self, operation: Operation, fault: Fault) {
        self.change(|state| state.faults.push((operation, fault)));
    }

    /// Makes all calls wait, from before they do anything, until it is called with `false`. Containers live on.
    pub fn hang(&self, is_hanging: bool) {
        self.change(|state| state.is_hanging = is_hanging);
    }

    /// Ends all streams and makes all calls fail until [`FakeEngine::reconnect`]. Containers live on.
    pub fn disconnect(&self) {
        self.change(State::disconnect);
    }

    /// Undoes [`FakeEngine::disconnect`].
    pub fn reconnect(&self) {
        self.change(State::connect);
    }

    /// Ends a running container's process with this code, as if by itself; whether there was one.
    pub fn kill(&self, instance: &InstanceId, code: i64) -> bool {
        self.change(|state| state.kill(instance, code, false))
    }

    /// Ends a running container's process as the kernel does when its memory is used up; whether there was one.
    pub fn kill_for_memory(&self, instance: &InstanceId) -> bool {
        self.change(|state| state.kill(instance, state::KILLED, true))
    }

    /// Makes a running container's process unready, or ready again, whatever its behaviour says; whether there was one.
    pub fn ail(&self, instance: &InstanceId, is_ailing: bool) -> bool {
        self.change(|state| state.ail(instance, is_ailing))
    }

    /// Makes a container's process write a line; whether there is such a container.
    pub fn say(&self, instance: &InstanceId, is_stderr: bool, text: &str) -> bool {
        self.change(|state| state.say(instance, is_stderr, text))
    }

    /// Every container of every box that there was, in the order of their making.
    #[must_use]
    pub fn containers_ever(&self) -> Vec<Biography> {
        self.lock().biographies()
    }

    /// Every call that changed something and every exit, in order: `1.250s start shop-v1-web-1-0000000a`.
    #[must_use]
    pub fn log(&self) -> Vec<String> {
        self.lock().log.clone()
    }

    /// What somebody who connects to this address meets now; `None` when no running container has it.
    #[must_use]
    pub fn answers(&self, addr: SocketAddr) -> Option<ProbeAnswer> {
        self.lock().answers(addr)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let result = change(&mut self.lock());
        self.shared.changed.send_replace(());
        result
    }

    fn volume_name(&self, app: &AppName, volume: &str) -> String {
        format!("minipaas-{}-{app}-{volume}", self.owner)
    }
}

impl Fault {
    fn into_error(self, action: &str) -> EngineError {
        let action = action.to_owned();
        match self {
            Self::Unreachable => unreachable("the script says so"),
            Self::NotFound => EngineError::NotFound { what: action },
            Self::DiskFull => EngineError::DiskFull { action },
            Self::BuildFailed(message) => EngineError::BuildFailed { message },
            Self::Refused(message) => EngineError::Refused { action, message },
        }
    }
}

fn unreachable(reason: &str) -> EngineError {
    EngineError::Unreachable { endpoint: ENDPOINT.to_owned(), reason: reason.to_owned() }
}
