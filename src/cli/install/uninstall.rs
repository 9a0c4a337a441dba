//! `minipaas uninstall`: takes away what [`super::run`] has put there.
//!
//! Apps, their containers and the state stay, so that installing again goes on where this ended. With `--data` they go as well:
//! the daemon removes each app, as it alone knows which containers, images and volumes are the box's; then the home is
//! removed. Docker itself stays.

use std::io;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde::Serialize;

use super::carry_out::{blocking, systemctl};
use super::facts;
use super::layout::{BINARY, HOME, Layout, SERVICE, UNITS};
use super::plan::Service;
use crate::api::DownQuery;
use crate::api::client::{Client, ClientError};
use crate::cli::args::UninstallArgs;
use crate::cli::failure::{Failure, Kind};
use crate::cli::output::Answer;
use crate::cli::{Session, server};
use crate::config;
use crate::name::AppName;

/// The result with `--json`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct UninstallResult {
    /// What was done, or would be.
    steps: Vec<String>,
    dry_run: bool,
}

/// What was found.
#[derive(Debug)]
struct Found {
    /// Whether systemd is to be told.
    has_systemd: bool,
    /// The daemon's process, and whether systemd started it.
    daemon: Option<(u32, Service)>,
    /// The apps, if they go.
    apps: Vec<AppName>,
    /// The files of the installation that are there, as the installed machine sees them.
    files: Vec<PathBuf>,
    /// The home, if it goes.
    home: bool,
}

/// One thing to do.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    /// Stops an app, and removes all that was its own.
    App(AppName),
    /// Runs `systemctl` with these arguments.
    Systemctl(Vec<&'static str>),
    /// Ends a daemon that was started by hand.
    EndByHand(u32),
    /// Removes a file.
    File(PathBuf),
    /// Removes the home with everything in it.
    Home,
}

pub(crate) async fn run(session: &Session, args: &UninstallArgs) -> Result<(), Failure> {
    let out = session.out;
    let layout = Layout::new(args.root.as_deref());
    if !session.env.is_root && !layout.is_image() && !args.dry_run {
        return Err(Failure::usage("only root may uninstall minipaas").hint("`sudo minipaas uninstall`"));
    }
    let client = Client::unix(config::socket_path(&layout.home()));
    let found = look(args, &layout, &client).await?;
    let steps = plan(&found);
    if args.data && found.home && !args.dry_run {
        ask(session, &found).await?;
    }
    if !args.dry_run {
        for step in &steps {
            out.notice(format_args!("=> {step}"));
            let done = carry_out(session, &layout, step, &client).await;
            done.map_err(|failure| failure.hint("`minipaas uninstall`, typed again, goes on from here"))?;
        }
    }
    if out.is_json() {
        let steps = steps.iter().map(ToString::to_string).collect();
        out.json(&UninstallResult { steps, dry_run: args.dry_run })?;
        return Ok(());
    }
    if args.dry_run {
        steps.iter().try_for_each(|step| out.line(step))?;
    }
    match (steps.is_empty(), args.dry_run) {
        (true, _) => out.line("minipaas is not installed here")?,
        (false, true) => {}
        (false, false) => out.line("minipaas is uninstalled")?,
    }
    if !args.data && !steps.is_empty() && layout.home().exists() {
        out.notice(format_args!(
            "apps go on running in Docker, and `{HOME}` has their state: `minipaas install` takes them up again; `--data` removes them"
        ));
    }
    Ok(())
}

async fn look(args: &UninstallArgs, layout: &Layout, client: &Client) -> Result<Found, Failure> {
    let service = facts::service(layout);
    let has_home = layout.home().exists();
    let status = if layout.is_image() { None } else { Some(client.status().await) };
    let mut apps = Vec::new();
    if args.data
        && has_home
        && let Some(status) = &status
    {
        if let Err(ClientError::Unreachable { .. }) = status {
            return Err(Failure::unreachable(
                "the daemon does not run, and it alone knows what in Docker is the box's",
            )
            .hint("`systemctl start minipaas`, and type this again; without `--data` it is not needed"));
        }
        let all = client.apps().await?;
        apps = all.iter().filter_map(|app| app.name.parse().ok()).collect();
    }
    let links = UNITS.iter().map(super::layout::Unit::link);
    let files = links.chain(UNITS.iter().map(super::layout::Unit::path)).chain([BINARY.into()]);
    Ok(Found {
        has_systemd: service != Service::NoSystemd,
        daemon: status.and_then(Result::ok).map(|status| (status.pid, service)),
        apps,
        files: files.filter(|file| layout.at(file).symlink_metadata().is_ok()).collect(),
        home: args.data && has_home,
    })
}

