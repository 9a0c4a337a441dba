//! A release's image to a registry, straight from the engine.
//!
//! The registry's credentials come with the request, are given to the engine, and are gone with it: they are not stored, not logged, and
//! not in the audit log. A client that goes away ends the push.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{Method, StatusCode};
use axum::response::Response;

use super::audit::Detail;
use super::endpoint::{Endpoint, Needs};
use super::failure::Refusal;
use super::releases::{ledger, release_id};
use super::stream::{self, Lines};
use super::{Api, app_name};
use crate::api::{Failure, Progress, PushRequest, RegistryCredentials, Shown};
use crate::builder::image::ImageError;
use crate::environment::Value;
use crate::people::Role;
use crate::registry::{Credentials, Registry, RegistryError};

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::new(
            Method::POST,
            "/v1/apps/{app}/releases/{release}/push",
            Needs::OfApp(Role::Collaborator),
            "Push a release's image to a registry",
            push,
        )
        .action("image-pushed")
        .streaming::<Progress>(),
    ]
}

async fn push(
    State(api): State<Api>,
    Path((name, release)): Path<(String, String)>,
    Json(request): Json<PushRequest>,
) -> Result<Response, Refusal> {
    let app = app_name(&name)?;
    let id = release_id(&release)?;
    let registry: Registry =
        request.registry.parse().map_err(|error: RegistryError| Refusal::bad_request(error.to_string()))?;
    let ledger = ledger(&api, &name).await?;
    let found = ledger.releases.iter().find(|release| release.id == id);
    let found = found.ok_or_else(|| Refusal::not_found(&format!("app `{app}` has no release {id}")))?;
    let build = found.build.clone();
    // Looked at before the answer begins, so that it can be a refusal.
    match api.images.by_id(&build.image, &build.reference, build.content.as_deref()).await {
        Ok(_) => {}
        Err(ImageError::Missing(_)) => {
            let message = format!("the image of release {id} of `{app}` is not on the engine any more");
            let failure = Failure::new("image-missing", message).hinted("`minipaas up` builds it anew");
            return Err(Refusal::new(StatusCode::CONFLICT, failure));
        }
        Err(error) => return Err(error.into()),
    }
    let credentials = request.credentials.map(credentials);
    let reference = registry.image(&app, id);
    let detail = Detail(format!("Push release {id}'s image as {reference}"));
    let mut answer = stream::of_work(move |lines: Lines| async move {
        lines.send(&Progress::Step { step: "push".to_owned(), detail: reference.clone() });
        let log = |line: String| lines.send(&Progress::Log { line });
        match api.engine.push(&build.image, &reference, credentials.as_ref(), &log).await {
            Ok(digest) => lines.send(&Progress::Pushed { repository: registry.repository(&app), digest }),
            Err(error) => lines.send(&Progress::Failed { failure: error.into() }),
        }
    });
    answer.extensions_mut().insert(detail);
    Ok(answer)
}

fn credentials(sent: RegistryCredentials) -> Credentials {
    match sent {
        RegistryCredentials::Password { user, password: Shown(password) } => {
            Credentials::Password { user, password: Value::new(password) }
        }
        RegistryCredentials::IdentityToken { token: Shown(token) } => {
            Credentials::IdentityToken(Value::new(token))
        }
    }
}
