//! `minipaas trust`: this machine's trust in the box's own certificates.
//!
//! The certificate comes from the daemon, so it can be of any box whose socket is reached. What the stores are, and how each
//! is changed, is [`crate::tls::trust`]'s.

use serde::Serialize;

use super::args::TrustArgs;
use super::failure::{Failure, Kind};
use super::output::count;
use super::{Session, daemon};
use crate::tls::CaCertificate;
use crate::tls::trust::{self, Change, Environment, Outcome};

#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct StoreResult {
    store: String,
    outcome: &'static str,
    detail: Option<String>,
}

pub(crate) async fn run(session: &Session, args: &TrustArgs) -> Result<(), Failure> {
    let certificate = certificate(session).await?;
    if args.print {
        return Ok(session.out.bytes(certificate.pem().as_bytes())?);
    }
    let env = Environment::detect();
    let is_root = env.is_root;
    let is_removing = args.remove;
    let operation = if is_removing { trust::untrust } else { trust::trust };
    let outcomes = tokio::task::spawn_blocking(move || operation(&certificate, &env))
        .await
        .expect("changing a trust store does not panic");
    print(session, &outcomes)?;
    let failed = outcomes.iter().filter(|outcome| matches!(outcome.change, Change::Failed { .. })).count();
    let skipped = outcomes.iter().any(|outcome| matches!(outcome.change, Change::Skipped { .. }));
    if skipped && !is_root {
        // Root's own box is another one.
        let command = if is_removing { "trust --remove" } else { "trust" };
        let home = session.home.display();
        session
            .out
            .notice(format_args!("with sudo, name this box: `sudo MINIPAAS_HOME={home} minipaas {command}`"));
    }
    if failed > 0 {
        return Err(Failure::failed(format!("{} could not be changed", count(failed, "store"))));
    }
    Ok(())
}

async fn certificate(session: &Session) -> Result<CaCertificate, Failure> {
    let pem = daemon::ensure(session).await?.ca_pem().await?;
    CaCertificate::from_pem(&pem).map_err(|error| {
        let error = anyhow::Error::new(error).context("the daemon's CA certificate is not one");
        Failure::new(Kind::Failed, error)
    })
}

fn print(session: &Session, outcomes: &[Outcome]) -> Result<(), Failure> {
    let out = session.out;
    let results: Vec<StoreResult> = outcomes.iter().map(result).collect();
    if out.is_json() {
        out.json(&results)?;
        return Ok(());
    }
    for (result, outcome) in results.iter().zip(outcomes) {
        let StoreResult { store, outcome: word, detail } = result;
        let detail = detail.as_ref().map(|detail| format!(": {detail}")).unwrap_or_default();
        out.line(format_args!("{store}: {word}{detail}"))?;
        if let Change::Skipped { hint, .. } | Change::Failed { hint, .. } = &outcome.change {
            out.notice(format_args!("  hint: {hint}"));
        }
    }
    Ok(())
}

fn result(Outcome { store, change }: &Outcome) -> StoreResult {
    let (outcome, detail) = match change {
        Change::Installed => ("installed", None),
        Change::AlreadyThere => ("already there", None),
        Change::Removed => ("removed", None),
        Change::NotThere => ("not there", None),
        Change::Skipped { reason, .. } => ("skipped", Some(reason.clone())),
        Change::Failed { error, .. } => ("failed", Some(chain(error))),
    };
    StoreResult { store: store.to_string(), outcome, detail }
}

/// An error and its reasons on one line.
fn chain(error: &dyn std::error::Error) -> String {
    let sources = std::iter::successors(Some(error), |error| error.source());
    sources.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
