//! Answers to changes that were asked for with a key of the client's own, to be given once more and not to be worked for.
//!
//! A client whose connection broke does not know whether what it asked for was done. It asks again with the same key, and
//! gets the answer that it missed. The newest [`KEPT_MAX`] are kept for [`KEPT_FOR`], over restarts, sealed with the box's
//! key: an answer may tell of a secret that is told once.
//!
//! Whose key it is, and whether it is the same request, is the API's to decide.

use std::time::Duration;

use crate::clock;
use crate::seal::BoxKey;
use crate::store::{Store, StoreError};

/// So long one may ask again.
pub const KEPT_FOR: Duration = Duration::from_secs(24 * 60 * 60);
/// So many are kept; the oldest go.
pub const KEPT_MAX: usize = 1_000;
/// What they are sealed as.
const SEALED_AS: &str = "answer to a request";

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptAnswer {
    /// The digest of the request that it answers.
    pub request: [u8; 32],
    /// When it was given, in milliseconds since the Unix epoch.
    pub at: u64,
    /// Its status.
    pub status: u16,
    /// What its body is.
    pub content_type: Option<String>,
    /// Its body.
    pub body: Vec<u8>,
}

/// Where answers are kept; clones are handles on the same ones.
#[derive(Debug, Clone)]
pub struct Answers {
    store: Store,
    key: BoxKey,
}

impl Answers {
    /// Those in this store, sealed with this key.
    #[must_use]
    pub fn new(store: Store, key: BoxKey) -> Self {
        Self { store, key }
    }

    /// None yet, in a state of its own in this folder.
    #[cfg(test)]
    pub(crate) fn in_folder(folder: &std::path::Path) -> Self {
        Self::new(Store::open(folder).expect("a store"), BoxKey::new(&[7; 32]))
    }

    /// The answer of this key, unless it is too old.
    ///
    /// # Errors
    ///
    /// When it cannot be read back.
    pub async fn find(&self, key: &[u8; 32]) -> Result<Option<KeptAnswer>, StoreError> {
        let Some(found) = self.store.answer(key).await? else { return Ok(None) };
        let age_max = u64::try_from(KEPT_FOR.as_millis()).unwrap_or(u64::MAX);
        // What another key has sealed is as good as gone.
        let body = self.key.open(SEALED_AS, &found.body).ok();
        let body = body.filter(|_| clock::now().saturating_sub(found.at) < age_max);
        Ok(body.map(|body| KeptAnswer { body: body.to_vec(), ..found }))
    }

    /// Keeps the answer of this key.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub async fn keep(&self, key: &[u8; 32], answer: &KeptAnswer) -> Result<(), StoreError> {
        let sealed = KeptAnswer { body: self.key.seal(SEALED_AS, &answer.body), ..answer.clone() };
        self.store.save_answer(key, &sealed, KEPT_MAX).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn answers_are_kept_sealed_and_bounded() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let answers = Answers::new(store.clone(), BoxKey::new(&[7; 32]));
        let answer = |at| KeptAnswer {
            request: [1; 32],
            at,
            status: 200,
            content_type: Some("application/json".to_owned()),
            body: b"{\"token\":\"mp_secret\"}".to_vec(),
        };
        let now = clock::now();
        answers.keep(&[0; 32], &answer(now)).await.unwrap();
        assert_eq!(answers.find(&[0; 32]).await.unwrap(), Some(answer(now)));
        assert_eq!(answers.find(&[9; 32]).await.unwrap(), None);
        let sealed = store.answer(&[0; 32]).await.unwrap().unwrap().body;
        assert!(!String::from_utf8_lossy(&sealed).contains("mp_secret"));

        answers.keep(&[1; 32], &answer(now - 25 * 60 * 60 * 1000)).await.unwrap();
        assert_eq!(answers.find(&[1; 32]).await.unwrap(), None, "it is too old");
        store.save_answer(&[2; 32], &answer(now + 1), 2).await.unwrap();
        assert!(store.answer(&[1; 32]).await.unwrap().is_none(), "the oldest goes");
        assert!(store.answer(&[0; 32]).await.unwrap().is_some());
    }
}
