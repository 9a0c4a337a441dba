//! What is refused of kinds other than Deployments, rule by rule.

use expect_test::expect;
use serde_json::json;

use super::*;

#[test]
fn stateful_sets_have_rules() {
    let base = json!({
        "apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": { "name": "shop" },
        "spec": {
            "serviceName": "shop",
            "selector": { "matchLabels": { "app": "shop" } },
            "template": {
                "metadata": { "labels": { "app": "shop" } },
                "spec": { "containers": [{ "name": "web", "image": "x", "volumeMounts": [{ "name": "data", "mountPath": "/data" }] }] },
            },
            "volumeClaimTemplates": [{
                "metadata": { "name": "data" },
                "spec": { "accessModes": ["ReadWriteOnce"], "resources": { "requests": { "storage": "1Gi" } } },
            }],
        },
    });
    broken(
        &base,
        &[
            ("/metadata/name", json!("s".repeat(53))),
            ("/spec/serviceName", Value::Null),
            ("/spec/podManagementPolicy", json!("Any")),
            ("/spec/replicas", json!(-1)),
            ("/spec/volumeClaimTemplates", json!([])),
            ("/spec/volumeClaimTemplates/0/metadata/name", json!("Data")),
            ("/spec/volumeClaimTemplates/0/spec/accessModes", json!([])),
            ("/spec/volumeClaimTemplates/0/spec/accessModes/0", json!("ReadWrite")),
            ("/spec/volumeClaimTemplates/0/spec/resources/requests/storage", json!("0")),
        ],
        &expect![[r#"
            StatefulSet `sssssssssssssssssssssssssssssssssssssssssssssssssssss`: `metadata.name` has 53 characters; at most 52
            StatefulSet `shop`: `spec.serviceName` is missing
            StatefulSet `shop`: `spec.podManagementPolicy` is `Any`; one of `OrderedReady`, `Parallel`
            StatefulSet `shop`: `spec.replicas` is -1; at least 0
            StatefulSet `shop`: `spec.template.spec.containers[0].volumeMounts[0].name` is `data`, which is no volume of the pod
            StatefulSet `shop`: `spec.volumeClaimTemplates[0].metadata.name` is missing, or not 1-63 lower-case letters, digits and `-`, beginning and ending with a letter or digit
            StatefulSet `shop`: `spec.template.spec.containers[0].volumeMounts[0].name` is `data`, which is no volume of the pod
            StatefulSet `shop`: `spec.volumeClaimTemplates[0].spec.accessModes` is empty; at least one
            StatefulSet `shop`: `spec.volumeClaimTemplates[0].spec.accessModes[0]` is `ReadWrite`; one of `ReadOnlyMany`, `ReadWriteMany`, `ReadWriteOnce`, `ReadWriteOncePod`
            StatefulSet `shop`: `spec.volumeClaimTemplates[0].spec.resources.requests.storage` is missing, or not more than 0
        "#]],
    );
    let mut newer = base;
    put(&mut newer, "/spec/serviceName", Value::Null);
    assert_eq!(told(newer, Version { major: 1, minor: 33 }), "");
}

#[test]
fn jobs_have_rules() {
    let job = json!({
        "backoffLimit": 0,
        "template": { "spec": { "restartPolicy": "Never", "containers": [{ "name": "job", "image": "x" }] } },
    });
    let base = json!({
        "apiVersion": "batch/v1", "kind": "CronJob", "metadata": { "name": "report" },
        "spec": { "schedule": "0 3 * * *", "timeZone": "Europe/Berlin", "jobTemplate": { "spec": job } },
    });
    broken(
        &base,
        &[
            ("/metadata/name", json!("r".repeat(53))),
            ("/spec/schedule", json!("0 0 3 * * *")),
            ("/spec/schedule", json!("* * * * 7")),
            ("/spec/schedule", json!("TZ=UTC 0 3 * * *")),
            ("/spec/schedule", json!("@often")),
            ("/spec/timeZone", json!("Europe/Berln")),
            ("/spec/timeZone", json!("Local")),
            ("/spec/concurrencyPolicy", json!("Maybe")),
            ("/spec/startingDeadlineSeconds", json!(-1)),
            ("/spec/jobTemplate/spec/backoffLimit", json!(-1)),
            ("/spec/jobTemplate/spec/template/spec/restartPolicy", json!("Always")),
            ("/spec/jobTemplate/spec/selector", json!({ "matchLabels": { "a": "b" } })),
        ],
        &expect![[r#"
            CronJob `rrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrr`: `metadata.name` has 53 characters; at most 52
            CronJob `report`: `spec.schedule` is `0 0 3 * * *`, which has 6 fields; it takes 5
            CronJob `report`: `spec.schedule` is `* * * * 7`, of which `7` is no day of the week
            CronJob `report`: `spec.schedule` names a time zone; that is `timeZone`'s
            CronJob `report`: `spec.schedule` is `@often`, which is no word for a time
            CronJob `report`: `spec.timeZone` is `Europe/Berln`, which is no time zone such as `Europe/Berlin`
            CronJob `report`: `spec.timeZone` is `Local`, which is no time zone such as `Europe/Berlin`
            CronJob `report`: `spec.concurrencyPolicy` is `Maybe`; one of `Allow`, `Forbid`, `Replace`
            CronJob `report`: `spec.startingDeadlineSeconds` is -1; at least 0
            CronJob `report`: `spec.jobTemplate.spec.backoffLimit` is -1; at least 0
            CronJob `report`: `spec.jobTemplate.spec.template.spec.restartPolicy` has to be `Never` or `OnFailure` in a job
            CronJob `report`: `spec.jobTemplate.spec.selector` is made by the server
        "#]],
    );
    let named = |name: &str| {
        let value =
            json!({ "apiVersion": "batch/v1", "kind": "Job", "metadata": { "name": name }, "spec": job });
        told(value, OLDEST)
    };
    assert_eq!(named(&"j".repeat(63)), "");
    assert_ne!(named(&"j".repeat(64)), "", "the pods' label would be too long");
}

#[test]
fn data_has_rules() {
    broken(
        &json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "shop" }, "data": { "A": "b" } }),
        &[
            ("/data/a b", json!("x")),
            ("/data/A", json!(1)),
            ("/binaryData", json!({ "A": "eA==" })),
            ("/data/B", json!("x".repeat(1_100_000))),
        ],
        &expect![[r#"
            ConfigMap `shop`: `data[a b]` is no key that can be; 1-253 letters, digits, `-`, `_` and `.`, and neither `.` nor `..`
            ConfigMap `shop`: `data[A]` is a number; it takes a string
            ConfigMap `shop`: `binaryData[A]` is in `data` as well
            ConfigMap `shop`: holds 1100001 bytes; at most 1048576
        "#]],
    );
    broken(
        &json!({ "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "shop" }, "type": "Opaque", "data": { "A": "eA==" } }),
        &[
            ("/data/A", json!("hunter2!")),
            ("/stringData", json!({ "a/b": "hunter2" })),
            ("/type", json!("kubernetes.io/tls")),
        ],
        &expect![[r#"
            Secret `shop`: `data[A]` is not base64
            Secret `shop`: `stringData[a/b]` is no key that can be; 1-253 letters, digits, `-`, `_` and `.`, and neither `.` nor `..`
            Secret `shop`: `data` has no `tls.crt`, which a Secret of the type `kubernetes.io/tls` has
            Secret `shop`: `data` has no `tls.key`, which a Secret of the type `kubernetes.io/tls` has
        "#]],
    );
}

#[test]
fn services_and_ingresses_have_rules() {
    broken(
        &json!({
            "apiVersion": "v1", "kind": "Service", "metadata": { "name": "shop" },
            "spec": { "selector": { "app": "shop" }, "ports": [{ "name": "http", "port": 80, "targetPort": "http" }] },
        }),
        &[
            ("/metadata/name", json!("1shop")),
            ("/spec/ports", json!([])),
            ("/spec/ports/0/port", json!(0)),
            ("/spec/ports/0/targetPort", json!("HTTP")),
            ("/spec/ports/-", json!({ "port": 81 })),
            ("/spec/ports/-", json!({ "name": "http", "port": 81 })),
            ("/spec/ports/-", json!({ "name": "again", "port": 80 })),
            ("/spec/type", json!("Internal")),
            ("/spec/type", json!("ExternalName")),
            ("/spec/selector/app", json!("a b")),
        ],
        &expect![[r#"
            Service `1shop`: `metadata.name` is `1shop`; 1-63 lower-case letters, digits and `-`, beginning with a letter and not ending with `-`
            Service `shop`: `spec.ports` is empty
            Service `shop`: `spec.ports[0].port` is 0, which is no port; 1 to 65535
            Service `shop`: `spec.ports[0].targetPort` is `HTTP`, which is no name of a port; 1-15 lower-case letters, digits and single `-` between them, with a letter among them
            Service `shop`: `spec.ports[1].name` is missing; of several ports each has one
            Service `shop`: `spec.ports[1].name` is `http`, as that of another port
            Service `shop`: `spec.ports[1]` has the `port` and `protocol` of another one, 80 and "TCP"
            Service `shop`: `spec.type` is `Internal`; one of `ClusterIP`, `ExternalName`, `LoadBalancer`, `NodePort`
            Service `shop`: `spec.externalName` is missing, or no name; 1-253 lower-case letters, digits, `-` and `.`, each part beginning and ending with a letter or digit
            Service `shop`: `spec.selector[app]` is `a b`; at most 63 letters, digits, `-`, `_` and `.`, beginning and ending with a letter or digit
        "#]],
    );
    let path = json!({ "path": "/", "pathType": "Prefix", "backend": { "service": { "name": "shop", "port": { "name": "http" } } } });
    broken(
        &json!({
            "apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": { "name": "shop" },
            "spec": { "rules": [{ "host": "*.example.com", "http": { "paths": [path] } }], "tls": [{ "hosts": ["example.com"], "secretName": "shop-tls" }] },
        }),
        &[
            ("/spec/rules", json!([])),
            ("/spec/rules/0/host", json!("Example.com")),
            ("/spec/rules/0/host", json!("10.0.0.1")),
            ("/spec/tls/0/hosts/0", json!("a_b.com")),
            ("/spec/tls/0/secretName", json!("A")),
            ("/spec/rules/0/http/paths/0/path", json!("up")),
            ("/spec/rules/0/http/paths/0/path", json!("/a//b")),
            ("/spec/rules/0/http/paths/0/pathType", json!("Regex")),
            ("/spec/rules/0/http/paths/0/backend", json!({})),
            ("/spec/rules/0/http/paths/0/backend/service/port", json!({ "name": "http", "number": 80 })),
            ("/spec/rules/0/http/paths/0/backend/service/port", Value::Null),
            ("/spec/ingressClassName", json!("Nginx")),
        ],
        &expect![[r#"
            Ingress `shop`: `spec` has neither `rules` nor a `defaultBackend`
            Ingress `shop`: `spec.rules[0].host` is `Example.com`, which is no host; a DNS name in lower case, or `*.` and one
            Ingress `shop`: `spec.rules[0].host` is `10.0.0.1`, which is no host; a DNS name in lower case, or `*.` and one
            Ingress `shop`: `spec.tls[0].hosts[0]` is `a_b.com`, which is no host; a DNS name in lower case, or `*.` and one
            Ingress `shop`: `spec.tls[0].secretName` is `A`; 1-253 lower-case letters, digits, `-` and `.`, each part beginning and ending with a letter or digit
            Ingress `shop`: `spec.rules[0].http.paths[0].path` is `up`; it begins with `/`
            Ingress `shop`: `spec.rules[0].http.paths[0].path` is `/a//b`; it has no `//`
            Ingress `shop`: `spec.rules[0].http.paths[0].pathType` is `Regex`; one of `Exact`, `ImplementationSpecific`, `Prefix`
            Ingress `shop`: `spec.rules[0].http.paths[0].backend` has none of `resource`, `service`; it takes one
            Ingress `shop`: `spec.rules[0].http.paths[0].backend.service.port` has `name`, `number`; it takes one of them
            Ingress `shop`: `spec.rules[0].http.paths[0].backend.service.port` is missing
            Ingress `shop`: `spec.ingressClassName` is `Nginx`; 1-253 lower-case letters, digits, `-` and `.`, each part beginning and ending with a letter or digit
        "#]],
    );
}

#[test]
fn policies_and_endpoints_have_rules() {
    broken(
        &json!({
            "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": { "name": "shop" },
            "spec": {
                "podSelector": {}, "policyTypes": ["Ingress", "Egress"],
                "ingress": [{ "from": [{ "podSelector": {} }], "ports": [{ "port": 80 }] }],
                "egress": [{ "to": [{ "ipBlock": { "cidr": "0.0.0.0/0", "except": ["10.0.0.0/8"] } }] }],
            },
        }),
        &[
            ("/spec/policyTypes/0", json!("In")),
            ("/spec/policyTypes", json!(["Ingress"])),
            ("/spec/ingress/0/from/0", json!({})),
            ("/spec/ingress/0/from/0/ipBlock", json!({ "cidr": "10.0.0.0/8" })),
            ("/spec/ingress/0/ports/0/port", json!("Web")),
            ("/spec/ingress/0/ports/0/endPort", json!(79)),
            ("/spec/ingress/0/ports/0/protocol", json!("ICMP")),
            ("/spec/egress/0/to/0/ipBlock/cidr", json!("10.0.0.0")),
            ("/spec/egress/0/to/0/ipBlock/except/0", json!("::/0")),
        ],
        &expect![[r#"
            NetworkPolicy `shop`: `spec.policyTypes[0]` is `In`; one of `Egress`, `Ingress`
            NetworkPolicy `shop`: `spec.egress` is of no effect, as `policyTypes` does not have `Egress`
            NetworkPolicy `shop`: `spec.ingress[0].from[0]` names nobody; it takes `ipBlock`, `namespaceSelector` or `podSelector`
            NetworkPolicy `shop`: `spec.ingress[0].from[0].ipBlock` goes with no selector
            NetworkPolicy `shop`: `spec.ingress[0].ports[0].port` is `Web`, which is no name of a port; 1-15 lower-case letters, digits and single `-` between them, with a letter among them
            NetworkPolicy `shop`: `spec.ingress[0].ports[0].endPort` is 79; it is not less than `port`, a number
            NetworkPolicy `shop`: `spec.ingress[0].ports[0].protocol` is `ICMP`; one of `SCTP`, `TCP`, `UDP`
            NetworkPolicy `shop`: `spec.egress[0].to[0].ipBlock.cidr` is no network such as `10.0.0.0/8`
            NetworkPolicy `shop`: `spec.egress[0].to[0].ipBlock.except[0]` is no network within `cidr`
            NetworkPolicy `shop`: `spec.egress[0].to[0].ipBlock.except[0]` is no network within `cidr`
        "#]],
    );
    broken(
        &json!({
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "metadata": { "name": "shop" },
            "addressType": "IPv4", "endpoints": [{ "addresses": ["10.0.0.1"] }], "ports": [{ "port": 80 }],
        }),
        &[
            ("/addressType", json!("Any")),
            ("/addressType", json!("IPv6")),
            ("/endpoints/0/addresses/0", json!("127.0.0.1")),
            ("/endpoints/0/addresses", json!([])),
            ("/ports/0/port", json!(0)),
        ],
        &expect![[r#"
            EndpointSlice `shop`: `addressType` is `Any`; one of `FQDN`, `IPv4`, `IPv6`
            EndpointSlice `shop`: `endpoints[0].addresses[0]` is `10.0.0.1`, which is no address of the `addressType` that pods may reach
            EndpointSlice `shop`: `endpoints[0].addresses[0]` is `127.0.0.1`, which is no address of the `addressType` that pods may reach
            EndpointSlice `shop`: `endpoints[0].addresses` is empty
            EndpointSlice `shop`: `ports[0].port` is 0, which is no port; 1 to 65535
        "#]],
    );
}

#[test]
fn scaling_has_rules() {
    broken(
        &json!({
            "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": { "name": "shop" },
            "spec": {
                "scaleTargetRef": { "apiVersion": "apps/v1", "kind": "Deployment", "name": "shop" },
                "minReplicas": 2, "maxReplicas": 5,
                "metrics": [{ "type": "Resource", "resource": { "name": "cpu", "target": { "type": "Utilization", "averageUtilization": 70 } } }],
                "behavior": { "scaleDown": { "stabilizationWindowSeconds": 300, "policies": [{ "type": "Percent", "value": 100, "periodSeconds": 15 }] } },
            },
        }),
        &[
            ("/spec/minReplicas", json!(6)),
            ("/spec/minReplicas", json!(0)),
            ("/spec/scaleTargetRef/name", json!("")),
            ("/spec/metrics/0/type", json!("Pods")),
            ("/spec/metrics/0/type", json!("Cpu")),
            ("/spec/metrics/0/resource/target/type", json!("AverageValue")),
            ("/spec/metrics/0/resource/target/averageUtilization", json!(0)),
            ("/spec/metrics/0/resource/target/value", json!("0")),
            ("/spec/behavior/scaleDown/stabilizationWindowSeconds", json!(4000)),
            ("/spec/behavior/scaleDown/policies", json!([])),
            ("/spec/behavior/scaleDown/policies/0/periodSeconds", json!(0)),
            ("/spec/behavior/scaleDown/policies/0/value", json!(0)),
            ("/spec/behavior/scaleDown/tolerance", json!("0.1")),
        ],
        &expect![[r#"
            HorizontalPodAutoscaler `shop`: `spec.maxReplicas` is 5, less than `minReplicas`, 6
            HorizontalPodAutoscaler `shop`: `spec.minReplicas` is 0; at least 1
            HorizontalPodAutoscaler `shop`: `spec.scaleTargetRef.name` is missing
            HorizontalPodAutoscaler `shop`: `spec.metrics[0].pods` is missing, which `type` says
            HorizontalPodAutoscaler `shop`: `spec.metrics[0].type` is `Cpu`; one of `ContainerResource`, `External`, `Object`, `Pods`, `Resource`
            HorizontalPodAutoscaler `shop`: `spec.metrics[0].resource.target.averageValue` is missing, which `type` says
            HorizontalPodAutoscaler `shop`: `spec.metrics[0].resource.target.averageUtilization` is 0; at least 1
            HorizontalPodAutoscaler `shop`: `spec.metrics[0].resource.target` has `averageUtilization`, `value`; it takes one of them
            HorizontalPodAutoscaler `shop`: `spec.metrics[0].resource.target.value` has to be more than 0
            HorizontalPodAutoscaler `shop`: `spec.behavior.scaleDown.stabilizationWindowSeconds` is 4000; 0 to 3600
            HorizontalPodAutoscaler `shop`: `spec.behavior.scaleDown.policies` is empty
            HorizontalPodAutoscaler `shop`: `spec.behavior.scaleDown.policies[0].periodSeconds` is 0; 1 to 1800
            HorizontalPodAutoscaler `shop`: `spec.behavior.scaleDown.policies[0].value` is 0; at least 1
            HorizontalPodAutoscaler `shop`: `spec.behavior.scaleDown.tolerance` is known since Kubernetes 1.33, and this is for 1.30
        "#]],
    );
    broken(
        &json!({
            "apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": { "name": "shop" },
            "spec": { "maxUnavailable": 1, "selector": { "matchLabels": { "app": "shop" } } },
        }),
        &[
            ("/spec/minAvailable", json!(1)),
            ("/spec/maxUnavailable", json!("one")),
            ("/spec/maxUnavailable", Value::Null),
        ],
        &expect![[r#"
            PodDisruptionBudget `shop`: `spec` has `maxUnavailable`, `minAvailable`; it takes one of them
            PodDisruptionBudget `shop`: `spec.maxUnavailable` is `one`; a number, or a percentage such as `25%`
            PodDisruptionBudget `shop`: `spec` has none of `maxUnavailable`, `minAvailable`; it takes one
        "#]],
    );
}

#[test]
fn kinds_of_others_have_rules() {
    broken(
        &json!({
            "apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "metadata": { "name": "shop" },
            "spec": {
                "parentRefs": [{ "name": "web" }], "hostnames": ["shop.example.com"],
                "rules": [{
                    "matches": [{ "path": { "type": "PathPrefix", "value": "/" } }],
                    "filters": [{ "type": "URLRewrite", "urlRewrite": { "path": { "type": "ReplacePrefixMatch", "replacePrefixMatch": "/" } } }],
                    "backendRefs": [{ "name": "shop", "port": 80 }],
                }],
            },
        }),
        &[
            ("/spec", Value::Null),
            ("/spec/parentRefs", json!([])),
            ("/spec/hosts", json!([])),
            ("/spec/hostnames/0", json!("10.0.0.1")),
            ("/spec/rules/0/matches/0/path/value", json!("up")),
            ("/spec/rules/0/filters/0/type", json!("Rewrite")),
            ("/spec/rules/0/filters/0/type", json!("RequestMirror")),
            ("/spec/rules/0/filters/0", json!({ "type": "RequestRedirect", "requestRedirect": {} })),
            ("/spec/rules/0/backendRefs/0/port", Value::Null),
        ],
        &expect![[r#"
            HTTPRoute `shop`: `spec` is missing
            HTTPRoute `shop`: `spec.parentRefs` is empty; the route would belong to no Gateway
            HTTPRoute `shop`: `spec.hosts` is no field that there is
            HTTPRoute `shop`: `spec.hostnames[0]` is `10.0.0.1`, which is no host
            HTTPRoute `shop`: `spec.rules[0].matches[0].path.value` has to begin with `/`
            HTTPRoute `shop`: `spec.rules[0].filters[0].type` is `Rewrite`, which is no filter
            HTTPRoute `shop`: `spec.rules[0].filters[0].requestMirror` is missing, which `type` says
            HTTPRoute `shop`: `spec.rules[0].filters` has a redirect, which goes with neither a rewrite nor a backend
            HTTPRoute `shop`: `spec.rules[0].backendRefs[0].port` is missing
        "#]],
    );
    broken(
        &json!({
            "apiVersion": "external-secrets.io/v1", "kind": "ExternalSecret", "metadata": { "name": "shop" },
            "spec": { "secretStoreRef": { "name": "vault" }, "data": [{ "secretKey": "A", "remoteRef": { "key": "shop" } }] },
        }),
        &[
            ("/spec/secretStoreRef", Value::Null),
            ("/spec/data/0/secretKey", json!("a b")),
            ("/spec/data/0/remoteRef", Value::Null),
        ],
        &expect![[r#"
            ExternalSecret `shop`: `spec.secretStoreRef.name` is missing
            ExternalSecret `shop`: `spec.data[0].secretKey` is `a b`; 1-253 letters, digits, `-`, `_` and `.`, and neither `.` nor `..`
            ExternalSecret `shop`: `spec.data[0].remoteRef.key` is missing
        "#]],
    );
    broken(
        &json!({
            "apiVersion": "bitnami.com/v1alpha1", "kind": "SealedSecret", "metadata": { "name": "shop" },
            "spec": { "encryptedData": { "A": "eA==" } },
        }),
        &[("/spec/encryptedData/A", json!("x")), ("/spec/encryptedData/a b", json!("eA=="))],
        &expect![[r#"
            SealedSecret `shop`: `spec.encryptedData[A]` is not base64
            SealedSecret `shop`: `spec.encryptedData[a b]` is no key that can be; 1-253 letters, digits, `-`, `_` and `.`, and neither `.` nor `..`
        "#]],
    );
    broken(
        &json!({
            "apiVersion": "traefik.io/v1alpha1", "kind": "Middleware", "metadata": { "name": "shop" },
            "spec": { "stripPrefix": { "prefixes": ["/api"] } },
        }),
        &[("/spec/compress", json!({})), ("/spec", json!({}))],
        &expect![[r#"
            Middleware `shop`: `spec` is 2 things; a middleware is one
            Middleware `shop`: `spec` is 0 things; a middleware is one
        "#]],
    );
    broken(
        &json!({
            "apiVersion": "traefik.io/v1alpha1", "kind": "ServersTransport", "metadata": { "name": "shop" },
            "spec": { "forwardingTimeouts": { "dialTimeout": "3s" } },
        }),
        &[("/spec/timeout", json!("3s")), ("/spec/forwardingTimeouts/dial", json!("3s"))],
        &expect![[r#"
            ServersTransport `shop`: `spec.timeout` is no field that there is
            ServersTransport `shop`: `spec.forwardingTimeouts.dial` is no field that there is
        "#]],
    );
    broken(
        &json!({
            "apiVersion": "traefik.io/v1alpha1", "kind": "TLSOption", "metadata": { "name": "shop" },
            "spec": { "clientAuth": { "secretNames": ["ca"], "clientAuthType": "RequireAndVerifyClientCert" } },
        }),
        &[("/spec/clients", json!({})), ("/spec/clientAuth/clientAuthType", json!("Require"))],
        &expect![[r#"
            TLSOption `shop`: `spec.clients` is no field that there is
            TLSOption `shop`: `spec.clientAuth.clientAuthType` is `Require`; one of `NoClientCert`, `RequestClientCert`, `RequireAndVerifyClientCert`, `RequireAnyClientCert`, `VerifyClientCertIfGiven`
        "#]],
    );
}
