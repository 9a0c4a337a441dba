//! Users, and who one is.

use axum::extract::{Path, State};
use axum::http::Method;
use axum::{Extension, Json};

use super::endpoint::{Endpoint, Needs};
use super::failure::Refusal;
use super::{Api, tokens};
use crate::api::{UserChange, UserInfo, UserRemoved, UserRequest, Whoami};
use crate::people::{Caller, State as PeopleState, User, UserName};

pub(super) fn endpoints() -> Vec<Endpoint> {
    let user = "/v1/users/{user}";
    vec![
        Endpoint::new(Method::GET, "/v1/whoami", Needs::Account, "Say who asks", whoami),
        Endpoint::new(Method::GET, "/v1/users", Needs::Admin, "List the users of the box", list),
        Endpoint::new(Method::POST, "/v1/users", Needs::Admin, "Make a user", add),
        Endpoint::new(
            Method::PATCH,
            user,
            Needs::Admin,
            "Make a user an administrator, or no longer one",
            change,
        ),
        Endpoint::new(Method::DELETE, user, Needs::Admin, "Remove a user and their tokens", remove),
    ]
}

async fn whoami(State(api): State<Api>, Extension(caller): Extension<Caller>) -> Json<Whoami> {
    let view = api.controller.view();
    Json(api.people.read(|state| {
        Whoami {
            user: caller.actor().to_string(),
            is_admin: state.is_admin(&caller),
            token: caller
                .credential()
                .and_then(|credential| state.tokens.get(&credential.token))
                .map(tokens::info),
            apps: view
                .apps
                .iter()
                .filter_map(|app| Some((app.name.to_string(), state.role(&caller, &app.name)?.to_string())))
                .collect(),
            box_id: api.facts.box_id.clone(),
            host: api.facts.url.clone(),
        }
    }))
}

async fn list(State(api): State<Api>) -> Json<Vec<UserInfo>> {
    Json(api.people.read(|state| state.users.values().map(|user| info(state, user)).collect()))
}

async fn add(State(api): State<Api>, Json(request): Json<UserRequest>) -> Result<Json<UserInfo>, Refusal> {
    let user = api.people.add_user(user_name(&request.name)?, request.is_admin).await?;
    Ok(Json(api.people.read(|state| info(state, &user))))
}

async fn change(
    State(api): State<Api>,
    Path(user): Path<String>,
    Json(request): Json<UserChange>,
) -> Result<Json<UserInfo>, Refusal> {
    let user = api.people.set_admin(&user_name(&user)?, request.is_admin).await?;
    Ok(Json(api.people.read(|state| info(state, &user))))
}

async fn remove(State(api): State<Api>, Path(user): Path<String>) -> Result<Json<UserRemoved>, Refusal> {
    let without_owner = api.people.remove_user(&user_name(&user)?).await?;
    Ok(Json(UserRemoved { without_owner: without_owner.iter().map(ToString::to_string).collect() }))
}

pub(super) fn user_name(text: &str) -> Result<UserName, Refusal> {
    text.parse().map_err(|error: crate::people::UserNameError| Refusal::bad_request(error.to_string()))
}

fn info(state: &PeopleState, user: &User) -> UserInfo {
    let tokens: Vec<_> = state.tokens.values().filter(|token| token.user == user.name).collect();
    let roles = state
        .grants
        .iter()
        .filter_map(|(app, grants)| Some((app.to_string(), grants.get(&user.name)?.to_string())));
    UserInfo {
        name: user.name.to_string(),
        is_admin: user.is_admin,
        created: user.created,
        last_used: tokens.iter().filter_map(|token| token.last_used).max(),
        tokens: tokens.len(),
        apps: roles.collect(),
    }
}
