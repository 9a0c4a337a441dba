//! `minipaas canary`: the new release that gets a share of the requests, and what is to become of it.

use serde::Serialize;

use super::Session;
use super::args::{AppArgs, CanaryAction, CanaryArgs};
use super::failure::Failure;
use super::output::age;
use super::project;
use crate::api::{Canary, CanaryReply, CanaryRequest};
use crate::clock;

/// The result with `--json`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct CanaryResult<'a> {
    app: &'a str,
    serving: Option<&'a str>,
    canary: Option<&'a Canary>,
}

pub(crate) async fn run(session: &Session, args: &CanaryArgs) -> Result<(), Failure> {
    let app = project::app_of(session, &AppArgs { name: None })?;
    let (client, out) = (session.client(), session.out);
    let (serving, canary, said) = match (&args.action, args.percent) {
        (None, None) => {
            let found = client.app(&app).await?;
            let said = match &found.canary {
                Some(canary) => sentence(app.as_str(), canary, found.release.as_deref()),
                None => format!("`{app}` has no canary"),
            };
            (found.release, found.canary, said)
        }
        (None, Some(percent)) => {
            let CanaryReply { release, serving, canary } =
                client.share_canary(&app, &CanaryRequest { percent }).await?;
            let said = format!("{release} of `{app}` gets {percent} % of clients now");
            (serving, canary, said)
        }
        (Some(CanaryAction::Promote), _) => {
            let CanaryReply { release, serving, canary } = client.promote_canary(&app).await?;
            (serving, canary, format!("{release} of `{app}` serves"))
        }
        (Some(CanaryAction::Abort), _) => {
            let CanaryReply { release, serving, canary } = client.abort_canary(&app).await?;
            let back = serving.as_deref().map_or_else(String::new, |old| format!("; {old} serves everybody"));
            (serving, canary, format!("{release} of `{app}` is no canary any more{back}"))
        }
    };
    if out.is_json() {
        let (serving, canary) = (serving.as_deref(), canary.as_ref());
        out.json(&CanaryResult { app: app.as_str(), serving, canary })?;
        return Ok(());
    }
    out.line(said)?;
    if canary.is_some() {
        out.notice(next());
    }
    Ok(())
}

/// Which requests the canary gets, and who has the others.
pub(crate) fn sentence(app: &str, canary: &Canary, serving: Option<&str>) -> String {
    let mut shares = Vec::new();
    if canary.percent > 0 || (canary.cookie.is_none() && canary.header.is_none()) {
        shares.push(format!("{} % of clients", canary.percent));
    }
    shares.extend(
        canary.cookie.iter().map(|name| format!("those with the cookie `{name}` (not `0` or `never`)")),
    );
    shares.extend(canary.header.iter().map(|name| match &canary.header_value {
        Some(value) => format!("those with the header `{name}: {value}`"),
        None => format!("those with the header `{name}`"),
    }));
    let others = serving.map_or_else(String::new, |serving| format!("; {serving} has the others"));
    let end = canary.until.map_or_else(String::new, |until| {
        let left = age(clock::now(), until);
        format!("; in {left} it takes over, unless it fails clearly more often")
    });
    format!("{} of `{app}` gets {}{others}{end}", canary.release, shares.join(", "))
}

/// What to type.
pub(crate) fn next() -> &'static str {
    "`minipaas canary promote` lets it take over, `minipaas canary abort` takes it away"
}
