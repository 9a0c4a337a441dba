//! What somebody shows to be let in: tokens, and the secrets that tokens and invites are made of.
//!
//! A [`Secret`] is 256 random bits and the id of the record that it belongs to, as text that can be recognised:
//! `mp_1a2b3c4d_…`. It is shown once; the box keeps the SHA-256 of its bits alone. The id is no secret: it is what lists show,
//! and how the record is found, so that only one digest is compared, in constant time.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::{Role, UserName};
use crate::name::AppName;
use crate::{hex, random};

/// What a token begins with.
const TOKEN: &str = "mp_";
/// What an invite's code begins with.
const INVITE: &str = "mpi_";
/// Hexadecimal digits of an id.
const ID_LENGTH: usize = 8;

/// Which token or invite: eight hexadecimal digits. No secret.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SecretId(String);

/// What a secret opens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SecretKind {
    /// The box, as a user.
    Token,
    /// One account, once.
    Invite,
}

/// A secret as it is shown once; its `Debug` does not show it.
#[derive(Clone)]
pub struct Secret {
    id: SecretId,
    kind: SecretKind,
    bits: Zeroizing<[u8; 32]>,
}

/// What is kept of a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretDigest(pub [u8; 32]);

/// What a token is good for; never for more than its user may do.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Scope {
    /// Everything that its user may do.
    #[default]
    All,
    /// Looking.
    Read,
    /// This app, in this role.
    App(AppName, Role),
}

/// A token as the box keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// Which.
    pub id: SecretId,
    /// Whose.
    pub user: UserName,
    /// What its user calls it.
    pub name: String,
    /// Of what it is checked against.
    pub digest: SecretDigest,
    /// What it is good for.
    pub scope: Scope,
    /// When it was made, in milliseconds since the Unix epoch, as all times here.
    pub created: u64,
    /// When it ends; `None` for never.
    pub expires: Option<u64>,
    /// When it was used last, to the hour; `None` for never.
    pub last_used: Option<u64>,
    /// When its secret was replaced last.
    pub rotated: Option<u64>,
}

/// The text is no secret of this box's kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it is no token and no invite; those begin with `mp_` and `mpi_`")]
pub struct NoSecret;

// === impl SecretId ===

impl SecretId {
    /// The digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for SecretId {
    type Err = NoSecret;

    fn from_str(text: &str) -> Result<Self, NoSecret> {
        let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        let is_id = text.len() == ID_LENGTH && text.bytes().all(is_digit);
        if is_id { Ok(Self(text.to_owned())) } else { Err(NoSecret) }
    }
}

impl fmt::Display for SecretId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

// === impl Secret ===

impl Secret {
    /// A new one, with an id of its own.
    #[must_use]
    pub fn random(kind: SecretKind) -> Self {
        Self::of(SecretId(hex::encode(random::bytes::<4>())), kind)
    }

    /// A new one for this id.
    #[must_use]
    pub fn of(id: SecretId, kind: SecretKind) -> Self {
        Self { id, kind, bits: Zeroizing::new(random::bytes()) }
    }

    /// Which record it belongs to.
    #[must_use]
    pub fn id(&self) -> &SecretId {
        &self.id
    }

    /// What it opens.
    #[must_use]
    pub fn kind(&self) -> SecretKind {
        self.kind
    }

    /// What is kept of it.
    #[must_use]
    pub fn digest(&self) -> SecretDigest {
        SecretDigest(Sha256::digest(*self.bits).into())
    }

    /// The secret itself, for the one time that it is shown.
    #[must_use]
    pub fn reveal(&self) -> Zeroizing<String> {
        let prefix = match self.kind {
            SecretKind::Token => TOKEN,
            SecretKind::Invite => INVITE,
        };
        Zeroizing::new(format!("{prefix}{}_{}", self.id, URL_SAFE_NO_PAD.encode(*self.bits)))
    }
}

impl FromStr for Secret {
    type Err = NoSecret;

