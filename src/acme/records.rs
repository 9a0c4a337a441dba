//! TXT records by a DNS provider, as soon as everybody sees them.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::{RespondError, TxtRecords};
use crate::dns::{Lookup, Provider, wait_until_seen};

/// How long a zone's servers may take to show a record; those of large providers take a minute at worst.
const SEEN_TIME_MAX: Duration = Duration::from_secs(180);

/// Has a provider add records, and waits until the zone's own servers show them, since an authority asks those.
#[derive(Debug)]
pub struct ProviderRecords {
    provider: Arc<dyn Provider>,
    lookup: Lookup,
}

impl ProviderRecords {
    /// Records at this provider, looked for by `lookup`.
    #[must_use]
    pub fn new(provider: Arc<dyn Provider>, lookup: Lookup) -> Self {
        Self { provider, lookup }
    }
}

#[async_trait]
impl TxtRecords for ProviderRecords {
    async fn add(&self, name: &str, value: &str) -> Result<(), RespondError> {
        // A name may be an alias of one in a zone that is made for this.
        let canonical = self.lookup.canonical(name).await?;
        self.provider.add_txt(&canonical, value).await?;
        Ok(wait_until_seen(&self.lookup, name, value, SEEN_TIME_MAX).await?)
    }

    async fn remove(&self, name: &str, value: &str) -> Result<(), RespondError> {
        let canonical = self.lookup.canonical(name).await?;
        Ok(self.provider.remove_txt(&canonical, value).await?)
    }
}
