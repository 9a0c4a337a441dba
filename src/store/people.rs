//! Users, tokens, invites and grants, as they lie on disk. Of secrets there are digests alone.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::record::{decode, encode, parse};
use super::{Store, StoreError};
use crate::hex;
use crate::name::AppName;
use crate::people::{Actor, Entry, Grants, Invite, Scope, SecretDigest, Token, User};

const USERS: &str = "user/";
const TOKENS: &str = "token/";
const INVITES: &str = "invite/";
const GRANTS: &str = "grants/";

#[derive(Serialize, Deserialize)]
struct UserForm {
    name: String,
    created: u64,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    is_admin: bool,
}

#[derive(Serialize, Deserialize)]
struct TokenForm {
    id: String,
    user: String,
    name: String,
    /// In hexadecimal digits.
    sha256: String,
    scope: ScopeForm,
    created: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expires: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    last_used: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rotated: Option<u64>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum ScopeForm {
    All,
    Read,
    App { app: String, role: String },
}

#[derive(Serialize, Deserialize)]
struct InviteForm {
    id: String,
    sha256: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    user: Option<String>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    is_admin: bool,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    grants: Vec<(String, String)>,
    created: u64,
    expires: u64,
    by: String,
}

#[derive(Serialize, Deserialize)]
struct GrantsForm {
    roles: BTreeMap<String, String>,
}

impl Store {
    /// Everything that is known of people.
    ///
    /// # Errors
    ///
    /// When a record cannot be read back.
    pub async fn people(&self) -> Result<Vec<Entry>, StoreError> {
        self.blocking(|store| {
            let mut entries = store.scan(USERS, user)?;
            entries.extend(store.scan(TOKENS, token)?);
            entries.extend(store.scan(INVITES, invite)?);
            entries.extend(store.scan(GRANTS, grants)?);
            Ok(entries)
        })
        .await
    }

    /// Keeps a change, all of it or nothing.
    ///
    /// # Errors
    ///
    /// When it cannot be written; then all is as it was.
    pub async fn save_people(&self, entries: &[Entry]) -> Result<(), StoreError> {
        let mut batch = sled::Batch::default();
        for entry in entries {
            match entry {
                Entry::User(user) => batch.insert(key(USERS, user.name.as_str()), from_user(user)),
                Entry::NoUser(name) => batch.remove(key(USERS, name.as_str())),
                Entry::Token(token) => batch.insert(key(TOKENS, token.id.as_str()), from_token(token)),
                Entry::NoToken(id) => batch.remove(key(TOKENS, id.as_str())),
                Entry::Invite(invite) => batch.insert(key(INVITES, invite.id.as_str()), from_invite(invite)),
                Entry::NoInvite(id) => batch.remove(key(INVITES, id.as_str())),
                Entry::Grants(app, grants) if grants.is_empty() => batch.remove(key(GRANTS, app.as_str())),
                Entry::Grants(app, grants) => batch.insert(key(GRANTS, app.as_str()), from_grants(grants)),
            }
        }
        self.apply(batch).await
    }
}

fn key(prefix: &str, name: &str) -> Vec<u8> {
    format!("{prefix}{name}").into_bytes()
}

fn from_user(user: &User) -> Vec<u8> {
    encode(&UserForm { name: user.name.to_string(), created: user.created, is_admin: user.is_admin })
}

fn user(key: &str, bytes: &[u8]) -> Result<Entry, StoreError> {
    let form: UserForm = decode(key, bytes)?;
    Ok(Entry::User(User { name: parse(key, &form.name)?, created: form.created, is_admin: form.is_admin }))
}

fn from_token(token: &Token) -> Vec<u8> {
    encode(&TokenForm {
        id: token.id.to_string(),
        user: token.user.to_string(),
        name: token.name.clone(),
        sha256: hex::encode(token.digest.0),
        scope: match &token.scope {
            Scope::All => ScopeForm::All,
            Scope::Read => ScopeForm::Read,
            Scope::App(app, role) => ScopeForm::App { app: app.to_string(), role: role.to_string() },
        },
        created: token.created,
        expires: token.expires,
        last_used: token.last_used,
        rotated: token.rotated,
    })
}

fn token(key: &str, bytes: &[u8]) -> Result<Entry, StoreError> {
    let form: TokenForm = decode(key, bytes)?;
    Ok(Entry::Token(Token {
        id: parse(key, &form.id)?,
        user: parse(key, &form.user)?,
        name: form.name,
        digest: digest(key, &form.sha256)?,
        scope: match form.scope {
            ScopeForm::All => Scope::All,
            ScopeForm::Read => Scope::Read,
            ScopeForm::App { app, role } => Scope::App(parse(key, &app)?, parse(key, &role)?),
        },
        created: form.created,
        expires: form.expires,
        last_used: form.last_used,
        rotated: form.rotated,
    }))
}

fn from_invite(invite: &Invite) -> Vec<u8> {
    encode(&InviteForm {
        id: invite.id.to_string(),
        sha256: hex::encode(invite.digest.0),
        user: invite.user.as_ref().map(ToString::to_string),
        is_admin: invite.is_admin,
        grants: invite.grants.iter().map(|(app, role)| (app.to_string(), role.to_string())).collect(),
        created: invite.created,
        expires: invite.expires,
        by: invite.by.to_string(),
    })
}

fn invite(key: &str, bytes: &[u8]) -> Result<Entry, StoreError> {
    let form: InviteForm = decode(key, bytes)?;
    let grant = |(app, role): &(String, String)| Ok((parse(key, app)?, parse(key, role)?));
    Ok(Entry::Invite(Invite {
        id: parse(key, &form.id)?,
        digest: digest(key, &form.sha256)?,
        user: form.user.map(|user| parse(key, &user)).transpose()?,
        is_admin: form.is_admin,
        grants: form.grants.iter().map(grant).collect::<Result<_, StoreError>>()?,
        created: form.created,
        expires: form.expires,
        by: Actor::named(form.by),
    }))
}

fn from_grants(grants: &Grants) -> Vec<u8> {
    encode(&GrantsForm {
        roles: grants.iter().map(|(user, role)| (user.to_string(), role.to_string())).collect(),
    })
}

fn grants(key: &str, bytes: &[u8]) -> Result<Entry, StoreError> {
    let form: GrantsForm = decode(key, bytes)?;
    let app: AppName = parse(key, &key[GRANTS.len()..])?;
    let grant = |(user, role): (&String, &String)| Ok((parse(key, user)?, parse(key, role)?));
    Ok(Entry::Grants(app, form.roles.iter().map(grant).collect::<Result<_, StoreError>>()?))
}

fn digest(key: &str, text: &str) -> Result<SecretDigest, StoreError> {
    let unreadable = || StoreError::Record { key: key.to_owned(), reason: "no SHA-256".to_owned() };
    hex::decode(text).map(SecretDigest).ok_or_else(unreadable)
}
