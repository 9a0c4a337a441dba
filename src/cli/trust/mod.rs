//! `minipaas trust` and `untrust`: this machine's trust in a box's own certificates.
//!
//! The box is the one of the home, or another one whose certificate is fetched ([`source`]). What comes over plain http could
//! be anybody's, so a person is shown its fingerprint and what it may sign for, and is asked; a script says which fingerprint
//! it expects. What the stores are, and how each is changed, is [`crate::tls::trust`]'s.

mod source;

use serde::Serialize;

use super::Session;
use super::args::{TrustArgs, UntrustArgs};
use super::failure::{Failure, Kind};
use super::output::{Answer, count};
use crate::tls::CaCertificate;
use crate::tls::trust::{self, Change, Environment, Outcome};
use source::Source;

#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct StoreResult {
    store: String,
    outcome: &'static str,
    detail: Option<String>,
}

/// `--print` with `--json`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Printed<'a> {
    name: String,
    id: &'a str,
    fingerprint: String,
    permits: String,
    pem: &'a str,
}

pub(crate) async fn run(session: &Session, args: &TrustArgs) -> Result<(), Failure> {
    if args.remove {
        return remove(session, args.from.as_deref()).await;
    }
    let source = Source::of(args.from.as_deref())?;
    if let Some(text) = args.fingerprint.as_deref().filter(|text| !is_fingerprint(text)) {
        let error = anyhow::anyhow!("`{text}` is no SHA-256 fingerprint; it has 64 hexadecimal digits");
        return Err(Failure::new(Kind::Usage, error));
    }
    if args.print {
        return print(session, &source.certificate(session).await?);
    }
    let certificate = match &source {
        Source::OwnBox => source.certificate_or_start(session).await?,
        Source::OtherBox(_) | Source::File(_) => source.certificate(session).await?,
    };
    if let Some(expected) = &args.fingerprint {
        compare(&source, &certificate, expected)?;
    } else if let Source::OtherBox(_) = source {
        confirm(session, &source, &certificate).await?;
    }
    let fingerprint = certificate.fingerprint();
    session.out.notice(format_args!("{}, SHA-256 {fingerprint}", certificate.name()));
    let sudo = match &args.from {
        None => format!("sudo MINIPAAS_HOME={} minipaas trust", session.home.display()),
        Some(from) => format!("sudo minipaas trust {from} --fingerprint {fingerprint}"),
    };
    change(session, certificate, trust::trust, &sudo).await
}

pub(crate) async fn run_untrust(session: &Session, args: &UntrustArgs) -> Result<(), Failure> {
    remove(session, args.from.as_deref()).await
}

async fn remove(session: &Session, from: Option<&str>) -> Result<(), Failure> {
    let certificate = Source::of(from)?.certificate(session).await?;
    let sudo = match from {
        None => format!("sudo MINIPAAS_HOME={} minipaas untrust", session.home.display()),
        Some(from) => format!("sudo minipaas untrust {from}"),
    };
    change(session, certificate, trust::untrust, &sudo).await
}

/// Goes through the stores; `sudo` is what to type for those that are root's.
async fn change(
    session: &Session,
    certificate: CaCertificate,
    operation: fn(&CaCertificate, &Environment) -> Vec<Outcome>,
    sudo: &str,
) -> Result<(), Failure> {
    let env = Environment::detect();
    let is_root = env.is_root;
    let outcomes = tokio::task::spawn_blocking(move || operation(&certificate, &env))
        .await
        .expect("changing a trust store does not panic");
    print_outcomes(session, &outcomes)?;
    let failed = outcomes.iter().filter(|outcome| matches!(outcome.change, Change::Failed { .. })).count();
    let is_skipped = outcomes.iter().any(|outcome| matches!(outcome.change, Change::Skipped { .. }));
    if is_skipped && !is_root {
        // Root's own box is another one.
        session.out.notice(format_args!("with sudo, name this box: `{sudo}`"));
    }
    match failed {
        0 => Ok(()),
        _ => Err(Failure::failed(format!("{} could not be changed", count(failed, "store")))),
    }
}

/// Asks whether a certificate that came over plain http is to be trusted.
async fn confirm(session: &Session, source: &Source, certificate: &CaCertificate) -> Result<(), Failure> {
    let out = session.out;
    let fingerprint = certificate.fingerprint();
    out.say(format_args!("{source} has this CA:"));
    out.say(format_args!("  name     {}", certificate.name()));
    out.say(format_args!("  SHA-256  {fingerprint}"));
    out.say(format_args!("  may sign for {}", permits(certificate)));
    out.say(
        "compare the fingerprint with the box's own, by another way than this: `minipaas trust --print --json`",
    );
    let question = "have this machine trust it?";
    match tokio::task::spawn_blocking(move || out.ask(question)).await {
        Ok(Answer::Yes) => Ok(()),
        Ok(Answer::No) => Err(Failure::failed("nothing was changed")),
        _ => Err(Failure::usage(format!("{source} may be anybody, and there is nobody to ask")).hint(
            format!("`--fingerprint {fingerprint}` trusts it, once you know that it is the right one"),
        )),
    }
}

fn digits(fingerprint: &str) -> String {
    fingerprint.replace([':', ' '], "").to_ascii_uppercase()
}

fn is_fingerprint(text: &str) -> bool {
    let digits = digits(text);
    digits.len() == 64 && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Checks that it is the certificate that is expected.
fn compare(source: &Source, certificate: &CaCertificate, expected: &str) -> Result<(), Failure> {
    let fingerprint = certificate.fingerprint();
    if digits(expected) == digits(&fingerprint) {
        return Ok(());
    }
    Err(Failure::failed(format!("the CA of {source} has the fingerprint {fingerprint}, and not {expected}"))
        .hint("nothing was changed; somebody else may answer in the box's place"))
}

fn permits(certificate: &CaCertificate) -> String {
    certificate
        .constraints()
        .map_or_else(|| "any name at all".to_owned(), |constraints| constraints.to_string())
}

fn print(session: &Session, certificate: &CaCertificate) -> Result<(), Failure> {
    if session.out.is_json() {
        let printed = Printed {
            name: certificate.name(),
            id: certificate.id(),
            fingerprint: certificate.fingerprint(),
            permits: permits(certificate),
            pem: certificate.pem(),
        };
        return Ok(session.out.json(&printed)?);
    }
    Ok(session.out.bytes(certificate.pem().as_bytes())?)
}

fn print_outcomes(session: &Session, outcomes: &[Outcome]) -> Result<(), Failure> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_is_64_digits_with_or_without_colons() {
        let plain = "0BFB4EDE7E84A80A9D815B20260B2FB4691DD942C8770F2A6E904B571A95FB46";
        let pairs: Vec<_> = plain.as_bytes().chunks(2).map(|pair| str::from_utf8(pair).unwrap()).collect();
        for good in [plain.to_owned(), plain.to_lowercase(), pairs.join(":")] {
            assert!(is_fingerprint(&good), "{good}");
        }
        for bad in ["", "00", "null", &plain[1..], &plain.replace('B', "G")] {
            assert!(!is_fingerprint(bad), "{bad}");
        }
    }
}
