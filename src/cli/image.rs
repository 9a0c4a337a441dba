//! The image of a project: found on the engine, or made there.
//!
//! What is to be built is listed and digested here, with everything else that decides the image (the Dockerfile's name, its
//! arguments, the stage, a site's base). When the daemon has an image of that digest nothing is sent; else the context is,
//! and the log of the build comes back.

use std::collections::BTreeMap;
use std::path::Path;

use futures_util::StreamExt as _;

use super::failure::{CODE_BUILD, Failure};
use super::output::size;
use super::progress::ProgressView;
use super::project::Project;
use crate::api::client::{Client, ProgressStream};
use crate::api::{self, BuildQuery, BuildRef, ImageQuery, Progress};
use crate::builder::context::{Context, ContextError};
use crate::builder::detect::BuildKind;
use crate::builder::ignore::IgnoreRules;
use crate::builder::static_base::site_context;

/// The Dockerfile of a site's own context.
const SITE_DOCKERFILE: &str = "Dockerfile";

/// All that an image is made of.
#[derive(Debug)]
pub(crate) enum Recipe {
    /// A ready image.
    Image(ImageQuery),
    /// A context with a Dockerfile in it.
    Archive {
        /// How it is built.
        query: BuildQuery,
        /// What it is built from.
        context: Context,
    },
}

impl Recipe {
    /// Lists and digests what is in the project's folder. `base` is the image that a static site is made from.
    pub(crate) async fn of(
        project: &Project,
        kind: BuildKind,
        base: Option<&BuildRef>,
    ) -> Result<Self, Failure> {
        let dir = project.dir.clone();
        let base = base.cloned();
        // Reading a large folder takes its time, and Ctrl-C must not.
        tokio::task::spawn_blocking(move || read(&dir, kind, base.as_ref()))
            .await
            .expect("reading a folder does not panic")
    }

    /// What tells this recipe from every other.
    pub(crate) fn identity(&self) -> &str {
        match self {
            Self::Image(query) => &query.reference,
            Self::Archive { query, .. } => &query.content,
        }
    }

    /// Special files that are left out, as sentences.
    pub(crate) fn warnings(&self) -> Vec<String> {
        match self {
            Self::Image(_) => Vec::new(),
            Self::Archive { context, .. } => context.skipped().iter().map(ToString::to_string).collect(),
        }
    }

    /// The image if it is there already.
    pub(crate) async fn find(&self, project: &Project, client: &Client) -> Result<Option<BuildRef>, Failure> {
        match self {
            // A tag may have moved; the daemon looks at each deploy.
            Self::Image(_) => Ok(None),
            Self::Archive { query, .. } => Ok(client.find_build(&project.app, &query.content).await?),
        }
    }

    /// The image, made if need be.
    pub(crate) async fn make(
        self,
        project: &Project,
        client: &Client,
        view: &mut ProgressView,
    ) -> Result<BuildRef, Failure> {
        if let Some(build) = self.find(project, client).await? {
            return Ok(build);
        }
        let stream = match self {
            Self::Image(query) => client.image(&project.app, &query).await?,
            Self::Archive { query, context } => {
                view.step("upload", &format!("{} to build `{}`", size(context.bytes()), project.app));
                client.build(&project.app, &query, context).await?
            }
        };
        follow(stream, view).await
    }
}

async fn follow(mut stream: ProgressStream, view: &mut ProgressView) -> Result<BuildRef, Failure> {
    while let Some(event) = stream.next().await {
        match event? {
            Progress::Built { build } => {
                view.finish();
                return Ok(build);
            }
            Progress::Failed { failure } => return Err(failed(failure, view)),
            Progress::Deployed(_)
            | Progress::Reformed { .. }
            | Progress::Ran { .. }
            | Progress::Pushed { .. } => break,
            Progress::Step { step, detail } => view.step(&step, &detail),
            Progress::Log { line } => view.log(&line),
            Progress::Notice { message } => view.notice(&message),
            Progress::Accepted { .. } => {}
        }
    }
    Err(Failure::failed("the daemon ended the build without an image"))
}

/// The daemon's failure; without the end of a log that was printed whole.
pub(crate) fn failed(failure: api::Failure, view: &mut ProgressView) -> Failure {
    let is_shown = view.fail() && failure.code == CODE_BUILD;
    let failure = Failure::from(failure);
    if is_shown { Failure { log: None, ..failure } } else { failure }
}

fn read(dir: &Path, kind: BuildKind, base: Option<&BuildRef>) -> Result<Recipe, Failure> {
    let (context, dockerfile, target, args) = match kind {
        BuildKind::Image(reference) => return Ok(Recipe::Image(ImageQuery { reference })),
        BuildKind::Dockerfile { path, context, args, target } => {
            let dir = context.map_or_else(|| dir.to_owned(), |context| dir.join(context));
            let scanned = Context::scan(&dir, &IgnoreRules::for_image(&dir, &path)?)?;
            (scanned, path, target, args)
        }
        BuildKind::Static { dir: site, spa } => {
            let root = dir.join(site);
            let scanned = Context::scan(&root, &IgnoreRules::for_site(&root)?)?;
            let base = base.map_or("scratch", |base| base.reference.as_str());
            let context = site_context(scanned, base, spa, &BTreeMap::new());
            (context, SITE_DOCKERFILE.to_owned(), None, BTreeMap::new())
        }
    };
    let args = (!args.is_empty()).then(|| serde_json::to_string(&args).expect("a map of strings is JSON"));
    let content = digest(&context, &dockerfile, target.as_deref(), args.as_deref(), base)?;
    Ok(Recipe::Archive { query: BuildQuery { content, dockerfile, target, args }, context })
}

fn digest(
    context: &Context,
    dockerfile: &str,
    target: Option<&str>,
    args: Option<&str>,
    base: Option<&BuildRef>,
) -> Result<String, ContextError> {
    // A reference may be given to another image; its id may not.
    let base = base.map_or("", |base| base.image.as_str());
    let extra = [dockerfile, target.unwrap_or_default(), args.unwrap_or_default(), base];
    Ok(context.digest(&extra.map(str::as_bytes))?.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_that_decides_the_image_is_in_its_digest() {
        let context = Context::default().with_file("a", "one");
        let base = |image: &str| BuildRef { image: image.into(), reference: "base".into(), content: None };
        let digests = [
            digest(&context, "Dockerfile", None, None, None),
            digest(&context, "Other", None, None, None),
            digest(&context, "Dockerfile", Some("web"), None, None),
            digest(&context, "Dockerfile", None, Some("{\"A\":\"1\"}"), None),
            digest(&context, "Dockerfile", None, None, Some(&base("sha256:1"))),
            digest(&context, "Dockerfile", None, None, Some(&base("sha256:2"))),
        ]
        .map(|digest| digest.expect("a digest"));
        let different: std::collections::BTreeSet<_> = digests.iter().collect();
        assert_eq!(different.len(), digests.len());
    }
}
