//! How an export is wanted.

use std::fmt;
use std::str::FromStr;

/// What an export is to be like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// The namespace of every object, a DNS label; `None`: whatever `kubectl` is set to.
    pub namespace: Option<String>,
    /// The oldest cluster that must take the result.
    pub version: Version,
    /// By what requests come in.
    pub entrance: Entrance,
    /// Where certificates come from.
    pub tls: TlsSource,
    /// How secrets are handed over.
    pub secrets: SecretMode,
}

/// By what requests come into the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entrance {
    /// An Ingress of this class: `nginx` and `traefik` understand what `[proxy]` asks for, others get paths and hosts alone.
    Ingress(String),
    /// HTTPRoutes of the Gateway API, for this Gateway: `name` or `namespace/name`.
    Gateway(String),
}

/// Where the certificates of hosts come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TlsSource {
    /// cert-manager orders them, by this ClusterIssuer.
    CertManager(String),
    /// A Secret of this name, that somebody has made.
    Secret(String),
    /// Nowhere: plain http, or the entrance has its own.
    None,
}

/// How the values of secrets are handed over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretMode {
    /// In Secrets, readable by whoever reads the files.
    Inline,
    /// Secrets with every key and no value.
    Template,
    /// SealedSecrets (Bitnami's), which the cluster alone can open; with the PEM text of its certificate.
    Sealed(String),
    /// ExternalSecrets (external-secrets.io), filled from this ClusterSecretStore.
    External(String),
}

/// A version of Kubernetes: `1.30`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// 1.
    pub major: u16,
    /// 30.
    pub minor: u16,
}

/// A text that is no version of Kubernetes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no version of Kubernetes; write one such as `1.33`")]
pub struct VersionError(String);

impl Version {
    /// The oldest that an export can be for.
    pub const OLDEST: Self = Self { major: 1, minor: 30 };
}

impl Default for Options {
    fn default() -> Self {
        Self {
            namespace: None,
            version: Version::OLDEST,
            entrance: Entrance::Ingress("nginx".to_owned()),
            tls: TlsSource::CertManager("letsencrypt".to_owned()),
            secrets: SecretMode::Template,
        }
    }
}

impl FromStr for Version {
    type Err = VersionError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = || VersionError(text.to_owned());
        let mut parts = text.strip_prefix('v').unwrap_or(text).splitn(3, '.');
        let mut number = || parts.next().and_then(|part| part.parse().ok()).ok_or_else(error);
        Ok(Self { major: number()?, minor: number()? })
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}
