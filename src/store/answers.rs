//! Answers that may be given again, as they lie on disk; their bodies are sealed.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use super::record::{decode, encode};
use super::{Store, StoreError};
use crate::answers::KeptAnswer;
use crate::hex;

/// What the keys begin with; the digest of whose key it is follows.
const PREFIX: &str = "answer/";

#[derive(Serialize, Deserialize)]
struct AnswerForm {
    request: String,
    at: u64,
    status: u16,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    content_type: Option<String>,
    /// Sealed, in base64.
    body: String,
}

impl Store {
    /// The answer of this key, still sealed.
    ///
    /// # Errors
    ///
    /// When it cannot be read back.
    pub async fn answer(&self, key: &[u8; 32]) -> Result<Option<KeptAnswer>, StoreError> {
        let key = format!("{PREFIX}{}", hex::encode(key));
        self.blocking(move |store| {
            let found = store.db.get(&key).map_err(|error| store.failed("read", error))?;
            found.map(|bytes| answer(&key, &bytes)).transpose()
        })
        .await
    }

    /// Keeps a sealed answer, and removes the oldest when there are more than `max`.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub async fn save_answer(
        &self,
        key: &[u8; 32],
        answer: &KeptAnswer,
        max: usize,
    ) -> Result<(), StoreError> {
        let form = AnswerForm {
            request: hex::encode(answer.request),
            at: answer.at,
            status: answer.status,
            content_type: answer.content_type.clone(),
            body: STANDARD.encode(&answer.body),
        };
        let key = format!("{PREFIX}{}", hex::encode(key));
        let oldest = self.blocking(move |store| store.answers_over(max)).await?;
        let mut batch = sled::Batch::default();
        for old in oldest {
            batch.remove(old.as_bytes());
        }
        batch.insert(key.as_bytes(), encode(&form));
        self.apply(batch).await
    }

    /// The keys of the oldest answers, so that one fewer than `max` are left.
    fn answers_over(&self, max: usize) -> Result<Vec<String>, StoreError> {
        // A key alone costs little; what it holds is read only when there are too many.
        let count = self.db.scan_prefix(PREFIX).keys().count();
        let over = (count + 1).saturating_sub(max);
        if over == 0 {
            return Ok(Vec::new());
        }
        let mut all = self.scan(PREFIX, |key, bytes| Ok((answer(key, bytes)?.at, key.to_owned())))?;
        all.sort_unstable();
        Ok(all.into_iter().take(over).map(|(_, key)| key).collect())
    }
}

fn answer(key: &str, bytes: &[u8]) -> Result<KeptAnswer, StoreError> {
    let form: AnswerForm = decode(key, bytes)?;
    let failed = |reason: &str| StoreError::Record { key: key.to_owned(), reason: reason.to_owned() };
    Ok(KeptAnswer {
        request: hex::decode(&form.request).ok_or_else(|| failed("`request` is no digest"))?,
        at: form.at,
        status: form.status,
        content_type: form.content_type,
        body: STANDARD.decode(&form.body).map_err(|error| failed(&error.to_string()))?,
    })
}
