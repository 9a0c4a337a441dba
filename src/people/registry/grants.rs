//! Who may use which app, and as what; and who is just about to make one.
//!
//! An app that is made belongs to whoever makes it. Between the first word of it (its image arrives, its deploy is asked for) and the
//! app itself lies a while, for which the name is kept: nobody else begins to make it then. What an app has granted goes with it.

use std::collections::BTreeSet;
use std::sync::PoisonError;
use std::time::Duration;

use tokio::time::Instant;

use super::super::state::{Entry, Grants, State};
use super::super::{Caller, Role, UserName};
use super::{People, PeopleError, find_user};
use crate::name::AppName;

/// For so long a name is kept for whoever began to make an app of it.
const CLAIM_TIME: Duration = Duration::from_secs(10 * 60);

impl People {
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
}

/// Whether the app has an owner beside this user, or this user is none.
fn check_other_owner(state: &State, app: &AppName, user: &UserName) -> Result<(), PeopleError> {
    match state.owners(app).as_slice() {
        [only] if *only == user => Err(PeopleError::LastOwner { user: user.clone(), app: app.clone() }),
        _ => Ok(()),
    }
}
