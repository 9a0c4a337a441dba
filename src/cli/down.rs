//! `minipaas down`: stops an app. Volumes stay unless they are asked for, and then somebody has to say yes.

use serde::Serialize;

use super::Session;
use super::args::DownArgs;
use super::failure::Failure;
use super::output::{Answer, count};
use super::project;
use crate::api::DownQuery;

#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct DownResult<'a> {
    app: &'a str,
    instances: usize,
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
    if out.is_json() {
        let (instances, volumes) = (reply.instances, &reply.volumes[..]);
        out.json(&DownResult { app: app.as_str(), instances, volumes })?;
        return Ok(());
    }
    out.line(format_args!("`{app}` is down: {} stopped", count(reply.instances, "instance")))?;
    for volume in &reply.volumes {
        out.line(format_args!("volume `{volume}` is removed"))?;
    }
    Ok(())
}
