//! Webhooks: of the box, and of one app.

use axum::Json;
use axum::extract::{Extension, Path, State};
use axum::http::{Method, StatusCode};

use super::endpoint::{Endpoint, Needs};
use super::failure::Refusal;
use super::{Api, app_name};
use crate::api::{self, Failure, HookAdded, HookDelivery, HookRequest};
use crate::hooks::{Delivery, DeliveryState, Hook, HookError, Progress, Wanted};
use crate::name::AppName;
use crate::people::{Actor, Role};

/// Those of the box are an administrator's, who may do anything; those of an app are its owner's.
pub(super) fn endpoints() -> Vec<Endpoint> {
    let (get, post, delete) = (Method::GET, Method::POST, Method::DELETE);
    let (admin, owner) = (Needs::Admin, Needs::OfApp(Role::Owner));
    vec![
        Endpoint::new(get.clone(), "/v1/hooks", admin, "List all webhooks", list),
        Endpoint::new(post.clone(), "/v1/hooks", admin, "Add a webhook for all apps and the box", add)
            .action("hook-added")
            .telling_secrets(),
        Endpoint::new(delete.clone(), "/v1/hooks/{id}", admin, "Remove a webhook", remove)
            .action("hook-removed"),
        Endpoint::new(post.clone(), "/v1/hooks/{id}/test", admin, "Send a test to a webhook", test)
            .action("hook-tested"),
        Endpoint::new(
            get.clone(),
            "/v1/hooks/{id}/deliveries",
            admin,
            "List what a webhook was sent lately",
            deliveries,
        ),
        Endpoint::new(get.clone(), "/v1/apps/{app}/hooks", owner, "List an app's webhooks", list_of_app),
        Endpoint::new(post.clone(), "/v1/apps/{app}/hooks", owner, "Add a webhook for an app", add_to_app)
            .action("app-hook-added")
            .telling_secrets(),
        Endpoint::new(delete, "/v1/apps/{app}/hooks/{id}", owner, "Remove an app's webhook", remove_of_app)
            .action("app-hook-removed"),
        Endpoint::new(
            post,
            "/v1/apps/{app}/hooks/{id}/test",
            owner,
            "Send a test to an app's webhook",
            test_of_app,
        )
        .action("app-hook-tested"),
        Endpoint::new(
            get,
            "/v1/apps/{app}/hooks/{id}/deliveries",
            owner,
            "List what an app's webhook was sent lately",
            deliveries_of_app,
        ),
    ]
}

async fn list(State(api): State<Api>) -> Json<Vec<api::Hook>> {
    Json(listed(&api, None).await)
}

async fn list_of_app(
    State(api): State<Api>,
    Path(app): Path<String>,
) -> Result<Json<Vec<api::Hook>>, Refusal> {
    Ok(Json(listed(&api, Some(&app_name(&app)?)).await))
}

async fn add(
    State(api): State<Api>,
    Extension(by): Extension<Actor>,
    Json(request): Json<HookRequest>,
) -> Result<Json<HookAdded>, Refusal> {
    added(&api, None, by, request).await
}

async fn add_to_app(
    State(api): State<Api>,
    Path(app): Path<String>,
    Extension(by): Extension<Actor>,
    Json(request): Json<HookRequest>,
) -> Result<Json<HookAdded>, Refusal> {
    let app = app_name(&app)?;
    let view = api.controller.view();
    if !view.apps.iter().any(|known| known.name == app) {
        return Err(Refusal::no_app(&app, &view));
    }
    added(&api, Some(app), by, request).await
}

