//! Invites, and following one: the one way in for somebody who has no token.

use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::header::{CACHE_CONTROL, REFERRER_POLICY};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};

use super::access::role;
use super::endpoint::{Endpoint, Needs};
use super::failure::Refusal;
use super::gate::{ClientAddr, Gate};
use super::people::user_name;
use super::{Api, app_name, tokens};
use crate::api::{Grant, InviteInfo, InviteReply, InviteRequest, RedeemReply, RedeemRequest, Shown};
use crate::people::{Actor, Invite, NewInvite, PeopleError, Secret, SecretId};

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::new(
            Method::GET,
            "/v1/invites",
            Needs::Admin,
            "List the invites that nobody has followed",
            list,
        ),
        Endpoint::new(Method::POST, "/v1/invites", Needs::Admin, "Make an invite", add).telling_secrets(),
        Endpoint::new(Method::DELETE, "/v1/invites/{invite}", Needs::Admin, "Take an invite back", withdraw),
        Endpoint::new(Method::POST, "/v1/invites/redeem", Needs::Nothing, "Follow an invite, once", redeem)
            .telling_secrets(),
        Endpoint::new(
            Method::GET,
            "/invite/{code}",
            Needs::Nothing,
            "Say what to do with an invite's link",
            explain,
        ),
    ]
}

async fn list(State(api): State<Api>) -> Json<Vec<InviteInfo>> {
    Json(api.people.read(|state| state.invites.values().map(info).collect()))
}

async fn add(
    State(api): State<Api>,
    Extension(actor): Extension<Actor>,
    Json(request): Json<InviteRequest>,
) -> Result<Json<InviteReply>, Refusal> {
    let mut grants = Vec::new();
    for Grant { app, role: granted } in &request.grants {
        let app = app_name(app)?;
        if !api.controller.view().apps.iter().any(|known| known.name == app) {
            return Err(Refusal::not_found(&format!("there is no app `{app}`")));
        }
        grants.push((app, role(granted)?));
    }
    let wanted = NewInvite {
        user: request.user.as_deref().map(user_name).transpose()?,
        is_admin: request.is_admin,
        grants,
        time: request.lasts_ms.map(Duration::from_millis),
    };
    let (invite, secret) = api.people.invite(wanted, &actor).await?;
    // A browser does not send what follows the hash; `login` pins the box by it.
    let pin = api.facts.ca_pin.as_ref().map(|pin| format!("#ca={pin}")).unwrap_or_default();
    let link = format!("{}/invite/{}{pin}", api.facts.url, *secret.reveal());
    Ok(Json(InviteReply { invite: info(&invite), link: Shown(link) }))
}

async fn withdraw(State(api): State<Api>, Path(id): Path<String>) -> Result<StatusCode, Refusal> {
    let id: SecretId = id.parse().map_err(|_| PeopleError::NoInvite)?;
    api.people.withdraw_invite(&id).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn redeem(
    State(api): State<Api>,
    Extension(gate): Extension<Gate>,
    client: Option<Extension<ClientAddr>>,
    Json(request): Json<RedeemRequest>,
) -> Result<Json<RedeemReply>, Response> {
    let user = request.user.as_deref().map(user_name).transpose().map_err(Refusal::into_response)?;
    let code = request.code.0.parse::<Secret>().map_err(|_| PeopleError::NoInvite);
    let redeemed = match code {
        Ok(code) => api.people.redeem(&code, user, request.token_name).await,
        Err(error) => Err(error),
    };
    let redeemed = redeemed.map_err(|error| {
        let counted = match (&error, &client) {
            (PeopleError::NoInvite, Some(Extension(ClientAddr(client)))) => gate.count_failure(*client),
            _ => Ok(()),
        };
        counted.err().map_or_else(|| Refusal::from(error).into_response(), |refused| *refused)
    })?;
    Ok(Json(RedeemReply {
        user: redeemed.user.name.to_string(),
        is_admin: redeemed.user.is_admin,
        token: tokens::info(&redeemed.token),
        secret: Shown(redeemed.secret.reveal().to_string()),
    }))
}

/// The same for any code: who looks at a link, as chats do for a preview, neither uses it up nor learns whether it is good.
async fn explain(State(api): State<Api>) -> Response {
    let text = format!(
        "This is an invite to the minipaas box {}.\n\nIt is for the command line: minipaas login LINK\n",
        api.facts.url
    );
    ([(CACHE_CONTROL, "no-store"), (REFERRER_POLICY, "no-referrer")], text).into_response()
}

fn info(invite: &Invite) -> InviteInfo {
    let grants = invite.grants.iter();
    InviteInfo {
        id: invite.id.to_string(),
        user: invite.user.as_ref().map(ToString::to_string),
        is_admin: invite.is_admin,
        grants: grants.map(|(app, role)| Grant { app: app.to_string(), role: role.to_string() }).collect(),
        created: invite.created,
        expires: invite.expires,
        by: invite.by.to_string(),
    }
}
