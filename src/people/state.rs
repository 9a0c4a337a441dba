//! All users, grants, tokens and invites of a box, and what follows from them.
//!
//! [`State`] is a value: it answers questions, and changes by [`Entry`]s alone, which are what the store keeps as well.

use std::collections::BTreeMap;

use super::{Caller, Invite, Role, Scope, Secret, SecretId, SecretKind, Token, User, UserName};
use crate::name::AppName;

/// Who may do what with one app.
pub type Grants = BTreeMap<UserName, Role>;

/// Everything that is known of people.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct State {
    /// All users.
    pub users: BTreeMap<UserName, User>,
    /// All tokens.
    pub tokens: BTreeMap<SecretId, Token>,
    /// All invites that nobody has followed.
    pub invites: BTreeMap<SecretId, Invite>,
    /// Who may use which app.
    pub grants: BTreeMap<AppName, Grants>,
}

/// One record that is put in the place of another, or removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// A user.
    User(User),
    /// A user goes.
    NoUser(UserName),
    /// A token.
    Token(Token),
    /// A token goes.
    NoToken(SecretId),
    /// An invite.
    Invite(Invite),
    /// An invite goes.
    NoInvite(SecretId),
    /// Who may use an app; nobody, and its record goes.
    Grants(AppName, Grants),
}

/// Why somebody is not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// There is no such token: it never was, or it was revoked.
    #[error("the token is not known here; it may have been revoked")]
    Unknown,
    /// It was right, and its time is over.
    #[error("the token has expired")]
    Expired,
}

impl State {
    /// Takes a change over.
    pub fn apply(&mut self, entry: Entry) {
        match entry {
            Entry::User(user) => drop(self.users.insert(user.name.clone(), user)),
            Entry::NoUser(name) => drop(self.users.remove(&name)),
            Entry::Token(token) => drop(self.tokens.insert(token.id.clone(), token)),
            Entry::NoToken(id) => drop(self.tokens.remove(&id)),
            Entry::Invite(invite) => drop(self.invites.insert(invite.id.clone(), invite)),
            Entry::NoInvite(id) => drop(self.invites.remove(&id)),
            Entry::Grants(app, grants) if grants.is_empty() => drop(self.grants.remove(&app)),
            Entry::Grants(app, grants) => drop(self.grants.insert(app, grants)),
        }
    }

    /// Whose token this is.
    ///
    /// # Errors
    ///
    /// When it is nobody's, or no longer.
    pub fn authenticate(&self, secret: &Secret, now: u64) -> Result<Caller, Denied> {
        let token = self.tokens.get(secret.id()).filter(|_| secret.kind() == SecretKind::Token);
        let token = token.filter(|token| token.digest.is_of(secret)).ok_or(Denied::Unknown)?;
        if token.has_expired(now) {
            return Err(Denied::Expired);
        }
        if !self.users.contains_key(&token.user) {
            return Err(Denied::Unknown);
        }
        Ok(Caller::of_token(token))
    }

    /// Whether what a caller was let in with still holds.
    ///
    /// # Errors
    ///
    /// Why it does not.
    pub fn check(&self, caller: &Caller, now: u64) -> Result<(), Denied> {
        let Some(credential) = caller.credential() else { return Ok(()) };
        let token = self.tokens.get(&credential.token).filter(|token| token.digest == credential.digest);
        let token = token.filter(|_| self.users.contains_key(&credential.user)).ok_or(Denied::Unknown)?;
        if token.has_expired(now) { Err(Denied::Expired) } else { Ok(()) }
    }

    /// Whether somebody may do anything on the box, by what they came in with.
    #[must_use]
    pub fn is_admin(&self, caller: &Caller) -> bool {
        caller.credential().is_none_or(|credential| {
            credential.scope == Scope::All
                && self.users.get(&credential.user).is_some_and(|user| user.is_admin)
        })
    }

    /// What somebody may do with an app, by what they came in with; `None` for nothing.
    #[must_use]
    pub fn role(&self, caller: &Caller, app: &AppName) -> Option<Role> {
        let Some(credential) = caller.credential() else { return Some(Role::Admin) };
        let user = self.users.get(&credential.user)?;
        let granted = || self.grants.get(app)?.get(&user.name).copied();
        let role = if user.is_admin { Some(Role::Admin) } else { granted() }?;
        credential.scope.limit(app, role)
    }

    /// Who owns an app.
    #[must_use]
    pub fn owners(&self, app: &AppName) -> Vec<&UserName> {
        let grants = self.grants.get(app).into_iter().flatten();
        grants.filter(|(_, role)| **role >= Role::Owner).map(|(user, _)| user).collect()
    }

    /// What an app's going leaves behind is removed, so that the next one of its name is nobody's.
    #[must_use]
    pub fn without_app(&self, app: &AppName) -> Vec<Entry> {
        let is_of_app = |token: &&Token| matches!(&token.scope, Scope::App(own, _) if own == app);
        let tokens = self.tokens.values().filter(is_of_app).map(|token| Entry::NoToken(token.id.clone()));
        let names = |invite: &&Invite| invite.grants.iter().any(|(granted, _)| granted == app);
        let invites = self.invites.values().filter(names).map(|invite| {
            let grants = invite.grants.iter().filter(|(granted, _)| granted != app).cloned().collect();
            Entry::Invite(Invite { grants, ..invite.clone() })
        });
        let grants = self.grants.contains_key(app).then(|| Entry::Grants(app.clone(), Grants::new()));
        grants.into_iter().chain(tokens).chain(invites).collect()
    }
}
