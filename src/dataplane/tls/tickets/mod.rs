//! Session tickets: what lets a client that comes back skip the dear part of the handshake, also after a restart.
//!
//! A ticket is the client's session, sealed for us and kept by the client (RFC 5077; RFC 8446, 4.6.1). Its key is used for
//! [`ROTATION`] and opens what it sealed for [`LIFE`] longer; then it is forgotten, here and on disk, and whoever has a copy of it
//! can neither open tickets that we would take nor make new ones. Sessions of TLS 1.3 exchange keys even when they resume, so
//! such a copy tells nothing of what was said in them; those of TLS 1.2 it does, as everywhere.
//!
//! The keys lie in one file, sealed with the box's key, so that a restart costs its clients nothing. Whatever is wrong with the
//! file, there are tickets: with new keys, and a warning in the log. A ticket that cannot be opened is no error either; the
//! handshake is a full one.
//!
//! It does not say who may resume: hosts that ask for client certificates give no tickets.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwap;
use rustls::server::ProducesTickets;
use zeroize::Zeroizing;

use crate::file;
use crate::seal::BoxKey;

/// For how long a key seals new tickets.
const ROTATION: Duration = Duration::from_hours(6);
/// For how long a ticket is taken at least, and what clients are told.
const LIFE: Duration = Duration::from_hours(6);

/// What tells a key's tickets from another's, in clear before each.
const NAME_BYTES: usize = 16;
const SECRET_BYTES: usize = 32;
/// A key on disk: its name, its secret, and when it was made, in seconds since 1970.
const KEY_BYTES: usize = NAME_BYTES + SECRET_BYTES + 8;
/// Before the keys on disk.
const FORMAT: u8 = 1;
/// What the keys are sealed as.
const SEALED_AS: &str = "session ticket keys";
/// What a session is sealed as.
const TICKET: &str = "session ticket";
/// A clock that was set back makes keys of the future; beyond this they are not ours to judge, and go.
const CLOCK_SKEW: Duration = Duration::from_secs(300);

type Clock = dyn Fn() -> SystemTime + Send + Sync;

/// Seals and opens the sessions of clients.
pub struct Tickets {
    keys: ArcSwap<Keys>,
    /// Held by whoever makes the next key.
    rotating: Mutex<()>,
    kept: Option<Kept>,
    clock: Box<Clock>,
}

/// Where the keys survive a restart.
struct Kept {
    path: PathBuf,
    seal: BoxKey,
}

/// The keys of the moment: the first seals, all open. Never empty.
struct Keys(Vec<Arc<Key>>);

struct Key {
    name: [u8; NAME_BYTES],
    secret: Zeroizing<[u8; SECRET_BYTES]>,
    made: SystemTime,
    seal: BoxKey,
}

/// Why the keys of the last process are not taken up.
#[derive(Debug, thiserror::Error)]
enum KeysError {
    #[error("the file cannot be read")]
    Read(#[from] io::Error),
    #[error(transparent)]
    Seal(#[from] crate::seal::SealError),
    #[error("the file has another format")]
    Format,
}

// === impl Tickets ===

impl Tickets {
    /// Tickets whose keys this process forgets when it ends.
    #[must_use]
    pub fn in_memory() -> Self {
        Self::new(None, Box::new(SystemTime::now))
    }

    /// Tickets whose keys are kept in this file, sealed with `seal`. Its directory must be there.
    ///
    /// Keys that are too old are not taken up, and neither are those that `seal` cannot open; the log says so.
    #[must_use]
    pub fn open(path: PathBuf, seal: BoxKey) -> Self {
        Self::open_at(path, seal, SystemTime::now)
    }

    fn open_at(path: PathBuf, seal: BoxKey, clock: impl Fn() -> SystemTime + Send + Sync + 'static) -> Self {
        Self::new(Some(Kept { path, seal }), Box::new(clock))
    }

    fn new(kept: Option<Kept>, clock: Box<Clock>) -> Self {
        let now = clock();
        let mut keys = kept.as_ref().map(Kept::load).unwrap_or_default();
        keys.retain(|key| key.opens(now));
        keys.sort_by_key(|key| std::cmp::Reverse(key.made));
        let is_new = !keys.first().is_some_and(|key| key.seals(now));
        if is_new {
            keys.insert(0, Arc::new(Key::new(now)));
        }
        let tickets = Self { keys: ArcSwap::from_pointee(Keys(keys)), rotating: Mutex::new(()), kept, clock };
        if is_new {
            tickets.save();
        }
        tickets
    }

    /// The keys, with one that may seal at this moment first.
    ///
    /// Who meets an old one makes the next, and writes it down: one handshake in [`ROTATION`] waits for the disk.
    fn current(&self, now: SystemTime) -> Arc<Keys> {
        let keys = self.keys.load_full();
        if keys.first().seals(now) {
            return keys;
        }
        let _rotating = self.rotating.lock().unwrap_or_else(PoisonError::into_inner);
        let keys = self.keys.load_full();
        if keys.first().seals(now) {
            return keys;
        }
        let old = keys.0.iter().filter(|key| key.opens(now)).cloned();
        let keys = Arc::new(Keys(std::iter::once(Arc::new(Key::new(now))).chain(old).collect()));
        self.keys.store(Arc::clone(&keys));
        self.save();
        keys
    }

    fn save(&self) {
        let Some(kept) = &self.kept else { return };
        if let Err(error) = kept.save(&self.keys.load()) {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(path = %kept.path.display(), error, "TLS sessions will not survive a restart");
        }
    }
}

impl ProducesTickets for Tickets {
    fn enabled(&self) -> bool {
        true
    }

    fn lifetime(&self) -> u32 {
        u32::try_from(LIFE.as_secs()).expect("hours are few seconds")
    }

    fn encrypt(&self, session: &[u8]) -> Option<Vec<u8>> {
        let keys = self.current((self.clock)());
        let key = keys.first();
        Some([&key.name[..], &key.seal.seal(TICKET, session)].concat())
    }

    fn decrypt(&self, ticket: &[u8]) -> Option<Vec<u8>> {
        let (name, sealed) = ticket.split_at_checked(NAME_BYTES)?;
        let now = (self.clock)();
        let keys = self.keys.load();
        let key = keys.0.iter().find(|key| key.name == name && key.opens(now))?;
        key.seal.open(TICKET, sealed).ok().map(|session| session.to_vec())
    }
}

impl fmt::Debug for Tickets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tickets")
            .field("path", &self.kept.as_ref().map(|kept| &kept.path))
            .finish_non_exhaustive()
    }
}

