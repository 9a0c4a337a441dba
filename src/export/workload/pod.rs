//! A pod, as Deployments, Jobs and CronJobs have it.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    Container, PodSpec, PodTemplateSpec, ResourceRequirements, Volume, VolumeMount,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::security::{self, User};
use super::{Draft, unit};
use crate::export::config::HASH_ANNOTATION;
use crate::export::object::Object;
use crate::manifest::{Bytes, Command, MilliCpu};

/// What one pod is to run.
pub(super) struct Pod<'a> {
    /// The process type, or what the box calls the job's containers.
    pub(super) part: &'a str,
    /// What is run instead of the image's own command.
    pub(super) command: Option<&'a Command>,
    /// The memory limit.
    pub(super) memory: Option<Bytes>,
    /// The CPU limit.
    pub(super) cpu: Option<MilliCpu>,
    /// What is `$PORT`.
    pub(super) port: Option<u16>,
    /// All ports that it listens on.
    pub(super) ports: Vec<u16>,
    /// Its volumes, and where they are mounted.
    pub(super) volumes: Vec<(Volume, VolumeMount)>,
    /// Whether it runs once, to its end.
    pub(super) runs_once: bool,
}

impl Pod<'_> {
    /// The pod with one container, which has no ports or probes yet.
    pub(super) fn template(&self, draft: &Draft<'_>) -> PodTemplateSpec {
        let subject = draft.subject;
        let mut labels = draft.with_version(draft.labels.part(self.part));
        labels.insert("version".to_owned(), subject.release.to_string());
        let annotations = BTreeMap::from([(HASH_ANNOTATION.to_owned(), draft.config.hash())]);
        let (volumes, volume_mounts): (Vec<_>, Vec<_>) =
            self.volumes.iter().cloned().chain(draft.config.files()).unzip();
        let image = subject.image.pinned.as_ref().unwrap_or(&subject.image.reference);
        let container = Container {
            name: self.part.to_owned(),
            image: Some(image.clone()),
            // A digest never changes, and an image that somebody has put onto the nodes is in no registry.
            image_pull_policy: Some("IfNotPresent".to_owned()),
            args: self.command.map(|command| escaped(&command.argv())),
            env: Some(draft.config.env(self.part, self.port)),
            env_from: Some(draft.config.env_from()),
            resources: self.resources(),
            security_context: Some(security::of_container(&draft.user)),
            volume_mounts: (!volume_mounts.is_empty()).then_some(volume_mounts),
            ..Container::default()
        };
        let spec = PodSpec {
            service_account_name: Some(draft.names.app()),
            automount_service_account_token: Some(false),
            // Else a Service `redis` gives every pod a variable `REDIS_PORT`, which apps take for their own setting.
            enable_service_links: Some(false),
            share_process_namespace: Some(true),
            security_context: Some(security::of_pod(draft, &self.ports, !self.volumes.is_empty())),
            restart_policy: self.runs_once.then(|| "Never".to_owned()),
            containers: vec![container],
            volumes: (!volumes.is_empty()).then_some(volumes),
            ..PodSpec::default()
        };
        let metadata =
            ObjectMeta { labels: Some(labels), annotations: Some(annotations), ..ObjectMeta::default() };
        PodTemplateSpec { metadata: Some(metadata), spec: Some(spec) }
    }

    /// As much as the limit is asked for, too: the box had as much to give, and autoscaling goes by what is asked for.
    fn resources(&self) -> Option<ResourceRequirements> {
        let memory = self.memory.map(|memory| ("memory", unit::memory(memory)));
        let cpu = self.cpu.map(|cpu| ("cpu", unit::cpu(cpu)));
        let limits: BTreeMap<String, Quantity> =
            cpu.into_iter().chain(memory).map(|(name, quantity)| (name.to_owned(), quantity)).collect();
        (!limits.is_empty()).then(|| ResourceRequirements {
            requests: Some(limits.clone()),
            limits: Some(limits),
            ..ResourceRequirements::default()
        })
    }

    /// The object that has such a pod at this JSON pointer, with what is said of it.
    pub(super) fn commented(&self, mut object: Object, at: &str, user: &User) -> Object {
        let spec = |part: &str| format!("{at}/spec/{part}");
        // Said of what runs on, and not again of each job.
        if !self.runs_once {
            let hash = HASH_ANNOTATION.replace('/', "~1");
            object = object
                .comment(
                    &format!("{at}/metadata/annotations/{hash}"),
                    "a change of the config replaces the pods; it tells nothing of secrets, of which a new one makes a new release",
                )
                .comment(
                    &spec("shareProcessNamespace"),
                    "as on the box, an init is process 1, so SIGTERM ends an app that has no handler for it",
                );
        }
        if self.memory.is_some() || self.cpu.is_some() {
            object = object.comment(
                &spec("containers/0/resources"),
                "asked for as much as the limit, as the box had it to give; ask for less where nodes are full",
            );
        }
        if *user == User::Root {
            object = object.comment(
                &spec("containers/0/securityContext/capabilities"),
                "the image starts as root: it keeps what is needed to give that up",
            );
        }
        let sysctls = spec("securityContext/sysctls");
        if object.value.pointer(&sysctls).is_some() {
            object = object.comment(&sysctls, "a port below 1024 without root, as Docker lets it");
        }
        object
    }
}

/// As they are to arrive: Kubernetes puts variables into the arguments of containers and probes, and makes `$$` one `$`.
pub(super) fn escaped(argv: &[String]) -> Vec<String> {
    argv.iter().map(|argument| escape(argument)).collect()
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        escaped.push(character);
        if character == '$' && matches!(characters.peek(), Some('(' | '$')) {
            escaped.push('$');
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As `third_party/forked/golang/expansion` of Kubernetes has it, without any variable.
    fn expanded(text: &str) -> String {
        let mut expanded = String::new();
        let mut rest = text;
        while let Some(at) = rest.find('$') {
            expanded.push_str(&rest[..at]);
            rest = &rest[at + 1..];
            match rest.chars().next() {
                Some('$') => {
                    expanded.push('$');
                    rest = &rest[1..];
                }
                Some('(') => {
                    if let Some(end) = rest.find(')') {
                        expanded.push_str("<a variable>");
                        rest = &rest[end + 1..];
                    } else {
                        expanded.push('$');
                    }
                }
                _ => expanded.push('$'),
            }
        }
        expanded + rest
    }

    #[test]
    fn what_looks_like_a_variable_of_kubernetes_is_left_to_the_shell() {
        for text in ["echo $(date)", "kill $$", "$$(X)", "$$$", "$HOME ${A} $1", "$(", "a$", "", "$$$$((1))"]
        {
            assert_eq!(expanded(&escape(text)), text);
        }
        assert_eq!(escape("echo $(date) $HOME"), "echo $$(date) $HOME");
    }
}
