//! Invites: links that let somebody in, once.
//!
//! Whoever follows one is a user from then on, with a token of their own and the roles that the link carries. An invite that nobody
//! follows ends by itself; those that have ended are swept out with the next one.

use std::time::Duration;

use super::super::state::Entry;
use super::super::{Actor, Invite, Role, Scope, Secret, SecretId, SecretKind, Token, User, UserName};
use super::tokens::new_token;
use super::{NewToken, People, PeopleError, USERS_MAX, check_room, fresh};
use crate::clock;
use crate::name::AppName;

/// Invites that wait to be followed.
const INVITES_MAX: usize = 1_000;
/// How long a token lasts that a link gave: a year, as Heroku's.
const LOGIN_TIME_MS: u64 = 365 * 24 * 60 * 60 * 1000;

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

impl People {
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
}
