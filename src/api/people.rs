//! Users, roles, tokens and invites.
//!
//! Where a secret is answered it is in a field of its own, of a type that does not print itself.

use std::collections::BTreeMap;
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A secret on its way to whom it is for; its `Debug` does not show it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Shown(pub String);

/// Who somebody is for the box.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Whoami {
    /// The user, or the system's user at the box itself.
    pub user: String,
    /// Whether they may do anything on the box, by what they came in with.
    pub is_admin: bool,
    /// The token that was shown; none at the box itself.
    #[serde(default)]
    pub token: Option<TokenInfo>,
    /// What they may do with which app.
    #[serde(default)]
    pub apps: BTreeMap<String, String>,
    /// The box's id.
    pub box_id: String,
    /// The box's host.
    pub host: String,
}

/// A user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct UserInfo {
    /// Their name.
    pub name: String,
    /// Whether they may do anything on the box.
    pub is_admin: bool,
    /// Since when, in milliseconds since the Unix epoch, as all times here.
    pub created: u64,
    /// When one of their tokens was used last, to the hour.
    #[serde(default)]
    pub last_used: Option<u64>,
    /// How many tokens they have.
    #[serde(default)]
    pub tokens: usize,
    /// Their roles, by app.
    #[serde(default)]
    pub apps: BTreeMap<String, String>,
}

/// A user that is to be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct UserRequest {
    /// Their name.
    pub name: String,
    /// Whether they may do anything on the box.
    #[serde(default)]
    pub is_admin: bool,
}

/// What is to be changed of a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct UserChange {
    /// Whether they may do anything on the box.
    pub is_admin: bool,
}

/// What went with a user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct UserRemoved {
    /// Apps that nobody owns now.
    pub without_owner: Vec<String>,
}

/// What somebody may do with an app.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Access {
    /// Who.
    pub user: String,
    /// `viewer`, `collaborator`, `owner`; `admin` for administrators of the box.
    pub role: String,
}

/// A role that is to be given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct AccessRequest {
    /// `viewer`, `collaborator` or `owner`.
    pub role: String,
}

/// Whose an app is to be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct TransferRequest {
    /// The user.
    pub to: String,
}

/// A token, without its secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct TokenInfo {
    /// Eight digits, by which it is recognised: it begins with `mp_` and them.
    pub id: String,
    /// Whose.
    pub user: String,
    /// What its user calls it.
    pub name: String,
    /// `all`, `read`, or an app and a role: `shop:collaborator`.
    pub scope: String,
    /// When it was made.
    pub created: u64,
    /// When it ends.
    #[serde(default)]
    pub expires: Option<u64>,
    /// When it was used last, to the hour.
    #[serde(default)]
    pub last_used: Option<u64>,
    /// When its secret was replaced last.
    #[serde(default)]
    pub rotated: Option<u64>,
}

/// A token that is wanted.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct TokenRequest {
    /// What it is called.
    pub name: String,
    /// Whose; who asks, unless somebody at the box itself does.
    #[serde(default)]
    pub user: Option<String>,
    /// Whether it is for looking alone.
    #[serde(default)]
    pub read_only: bool,
    /// The one app that it is for.
    #[serde(default)]
    pub app: Option<String>,
    /// What it may do there. Default `collaborator`.
    #[serde(default)]
    pub role: Option<String>,
    /// How long it lasts. Default for ever.
    #[serde(default)]
    pub lasts_ms: Option<u64>,
}

/// A token, for the one time that it is shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct TokenReply {
    /// The token.
    pub token: TokenInfo,
    /// What is to be shown to the box.
    pub secret: Shown,
}

/// A role for one app.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Grant {
    /// The app.
    pub app: String,
    /// `viewer`, `collaborator` or `owner`.
    pub role: String,
}

/// An invite that is wanted.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct InviteRequest {
    /// For whom; else whoever follows it chooses a name.
    #[serde(default)]
    pub user: Option<String>,
    /// Whether it makes an administrator.
    #[serde(default)]
    pub is_admin: bool,
    /// What it grants.
    #[serde(default)]
    pub grants: Vec<Grant>,
    /// How long it is good. Default 72 hours.
    #[serde(default)]
    pub lasts_ms: Option<u64>,
}

/// An invite, without its code.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct InviteInfo {
    /// Eight digits.
    pub id: String,
    /// For whom.
    #[serde(default)]
    pub user: Option<String>,
    /// Whether it makes an administrator.
    pub is_admin: bool,
    /// What it grants.
    #[serde(default)]
    pub grants: Vec<Grant>,
    /// When it was made.
    pub created: u64,
    /// When it ends.
    pub expires: u64,
    /// Who made it.
    pub by: String,
}

/// An invite, for the one time that its link is shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct InviteReply {
    /// The invite.
    pub invite: InviteInfo,
    /// What `minipaas login` takes.
    pub link: Shown,
}

/// An invite that is followed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct RedeemRequest {
    /// The link's last part.
    pub code: Shown,
    /// The name that is wanted, where the invite is for nobody in particular.
    #[serde(default)]
    pub user: Option<String>,
    /// What the token is to be called.
    pub token_name: String,
}

/// Who somebody is now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct RedeemReply {
    /// The user.
    pub user: String,
    /// Whether they may do anything on the box.
    pub is_admin: bool,
    /// Their token.
    pub token: TokenInfo,
    /// What is to be shown to the box.
    pub secret: Shown,
}

impl fmt::Debug for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}
