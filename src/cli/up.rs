//! `minipaas up`: from the folder to a URL that answers.
//!
//! Everything that can be wrong with the project is found before a daemon or an engine is asked for. Then: a daemon, an
//! engine, the image, the deploy. With `--watch` the last two are done again whenever the content changes; a deploy that
//! fails is printed, the release before it serves on, and the watch goes on.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use serde::Serialize;

use super::Session;
use super::args::UpArgs;
use super::deploy;
use super::failure::{Failure, Kind};
use super::image::Recipe;
use super::interrupt::Interrupts;
use super::output::count;
use super::progress::ProgressView;
use super::project::Project;
use super::{canary, certs, daemon, engine, maintenance, proxy, revision};
use crate::api::client::Client;
use crate::api::{Canary, DeployRequest, Deployed, PlanRequest, Port, SourceTexts};
use crate::builder::detect::BuildKind;
use crate::builder::ignore::IgnoreRules;
use crate::manifest::{MANIFEST_FILE, PROCFILE};
use crate::watch::Watcher;

/// Where an app comes from that is deployed to a box elsewhere.
const REMOTE_ORIGIN: &str = "another machine";
/// Changed files that are named.
const NAMED_FILES: usize = 3;

/// The result with `--json`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct UpResult<'a> {
    app: &'a str,
    release: &'a str,
    urls: &'a [String],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    ports: &'a [Port],
    unchanged: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    canary: Option<&'a Canary>,
}

/// The result of `--plan` with `--json`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct PlanResult<'a> {
    app: &'a str,
    release: Option<&'a str>,
    urls: &'a [String],
    text: &'a str,
}

/// What a deploy was made from; equal ones need none.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Content {
    source: SourceTexts,
    image: String,
}

/// Why it is deployed once more.
#[derive(Debug, Clone, Copy)]
struct Change<'a> {
    files: &'a [String],
    /// What the last deploy was made from, if it did not fail.
    before: Option<&'a Content>,
}

struct Up<'a> {
    session: &'a Session,
    args: &'a UpArgs,
    client: Client,
    /// Whether it has said what commands have set; a watch says it once.
    has_told: AtomicBool,
}

pub(crate) async fn run(
    session: &Session,
    args: &UpArgs,
    interrupts: &mut Interrupts,
) -> Result<(), Failure> {
    let project = Project::read(&args.dir, session.globals.app.as_ref())?;
    for warning in &project.warnings {
        session.out.warning(&warning.0);
    }
    let kind = project.build_kind(args.image.as_deref())?;
    let untouched = || Failure::interrupted(format!("interrupted before `{}` was changed", project.app));
    let client = interrupts.or(daemon::ensure(session), untouched).await?;
    let up = Up { session, args, client, has_told: AtomicBool::new(false) };
    if args.plan {
        return interrupts.or(up.plan(&project, kind), untouched).await;
    }
    interrupts.or(engine::ensure(session, &up.client), untouched).await?;
    if args.watch {
        return up.watch(project, kind, interrupts).await;
    }
    up.deploy(&project, kind, None, interrupts).await.map(drop)
}

