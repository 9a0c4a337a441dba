//! Process types: Deployments, autoscalers, volumes, users.

use expect_test::expect;
use serde_json::json;

use super::{at_of, check_notes, exported, notes, object, printed, subject, web};

const CONTAINER: &str = "/spec/template/spec/containers/0";

#[test]
fn a_web_process_as_a_person_reads_it() {
    let toml = r#"
        [process.web]
        command = "node server.js"
        port = 3000
        ready = { http = "/up", interval = "2s", timeout = "3s", deadline = "30s" }
        live = { http = "/alive", interval = "10s", failures = 5 }
        replicas = 3
        memory = "256M"
        cpu = 0.5
    "#;
    let export = exported(subject(toml));
    expect![[r##"
        # /spec/template/metadata/annotations/minipaas.dev~1config-hash: a change of the config replaces the pods; it tells nothing of secrets, of which a new one makes a new release
        # /spec/template/spec/shareProcessNamespace: as on the box, an init is process 1, so SIGTERM ends an app that has no handler for it
        # /spec/template/spec/containers/0/resources: asked for as much as the limit, as the box had it to give; ask for less where nodes are full
        # /spec/template/spec/containers/0/lifecycle/preStop: 5 s until nobody sends requests, and 30 s (`drain`) for those that go on, before SIGTERM
        # /spec/template/spec/terminationGracePeriodSeconds: 5 s for endpoints, 30 s `drain`, 30 s `stop_grace`
        # /spec/progressDeadlineSeconds: 30 s to become ready, and 300 s to find a node and pull the image
        apiVersion: apps/v1
        kind: Deployment
        metadata:
          annotations:
            kubernetes.io/change-cause: "v42: deployed 1f2e3d4c"
          labels:
            app.kubernetes.io/component: web
            app.kubernetes.io/managed-by: minipaas
            app.kubernetes.io/name: shop
            app.kubernetes.io/version: v42
          name: shop
        spec:
          progressDeadlineSeconds: 330
          replicas: 3
          revisionHistoryLimit: 10
          selector:
            matchLabels:
              app.kubernetes.io/component: web
              app.kubernetes.io/name: shop
          strategy:
            rollingUpdate:
              maxSurge: 25%
              maxUnavailable: 0
            type: RollingUpdate
          template:
            metadata:
              annotations:
                minipaas.dev/config-hash: 5e63268339fc2f68
              labels:
                app.kubernetes.io/component: web
                app.kubernetes.io/managed-by: minipaas
                app.kubernetes.io/name: shop
                app.kubernetes.io/version: v42
                version: v42
            spec:
              automountServiceAccountToken: false
              containers:
              - args:
                - node
                - server.js
                env:
                - name: PORT
                  value: "3000"
                - name: MINIPAAS_PROCESS
                  value: web
                - name: MINIPAAS_INSTANCE
                  valueFrom:
                    fieldRef:
                      fieldPath: metadata.name
                envFrom:
                - configMapRef:
                    name: shop
                image: >-
                  ghcr.io/acme/shop@sha256:0000000000000000000000000000000000000000000000000000000000000000
                imagePullPolicy: IfNotPresent
                lifecycle:
                  preStop:
                    sleep:
                      seconds: 35
                livenessProbe:
                  failureThreshold: 5
                  httpGet:
                    httpHeaders:
                    - name: Host
                      value: shop
                    - name: X-Forwarded-Proto
                      value: https
                    path: /alive
                    port: http
                  periodSeconds: 10
                  timeoutSeconds: 5
                name: web
                ports:
                - containerPort: 3000
                  name: http
                  protocol: TCP
                readinessProbe:
                  failureThreshold: 3
                  httpGet:
                    httpHeaders:
                    - name: Host
                      value: shop
                    - name: X-Forwarded-Proto
                      value: https
                    path: /up
                    port: http
                  periodSeconds: 2
                  timeoutSeconds: 3
                resources:
                  limits:
                    cpu: 500m
                    memory: 256Mi
                  requests:
                    cpu: 500m
                    memory: 256Mi
                securityContext:
                  allowPrivilegeEscalation: false
                  capabilities:
                    drop:
                    - ALL
                startupProbe:
                  failureThreshold: 15
                  httpGet:
                    httpHeaders:
                    - name: Host
                      value: shop
                    - name: X-Forwarded-Proto
                      value: https
                    path: /up
                    port: http
                  periodSeconds: 2
                  timeoutSeconds: 3
              enableServiceLinks: false
              securityContext:
                runAsNonRoot: true
                runAsUser: 1000
                seccompProfile:
                  type: RuntimeDefault
              serviceAccountName: shop
              shareProcessNamespace: true
              terminationGracePeriodSeconds: 65
              topologySpreadConstraints:
              - labelSelector:
                  matchLabels:
                    app.kubernetes.io/component: web
                    app.kubernetes.io/name: shop
                maxSkew: 1
                topologyKey: kubernetes.io/hostname
                whenUnsatisfiable: ScheduleAnyway
    "##]].assert_eq(&printed(object(&export, "Deployment", "shop")));
    expect![[r#"
        apiVersion: policy/v1
        kind: PodDisruptionBudget
        metadata:
          labels:
            app.kubernetes.io/component: web
            app.kubernetes.io/managed-by: minipaas
            app.kubernetes.io/name: shop
            app.kubernetes.io/version: v42
          name: shop
        spec:
          maxUnavailable: 1
          selector:
            matchLabels:
              app.kubernetes.io/component: web
              app.kubernetes.io/name: shop
          unhealthyPodEvictionPolicy: AlwaysAllow
    "#]]
    .assert_eq(&printed(object(&export, "PodDisruptionBudget", "shop")));
}

#[test]
fn a_worker_as_a_person_reads_it() {
    let export = exported(subject("[process.worker]\ncommand = \"node worker.js\"\nstop_grace = \"90s\"\n"));
    expect![[r##"
        # /spec/template/metadata/annotations/minipaas.dev~1config-hash: a change of the config replaces the pods; it tells nothing of secrets, of which a new one makes a new release
        # /spec/template/spec/shareProcessNamespace: as on the box, an init is process 1, so SIGTERM ends an app that has no handler for it
        # /spec/template/spec/terminationGracePeriodSeconds: 90 s `stop_grace`; nobody sends it requests that would have to finish
        # /spec/progressDeadlineSeconds: 1 s to become ready, and 300 s to find a node and pull the image
        # /spec/minReadySeconds: nothing is asked of it: it counts once it has run so long
        apiVersion: apps/v1
        kind: Deployment
        metadata:
          annotations:
            kubernetes.io/change-cause: "v42: deployed 1f2e3d4c"
          labels:
            app.kubernetes.io/component: worker
            app.kubernetes.io/managed-by: minipaas
            app.kubernetes.io/name: shop
            app.kubernetes.io/version: v42
          name: shop-worker
        spec:
          minReadySeconds: 1
          progressDeadlineSeconds: 301
          replicas: 1
          revisionHistoryLimit: 10
          selector:
            matchLabels:
              app.kubernetes.io/component: worker
              app.kubernetes.io/name: shop
          strategy:
            rollingUpdate:
              maxSurge: 25%
              maxUnavailable: 0
            type: RollingUpdate
          template:
            metadata:
              annotations:
                minipaas.dev/config-hash: 5e63268339fc2f68
              labels:
                app.kubernetes.io/component: worker
                app.kubernetes.io/managed-by: minipaas
                app.kubernetes.io/name: shop
                app.kubernetes.io/version: v42
                version: v42
            spec:
              automountServiceAccountToken: false
              containers:
              - args:
                - node
                - worker.js
                env:
                - name: MINIPAAS_PROCESS
                  value: worker
                - name: MINIPAAS_INSTANCE
                  valueFrom:
                    fieldRef:
                      fieldPath: metadata.name
                envFrom:
                - configMapRef:
                    name: shop
                image: >-
                  ghcr.io/acme/shop@sha256:0000000000000000000000000000000000000000000000000000000000000000
                imagePullPolicy: IfNotPresent
                name: worker
                securityContext:
                  allowPrivilegeEscalation: false
                  capabilities:
                    drop:
                    - ALL
              enableServiceLinks: false
              securityContext:
                runAsNonRoot: true
                runAsUser: 1000
                seccompProfile:
                  type: RuntimeDefault
              serviceAccountName: shop
              shareProcessNamespace: true
              terminationGracePeriodSeconds: 90
    "##]].assert_eq(&printed(object(&export, "Deployment", "shop-worker")));
}

#[test]
fn the_port_is_the_manifests_or_the_images_only_one() {
    let port = |toml: &str, exposed: &[u16]| {
        let mut subject = subject(toml);
        subject.image.exposed_ports = exposed.to_vec();
        at_of(&exported(subject), "Deployment", "shop", &format!("{CONTAINER}/ports/0/containerPort"))
    };
    assert_eq!(port("[process.web]\nport = 3000\n", &[80]), 3000);
    assert_eq!(port("", &[5000]), 5000);
    assert_eq!(port("", &[80, 443]), 8080);
    assert_eq!(port("", &[]), 8080);
}

#[test]
fn ports_of_tcp_routes_have_names_of_their_own() {
    let toml = "[process.web]\n[[port]]\nport = 5432\ntarget = 5432\n[[port]]\nport = 6000\ntarget = 5432\n\
                [[port]]\nport = 7000\n";
    assert_eq!(
        web(toml, &format!("{CONTAINER}/ports")),
        json!([
            { "name": "http", "containerPort": 8080, "protocol": "TCP" },
            { "name": "tcp-5432", "containerPort": 5432, "protocol": "TCP" },
        ])
    );
}

#[test]
fn a_command_replaces_the_images_and_keeps_its_entry_point() {
    let args = |command: &str| {
        let toml = format!("[process.web]\ncommand = {command}\n");
        assert!(web(&toml, &format!("{CONTAINER}/command")).is_null());
        web(&toml, &format!("{CONTAINER}/args"))
    };
    assert_eq!(args("\"npm start\""), json!(["npm", "start"]));
    assert_eq!(args("[\"npm\", \"run $(x)\"]"), json!(["npm", "run $$(x)"]));
    assert_eq!(
        args("'exec app --pid $$ --at $(date)'"),
        json!(["/bin/sh", "-c", "exec app --pid $$$ --at $$(date)"])
    );
    assert!(web("", &format!("{CONTAINER}/args")).is_null(), "the image's own command");
}

#[test]
fn the_grace_is_the_sum_of_what_the_box_gives() {
    let toml = "[process.web]\nstop_grace = \"10s\"\n[deploy]\ndrain = \"20s\"\n";
    assert_eq!(web(toml, "/spec/template/spec/terminationGracePeriodSeconds"), 5 + 20 + 10);
    assert_eq!(web(toml, &format!("{CONTAINER}/lifecycle/preStop/sleep/seconds")), 5 + 20);
    let at_once =
        "[process.web]\nstop_grace = \"0s\"\n[process.bot]\nstop_grace = \"0s\"\n[deploy]\ndrain = \"0s\"\n";
    assert_eq!(web(at_once, "/spec/template/spec/terminationGracePeriodSeconds"), 5);
    let bot = at_of(
        &exported(subject(at_once)),
        "Deployment",
        "shop-bot",
        "/spec/template/spec/terminationGracePeriodSeconds",
    );
    assert_eq!(bot, 1, "0 is SIGKILL at once");
}

#[test]
fn a_volume_has_one_writer_where_it_can() {
    let volume = "[process.web]\n[volume.data]\npath = \"/data\"\n";
    let export = exported(subject(volume));
    expect![[r#"
        # /spec/resources/requests/storage: a guess: a volume of the box has no size
        apiVersion: v1
        kind: PersistentVolumeClaim
        metadata:
          labels:
            app.kubernetes.io/component: data
            app.kubernetes.io/managed-by: minipaas
            app.kubernetes.io/name: shop
            app.kubernetes.io/version: v42
          name: shop-data
        spec:
          accessModes:
          - ReadWriteOnce
          resources:
            requests:
              storage: 1Gi
    "#]]
    .assert_eq(&printed(object(&export, "PersistentVolumeClaim", "shop-data")));
    expect![[r#"
        to do: [volume.data]: asks for 1Gi, which is a guess, and begins empty: set `resources.requests.storage`, and copy what is on the box before the app starts
        dropped: [volume] deploys: the box holds requests while a release with a volume takes over; a cluster answers them with 503 until the new pod is ready: deploy when few look, or move what is kept into a database
    "#]].assert_eq(&notes(&export));
    assert_eq!(web(volume, "/spec/strategy"), json!({ "type": "Recreate" }));
    assert_eq!(web(volume, &format!("{CONTAINER}/lifecycle/preStop/sleep/seconds")), 5);
    assert_eq!(web(volume, "/spec/template/spec/securityContext/fsGroup"), 1000);
    assert_eq!(web("", "/spec/template/spec/securityContext/fsGroup"), json!(null));
}

#[test]
fn a_volume_of_several_pods_is_shared() {
    for several in ["[process.web]\nreplicas = 2\n", "[process.web]\n[process.bot]\n"] {
        let export = exported(subject(&format!("{several}[volume.data]\npath = \"/data\"\n")));
        let modes = at_of(&export, "PersistentVolumeClaim", "shop-data", "/spec/accessModes");
        assert_eq!(modes, json!(["ReadWriteMany"]), "{several}");
        assert!(notes(&export).contains("to do: [volume.data]: several pods share it"), "{several}");
    }
    let one =
        exported(subject("[process.web]\n[process.bot]\nreplicas = 0\n[volume.data]\npath = \"/data\"\n"));
    assert_eq!(
        at_of(&one, "PersistentVolumeClaim", "shop-data", "/spec/accessModes"),
        json!(["ReadWriteOnce"])
    );
}

#[test]
fn a_rule_decides_the_number_where_a_cluster_can_measure() {
    let with =
        |rule: &str| format!("[process.web]\nreplicas = 3\nautoscale = {{ min = 2, max = 6, {rule} }}\n");
    let export = exported(subject(&with("cpu = \"70%\"")));
    expect![[r#"
        # /spec/metrics/0/resource/target: percent of one core, as the process has no CPU limit that it could be a share of
        apiVersion: autoscaling/v2
        kind: HorizontalPodAutoscaler
        metadata:
          labels:
            app.kubernetes.io/component: web
            app.kubernetes.io/managed-by: minipaas
            app.kubernetes.io/name: shop
            app.kubernetes.io/version: v42
          name: shop
        spec:
          maxReplicas: 6
          metrics:
          - resource:
              name: cpu
              target:
                averageValue: 700m
                type: AverageValue
            type: Resource
          minReplicas: 2
          scaleTargetRef:
            apiVersion: apps/v1
            kind: Deployment
            name: shop
    "#]].assert_eq(&printed(object(&export, "HorizontalPodAutoscaler", "shop")));
    assert!(at_of(&export, "Deployment", "shop", "/spec/replicas").is_null());
    assert_eq!(web(&with("in_flight = 20"), "/spec/replicas"), 3);
    check_notes(
        &with("p95 = \"300ms\""),
        &expect![[r#"
            dropped: [process.web] autoscale: a cluster does not measure `p95`, so there are 3 pods: scale by `cpu = "70%"`, or by a metric of your entrance through an adapter (KEDA, prometheus-adapter)
        "#]],
    );
    check_notes(
        "[process.web]\nreplicas = 0\nautoscale = { max = 6, cpu = 50 }\n",
        &expect![[r#"
            changed: [process.web] autoscale: off while there are 0 instances, as on the box, so no HorizontalPodAutoscaler is written
        "#]],
    );
}

#[test]
fn spread_and_budget_are_for_more_than_one() {
    let has_budget = |toml: &str| {
        exported(subject(toml)).objects.iter().any(|object| object.kind() == "PodDisruptionBudget")
    };
    let spread = "/spec/template/spec/topologySpreadConstraints/0/whenUnsatisfiable";
    assert!(!has_budget("") && web("", spread).is_null());
    let two = "[process.web]\nreplicas = 2\n";
    assert!(has_budget(two));
    assert_eq!(web(two, spread), "ScheduleAnyway");
    assert!(
        !has_budget("[process.web]\nautoscale = { max = 6, cpu = 50 }\n"),
        "one may be all that there is"
    );
}

/// The pod's and the container's security of `web` on port 80, and what is said of it.
fn security(user: &str) -> String {
    let mut subject = subject("[process.web]\nport = 80\n[volume.data]\npath = \"/data\"\n");
    subject.image.user = user.to_owned();
    let export = exported(subject);
    let at = |at: &str| at_of(&export, "Deployment", "shop", at);
    let said: Vec<_> =
        export.notes.iter().filter(|note| note.what == "image user").map(|note| &note.text).collect();
    format!(
        "{}\n{}\n{said:?}\n",
        at("/spec/template/spec/securityContext"),
        at(&format!("{CONTAINER}/securityContext"))
    )
}

#[test]
fn a_pod_may_do_as_little_as_its_image_allows() {
    expect![[r#"
        {"fsGroup":2000,"fsGroupChangePolicy":"OnRootMismatch","runAsGroup":2000,"runAsNonRoot":true,"runAsUser":1000,"seccompProfile":{"type":"RuntimeDefault"},"sysctls":[{"name":"net.ipv4.ip_unprivileged_port_start","value":"0"}]}
        {"allowPrivilegeEscalation":false,"capabilities":{"drop":["ALL"]}}
        []
    "#]].assert_eq(&security("1000:2000"));
    expect![[r#"
        {"seccompProfile":{"type":"RuntimeDefault"},"sysctls":[{"name":"net.ipv4.ip_unprivileged_port_start","value":"0"}]}
        {"allowPrivilegeEscalation":false,"capabilities":{"drop":["ALL"]}}
        ["a cluster cannot tell whether `node` is root, so pods are not marked `runAsNonRoot`, and a volume's files would belong to root, so the app could not write them; write its number into the Dockerfile, such as `USER 1000`"]
    "#]].assert_eq(&security("node"));
    expect![[r#"
        {"seccompProfile":{"type":"RuntimeDefault"}}
        {"allowPrivilegeEscalation":false,"capabilities":{"add":["CHOWN","DAC_OVERRIDE","FOWNER","KILL","NET_BIND_SERVICE","SETGID","SETUID"],"drop":["ALL"]}}
        ["the image runs as root, here with CHOWN, DAC_OVERRIDE, FOWNER, KILL, NET_BIND_SERVICE, SETGID, SETUID alone of Docker's capabilities; a namespace that enforces `restricted` refuses it: write `USER 1000`, or another number, into the Dockerfile"]
    "#]].assert_eq(&security(""));
}

#[test]
fn connections_that_last_are_told_how_long() {
    let said = |toml: &str| {
        let notes = exported(subject(toml)).notes;
        notes.into_iter().find(|note| note.what == "[deploy] websocket_drain").map(|note| note.text)
    };
    assert!(said("").is_some_and(|text| text.starts_with("WebSockets and TCP connections have 35 s")));
    assert_eq!(said("[deploy]\nwebsocket_drain = \"35s\"\n"), None, "as long as on the box");
    assert_eq!(said("[process.bot]\n"), None, "nobody connects to it");
}

#[test]
fn what_no_object_says_is_told() {
    let mut engine_only = subject(
        "[process.web]\nready = { http = \"/up\", interval = \"500ms\" }\nstop_grace = \"1500ms\"\n\
         [deploy]\ncanary = { percent = 10 }\nwatch_window = \"30s\"\n\
         [link]\nbilling = \"billing\"\n[env]\nMAIL = \"http://mail.internal:8080/x\"\n",
    );
    engine_only.image.pinned = None;
    expect![[r#"
        changed: http probes: a kubelet takes 200 to 399 for well, and follows a redirect; the box takes 2xx alone
        to do: image: `ghcr.io/acme/shop:1` is on the box's engine alone, where no cluster can pull it: export with `--push --registry HOST/PATH`
        to do: [link] billing: `BILLING_URL` is `http://billing`, and `billing` is not in this export: export it into the same namespace, or set the variable
        to do: [env] MAIL: its value names `mail.internal`, which only the box knows; on the cluster it is `http://mail`
        dropped: [deploy] canary: a Deployment has no canary (10 % of clients here): a rollout goes on as soon as new pods are ready; Argo Rollouts and Flagger have them
        dropped: [deploy] watch_window: a cluster does not go back by itself when a release fails more requests: alert on it, and `kubectl rollout undo`
        changed: durations: a cluster counts whole seconds, so they are rounded up: [process.web] stop_grace = 1.5s is 2 s; [process.web] ready interval = 500ms is 1 s
    "#]].assert_eq(&notes(&exported(engine_only)));
}
