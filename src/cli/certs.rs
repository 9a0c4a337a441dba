//! `minipaas certs`: which names have a certificate, whose it is, and what keeps the others from one.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Subcommand;

use super::Session;
use super::failure::{Failure, Kind};
use super::output::{Table, age};
use crate::api::{Certificate, CertificateFacts, CertificateRequest};
use crate::clock;
use crate::name::AppName;

/// A chain of certificates has a few KiB.
const FILE_BYTES_MAX: u64 = 1 << 20;
/// Names that are less alike are no slips of the keyboard.
const LIKENESS_MIN: f64 = 0.8;

#[derive(Debug, clap::Args)]
pub(crate) struct CertsArgs {
    #[command(subcommand)]
    action: Option<CertsAction>,
}

#[derive(Debug, Subcommand)]
enum CertsAction {
    /// List them, as `minipaas certs` alone does
    #[command(hide = true, alias = "ls")]
    List,
    /// Show all that is known of a name's certificate
    Info {
        /// The name, a host that it serves, or a certificate's id
        name: String,
    },
    /// Use a certificate of your own: it goes before any that the box orders
    Add {
        /// The certificate, and those of its issuers behind it (PEM)
        #[arg(value_name = "CHAIN")]
        chain: PathBuf,
        /// Its private key (PEM)
        #[arg(value_name = "KEY")]
        key: PathBuf,
    },
    /// Use a certificate of your own no longer
    Remove {
        /// Its id, or a name that it is for
        which: String,
    },
    /// Order the certificate of a name now, whatever went wrong before
    Renew {
        /// The name, as `minipaas certs` lists it
        name: String,
    },
}

pub(crate) async fn run(session: &Session, args: &CertsArgs) -> Result<(), Failure> {
    let client = session.client();
    match &args.action {
        None | Some(CertsAction::List) => list(session, &client.certificates().await?),
        Some(CertsAction::Info { name }) => {
            let all = client.certificates().await?;
            // What was brought serves, whatever else there is for the name.
            let mut found: Vec<_> = all.iter().filter(|found| is_meant(found, name)).collect();
            found.sort_by_key(|found| (found.state != "valid", found.signer != "own"));
            let found = found.first().copied();
            info(session, found.ok_or_else(|| unknown(name, &all))?)
        }
        Some(CertsAction::Add { chain, key }) => {
            let request = CertificateRequest { chain: read(chain)?, key: read(key)? };
            if is_key(&request.chain) && !is_key(&request.key) {
                let error = anyhow::anyhow!("`{}` is the key; name the certificates first", chain.display());
                return Err(Failure::new(Kind::Usage, error));
            }
            let certificate = client.add_certificate(&request).await?;
            added(session, &certificate)
        }
        Some(CertsAction::Remove { which }) => {
            let all = client.certificates().await?;
            all.iter().find(|found| is_meant(found, which)).ok_or_else(|| unknown(which, &all))?;
            client.remove_certificate(which).await?;
            session.out.notice(format_args!("`{which}` is not used any more"));
            Ok(())
        }
        Some(CertsAction::Renew { name }) => {
            let name = &to_renew(&client.certificates().await?, name)?;
            client.renew_certificate(name).await?;
            session.out.notice(format_args!("`{name}` is being ordered; `minipaas certs` tells how it goes"));
            Ok(())
        }
    }
}

/// Says what there is to say of the certificates of an app that was just deployed; nothing, if all is well.
pub(crate) async fn tell(session: &Session, app: &AppName) {
    // The deploy is done, whatever can or cannot be told beside it.
    let Ok(all) = session.client().certificates().await else { return };
    let now = clock::now();
    for found in all.iter().filter(|found| found.apps.iter().any(|name| name == app.as_str())) {
        let name = &found.name;
        if let Some(warning) = &found.warning {
            session.out.warning(format_args!("{warning}{}", next_try(found, now)));
        } else if matches!(found.state.as_str(), "ordering" | "waiting") {
            session.out.notice(format_args!(
                "the certificate for `{name}` is being ordered; the box signs until it is there (`minipaas certs`)"
            ));
        }
    }
}

fn list(session: &Session, all: &[Certificate]) -> Result<(), Failure> {
    let out = session.out;
    if out.is_json() {
        out.json(&all)?;
        return Ok(());
    }
    let now = clock::now();
    let mut table = Table::new(["NAME", "STATE", "SIGNED BY", "VALID FOR", "ID", "APPS"]);
    for found in all {
        let left = found.certificate.as_ref().map(|facts| left(facts, now));
        table.row([
            found.name.clone(),
            found.state.clone(),
            signer(found),
            left.unwrap_or_else(|| "-".to_owned()),
            found.certificate.as_ref().map_or_else(|| "-".to_owned(), |facts| facts.id.clone()),
            found.apps.join(", "),
        ]);
    }
    out.table(&table)?;
    for found in all {
        if let Some(warning) = &found.warning {
            out.warning(format_args!("{warning}{}", next_try(found, now)));
        }
    }
    Ok(())
}

