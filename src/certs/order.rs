//! One attempt at a certificate: authority after authority, until one gives it or says what the others would say, too.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use rustls::pki_types::CertificateDer;
use zeroize::Zeroizing;

use super::Parts;
use super::record::OpenOrder;
use super::schedule::Pace;
use crate::acme::{
    Authority, ChallengeKind, Journal, JournalError, OrderError, OrderErrorKind, OrderRequest, new_key_pem,
};
use crate::store::StoreError;
use crate::tls::{CertificateId, Chain, Source, Vault};

/// What is to be ordered.
#[derive(Debug, Clone)]
pub(super) struct Attempt {
    /// The certificate's one name.
    pub(super) name: String,
    /// The certificate that it replaces.
    pub(super) before: Option<CertificateId>,
}

/// Why there is no certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Failure {
    pub(super) kind: &'static str,
    pub(super) message: String,
    pub(super) pace: Pace,
    /// The authority's word on when to try again.
    pub(super) retry_after: Option<Duration>,
}

/// What an attempt must not lose.
struct Notebook<'a> {
    parts: &'a Parts,
    name: &'a str,
    authority: &'a str,
    /// The key of the order, sealed.
    key: Vec<u8>,
}

// === impl Attempt ===

impl Attempt {
    pub(super) async fn run(self, parts: &Parts) -> Result<CertificateId, Failure> {
        let is_wildcard = self.name.starts_with("*.");
        if is_wildcard && !parts.kinds.contains(&ChallengeKind::Dns01) {
            return Err(Failure::local(
                "needs-dns",
                format!(
                    "`{}` is a wildcard, which authorities give for DNS records alone; set `acme_dns`, or let the app be asked \
                     about each name with `on_demand` in `[tls]`",
                    self.name
                ),
            ));
        }
        if !parts.kinds.contains(&ChallengeKind::Dns01) {
            let looked = parts.look.look(&self.name).await;
            looked.map_err(|elsewhere| Failure::local(elsewhere.kind, elsewhere.message))?;
        }
        let open = parts.store.certificate_order(&self.name).await?;
        let mut failures = Vec::new();
        for authority in in_order(&parts.authorities, open.as_ref()) {
            let open = open.clone().filter(|open| open.authority == authority.name());
            match self.order(parts, authority.as_ref(), open).await {
                Ok(id) => return Ok(id),
                Err((failure, may_differ)) => {
                    tracing::debug!(
                        name = self.name,
                        authority = authority.name(),
                        reason = failure.message,
                        "not ordered"
                    );
                    failures.push(failure);
                    if !may_differ {
                        break;
                    }
                }
            }
        }
        Err(Failure::all(failures))
    }

    /// An order at one authority; with a failure comes whether another authority may see it differently.
    async fn order(
        &self,
        parts: &Parts,
        authority: &dyn Authority,
        open: Option<OpenOrder>,
    ) -> Result<CertificateId, (Failure, bool)> {
        let ours = |failure: Failure| (failure, false);
        let purpose = purpose(&self.name);
        let opened = open.and_then(|open| match parts.key.open(&purpose, &open.key) {
            Ok(key) => Some((key, open)),
            // The box's key was lost, and nothing brings this order's back.
            Err(error) => {
                let error = &error as &dyn Error;
                tracing::warn!(name = self.name, error, "the order cannot be gone on with, making a new one");
                None
            }
        });
        let (key_pem, sealed, resume) = match opened {
            Some((key, open)) => {
                let key = String::from_utf8(key.to_vec()).map_err(|error| ours(Failure::of(&error)))?;
                (Zeroizing::new(key), open.key, open.url)
            }
            None => {
                let key = new_key_pem();
                let sealed = parts.key.seal(&purpose, key.as_bytes());
                (key, sealed, None)
            }
        };
        let notebook = Notebook { parts, name: &self.name, authority: authority.name(), key: sealed };
        notebook.save(resume.clone()).await.map_err(|error| ours(error.into()))?;
        let before = self.before;
        let vault = parts.vault.clone();
        let replaces = blocking(move || before.and_then(|id| leaf(&vault, id))).await;
        let request = OrderRequest {
            names: vec![self.name.clone()],
            key_pem: key_pem.clone(),
            kinds: parts.kinds.clone(),
            resume,
            replaces,
        };
        let issued = authority.issue(&request, &notebook, parts.responder.as_ref()).await;
        let issued = issued.map_err(|error| Failure::of_authority(authority.name(), &error))?;
        let chain = Chain::from_pem(&issued.chain_pem, &key_pem)
            .map_err(|error| (Failure::of(&error).at(authority.name()), true))?;
        if !chain.covers(
            self.name.strip_prefix("*.").map_or(self.name.clone(), |rest| format!("a.{rest}")).as_str(),
        ) {
            let message = format!("the certificate is not for `{}`", self.name);
            return Err((Failure::local("unusable", message).at(authority.name()), true));
        }
        let vault = parts.vault.clone();
        let source = Source::Acme { authority: authority.name().to_owned() };
        let kept = blocking(move || vault.put(&chain, source)).await;
        kept.map_err(|error| ours(Failure::of(&error)))
    }
}

