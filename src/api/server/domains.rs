//! An app's hosts: told, and changed by command.

use axum::extract::{Path, Query, State};
use axum::http::{Method, StatusCode};
use axum::{Extension, Json};
use futures_util::future::join_all;
use tokio::sync::oneshot;

use super::audit::Detail;
use super::endpoint::{Endpoint, Needs};
use super::failure::Refusal;
use super::{Api, app_name};
use crate::api::{Domain, DomainCertificate, Domains, DomainsQuery, DomainsRequest, Failure};
use crate::certs::{NameView, Signer};
use crate::controller::{AppDomain, AppDomains, Command, DomainsChange, DomainsError, Origin, Stopping};
use crate::name::{Host, is_public};
use crate::people::{Actor, Role};

/// How many hosts one request may add.
const HOSTS_MAX: usize = 100;

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::new(
            Method::GET,
            "/v1/apps/{app}/domains",
            Needs::OfApp(Role::Viewer),
            "List an app's hosts",
            list,
        ),
        Endpoint::new(
            Method::POST,
            "/v1/apps/{app}/domains",
            Needs::OfApp(Role::Collaborator),
            "Add hosts to an app, without a release",
            add,
        )
        .action("domain-added"),
        Endpoint::new(
            Method::DELETE,
            "/v1/apps/{app}/domains",
            Needs::OfApp(Role::Collaborator),
            "Remove all hosts from an app that were added",
            clear,
        )
        .action("domains-cleared"),
        Endpoint::new(
            Method::DELETE,
            "/v1/apps/{app}/domains/{host}",
            Needs::OfApp(Role::Collaborator),
            "Remove a host from an app that was added",
            remove,
        )
        .action("domain-removed"),
    ]
}

async fn list(
    State(api): State<Api>,
    Path(name): Path<String>,
    Query(query): Query<DomainsQuery>,
) -> Result<Json<Domains>, Refusal> {
    let mut found = ask(&api, &name, None).await?;
    if query.look {
        join_all(found.domains.iter_mut().map(|domain| look(&api, domain))).await;
    }
    Ok(Json(found))
}

async fn add(
    State(api): State<Api>,
    Path(name): Path<String>,
    Extension(by): Extension<Actor>,
    Json(request): Json<DomainsRequest>,
) -> Result<(Extension<Detail>, Json<Domains>), Refusal> {
    if request.hosts.is_empty() || request.hosts.len() > HOSTS_MAX {
        return Err(Refusal::bad_request(format!("`hosts` names 1 to {HOSTS_MAX} hosts")));
    }
    let hosts = request.hosts.iter().map(|host| self::host(host)).collect::<Result<_, _>>()?;
    let change = DomainsChange::Add { hosts, by };
    changed(&api, &name, change).await
}

async fn remove(
    State(api): State<Api>,
    Path((name, host)): Path<(String, String)>,
) -> Result<(Extension<Detail>, Json<Domains>), Refusal> {
    changed(&api, &name, DomainsChange::Remove(self::host(&host)?)).await
}

async fn clear(
    State(api): State<Api>,
    Path(name): Path<String>,
) -> Result<(Extension<Detail>, Json<Domains>), Refusal> {
    changed(&api, &name, DomainsChange::Clear).await
}

async fn changed(
    api: &Api,
    name: &str,
    change: DomainsChange,
) -> Result<(Extension<Detail>, Json<Domains>), Refusal> {
    let detail = Detail(change.to_string());
    let domains = ask(api, name, Some(change)).await?;
    Ok((Extension(detail), Json(domains)))
}

async fn ask(api: &Api, name: &str, change: Option<DomainsChange>) -> Result<Domains, Refusal> {
    let app = app_name(name)?;
    let (reply, changed) = oneshot::channel();
    api.controller.send(Command::Domains { app, change, reply }).await?;
    let AppDomains { all, changed } =
        changed.await.map_err(|_| Stopping)?.map_err(|error| refused(&error, api))?;
    let certificates = api.certs.view();
    Ok(Domains {
        domains: all.into_iter().map(|domain| wire(domain, &certificates)).collect(),
        changed: changed.iter().map(ToString::to_string).collect(),
    })
}

fn host(text: &str) -> Result<Host, Refusal> {
    Host::written(text).map_err(|error| Refusal::bad_request(error.to_string()))
}

fn wire(domain: AppDomain, certificates: &[NameView]) -> Domain {
    let AppDomain { host, process, origin } = domain;
    let (from, added) = match origin {
        Origin::App => ("app", None),
        Origin::Manifest => ("manifest", None),
        Origin::Command(domain) => ("command", Some(domain)),
    };
    let text = host.to_string();
    // What was brought serves, whatever else there is for the name.
    let mut views: Vec<_> = certificates.iter().filter(|view| view.hosts.contains(&text)).collect();
    views.sort_by_key(|view| view.signer != Signer::Own);
    let certificate = views.first().map(|view| DomainCertificate {
        state: view.state.as_str().to_owned(),
        signer: match view.signer {
            Signer::Local => "local",
            Signer::Own => "own",
            Signer::Authority(_) => "acme",
        }
        .to_owned(),
        problem: view.problem.as_ref().map(|problem| problem.message.clone()),
    });
    Domain {
        written: host.as_written(),
        host: text,
        process: process.map(|process| process.to_string()),
        from: from.to_owned(),
        by: added.as_ref().map(|domain| domain.by.to_string()),
        at: added.map(|domain| domain.at),
        certificate,
        elsewhere: None,
    }
}

/// Finds out whether clients that ask for the name come here. Of a wildcard that is one name below it.
async fn look(api: &Api, domain: &mut Domain) {
    if !is_public(&domain.host) {
        return;
    }
    let name = domain.host.replacen('*', "minipaas-doctor", 1);
    domain.elsewhere = api.certs.look(&name).await.err().map(|elsewhere| elsewhere.message);
}

fn refused(error: &DomainsError, api: &Api) -> Refusal {
    let (message, hints) = (error.to_string(), error.hints());
    let (status, code) = match error {
        DomainsError::Unknown(app) => return Refusal::no_app(app, &api.controller.view()),
        DomainsError::Everything | DomainsError::OfTheBox(_) | DomainsError::Reserved { .. } => {
            (StatusCode::BAD_REQUEST, "bad-request")
        }
        DomainsError::NotAdded { .. } => (StatusCode::NOT_FOUND, "no-domain"),
        DomainsError::NoWeb(_) | DomainsError::TooMany(_) | DomainsError::Canonical(_) => {
            (StatusCode::CONFLICT, "wrong-kind")
        }
        DomainsError::Conflict(_) => (StatusCode::CONFLICT, "conflict"),
        DomainsError::Store(_) => (StatusCode::INTERNAL_SERVER_ERROR, "internal"),
    };
    let source = std::error::Error::source(error).map(ToString::to_string);
    let failure = hints.into_iter().fold(Failure::new(code, message), Failure::hinted);
    Refusal::new(status, source.into_iter().fold(failure, Failure::caused_by))
}
