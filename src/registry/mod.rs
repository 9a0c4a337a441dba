//! Registries: where images go so that other machines can fetch them, and who one is there.
//!
//! A [`Registry`] is a host and a folder at it, as `--registry` names it: `ghcr.io/acme`, `127.0.0.1:5000`. The image of a release is
//! `<registry>/<app>:vN` there. What belongs to whoever types is read by [`DockerConfig`], as `docker login` has left it; the
//! [`Credentials`] it finds go with one request and are kept nowhere.
//!
//! Nothing here speaks to a registry: the engine does, as it has the image.

mod docker_config;

use std::fmt;
use std::str::FromStr;

pub use docker_config::{CredentialsError, DockerConfig};

use crate::environment::Value;
use crate::name::{AppName, ReleaseId};

/// What images without a host are at.
const DOCKER_HUB: &str = "docker.io";
/// What `docker login` calls Docker Hub.
const DOCKER_HUB_ACCOUNT: &str = "https://index.docker.io/v1/";
/// The longest name of a repository that registries take (distribution's reference grammar).
const REPOSITORY_LENGTH_MAX: usize = 255;
/// The longest name of an app, which is a DNS label.
const APP_LENGTH_MAX: usize = 63;

/// A registry, and a folder in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registry {
    /// `ghcr.io`, `127.0.0.1:5000`.
    host: String,
    /// `acme/team`; may be empty.
    folder: String,
}

/// Who somebody is at a registry. No `Debug` shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credentials {
    /// A name and a password, or a token in its place.
    Password {
        /// The name.
        user: String,
        /// The password.
        password: Value,
    },
    /// A token that the registry gave, which gets others.
    IdentityToken(Value),
}

/// A text that is no registry.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RegistryError {
    /// With `https://` before it.
    #[error("registry `{0}` is a URL; write its host and folder alone, such as `ghcr.io/acme`")]
    Url(String),
    /// With a tag or a digest behind it.
    #[error(
        "registry `{0}` has a tag; the tag is the release's: write its host and folder alone, such as `ghcr.io/acme`"
    )]
    Tag(String),
    /// Something else.
    #[error(
        "`{0}` is no registry; write a host and a folder in lower case, such as `ghcr.io/acme` or `127.0.0.1:5000`"
    )]
    Form(String),
    /// Docker Hub without a folder is Docker's own images.
    #[error("at Docker Hub images are below a user's name: `docker.io/NAME`")]
    NoUser,
}

// === impl Registry ===

impl Registry {
    /// The host, with its port: what `docker login` takes.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The repository of an app there, without a tag.
    #[must_use]
    pub fn repository(&self, app: &AppName) -> String {
        format!("{self}/{app}")
    }

    /// The image of a release there.
    #[must_use]
    pub fn image(&self, app: &AppName, release: ReleaseId) -> String {
        format!("{}:{release}", self.repository(app))
    }

    /// What its account is called in Docker's config.
    fn account(&self) -> &str {
        if self.host == DOCKER_HUB { DOCKER_HUB_ACCOUNT } else { &self.host }
    }
}

impl FromStr for Registry {
    type Err = RegistryError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let of = text.to_owned();
        if text.contains("://") {
            return Err(RegistryError::Url(of));
        }
        let text = text.strip_suffix('/').unwrap_or(text);
        if text.is_empty() {
            return Err(RegistryError::Form(of));
        }
        let (first, rest) = text.split_once('/').unwrap_or((text, ""));
        // As Docker tells a host from a folder at Docker Hub.
        let is_host = first.contains(['.', ':']) || first == "localhost";
        let (host, folder) = if is_host { (first, rest) } else { (DOCKER_HUB, text) };
        if folder.contains([':', '@']) {
            return Err(RegistryError::Tag(of));
        }
        if !is_host_and_port(host) || !folder.is_empty() && !folder.split('/').all(is_component) {
            return Err(RegistryError::Form(of));
        }
        // The app's name is still to come.
        if folder.len() + 1 + APP_LENGTH_MAX > REPOSITORY_LENGTH_MAX {
            return Err(RegistryError::Form(of));
        }
        if host == DOCKER_HUB && folder.is_empty() {
            return Err(RegistryError::NoUser);
        }
        Ok(Self { host: host.to_owned(), folder: folder.to_owned() })
    }
}

impl fmt::Display for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.host)?;
        if self.folder.is_empty() { Ok(()) } else { write!(f, "/{}", self.folder) }
    }
}

fn is_host_and_port(host: &str) -> bool {
    let (name, port) = match host.rsplit_once(':') {
        Some((name, port)) => (name, Some(port)),
        None => (host, None),
    };
    let is_name = name.split('.').all(|label| {
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
    });
    is_name && port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port > 0))
}

/// Lower-case letters and digits, with single separators between them (distribution's reference grammar).
fn is_component(part: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let is_separator =
        |part: &str| matches!(part, "." | "_" | "__") || !part.is_empty() && part.chars().all(|c| c == '-');
    part.starts_with(is_plain)
        && part.ends_with(is_plain)
        && part.split(is_plain).all(|between| between.is_empty() || is_separator(between))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_registry_is_a_host_and_a_folder() {
        let image = |text: &str| {
            let registry: Registry = text.parse().unwrap();
            registry.image(&"shop".parse().unwrap(), "v4".parse().unwrap())
        };
        assert_eq!(image("ghcr.io/acme"), "ghcr.io/acme/shop:v4");
        assert_eq!(image("127.0.0.1:5000"), "127.0.0.1:5000/shop:v4");
        assert_eq!(image("localhost/a/b-c/"), "localhost/a/b-c/shop:v4");
        assert_eq!(image("acme"), "docker.io/acme/shop:v4");
    }

    #[test]
    fn what_no_registry_would_take_is_refused() {
        for (text, part) in [
            ("https://ghcr.io/acme", "is a URL"),
            ("ghcr.io/acme:v1", "has a tag"),
            ("ghcr.io/acme@sha256:00", "has a tag"),
            ("ghcr.io/Acme", "is no registry"),
            ("ghcr.io//acme", "is no registry"),
            ("ghcr.io/a..b", "is no registry"),
            ("ghcr.io:0/a", "is no registry"),
            ("-ghcr.io/a", "is no registry"),
            ("", "is no registry"),
            ("docker.io", "below a user's name"),
        ] {
            let error = text.parse::<Registry>().unwrap_err().to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
    }

    #[test]
    fn credentials_are_not_shown() {
        let credentials = Credentials::Password { user: "ada".into(), password: Value::new("horse".into()) };
        assert!(!format!("{credentials:?}").contains("horse"));
    }
}
