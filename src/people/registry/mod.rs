//! The owner of a box's people.
//!
//! What is asked reads the newest [`State`] behind a lock that is never held across an await. A change waits for the one
//! before it, is worked out on the state as it is, is stored in one batch, and only then is it seen; so what was answered
//! survives, and what was revoked is revoked before the answer. Whoever lasts longer than an answer (a stream) waits for
//! [`People::lapsed`].
//!
//! When a token was used last is kept to the hour, so that a request seldom is a write.

mod error;
#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use tokio::sync::{Mutex as AsyncMutex, watch};
use tokio::time::{Instant, timeout};

use super::state::{Denied, Entry, Grants, State};
use super::{Actor, Caller, Invite, Role, Scope, Secret, SecretId, SecretKind, Token, User, UserName};
use crate::clock;
use crate::name::AppName;
use crate::store::{Store, StoreError};

pub use self::error::PeopleError;

/// Between two notes of a token's use, in milliseconds.
const USE_NOTED_EVERY_MS: u64 = 60 * 60 * 1000;
/// For so long a name is kept for whoever began to make an app of it.
const CLAIM_TIME: Duration = Duration::from_secs(10 * 60);
/// Tokens of one user: more are a leak, not a need.
const TOKENS_MAX: usize = 200;
/// Users of one box.
const USERS_MAX: usize = 10_000;
/// Invites that wait to be followed.
const INVITES_MAX: usize = 1_000;
/// What somebody may call a token.
const TOKEN_NAME_LENGTH_MAX: usize = 100;
/// How long a token lasts that a link gave: a year, as Heroku's.
const LOGIN_TIME_MS: u64 = 365 * 24 * 60 * 60 * 1000;
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

/// A token that is wanted.
#[derive(Debug, Clone)]
pub struct NewToken {
    /// What it is called.
    pub name: String,
    /// What it is good for.
    pub scope: Scope,
    /// When it ends, in milliseconds since the Unix epoch; `None` for never.
    pub expires: Option<u64>,
}

/// An invite that is wanted.
#[derive(Debug, Clone, Default)]
pub struct NewInvite {
    /// For whom.
    pub user: Option<UserName>,
    /// Whether it makes an administrator.
    pub is_admin: bool,
    /// What it grants.
    pub grants: Vec<(AppName, Role)>,
    /// How long it is good. Default [`Invite::TIME_DEFAULT`].
    pub time: Option<Duration>,
}

/// What following an invite's link came to.
#[derive(Debug, Clone)]
pub struct Redeemed {
    /// Whoever followed it, now a user.
    pub user: User,
    /// Their token.
    pub token: Token,
    /// Its secret, for the one time that it is shown.
    pub secret: Secret,
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