    fn from_str(text: &str) -> Result<Self, NoSecret> {
        let (kind, rest) = match (text.strip_prefix(INVITE), text.strip_prefix(TOKEN)) {
            (Some(rest), _) => (SecretKind::Invite, rest),
            (None, Some(rest)) => (SecretKind::Token, rest),
            (None, None) => return Err(NoSecret),
        };
        let (id, bits) = rest.split_once('_').ok_or(NoSecret)?;
        let decoded = Zeroizing::new(URL_SAFE_NO_PAD.decode(bits).map_err(|_| NoSecret)?);
        let bits = Zeroizing::new(<[u8; 32]>::try_from(decoded.as_slice()).map_err(|_| NoSecret)?);
        Ok(Self { id: id.parse()?, kind, bits })
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secret").field("id", &self.id).field("kind", &self.kind).finish_non_exhaustive()
    }
}

// === impl SecretDigest ===

impl SecretDigest {
    /// Whether this is the secret that it is of. Takes as long for any.
    #[must_use]
    pub fn is_of(&self, secret: &Secret) -> bool {
        is_same(&self.0, &secret.digest().0)
    }
}

/// Compares in a time that tells nothing of where two texts of one length differ.
pub(crate) fn is_same(one: &[u8], other: &[u8]) -> bool {
    let differing = one.iter().zip(other).fold(0, |differing, (one, other)| differing | (one ^ other));
    one.len() == other.len() && std::hint::black_box(differing) == 0
}

// === impl Scope ===

impl Scope {
    /// What is left of a role on this app; `None` when the token is not for it.
    #[must_use]
    pub fn limit(&self, app: &AppName, role: Role) -> Option<Role> {
        match self {
            Self::All => Some(role),
            Self::Read => Some(role.min(Role::Viewer)),
            Self::App(own, most) => (own == app).then(|| role.min(*most)),
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("all"),
            Self::Read => f.write_str("read"),
            Self::App(app, role) => write!(f, "{app}:{role}"),
        }
    }
}

// === impl Token ===

impl Token {
    /// Whether its time is over.
    #[must_use]
    pub fn has_expired(&self, now: u64) -> bool {
        self.expires.is_some_and(|expires| expires <= now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_read_back_and_shows_itself_to_nobody_else() {
        for kind in [SecretKind::Token, SecretKind::Invite] {
            let secret = Secret::random(kind);
            let text = secret.reveal();
            let read: Secret = text.parse().unwrap();
            assert_eq!((read.id(), read.kind()), (secret.id(), kind));
            assert!(secret.digest().is_of(&read));
            assert!(!secret.digest().is_of(&Secret::of(secret.id().clone(), kind)));
            let shown = format!("{secret:?}");
            assert!(!shown.contains(&text[13..]) && shown.contains(secret.id().as_str()), "{shown}");
        }
    }

    #[test]
    fn what_is_not_quite_a_secret_is_none() {
        let good = Secret::random(SecretKind::Token).reveal();
        assert_eq!(good.len(), "mp_".len() + 8 + 1 + 43);
        let cut = &good[..good.len() - 1];
        let long = format!("{}A", *good);
        let other = good.replacen("mp_", "xx_", 1);
        for bad in ["", "mp_", "mp__", "mp_1a2b3c4d_", cut, &long, &other] {
            assert_eq!(bad.parse::<Secret>().unwrap_err(), NoSecret, "{bad}");
        }
    }

    #[test]
    fn a_scope_takes_away_and_never_adds() {
        let (shop, blog): (AppName, AppName) = ("shop".parse().unwrap(), "blog".parse().unwrap());
        let of_shop = Scope::App(shop.clone(), Role::Collaborator);
        assert_eq!(of_shop.limit(&shop, Role::Admin), Some(Role::Collaborator));
        assert_eq!(of_shop.limit(&shop, Role::Viewer), Some(Role::Viewer));
        assert_eq!(of_shop.limit(&blog, Role::Admin), None);
        assert_eq!(Scope::Read.limit(&shop, Role::Owner), Some(Role::Viewer));
        assert_eq!(Scope::All.limit(&shop, Role::Owner), Some(Role::Owner));
    }
}
