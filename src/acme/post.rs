//! The box's own answers: over http and TLS by what its listeners look into, in the DNS by whoever can change it.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard};

use async_trait::async_trait;

use super::key::tls_alpn01_certificate;
use super::{Answer, RespondError, Responder};
use crate::tls::{Challenges, Posted};

/// Answers to all kinds of challenges. What was presented and not withdrawn is answered until this is dropped, save for TXT
/// records.
pub struct Post {
    challenges: Challenges,
    records: Option<Arc<dyn TxtRecords>>,
    posted: Mutex<HashMap<String, Posted>>,
}

/// Who can change TXT records.
#[async_trait]
pub trait TxtRecords: Send + Sync {
    /// Adds a TXT record beside others of its name; everybody sees it when this returns.
    ///
    /// # Errors
    ///
    /// It is not there, or not everybody sees it.
    async fn add(&self, name: &str, value: &str) -> Result<(), RespondError>;

    /// Removes this one of the TXT records of its name. That there was none is no error.
    ///
    /// # Errors
    ///
    /// It may still be there.
    async fn remove(&self, name: &str, value: &str) -> Result<(), RespondError>;
}

// === impl Post ===

impl Post {
    /// Without `records` dns-01 cannot be answered.
    #[must_use]
    pub fn new(challenges: Challenges, records: Option<Arc<dyn TxtRecords>>) -> Self {
        Self { challenges, records, posted: Mutex::default() }
    }

    fn records(&self) -> Result<&dyn TxtRecords, RespondError> {
        self.records
            .as_deref()
            .ok_or_else(|| "nobody changes DNS records for this box; set `acme_dns`".into())
    }

    fn posted(&self) -> MutexGuard<'_, HashMap<String, Posted>> {
        self.posted.lock().expect("nothing panics while the map is locked")
    }
}

#[async_trait]
impl Responder for Post {
    async fn present(&self, answer: &Answer) -> Result<(), RespondError> {
        // An older answer must be gone before its place is taken, as it takes what stands there with it.
        self.posted().remove(&key(answer));
        let posted = match answer {
            Answer::Http01 { token, authorization, .. } => self.challenges.post_http(token, authorization),
            Answer::TlsAlpn01 { host, digest } => {
                self.challenges.post_tls(host, &tls_alpn01_certificate(host, digest)?)
            }
            Answer::Dns01 { name, value } => return self.records()?.add(name, value).await,
        };
        self.posted().insert(key(answer), posted);
        Ok(())
    }

    async fn withdraw(&self, answer: &Answer) -> Result<(), RespondError> {
        if let Answer::Dns01 { name, value } = answer {
            return self.records()?.remove(name, value).await;
        }
        self.posted().remove(&key(answer));
        Ok(())
    }
}

impl fmt::Debug for Post {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Post").field("challenges", &self.challenges).finish_non_exhaustive()
    }
}

/// What tells the posted answers apart.
fn key(answer: &Answer) -> String {
    match answer {
        Answer::Http01 { token, .. } => format!("http {token}"),
        Answer::TlsAlpn01 { host, .. } => format!("tls {host}"),
        Answer::Dns01 { name, value } => format!("dns {name} {value}"),
    }
}
