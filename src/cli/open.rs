//! `minipaas open`: the app's address in a browser, or on standard output where there is none.

use std::process::Stdio;

use serde::Serialize;
use tokio::process::Command;

use super::Session;
use super::args::AppArgs;
use super::failure::Failure;
use super::project;
use crate::config::Env;

#[derive(Debug, Serialize)]
struct OpenResult<'a> {
    url: &'a str,
}

pub(crate) async fn run(session: &Session, args: &AppArgs) -> Result<(), Failure> {
    let name = project::app_of(session, args)?;
    let app = session.client().app(&name).await?;
    let Some(url) = app.urls.first() else {
        return Err(Failure::failed(format!("`{name}` has no address"))
            .hint("only an app with a `web` process or a `[[route]]` has one"));
    };
    if session.out.is_json() {
        session.out.json(&OpenResult { url })?;
    } else if !open(&session.env, url).await {
        session.out.line(url)?;
    }
    Ok(())
}

/// Says whether a browser took it.
async fn open(env: &Env, url: &str) -> bool {
    let opener = if cfg!(target_os = "macos") {
        "open"
    } else if env.get("DISPLAY").or_else(|| env.get("WAYLAND_DISPLAY")).is_some() {
        "xdg-open"
    } else {
        // Over ssh, say: `xdg-open` would start a browser of the terminal.
        return false;
    };
    let mut command = Command::new(opener);
    command.arg(url).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().await.is_ok_and(|status| status.success())
}
