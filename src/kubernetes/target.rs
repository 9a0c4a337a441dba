//! Which cluster, and who one is there: what a kubeconfig says.

use std::path::{Path, PathBuf};
use std::time::Duration;

use kube::config::{KubeConfigOptions, Kubeconfig, KubeconfigError};
use kube::{Client, Config};

use super::{ApplyError, Cluster};

/// How long a cluster may take to be connected to.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(10);
/// How long it may take for an answer; admission webhooks have 30 s at most.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(60);

/// The cluster that is meant.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Target {
    /// The kubeconfig's files; of two that say the same the first counts. Those that are not there are passed over.
    pub kubeconfig: Vec<PathBuf>,
    /// The context; `None`: the current one.
    pub context: Option<String>,
    /// The namespace of objects that do not say theirs; `None`: the context's.
    pub namespace: Option<String>,
}

/// Where a kubeconfig is, by the values of `KUBECONFIG` and `HOME`.
#[must_use]
pub fn kubeconfig_paths(kubeconfig: Option<&str>, home: Option<&str>) -> Vec<PathBuf> {
    match kubeconfig {
        Some(paths) => std::env::split_paths(paths).filter(|path| !path.as_os_str().is_empty()).collect(),
        None => home.map(|home| Path::new(home).join(".kube/config")).into_iter().collect(),
    }
}

impl Cluster {
    /// The cluster of a kubeconfig's context. It is not asked anything yet.
    ///
    /// # Errors
    ///
    /// When there is no kubeconfig, it cannot be read, or has no such context.
    pub async fn connect(target: &Target) -> Result<Self, ApplyError> {
        let kubeconfig = read(&target.kubeconfig)?;
        let known = || kubeconfig.contexts.iter().map(|context| context.name.clone()).collect::<Vec<_>>();
        let current = kubeconfig.current_context.clone().filter(|name| !name.is_empty());
        let context = match target.context.clone().or(current) {
            Some(name) if known().contains(&name) => name,
            Some(name) => return Err(ApplyError::UnknownContext { name, known: known() }),
            None => return Err(ApplyError::NoContext { known: known() }),
        };
        let options = KubeConfigOptions { context: Some(context.clone()), ..KubeConfigOptions::default() };
        let mut config =
            Config::from_custom_kubeconfig(kubeconfig, &options).await.map_err(kubeconfig_error)?;
        config.connect_timeout = Some(CONNECT_TIME_MAX);
        config.read_timeout = Some(ANSWER_TIME_MAX);
        config.reset_reader_on_write = true;
        let server = config.cluster_url.to_string().trim_end_matches('/').to_owned();
        let namespace = target.namespace.clone().unwrap_or_else(|| config.default_namespace.clone());
        let client = Client::try_from(config)
            .map_err(|source| ApplyError::Client { context: context.clone(), source: Box::new(source) })?;
        Ok(Self { client, server, context, namespace })
    }
}

fn read(paths: &[PathBuf]) -> Result<Kubeconfig, ApplyError> {
    let mut there = paths.iter().filter(|path| path.exists()).peekable();
    if there.peek().is_none() {
        return Err(ApplyError::NoKubeconfig { paths: paths.to_vec() });
    }
    let merged =
        there.try_fold(Kubeconfig::default(), |merged, path| merged.merge(Kubeconfig::read_from(path)?));
    merged.map_err(kubeconfig_error)
}

fn kubeconfig_error(source: KubeconfigError) -> ApplyError {
    ApplyError::Kubeconfig(Box::new(source))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_may_name_more_than_one_file() {
        let paths = |variable| kubeconfig_paths(variable, Some("/home/ada"));
        assert_eq!(paths(Some("/a::/b")), [Path::new("/a"), Path::new("/b")]);
        assert_eq!(paths(None), [Path::new("/home/ada/.kube/config")]);
        assert!(kubeconfig_paths(None, None).is_empty());
    }
}