/// The authority of the order that is open comes first: what it has begun may be done.
fn in_order<'a>(
    authorities: &'a [Arc<dyn Authority>],
    open: Option<&OpenOrder>,
) -> Vec<&'a Arc<dyn Authority>> {
    let mut authorities: Vec<_> = authorities.iter().collect();
    authorities.sort_by_key(|authority| open.is_none_or(|open| open.authority != authority.name()));
    authorities
}

fn purpose(name: &str) -> String {
    format!("the key of the order for {name}")
}

/// A certificate itself; `None` if it cannot be read, which the vault has told.
pub(super) fn leaf(vault: &Vault, id: CertificateId) -> Option<CertificateDer<'static>> {
    vault.load(id).ok()?.cert.first().cloned()
}

pub(super) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.expect("the work does not panic and is never aborted")
}

// === impl Notebook ===

impl Notebook<'_> {
    async fn save(&self, url: Option<String>) -> Result<(), StoreError> {
        let order = OpenOrder { authority: self.authority.to_owned(), url, key: self.key.clone() };
        self.parts.store.save_certificate_order(self.name, &order).await
    }
}

#[async_trait]
impl Journal for Notebook<'_> {
    async fn account(&self, authority: &str) -> Result<Option<Zeroizing<String>>, JournalError> {
        let Some(sealed) = self.parts.store.acme_account(authority).await? else { return Ok(None) };
        match self.parts.key.open(&account_purpose(authority), &sealed) {
            Ok(plain) => Ok(Some(Zeroizing::new(String::from_utf8(plain.to_vec())?))),
            // As with orders: an account is free, and without this a box that lost its key could never have a certificate again.
            Err(error) => {
                tracing::warn!(
                    authority,
                    error = &error as &dyn Error,
                    "the account is lost, making a new one"
                );
                Ok(None)
            }
        }
    }

    async fn keep_account(&self, authority: &str, credentials: &str) -> Result<(), JournalError> {
        let sealed = self.parts.key.seal(&account_purpose(authority), credentials.as_bytes());
        Ok(self.parts.store.save_acme_account(authority, &sealed).await?)
    }

    async fn order_created(&self, url: &str) -> Result<(), JournalError> {
        Ok(self.save(Some(url.to_owned())).await?)
    }
}

fn account_purpose(authority: &str) -> String {
    format!("the account at {authority}")
}

// === impl Failure ===

impl Failure {
    /// What was found out without asking an authority.
    pub(super) fn local(kind: &'static str, message: String) -> Self {
        Self { kind, message, pace: Pace::Looked, retry_after: None }
    }

    fn of(error: &dyn Error) -> Self {
        let mut message = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            message = format!("{message}: {cause}");
            source = cause.source();
        }
        Self { kind: "box", message, pace: Pace::Asked, retry_after: None }
    }

    /// With it, whether another authority may see it differently: what a name's DNS or server says is the same for all.
    fn of_authority(name: &str, error: &OrderError) -> (Self, bool) {
        use OrderErrorKind as Kind;
        let may_differ =
            !matches!(error.kind, Kind::Validation | Kind::Responder | Kind::Journal | Kind::NoDns);
        let failure = Self {
            kind: error.kind.as_str(),
            message: error.message.clone(),
            pace: Pace::Asked,
            retry_after: error.retry_after,
        };
        (failure.at(name), may_differ)
    }

    fn at(self, authority: &str) -> Self {
        Self { message: format!("{authority}: {}", self.message), ..self }
    }

    /// One failure of several, at least one: the first one's kind, everybody's words.
    fn all(failures: Vec<Self>) -> Self {
        let message = failures.iter().map(|failure| failure.message.as_str()).collect::<Vec<_>>().join("; ");
        // If one of them takes orders again soon, that is when to try.
        let retry_after = if failures.iter().any(|failure| failure.retry_after.is_none()) {
            None
        } else {
            failures.iter().filter_map(|failure| failure.retry_after).min()
        };
        let first = failures.into_iter().next();
        let first = first
            .unwrap_or_else(|| Self::local("no-authority", "there is no certificate authority".to_owned()));
        Self {
            message: if message.is_empty() { first.message.clone() } else { message },
            retry_after,
            ..first
        }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::of(&error)
    }
}
