//! Contexts to images: the part of building that needs an engine.
//!
//! An image that we make is tagged with the digest of everything that it is made from, so "already built" is a look at the
//! engine, not a record of ours that could be wrong.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use futures_util::StreamExt;
use tokio::sync::{OnceCell, mpsc};
use tokio_util::io::SyncIoBridge;

use super::context::{Context, ContextError};
use super::static_base::{Closure, ClosureError};

use crate::engine::{BuildSpec, ContextStream, Engine, EngineError, label};
use crate::name::{AppName, BoxId};
use crate::release::Build;

/// How much of an archive is handed over at once.
const PIECE_BYTES: usize = 64 * 1024;
/// The name of the image that static sites are made from; its tag is the digest of the program in it.
const STATIC_BASE: &str = "minipaas/static-server";
/// What programs say of a full disk (`ENOSPC` of `strerror`).
const DISK_FULL: &str = "No space left on device";
/// Tags that move: what is on the engine may be old.
const MOVING_TAG: &str = "latest";

/// Where a line of progress goes.
pub type Log<'l> = &'l (dyn Fn(String) + Send + Sync);

/// Why there is no image.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// The engine did not make or fetch it.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// It was made, and is not there.
    #[error("image `{0}` is not on the engine")]
    Missing(String),
    /// It could not be fetched, and is not there.
    #[error("image `{reference}` is not on the engine and cannot be fetched")]
    NotFetched {
        /// The reference.
        reference: String,
        /// The engine's word.
        #[source]
        source: EngineError,
    },
    /// The static file server's own files cannot be read.
    #[error(transparent)]
    Closure(#[from] ClosureError),
    /// The archive of the static file server cannot be made.
    #[error(transparent)]
    Context(#[from] ContextError),
}

/// Makes and finds images for one box; clones share the engine.
#[derive(Clone)]
pub struct Images {
    engine: Arc<dyn Engine>,
    owner: BoxId,
    /// The static file server's files and their digest, read once: the running program does not change.
    closure: Arc<OnceCell<(Closure, String)>>,
}

/// How an archive is to be built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipe {
    /// The digest of everything that the image depends on, as text.
    pub content: String,
    /// The Dockerfile's path inside the archive.
    pub dockerfile: String,
    /// Build arguments.
    pub args: BTreeMap<String, String>,
    /// The stage to stop at.
    pub target: Option<String>,
}

impl Images {
    /// Images of this box on this engine.
    #[must_use]
    pub fn new(engine: Arc<dyn Engine>, owner: BoxId) -> Self {
        Self { engine, owner, closure: Arc::default() }
    }

    /// The image that was made from this content, if it is still there.
    ///
    /// # Errors
    ///
    /// When the engine does not answer.
    pub async fn built(&self, app: &AppName, content: &str) -> Result<Option<Build>, ImageError> {
        let tag = self.tag(app, content);
        let image = self.engine.image(&tag).await?;
        Ok(image.map(|image| describe(image, tag, Some(content.to_owned()))))
    }

    /// Makes an image from an archive. Dropping the future ends the build.
    ///
    /// # Errors
    ///
    /// When the engine refuses or a step fails; the log has said why by then.
    pub async fn build(
        &self,
        app: &AppName,
        recipe: Recipe,
        archive: ContextStream,
        log: Log<'_>,
    ) -> Result<Build, ImageError> {
        let tag = self.tag(app, &recipe.content);
        let labels = [
            (label::BOX, self.owner.to_string()),
            (label::APP, app.to_string()),
            (label::CONTENT, recipe.content.clone()),
        ];
        let spec = BuildSpec {
            tag: tag.clone(),
            dockerfile: recipe.dockerfile,
            args: recipe.args,
            target: recipe.target,
            labels: labels.into_iter().map(|(key, value)| (key.to_owned(), value)).collect(),
        };
        // A step that finds the disk full fails with a code of its own tool's; only its words tell why.
        let is_disk_full = AtomicBool::new(false);
        let watched = |line: String| {
            is_disk_full.fetch_or(line.contains(DISK_FULL), Ordering::Relaxed);
            log(line);
        };
        let built = self.engine.build(&spec, archive, &watched).await;
        if let Err(EngineError::BuildFailed { .. }) = built
            && is_disk_full.load(Ordering::Relaxed)
        {
            return Err(EngineError::DiskFull { action: format!("build the image of `{app}`") }.into());
        }
        built?;
        self.built(app, &recipe.content).await?.ok_or(ImageError::Missing(tag))
    }

