//! One authority that speaks ACME: its settings, and orders at it, one kind of challenge after the other.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use instant_acme::Account;
use rustls::pki_types::CertificateDer;
use tokio::sync::Mutex;
use tokio::time::Instant;
use tracing::{debug, info};
use zeroize::Zeroizing;

use super::order::{Halt, Run};
use super::{
    Authority, ChallengeKind, Issued, Journal, OrderError, OrderErrorKind, OrderRequest, RenewalInfo,
    Responder, Verdict, account, renewal,
};
use crate::web;

/// From the first request to the certificate. TXT records take their time until everybody sees them.
const ORDER_TIME_MAX: Duration = Duration::from_secs(10 * 60);
/// From one look at an order to the next, at first.
const POLL_FIRST: Duration = Duration::from_millis(250);
/// And at last.
const POLL_MAX: Duration = Duration::from_secs(5);

/// An authority that speaks ACME.
#[derive(Clone)]
pub struct AcmeAuthority {
    config: AuthorityConfig,
    web: web::Client,
    /// Held while an account is made: orders that begin together make one.
    making: Arc<Mutex<()>>,
}

/// What an authority is asked by.
#[derive(Debug, Clone)]
pub struct AuthorityConfig {
    /// What it is called; accounts are kept by this name.
    pub name: String,
    /// The URL of its ACME directory.
    pub directory: String,
    /// An email address that it may write to. Default none.
    pub contact: Option<String>,
    /// The account that one must have with it before. Default none.
    pub eab: Option<Eab>,
    /// The kind of certificate, by its own name for it. Default whatever it has as its default.
    pub profile: Option<String>,
    /// How long an order may take, with all its challenges. Default 10 min.
    pub order_time_max: Duration,
    /// From one look at an order to the next, at first; it grows to 5 s. Default 250 ms.
    pub poll_first: Duration,
}

/// An account that was made at the authority's website (RFC 8555, 7.3.4).
#[derive(Clone)]
pub struct Eab {
    /// Its name.
    pub key_id: String,
    /// Its key, in base64url as the website shows it.
    pub hmac_key: Zeroizing<String>,
}

/// How far we may go, for one order after another.
struct Attempts<'a> {
    request: &'a OrderRequest,
    resume: Option<String>,
    verdicts: Vec<Verdict>,
}

// === impl AuthorityConfig ===

impl AuthorityConfig {
    /// An authority with the defaults.
    pub fn new(name: impl Into<String>, directory: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            directory: directory.into(),
            contact: None,
            eab: None,
            profile: None,
            order_time_max: ORDER_TIME_MAX,
            poll_first: POLL_FIRST,
        }
    }
}

// === impl Eab ===

impl fmt::Debug for Eab {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Eab").field("key_id", &self.key_id).finish_non_exhaustive()
    }
}

// === impl AcmeAuthority ===

impl AcmeAuthority {
    /// An authority that is reached by this client.
    #[must_use]
    pub fn new(config: AuthorityConfig, web: web::Client) -> Self {
        Self { config, web, making: Arc::default() }
    }

    /// An account other than `known`: one that another order has made by now, else a new one.
    async fn new_account(
        &self,
        known: Option<&Account>,
        journal: &dyn Journal,
    ) -> Result<Account, OrderError> {
        let _making = self.making.lock().await;
        match account::kept(&self.config, &self.web, journal).await? {
            Some(account) if known.is_none_or(|known| known.id() != account.id()) => Ok(account),
            _ => account::make(&self.config, &self.web, journal).await,
        }
    }

    /// Orders until there is a certificate, or nothing is left to try.
    async fn order(
        &self,
        account: &Account,
        attempts: &mut Attempts<'_>,
        journal: &dyn Journal,
        responder: &dyn Responder,
        deadline: Instant,
    ) -> Result<Issued, Halt> {
        loop {
            let run = Run {
                config: &self.config,
                account,
                request: attempts.request,
                verdicts: &attempts.verdicts,
                journal,
                responder,
                poll_max: POLL_MAX,
            };
            match run.to_end(attempts.resume.take(), deadline).await {
                Err(Halt::Gone(why)) => {
                    info!(authority = self.config.name, why, "the order cannot be resumed, making a new one");
                }
                Err(Halt::Invalid(verdicts)) => {
                    // As many orders as there are kinds, whatever the names do.
                    let tried = attempts.tried();
                    attempts.verdicts.extend(verdicts);
                    if tried == attempts.tried() || !attempts.may_go_on() {
                        let verdicts = std::mem::take(&mut attempts.verdicts);
                        return Err(Halt::Failed(OrderError::of_verdicts(verdicts)));
                    }
                    debug!(authority = self.config.name, "trying another kind of challenge");
                }
                result => return result,
            }
        }
    }
}

