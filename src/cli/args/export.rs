//! What is typed to export apps.

use std::path::{Path, PathBuf};

use clap::ValueEnum;

use super::AppArgs;
use crate::cli::apply::ApplyArgs;
use crate::export::Version;

/// The longest name of an object, a DNS subdomain.
const OBJECT_NAME_MAX: usize = 253;

#[derive(Debug, clap::Args)]
pub(crate) struct ExportArgs {
    #[command(flatten)]
    pub(crate) app: AppArgs,
    /// All apps that you may see
    #[arg(long, conflicts_with = "name")]
    pub(crate) all: bool,
    /// The folder to write files into; `-` is standard output [default: -]
    #[arg(short, long, value_name = "DIR")]
    pub(crate) output: Option<PathBuf>,
    /// In which form; kustomize and helm need a folder
    #[arg(long, value_enum, default_value_t = FormatArg::Yaml)]
    pub(crate) format: FormatArg,
    /// The namespace of every object [default: whatever kubectl is set to]
    #[arg(long, value_name = "NAME", value_parser = object_name)]
    pub(crate) namespace: Option<String>,
    /// Where the cluster finds images that this box has built, such as `ghcr.io/you`
    #[arg(long, value_name = "REF", value_parser = registry)]
    pub(crate) registry: Option<String>,
    /// Requests come in by an Ingress of this class [default: nginx]
    #[arg(long, value_name = "CLASS", value_parser = object_name, conflicts_with = "gateway")]
    pub(crate) ingress: Option<String>,
    /// Requests come in by this Gateway, `name` or `namespace/name`
    #[arg(long, value_name = "NAME", value_parser = gateway)]
    pub(crate) gateway: Option<String>,
    /// The ClusterIssuer of cert-manager that orders certificates [default: letsencrypt]
    #[arg(long, value_name = "NAME", value_parser = object_name, conflicts_with_all = ["tls_secret", "no_tls"])]
    pub(crate) tls_issuer: Option<String>,
    /// The Secret that has the certificate of all hosts
    #[arg(long, value_name = "NAME", value_parser = object_name, conflicts_with = "no_tls")]
    pub(crate) tls_secret: Option<String>,
    /// No certificates: plain http, or what lets requests in has its own
    #[arg(long)]
    pub(crate) no_tls: bool,
    /// Push the images that only this box has to `--registry`, and name them by their digests
    #[arg(long, requires = "registry")]
    pub(crate) push: bool,
    /// How secrets are handed over [default: template; inline where they go to a cluster]
    #[arg(long, value_enum)]
    pub(crate) secrets: Option<SecretsArg>,
    /// The certificate that secrets are sealed with: what `kubeseal --fetch-cert` prints
    #[arg(long, value_name = "FILE", required_if_eq("secrets", "sealed"))]
    pub(crate) sealed_cert: Option<PathBuf>,
    /// The ClusterSecretStore that ExternalSecrets are filled from
    #[arg(long, value_name = "NAME", value_parser = object_name, required_if_eq("secrets", "external"))]
    pub(crate) secret_store: Option<String>,
    /// The oldest version of Kubernetes that must take the result, such as `1.33` [default: 1.30]
    #[arg(long, value_name = "VERSION", alias = "kubernetes-version")]
    pub(crate) kubernetes: Option<Version>,
    /// Fail, and write nothing, when something cannot be carried over
    #[arg(long)]
    pub(crate) strict: bool,
    /// Print what a cluster of this version would refuse, and write nothing [default: that of `--kubernetes`]
    #[arg(
        long,
        value_name = "VERSION",
        num_args = 0..=1,
        require_equals = true,
        conflicts_with_all = ["output", "apply", "diff", "dry_run"]
    )]
    pub(crate) check: Option<Option<Version>>,
    #[command(flatten)]
    pub(crate) cluster: ApplyArgs,
}

/// `--format`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum FormatArg {
    /// Plain objects: one text, or one file an object kind
    Yaml,
    /// The same with a kustomization.yaml
    Kustomize,
    /// A chart
    Helm,
}

/// `--secrets`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum SecretsArg {
    /// In Secrets, readable by whoever reads the files
    Inline,
    /// Secrets with every key and no value
    Template,
    /// SealedSecrets, which one cluster alone can open
    Sealed,
    /// ExternalSecrets, filled from a store
    External,
}

// === impl ExportArgs ===

impl ExportArgs {
    /// The folder to write files into; `None`: standard output.
    pub(crate) fn folder(&self) -> Option<&Path> {
        self.output.as_deref().filter(|folder| folder.as_os_str() != "-")
    }

    /// How secrets are handed over. A cluster gets them: Secrets without values would take away those that it has.
    pub(crate) fn secrets(&self) -> SecretsArg {
        let default = if self.cluster.is_wanted() { SecretsArg::Inline } else { SecretsArg::Template };
        self.secrets.unwrap_or(default)
    }
}

/// The name of an object: a DNS subdomain (RFC 1123).
fn object_name(text: &str) -> Result<String, String> {
    let is_part = |part: &str| {
        let is_good = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-';
        !part.is_empty() && part.bytes().all(is_good) && !part.starts_with('-') && !part.ends_with('-')
    };
    if text.len() <= OBJECT_NAME_MAX && text.split('.').all(is_part) {
        Ok(text.to_owned())
    } else {
        Err("a name there has lower-case letters, digits, dashes and dots, and begins and ends with one of the first two"
            .to_owned())
    }
}

fn gateway(text: &str) -> Result<String, String> {
    let (namespace, name) = text.split_once('/').map_or((None, text), |(space, name)| (Some(space), name));
    namespace.map(object_name).transpose()?;
    object_name(name)?;
    Ok(text.to_owned())
}

/// What stands before an image's own name.
fn registry(text: &str) -> Result<String, String> {
    let text = text.trim_end_matches('/');
    let is_good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "._-/:".contains(c);
    let has_scheme = text.contains("://");
    if !text.is_empty() && !has_scheme && text.chars().all(is_good) && !text.split('/').any(str::is_empty) {
        Ok(text.to_owned())
    } else {
        Err("a registry is written as in an image's name, such as `ghcr.io/you`, without `https://`"
            .to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_that_a_cluster_takes() {
        for good in ["nginx", "a.b-c", "9"] {
            assert_eq!(object_name(good).as_deref(), Ok(good));
        }
        for bad in ["", "Nginx", "a_b", "-a", "a-", "a..b"] {
            assert!(object_name(bad).is_err(), "{bad}");
        }
        assert!(gateway("infra/public").is_ok() && gateway("a/b/c").is_err());
        assert_eq!(registry("localhost:5000/x/").as_deref(), Ok("localhost:5000/x"));
        assert!(registry("https://ghcr.io").is_err());
    }
}
