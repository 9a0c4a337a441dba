//! `minipaas export --apply`, `--diff` and `--dry-run=server`: the export to a cluster, instead of to files.
//!
//! [`crate::kubernetes`] does it; here is what is asked for, how it is told, and what Ctrl-C means: the command ends, and what was applied
//! stays. Standard output has the result alone: where the apps are reached, the diff, or what would change.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use clap::{Args, ValueEnum};
use serde::Serialize;

use super::Session;
use super::failure::{Failure, Kind};
use super::interrupt::Interrupts;
use super::output::{Output, Table, count};
use super::progress::ProgressView;
use crate::export::{Export, Object};
use crate::kubernetes::{
    ApplyError, Change, Cluster, Options, Outcome, Plan, Progress, Target, kubeconfig_paths,
};

/// How an export goes to a cluster.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Apply")]
pub(crate) struct ApplyArgs {
    /// Apply the export to a cluster, wait until it runs, and delete what an earlier export made and this one does not
    #[arg(long)]
    pub(crate) apply: bool,
    /// Print what applying would change in the cluster, and change nothing
    #[arg(long, conflicts_with = "apply")]
    pub(crate) diff: bool,
    /// List what applying would do, as the cluster itself says, and change nothing
    #[arg(
        long,
        value_name = "WHO",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "server",
        conflicts_with_all = ["apply", "diff"]
    )]
    pub(crate) dry_run: Option<DryRun>,
    /// The context of the kubeconfig [default: its current one]
    #[arg(long, value_name = "NAME")]
    pub(crate) context: Option<String>,
    /// Take over fields that somebody else has set in the cluster
    #[arg(long)]
    pub(crate) force_conflicts: bool,
    /// Delete volume claims that are not in the export any more, with the data in them
    #[arg(long)]
    pub(crate) prune_volumes: bool,
}

/// Who says what applying would do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum DryRun {
    /// The cluster's API server.
    Server,
}

/// Tells of an apply, and counts.
struct Telling {
    view: Mutex<ProgressView>,
    done: AtomicUsize,
}

/// An apply, or what one would do, as JSON.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct ApplyResult<'a> {
    context: &'a str,
    namespace: &'a str,
    changes: Vec<ChangeResult<'a>>,
    urls: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    diff: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct ChangeResult<'a> {
    kind: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    namespace: Option<&'a str>,
    name: &'a str,
    outcome: String,
}

// === impl ApplyArgs ===

impl ApplyArgs {
    /// Whether a cluster is meant, not files.
    pub(crate) fn is_wanted(&self) -> bool {
        self.apply || self.diff || self.dry_run.is_some()
    }

    /// Flags that say something about a cluster where none is meant.
    pub(crate) fn check(&self) -> Result<(), Failure> {
        let flags = [
            ("--context", self.context.is_some()),
            ("--force-conflicts", self.force_conflicts),
            ("--prune-volumes", self.prune_volumes),
        ];
        match flags.into_iter().find(|(_, is_given)| *is_given).filter(|_| !self.is_wanted()) {
            Some((flag, _)) => Err(Failure::usage(format!(
                "`{flag}` is about a cluster; it goes with `--apply`, `--diff` or `--dry-run=server`"
            ))),
            None => Ok(()),
        }
    }

    fn options(&self) -> Options {
        Options { force_conflicts: self.force_conflicts, prune_volumes: self.prune_volumes }
    }
}

