//! One order, from its making (or taking up) to the certificate, in bounded time.
//!
//! An order is driven by the status that the authority gives it, so it does not matter where an earlier run was cut short:
//! `pending` wants challenges answered, `ready` wants the signing request, `processing` wants patience, `valid` is downloaded. All
//! answers that may have been given are withdrawn at the end, whatever the end is.

use std::time::Duration;

use instant_acme::{
    Account, AuthorizationState, AuthorizationStatus, CertificateIdentifier, ChallengeHandle,
    ChallengeStatus, ChallengeType, Error, Identifier, NewOrder, Order, OrderStatus,
};
use rustls::pki_types::CertificateDer;
use tokio::time::{Instant, sleep, timeout_at};
use tracing::{debug, warn};

use super::authority::{AuthorityConfig, is_left};
use super::error::{problem_kind, words};
use super::key::signing_request;
use super::wire::{refusal, repeated};
use super::{
    Answer, ChallengeKind, Issued, Journal, OrderError, OrderErrorKind, OrderRequest, Responder, Verdict,
};

/// What one order needs.
pub(super) struct Run<'a> {
    pub(super) config: &'a AuthorityConfig,
    pub(super) account: &'a Account,
    pub(super) request: &'a OrderRequest,
    /// What earlier orders came to.
    pub(super) verdicts: &'a [Verdict],
    pub(super) journal: &'a dyn Journal,
    pub(super) responder: &'a dyn Responder,
    pub(super) poll_max: Duration,
}

/// Why an order ended without a certificate.
#[derive(Debug)]
pub(super) enum Halt {
    /// For a reason that another order would meet as well.
    Failed(OrderError),
    /// Names were not proved.
    Invalid(Vec<Verdict>),
    /// It was to be resumed, and is no longer good.
    Gone(String),
    /// The authority does not know our account.
    Forgotten(OrderError),
}

/// From one look at an order to the next.
struct Pace {
    next: Duration,
    max: Duration,
}

// === impl Run ===

