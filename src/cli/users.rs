//! `minipaas users`, `invite` and `invites`: who may use the box.

use super::Session;
use super::access::ROLE;
use super::args::{InviteArgs, InvitesAction, InvitesArgs, UsersAction, UsersArgs};
use super::failure::Failure;
use super::output::{Table, age};
use super::tokens::{lasts_ms, refuse_json};
use crate::api::{Grant, InviteRequest, UserChange, UserInfo, UserRequest};
use crate::clock;

pub(crate) async fn run(session: &Session, args: &UsersArgs) -> Result<(), Failure> {
    let (client, out) = (session.client(), session.out);
    let changed = match &args.action {
        None | Some(UsersAction::List) => return list(session, client.users().await?),
        Some(UsersAction::Add { user, admin }) => {
            let added = client.add_user(&UserRequest { name: user.clone(), is_admin: *admin }).await?;
            out.notice(format_args!(
                "`{user}` is a user now; `minipaas invite {user}` prints a link that lets them in"
            ));
            added
        }
        Some(UsersAction::Promote { user }) => {
            let changed = client.change_user(user, UserChange { is_admin: true }).await?;
            out.notice(format_args!("`{user}` is an administrator now"));
            changed
        }
        Some(UsersAction::Demote { user }) => {
            let changed = client.change_user(user, UserChange { is_admin: false }).await?;
            out.notice(format_args!("`{user}` is an administrator no longer"));
            changed
        }
        Some(UsersAction::Remove { user }) => {
            let removed = client.remove_user(user).await?;
            out.notice(format_args!("`{user}` is gone, with their tokens and roles"));
            for app in &removed.without_owner {
                out.warning(format_args!("nobody owns `{app}` now: `minipaas apps transfer USER {app}`"));
            }
            return if out.is_json() { Ok(out.json(&removed)?) } else { Ok(()) };
        }
    };
    if out.is_json() { Ok(out.json(&changed)?) } else { Ok(()) }
}

fn list(session: &Session, users: Vec<UserInfo>) -> Result<(), Failure> {
    if session.out.is_json() {
        return Ok(session.out.json(&users)?);
    }
    let now = clock::now();
    let mut table = Table::new(["USER", "ROLE", "APPS", "TOKENS", "USED"]);
    for user in users {
        let apps: Vec<_> = user.apps.iter().map(|(app, role)| format!("{app}:{role}")).collect();
        table.row([
            user.name,
            if user.is_admin { "admin" } else { "member" }.to_owned(),
            if apps.is_empty() { "-".to_owned() } else { apps.join(", ") },
            user.tokens.to_string(),
            age(user.last_used.unwrap_or(0), now),
        ]);
    }
    Ok(session.out.table(&table)?)
}

/// `minipaas invite`: prints the link alone.
pub(crate) async fn invite(session: &Session, args: &InviteArgs) -> Result<(), Failure> {
    refuse_json(session, "a link")?;
    let app = session.globals.app.as_ref();
    if app.is_none() && args.role.is_some() {
        return Err(Failure::usage("a role is one for an app, and `--app` names none"));
    }
    let role = args.role.as_deref().unwrap_or(ROLE);
    let grant = app.map(|app| Grant { app: app.to_string(), role: role.to_owned() });
    let request = InviteRequest {
        user: args.user.clone(),
        is_admin: args.admin,
        grants: grant.into_iter().collect(),
        lasts_ms: args.expires.map(lasts_ms),
    };
    let reply = session.client().invite(&request).await?;
    session.out.line(&reply.link.0)?;
    let whom = reply.invite.user.as_deref().map_or_else(String::new, |user| format!(" as `{user}`"));
    let hours = reply.invite.expires.saturating_sub(clock::now()).div_ceil(3_600_000);
    session
        .out
        .notice(format_args!("within {hours}h, and once, `minipaas login LINK` logs in with it{whom}"));
    Ok(())
}

/// `minipaas invites`.
pub(crate) async fn invites(session: &Session, args: &InvitesArgs) -> Result<(), Failure> {
    let (client, out) = (session.client(), session.out);
    if let Some(InvitesAction::Remove { id }) = &args.action {
        client.withdraw_invite(id).await?;
        out.notice(format_args!("the link of `{id}` leads nowhere now"));
        return Ok(());
    }
    let invites = client.invites().await?;
    if out.is_json() {
        return Ok(out.json(&invites)?);
    }
    let now = clock::now();
    let mut table = Table::new(["INVITE", "USER", "ROLE", "APPS", "BY", "ENDS IN"]);
    for invite in invites {
        let apps: Vec<_> =
            invite.grants.iter().map(|grant| format!("{}:{}", grant.app, grant.role)).collect();
        table.row([
            invite.id,
            invite.user.unwrap_or_else(|| "-".to_owned()),
            if invite.is_admin { "admin" } else { "member" }.to_owned(),
            if apps.is_empty() { "-".to_owned() } else { apps.join(", ") },
            invite.by,
            age(now, invite.expires),
        ]);
    }
    Ok(out.table(&table)?)
}
