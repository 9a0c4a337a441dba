//! Tokens: one's own, and for whoever is at the box itself everybody's.

use axum::extract::{Path, State};
use axum::http::{Method, StatusCode};
use axum::{Extension, Json};

use super::access::role;
use super::endpoint::{Endpoint, Needs};
use super::failure::Refusal;
use super::people::user_name;
use super::{Api, app_name};
use crate::api::{Failure, Shown, TokenInfo, TokenReply, TokenRequest};
use crate::clock;
use crate::people::{Caller, NewToken, Role, Scope, Secret, SecretId, Token, UserName};

pub(super) fn endpoints() -> Vec<Endpoint> {
    let oneself = Needs::Oneself;
    vec![
        Endpoint::new(Method::GET, "/v1/tokens", oneself, "List one's tokens", list),
        Endpoint::new(Method::POST, "/v1/tokens", oneself, "Make a token", add).telling_secrets(),
        Endpoint::new(
            Method::POST,
            "/v1/tokens/{token}/rotate",
            oneself,
            "Give a token another secret",
            rotate,
        )
        .telling_secrets(),
        Endpoint::new(Method::DELETE, "/v1/tokens/{token}", oneself, "End a token at once", revoke),
    ]
}

async fn list(State(api): State<Api>, Extension(caller): Extension<Caller>) -> Json<Vec<TokenInfo>> {
    let is_theirs = |token: &&Token| caller.user().is_none_or(|user| token.user == *user);
    Json(api.people.read(|state| state.tokens.values().filter(is_theirs).map(info).collect()))
}

async fn add(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    Json(request): Json<TokenRequest>,
) -> Result<Json<TokenReply>, Refusal> {
    let user = whose(&caller, request.user.as_deref())?;
    let scope = match (request.read_only, &request.app) {
        (true, None) => Scope::Read,
        (read_only, Some(app)) => {
            let most = request.role.as_deref().map(role).transpose()?.unwrap_or(Role::Collaborator);
            Scope::App(app_name(app)?, if read_only { Role::Viewer } else { most })
        }
        (false, None) if request.role.is_some() => {
            return Err(Refusal::bad_request("a role is one for an app, and none is named".to_owned()));
        }
        (false, None) => Scope::All,
    };
    if let Scope::App(app, _) = &scope {
        let unlimited = caller.user().is_none();
        let sees = api.people.read(|state| unlimited || state.role(&caller, app).is_some());
        if !sees || !api.controller.view().apps.iter().any(|known| known.name == *app) {
            return Err(Refusal::not_found(&format!("there is no app `{app}`")));
        }
    }
    let expires = request.lasts_ms.map(|lasts| clock::now().saturating_add(lasts));
    let (token, secret) =
        api.people.add_token(&user, NewToken { name: request.name, scope, expires }).await?;
    Ok(Json(reply(&token, &secret)))
}

async fn rotate(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
) -> Result<Json<TokenReply>, Refusal> {
    let (token, secret) = api.people.rotate_token(&token_id(&id)?, caller.user()).await?;
    Ok(Json(reply(&token, &secret)))
}

/// One's own; an administrator's word ends anybody's.
async fn revoke(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
) -> Result<StatusCode, Refusal> {
    let of = caller.user().filter(|_| !api.people.read(|state| state.is_admin(&caller)));
    api.people.revoke_token(&token_id(&id)?, of).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) fn info(token: &Token) -> TokenInfo {
    TokenInfo {
        id: token.id.to_string(),
        user: token.user.to_string(),
        name: token.name.clone(),
        scope: token.scope.to_string(),
        created: token.created,
        expires: token.expires,
        last_used: token.last_used,
        rotated: token.rotated,
    }
}

fn reply(token: &Token, secret: &Secret) -> TokenReply {
    TokenReply { token: info(token), secret: Shown(secret.reveal().to_string()) }
}

/// Whose token is meant: one's own. At the box itself nobody has any, so a user is named.
fn whose(caller: &Caller, named: Option<&str>) -> Result<UserName, Refusal> {
    match (caller.user(), named) {
        (Some(user), None) => Ok(user.clone()),
        (Some(user), Some(named)) if user.as_str() == named => Ok(user.clone()),
        (Some(_), Some(_)) => {
            let failure = Failure::new("forbidden", "tokens of others are made at the box itself");
            let failure = failure.hinted("`minipaas invite NAME` lets somebody make their own");
            Err(Refusal::new(StatusCode::FORBIDDEN, failure))
        }
        (None, Some(named)) => user_name(named),
        (None, None) => {
            let failure = Failure::new("bad-request", "a token is a user's, and none is named");
            Err(Refusal::new(StatusCode::BAD_REQUEST, failure.hinted("`--user NAME` names one")))
        }
    }
}

/// The digits alone, or with what a token begins with.
fn token_id(text: &str) -> Result<SecretId, Refusal> {
    let digits = text.trim_start_matches("mp_");
    digits.parse().map_err(|_| {
        let message = format!("`{text}` is no token's id; it has eight digits, as in `mp_1a2b3c4d`");
        Refusal::bad_request(message)
    })
}
