//! `minipaas access` and `apps transfer`: who may use an app.

use super::args::{AccessAction, AccessArgs, AppArgs, TransferArgs};
use super::failure::Failure;
use super::output::Table;
use super::{Session, project};
use crate::api::{AccessRequest, TransferRequest};

/// What somebody is given when nothing else is said.
pub(super) const ROLE: &str = "collaborator";

pub(crate) async fn run(session: &Session, args: &AccessArgs) -> Result<(), Failure> {
    let app = project::app_of(session, &AppArgs { name: None })?;
    let (client, out) = (session.client(), session.out);
    match &args.action {
        None | Some(AccessAction::List) => {
            let access = client.access(&app).await?;
            if out.is_json() {
                return Ok(out.json(&access)?);
            }
            let mut table = Table::new(["USER", "ROLE"]);
            access.into_iter().for_each(|access| table.row([access.user, access.role]));
            out.table(&table)?;
        }
        Some(AccessAction::Add { user, role }) => {
            let role = role.as_deref().unwrap_or(ROLE).to_owned();
            client.grant(&app, user, &AccessRequest { role: role.clone() }).await?;
            out.notice(format_args!("`{user}` is {role} of `{app}` now"));
        }
        Some(AccessAction::Remove { user }) => {
            client.withdraw_grant(&app, user).await?;
            out.notice(format_args!("`{user}` has no role for `{app}` any more"));
        }
    }
    Ok(())
}

/// `minipaas apps transfer`.
pub(crate) async fn transfer(session: &Session, args: &TransferArgs) -> Result<(), Failure> {
    let app = project::app_of(session, &args.app)?;
    session.client().transfer(&app, &TransferRequest { to: args.user.clone() }).await?;
    session.out.notice(format_args!("`{}` owns `{app}` now; who did is a collaborator", args.user));
    Ok(())
}