// === impl Kept ===

impl Kept {
    /// What the last process left; nothing, with a word in the log, when it cannot be used.
    fn load(&self) -> Vec<Arc<Key>> {
        match self.read() {
            Ok(keys) => keys,
            Err(KeysError::Read(error)) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(path = %self.path.display(), error, "TLS sessions of before are forgotten");
                Vec::new()
            }
        }
    }

    fn read(&self) -> Result<Vec<Arc<Key>>, KeysError> {
        let plain = self.seal.open(SEALED_AS, &std::fs::read(&self.path)?)?;
        let (FORMAT, keys) =
            plain.split_first().map(|(format, keys)| (*format, keys)).ok_or(KeysError::Format)?
        else {
            return Err(KeysError::Format);
        };
        let (keys, rest) = keys.as_chunks::<KEY_BYTES>();
        if !rest.is_empty() {
            return Err(KeysError::Format);
        }
        Ok(keys.iter().map(|bytes| Arc::new(Key::from_bytes(bytes))).collect())
    }

    fn save(&self, keys: &Keys) -> io::Result<()> {
        // Room for all, so that no copy of a secret stays behind when it grows.
        let mut plain = Zeroizing::new(Vec::with_capacity(1 + keys.0.len() * KEY_BYTES));
        plain.push(FORMAT);
        for key in &keys.0 {
            key.write(&mut plain);
        }
        file::replace(&self.path, file::PRIVATE_MODE, &self.seal.seal(SEALED_AS, &plain))
    }
}

// === impl Keys ===

impl Keys {
    fn first(&self) -> &Key {
        self.0.first().expect("there is always a key")
    }
}

// === impl Key ===

impl Key {
    fn new(now: SystemTime) -> Self {
        Self::of(crate::random::bytes(), Zeroizing::new(crate::random::bytes()), now)
    }

    fn of(name: [u8; NAME_BYTES], secret: Zeroizing<[u8; SECRET_BYTES]>, made: SystemTime) -> Self {
        let seal = BoxKey::new(&secret);
        Self { name, secret, made, seal }
    }

    fn from_bytes(bytes: &[u8; KEY_BYTES]) -> Self {
        let (name, rest) = bytes.split_first_chunk().expect("a key is longer than its name");
        let (secret, made) = rest.split_first_chunk().expect("a secret and a time follow");
        let made = u64::from_be_bytes(made.try_into().expect("the time is the last 8 bytes"));
        // What no clock can show is as good as a key of the future.
        let made = UNIX_EPOCH.checked_add(Duration::from_secs(made)).unwrap_or(UNIX_EPOCH);
        Self::of(*name, Zeroizing::new(*secret), made)
    }

    fn write(&self, out: &mut Vec<u8>) {
        let made = self.made.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        out.extend_from_slice(&self.name);
        out.extend_from_slice(self.secret.as_slice());
        out.extend_from_slice(&made.to_be_bytes());
    }

    fn seals(&self, now: SystemTime) -> bool {
        self.is_younger(now, ROTATION)
    }

    fn opens(&self, now: SystemTime) -> bool {
        self.is_younger(now, ROTATION + LIFE)
    }

    fn is_younger(&self, now: SystemTime, age: Duration) -> bool {
        match now.duration_since(self.made) {
            Ok(since) => since < age,
            Err(ahead) => ahead.duration() <= CLOCK_SKEW,
        }
    }
}

#[cfg(test)]
mod tests;