fn plan(found: &Found) -> Vec<Step> {
    let mut steps: Vec<Step> = found.apps.iter().cloned().map(Step::App).collect();
    let units = Path::new("/etc/systemd/system");
    let has_units = found.files.iter().any(|file| file.starts_with(units));
    if found.has_systemd && has_units {
        // The service first: with its sockets open, a request would start it again.
        steps.push(Step::Systemctl(vec!["stop", SERVICE, "minipaas-http.socket", "minipaas-https.socket"]));
    }
    if let Some((pid, service)) = found.daemon
        && service != Service::Runs
    {
        steps.push(Step::EndByHand(pid));
    }
    steps.extend(found.files.iter().cloned().map(Step::File));
    if found.has_systemd && has_units {
        steps.push(Step::Systemctl(vec!["daemon-reload"]));
    }
    if found.home {
        steps.push(Step::Home);
    }
    steps
}

/// Asks for a word that nobody types by chance.
async fn ask(session: &Session, found: &Found) -> Result<(), Failure> {
    let out = session.out;
    let word = hostname();
    let apps = match found.apps.as_slice() {
        [] => "no apps".to_owned(),
        apps => apps.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
    };
    let question = format!("this removes `{HOME}`, and with all their data: {apps}. Type `{word}` to go on:");
    match tokio::task::spawn_blocking(move || out.ask_for(&question, &word)).await {
        Ok(Answer::Yes) => Ok(()),
        Ok(Answer::No) => Err(Failure::failed("nothing was removed")),
        Ok(Answer::Nobody) | Err(_) => {
            Err(Failure::usage("there is nobody to ask whether all data may go").hint("`--yes` says so"))
        }
    }
}

/// The machine's name, which is what the question is about.
fn hostname() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    if name.trim().is_empty() { "minipaas".to_owned() } else { name.trim().to_owned() }
}

async fn carry_out(session: &Session, layout: &Layout, step: &Step, client: &Client) -> Result<(), Failure> {
    match step {
        Step::App(app) => {
            client.down(app, &DownQuery { volumes: true }).await.map(drop).map_err(Failure::from)
        }
        Step::EndByHand(_) => server::end(session.out, client).await,
        Step::Systemctl(args) => {
            let args = args.clone();
            blocking(move || systemctl(&args)).await
        }
        Step::File(file) => remove(std::fs::remove_file(layout.at(file)), file),
        Step::Home => remove(std::fs::remove_dir_all(layout.home()), Path::new(HOME)),
    }
}

fn remove(done: io::Result<()>, path: &Path) -> Result<(), Failure> {
    match done {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error)
            .with_context(|| format!("cannot remove `{}`", path.display()))
            .map_err(|error| Failure::new(Kind::Failed, error)),
        _ => Ok(()),
    }
}

impl std::fmt::Display for Step {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::App(app) => write!(f, "remove   app `{app}`, with its volumes and images"),
            Self::Systemctl(args) => write!(f, "run      systemctl {}", args.join(" ")),
            Self::EndByHand(pid) => write!(f, "end      the daemon that was started by hand, pid {pid}"),
            Self::File(file) => write!(f, "remove   {}", file.display()),
            Self::Home => write!(f, "remove   {HOME}, with everything in it"),
        }
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    fn text(found: &Found) -> String {
        plan(found).iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn data_goes_first_and_last() {
        let found = Found {
            has_systemd: true,
            daemon: Some((7, Service::Runs)),
            apps: vec!["shop".parse().expect("a name")],
            files: vec![UNITS[2].link(), UNITS[2].path(), BINARY.into()],
            home: true,
        };
        expect![[r#"
            remove   app `shop`, with its volumes and images
            run      systemctl stop minipaas.service minipaas-http.socket minipaas-https.socket
            remove   /etc/systemd/system/multi-user.target.wants/minipaas.service
            remove   /etc/systemd/system/minipaas.service
            remove   /usr/local/bin/minipaas
            run      systemctl daemon-reload
            remove   /var/lib/minipaas, with everything in it"#]]
        .assert_eq(&text(&found));
    }

    #[test]
    fn nothing_is_removed_where_nothing_is() {
        let none =
            Found { has_systemd: true, daemon: None, apps: Vec::new(), files: Vec::new(), home: false };
        assert_eq!(text(&none), "");
        let by_hand = Found { daemon: Some((7, Service::NoSystemd)), has_systemd: false, ..none };
        expect!["end      the daemon that was started by hand, pid 7"].assert_eq(&text(&by_hand));
    }
}
