//! Who makes a request.

use super::{Actor, Scope, SecretDigest, SecretId, Token, UserName};

/// Who makes a request, once that is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    actor: Actor,
    credential: Option<Credential>,
}

/// The token by which somebody came in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credential {
    /// Whose.
    pub user: UserName,
    /// Which.
    pub token: SecretId,
    /// What it is good for.
    pub scope: Scope,
    /// When it ends, in milliseconds since the Unix epoch.
    pub expires: Option<u64>,
    /// As it was when it was checked: another one after the token was rotated.
    pub(super) digest: SecretDigest,
}

impl Caller {
    /// Somebody at the box itself, who may open its socket: an administrator.
    #[must_use]
    pub fn of_system(actor: Actor) -> Self {
        Self { actor, credential: None }
    }

    /// Whoever has shown this token.
    #[must_use]
    pub(super) fn of_token(token: &Token) -> Self {
        let credential = Credential {
            user: token.user.clone(),
            token: token.id.clone(),
            scope: token.scope.clone(),
            expires: token.expires,
            digest: token.digest.clone(),
        };
        Self { actor: Actor::named(token.user.as_str()), credential: Some(credential) }
    }

    /// How they are named.
    #[must_use]
    pub fn actor(&self) -> &Actor {
        &self.actor
    }

    /// How they came in; `None` is by the box's own socket.
    #[must_use]
    pub fn credential(&self) -> Option<&Credential> {
        self.credential.as_ref()
    }

    /// The user; nobody at the box itself is one.
    #[must_use]
    pub fn user(&self) -> Option<&UserName> {
        self.credential.as_ref().map(|credential| &credential.user)
    }

    /// The same user by a token without limits, to tell what is theirs from what is the token's.
    #[must_use]
    pub fn unscoped(&self) -> Self {
        let unlimited = |credential: &Credential| Credential { scope: Scope::All, ..credential.clone() };
        Self { actor: self.actor.clone(), credential: self.credential.as_ref().map(unlimited) }
    }
}