fn info(session: &Session, found: &Certificate) -> Result<(), Failure> {
    let out = session.out;
    if out.is_json() {
        out.json(found)?;
        return Ok(());
    }
    let now = clock::now();
    let mut table = Table::new(["NAME", &found.name]);
    let mut row = |name: &str, value: String| table.row([name.to_owned(), value]);
    row("state", found.state.clone());
    row("signed by", signer(found));
    row("apps", found.apps.join(", "));
    row("hosts", found.hosts.join(", "));
    if let Some(facts) = &found.certificate {
        row("issuer", facts.issuer.clone());
        row("names", facts.names.join(", "));
        row("valid", format!("from {} to {}", date(facts.not_before), date(facts.not_after)));
        row("key", facts.key.clone());
        row("serial", facts.serial.clone());
        row("sha-256", facts.fingerprint.clone());
        row("id", facts.id.clone());
    }
    if let Some(next) = found.next {
        let what = match found.state.as_str() {
            "unused" => "kept until",
            _ if found.problem.is_some() => "next try",
            _ => "renewal",
        };
        row(what, date(next));
    }
    if let Some(problem) = &found.problem {
        row("problem", format!("{} ({}, {})", problem.message, problem.kind, date(problem.at)));
    }
    out.table(&table)?;
    if let Some(warning) = &found.warning {
        out.warning(format_args!("{warning}{}", next_try(found, now)));
    }
    Ok(())
}

fn added(session: &Session, added: &Certificate) -> Result<(), Failure> {
    let out = session.out;
    if out.is_json() {
        out.json(added)?;
        return Ok(());
    }
    if let Some(facts) = &added.certificate {
        out.line(&facts.id)?;
        let names = facts.names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
        out.notice(format_args!(
            "new connections to {names} get it; it is valid for {}",
            left(facts, clock::now())
        ));
        if added.hosts.is_empty() {
            out.warning("no route has such a host yet");
        }
        if let Some(warning) = &added.warning {
            out.warning(warning);
        }
    }
    Ok(())
}

/// The name of the certificate that is ordered for what somebody calls `name`.
fn to_renew(all: &[Certificate], name: &str) -> Result<String, Failure> {
    let meant: Vec<_> = all.iter().filter(|found| is_meant(found, name)).collect();
    // One that was added may stand beside it.
    let found = meant.iter().find(|found| found.signer == "acme").or(meant.first());
    Ok(found.ok_or_else(|| unknown(name, all))?.name.clone())
}

/// Whether this is a key where certificates should be.
fn is_key(pem: &str) -> bool {
    pem.contains("PRIVATE KEY-----") && !pem.contains("-----BEGIN CERTIFICATE-----")
}

fn is_meant(found: &Certificate, text: &str) -> bool {
    let is_of = |facts: &CertificateFacts| facts.id == text || facts.names.iter().any(|name| name == text);
    found.name == text
        || found.hosts.iter().any(|host| host == text)
        || found.certificate.as_ref().is_some_and(is_of)
}

fn unknown(name: &str, all: &[Certificate]) -> Failure {
    let failure = Failure::failed(format!("no app has a host `{name}`, and no certificate is called so"));
    if all.is_empty() {
        return failure.hint("there is no route yet; `minipaas up` makes one");
    }
    let names = all.iter().flat_map(|found| std::iter::once(&found.name).chain(&found.hosts));
    let likeness = |known: &String| strsim::jaro(known, name);
    match names
        .max_by(|a, b| likeness(a).total_cmp(&likeness(b)))
        .filter(|near| likeness(near) > LIKENESS_MIN)
    {
        Some(nearest) => failure.hint(format!("did you mean `{nearest}`? `minipaas certs` lists all")),
        None => failure.hint("`minipaas certs` lists all"),
    }
}

fn signer(found: &Certificate) -> String {
    match (&found.authority, found.signer.as_str()) {
        (Some(authority), _) => authority.clone(),
        (None, "acme") => "-".to_owned(),
        (None, "local") => "the box".to_owned(),
        (None, _) => {
            found.certificate.as_ref().map_or_else(String::new, |facts| format!("{} (added)", facts.issuer))
        }
    }
}

fn left(facts: &CertificateFacts, now: u64) -> String {
    if facts.not_after <= now { "over".to_owned() } else { age(now, facts.not_after) }
}

fn next_try(found: &Certificate, now: u64) -> String {
    let next = found.next.filter(|_| found.problem.is_some()).filter(|next| *next > now);
    next.map_or_else(String::new, |next| format!(" (tried again in {})", age(now, next)))
}

fn read(path: &Path) -> Result<String, Failure> {
    let read = || -> std::io::Result<String> {
        if std::fs::metadata(path)?.len() > FILE_BYTES_MAX {
            return Err(std::io::Error::other("it is too large for a certificate or a key"));
        }
        String::from_utf8(std::fs::read(path)?).map_err(|_| {
            std::io::Error::other(
                "it is not PEM; `openssl x509 -inform der` or `openssl pkcs12 -nodes` makes it so",
            )
        })
    };
    read()
        .with_context(|| format!("cannot read `{}`", path.display()))
        .map_err(|error| Failure::new(Kind::Usage, error))
}

fn date(millis: u64) -> String {
    let millis = i64::try_from(millis).unwrap_or(i64::MAX);
    let time = jiff::Timestamp::from_millisecond(millis);
    time.map_or_else(|_| millis.to_string(), |time| time.strftime("%Y-%m-%d %H:%M UTC").to_string())
}