/// Applies the export, or says what that would do. `namespace` is that of objects which do not say theirs.
pub(crate) async fn apply(
    session: &Session,
    export: &Export,
    namespace: Option<&str>,
    args: &ApplyArgs,
    interrupts: &mut Interrupts,
) -> Result<(), Failure> {
    let env = &session.env;
    let target = Target {
        kubeconfig: kubeconfig_paths(env.get("KUBECONFIG"), env.get("HOME")),
        context: args.context.clone(),
        namespace: namespace.map(str::to_owned),
    };
    let planned = async {
        let cluster = Cluster::connect(&target).await?;
        let plan = cluster.plan(&export.objects, args.options()).await?;
        Ok::<_, Failure>((cluster, plan))
    };
    let untouched = || Failure::interrupted("interrupted before anything was changed in the cluster");
    let (cluster, plan) = interrupts.or(planned, untouched).await?;
    if !args.apply {
        return print_plan(session.out, &cluster, &plan, &export.objects, args.diff);
    }
    let changes = plan.changes();
    let telling = Telling { view: Mutex::new(ProgressView::new(session.out)), done: AtomicUsize::new(0) };
    let applied = async { Ok(cluster.apply(&plan, &telling).await) };
    let interrupted = || {
        telling.view().abandon();
        telling.left_off(Failure::interrupted("interrupted"), changes.len())
    };
    match interrupts.or(applied, interrupted).await? {
        Ok(applied) => {
            telling.view().finish();
            print_applied(session.out, &cluster, &applied.changes, &export.objects)
        }
        Err(error) => {
            telling.view().fail();
            Err(telling.left_off(error.into(), changes.len()))
        }
    }
}

fn print_applied(
    out: Output,
    cluster: &Cluster,
    changes: &[Change],
    objects: &[Object],
) -> Result<(), Failure> {
    let urls = urls(objects);
    if out.is_json() {
        out.json(&result(cluster, changes, urls, None))?;
        return Ok(());
    }
    out.notice(format_args!("applied to {}: {}", place(cluster), summary(changes)));
    for kept in changes.iter().filter(|change| change.outcome == Outcome::Kept) {
        out.notice(format_args!(
            "{} is not in the export any more, and stays with its data; `--prune-volumes` deletes it",
            kept.object
        ));
    }
    for url in urls {
        out.line(url)?;
    }
    Ok(())
}

fn print_plan(
    out: Output,
    cluster: &Cluster,
    plan: &Plan,
    objects: &[Object],
    wants_diff: bool,
) -> Result<(), Failure> {
    let changes = plan.changes();
    if out.is_json() {
        let diff = wants_diff.then(|| plan.diff());
        out.json(&result(cluster, &changes, urls(objects), diff))?;
        return Ok(());
    }
    if wants_diff {
        out.bytes(plan.diff().as_bytes())?;
    } else {
        let mut table = Table::new(["OBJECT", "NAME", "WOULD BE"]);
        for change in &changes {
            let Change { object, outcome } = change;
            table.row([object.kind.clone(), object.name.clone(), outcome.to_string()]);
        }
        out.table(&table)?;
    }
    out.notice(format_args!("nothing was changed in {}: {}", place(cluster), summary(&changes)));
    Ok(())
}

fn place(cluster: &Cluster) -> String {
    format!("namespace `{}` of context `{}`", cluster.namespace(), cluster.context())
}

/// `3 created, 1 changed`.
fn summary(changes: &[Change]) -> String {
    let mut counts: BTreeMap<Outcome, usize> = BTreeMap::new();
    for change in changes {
        *counts.entry(change.outcome).or_default() += 1;
    }
    let counts = counts.into_iter().map(|(outcome, count)| format!("{count} {outcome}"));
    counts.collect::<Vec<_>>().join(", ")
}

fn result<'a>(
    cluster: &'a Cluster,
    changes: &'a [Change],
    urls: Vec<String>,
    diff: Option<String>,
) -> ApplyResult<'a> {
    let changes = changes.iter().map(|change| ChangeResult {
        kind: &change.object.kind,
        namespace: change.object.namespace.as_deref(),
        name: &change.object.name,
        outcome: change.outcome.to_string(),
    });
    let (context, namespace) = (cluster.context(), cluster.namespace());
    ApplyResult { context, namespace, changes: changes.collect(), urls, diff }
}

