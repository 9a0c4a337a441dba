//! Boxes elsewhere: which one a command goes to, and `minipaas remotes`.
//!
//! `--remote`, or `MINIPAAS_REMOTE`, names a box that somebody has logged in to, and `local` this machine's. Without either
//! it is this machine's box where there is one or `MINIPAAS_HOME` names one, else the default remote or the only one; that is
//! said, as it is easily overlooked.

pub(super) mod file;
pub(super) mod login;

use std::path::Path;

use serde::Serialize;

use self::file::{Remote, Remotes, check_name};
use super::Session;
use super::args::{Globals, RemotesAction, RemotesArgs};
use super::failure::Failure;
use super::output::{Output, Table};
use crate::api::client::Client;
use crate::config::Env;

/// The name of this machine's box.
const LOCAL: &str = "local";

#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct RemoteRow<'a> {
    name: &'a str,
    url: String,
    is_default: bool,
    has_own_ca: bool,
}

/// The box elsewhere that a command is to go to, if it is one.
pub(super) fn choose(
    globals: &Globals,
    env: &Env,
    home: &Path,
    out: Output,
) -> Result<Option<Client>, Failure> {
    let named = globals.remote.as_deref().or_else(|| env.get("MINIPAAS_REMOTE"));
    match named {
        Some(LOCAL) => Ok(None),
        Some(name) => Remotes::read(env)?.find(name)?.client().map(Some),
        None if env.get("MINIPAAS_HOME").is_some() || home.exists() => Ok(None),
        None => {
            let remotes = Remotes::read(env)?;
            let Some(name) = remotes.chosen() else { return Ok(None) };
            let remote = remotes.find(name)?;
            out.notice(format_args!("there is no box on this machine: using `{name}`, {}", remote.url));
            remote.client().map(Some)
        }
    }
}

pub(crate) async fn run(session: &Session, args: &RemotesArgs) -> Result<(), Failure> {
    let mut remotes = Remotes::read(&session.env)?;
    match &args.action {
        None | Some(RemotesAction::List) => list(session, &remotes),
        Some(RemotesAction::Add { remote, login }) => login::log_in(session, login, Some(remote)).await,
        Some(RemotesAction::Remove { name }) => {
            remotes.find(name)?;
            remotes.boxes.remove(name);
            remotes.default = remotes.default.take().filter(|default| default != name);
            remotes.write()?;
            session.out.notice(format_args!(
                "`{name}` is forgotten here; `minipaas tokens revoke` ends its token there"
            ));
            Ok(())
        }
        Some(RemotesAction::Default { name }) => {
            remotes.find(name)?;
            remotes.default = Some(name.clone());
            remotes.write()?;
            session.out.notice(format_args!("`{name}` is used where this machine has no box"));
            Ok(())
        }
        Some(RemotesAction::Rename { name, to }) => {
            check_name(to)?;
            let remote = remotes.find(name)?.clone();
            if remotes.boxes.contains_key(to) {
                return Err(Failure::usage(format!("another remote is called `{to}`")));
            }
            remotes.boxes.remove(name);
            remotes.boxes.insert(to.clone(), remote);
            if remotes.default.as_ref() == Some(name) {
                remotes.default = Some(to.clone());
            }
            remotes.write()?;
            session.out.notice(format_args!("`{name}` is called `{to}` now"));
            Ok(())
        }
    }
}

fn list(session: &Session, remotes: &Remotes) -> Result<(), Failure> {
    let chosen = remotes.chosen();
    let row = |(name, remote): (&'_ String, &Remote)| -> (String, String, bool, bool) {
        (name.clone(), remote.url.to_string(), chosen == Some(name), remote.ca.is_some())
    };
    let rows: Vec<_> = remotes.boxes.iter().map(row).collect();
    if session.out.is_json() {
        let json = rows.iter().map(|(name, url, is_default, has_own_ca)| RemoteRow {
            name,
            url: url.clone(),
            is_default: *is_default,
            has_own_ca: *has_own_ca,
        });
        return Ok(session.out.json(&json.collect::<Vec<_>>())?);
    }
    let mut table = Table::new(["REMOTE", "URL", "DEFAULT", "CA"]);
    for (name, url, is_default, has_own_ca) in rows {
        let (default, ca) =
            (if is_default { "yes" } else { "" }, if has_own_ca { "its own" } else { "public" });
        table.row([name, url, default.to_owned(), ca.to_owned()]);
    }
    Ok(session.out.table(&table)?)
}