    /// Lets somebody in who shows this token, and notes that it was used.
    ///
    /// # Errors
    ///
    /// When it is nobody's, or no longer.
    pub fn authenticate(&self, secret: &Secret) -> Result<Caller, Denied> {
        let now = clock::now();
        let caller = self.read(|state| state.authenticate(secret, now))?;
        let is_news = |token: &Token| token.last_used.is_none_or(|used| used + USE_NOTED_EVERY_MS <= now);
        if self.read(|state| state.tokens.get(secret.id()).is_some_and(is_news)) {
            let (people, id) = (self.clone(), secret.id().clone());
            tokio::spawn(async move { people.note_use(&id, now).await });
        }
        Ok(caller)
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

    /// Gives a user a role for an app, in place of the one that they have.
    ///
    /// # Errors
    ///
    /// When there is no such user, the role is none for an app, or its only owner would be none.
    pub async fn grant(&self, app: &AppName, user: &UserName, role: Role) -> Result<(), PeopleError> {
        self.change(|state| {
            find_user(state, user)?;
            if role == Role::Admin {
                return Err(PeopleError::AdminOfApp);
            }
            if role < Role::Owner {
                check_other_owner(state, app, user)?;
            }
            let mut grants = state.grants.get(app).cloned().unwrap_or_default();
            grants.insert(user.clone(), role);
            Ok((vec![Entry::Grants(app.clone(), grants)], ()))
        })
        .await
    }

    /// Takes a user's role for an app away.
    ///
    /// # Errors
    ///
    /// When they have none, or are its only owner.
    pub async fn withdraw_grant(&self, app: &AppName, user: &UserName) -> Result<(), PeopleError> {
        self.change(|state| {
            check_other_owner(state, app, user)?;
            let mut grants = state.grants.get(app).cloned().unwrap_or_default();
            if grants.remove(user).is_none() {
                return Err(PeopleError::NoGrant { user: user.clone(), app: app.clone() });
            }
            Ok((vec![Entry::Grants(app.clone(), grants)], ()))
        })
        .await
    }

    /// Makes a user an app's only owner; those who were are collaborators now.
    ///
    /// # Errors
    ///
    /// When there is no such user.
    pub async fn transfer(&self, app: &AppName, to: &UserName) -> Result<(), PeopleError> {
        self.change(|state| {
            find_user(state, to)?;
            let mut grants = state.grants.get(app).cloned().unwrap_or_default();
            for role in grants.values_mut().filter(|role| **role >= Role::Owner) {
                *role = Role::Collaborator;
            }
            grants.insert(to.clone(), Role::Owner);
            Ok((vec![Entry::Grants(app.clone(), grants)], ()))
        })
        .await
    }

    /// Makes whoever begins to make an app its owner. Nothing is left of what a former app of this name has granted; whoever
    /// else begins to make it is refused for ten minutes, whether or not the app came to be.
    ///
    /// # Errors
    ///
    /// When somebody else has just begun to.
    pub async fn claim(&self, app: &AppName, caller: &Caller) -> Result<(), PeopleError> {
        let owner = caller.user().cloned();
        self.change(|state| {
            let owned = owner.iter().any(|user| state.owners(app).contains(&user));
            if self.is_claimed(app) {
                // At the box itself nobody is kept out; the app is then whose it was about to be.
                let may = owned || owner.is_none();
                return if may { Ok((Vec::new(), ())) } else { Err(PeopleError::Claimed(app.clone())) };
            }
            let grants = owner.iter().map(|user| (user.clone(), Role::Owner)).collect::<Grants>();
            let mut entries = state.without_app(app);
            entries.push(Entry::Grants(app.clone(), grants));
            if owner.is_some() {
                let mut claims = self.inner.claims.lock().unwrap_or_else(PoisonError::into_inner);
                claims.retain(|_, since| since.elapsed() < CLAIM_TIME);
                claims.insert(app.clone(), Instant::now());
            }
            Ok((entries, ()))
        })
        .await
    }

    /// Whether somebody has just begun to make an app of this name.
    #[must_use]
    pub fn is_claimed(&self, app: &AppName) -> bool {
        let claims = self.inner.claims.lock().unwrap_or_else(PoisonError::into_inner);
        claims.get(app).is_some_and(|since| since.elapsed() < CLAIM_TIME)
    }

    /// Forgets what an app that is gone has granted.
    ///
    /// # Errors
    ///
    /// When it could not be kept.
    pub async fn forget_app(&self, app: &AppName) -> Result<(), PeopleError> {
        self.inner.claims.lock().unwrap_or_else(PoisonError::into_inner).remove(app);
        self.change(|state| Ok((state.without_app(app), ()))).await
    }

    /// Forgets what all apps but these have granted: at a start, as the last end may have come in between.
    ///
    /// # Errors
    ///
    /// When it could not be kept.
    pub async fn keep_apps(&self, apps: &BTreeSet<AppName>) -> Result<(), PeopleError> {
        self.change(|state| {
            let gone = state.grants.keys().filter(|app| !apps.contains(app));
            Ok((gone.flat_map(|app| state.without_app(app)).collect(), ()))
        })
        .await
    }

    /// Makes a token. The secret is shown once.
    ///
    /// # Errors
    ///
    /// When there is no such user, or what is wanted is not possible.
    pub async fn add_token(&self, user: &UserName, wanted: NewToken) -> Result<(Token, Secret), PeopleError> {
        self.change(|state| {
            find_user(state, user)?;
            let (token, secret) = new_token(state, user, wanted)?;
            Ok((vec![Entry::Token(token.clone())], (token, secret)))
        })
        .await
    }

    /// Gives a token another secret; the one before ends at once. `of` is whose it must be, if it must.
    ///
    /// # Errors
    ///
    /// When there is no such token.
    pub async fn rotate_token(
        &self,
        id: &SecretId,
        of: Option<&UserName>,
    ) -> Result<(Token, Secret), PeopleError> {
        self.change(|state| {
            let secret = Secret::of(id.clone(), SecretKind::Token);
            let token = find_token(state, id, of)?.clone();
            let token = Token { digest: secret.digest(), rotated: Some(clock::now()), ..token };
            Ok((vec![Entry::Token(token.clone())], (token, secret)))
        })
        .await
    }

    /// Ends a token at once. `of` is whose it must be, if it must.
    ///
    /// # Errors
    ///
    /// When there is no such token.
    pub async fn revoke_token(&self, id: &SecretId, of: Option<&UserName>) -> Result<(), PeopleError> {
        self.change(|state| {
            find_token(state, id, of)?;
            Ok((vec![Entry::NoToken(id.clone())], ()))
        })
        .await
    }

    /// Makes an invite. The secret is shown once.
    ///
    /// # Errors
    ///
    /// When what is wanted is not possible.
    pub async fn invite(&self, wanted: NewInvite, by: &Actor) -> Result<(Invite, Secret), PeopleError> {
        let time = wanted.time.unwrap_or(Invite::TIME_DEFAULT);
        if !(Duration::from_secs(60)..=Invite::TIME_MAX).contains(&time) {
            return Err(PeopleError::InviteTime);
        }
        if wanted.grants.iter().any(|(_, role)| *role == Role::Admin) {
            return Err(PeopleError::AdminOfApp);
        }
        self.change(|state| {
            let now = clock::now();
            let over = state.invites.values().filter(|invite| invite.has_expired(now));
            let mut entries: Vec<_> = over.map(|invite| Entry::NoInvite(invite.id.clone())).collect();
            check_room(state.invites.len() - entries.len(), INVITES_MAX, "invites")?;
            let secret = fresh(SecretKind::Invite, |id| state.invites.contains_key(id));
            let invite = Invite {
                id: secret.id().clone(),
                digest: secret.digest(),
                user: wanted.user,
                is_admin: wanted.is_admin,
                grants: wanted.grants,
                created: now,
                expires: now + u64::try_from(time.as_millis()).unwrap_or(u64::MAX),
                by: by.clone(),
            };
            entries.push(Entry::Invite(invite.clone()));
            Ok((entries, (invite, secret)))
        })
        .await
    }

    /// Takes an invite back.
    ///
    /// # Errors
    ///
    /// When there is none.
    pub async fn withdraw_invite(&self, id: &SecretId) -> Result<(), PeopleError> {
        self.change(|state| {
            state.invites.get(id).ok_or(PeopleError::NoInvite)?;
            Ok((vec![Entry::NoInvite(id.clone())], ()))
        })
        .await
    }

    /// Makes a user of whoever shows an invite's code, once, with a token called `token_name`. An invite for somebody who is
    /// a user gives them another token.
    ///
    /// # Errors
    ///
    /// When there is no such invite, or it wants another name. Then it is still good.
    pub async fn redeem(
        &self,
        code: &Secret,
        name: Option<UserName>,
        token_name: String,
    ) -> Result<Redeemed, PeopleError> {
        self.change(|state| {
            let now = clock::now();
            let invite = state.invites.get(code.id()).filter(|_| code.kind() == SecretKind::Invite);
            let invite = invite.filter(|invite| invite.digest.is_of(code) && !invite.has_expired(now));
            let invite = invite.ok_or(PeopleError::NoInvite)?;
            let name = match (&invite.user, name) {
                (Some(wanted), Some(other)) if *wanted != other => {
                    return Err(PeopleError::OtherName(wanted.clone()));
                }
                (Some(wanted), _) => wanted.clone(),
                (None, Some(name)) if state.users.contains_key(&name) => {
                    return Err(PeopleError::UserExists(name));
                }
                (None, Some(name)) => name,
                (None, None) => return Err(PeopleError::NameNeeded),
            };
            let known = state.users.get(&name);
            if known.is_none() {
                check_room(state.users.len(), USERS_MAX, "users")?;
            }
            let user = User {
                created: known.map_or(now, |user| user.created),
                is_admin: invite.is_admin || known.is_some_and(|user| user.is_admin),
                name,
            };
            let wanted = NewToken { name: token_name, scope: Scope::All, expires: Some(now + LOGIN_TIME_MS) };
            let (token, secret) = new_token(state, &user.name, wanted)?;
            let mut entries = vec![
                Entry::NoInvite(invite.id.clone()),
                Entry::User(user.clone()),
                Entry::Token(token.clone()),
            ];
            for (app, role) in &invite.grants {
                let mut grants = state.grants.get(app).cloned().unwrap_or_default();
                let role = grants.get(&user.name).copied().unwrap_or(*role).max(*role);
                grants.insert(user.name.clone(), role);
                entries.push(Entry::Grants(app.clone(), grants));
            }
            Ok((entries, Redeemed { user, token, secret }))
        })
        .await
    }

    async fn note_use(&self, id: &SecretId, now: u64) {
        let noted = self.change(|state| {
            let token = find_token(state, id, None)?;
            let is_noted = token.last_used.is_some_and(|used| used + USE_NOTED_EVERY_MS > now);
            let used = Entry::Token(Token { last_used: Some(now), ..token.clone() });
            Ok((if is_noted { Vec::new() } else { vec![used] }, ()))
        });
        // One that was revoked meanwhile is none.
        if let Err(PeopleError::Store(error)) = noted.await {
            tracing::warn!(%error, "cannot note that a token was used");
        }
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

fn find_token<'s>(state: &'s State, id: &SecretId, of: Option<&UserName>) -> Result<&'s Token, PeopleError> {
    let found = state.tokens.get(id).filter(|token| of.is_none_or(|user| token.user == *user));
    found.ok_or_else(|| PeopleError::NoToken(id.clone()))
}

/// Whether the app has an owner beside this user, or this user is none.
fn check_other_owner(state: &State, app: &AppName, user: &UserName) -> Result<(), PeopleError> {
    match state.owners(app).as_slice() {
        [only] if *only == user => Err(PeopleError::LastOwner { user: user.clone(), app: app.clone() }),
        _ => Ok(()),
    }
}

fn new_token(state: &State, user: &UserName, wanted: NewToken) -> Result<(Token, Secret), PeopleError> {
    let now = clock::now();
    let NewToken { name, scope, expires } = wanted;
    let is_short = (1..=TOKEN_NAME_LENGTH_MAX).contains(&name.chars().count());
    if !is_short || name.chars().any(char::is_control) {
        return Err(PeopleError::TokenName);
    }
    if expires.is_some_and(|expires| expires <= now) {
        return Err(PeopleError::TokenTime);
    }
    if matches!(scope, Scope::App(_, Role::Admin)) {
        return Err(PeopleError::AdminOfApp);
    }
    check_room(state.tokens.values().filter(|token| token.user == *user).count(), TOKENS_MAX, "tokens")?;
    let secret = fresh(SecretKind::Token, |id| state.tokens.contains_key(id));
    let token = Token {
        id: secret.id().clone(),
        user: user.clone(),
        name,
        digest: secret.digest(),
        scope,
        created: now,
        expires,
        last_used: None,
        rotated: None,
    };
    Ok((token, secret))
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
