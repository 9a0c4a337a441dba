//! A journal in memory, which also outlives what a test cuts short.

use std::sync::Mutex;

use async_trait::async_trait;
use minipaas::acme::{Journal, JournalError};
use zeroize::Zeroizing;

#[derive(Default)]
pub(super) struct Notes {
    pub(super) account: Mutex<Option<String>>,
    pub(super) orders: Mutex<Vec<String>>,
}

impl Notes {
    /// The order that an attempt would resume.
    pub(super) fn open(&self) -> Option<String> {
        self.orders.lock().unwrap().last().cloned()
    }

    pub(super) fn orders(&self) -> usize {
        self.orders.lock().unwrap().len()
    }

    /// The URL of the account, which is not its secret.
    pub(super) fn account_url(&self) -> Option<String> {
        let account = self.account.lock().unwrap();
        let account: serde_json::Value = serde_json::from_str(account.as_deref()?).unwrap();
        Some(account["id"].as_str().unwrap().to_owned())
    }
}

#[async_trait]
impl Journal for Notes {
    async fn account(&self, authority: &str) -> Result<Option<Zeroizing<String>>, JournalError> {
        assert_eq!(authority, "pebble");
        Ok(self.account.lock().unwrap().clone().map(Zeroizing::new))
    }

    async fn keep_account(&self, authority: &str, credentials: &str) -> Result<(), JournalError> {
        assert_eq!(authority, "pebble");
        *self.account.lock().unwrap() = Some(credentials.to_owned());
        Ok(())
    }

    async fn order_created(&self, url: &str) -> Result<(), JournalError> {
        self.orders.lock().unwrap().push(url.to_owned());
        Ok(())
    }
}
