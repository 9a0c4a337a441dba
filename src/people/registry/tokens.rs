//! The tokens of users: made, shown, given another secret, ended; and when each was used last.
//!
//! That is kept to the hour, so that a request seldom is a write.

use super::super::state::{Denied, Entry, State};
use super::super::{Caller, Role, Scope, Secret, SecretId, SecretKind, Token, UserName};
use super::{People, PeopleError, check_room, find_user, fresh};
use crate::clock;

/// Between two notes of a token's use, in milliseconds.
const USE_NOTED_EVERY_MS: u64 = 60 * 60 * 1000;
/// Tokens of one user: more are a leak, not a need.
const TOKENS_MAX: usize = 200;
/// What somebody may call a token.
pub(super) const TOKEN_NAME_LENGTH_MAX: usize = 100;

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

impl People {
    /// Lets somebody in who shows this token, and notes that it was used.
    ///
    /// # Errors
    ///
    /// When it is nobody's, or no longer.
    pub fn authenticate(&self, secret: &Secret) -> Result<Caller, Denied> {
        let now = clock::now();
        let caller = self.read(|state| state.authenticate(secret, now))?;
        let is_news = |token: &Token| !is_use_noted(token, now);
        if self.read(|state| state.tokens.get(secret.id()).is_some_and(is_news)) {
            let (people, id) = (self.clone(), secret.id().clone());
            tokio::spawn(async move { people.note_use(&id, now).await });
        }
        Ok(caller)
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

    async fn note_use(&self, id: &SecretId, now: u64) {
        let noted = self.change(|state| {
            let token = find_token(state, id, None)?;
            let is_noted = is_use_noted(token, now);
            let used = Entry::Token(Token { last_used: Some(now), ..token.clone() });
            Ok((if is_noted { Vec::new() } else { vec![used] }, ()))
        });
        // One that was revoked meanwhile is none.
        if let Err(PeopleError::Store(error)) = noted.await {
            tracing::warn!(%error, "cannot note that a token was used");
        }
    }
}

fn is_use_noted(token: &Token, now: u64) -> bool {
    token.last_used.is_some_and(|used| used + USE_NOTED_EVERY_MS > now)
}

fn find_token<'s>(state: &'s State, id: &SecretId, of: Option<&UserName>) -> Result<&'s Token, PeopleError> {
    let found = state.tokens.get(id).filter(|token| of.is_none_or(|user| token.user == *user));
    found.ok_or_else(|| PeopleError::NoToken(id.clone()))
}

pub(super) fn new_token(
    state: &State,
    user: &UserName,
    wanted: NewToken,
) -> Result<(Token, Secret), PeopleError> {
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
