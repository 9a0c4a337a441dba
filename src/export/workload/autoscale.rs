//! How many pods there are: counts, HorizontalPodAutoscalers and PodDisruptionBudgets.
//!
//! The box decides by the autoscaler's own algorithm with its default behaviour, so the rule is all that is written here.

use k8s_openapi::api::autoscaling::v2::{
    CrossVersionObjectReference, HorizontalPodAutoscaler, HorizontalPodAutoscalerSpec, MetricSpec,
    MetricTarget, ResourceMetricSource,
};
use k8s_openapi::api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetSpec};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::{Draft, unit};
use crate::autoscale::{Autoscale, Target};
use crate::export::object::{NoteKind, Object, Sheet};
use crate::manifest::{MilliCpu, Process};
use crate::name::ProcessType;

/// Thousandths of a core in one percent of it.
const MILLI_PER_PERCENT: u32 = 10;

/// How many pods a process type has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Scale {
    /// So many.
    Fixed(u32),
    /// As many as an autoscaler says.
    Automatic {
        /// The fewest.
        min: u32,
        /// The most.
        max: u32,
        /// Of the CPU limit, or of one core without one, in percent.
        percent: u32,
    },
}

impl Scale {
    pub(super) fn of(process: &Process) -> Self {
        match &process.autoscale {
            // A count of 0 turns the rule off, there and here.
            Some(Autoscale { min, max, target: Target::Cpu(percent) }) if process.replicas > 0 => {
                Self::Automatic { min: *min, max: *max, percent: *percent }
            }
            Some(Autoscale { min, max, .. }) if process.replicas > 0 => {
                Self::Fixed(process.replicas.clamp(*min, *max))
            }
            _ => Self::Fixed(process.replicas),
        }
    }

    /// What the Deployment says; `None` where somebody else decides.
    pub(super) fn replicas(&self) -> Option<i32> {
        match self {
            Self::Fixed(replicas) => i32::try_from(*replicas).ok(),
            Self::Automatic { .. } => None,
        }
    }

    /// The fewest pods that there are.
    pub(super) fn least(&self) -> u32 {
        match self {
            Self::Fixed(replicas) => *replicas,
            Self::Automatic { min, .. } => *min,
        }
    }

    /// The most pods that there are.
    pub(super) fn most(&self) -> u32 {
        match self {
            Self::Fixed(replicas) => *replicas,
            Self::Automatic { max, .. } => *max,
        }
    }

    pub(super) fn is_automatic(&self) -> bool {
        matches!(self, Self::Automatic { .. })
    }
}

/// Adds an autoscaler and a budget for each process type that has a use for them.
pub(super) fn add(draft: &Draft<'_>, sheet: &mut Sheet<'_>) {
    let processes = &draft.subject.manifest.processes;
    for (name, process) in processes {
        if let Scale::Automatic { min, max, percent } = Scale::of(process) {
            sheet.add(autoscaler(draft, name, (min, max), metric(percent, process.cpu)));
        }
        note(name, process, sheet);
    }
    for (name, _) in processes.iter().filter(|(_, process)| Scale::of(process).least() > 1) {
        sheet.add(budget(draft, name));
    }
}

fn autoscaler(draft: &Draft<'_>, name: &ProcessType, (min, max): (u32, u32), metric: MetricTarget) -> Object {
    let count = |count: u32| i32::try_from(count).unwrap_or(i32::MAX);
    let deployment = draft.names.process(name);
    let comment = match metric.average_utilization {
        Some(_) => "percent of what a pod asks for (`resources.requests`), which is its limit",
        None => "percent of one core, as the process has no CPU limit that it could be a share of",
    };
    let scaler = HorizontalPodAutoscaler {
        metadata: draft.metadata(deployment.clone(), Some(name.as_str())),
        spec: Some(HorizontalPodAutoscalerSpec {
            scale_target_ref: CrossVersionObjectReference {
                api_version: Some("apps/v1".to_owned()),
                kind: "Deployment".to_owned(),
                name: deployment,
            },
            min_replicas: Some(count(min)),
            max_replicas: count(max),
            metrics: Some(vec![MetricSpec {
                type_: "Resource".to_owned(),
                resource: Some(ResourceMetricSource { name: "cpu".to_owned(), target: metric }),
                ..MetricSpec::default()
            }]),
            behavior: None,
        }),
        ..HorizontalPodAutoscaler::default()
    };
    Object::new(&draft.subject.app, &scaler).comment("/spec/metrics/0/resource/target", comment)
}

