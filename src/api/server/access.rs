//! Who may use an app.

use axum::extract::{Path, State};
use axum::http::{Method, StatusCode};
use axum::{Extension, Json};

use super::audit::Detail;
use super::endpoint::{Endpoint, Needs};
use super::failure::Refusal;
use super::people::user_name;
use super::{Api, app_name};
use crate::api::{Access, AccessRequest, TransferRequest};
use crate::people::Role;

pub(super) fn endpoints() -> Vec<Endpoint> {
    let (viewer, owner) = (Needs::OfApp(Role::Viewer), Needs::OfApp(Role::Owner));
    let one = "/v1/apps/{app}/access/{user}";
    vec![
        Endpoint::new(Method::GET, "/v1/apps/{app}/access", viewer, "List who may use an app", list),
        Endpoint::new(Method::PUT, one, owner, "Give a user a role for an app", grant),
        Endpoint::new(Method::DELETE, one, owner, "Take a user's role for an app away", withdraw),
        Endpoint::new(
            Method::POST,
            "/v1/apps/{app}/transfer",
            owner,
            "Make a user an app's only owner",
            transfer,
        ),
    ]
}

async fn list(State(api): State<Api>, Path(app): Path<String>) -> Result<Json<Vec<Access>>, Refusal> {
    let app = app_name(&app)?;
    Ok(Json(api.people.read(|state| {
        let grants = state.grants.get(&app).into_iter().flatten();
        let granted = grants.map(|(user, role)| (user, *role));
        let admins = state.users.values().filter(|user| user.is_admin).map(|user| (&user.name, Role::Admin));
        let all = granted.chain(admins);
        all.map(|(user, role)| Access { user: user.to_string(), role: role.to_string() }).collect()
    })))
}

async fn grant(
    State(api): State<Api>,
    Path((app, user)): Path<(String, String)>,
    Json(request): Json<AccessRequest>,
) -> Result<(Extension<Detail>, StatusCode), Refusal> {
    let (user, role) = (user_name(&user)?, role(&request.role)?);
    api.people.grant(&app_name(&app)?, &user, role).await?;
    Ok((Extension(Detail(format!("{user} is {role}"))), StatusCode::NO_CONTENT))
}

async fn withdraw(
    State(api): State<Api>,
    Path((app, user)): Path<(String, String)>,
) -> Result<StatusCode, Refusal> {
    api.people.withdraw_grant(&app_name(&app)?, &user_name(&user)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn transfer(
    State(api): State<Api>,
    Path(app): Path<String>,
    Json(request): Json<TransferRequest>,
) -> Result<(Extension<Detail>, StatusCode), Refusal> {
    let to = user_name(&request.to)?;
    api.people.transfer(&app_name(&app)?, &to).await?;
    Ok((Extension(Detail(format!("to {to}"))), StatusCode::NO_CONTENT))
}

pub(super) fn role(text: &str) -> Result<Role, Refusal> {
    text.parse().map_err(|error: crate::people::NoSuchRole| Refusal::bad_request(error.to_string()))
}