impl Run<'_> {
    /// Brings an order to its end: the one at `resume`, or a new one.
    pub(super) async fn to_end(&self, resume: Option<String>, deadline: Instant) -> Result<Issued, Halt> {
        let is_resumed = resume.is_some();
        let mut given = Vec::new();
        let result = match timeout_at(deadline, self.drive(resume, &mut given)).await {
            Ok(result) => result,
            Err(_) => {
                let message = format!(
                    "the order was not done within {:?}; it goes on at the next attempt",
                    self.config.order_time_max
                );
                Err(Halt::Failed(OrderError::new(OrderErrorKind::Late, message)))
            }
        };
        for answer in &given {
            if let Err(error) = self.responder.withdraw(answer).await {
                warn!(
                    authority = self.config.name,
                    error = error.as_ref(),
                    "the answer to a challenge is still given"
                );
            }
        }
        match result {
            // Also one that it cannot speak of any more: else it would be taken up again for ever.
            Err(Halt::Failed(error))
                if is_resumed && matches!(error.kind, OrderErrorKind::Order | OrderErrorKind::Protocol) =>
            {
                Err(Halt::Gone(error.message))
            }
            result => result,
        }
    }

    async fn drive(&self, resume: Option<String>, given: &mut Vec<Answer>) -> Result<Issued, Halt> {
        let mut order = match resume {
            Some(url) => self.take_up(url).await?,
            None => self.make().await?,
        };
        let mut pace = Pace { next: self.config.poll_first, max: self.poll_max };
        let mut was_finalized = false;
        loop {
            match order.state().status {
                OrderStatus::Pending if given.is_empty() => self.answer(&mut order, given).await?,
                OrderStatus::Ready if !was_finalized => {
                    was_finalized = true;
                    let request =
                        signing_request(&self.request.names, &self.request.key_pem).map_err(|error| {
                            OrderError::new(
                                OrderErrorKind::Order,
                                format!("no request can be signed: {error}"),
                            )
                        })?;
                    repeated!(order.finalize_csr(&request).await).map_err(of_finalizing)?;
                    continue;
                }
                OrderStatus::Pending | OrderStatus::Ready | OrderStatus::Processing => {}
                OrderStatus::Valid => {
                    let chain = repeated!(order.certificate().await)?;
                    let none = || {
                        OrderError::new(
                            OrderErrorKind::Protocol,
                            "it called the order valid, and gave no certificate",
                        )
                    };
                    return Ok(Issued { chain_pem: chain.ok_or_else(none)? });
                }
                OrderStatus::Invalid => return Err(self.why_invalid(&mut order).await?),
            }
            pace.wait().await;
            repeated!(order.refresh().await.map(drop))?;
        }
    }

    async fn make(&self) -> Result<Order, Halt> {
        self.check_profile()?;
        let names: Vec<_> = self.request.names.iter().cloned().map(Identifier::Dns).collect();
        let replaces = self.request.replaces.as_ref().and_then(identifier);
        let order = match replaces {
            Some(replaces) => match self.send(&names, Some(replaces)).await {
                // A word of courtesy, which some do not take: the certificate is of another account, or was replaced already.
                Err(error) if is_about_replacing(&error) => {
                    debug!(authority = self.config.name, %error, "ordering without saying what is replaced");
                    self.send(&names, None).await
                }
                result => result,
            },
            None => self.send(&names, None).await,
        };
        let order = order.map_err(of_account)?;
        let kept = self.journal.order_created(order.url()).await;
        kept.map_err(|error| OrderError::journal(&error))?;
        Ok(order)
    }

    async fn send(
        &self,
        names: &[Identifier],
        replaces: Option<CertificateIdentifier<'static>>,
    ) -> Result<Order, Error> {
        let mut new = NewOrder::new(names);
        if let Some(profile) = &self.config.profile {
            new = new.profile(profile);
        }
        if let Some(replaces) = replaces {
            new = new.replaces(replaces);
        }
        repeated!(self.account.new_order(&new).await)
    }

    async fn take_up(&self, url: String) -> Result<Order, Halt> {
        let result = repeated!(self.account.order(url.clone()).await);
        let mut order = result.map_err(|error| match refusal(&error) {
            Some(refusal) if refusal.is("accountDoesNotExist") => of_account(error),
            Some(refusal) if refusal.status.is_client_error() && refusal.status.as_u16() != 429 => {
                Halt::Gone(OrderError::from(error).message)
            }
            _ => Halt::Failed(error.into()),
        })?;
        if order.state().status == OrderStatus::Invalid {
            return Err(Halt::Gone("it is invalid".to_owned()));
        }
        Ok(order)
    }

    fn check_profile(&self) -> Result<(), OrderError> {
        let Some(wanted) = &self.config.profile else { return Ok(()) };
        let mut known: Vec<_> =
            self.account.profiles().map(|profile| format!("`{}`", profile.name)).collect();
        if self.account.profiles().any(|profile| profile.name == wanted) {
            return Ok(());
        }
        known.sort();
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        Err(OrderError::new(OrderErrorKind::Refused, format!("it has no profile `{wanted}`; it has {known}")))
    }

    /// Gives the answers for all names that are not proved yet, and says so.
    async fn answer(&self, order: &mut Order, given: &mut Vec<Answer>) -> Result<(), Halt> {
        fetch(order).await?;
        // All before the first is looked at, so that records that take their time to be seen take it together.
        let mut authorizations = order.authorizations();
        while let Some(authorization) = authorizations.next().await {
            let mut authorization = authorization?;
            let Some(kind) = self.choose(&authorization)? else { continue };
            let host = host_of(&authorization);
            let challenge =
                authorization.challenge(kind.into()).expect("it was chosen among those that there are");
            let answer = answer_to(&challenge, host, kind);
            given.push(answer.clone());
            let shown = self.responder.present(&answer).await;
            shown.map_err(|error| OrderError::responder(&answer, &error))?;
        }
        let mut authorizations = order.authorizations();
        while let Some(authorization) = authorizations.next().await {
            let mut authorization = authorization?;
            let Some(kind) = self.choose(&authorization)? else { continue };
            let mut challenge =
                authorization.challenge(kind.into()).expect("it was chosen among those that there are");
            if challenge.status == ChallengeStatus::Pending {
                repeated!(challenge.set_ready().await)?;
            }
        }
        Ok(())
    }

    /// How to prove a name; not at all, if that was done.
    fn choose(&self, authorization: &AuthorizationState) -> Result<Option<ChallengeKind>, Halt> {
        let identifier = authorization.identifier();
        let host = host_of(authorization);
        let is_it = |name: &String| name.strip_prefix("*.").unwrap_or(name).eq_ignore_ascii_case(&host);
        if !self.request.names.iter().any(is_it) {
            // Whoever answers would post something for a name, or change its DNS, that nobody has ordered.
            let message = format!("it wants `{host}` to be proved, which was not ordered");
            return Err(OrderError::new(OrderErrorKind::Protocol, message).into());
        }
        match authorization.status {
            AuthorizationStatus::Pending => {}
            AuthorizationStatus::Valid => return Ok(None),
            status => {
                let message =
                    format!("it called `{identifier}` {status:?} in an order that is open").to_lowercase();
                return Err(OrderError::new(OrderErrorKind::Order, message).into());
            }
        }
        let offers = |kind: ChallengeKind| {
            authorization.challenges.iter().find(|challenge| challenge.r#type == kind.into())
        };
        let mut usable = self.request.kinds.iter().copied().filter(|kind| {
            offers(*kind).is_some()
                && is_left(self.verdicts, &host, *kind)
                && (!authorization.wildcard || *kind == ChallengeKind::Dns01)
        });
        // Of an order that is resumed, one may be under way.
        let begun = usable
            .clone()
            .find(|kind| offers(*kind).is_some_and(|one| one.status == ChallengeStatus::Processing));
        if let Some(kind) = begun.or_else(|| usable.next()) {
            return Ok(Some(kind));
        }
        if !self.verdicts.is_empty() {
            return Err(OrderError::of_verdicts(self.verdicts.to_vec()).into());
        }
        let offered: Vec<_> =
            authorization.challenges.iter().map(|challenge| name_of(&challenge.r#type)).collect();
        let wanted: Vec<_> = self.request.kinds.iter().map(|kind| kind.as_str()).collect();
        let message = format!(
            "for `{identifier}` it offers {}, and this box can answer {}; set `acme_dns`, or open the ports",
            offered.join(", "),
            wanted.join(", ")
        );
        Err(OrderError::new(OrderErrorKind::NoDns, message).into())
    }

    /// What made an order invalid.
    async fn why_invalid(&self, order: &mut Order) -> Result<Halt, Halt> {
        fetch(order).await?;
        let mut verdicts = Vec::new();
        let mut authorizations = order.authorizations();
        while let Some(authorization) = authorizations.next().await {
            let authorization = authorization?;
            let host = host_of(&authorization);
            for challenge in &authorization.challenges {
                let kind = ChallengeKind::try_from(&challenge.r#type);
                if let (Ok(kind), Some(problem)) = (kind, &challenge.error) {
                    let problem_kind = problem_kind(problem).to_owned();
                    verdicts.push(Verdict {
                        host: host.clone(),
                        kind,
                        problem: problem_kind,
                        detail: words(problem),
                    });
                }
            }
        }
        if !verdicts.is_empty() {
            return Ok(Halt::Invalid(verdicts));
        }
        Ok(Halt::Failed(match &order.state().error {
            Some(problem) => OrderError::of_problem(problem),
            None => {
                OrderError::new(OrderErrorKind::Order, "it called the order invalid, and did not say why")
            }
        }))
    }
}

/// Gets what is not here yet of an order's authorizations.
async fn fetch(order: &mut Order) -> Result<(), Error> {
    repeated!({
        let mut authorizations = order.authorizations();
        loop {
            match authorizations.next().await {
                Some(Ok(_)) => {}
                Some(Err(error)) => break Err(error),
                None => break Ok(()),
            }
        }
    })
}

fn answer_to(challenge: &ChallengeHandle<'_>, host: String, kind: ChallengeKind) -> Answer {
    let key = challenge.key_authorization();
    match kind {
        ChallengeKind::Http01 => {
            Answer::Http01 { host, token: challenge.token.clone(), authorization: key.as_str().to_owned() }
        }
        ChallengeKind::TlsAlpn01 => {
            let digest = key.digest().as_ref().try_into().expect("SHA-256 has 32 bytes");
            Answer::TlsAlpn01 { host, digest }
        }
        ChallengeKind::Dns01 => {
            Answer::Dns01 { name: format!("_acme-challenge.{host}"), value: key.dns_value() }
        }
    }
}

/// The name, without the `*.` of a wildcard.
fn host_of(authorization: &AuthorizationState) -> String {
    match authorization.identifier().identifier {
        Identifier::Dns(host) => host.clone(),
        other => other.authorized(false).to_string(),
    }
}

/// How the authority calls a certificate of its own.
fn identifier(certificate: &CertificateDer<'static>) -> Option<CertificateIdentifier<'static>> {
    CertificateIdentifier::try_from(certificate).ok().map(CertificateIdentifier::into_owned)
}

/// Whether an order may fare better without saying what is replaced.
fn is_about_replacing(error: &Error) -> bool {
    match (error, refusal(error)) {
        (_, Some(refusal)) => {
            refusal.status.is_client_error()
                && !["rateLimited", "rejectedIdentifier", "accountDoesNotExist"].contains(&refusal.kind())
        }
        (Error::Unsupported(_), None) => true,
        (Error::Other(error), None) => error.to_string().starts_with("replaces field"),
        _ => false,
    }
}

/// What the refusal of an order says about our account.
fn of_account(error: Error) -> Halt {
    let is_forgotten = refusal(&error).is_some_and(|refusal| refusal.is("accountDoesNotExist"));
    let error = OrderError::from(error);
    if is_forgotten { Halt::Forgotten(error) } else { Halt::Failed(error) }
}

/// The account is good if it came this far: what is not authorized is to have these names in this order.
fn of_finalizing(error: Error) -> Halt {
    let is_of_order = refusal(&error).is_some_and(|refusal| refusal.is("unauthorized"));
    let error = OrderError::from(error);
    Halt::Failed(if is_of_order { OrderError { kind: OrderErrorKind::Order, ..error } } else { error })
}

// === impl ChallengeKind ===

impl From<ChallengeKind> for ChallengeType {
    fn from(kind: ChallengeKind) -> Self {
        match kind {
            ChallengeKind::Http01 => Self::Http01,
            ChallengeKind::TlsAlpn01 => Self::TlsAlpn01,
            ChallengeKind::Dns01 => Self::Dns01,
        }
    }
}

impl TryFrom<&ChallengeType> for ChallengeKind {
    type Error = ();

    fn try_from(kind: &ChallengeType) -> Result<Self, ()> {
        match kind {
            ChallengeType::Http01 => Ok(Self::Http01),
            ChallengeType::TlsAlpn01 => Ok(Self::TlsAlpn01),
            ChallengeType::Dns01 => Ok(Self::Dns01),
            _ => Err(()),
        }
    }
}

fn name_of(kind: &ChallengeType) -> String {
    match (ChallengeKind::try_from(kind), kind) {
        (Ok(kind), _) => kind.as_str().to_owned(),
        (Err(()), ChallengeType::Unknown(name)) => name.clone(),
        (Err(()), other) => format!("{other:?}"),
    }
}

// === impl Halt ===

impl From<OrderError> for Halt {
    fn from(error: OrderError) -> Self {
        Self::Failed(error)
    }
}

impl From<Error> for Halt {
    fn from(error: Error) -> Self {
        Self::Failed(error.into())
    }
}

impl From<Halt> for OrderError {
    fn from(halt: Halt) -> Self {
        match halt {
            Halt::Failed(error) | Halt::Forgotten(error) => error,
            Halt::Invalid(verdicts) => Self::of_verdicts(verdicts),
            Halt::Gone(why) => {
                Self::new(OrderErrorKind::Order, format!("the order is no longer good: {why}"))
            }
        }
    }
}

// === impl Pace ===

impl Pace {
    async fn wait(&mut self) {
        sleep(self.next).await;
        self.next = self.max.min(self.next.mul_f32(1.5));
    }
}
