//! `minipaas domains`: the hosts of an app, added and removed at once, without a release.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use super::Session;
use super::args::{AppArgs, DomainsAction, DomainsArgs};
use super::failure::Failure;
use super::output::{Answer, Output, Table, age, count};
use super::project;
use crate::api::client::Client;
use crate::api::{Domain, Domains, DomainsQuery, DomainsRequest};
use crate::clock;
use crate::name::{AppName, Host};

/// Between two looks at the certificates.
const POLL_INTERVAL: Duration = Duration::from_secs(1);
/// What a certificate is that serves.
const SERVING: [&str; 2] = ["valid", "renewing"];

pub(crate) async fn run(session: &Session, args: &DomainsArgs) -> Result<(), Failure> {
    let app = project::app_of(session, &AppArgs { name: None })?;
    let (client, out) = (session.client(), session.out);
    match &args.action {
        None | Some(DomainsAction::List) => list(out, &client.domains(&app, &DomainsQuery::default()).await?),
        Some(DomainsAction::Info { host }) => {
            let host = read(host)?.to_string();
            let mut found = client.domains(&app, &DomainsQuery::default()).await?;
            found.domains.retain(|domain| domain.host == host);
            if found.domains.is_empty() {
                return Err(Failure::failed(format!("`{host}` is no host of `{app}`"))
                    .hint(format!("`minipaas domains -a {app}` lists those that are")));
            }
            list(out, &found)
        }
        Some(DomainsAction::Add { hosts }) => {
            hosts.iter().try_for_each(|host| read(host).map(drop))?;
            let domains = client.add_domains(&app, &DomainsRequest { hosts: hosts.clone() }).await?;
            added(out, &app, hosts, &domains)
        }
        Some(DomainsAction::Remove { hosts }) => remove(out, &client, &app, hosts).await,
        Some(DomainsAction::Clear) => clear(out, &client, &app).await,
        Some(DomainsAction::Wait { hosts, timeout }) => wait(out, &client, &app, hosts, *timeout).await,
    }
}

fn list(out: Output, found: &Domains) -> Result<(), Failure> {
    if out.is_json() {
        out.json(found)?;
        return Ok(());
    }
    let mut table = Table::new(["HOST", "PROCESS", "CERTIFICATE", "ADDED"]);
    for domain in &found.domains {
        let added = match (&domain.by, domain.at) {
            (Some(by), Some(at)) => format!("by {by}, {} ago", age(at, clock::now())),
            _ if domain.from == "app" => "-".to_owned(),
            _ => format!("by the {}", domain.from),
        };
        let process = domain.process.clone().unwrap_or_else(|| "-".to_owned());
        table.row([shown(domain), process, certificate(domain), added]);
    }
    out.table(&table)?;
    for domain in &found.domains {
        if let Some(problem) = domain.certificate.as_ref().and_then(|known| known.problem.as_ref()) {
            out.warning(format_args!("`{}`: {problem}", domain.host));
        }
    }
    Ok(())
}

fn added(out: Output, app: &AppName, hosts: &[String], domains: &Domains) -> Result<(), Failure> {
    if out.is_json() {
        out.json(domains)?;
        return Ok(());
    }
    for written in hosts {
        let host = read(written)?.to_string();
        let Some(domain) = domains.domains.iter().find(|domain| domain.host == host) else { continue };
        let to = domain.process.as_ref().map_or_else(String::new, |process| format!("`{process}` of "));
        if domains.changed.contains(&host) {
            out.line(format_args!("{} leads to {to}`{app}`", shown(domain)))?;
        } else {
            out.line(format_args!("{} was there already: it leads to {to}`{app}`", shown(domain)))?;
        }
    }
    if !domains.changed.is_empty() {
        out.notice("let it lead to this box in the DNS: `minipaas doctor` looks, and `minipaas domains wait` waits for the certificate");
    }
    Ok(())
}

