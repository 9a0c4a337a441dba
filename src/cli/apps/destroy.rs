//! `minipaas apps destroy`: `down`, for people who know it by this name; it wants to be sure.

use crate::api::DownQuery;
use crate::cli::args::DestroyArgs;
use crate::cli::failure::Failure;
use crate::cli::output::Answer;
use crate::cli::{Session, down, project};
use crate::name::AppName;

pub(crate) async fn run(session: &Session, args: &DestroyArgs) -> Result<(), Failure> {
    let DestroyArgs { down: args, confirm } = args;
    let app = project::app_of(session, &args.app)?;
    if let Some(other) = confirm.as_ref().filter(|confirmed| **confirmed != app) {
        return Err(Failure::usage(format!("`--confirm {other}` is about another app than `{app}`"))
            .hint(format!("`minipaas apps destroy {app} --confirm {app}` says that you mean it")));
    }
    let client = session.client();
    // Before the question: whether there is such an app at all.
    client.app(&app).await?;
    if confirm.is_none() {
        ask(session, &app, args.volumes).await?;
    }
    let reply = client.down(&app, &DownQuery { volumes: args.volumes }).await?;
    down::print(session, &app, &reply)
}

async fn ask(session: &Session, app: &AppName, volumes: bool) -> Result<(), Failure> {
    let out = session.out;
    let with = if volumes { " and its volumes, with all their data" } else { "" };
    let question = format!("`{app}`{with} will be gone; type its name to have it so:");
    let name = app.to_string();
    match tokio::task::spawn_blocking(move || out.ask_for(&question, &name)).await {
        Ok(Answer::Yes) => Ok(()),
        Ok(Answer::No) => Err(Failure::failed(format!("`{app}` was left as it is"))),
        Ok(Answer::Nobody) | Err(_) => {
            Err(Failure::usage(format!("there is nobody to ask whether `{app}` may go"))
                .hint(format!("`--confirm {app}` or `--yes` says so")))
        }
    }
}