/// Where the apps are reached: the hosts of Ingresses and HTTPRoutes, each once.
fn urls(objects: &[Object]) -> Vec<String> {
    let mut urls: Vec<String> = Vec::new();
    let mut add = |scheme: &str, host: &str| {
        let url = format!("{scheme}://{host}");
        if !host.is_empty() && !urls.contains(&url) {
            urls.push(url);
        }
    };
    for object in objects {
        let spec = &object.value["spec"];
        let texts = |list: &serde_json::Value| -> Vec<String> {
            list.as_array()
                .into_iter()
                .flatten()
                .filter_map(|text| text.as_str().map(str::to_owned))
                .collect()
        };
        match object.kind() {
            "Ingress" => {
                let tls = spec["tls"].as_array().into_iter().flatten();
                let secure: Vec<String> = tls.flat_map(|tls| texts(&tls["hosts"])).collect();
                for rule in spec["rules"].as_array().into_iter().flatten() {
                    let host = rule["host"].as_str().unwrap_or_default();
                    add(if secure.iter().any(|known| known == host) { "https" } else { "http" }, host);
                }
            }
            // Whether it has a certificate is its Gateway's affair, and one without is rare.
            "HTTPRoute" => texts(&spec["hostnames"]).iter().for_each(|host| add("https", host)),
            _ => {}
        }
    }
    urls
}

// === impl Telling ===

impl Telling {
    fn view(&self) -> MutexGuard<'_, ProgressView> {
        self.view.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The failure, with what stays.
    fn left_off(&self, failure: Failure, of: usize) -> Failure {
        let done = self.done.load(Ordering::Relaxed);
        let stays = match done {
            0 => "nothing was applied yet".to_owned(),
            done => format!("{done} of {} were applied and stay", count(of, "object")),
        };
        failure.hint(format!("{stays}; `minipaas export --apply` goes on from there"))
    }
}

impl Progress for Telling {
    fn step(&self, step: &str, detail: &str) {
        self.view().step(step, detail);
    }

    fn log(&self, line: &str) {
        self.view().log(line);
    }

    fn notice(&self, text: &str) {
        self.view().notice(text);
    }

    fn done(&self, change: &Change) {
        self.done.fetch_add(1, Ordering::Relaxed);
        self.view().log(&format!("{} {}", change.object, change.outcome));
    }
}

// === impl Failure ===

impl From<ApplyError> for Failure {
    fn from(error: ApplyError) -> Self {
        let kind = match &error {
            ApplyError::NoKubeconfig { .. }
            | ApplyError::Kubeconfig(_)
            | ApplyError::UnknownContext { .. }
            | ApplyError::NoContext { .. }
            | ApplyError::Client { .. } => Kind::Usage,
            ApplyError::Unreachable { .. } => Kind::Unreachable,
            _ => Kind::Failed,
        };
        let hints = error.hints();
        let log = error.troubles().iter().find(|trouble| !trouble.log.is_empty());
        let log = log.map(|trouble| (format!("pod `{}`", trouble.pod), trouble.log.clone()));
        let causes: Vec<String> = error.troubles().iter().map(ToString::to_string).collect();
        let mut failure = match causes.split_first() {
            None => Self::new(kind, error),
            Some(_) => {
                let outermost = error.to_string();
                let mut inner = causes.into_iter().rev();
                let innermost = anyhow::anyhow!(inner.next().unwrap_or_default());
                Self::new(kind, inner.fold(innermost, anyhow::Error::context).context(outermost))
            }
        };
        if let Some((of, lines)) = log {
            failure = failure.with_log(of, lines);
        }
        hints.into_iter().fold(failure, Self::hint)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn apps_are_reached_at_their_hosts() {
        let app = "shop".parse().unwrap();
        let ingress = json!({ "kind": "Ingress", "spec": {
            "tls": [{ "hosts": ["a.example.com"] }],
            "rules": [{ "host": "a.example.com" }, { "host": "b.example.com" }, { "host": "a.example.com" }, {}],
        } });
        let route = json!({ "kind": "HTTPRoute", "spec": { "hostnames": ["c.example.com"] } });
        let objects = [ingress, route].map(|value| Object::untyped(&app, value));
        let expected = ["https://a.example.com", "http://b.example.com", "https://c.example.com"];
        assert_eq!(urls(&objects), expected);
    }
}