#[async_trait]
impl Authority for AcmeAuthority {
    fn name(&self) -> &str {
        &self.config.name
    }

    async fn issue(
        &self,
        request: &OrderRequest,
        journal: &dyn Journal,
        responder: &dyn Responder,
    ) -> Result<Issued, OrderError> {
        check(request)?;
        let deadline = Instant::now() + self.config.order_time_max;
        let mut attempts = Attempts { request, resume: request.resume.clone(), verdicts: Vec::new() };
        let kept = account::kept(&self.config, &self.web, journal).await?;
        if let Some(account) = &kept {
            match self.order(account, &mut attempts, journal, responder, deadline).await {
                Err(Halt::Forgotten(error)) => {
                    info!(authority = self.config.name, %error, "our account is not known there, making a new one");
                }
                result => return result.map_err(OrderError::from),
            }
        }
        // An order of an account that we do not have is nobody's.
        attempts.resume = None;
        let account = self.new_account(kept.as_ref(), journal).await?;
        let result = self.order(&account, &mut attempts, journal, responder, deadline).await;
        result.map_err(OrderError::from)
    }

    async fn renewal(&self, leaf: &CertificateDer<'_>) -> Result<Option<RenewalInfo>, OrderError> {
        renewal::ask(&self.web, &self.config.directory, leaf).await
    }
}

impl fmt::Debug for AcmeAuthority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("AcmeAuthority").field(&self.config).finish()
    }
}

// === impl Attempts ===

impl Attempts<'_> {
    /// Which kinds have failed, for whichever name.
    fn tried(&self) -> Vec<ChallengeKind> {
        let mut kinds: Vec<_> = self.verdicts.iter().map(|verdict| verdict.kind).collect();
        kinds.sort();
        kinds.dedup();
        kinds
    }

    /// Whether a further order may come out better: no name is barred, and each has a kind left.
    fn may_go_on(&self) -> bool {
        self.verdicts.iter().all(|verdict| {
            verdict.problem != "caa" && {
                let is_wildcard =
                    self.request.names.iter().any(|name| name.strip_prefix("*.") == Some(&verdict.host));
                let mut left =
                    self.request.kinds.iter().filter(|kind| is_left(&self.verdicts, &verdict.host, **kind));
                left.any(|kind| !is_wildcard || *kind == ChallengeKind::Dns01)
            }
        })
    }
}

/// Whether this kind may still prove the name: it was not tried, and does not fail for the reason that others did.
pub(super) fn is_left(verdicts: &[Verdict], host: &str, kind: ChallengeKind) -> bool {
    !verdicts.iter().filter(|verdict| verdict.host == host).any(|verdict| {
        // A name without an address is found by no kind but by the one that does not go there.
        verdict.kind == kind || (verdict.problem == "dns" && kind != ChallengeKind::Dns01)
    })
}

/// Whether the request can come out well at all.
fn check(request: &OrderRequest) -> Result<(), OrderError> {
    let has_dns = request.kinds.contains(&ChallengeKind::Dns01);
    if !has_dns && let Some(name) = request.names.iter().find(|name| name.starts_with("*.")) {
        let message = format!("`{name}` is a wildcard, and a wildcard needs dns-01; set `acme_dns`");
        return Err(OrderError::new(OrderErrorKind::NoDns, message));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_is_left_that_can_come_out_better() {
        use ChallengeKind::{Dns01, Http01, TlsAlpn01};

        let left = |problem: &str, host: &str| {
            let said = Verdict {
                host: "blog.example.com".to_owned(),
                kind: Http01,
                problem: problem.to_owned(),
                detail: String::new(),
            };
            [Http01, TlsAlpn01, Dns01].map(|kind| is_left(std::slice::from_ref(&said), host, kind))
        };
        assert_eq!(left("connection", "blog.example.com"), [false, true, true]);
        assert_eq!(left("dns", "blog.example.com"), [false, false, true]);
        assert_eq!(left("dns", "shop.example.com"), [true, true, true]);
    }
}
