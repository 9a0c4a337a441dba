//! Building images.
//!
//! Docker builds with BuildKit, which needs a second connection beside the request: a session, over which it would ask for
//! credentials. Podman builds with its own builder behind the same request. The request's connection is the build's life line:
//! when the future is dropped, all of the build's connections end and the engine cancels it.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bollard::body_try_stream;
use bollard::errors::Error;
use bollard::models::{BuildInfo, BuildInfoAux};
use bollard::query_parameters::{BuildImageOptions, BuilderVersion};
use futures_util::TryStreamExt;
use tokio_util::sync::CancellationToken;

use super::super::{BuildSpec, ContextStream, EngineError};
use super::DockerEngine;
use super::error::explain;
use super::progress::BuildProgress;

/// How many builds this process has started: part of a session's name.
static BUILDS: AtomicU64 = AtomicU64::new(0);

/// Where the reason is kept why the context could not be read: the transport passes on only that it could not.
type ContextError = Arc<Mutex<Option<io::Error>>>;

impl DockerEngine {
    pub(super) async fn build_image(
        &self,
        spec: &BuildSpec,
        context: ContextStream,
        log: &(dyn Fn(String) + Send + Sync),
    ) -> Result<String, EngineError> {
        let action = format!("build image `{}`", spec.tag);
        let cut = CancellationToken::new();
        let client = self.client_until(cut.clone());
        let _ends_the_build = cut.drop_guard();
        let context_error = ContextError::default();
        let body = body_try_stream(remembering(context, Arc::clone(&context_error)));
        let mut steps = client.build_image(self.build_options(spec), None, Some(body));
        let mut progress = BuildProgress::default();
        let mut id = None;
        loop {
            match steps.try_next().await {
                Ok(Some(BuildInfo { aux: Some(BuildInfoAux::Default(image)), .. })) => id = image.id.or(id),
                Ok(Some(step)) => progress.lines(step).into_iter().for_each(log),
                Ok(None) => break,
                Err(Error::DockerStreamError { error }) => return Err(progress.failure(&action, &error)),
                Err(error) => {
                    let io = context_error.lock().unwrap_or_else(PoisonError::into_inner).take();
                    return Err(match (io, error) {
                        (Some(io), _) => EngineError::Context(io),
                        // Such as a Dockerfile that is not there: the engine answers before it builds.
                        (None, Error::DockerResponseServerError { message, .. }) => {
                            progress.failure(&action, &message)
                        }
                        (None, error) => explain(&self.endpoint, &action, "the engine's builder", error),
                    });
                }
            }
        }
        match id {
            Some(id) => Ok(id),
            None => self
                .inspect_image(&spec.tag)
                .await?
                .map(|image| image.id)
                .ok_or_else(|| progress.failure(&action, "the builder stopped without an image")),
        }
    }

    fn build_options(&self, spec: &BuildSpec) -> BuildImageOptions {
        let options = BuildImageOptions {
            dockerfile: spec.dockerfile.clone(),
            t: Some(spec.tag.clone()),
            buildargs: Some(spec.args.clone().into_iter().collect()),
            labels: Some(spec.labels.clone().into_iter().collect()),
            target: spec.target.clone().unwrap_or_default(),
            rm: true,
            forcerm: true,
            ..Default::default()
        };
        if !self.has_buildkit {
            return options;
        }
        let number = BUILDS.fetch_add(1, Ordering::Relaxed);
        BuildImageOptions {
            version: BuilderVersion::BuilderBuildKit,
            session: Some(format!("minipaas-{}-{}-{number}", self.owner, std::process::id())),
            ..options
        }
    }
}

fn remembering(
    context: ContextStream,
    place: ContextError,
) -> impl futures_util::Stream<Item = io::Result<bytes::Bytes>> + Send + 'static {
    context.map_err(move |error| {
        let kind = error.kind();
        *place.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
        kind.into()
    })
}
