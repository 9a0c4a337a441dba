//! The words that a field takes, where it takes but a few; the published schemas leave them out.

/// Type, field, words.
const ALLOWED: &[(&str, &str, &[&str])] = &[
    ("apis.meta.v1.LabelSelectorRequirement", "operator", &["In", "NotIn", "Exists", "DoesNotExist"]),
    ("apps.v1.DeploymentStrategy", "type", &["Recreate", "RollingUpdate"]),
    ("apps.v1.StatefulSetSpec", "podManagementPolicy", &["OrderedReady", "Parallel"]),
    ("apps.v1.StatefulSetUpdateStrategy", "type", &["OnDelete", "RollingUpdate"]),
    ("autoscaling.v2.HPAScalingPolicy", "type", &["Pods", "Percent"]),
    ("autoscaling.v2.HPAScalingRules", "selectPolicy", &["Max", "Min", "Disabled"]),
    ("autoscaling.v2.MetricSpec", "type", &["ContainerResource", "External", "Object", "Pods", "Resource"]),
    ("autoscaling.v2.MetricTarget", "type", &["AverageValue", "Utilization", "Value"]),
    ("batch.v1.CronJobSpec", "concurrencyPolicy", &["Allow", "Forbid", "Replace"]),
    ("core.v1.Container", "imagePullPolicy", &["Always", "IfNotPresent", "Never"]),
    ("core.v1.Container", "terminationMessagePolicy", &["FallbackToLogsOnError", "File"]),
    ("core.v1.ContainerPort", "protocol", &["SCTP", "TCP", "UDP"]),
    ("core.v1.HTTPGetAction", "scheme", &["HTTP", "HTTPS"]),
    ("core.v1.PersistentVolumeClaimSpec", "volumeMode", &["Block", "Filesystem"]),
    ("core.v1.PodSpec", "dnsPolicy", &["ClusterFirst", "ClusterFirstWithHostNet", "Default", "None"]),
    ("core.v1.PodSpec", "restartPolicy", &["Always", "Never", "OnFailure"]),
    ("core.v1.SeccompProfile", "type", &["Localhost", "RuntimeDefault", "Unconfined"]),
    ("core.v1.ServicePort", "protocol", &["SCTP", "TCP", "UDP"]),
    ("core.v1.ServiceSpec", "externalTrafficPolicy", &["Cluster", "Local"]),
    ("core.v1.ServiceSpec", "internalTrafficPolicy", &["Cluster", "Local"]),
    ("core.v1.ServiceSpec", "sessionAffinity", &["ClientIP", "None"]),
    ("core.v1.ServiceSpec", "type", &["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"]),
    ("core.v1.TopologySpreadConstraint", "whenUnsatisfiable", &["DoNotSchedule", "ScheduleAnyway"]),
    ("discovery.k8s.io/v1/EndpointSlice", "addressType", &["FQDN", "IPv4", "IPv6"]),
    ("networking.v1.HTTPIngressPath", "pathType", &["Exact", "ImplementationSpecific", "Prefix"]),
    ("networking.v1.NetworkPolicyPort", "protocol", &["SCTP", "TCP", "UDP"]),
    ("policy.v1.PodDisruptionBudgetSpec", "unhealthyPodEvictionPolicy", &["AlwaysAllow", "IfHealthyBudget"]),
];

/// The words that this field of this type takes; `None`: any.
pub(super) fn allowed(of: &str, field: &str) -> Option<&'static [&'static str]> {
    let is_it = |(name, key, _): &&(&str, &str, _)| *name == of && *key == field;
    ALLOWED.iter().find(is_it).map(|(_, _, words)| *words)
}

#[cfg(test)]
mod tests {
    use super::super::schema::{Schemas, Shape};
    use super::*;

    /// A name that is mistyped here would allow everything.
    #[test]
    fn each_row_names_a_field_that_there_is() {
        let schemas = Schemas::embedded();
        let newest = schemas.versions().into_inner().1;
        for (name, key, _) in ALLOWED {
            let fields = schemas.fields(name, newest);
            let field = fields.iter().find(|field| field.name == *key);
            assert!(field.is_some_and(|field| field.shape == Shape::String), "{name} {key}");
        }
    }
}
