//! What is found before anything is touched, and what is told of it.

use expect_test::expect;
use minipaas::kubernetes::{ApplyError, Cluster, Options, Target};
use serde_json::{Value, json};

use super::world::{Shop, Told, World, changed};
use crate::support::free_port;

/// Why this shop is not applied; nothing was written.
async fn refusal(world: &World, shop: &Shop) -> ApplyError {
    world.writes();
    let error = world.apply(shop).await.unwrap_err();
    assert_eq!(world.writes(), [""; 0], "{error}");
    error
}

#[tokio::test]
async fn a_plan_changes_nothing() {
    let world = World::new().await;
    let plan = world.plan(&Shop::release(1), Options::default()).await.unwrap();
    assert_eq!(plan.changes().len(), 7);
    assert_eq!(world.writes(), [""; 0]);
    assert!(world.server.object("Deployment", "shop").is_none());
}

#[tokio::test]
async fn a_diff_shows_what_changes_and_no_secret() {
    let world = World::new().await;
    world.apply(&Shop::release(1)).await.unwrap();
    assert_eq!(world.plan(&Shop::release(1), Options::default()).await.unwrap().diff(), "");
    world.writes();
    let next = Shop::release(1)
        .set("ConfigMap", "/data/LOG_LEVEL", "debug")
        .set("Secret", "/stringData/API_KEY", "wrong-horse")
        .without("Service");
    let diff = world.plan(&next, Options::default()).await.unwrap().diff();
    assert_eq!(world.writes(), [""; 0]);
    for text in ["horse", "Y29ycmVjdC1ob3JzZQ", "d3JvbmctaG9yc2U", "battery", "YmF0dGVyeQ"] {
        assert!(!diff.contains(text), "{text}: {diff}");
    }
    expect![[r#"
        --- ConfigMap prod/shop (cluster)
        +++ ConfigMap prod/shop (export)
        @@ -1,6 +1,6 @@
         apiVersion: v1
         data:
        -  LOG_LEVEL: info
        +  LOG_LEVEL: debug
         kind: ConfigMap
         metadata:
           labels:
        --- Secret prod/shop (cluster)
        +++ Secret prod/shop (export)
        @@ -1,6 +1,6 @@
         apiVersion: v1
         data:
        -  API_KEY: "*** (before)"
        +  API_KEY: "*** (after)"
           TOKEN: "***"
         kind: Secret
         metadata:
        --- Service prod/shop (cluster)
        +++ /dev/null
        @@ -1,19 +0,0 @@
        -apiVersion: v1
        -kind: Service
        -metadata:
        -  labels:
        -    app.kubernetes.io/managed-by: minipaas
        -    app.kubernetes.io/name: shop
        -  name: shop
        -  namespace: prod
        -spec:
        -  clusterIP: "10.96.0.10"
        -  ports:
        -  - name: http
        -    port: 80
        -    protocol: TCP
        -    targetPort: http
        -  selector:
        -    app.kubernetes.io/component: web
        -    app.kubernetes.io/name: shop
        -  type: ClusterIP
    "#]]
    .assert_eq(&diff);
}

#[tokio::test]
async fn a_kind_that_is_not_installed_is_named_with_what_to_install() {
    let world = World::new().await;
    let route = json!({
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "metadata": { "name": "shop" }, "spec": {},
    });
    let shop = Shop::release(1).with(route);
    let error = refusal(&world, &shop).await;
    assert_eq!(error.to_string(), "the cluster has no `HTTPRoute` (gateway.networking.k8s.io/v1)");
    assert!(error.hints()[0].contains("comes with the Gateway API: https://"), "{:?}", error.hints());
    world.server.state().installed.insert("gateway.networking.k8s.io/v1");
    world.apply(&shop).await.unwrap();
    assert!(world.server.object("HTTPRoute", "shop").is_some());
}

#[tokio::test]
async fn fields_that_others_have_set_are_named_and_taken_only_by_force() {
    let world = World::new().await;
    world.apply(&Shop::release(1)).await.unwrap();
    let mut scaled =
        Shop::release(1).objects.into_iter().find(|object| object["kind"] == "Deployment").unwrap();
    scaled["spec"] = json!({ "replicas": 7 });
    world.server.applied_by("kubectl-scale", scaled);
    world.server.applied_by("ops", json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "shop" }, "data": { "LOG_LEVEL": "warn", "THEIRS": "1" } }));
    let error = refusal(&world, &Shop::release(1)).await;
    assert_eq!(
        error.to_string(),
        "others have set what the export sets: `.data.LOG_LEVEL` of ConfigMap `shop` is owned by \"ops\" using v1, \
         `.spec.replicas` of Deployment `shop` is owned by \"kubectl-scale\" using apps/v1"
    );
    assert!(error.hints()[0].starts_with("`--force-conflicts`"), "{:?}", error.hints());
    let options = Options { force_conflicts: true, ..Options::default() };
    world.apply_with(&Shop::release(1), options, &Told::default()).await.unwrap();
    let config = world.server.object("ConfigMap", "shop").unwrap();
    assert_eq!(config["data"], json!({ "LOG_LEVEL": "info", "THEIRS": "1" }), "what is theirs alone stays");
}

