//! An authority that does what a test has told it, without a network.
//!
//! It goes the way of a real one: an account in the journal, the address of an order in the journal, an answer presented and
//! withdrawn for each name, a chain for the request's key, signed by a root of its own. What it was asked can be looked at.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use rcgen::{BasicConstraints, CertificateParams, DistinguishedName, IsCa, Issuer, KeyPair};
use rustls::pki_types::CertificateDer;
use tokio::sync::watch;

use crate::clock::WallClock;

use super::{
    Answer, Authority, ChallengeKind, Issued, Journal, OrderError, OrderErrorKind, OrderRequest, RenewalInfo,
    Responder,
};

const LIFETIME: Duration = Duration::from_secs(90 * 24 * 60 * 60);

/// A scripted authority. Without a script it issues.
pub struct FakeAuthority {
    name: String,
    root: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
    clock: WallClock,
    hanging: watch::Sender<usize>,
    state: Mutex<State>,
}

/// What it does with an order.
#[derive(Debug, Clone)]
pub enum Scripted {
    /// Issues.
    Issue,
    /// Says no, after the order was made.
    Fail(OrderError),
    /// Makes the order, and says nothing until the future is dropped.
    Hang,
}

/// An order that it got.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// For these names.
    pub names: Vec<String>,
    /// Taken up where an earlier run was cut short.
    pub resume: Option<String>,
    /// Whether it says which certificate is replaced.
    pub replaces: bool,
}

#[derive(Debug)]
struct State {
    script: VecDeque<Scripted>,
    seen: Vec<Seen>,
    renewal: Option<RenewalInfo>,
    lifetime: Duration,
    backdating: Duration,
    also_for: Option<String>,
}

// === impl FakeAuthority ===

impl FakeAuthority {
    /// An authority whose certificates last 90 days.
    #[must_use]
    pub fn new(name: &str) -> Self {
        let key = KeyPair::generate().expect("ring makes P-256 keys");
        let mut params = CertificateParams::new(Vec::new()).expect("no name is a wrong one");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let root = params.self_signed(&key).expect("the key is good").der().clone();
        let state = State {
            script: VecDeque::new(),
            seen: Vec::new(),
            renewal: None,
            lifetime: LIFETIME,
            backdating: Duration::ZERO,
            also_for: None,
        };
        Self {
            name: name.to_owned(),
            root,
            issuer: Issuer::new(params, key),
            clock: Arc::new(SystemTime::now),
            hanging: watch::Sender::new(0),
            state: Mutex::new(state),
        }
    }

    /// Reads the time of its certificates from `clock` instead of from the system.
    #[must_use]
    pub fn with_clock(mut self, clock: WallClock) -> Self {
        self.clock = clock;
        self
    }

    /// What it does with the next order, and after that with further ones.
    pub fn script(&self, next: impl IntoIterator<Item = Scripted>) {
        self.state().script.extend(next);
    }

    /// How long certificates last from now on, counted from when they are issued.
    pub fn set_lifetime(&self, lifetime: Duration) {
        self.state().lifetime = lifetime;
    }

    /// How long before they are issued certificates become valid from now on, an hour at Let's Encrypt. Default not at all.
    pub fn set_backdating(&self, backdating: Duration) {
        self.state().backdating = backdating;
    }

    /// A name that its certificates from now on are for as well, though nobody ordered that.
    pub fn set_also_for(&self, name: Option<&str>) {
        self.state().also_for = name.map(str::to_owned);
    }

    /// What it says of every certificate from now on.
    pub fn set_renewal(&self, renewal: Option<RenewalInfo>) {
        self.state().renewal = renewal;
    }

    /// The orders that it got, oldest first.
    pub fn seen(&self) -> Vec<Seen> {
        self.state().seen.clone()
    }

    /// Waits until so many orders hang.
    pub async fn until_hanging(&self, orders: usize) {
        let hanging = self.hanging.subscribe().wait_for(|hanging| *hanging >= orders).await.map(|_| ());
        hanging.expect("the sender is held by this very value");
    }