impl Up<'_> {
    async fn plan(&self, project: &Project, kind: BuildKind) -> Result<(), Failure> {
        // A site's base is made when it is asked for, and a plan makes nothing.
        let build = match kind {
            BuildKind::Static { .. } => None,
            kind => Recipe::of(project, kind, None).await?.find(project, &self.client).await?,
        };
        let request = PlanRequest { source: project.source_texts(), build };
        let plan = self.client.plan(&project.app, &request).await?;
        let out = self.session.out;
        if out.is_json() {
            let app = project.app.as_str();
            let (release, urls, text) = (plan.release.as_deref(), &plan.urls[..], plan.text.as_str());
            out.json(&PlanResult { app, release, urls, text })?;
        } else if plan.release.is_none() {
            out.line(format_args!("nothing would change: `{}` serves this already", project.app))?;
        } else {
            out.line(plan.text.trim_end())?;
        }
        Ok(())
    }

    /// Builds and deploys, unless the change changed nothing; prints the result. Returns what was deployed.
    async fn deploy(
        &self,
        project: &Project,
        kind: BuildKind,
        change: Option<Change<'_>>,
        interrupts: &mut Interrupts,
    ) -> Result<Content, Failure> {
        let mut view = ProgressView::new(self.session.out);
        let deployed = self.deploy_with(&mut view, project, kind, change, interrupts).await;
        if deployed.is_err() {
            view.abandon();
        }
        let (content, deployed) = deployed?;
        if let Some(deployed) = deployed {
            self.print(project, &deployed)?;
            certs::tell(self.session, &project.app).await;
        }
        Ok(content)
    }

    async fn deploy_with(
        &self,
        view: &mut ProgressView,
        project: &Project,
        kind: BuildKind,
        change: Option<Change<'_>>,
        interrupts: &mut Interrupts,
    ) -> Result<(Content, Option<Deployed>), Failure> {
        let untouched = || Failure::interrupted(format!("interrupted before `{}` was changed", project.app));
        let client = &self.client;
        let prepare = async {
            let base = match kind {
                BuildKind::Static { .. } => Some(client.static_base().await?),
                BuildKind::Image(_) | BuildKind::Dockerfile { .. } => None,
            };
            let recipe = Recipe::of(project, kind, base.as_ref()).await?;
            let content = Content { source: project.source_texts(), image: recipe.identity().to_owned() };
            if let Some(Change { files, before }) = change {
                if before == Some(&content) {
                    return Ok((content, None));
                }
                view.notice(&format!("changed: {}", named(files)));
            }
            for warning in recipe.warnings() {
                view.notice(&warning);
            }
            let build = recipe.make(project, client, view).await?;
            // On a box that many share an app comes from wherever its people are: roles say who may deploy over it.
            let origin = match self.session.is_remote() {
                true => REMOTE_ORIGIN.to_owned(),
                false => project.dir.display().to_string(),
            };
            let take_over = self.args.take_over;
            let revision = revision::of(&project.dir).await;
            let request =
                DeployRequest { source: project.source_texts(), build, origin, take_over, revision };
            Ok((content, Some(client.deploy(&project.app, &request).await?)))
        };
        let (content, stream) = interrupts.or(prepare, untouched).await?;
        let Some(stream) = stream else { return Ok((content, None)) };
        let deployed = deploy::follow(stream, &project.app, client, view, interrupts).await?;
        Ok((content, Some(deployed)))
    }

    fn print(&self, project: &Project, deployed: &Deployed) -> Result<(), Failure> {
        let out = self.session.out;
        let Deployed { release, urls, ports, is_unchanged, traffic, canary, proxy_by_command, .. } = deployed;
        if let Some(found) = canary {
            out.notice(canary::sentence(project.app.as_str(), found, None));
            out.notice(canary::next());
        } else if *is_unchanged {
            out.notice(format_args!("nothing has changed: {release} of `{}` serves", project.app));
        } else {
            out.notice(format_args!("{release} of `{}` serves", project.app));
        }
        if let Some(said) = maintenance::sentence(project.app.as_str(), traffic) {
            out.notice(said);
        }
        if let Some(said) =
            proxy::sentence(proxy_by_command).filter(|_| !self.has_told.swap(true, Ordering::Relaxed))
        {
            out.notice(said);
        }
        if out.is_json() {
            let (app, unchanged) = (project.app.as_str(), *is_unchanged);
            out.json(&UpResult { app, release, urls, ports, unchanged, canary: canary.as_ref() })?;
            return Ok(());
        }
        for port in ports {
            out.notice(format_args!("TCP port {port}"));
        }
        // The app's own address is the result, for scripts; the others are for people.
        if let Some((first, others)) = urls.split_first() {
            for other in others {
                out.notice(format_args!("also at {other}"));
            }
            out.line(first)?;
            // Only browsers of machines that trust the CA would take the address as it is.
            let certificate = self.session.home.join("ca/ca.crt");
            if certificate.is_file() && !self.session.is_remote() {
                out.notice(format_args!("try it: curl --cacert {} {first}", certificate.display()));
            }
        }
        Ok(())
    }

    async fn watch(
        &self,
        project: Project,
        kind: BuildKind,
        interrupts: &mut Interrupts,
    ) -> Result<(), Failure> {
        let out = self.session.out;
        // Before the first deploy, so that a change during it is not missed.
        let mut watcher = watcher(&project, &kind)?;
        let mut before = self.survive(self.deploy(&project, kind, None, interrupts).await)?;
        out.notice(format_args!("watching `{}`; Ctrl-C ends it", project.dir.display()));
        loop {
            let change = async { watcher.changed().await.map_err(Failure::from) };
            let files = interrupts.or(change, Failure::silently_interrupted).await?;
            let change = Change { files: &files, before: before.as_ref() };
            let again = self.deploy_again(&project.dir, change, &mut watcher, interrupts).await;
            before = self.survive(again)?.or(before);
        }
    }

    async fn deploy_again(
        &self,
        dir: &Path,
        change: Change<'_>,
        watcher: &mut Watcher,
        interrupts: &mut Interrupts,
    ) -> Result<Content, Failure> {
        let project = Project::read(dir, self.session.globals.app.as_ref())?;
        let kind = project.build_kind(self.args.image.as_deref())?;
        watcher.follow(rules(&project, &kind)?, &project.named_files())?;
        self.deploy(&project, kind, Some(change), interrupts).await
    }

    /// Prints a failure that a watch outlives.
    fn survive(&self, result: Result<Content, Failure>) -> Result<Option<Content>, Failure> {
        match result {
            Ok(content) => Ok(Some(content)),
            Err(failure) if matches!(failure.kind, Kind::Interrupted | Kind::Closed) => Err(failure),
            Err(failure) => {
                self.session.out.failure(&failure);
                Ok(None)
            }
        }
    }
}

fn watcher(project: &Project, kind: &BuildKind) -> Result<Watcher, Failure> {
    let mut watcher = Watcher::new(project.dir.clone(), &[MANIFEST_FILE, PROCFILE])?;
    watcher.follow(rules(project, kind)?, &project.named_files())?;
    Ok(watcher)
}

/// The folder below the project's that the image is made from, and what in it does not count.
fn rules(project: &Project, kind: &BuildKind) -> Result<Option<(String, IgnoreRules)>, Failure> {
    Ok(match kind {
        BuildKind::Image(_) => None,
        BuildKind::Dockerfile { path, .. } => {
            Some((".".to_owned(), IgnoreRules::for_image(&project.dir, path)?))
        }
        BuildKind::Static { dir, .. } => Some((dir.clone(), IgnoreRules::for_site(&project.dir.join(dir))?)),
    })
}

fn named(files: &[String]) -> String {
    let named = files.iter().take(NAMED_FILES).map(|file| format!("`{file}`")).collect::<Vec<_>>().join(", ");
    match files.len().saturating_sub(NAMED_FILES) {
        0 => named,
        more => format!("{named} and {}", count(more, "other file")),
    }
}