    /// A ready image: as it is on the engine, or fetched when it is not there or its tag moves.
    ///
    /// # Errors
    ///
    /// When it is neither there nor to be had.
    pub async fn ready(&self, reference: &str, log: Log<'_>) -> Result<Build, ImageError> {
        let here = self.engine.image(reference).await?;
        if let (Some(image), false) = (&here, is_moving(reference)) {
            return Ok(describe(image.clone(), reference.to_owned(), None));
        }
        match (self.engine.pull(reference, log).await, here) {
            (Ok(()), _) => {}
            (Err(error), Some(image)) => {
                log(format!("using the image that is here: {error}"));
                return Ok(describe(image, reference.to_owned(), None));
            }
            (Err(source), None) => {
                return Err(ImageError::NotFetched { reference: reference.to_owned(), source });
            }
        }
        let image =
            self.engine.image(reference).await?.ok_or_else(|| ImageError::Missing(reference.to_owned()))?;
        Ok(describe(image, reference.to_owned(), None))
    }

    /// An image by its id, as it is on the engine now.
    ///
    /// # Errors
    ///
    /// [`ImageError::Missing`] when it is gone.
    pub async fn by_id(
        &self,
        image: &str,
        reference: &str,
        content: Option<&str>,
    ) -> Result<Build, ImageError> {
        let found =
            self.engine.image(image).await?.ok_or_else(|| ImageError::Missing(reference.to_owned()))?;
        Ok(describe(found, reference.to_owned(), content.map(str::to_owned)))
    }

    /// The image that static sites are made from: this very program, with what it needs to run. Made when it is not there.
    ///
    /// # Errors
    ///
    /// When the program's files cannot be read, or the engine does not make it.
    pub async fn static_base(&self, log: Log<'_>) -> Result<Build, ImageError> {
        let read = || {
            blocking(|| {
                let closure = Closure::of_running()?;
                let digest = closure.digest()?;
                Ok::<_, ImageError>((closure, digest.to_string()))
            })
        };
        let (closure, content) = self.closure.get_or_try_init(read).await?.clone();
        // Shared by every box on the engine: the digest says that it is the same program, and its label that it is nobody's.
        let tag = format!("{STATIC_BASE}:{content}");
        if let Some(image) = self.engine.image(&tag).await? {
            return Ok(describe(image, tag, Some(content)));
        }
        let labels = BTreeMap::from([(label::CONTENT.to_owned(), content.clone())]);
        let context = closure.context(&labels)?;
        let spec = BuildSpec {
            tag: tag.clone(),
            dockerfile: "Dockerfile".to_owned(),
            args: BTreeMap::new(),
            target: None,
            labels,
        };
        self.engine.build(&spec, archive(context), log).await?;
        let image = self.engine.image(&tag).await?.ok_or_else(|| ImageError::Missing(tag.clone()))?;
        Ok(describe(image, tag, Some(content)))
    }

    fn tag(&self, app: &AppName, content: &str) -> String {
        format!("minipaas-{}/{app}:{content}", self.owner)
    }
}

/// The context as an archive, written as fast as it is read.
#[must_use]
pub fn archive(context: Context) -> ContextStream {
    let (reader, writer) = tokio::io::duplex(PIECE_BYTES);
    let (failed_tx, failed) = mpsc::channel::<io::Error>(1);
    tokio::task::spawn_blocking(move || {
        // A reader that went away ends the writing; it knows why.
        if let Err(error) = context.write_tar(SyncIoBridge::new(writer)) {
            let _ = failed_tx.blocking_send(io::Error::other(error));
        }
    });
    let pieces = tokio_util::io::ReaderStream::with_capacity(reader, PIECE_BYTES);
    // An archive that could not be finished must not pass for a shorter one.
    let end = futures_util::stream::unfold(failed, |mut failed| async move {
        failed.recv().await.map(|error| (Err::<Bytes, _>(error), failed))
    });
    pieces.chain(end).boxed()
}

fn describe(image: crate::engine::Image, reference: String, content: Option<String>) -> Build {
    Build {
        image: image.id,
        reference,
        content,
        exposed_ports: image.exposed_ports,
        has_healthcheck: image.has_healthcheck,
        has_command: image.has_command,
    }
}

fn is_moving(reference: &str) -> bool {
    let name = reference.rsplit('/').next().unwrap_or(reference);
    !name.contains('@') && name.split_once(':').is_none_or(|(_, tag)| tag == MOVING_TAG)
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ImageError> + Send + 'static,
) -> Result<T, ImageError> {
    tokio::task::spawn_blocking(work).await.expect("the work does not panic and is never aborted")
}

#[cfg(test)]
mod tests {
    use super::is_moving;

    #[test]
    fn a_tag_moves_when_it_is_latest_or_not_there() {
        for moving in ["nginx", "nginx:latest", "ghcr.io/x/y", "localhost:5000/y"] {
            assert!(is_moving(moving), "{moving}");
        }
        for fixed in ["nginx:1.25", "localhost:5000/y:2", "y@sha256:00"] {
            assert!(!is_moving(fixed), "{fixed}");
        }
    }
}
