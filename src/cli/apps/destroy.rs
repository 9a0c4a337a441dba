//! `minipaas apps destroy`: `down`, for people who know it by this name; it wants to be sure.

use crate::api::DownQuery;
use crate::cli::args::DownArgs;
use crate::cli::failure::Failure;
use crate::cli::output::Answer;
use crate::cli::{Session, down, project};

pub(crate) async fn run(session: &Session, args: &DownArgs) -> Result<(), Failure> {
    let app = project::app_of(session, &args.app)?;
    let client = session.client();
    let out = session.out;
    // Before the question: whether there is such an app at all.
    client.app(&app).await?;
    let with = if args.volumes { " and its volumes, with all their data" } else { "" };
    let question = format!("`{app}`{with} will be gone; type its name to have it so:");
    let name = app.to_string();
    match tokio::task::spawn_blocking(move || out.ask_for(&question, &name)).await {
        Ok(Answer::Yes) => {}
        Ok(Answer::No) => return Err(Failure::failed(format!("`{app}` was left as it is"))),
        Ok(Answer::Nobody) | Err(_) => {
            return Err(Failure::usage(format!("there is nobody to ask whether `{app}` may go"))
                .hint("`--yes` says so"));
        }
    }
    let reply = client.down(&app, &DownQuery { volumes: args.volumes }).await?;
    down::print(session, &app, &reply)
}
