//! `minipaas down`: stops an app. Volumes stay unless they are asked for, and then somebody has to say yes.

use serde::Serialize;

use super::Session;
use super::args::DownArgs;
use super::failure::Failure;
use super::output::{Answer, count};
use super::project;
use crate::api::{self, DownQuery, DownReply};
use crate::name::AppName;

#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct DownResult<'a> {
    app: &'a str,
    instances: usize,
    #[serde(skip_serializing_if = "api::is_zero")]
    upstreams: usize,
    volumes: &'a [String],
}

pub(crate) async fn run(session: &Session, args: &DownArgs) -> Result<(), Failure> {
    let app = project::app_of(session, &args.app)?;
    let client = session.client();
    let out = session.out;
    if args.volumes {
        // Before the question: whether there is such an app at all.
        client.app(&app).await?;
        let question = format!("remove the volumes of `{app}`, with all their data?");
        match tokio::task::spawn_blocking(move || out.ask(&question)).await {
            Ok(Answer::Yes) => {}
            Ok(Answer::No) => return Err(Failure::failed(format!("`{app}` was left as it is"))),
            Ok(Answer::Nobody) | Err(_) => {
                return Err(Failure::usage(format!(
                    "there is nobody to ask whether the volumes of `{app}` may go"
                ))
                .hint("`--yes` says so"));
            }
        }
    }
    let reply = client.down(&app, &DownQuery { volumes: args.volumes }).await?;
    print(session, &app, &reply)
}

/// What went with the app.
pub(crate) fn print(session: &Session, app: &AppName, reply: &DownReply) -> Result<(), Failure> {
    let out = session.out;
    if out.is_json() {
        let DownReply { instances, upstreams, volumes } = reply;
        let (app, instances, upstreams) = (app.as_str(), *instances, *upstreams);
        out.json(&DownResult { app, instances, upstreams, volumes })?;
        return Ok(());
    }
    if reply.upstreams > 0 {
        out.line(format_args!(
            "`{app}` is gone: {} no requests any more",
            if reply.upstreams == 1 { "its upstream gets" } else { "its upstreams get" }
        ))?;
        return Ok(());
    }
    out.line(format_args!("`{app}` is down: {} stopped", count(reply.instances, "instance")))?;
    for volume in &reply.volumes {
        out.line(format_args!("volume `{volume}` is removed"))?;
    }
    Ok(())
}
