//! What is written reads back as what was meant, and reads well.

use expect_test::{Expect, expect};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::export::Comment;

fn check(value: &Value, comments: &[(&str, &str)], expected: &Expect) {
    let comments: Vec<_> = comments
        .iter()
        .map(|(at, text)| Comment { at: (*at).to_owned(), text: (*text).to_owned() })
        .collect();
    expected.assert_eq(&document(value, &comments));
}

fn read(text: &str) -> Value {
    serde_saphyr::from_str(text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

fn deployment() -> Value {
    json!({
        "kind": "Deployment", "apiVersion": "apps/v1",
        "spec": {
            "replicas": 2,
            "template": {"spec": {"containers": [{
                "ports": [{"containerPort": 8080, "name": "http"}], "image": "ghcr.io/x/y@sha256:00", "name": "web",
                "args": ["--port", "$(PORT)"], "command": ["sh", "-c", "set -e\nexec npm start\n"],
                "env": [{"name": "ON", "value": "yes"}, {"name": "ZERO", "value": "0"}],
                "resources": {"requests": {"memory": "256Mi"}, "limits": {"memory": "256Mi", "cpu": "500m"}},
            }], "volumes": []}},
        },
        "metadata": {"name": "shop", "labels": {"app.kubernetes.io/name": "shop", "app.kubernetes.io/component": "web"}},
    })
}

fn export() -> Export {
    let app: crate::name::AppName = "shop".parse().unwrap();
    let object = |value: Value| Object { app: Some(app.clone()), value, comments: Vec::new() };
    let config = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "shop"}, "data": {"A": "<b> {{ c }}", "B": "yes"}});
    let job = json!({
        "apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "shop-release-v3"},
        "spec": {"template": {"spec": {"containers": [
            {"name": "release", "image": "ghcr.io/x/y@sha256:00", "envFrom": [{"configMapRef": {"name": "shop"}}]}
        ]}}},
    });
    let ingress = json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": "shop"},
        "spec": {"rules": [{"host": "shop.example.com"}], "tls": [{"hosts": ["shop.example.com"], "secretName": "shop-tls"}]},
    });
    let mut web = deployment();
    web["spec"]["template"]["metadata"]["annotations"]["minipaas.dev/config-hash"] = "00112233".into();
    let note = |kind, text: &str| Note {
        app: app.clone(),
        kind,
        what: "[proxy] buffer".to_owned(),
        text: text.to_owned(),
    };
    Export {
        objects: [config, job, web, ingress].map(object).to_vec(),
        notes: vec![note(NoteKind::Todo, "do {{ this }}"), note(NoteKind::Dropped, "it is not there")],
    }
}

