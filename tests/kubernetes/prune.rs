//! What is deleted after an apply, and what never is.

use minipaas::kubernetes::Options;
use serde_json::json;

use super::world::{Shop, Told, World, changed, claim, labels};

#[tokio::test]
async fn what_the_export_does_not_have_any_more_is_deleted() {
    let world = World::new().await;
    world.apply(&Shop::release(1)).await.unwrap();
    let applied = world.apply(&Shop::release(1).without("Ingress").without("ServiceAccount")).await.unwrap();
    assert_eq!(changed(&applied.changes), ["Ingress shop pruned", "ServiceAccount shop pruned"]);
    assert!(world.server.object("Ingress", "shop").is_none());
    assert!(world.server.object("Deployment", "shop").is_some());
}

#[tokio::test]
async fn what_is_not_of_this_app_or_not_ours_stays() {
    let world = World::new().await;
    let config = |name: &str, labels: serde_json::Value| json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": name, "labels": labels }, "data": {} });
    let mut other_app = labels();
    other_app["app.kubernetes.io/name"] = "blog".into();
    let mut by_helm = labels();
    by_helm["app.kubernetes.io/managed-by"] = "Helm".into();
    let mut owned = config("owned", labels());
    owned["metadata"]["ownerReferences"] =
        json!([{ "apiVersion": "batch/v1", "kind": "CronJob", "name": "report", "uid": "uid-report" }]);
    for object in
        [config("other-app", other_app), config("by-helm", by_helm), config("no-label", json!({})), owned]
    {
        world.server.applied_by("somebody", object);
    }
    world.server.applied_by("somebody", config("left-over", labels()));
    let applied = world.apply(&Shop::release(1)).await.unwrap();
    assert!(changed(&applied.changes).contains(&"ConfigMap left-over pruned".to_owned()));
    assert!(world.server.object("ConfigMap", "left-over").is_none());
    for name in ["other-app", "by-helm", "no-label", "owned"] {
        assert!(world.server.object("ConfigMap", name).is_some(), "{name}");
    }
}

#[tokio::test]
async fn data_is_deleted_only_where_that_is_asked_for() {
    let world = World::new().await;
    world.apply(&Shop::release(1).with(claim("shop-data"))).await.unwrap();
    let applied = world.apply(&Shop::release(1)).await.unwrap();
    assert_eq!(changed(&applied.changes), ["PersistentVolumeClaim shop-data kept"]);
    assert!(world.server.object("PersistentVolumeClaim", "shop-data").is_some());
    let options = Options { prune_volumes: true, ..Options::default() };
    let applied = world.apply_with(&Shop::release(1), options, &Told::default()).await.unwrap();
    assert_eq!(changed(&applied.changes), ["PersistentVolumeClaim shop-data pruned"]);
    assert!(world.server.object("PersistentVolumeClaim", "shop-data").is_none());
}

#[tokio::test]
async fn a_claim_that_a_stateful_set_made_is_the_sets() {
    let world = World::new().await;
    let labels = json!({ "app.kubernetes.io/name": "shop", "app.kubernetes.io/component": "db" });
    let set = json!({
        "apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": { "name": "shop-db", "labels": super::world::labels() },
        "spec": {
            "serviceName": "shop-db", "selector": { "matchLabels": labels },
            "template": { "metadata": { "labels": labels }, "spec": { "containers": [{ "name": "db", "image": "postgres:16" }] } },
            "volumeClaimTemplates": [{ "metadata": { "name": "data" }, "spec": {} }],
        },
    });
    let shop = Shop::release(1).with(set);
    world.server.applied_by("statefulset-controller", claim("data-shop-db-0"));
    let options = Options { prune_volumes: true, ..Options::default() };
    world.apply_with(&shop, options, &Told::default()).await.unwrap();
    assert!(world.server.object("PersistentVolumeClaim", "data-shop-db-0").is_some());
}
