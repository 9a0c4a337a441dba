//! `minipaas apps create`: an app that is only a route to upstreams that run somewhere else.
//!
//! Typed again it changes the app: what is not given is as if it had never been. It says how the upstreams are, and does not
//! fail because one is not ready: that may be why it is typed.

use crate::api::{App, UpstreamsRequest};
use crate::cli::args::CreateArgs;
use crate::cli::failure::Failure;
use crate::cli::output::count;
use crate::cli::{Session, daemon, maintenance, project};

pub(crate) async fn run(session: &Session, args: &CreateArgs) -> Result<(), Failure> {
    let app = project::named_app(session, &args.app)
        .ok_or_else(|| Failure::usage("an app needs a name: `minipaas apps create NAME --upstream URL`"))?;
    if args.upstream.is_empty() {
        let message =
            format!("nothing says where `{app}` leads, and an app that is built and run is made by `up`");
        return Err(Failure::usage(message)
            .hint(format!("`minipaas up --app {app}` in its folder builds it and runs it"))
            .hint(format!(
                "`minipaas apps create {app} --upstream http://10.0.0.5:8080` makes an app that is only a route"
            )));
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