async fn remove(State(api): State<Api>, Path(id): Path<String>) -> Result<StatusCode, Refusal> {
    api.hooks.remove(None, &id).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn remove_of_app(
    State(api): State<Api>,
    Path((app, id)): Path<(String, String)>,
) -> Result<StatusCode, Refusal> {
    api.hooks.remove(Some(&app_name(&app)?), &id).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn test(State(api): State<Api>, Path(id): Path<String>) -> Result<Json<HookDelivery>, Refusal> {
    Ok(Json(delivery(api.hooks.test(None, &id).await?)))
}

async fn test_of_app(
    State(api): State<Api>,
    Path((app, id)): Path<(String, String)>,
) -> Result<Json<HookDelivery>, Refusal> {
    Ok(Json(delivery(api.hooks.test(Some(&app_name(&app)?), &id).await?)))
}

async fn deliveries(
    State(api): State<Api>,
    Path(id): Path<String>,
) -> Result<Json<Vec<HookDelivery>>, Refusal> {
    let found = api.hooks.deliveries(None, &id).await?;
    Ok(Json(found.into_iter().map(delivery).collect()))
}

async fn deliveries_of_app(
    State(api): State<Api>,
    Path((app, id)): Path<(String, String)>,
) -> Result<Json<Vec<HookDelivery>>, Refusal> {
    let found = api.hooks.deliveries(Some(&app_name(&app)?), &id).await?;
    Ok(Json(found.into_iter().map(delivery).collect()))
}

async fn listed(api: &Api, app: Option<&AppName>) -> Vec<api::Hook> {
    api.hooks.list(app).await.iter().map(|(hook, progress)| wire(hook, progress)).collect()
}

async fn added(
    api: &Api,
    app: Option<AppName>,
    by: Actor,
    request: HookRequest,
) -> Result<Json<HookAdded>, Refusal> {
    let HookRequest { url, events, secret, format } = request;
    let is_made = secret.is_none();
    let wanted = Wanted {
        may_be_here: app.is_none(),
        app,
        url,
        secret,
        events,
        format: format.map(|format| format.parse()).transpose()?.unwrap_or_default(),
        by,
    };
    let hook = api.hooks.add(wanted).await?;
    let secret = is_made.then(|| hook.secret.clone());
    Ok(Json(HookAdded { hook: wire(&hook, &Progress::default()), secret }))
}

fn wire(hook: &Hook, progress: &Progress) -> api::Hook {
    api::Hook {
        id: hook.id.clone(),
        app: hook.app.as_ref().map(ToString::to_string),
        to: hook.shown(),
        events: hook.events.clone(),
        format: hook.format.as_str().to_owned(),
        by: hook.by.to_string(),
        created_at: hook.created_at,
        disabled: progress.disabled.clone(),
        last: progress.deliveries.front().cloned().map(delivery),
    }
}

fn delivery(delivery: Delivery) -> HookDelivery {
    let (state, next) = match delivery.state {
        DeliveryState::Delivered => ("delivered", None),
        DeliveryState::Waiting(until) => ("waiting", Some(until)),
        DeliveryState::GivenUp => ("given-up", None),
    };
    HookDelivery {
        event: delivery.event,
        action: delivery.action,
        at: delivery.at,
        state: state.to_owned(),
        attempts: delivery.attempts,
        status: delivery.status,
        error: delivery.error,
        next,
    }
}

impl From<HookError> for Refusal {
    fn from(error: HookError) -> Self {
        let message = error.to_string();
        match error {
            HookError::Unknown(_) => Self::new(
                StatusCode::NOT_FOUND,
                Failure::new("no-hook", message).hinted("`minipaas hooks` lists them with their ids"),
            ),
            HookError::Invalid(_) => Self::bad_request(message),
            HookError::TooMany => Self::new(StatusCode::CONFLICT, Failure::new("too-many", message)),
            HookError::Store(_) | HookError::Web(_) => {
                let cause = std::error::Error::source(&error).map(ToString::to_string);
                let failure = Failure::new("internal", message);
                Self::new(
                    StatusCode::INTERNAL_SERVER_ERROR,
                    cause.into_iter().fold(failure, Failure::caused_by),
                )
            }
        }
    }
}
