//! The owner of a box's people.
//!
//! What is asked reads the newest [`State`] behind a lock that is never held across an await. A change waits for the one
//! before it, is worked out on the state as it is, is stored in one batch, and only then is it seen; so what was answered
//! survives, and what was revoked is revoked before the answer. Whoever lasts longer than an answer (a stream) waits for
//! [`People::lapsed`].
//!
//! Users are here; what they are granted is in `grants`, what lets them in in `tokens` and `invites`.

mod error;
mod grants;
mod invites;
#[cfg(test)]
mod tests;
mod tokens;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use tokio::sync::{Mutex as AsyncMutex, watch};
use tokio::time::{Instant, timeout};

use super::state::{Denied, Entry, State};
use super::{Caller, Role, Secret, SecretId, SecretKind, User, UserName};
use crate::clock;
use crate::name::AppName;
use crate::store::{Store, StoreError};

pub use self::error::PeopleError;
pub use self::invites::{NewInvite, Redeemed};
pub use self::tokens::NewToken;

/// Users of one box.
const USERS_MAX: usize = 10_000;
/// Between two looks at a token's end: the wall clock may be set, and a sleep would not know.
const EXPIRY_LOOK: Duration = Duration::from_secs(30);

/// A box's people; clones are handles on the same ones.
#[derive(Debug, Clone)]
pub struct People {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    state: RwLock<State>,
    /// One change after the other.
    changing: AsyncMutex<()>,
    /// Counts the changes.
    changes: watch::Sender<u64>,
    /// Names that are about to be apps.
    claims: Mutex<HashMap<AppName, Instant>>,
    store: Store,
}

type Changed<T> = Result<(Vec<Entry>, T), PeopleError>;

impl People {
    /// Reads what is known of people.
    ///
    /// # Errors
    ///
    /// When it cannot be read back.
    pub async fn open(store: &Store) -> Result<Self, StoreError> {
        let mut state = State::default();
        for entry in store.people().await? {
            state.apply(entry);
        }
        let inner = Inner {
            state: RwLock::new(state),
            changing: AsyncMutex::new(()),
            changes: watch::Sender::new(0),
            claims: Mutex::default(),
            store: store.clone(),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Nobody yet, in a state of its own in this folder.
    #[cfg(test)]
    pub(crate) async fn in_folder(folder: &std::path::Path) -> Self {
        Self::open(&Store::open(folder).expect("a store")).await.expect("no people")
    }

    /// What `read` makes of the state of this moment. It must not block.
    pub fn read<T>(&self, read: impl FnOnce(&State) -> T) -> T {
        read(&self.inner.state.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Returns when a caller may no longer what `may` says, and why. Never, for somebody at the box itself.
    pub async fn lapsed(&self, caller: &Caller, may: impl Fn(&State) -> bool) -> Option<Denied> {
        let mut changes = self.inner.changes.subscribe();
        let Some(credential) = caller.credential() else { return std::future::pending().await };
        loop {
            changes.borrow_and_update();
            let now = clock::now();
            let (checked, may) = self.read(|state| (state.check(caller, now), may(state)));
            match (checked, may) {
                (Err(denied), _) => return Some(denied),
                (Ok(()), false) => return None,
                (Ok(()), true) => {}
            }
            let left = credential.expires.map(|expires| Duration::from_millis(expires.saturating_sub(now)));
            let look = left.map_or(Duration::MAX, |left| left.min(EXPIRY_LOOK));
            // The sender is ours, so it only ends by the time.
            let _ = timeout(look, changes.changed()).await;
        }
    }

    /// Makes a user.
    ///
    /// # Errors
    ///
    /// When there is one of this name, or too many.
    pub async fn add_user(&self, name: UserName, is_admin: bool) -> Result<User, PeopleError> {
        self.change(|state| {
            if state.users.contains_key(&name) {
                return Err(PeopleError::UserExists(name));
            }
            check_room(state.users.len(), USERS_MAX, "users")?;
            let user = User { name, created: clock::now(), is_admin };
            Ok((vec![Entry::User(user.clone())], user))
        })
        .await
    }

    /// Makes a user an administrator, or no longer one.
    ///
    /// # Errors
    ///
    /// When there is no such user.
    pub async fn set_admin(&self, name: &UserName, is_admin: bool) -> Result<User, PeopleError> {
        self.change(|state| {
            let user = User { is_admin, ..find_user(state, name)?.clone() };
            Ok((vec![Entry::User(user.clone())], user))
        })
        .await
    }

    /// Removes a user with their tokens, grants and invites; the apps that nobody owns now.
    ///
    /// # Errors
    ///
    /// When there is no such user.
    pub async fn remove_user(&self, name: &UserName) -> Result<Vec<AppName>, PeopleError> {
        self.change(|state| {
            find_user(state, name)?;
            let mut entries = vec![Entry::NoUser(name.clone())];
            let tokens = state.tokens.values().filter(|token| token.user == *name);
            entries.extend(tokens.map(|token| Entry::NoToken(token.id.clone())));
            let invites = state.invites.values().filter(|invite| invite.user.as_ref() == Some(name));
            entries.extend(invites.map(|invite| Entry::NoInvite(invite.id.clone())));
            let mut orphans = Vec::new();
            for (app, grants) in state.grants.iter().filter(|(_, grants)| grants.contains_key(name)) {
                let mut left = grants.clone();
                left.remove(name);
                if !left.values().any(|role| *role >= Role::Owner) {
                    orphans.push(app.clone());
                }
                entries.push(Entry::Grants(app.clone(), left));
            }
            Ok((entries, orphans))
        })
        .await
    }

    /// Works out a change on the state as it is, keeps it, and has it seen.
    async fn change<T>(&self, change: impl FnOnce(&State) -> Changed<T>) -> Result<T, PeopleError> {
        let _changing = self.inner.changing.lock().await;
        let (entries, result) = self.read(change)?;
        if entries.is_empty() {
            return Ok(result);
        }
        self.inner.store.save_people(&entries).await?;
        {
            let mut state = self.inner.state.write().unwrap_or_else(PoisonError::into_inner);
            entries.into_iter().for_each(|entry| state.apply(entry));
        }
        self.inner.changes.send_modify(|changes| *changes += 1);
        Ok(result)
    }
}

fn find_user<'s>(state: &'s State, name: &UserName) -> Result<&'s User, PeopleError> {
    state.users.get(name).ok_or_else(|| PeopleError::NoUser(name.clone()))
}

/// A secret whose id is nobody's yet.
fn fresh(kind: SecretKind, is_taken: impl Fn(&SecretId) -> bool) -> Secret {
    loop {
        let secret = Secret::random(kind);
        if !is_taken(secret.id()) {
            return secret;
        }
    }
}

fn check_room(have: usize, most: usize, of: &'static str) -> Result<(), PeopleError> {
    if have < most { Ok(()) } else { Err(PeopleError::TooMany(of)) }
}