async fn remove(out: Output, client: &Client, app: &AppName, hosts: &[String]) -> Result<(), Failure> {
    let mut last = Domains { domains: Vec::new(), changed: Vec::new() };
    let mut gone = Vec::new();
    for host in hosts {
        last = client.remove_domain(app, &read(host)?.to_string()).await?;
        gone.append(&mut last.changed);
        if !out.is_json() {
            out.line(format_args!("`{host}` leads to `{app}` no more"))?;
        }
    }
    if out.is_json() {
        out.json(&Domains { changed: gone, ..last })?;
    }
    Ok(())
}

async fn clear(out: Output, client: &Client, app: &AppName) -> Result<(), Failure> {
    let known = client.domains(app, &DomainsQuery::default()).await?;
    let added = known.domains.iter().filter(|domain| domain.from == "command").count();
    if added > 0 {
        let question = format!("remove {} from `{app}`?", count(added, "domain"));
        match tokio::task::spawn_blocking(move || out.ask(&question)).await {
            Ok(Answer::Yes) => {}
            Ok(Answer::No) => return Err(Failure::failed(format!("`{app}` keeps its domains"))),
            Ok(Answer::Nobody) | Err(_) => {
                let message = format!("there is nobody to ask whether {} may go", count(added, "domain"));
                return Err(Failure::usage(message).hint("`--yes` says so"));
            }
        }
    }
    let domains = client.clear_domains(app).await?;
    if out.is_json() {
        out.json(&domains)?;
    } else {
        out.line(format_args!("{} removed from `{app}`", count(domains.changed.len(), "domain")))?;
    }
    Ok(())
}

/// Waits until these hosts, or all, have a certificate that serves.
async fn wait(
    out: Output,
    client: &Client,
    app: &AppName,
    hosts: &[String],
    timeout: Duration,
) -> Result<(), Failure> {
    let wanted = hosts.iter().map(|host| read(host).map(|host| host.to_string()));
    let wanted: Vec<String> = wanted.collect::<Result<_, _>>()?;
    let deadline = Instant::now() + timeout;
    let mut said: BTreeMap<String, String> = BTreeMap::new();
    loop {
        let found = client.domains(app, &DomainsQuery::default()).await?;
        if let Some(host) = wanted.iter().find(|host| found.domains.iter().all(|known| known.host != **host))
        {
            return Err(Failure::usage(format!("`{app}` has no domain `{host}`"))
                .hint(format!("`minipaas domains add {host}`")));
        }
        let meant = |domain: &&Domain| wanted.is_empty() || wanted.contains(&domain.host);
        let missing: Vec<_> =
            found.domains.iter().filter(meant).filter(|domain| !has_certificate(domain)).collect();
        if missing.is_empty() {
            let all: Vec<_> = found.domains.iter().filter(meant).cloned().collect();
            return list(out, &Domains { domains: all, changed: Vec::new() });
        }
        for domain in &missing {
            let state = domain.certificate.as_ref().and_then(|known| known.problem.clone());
            let state = state.unwrap_or_else(|| certificate(domain));
            if said.insert(domain.host.clone(), state.clone()).as_ref() != Some(&state) {
                out.notice(format_args!("`{}`: {state}", domain.host));
            }
        }
        if Instant::now() >= deadline {
            let names: Vec<_> = missing.iter().map(|domain| format!("`{}`", domain.host)).collect();
            let message = format!("no certificate yet for {}", names.join(", "));
            return Err(Failure::failed(message).hint("`minipaas certs` and `minipaas doctor` say why"));
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}

fn has_certificate(domain: &Domain) -> bool {
    domain.certificate.as_ref().is_some_and(|known| SERVING.contains(&known.state.as_str()))
}

/// In both scripts, where there are two.
fn shown(domain: &Domain) -> String {
    match &domain.written {
        Some(written) => format!("{written} ({})", domain.host),
        None => domain.host.clone(),
    }
}

fn certificate(domain: &Domain) -> String {
    match &domain.certificate {
        Some(certificate) if certificate.signer == "local" => format!("{}, local CA", certificate.state),
        Some(certificate) => certificate.state.clone(),
        None => "-".to_owned(),
    }
}

fn read(host: &str) -> Result<Host, Failure> {
    Host::written(host).map_err(|error| Failure::usage(error.to_string()))
}
