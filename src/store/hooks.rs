//! Webhooks as they lie on disk: what they are, sealed where it is secret, and how far each is.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use super::record::{decode, encode, parse};
use super::{Store, StoreError};
use crate::hooks::{Delivery, DeliveryState, Format, Hook, Progress};
use crate::people::Actor;
use crate::seal::BoxKey;

/// What the keys of hooks begin with, and of how far they are.
const HOOKS: &str = "hook/";
const PROGRESS: &str = "hook-progress/";
/// What URL and secret are sealed as.
const SEALED_AS: &str = "webhook";

#[derive(Serialize, Deserialize)]
struct HookForm {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    app: Option<String>,
    /// A [`SecretForm`], sealed, in base64.
    sealed: String,
    events: Vec<String>,
    format: String,
    by: String,
    created_at: u64,
    #[serde(default)]
    may_be_here: bool,
}

#[derive(Serialize, Deserialize)]
struct SecretForm {
    /// Also here, so that no hook's secret can be put in another's place.
    id: String,
    url: String,
    secret: String,
}

#[derive(Default, Serialize, Deserialize)]
struct ProgressForm {
    after: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    disabled: Option<String>,
    deliveries: Vec<DeliveryForm>,
}

#[derive(Serialize, Deserialize)]
struct DeliveryForm {
    event: u64,
    action: String,
    at: u64,
    attempts: u32,
    is_delivered: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    waits_until: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

impl Store {
    /// All hooks, with how far each is. One that another key has sealed is left out, with a warning in the log.
    ///
    /// # Errors
    ///
    /// When a record cannot be read back.
    pub async fn hooks(&self, key: &BoxKey) -> Result<Vec<(Hook, Progress)>, StoreError> {
        let key = key.clone();
        self.blocking(move |store| {
            let found =
                store.scan(HOOKS, |key, bytes| Ok((key.to_owned(), decode::<HookForm>(key, bytes)?)))?;
            let mut hooks = Vec::new();
            for (at, form) in found {
                let Some(hook) = hook(&at, form, &key)? else { continue };
                let at = format!("{PROGRESS}{}", hook.id);
                let progress = store.db.get(&at).map_err(|error| store.failed("read", error))?;
                let progress = progress.map(|bytes| progress_of(&at, &bytes)).transpose()?;
                hooks.push((hook, progress.unwrap_or_default()));
            }
            Ok(hooks)
        })
        .await
    }

    /// Keeps a hook.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub async fn save_hook(&self, hook: &Hook, key: &BoxKey) -> Result<(), StoreError> {
        let secret = SecretForm { id: hook.id.clone(), url: hook.url.clone(), secret: hook.secret.clone() };
        let form = HookForm {
            app: hook.app.as_ref().map(ToString::to_string),
            sealed: STANDARD.encode(key.seal(SEALED_AS, &encode(&secret))),
            events: hook.events.clone(),
            format: hook.format.as_str().to_owned(),
            by: hook.by.to_string(),
            created_at: hook.created_at,
            may_be_here: hook.may_be_here,
        };
        let mut batch = sled::Batch::default();
        batch.insert(format!("{HOOKS}{}", hook.id).as_bytes(), encode(&form));
        self.apply(batch).await
    }

    /// Keeps how far a hook is.
    ///
    /// # Errors
    ///
    /// When it cannot be written; then it is as it was.
    pub async fn save_hook_progress(&self, id: &str, progress: &Progress) -> Result<(), StoreError> {
        let form = ProgressForm {
            after: progress.after,
            disabled: progress.disabled.clone(),
            deliveries: progress.deliveries.iter().map(from_delivery).collect(),
        };
        let mut batch = sled::Batch::default();
        batch.insert(format!("{PROGRESS}{id}").as_bytes(), encode(&form));
        self.apply(batch).await
    }

    /// Forgets a hook and how far it was.
    ///
    /// # Errors
    ///
    /// When it cannot be written; then it is still there.
    pub async fn remove_hook(&self, id: &str) -> Result<(), StoreError> {
        let mut batch = sled::Batch::default();
        batch.remove(format!("{HOOKS}{id}").as_bytes());
        batch.remove(format!("{PROGRESS}{id}").as_bytes());
        self.apply(batch).await
    }
}

fn hook(at: &str, form: HookForm, key: &BoxKey) -> Result<Option<Hook>, StoreError> {
    let id = &at[HOOKS.len()..];
    let sealed = STANDARD.decode(&form.sealed).ok();
    let opened = sealed.and_then(|sealed| key.open(SEALED_AS, &sealed).ok());
    let secret =
        opened.and_then(|bytes| decode::<SecretForm>(at, &bytes).ok()).filter(|secret| secret.id == id);
    let Some(SecretForm { id, url, secret }) = secret else {
        tracing::warn!(hook = id, "hook is left out, it was not sealed with this box's key");
        return Ok(None);
    };
    Ok(Some(Hook {
        id,
        app: form.app.map(|app| parse(at, &app)).transpose()?,
        url,
        secret,
        events: form.events,
        format: parse::<Format>(at, &form.format)?,
        by: Actor::named(form.by),
        created_at: form.created_at,
        may_be_here: form.may_be_here,
    }))
}

fn from_delivery(delivery: &Delivery) -> DeliveryForm {
    DeliveryForm {
        event: delivery.event,
        action: delivery.action.clone(),
        at: delivery.at,
        attempts: delivery.attempts,
        is_delivered: delivery.state == DeliveryState::Delivered,
        waits_until: match delivery.state {
            DeliveryState::Waiting(until) => Some(until),
            DeliveryState::Delivered | DeliveryState::GivenUp => None,
        },
        status: delivery.status,
        error: delivery.error.clone(),
    }
}

fn progress_of(key: &str, bytes: &[u8]) -> Result<Progress, StoreError> {
    let form: ProgressForm = decode(key, bytes)?;
    let delivery = |form: DeliveryForm| Delivery {
        event: form.event,
        action: form.action,
        at: form.at,
        attempts: form.attempts,
        state: match form.waits_until {
            Some(until) => DeliveryState::Waiting(until),
            None if form.is_delivered => DeliveryState::Delivered,
            None => DeliveryState::GivenUp,
        },
        status: form.status,
        error: form.error,
    };
    Ok(Progress {
        after: form.after,
        disabled: form.disabled,
        deliveries: form.deliveries.into_iter().map(delivery).collect(),
    })
}
