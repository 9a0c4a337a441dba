//! Where apps' streams are handed on to.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{Method, StatusCode};

use super::endpoint::{Endpoint, Needs};
use super::failure::{Refusal, internal};
use super::{Api, app_name};
use crate::api::{Drain, DrainRequest, Failure};
use crate::logs::{DrainError, DrainUrl, DrainView};
use crate::name::AppName;
use crate::people::Role;

pub(super) fn endpoints() -> Vec<Endpoint> {
    // Who may add one can have the box connect to wherever it can reach.
    let collaborator = Needs::OfApp(Role::Collaborator);
    vec![
        Endpoint::new(Method::GET, "/v1/apps/{app}/drains", collaborator, "List an app's drains", list),
        Endpoint::new(
            Method::POST,
            "/v1/apps/{app}/drains",
            collaborator,
            "Hand an app's stream on to a log server",
            add,
        ),
        Endpoint::new(
            Method::DELETE,
            "/v1/apps/{app}/drains/{drain}",
            collaborator,
            "Hand an app's stream on no more",
            remove,
        ),
    ]
}

async fn list(State(api): State<Api>, Path(name): Path<String>) -> Result<Json<Vec<Drain>>, Refusal> {
    let app = known(&api, &name)?;
    Ok(Json(api.drains.of(&app).into_iter().map(wire).collect()))
}

async fn add(
    State(api): State<Api>,
    Path(name): Path<String>,
    Json(request): Json<DrainRequest>,
) -> Result<Json<Drain>, Refusal> {
    let app = known(&api, &name)?;
    let url: DrainUrl = request.url.parse().map_err(|error| Refusal::bad_request(format!("{error}")))?;
    Ok(Json(wire(api.drains.add(&app, url).await?)))
}

async fn remove(
    State(api): State<Api>,
    Path((name, drain)): Path<(String, String)>,
) -> Result<StatusCode, Refusal> {
    let app = known(&api, &name)?;
    api.drains.remove(&app, &drain).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn known(api: &Api, name: &str) -> Result<AppName, Refusal> {
    let app = app_name(name)?;
    let view = api.controller.view();
    match view.apps.iter().any(|known| known.name == app) {
        true => Ok(app),
        false => Err(Refusal::no_app(&app, &view)),
    }
}

fn wire(drain: DrainView) -> Drain {
    let DrainView { id, url, created_at, status } = drain;
    Drain {
        id,
        url,
        created_at,
        sent: status.sent,
        dropped: status.dropped,
        error: status.error,
        failing_since: status.failing_since,
    }
}

impl From<DrainError> for Refusal {
    fn from(error: DrainError) -> Self {
        let message = error.to_string();
        match error {
            DrainError::Unknown { app, .. } => {
                let failure = Failure::new("not-found", message);
                Self::new(
                    StatusCode::NOT_FOUND,
                    failure.hinted(format!("`minipaas drains {app}` lists them")),
                )
            }
            DrainError::Twice { .. } | DrainError::Many(_) => {
                Self::new(StatusCode::CONFLICT, Failure::new("drain", message))
            }
            DrainError::Store(_) | DrainError::Web(_) => internal(&message, &error),
        }
    }
}
