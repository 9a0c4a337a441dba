//! Certificates: how they are, and those that somebody brings.

use std::time::{Duration, SystemTime};

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{Method, StatusCode};

use super::Api;
use super::endpoint::{Endpoint, Needs};
use super::failure::Refusal;
use crate::api::{Certificate, CertificateFacts, CertificateProblem, CertificateRequest, Failure};
use crate::certs::{CertsError, NameView, Signer, State as NameState};
use crate::clock;
use crate::clock::millis;
use crate::tls::{Chain, Summary};
use crate::web;

/// A certificate that nobody renews is warned of this long before it runs out.
const OWN_WARNING: Duration = Duration::from_secs(30 * 24 * 60 * 60);

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::new(Method::GET, "/v1/certs", Needs::Admin, "List the certificates of all hosts", list),
        Endpoint::new(Method::POST, "/v1/certs", Needs::Admin, "Add a certificate of one's own", add)
            .action("certificate-added"),
        Endpoint::new(Method::DELETE, "/v1/certs/{which}", Needs::Admin, "Remove a certificate", remove)
            .action("certificate-removed"),
        Endpoint::new(
            Method::POST,
            "/v1/certs/{which}/renew",
            Needs::Admin,
            "Have a certificate renewed now",
            renew,
        )
        .action("certificate-renewal"),
    ]
}

async fn list(State(api): State<Api>) -> Json<Vec<Certificate>> {
    Json(certificates(&api))
}

async fn add(
    State(api): State<Api>,
    Json(request): Json<CertificateRequest>,
) -> Result<Json<Certificate>, Refusal> {
    let bad = |error: &dyn std::error::Error| {
        Refusal::new(StatusCode::BAD_REQUEST, Failure::new("bad-certificate", error.to_string()))
    };
    let chain = Chain::from_pem(&request.chain, &request.key).map_err(|error| bad(&error))?;
    chain.check(SystemTime::now()).map_err(|error| bad(&error))?;
    let unknown = chain.unknown_issuer(&web::machine_roots());
    let id = api.certs.add(chain).await?.to_string();
    let is_it = |found: &Certificate| found.certificate.as_ref().is_some_and(|facts| facts.id == id);
    let added = certificates(&api).into_iter().find(is_it);
    let mut added = added.ok_or_else(|| Refusal::from(CertsError::Stopping))?;
    added.warning = added.warning.or(unknown.map(|(last, issuer)| {
        format!(
            "`{last}` is signed by `{issuer}`, which is neither in the chain nor known to this machine: clients that do not know it \
             refuse the certificate; put the certificates of its issuers behind it"
        )
    }));
    Ok(Json(added))
}

async fn remove(State(api): State<Api>, Path(which): Path<String>) -> Result<StatusCode, Refusal> {
    api.certs.remove(&which).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn renew(State(api): State<Api>, Path(name): Path<String>) -> Result<StatusCode, Refusal> {
    api.certs.renew(&name).await?;
    Ok(StatusCode::ACCEPTED)
}

pub(super) fn certificates(api: &Api) -> Vec<Certificate> {
    let now = clock::now();
    api.certs.view().iter().map(|view| certificate(view, now)).collect()
}

fn certificate(view: &NameView, now: u64) -> Certificate {
    let (signer, authority) = match &view.signer {
        Signer::Local => ("local", None),
        Signer::Own => ("own", None),
        Signer::Authority(authority) => ("acme", authority.clone()),
    };
    Certificate {
        name: view.name.clone(),
        state: view.state.as_str().to_owned(),
        signer: signer.to_owned(),
        authority,
        hosts: view.hosts.clone(),
        apps: view.apps.iter().map(ToString::to_string).collect(),
        certificate: view.certificate.as_deref().map(facts),
        problem: view.problem.as_ref().map(|problem| CertificateProblem {
            kind: problem.kind.clone(),
            message: problem.message.clone(),
            at: problem.at,
        }),
        next: view.next,
        warning: warning(view, now),
    }
}

fn facts(summary: &Summary) -> CertificateFacts {
    CertificateFacts {
        id: summary.id.to_string(),
        names: summary.names.clone(),
        issuer: summary.issuer.clone(),
        serial: summary.serial.clone(),
        fingerprint: summary.fingerprint.clone(),
        key: summary.key_kind.to_string(),
        not_before: millis(summary.not_before),
        not_after: millis(summary.not_after),
    }
}

/// What an operator should know without having asked.
fn warning(view: &NameView, now: u64) -> Option<String> {
    let days = |summary: &Summary| millis(summary.not_after).saturating_sub(now) / (24 * 60 * 60 * 1000);
    let summary = view.certificate.as_deref();
    match (view.state, &view.signer) {
        (NameState::Unused, _) => None,
        (NameState::Expired, Signer::Own) => Some(format!(
            "the certificate for `{}` has run out; add a new one with `minipaas certs add`",
            view.name
        )),
        (NameState::Expired, _) => Some(format!("the certificate for `{}` has run out", view.name)),
        (_, Signer::Own) => {
            let summary = summary.filter(|summary| days(summary) < OWN_WARNING.as_secs() / (24 * 60 * 60))?;
            let days = days(summary);
            Some(format!(
                "the certificate for `{}` runs out in {days} days; add its successor with `minipaas certs add`",
                view.name
            ))
        }
        _ => {
            let problem = view.problem.as_ref()?;
            Some(match summary {
                Some(summary) => format!(
                    "the certificate for `{}` is not renewed, and runs out in {} days: {}",
                    view.name,
                    days(summary),
                    problem.message
                ),
                None => format!("there is no certificate for `{}`: {}", view.name, problem.message),
            })
        }
    }
}

impl From<CertsError> for Refusal {
    fn from(error: CertsError) -> Self {
        let (status, code) = match &error {
            CertsError::Unknown(_) => (StatusCode::NOT_FOUND, "no-certificate"),
            CertsError::Ambiguous { .. } | CertsError::NotOrdered(_) | CertsError::NotOwn(_) => {
                (StatusCode::CONFLICT, "wrong-kind")
            }
            CertsError::Vault(_) | CertsError::Store(_) => (StatusCode::INTERNAL_SERVER_ERROR, "internal"),
            CertsError::Stopping => (StatusCode::SERVICE_UNAVAILABLE, "stopping"),
        };
        let source = std::error::Error::source(&error).map(ToString::to_string);
        let failure = Failure::new(code, error.to_string());
        let failure = match &error {
            CertsError::Unknown(_) | CertsError::NotOrdered(_) | CertsError::NotOwn(_) => {
                failure.hinted("`minipaas certs` lists all certificates, and who signs them")
            }
            _ => failure,
        };
        Self::new(status, source.into_iter().fold(failure, Failure::caused_by))
    }
}