#[tokio::test]
async fn what_an_autoscaler_sets_stays_its_own() {
    let world = World::new().await;
    let mut shop = Shop::release(1);
    for object in shop.objects.iter_mut().filter(|object| object["kind"] == "Deployment") {
        object["spec"].as_object_mut().unwrap().remove("replicas");
    }
    world.apply(&shop).await.unwrap();
    let mut scaled = shop.objects.iter().find(|object| object["kind"] == "Deployment").unwrap().clone();
    scaled["spec"] = json!({ "replicas": 5 });
    world.server.applied_by("horizontal-pod-autoscaler", scaled);
    let applied = world.apply(&shop).await.unwrap();
    assert_eq!(changed(&applied.changes), [""; 0]);
    assert_eq!(world.server.object("Deployment", "shop").unwrap()["spec"]["replicas"], 5);
}

#[tokio::test]
async fn what_the_cluster_does_not_take_is_told_in_its_words() {
    let world = World::new().await;
    let check = async |shop: Shop, part: &str| {
        let error = refusal(&world, &shop).await;
        assert!(matches!(error, ApplyError::Rejected { .. }), "{error:?}");
        assert!(error.to_string().contains(part), "{error}");
    };
    check(
        Shop::release(1).set("Deployment", "/spec/replica", 2),
        ".spec.replica: field not declared in schema",
    )
    .await;
    check(Shop::release(1).set("Service", "/spec/ports", "80"), "failed to create typed patch object").await;
    check(Shop::release(1).set("ConfigMap", "/metadata/name", "Shop_1"), "RFC 1123").await;
    let selector = json!({ "matchLabels": { "app": "other" } });
    check(Shop::release(1).set("Deployment", "/spec/selector", selector), "does not match template").await;
    world.server.state().full.insert("services");
    check(Shop::release(1), "exceeded quota").await;
}

#[tokio::test]
async fn a_right_that_is_missing_is_named() {
    let world = World::new().await;
    world.server.state().forbidden.insert(("patch", "deployments"));
    let error = refusal(&world, &Shop::release(1)).await;
    assert_eq!(
        error.to_string(),
        "you may not apply Deployment `shop`: deployments.apps \"shop\" is forbidden: User \"ada\" cannot patch resource \
         \"deployments\" in API group \"apps\" in the namespace \"prod\""
    );
    // What may not be listed was not made by this user either; and whoever may not look at namespaces may use one.
    world.server.state().forbidden = [("list", "networkpolicies"), ("get", "namespaces")].into();
    world.apply(&Shop::release(1)).await.unwrap();
}

#[tokio::test]
async fn a_secret_that_is_to_be_filled_in_is_waited_for_by_nobody() {
    let world = World::new().await;
    let template = json!({ "API_KEY": "REPLACE_ME", "TOKEN": "REPLACE_ME" });
    let shop = Shop::release(1).set("Secret", "/stringData", template);
    let error = refusal(&world, &shop).await;
    assert_eq!(error.to_string(), "Secret `shop` has no `API_KEY`, `TOKEN`, and the export has no values");
    assert!(error.hints()[0].contains("kubectl -n prod create secret generic shop --from-literal=API_KEY=…"));
    let filled = json!({ "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "shop" }, "data": { "API_KEY": "eA==", "TOKEN": "eQ==" } });
    world.server.applied_by("kubectl-create", filled.clone());
    world.apply(&shop).await.unwrap();
    assert_eq!(world.server.object("Secret", "shop").unwrap()["data"], filled["data"]);
}

#[tokio::test]
async fn the_wrong_cluster_is_told_from_the_wrong_user() {
    let world = World::new().await;
    let target = Target { context: Some("prd".to_owned()), ..world.target() };
    let error = Cluster::connect(&target).await.err().unwrap();
    assert_eq!(error.to_string(), "the kubeconfig has no context `prd`");
    assert_eq!(error.hints(), ["it has `main`, `spare`; `--context` chooses"]);
    let target = Target { context: Some("spare".to_owned()), ..world.target() };
    assert_eq!(Cluster::connect(&target).await.unwrap().context(), "spare");

    let target = Target { kubeconfig: vec!["/nowhere/config".into()], ..Target::default() };
    let error = Cluster::connect(&target).await.err().unwrap();
    assert_eq!(error.to_string(), "there is no kubeconfig at `/nowhere/config`");

    world.write_kubeconfig(&format!("http://{}", world.server.addr), "bad");
    assert!(matches!(refusal(&world, &Shop::release(1)).await, ApplyError::Unauthorized { .. }));
    world.write_kubeconfig(&format!("http://{}", free_port()), "good");
    let error = refusal(&world, &Shop::release(1)).await;
    assert!(matches!(error, ApplyError::Unreachable { .. }), "{error:?}");
    assert!(error.to_string().contains("onnection refused"), "{error}");
}

#[tokio::test]
async fn a_namespace_that_is_not_there_is_told() {
    let world = World::new().await;
    let target = Target { namespace: Some("staging".to_owned()), ..world.target() };
    let cluster = Cluster::connect(&target).await.unwrap();
    let error = cluster.plan(&Shop::release(1).exported(), Options::default()).await.err().unwrap();
    assert_eq!(error.to_string(), "the cluster has no namespace `staging`");
    assert_eq!(error.hints(), ["`kubectl create namespace staging` makes it"]);
    let value: Value = json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": "staging" } });
    world.server.applied_by("kubectl", value);
    assert_eq!(
        cluster.plan(&Shop::release(1).exported(), Options::default()).await.unwrap().changes().len(),
        7
    );
}
