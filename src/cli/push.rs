//! A release's image to a registry: the part of `minipaas export --push` that moves bytes.
//!
//! The person who types has the credentials, in Docker's config on their machine; the box has the image. So they are read here and go
//! with the request, over the box's socket or TLS, and nowhere else.

use futures_util::StreamExt as _;

use super::Session;
use super::failure::{Failure, Kind};
use super::image;
use super::progress::ProgressView;
use crate::api::{Progress, PushRequest, RegistryCredentials, Shown};
use crate::name::{AppName, ReleaseId};
use crate::registry::{Credentials, CredentialsError, DockerConfig, Registry};

/// An image that a registry has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PushedImage {
    /// Its repository, without a tag: `ghcr.io/acme/shop`.
    pub(crate) repository: String,
    /// `sha256:…`.
    pub(crate) digest: String,
}

impl PushedImage {
    /// The very image, for a manifest: `ghcr.io/acme/shop@sha256:…`.
    pub(crate) fn pinned(&self) -> String {
        format!("{}@{}", self.repository, self.digest)
    }
}

/// The registry that `--registry` names, which `--push` needs.
pub(crate) fn registry(named: Option<&str>) -> Result<Registry, Failure> {
    match named {
        Some(text) => text.parse().map_err(|error| Failure::new(Kind::Usage, error)),
        None => Err(Failure::usage("`--push` needs to know the registry")
            .hint("`--registry ghcr.io/NAME`, or any that the cluster can fetch from")),
    }
}

/// Who the person who types is at this registry, as `docker login` has left it.
pub(crate) async fn credentials(
    session: &Session,
    registry: &Registry,
) -> Result<Option<Credentials>, Failure> {
    let env = &session.env;
    let Some(path) = DockerConfig::path(env.get("DOCKER_CONFIG"), env.get("HOME")) else { return Ok(None) };
    let config = DockerConfig::read(&path).await?;
    Ok(config.credentials(registry).await?)
}

/// Pushes the image of a release; what goes on is in `view`.
pub(crate) async fn push(
    session: &Session,
    app: &AppName,
    release: ReleaseId,
    registry: &Registry,
    credentials: Option<&Credentials>,
    view: &mut ProgressView,
) -> Result<PushedImage, Failure> {
    let request = PushRequest { registry: registry.to_string(), credentials: credentials.map(on_the_wire) };
    let mut stream = session.client().push(app, release, &request).await?;
    while let Some(event) = stream.next().await {
        match event? {
            Progress::Step { step, detail } => view.step(&step, &detail),
            Progress::Log { line } => view.log(&line),
            Progress::Notice { message } => view.notice(&message),
            Progress::Pushed { repository, digest } => {
                view.finish();
                return Ok(PushedImage { repository, digest });
            }
            Progress::Failed { failure } => return Err(image::failed(failure, view)),
            Progress::Accepted { .. }
            | Progress::Built { .. }
            | Progress::Reformed { .. }
            | Progress::Ran { .. }
            | Progress::Deployed { .. } => break,
        }
    }
    Err(Failure::failed("the daemon ended the push without a digest"))
}

fn on_the_wire(credentials: &Credentials) -> RegistryCredentials {
    match credentials {
        Credentials::Password { user, password } => RegistryCredentials::Password {
            user: user.clone(),
            password: Shown(password.reveal().to_owned()),
        },
        Credentials::IdentityToken(token) => {
            RegistryCredentials::IdentityToken { token: Shown(token.reveal().to_owned()) }
        }
    }
}

impl From<CredentialsError> for Failure {
    fn from(error: CredentialsError) -> Self {
        let hint = match &error {
            CredentialsError::NoHelper { program, .. } => {
                format!("install `{program}`, or take it out of the file and run `docker login` again")
            }
            _ => "`docker login` writes it anew".to_owned(),
        };
        Self::new(Kind::Failed, error).hint(hint)
    }
}