/// A share of what pods ask for needs that they ask for something.
fn metric(percent: u32, limit: Option<MilliCpu>) -> MetricTarget {
    match limit {
        Some(_) => MetricTarget {
            type_: "Utilization".to_owned(),
            average_utilization: i32::try_from(percent).ok(),
            ..MetricTarget::default()
        },
        None => MetricTarget {
            type_: "AverageValue".to_owned(),
            average_value: Some(Quantity(unit::cpu(MilliCpu(percent * MILLI_PER_PERCENT)).0)),
            ..MetricTarget::default()
        },
    }
}

/// One pod at a time goes when nodes are emptied. One that is not ready serves nobody, and must not keep a node from it.
fn budget(draft: &Draft<'_>, name: &ProcessType) -> Object {
    let budget = PodDisruptionBudget {
        metadata: draft.metadata(draft.names.process(name), Some(name.as_str())),
        spec: Some(PodDisruptionBudgetSpec {
            max_unavailable: Some(IntOrString::Int(1)),
            selector: Some(LabelSelector {
                match_labels: Some(draft.labels.selector(name.as_str())),
                match_expressions: None,
            }),
            unhealthy_pod_eviction_policy: Some("AlwaysAllow".to_owned()),
            ..PodDisruptionBudgetSpec::default()
        }),
        ..PodDisruptionBudget::default()
    };
    Object::new(&draft.subject.app, &budget)
}

fn note(name: &ProcessType, process: &Process, sheet: &mut Sheet<'_>) {
    let Some(rule) = &process.autoscale else { return };
    let what = format!("[process.{name}] autoscale");
    if process.replicas == 0 {
        let text = "off while there are 0 instances, as on the box, so no HorizontalPodAutoscaler is written";
        sheet.note(NoteKind::Changed, what, text);
        return;
    }
    match &rule.target {
        Target::Cpu(_) => sheet.note(
            NoteKind::Todo,
            what,
            "a HorizontalPodAutoscaler reads CPU from metrics-server; install it where the cluster has none",
        ),
        Target::P95(_) | Target::InFlight(_) => sheet.note(
            NoteKind::Dropped,
            what,
            format!(
                "a cluster does not measure `{}`, so there are {} pods: scale by `cpu = \"70%\"`, or by a metric of your entrance \
                 through an adapter (KEDA, prometheus-adapter)",
                rule.target.metric(),
                Scale::of(process).least()
            ),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentage_is_of_the_limit_or_of_one_core() {
        let of_limit = metric(70, Some(MilliCpu(500)));
        assert_eq!((of_limit.type_.as_str(), of_limit.average_utilization), ("Utilization", Some(70)));
        let of_core = metric(150, None);
        assert_eq!(of_core.average_value, Some(Quantity("1500m".to_owned())));
    }

    #[test]
    fn no_count_is_said_where_a_rule_decides() {
        let process = |replicas, target| Process {
            replicas,
            autoscale: Some(Autoscale { min: 2, max: 5, target }),
            ..Process::default()
        };
        let scale = Scale::of(&process(9, Target::Cpu(70)));
        assert_eq!((scale.replicas(), scale.least(), scale.most()), (None, 2, 5));
        assert_eq!(Scale::of(&process(0, Target::Cpu(70))), Scale::Fixed(0));
        assert_eq!(
            Scale::of(&process(9, Target::InFlight(3))),
            Scale::Fixed(5),
            "no more than the rule allows"
        );
    }
}
