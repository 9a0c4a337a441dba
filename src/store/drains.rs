//! Where apps' logs are handed on to.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use super::record::{decode, encode, parse};
use super::{Store, StoreError};
use crate::name::AppName;

/// What their keys begin with.
const DRAINS: &str = "drain/";

/// A drain, as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DrainRecord {
    /// Unique on the box.
    pub id: String,
    /// Whose log it takes.
    pub app: AppName,
    /// Where it leads, sealed.
    pub url: Vec<u8>,
    /// When it was made, in milliseconds since the Unix epoch.
    pub created_at: u64,
}

#[derive(Serialize, Deserialize)]
struct DrainForm {
    id: String,
    app: String,
    /// Sealed, in base64.
    url: String,
    created_at: u64,
}

impl Store {
    /// Every drain, those of an app by their age.
    ///
    /// # Errors
    ///
    /// When a record cannot be read back.
    pub async fn drains(&self) -> Result<Vec<DrainRecord>, StoreError> {
        let mut drains = self.blocking(|store| store.scan(DRAINS, drain)).await?;
        drains.sort_by(|a, b| (&a.app, a.created_at, &a.id).cmp(&(&b.app, b.created_at, &b.id)));
        Ok(drains)
    }

    /// Keeps a drain.
    ///
    /// # Errors
    ///
    /// When it cannot be written; then it is not there.
    pub async fn save_drain(&self, drain: &DrainRecord) -> Result<(), StoreError> {
        let form = DrainForm {
            id: drain.id.clone(),
            app: drain.app.to_string(),
            url: STANDARD.encode(&drain.url),
            created_at: drain.created_at,
        };
        let mut batch = sled::Batch::default();
        batch.insert(key(&drain.app, &drain.id).as_bytes(), encode(&form));
        self.apply(batch).await
    }

    /// Forgets a drain.
    ///
    /// # Errors
    ///
    /// When it cannot be written; then it is still there.
    pub async fn remove_drain(&self, app: &AppName, id: &str) -> Result<(), StoreError> {
        let mut batch = sled::Batch::default();
        batch.remove(key(app, id).as_bytes());
        self.apply(batch).await
    }
}

fn key(app: &AppName, id: &str) -> String {
    format!("{DRAINS}{app}/{id}")
}

fn drain(key: &str, bytes: &[u8]) -> Result<DrainRecord, StoreError> {
    let form: DrainForm = decode(key, bytes)?;
    let unreadable = |reason: String| StoreError::Record { key: key.to_owned(), reason };
    let url = STANDARD.decode(&form.url).map_err(|error| unreadable(error.to_string()))?;
    Ok(DrainRecord { app: parse(key, &form.app)?, id: form.id, url, created_at: form.created_at })
}
