//! `minipaas tokens`. A token is the whole of what is printed when it is made, and is in no JSON.

use std::time::Duration;

use super::Session;
use super::args::{TokensAction, TokensArgs};
use super::failure::Failure;
use super::output::{Table, age};
use crate::api::{TokenInfo, TokenReply, TokenRequest};
use crate::clock;

pub(crate) async fn run(session: &Session, args: &TokensArgs) -> Result<(), Failure> {
    match &args.action {
        None | Some(TokensAction::List) => list(session, session.client().tokens().await?),
        Some(TokensAction::Create { name, read_only, role, expires, user }) => {
            refuse_json(session, "a token")?;
            let request = TokenRequest {
                name: name.clone(),
                user: user.clone(),
                read_only: *read_only,
                app: session.globals.app.as_ref().map(ToString::to_string),
                role: role.clone(),
                lasts_ms: expires.map(lasts_ms),
            };
            show(session, &session.client().add_token(&request).await?)
        }
        Some(TokensAction::Rotate { id }) => {
            refuse_json(session, "a token")?;
            show(session, &session.client().rotate_token(id).await?)
        }
        Some(TokensAction::Revoke { id }) => {
            session.client().revoke_token(id).await?;
            session.out.notice(format_args!("the token `{id}` is good for nothing now"));
            Ok(())
        }
    }
}

/// Refuses to print a secret as JSON, which ends up in logs.
pub(super) fn refuse_json(session: &Session, what: &str) -> Result<(), Failure> {
    if session.out.is_json() {
        return Err(Failure::usage(format!("{what} is shown once, and never as JSON"))
            .hint("leave `--json` out: standard output is then the secret alone"));
    }
    Ok(())
}

pub(super) fn lasts_ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn show(session: &Session, reply: &TokenReply) -> Result<(), Failure> {
    session.out.line(&reply.secret.0)?;
    let TokenInfo { user, name, scope, .. } = &reply.token;
    session
        .out
        .notice(format_args!("the token `{name}` of `{user}`, good for {scope}; it is shown this once"));
    Ok(())
}

fn list(session: &Session, tokens: Vec<TokenInfo>) -> Result<(), Failure> {
    if session.out.is_json() {
        return Ok(session.out.json(&tokens)?);
    }
    let now = clock::now();
    let mut table = Table::new(["TOKEN", "USER", "NAME", "SCOPE", "AGE", "USED", "ENDS IN"]);
    for token in tokens {
        let ends = match token.expires {
            None => "-".to_owned(),
            Some(expires) if expires <= now => "expired".to_owned(),
            Some(expires) => age(now, expires),
        };
        let used = age(token.last_used.unwrap_or(0), now);
        let id = format!("mp_{}", token.id);
        table.row([id, token.user, token.name, token.scope, age(token.created, now), used, ends]);
    }
    Ok(session.out.table(&table)?)
}
