//! Why people are as they were.

use super::super::{Invite, SecretId, UserName, UserNameError};
use super::tokens::TOKEN_NAME_LENGTH_MAX;
use crate::name::AppName;
use crate::store::StoreError;

/// Why people are as they were.
#[derive(Debug, thiserror::Error)]
pub enum PeopleError {
    /// There is no such user.
    #[error("there is no user `{0}`")]
    NoUser(UserName),
    /// The name is taken.
    #[error("there is a user `{0}` already")]
    UserExists(UserName),
    /// The invite is for nobody in particular, and nobody said a name.
    #[error("the invite is for whoever follows it, so it needs a name")]
    NameNeeded,
    /// The invite is for somebody else.
    #[error("the invite is for `{0}`")]
    OtherName(UserName),
    /// No such name.
    #[error(transparent)]
    Name(#[from] UserNameError),
    /// There is no such token of theirs.
    #[error("there is no token `{0}`")]
    NoToken(SecretId),
    /// There is no such invite, or no longer.
    #[error("the invite is not known here; it may have been used already, or have expired")]
    NoInvite,
    /// Users are made administrators, not granted it for an app.
    #[error("`admin` is no role for one app; there are viewer, collaborator and owner")]
    AdminOfApp,
    /// Somebody has to be able to give an app away.
    #[error("`{user}` is the only owner of `{app}`")]
    LastOwner {
        /// The owner.
        user: UserName,
        /// The app.
        app: AppName,
    },
    /// They have no role there.
    #[error("`{user}` has no role of their own for `{app}`")]
    NoGrant {
        /// The user.
        user: UserName,
        /// The app.
        app: AppName,
    },
    /// Somebody else is about to make an app of this name.
    #[error("somebody else is about to make an app `{0}`")]
    Claimed(AppName),
    /// Not a name for a token.
    #[error(
        "a token's name has 1 to {TOKEN_NAME_LENGTH_MAX} characters, none of which is a control character"
    )]
    TokenName,
    /// An invite lasts too long, or is over at once.
    #[error("an invite is good for a minute to {} days", Invite::TIME_MAX.as_secs() / 86_400)]
    InviteTime,
    /// The token would end before it begins.
    #[error("a token ends in the future, or never")]
    TokenTime,
    /// There are too many of them.
    #[error("there are {0} already; remove some first")]
    TooMany(&'static str),
    /// It could not be kept.
    #[error("cannot keep who may use the box")]
    Store(#[from] StoreError),
}