#[test]
fn a_deployment_reads_as_a_person_writes_it() {
    check(
        &deployment(),
        &[
            ("", "the whole"),
            ("/spec/replicas", "as `scale` has set it"),
            ("/spec/template/spec/containers/0/name", "of the process"),
            ("/spec/template/spec/containers/0/gone/0", "nowhere"),
        ],
        &expect![[r##"
            # the whole
            apiVersion: apps/v1
            kind: Deployment
            metadata:
              name: shop
              labels:
                app.kubernetes.io/component: web
                app.kubernetes.io/name: shop
            spec:
              # as `scale` has set it
              replicas: 2
              template:
                spec:
                  containers:
                  # nowhere
                  # of the process
                  - name: web
                    image: ghcr.io/x/y@sha256:00
                    command:
                    - sh
                    - "-c"
                    - |
                      set -e
                      exec npm start
                    args:
                    - --port
                    - $(PORT)
                    ports:
                    - name: http
                      containerPort: 8080
                    env:
                    - name: "ON"
                      value: "yes"
                    - name: ZERO
                      value: "0"
                    resources:
                      requests:
                        memory: 256Mi
                      limits:
                        cpu: 500m
                        memory: 256Mi
                  volumes: []
        "##]],
    );
}

#[test]
fn files_are_named_in_the_order_in_which_they_are_applied() {
    let names = |format| files(&export(), format).into_iter().map(|file| file.path).collect::<Vec<_>>();
    assert_eq!(
        names(Format::Yaml),
        ["20-config-map.yaml", "70-job.yaml", "80-deployment.yaml", "90-ingress.yaml"]
    );
    assert!(names(Format::Kustomize).contains(&"kustomization.yaml".to_owned()));
    assert!(names(Format::Helm).contains(&"templates/80-deployment.yaml".to_owned()));
}

#[test]
fn notes_stand_at_the_top() {
    expect![[r#"
        # Written by `minipaas export`, which writes it anew each time.
        #
        # shop: not carried over
        #   - [proxy] buffer: it is not there
        #
        # shop: to do
        #   - [proxy] buffer: do {{ this }}
        ---
        apiVersion: v1"#]]
    .assert_eq(&stream(&export()).lines().take(9).collect::<Vec<_>>().join("\n"));
}

#[test]
fn a_base_for_kustomize_lists_its_files_and_images() {
    let files = files(&export(), Format::Kustomize);
    let found = files.iter().find(|file| file.path == "kustomization.yaml").unwrap();
    expect![[r#"
        # Written by `minipaas export`, which writes it anew each time.
        #
        # shop: not carried over
        #   - [proxy] buffer: it is not there
        #
        # shop: to do
        #   - [proxy] buffer: do {{ this }}
        apiVersion: kustomize.config.k8s.io/v1beta1
        kind: Kustomization
        resources:
        - 20-config-map.yaml
        - 70-job.yaml
        - 80-deployment.yaml
        - 90-ingress.yaml
        images:
        - name: ghcr.io/x/y
          digest: sha256:00
    "#]]
    .assert_eq(&found.text);
}

#[test]
fn a_chart_takes_what_changes_from_its_values() {
    let mut all = String::new();
    for file in files(&export(), Format::Helm) {
        all.push_str(&format!("=== {}\n{}", file.path, file.text));
    }
    expect![[r#"
        === Chart.yaml
        # Written by `minipaas export`, which writes it anew each time.
        #
        # shop: not carried over
        #   - [proxy] buffer: it is not there
        #
        # shop: to do
        #   - [proxy] buffer: do {{ this }}
        apiVersion: v2
        name: shop
        type: application
        description: shop, as it ran on its box
        version: "1.0.0"
        === templates/20-config-map.yaml
        # Written by `minipaas export`, which writes it anew each time.
        #
        # shop: not carried over
        #   - [proxy] buffer: it is not there
        #
        # shop: to do
        #   - [proxy] buffer: do { { this }}
        ---
        apiVersion: v1
        kind: ConfigMap
        metadata:
          name: shop
          annotations:
            helm.sh/hook: pre-install,pre-upgrade
            helm.sh/hook-delete-policy: before-hook-creation
            helm.sh/hook-weight: "-1"
        data: {{- toYaml (index .Values "shop" "env") | nindent 2 }}
        === templates/70-job.yaml
        # Written by `minipaas export`, which writes it anew each time.
        #
        # shop: not carried over
        #   - [proxy] buffer: it is not there
        #
        # shop: to do
        #   - [proxy] buffer: do { { this }}
        ---
        apiVersion: batch/v1
        kind: Job
        metadata:
          name: shop-release-v3
          annotations:
            helm.sh/hook: pre-install,pre-upgrade
            helm.sh/hook-delete-policy: before-hook-creation
            helm.sh/hook-weight: "0"
        spec:
          template:
            spec:
              containers:
              - name: release
                image: {{ index .Values "shop" "image" | quote }}
                envFrom:
                - configMapRef:
                    name: shop
        === templates/80-deployment.yaml
        # Written by `minipaas export`, which writes it anew each time.
        #
        # shop: not carried over
        #   - [proxy] buffer: it is not there
        #
        # shop: to do
        #   - [proxy] buffer: do { { this }}
        ---
        apiVersion: apps/v1
        kind: Deployment
        metadata:
          name: shop
          labels:
            app.kubernetes.io/component: web
            app.kubernetes.io/name: shop
        spec:
          replicas: {{ index .Values "shop" "processes" "web" "replicas" | int }}
          template:
            metadata:
              annotations:
                minipaas.dev/config-hash: {{ ternary "00112233" (index .Values "shop" "env" | toJson | sha256sum) (eq (index .Values "shop" "env" | toJson | sha256sum) "81fc0b7ae526d098365bdbdbe1ff28ab26ee28b6302b58cc7a8c1ef1befffc01") | quote }}
            spec:
              containers:
              - name: web
                image: {{ index .Values "shop" "image" | quote }}
                command:
                - sh
                - "-c"
                - |
                  set -e
                  exec npm start
                args:
                - --port
                - $(PORT)
                ports:
                - name: http
                  containerPort: 8080
                env:
                - name: "ON"
                  value: "yes"
                - name: ZERO
                  value: "0"
                resources: {{- toYaml (index .Values "shop" "processes" "web" "resources") | nindent 10 }}
              volumes: []
        === templates/90-ingress.yaml
        # Written by `minipaas export`, which writes it anew each time.
        #
        # shop: not carried over
        #   - [proxy] buffer: it is not there
        #
        # shop: to do
        #   - [proxy] buffer: do { { this }}
        ---
        apiVersion: networking.k8s.io/v1
        kind: Ingress
        metadata:
          name: shop
        spec:
          tls:
          - hosts:
            - {{ index .Values "shop" "hosts" 0 | quote }}
            secretName: shop-tls
          rules:
          - host: {{ index .Values "shop" "hosts" 0 | quote }}
        === values.yaml
        # Written by `minipaas export`, which writes it anew each time.
        #
        # shop: not carried over
        #   - [proxy] buffer: it is not there
        #
        # shop: to do
        #   - [proxy] buffer: do {{ this }}
        shop:
          image: ghcr.io/x/y@sha256:00
          env:
            A: "<b> {{ c }}"
            B: "yes"
          hosts:
          - shop.example.com
          processes:
            web:
              replicas: 2
              resources:
                requests:
                  memory: 256Mi
                limits:
                  cpu: 500m
                  memory: 256Mi
    "#]].assert_eq(&all);
}

fn value() -> impl Strategy<Value = Value> {
    let text = prop_oneof![
        any::<String>(),
        "[ -~\n]{0,20}",
        "[0-9a-fxXoO_+.:eE -]{1,8}",
        prop::sample::select(vec![
            "yes",
            "No",
            "~",
            "null",
            "1e3",
            "0x1f",
            "2024-01-01",
            ".inf",
            "a\n\n",
            "\n",
            " a\nb",
            "a\n \n"
        ])
        .prop_map(str::to_owned),
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        text.clone().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 4, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((text.clone(), inner), 0..4)
                .prop_map(|entries| Value::Object(entries.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn any_value_reads_back_as_it_was(value in value(), text in "[ -~]{0,40}") {
        let comment = Comment { at: String::new(), text };
        let written = document(&value, &[comment]);
        prop_assert_eq!(read(&written), value, "{}", written);
    }
}
