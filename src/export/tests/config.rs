//! Variables and secrets.

use std::collections::BTreeSet;

use expect_test::expect;
use serde_json::json;

use super::{Subject, at_of, exported, object, printed, subject, web};
use crate::environment::Value;

const CONTAINER: &str = "/spec/template/spec/containers/0";
const HASH: &str = "/spec/template/metadata/annotations/minipaas.dev~1config-hash";

/// A subject with plain and secret variables of every sort.
fn with_secrets() -> Subject {
    let mut subject = subject(
        "[link]\nbilling = \"billing\"\n[env]\nLOG_LEVEL = \"info\"\nGREETING = \"hello $(USER) $$\"\n\
         DATABASE_URL = \"postgres://shop:hunter2@db/shop\"\nSTRIPE = \"sk_live\"\nTOKEN_FILE = \"/run/secrets/TOKEN\"\n",
    );
    subject.manifest.secrets = [("/run/secrets/STRIPE", "sk_live"), ("/run/secrets/TOKEN", "t0k3n")]
        .map(|(path, value)| (path.to_owned(), Value::new(value.to_owned())))
        .into();
    subject.confidential = BTreeSet::from(["STRIPE".to_owned()]);
    subject
}

#[test]
fn config_as_a_person_reads_it() {
    let export = exported(with_secrets());
    expect![[r#"
        apiVersion: v1
        data:
          BILLING_URL: http://billing
          GREETING: hello $(USER) $$
          LOG_LEVEL: info
          MINIPAAS_APP: shop
          MINIPAAS_RELEASE: v42
          TOKEN_FILE: /run/secrets/TOKEN
        kind: ConfigMap
        metadata:
          labels:
            app.kubernetes.io/managed-by: minipaas
            app.kubernetes.io/name: shop
            app.kubernetes.io/version: v42
          name: shop
    "#]]
    .assert_eq(&printed(object(&export, "ConfigMap", "shop")));
    expect![[r#"
        # /data/DATABASE_URL: a plain variable on the box; here because its URL has a password
        apiVersion: v1
        data:
          DATABASE_URL: cG9zdGdyZXM6Ly9zaG9wOmh1bnRlcjJAZGIvc2hvcA==
          STRIPE: c2tfbGl2ZQ==
          TOKEN: dDBrM24=
        kind: Secret
        metadata:
          labels:
            app.kubernetes.io/managed-by: minipaas
            app.kubernetes.io/name: shop
            app.kubernetes.io/version: v42
          name: shop
        type: Opaque
    "#]]
    .assert_eq(&printed(object(&export, "Secret", "shop")));
    expect![[r#"
        apiVersion: v1
        automountServiceAccountToken: false
        kind: ServiceAccount
        metadata:
          labels:
            app.kubernetes.io/managed-by: minipaas
            app.kubernetes.io/name: shop
            app.kubernetes.io/version: v42
          name: shop
    "#]]
    .assert_eq(&printed(object(&export, "ServiceAccount", "shop")));
    let env = at_of(&export, "Deployment", "shop", &format!("{CONTAINER}/env"));
    expect![[r#"
        - name: PORT
          value: "8080"
        - name: MINIPAAS_PROCESS
          value: web
        - name: MINIPAAS_INSTANCE
          valueFrom:
            fieldRef:
              fieldPath: metadata.name
        - name: DATABASE_URL
          valueFrom:
            secretKeyRef:
              key: DATABASE_URL
              name: shop
        - name: STRIPE
          valueFrom:
            secretKeyRef:
              key: STRIPE
              name: shop
    "#]]
    .assert_eq(&serde_saphyr::to_string(&env).unwrap());
    let volumes = at_of(&export, "Deployment", "shop", "/spec/template/spec/volumes");
    expect![[r#"
        - name: secrets
          secret:
            defaultMode: 292
            items:
            - key: STRIPE
              path: STRIPE
            - key: TOKEN
              path: TOKEN
            secretName: shop
    "#]]
    .assert_eq(&serde_saphyr::to_string(&volumes).unwrap());
    assert_eq!(
        at_of(&export, "Deployment", "shop", &format!("{CONTAINER}/volumeMounts")),
        json!([{ "name": "secrets", "mountPath": "/run/secrets", "readOnly": true }])
    );
}

#[test]
fn no_secret_is_in_anything_but_the_secret() {
    let export = exported(with_secrets());
    for object in export.objects.iter().filter(|object| object.kind() != "Secret") {
        let text = format!("{} {:?}", object.value, object.comments);
        for value in ["hunter2", "sk_live", "t0k3n"] {
            assert!(!text.contains(value), "{} `{}` has {value}", object.kind(), object.name());
        }
    }
    let notes = format!("{:?}", export.notes);
    assert!(!["hunter2", "sk_live", "t0k3n"].iter().any(|value| notes.contains(value)), "{notes}");
}

#[test]
fn a_variable_and_a_file_of_one_name_keep_their_own_values() {
    let mut subject = with_secrets();
    subject.manifest.env.insert("STRIPE".to_owned(), "another".to_owned());
    let export = exported(subject);
    let secret = &object(&export, "Secret", "shop").value["data"];
    assert_eq!(
        (&secret["STRIPE"], &secret["STRIPE.variable"]),
        (&json!("c2tfbGl2ZQ=="), &json!("YW5vdGhlcg=="))
    );
    let env = at_of(&export, "Deployment", "shop", &format!("{CONTAINER}/env")).to_string();
    assert!(env.contains("\"STRIPE.variable\""), "{env}");
}

#[test]
fn what_the_app_sets_goes_before_what_minipaas_says() {
    let toml = "[link]\nbilling = \"billing\"\n[env]\nMINIPAAS_INSTANCE = \"1\"\nMINIPAAS_APP = \"x\"\nBILLING_URL = \"y\"\n";
    let export = exported(subject(toml));
    let data = &object(&export, "ConfigMap", "shop").value["data"];
    assert_eq!(
        data,
        &json!({ "BILLING_URL": "y", "MINIPAAS_APP": "x", "MINIPAAS_INSTANCE": "1", "MINIPAAS_RELEASE": "v42" })
    );
    let env = web(toml, &format!("{CONTAINER}/env")).to_string();
    assert!(!env.contains("MINIPAAS_INSTANCE") && env.contains("MINIPAAS_PROCESS"), "{env}");
}

#[test]
fn pods_are_replaced_when_their_config_changes() {
    let hash = |subject: Subject| at_of(&exported(subject), "Deployment", "shop", HASH);
    let first = hash(with_secrets());
    assert_eq!(hash(with_secrets()), first);
    let mut plain = with_secrets();
    plain.manifest.env.insert("LOG_LEVEL".to_owned(), "debug".to_owned());
    assert_ne!(hash(plain), first);
    let mut next = with_secrets();
    next.release = next.release.next();
    assert_ne!(hash(next), first, "a new secret makes a new release");
    let mut guessed = with_secrets();
    guessed.manifest.env.insert("STRIPE".to_owned(), "guess".to_owned());
    guessed.manifest.secrets.insert("/run/secrets/STRIPE".to_owned(), Value::new("guess".to_owned()));
    assert_eq!(hash(guessed), first, "nothing can be guessed by it");
}
