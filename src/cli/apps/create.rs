//! `minipaas apps create`: an app that is only a route to upstreams that run somewhere else; without any, one that is empty.
//!
//! Typed again it changes the app: what is not given is as if it had never been. It says how the upstreams are, and does not
//! fail because one is not ready: that may be why it is typed.

use crate::api::{App, UpstreamsRequest};
use crate::cli::args::CreateArgs;
use crate::cli::failure::Failure;
use crate::cli::output::count;
use crate::cli::{Session, daemon, maintenance, project};
use crate::name::AppName;

pub(crate) async fn run(session: &Session, args: &CreateArgs) -> Result<(), Failure> {
    let app = project::named_app(session, &args.app)
        .ok_or_else(|| Failure::usage("an app needs a name: `minipaas apps create NAME --upstream URL`"))?;
    if args.upstream.is_empty() {
        return make_empty(session, args, &app).await;
    }
    let source = args.file.as_deref().map(project::read_routes).transpose()?;
    let request = UpstreamsRequest {
        upstreams: args.upstream.iter().map(ToString::to_string).collect(),
        hosts: args.host.iter().map(ToString::to_string).collect(),
        path: args.path.as_ref().map(|path| path.as_str().to_owned()),
        health: args.health.as_ref().map(ToString::to_string),
        source,
        force: args.force,
    };
    let client = daemon::ensure(session).await?;
    let app = client.put_upstreams(&app, &request).await?;
    print(session, &app)
}

/// An app that `up` will deploy to, so that its config can be set before.
async fn make_empty(session: &Session, args: &CreateArgs, app: &AppName) -> Result<(), Failure> {
    let is_route =
        !args.host.is_empty() || args.path.is_some() || args.health.is_some() || args.file.is_some();
    if is_route {
        let message = format!(
            "nothing says where `{app}` leads, and only an app that is a route has hosts of its own here"
        );
        return Err(Failure::usage(message).hint("add `--upstream http://10.0.0.5:8080`"));
    }
    let client = daemon::ensure(session).await?;
    let made = client.create(app).await?;
    let out = session.out;
    if out.is_json() {
        out.json(&made)?;
        return Ok(());
    }
    out.notice(format_args!("`{app}` is there; `minipaas up --app {app}` in its folder deploys it"));
    out.line(app)?;
    Ok(())
}

fn print(session: &Session, app: &App) -> Result<(), Failure> {
    let out = session.out;
    if out.is_json() {
        out.json(app)?;
        return Ok(());
    }
    let external = app.external.iter();
    for upstream in external.flat_map(|external| &external.upstreams) {
        let addresses: Vec<_> =
            app.instances.iter().filter(|instance| instance.slot == upstream.slot).collect();
        if let Some(problem) = &upstream.problem {
            out.warning(format_args!("`{}`: {problem}", upstream.url));
        }
        for address in addresses.iter().filter(|address| address.state == "unready") {
            let why = address.detail.as_deref().unwrap_or("not ready");
            let at = address.addr.as_deref().unwrap_or(&address.id);
            out.warning(format_args!("`{}` at {at} is not ready: {why}", upstream.url));
        }
    }
    let serving: Vec<_> = app.instances.iter().filter(|one| one.state != "draining").collect();
    let ready = serving.iter().filter(|one| one.state == "ready").count();
    let places = count(serving.len(), "place");
    out.notice(format_args!("`{}` leads to {places}, {ready} of them ready", app.name));
    if let Some(said) = maintenance::sentence(&app.name, &app.traffic) {
        out.notice(said);
    }
    for url in &app.urls {
        out.line(url)?;
    }
    Ok(())
}