    /// A certificate for a name, and its key, both as PEM.
    #[must_use]
    pub fn pair(&self, name: &str) -> (String, String) {
        let key_pem = super::new_key_pem();
        let request = OrderRequest {
            names: vec![name.to_owned()],
            key_pem: key_pem.clone(),
            kinds: Vec::new(),
            resume: None,
            replaces: None,
        };
        (self.sign(&request).expect("the name is a good one").chain_pem, key_pem.to_string())
    }

    /// Its own certificate.
    #[must_use]
    pub fn root(&self) -> &CertificateDer<'static> {
        &self.root
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nothing panics while the state is locked")
    }

    fn sign(&self, request: &OrderRequest) -> Result<Issued, rcgen::Error> {
        let key = KeyPair::from_pem(&request.key_pem)?;
        let state = self.state();
        let mut params = CertificateParams::new([&request.names[..], state.also_for.as_slice()].concat())?;
        let now = (self.clock)();
        params.distinguished_name = DistinguishedName::new();
        params.use_authority_key_identifier_extension = true;
        params.not_before = (now - state.backdating).into();
        params.not_after = (now + state.lifetime).into();
        Ok(Issued { chain_pem: params.signed_by(&key, &self.issuer)?.pem() })
    }
}

#[async_trait]
impl Authority for FakeAuthority {
    fn name(&self) -> &str {
        &self.name
    }

    async fn issue(
        &self,
        request: &OrderRequest,
        journal: &dyn Journal,
        responder: &dyn Responder,
    ) -> Result<Issued, OrderError> {
        let (next, number) = {
            let mut state = self.state();
            state.seen.push(Seen {
                names: request.names.clone(),
                resume: request.resume.clone(),
                replaces: request.replaces.is_some(),
            });
            (state.script.pop_front().unwrap_or(Scripted::Issue), state.seen.len())
        };
        if journal.account(&self.name).await.map_err(|error| OrderError::journal(&error))?.is_none() {
            journal.keep_account(&self.name, "{}").await.map_err(|error| OrderError::journal(&error))?;
        }
        if request.resume.is_none() {
            let url = format!("fake://{}/{number}", self.name);
            journal.order_created(&url).await.map_err(|error| OrderError::journal(&error))?;
        }
        for name in &request.names {
            let answer = answer(name, request.kinds.first().copied());
            responder.present(&answer).await.map_err(|error| OrderError::responder(&answer, &error))?;
            responder.withdraw(&answer).await.map_err(|error| OrderError::responder(&answer, &error))?;
        }
        match next {
            Scripted::Issue => self.sign(request).map_err(|error| {
                OrderError::new(OrderErrorKind::Order, format!("nothing is signed: {error}"))
            }),
            Scripted::Fail(error) => Err(error),
            Scripted::Hang => {
                self.hanging.send_modify(|hanging| *hanging += 1);
                std::future::pending().await
            }
        }
    }

    async fn renewal(&self, _: &CertificateDer<'_>) -> Result<Option<RenewalInfo>, OrderError> {
        Ok(self.state().renewal.clone())
    }
}

impl fmt::Debug for FakeAuthority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FakeAuthority").field("name", &self.name).finish_non_exhaustive()
    }
}

fn answer(name: &str, kind: Option<ChallengeKind>) -> Answer {
    let host = name.trim_start_matches("*.").to_owned();
    match kind.filter(|_| !name.starts_with("*.")) {
        Some(ChallengeKind::Http01) => Answer::Http01 {
            token: format!("token-of-{host}"),
            authorization: "authorization".to_owned(),
            host,
        },
        Some(ChallengeKind::TlsAlpn01) => Answer::TlsAlpn01 { host, digest: [7; 32] },
        Some(ChallengeKind::Dns01) | None => {
            Answer::Dns01 { name: format!("_acme-challenge.{host}"), value: "value".to_owned() }
        }
    }
}
