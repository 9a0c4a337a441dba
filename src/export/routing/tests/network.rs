//! Who may reach whom.

use expect_test::expect;

use super::super::super::{Entrance, Options};
use super::{ingress, policies, shown, subject};

#[test]
fn the_entrance_linked_apps_and_ports_are_let_in() {
    let billing = subject(
        "billing",
        &["billing.example.com"],
        "[process.web]\n[process.api]\n[[route]]\npath = \"/api\"\nprocess = \"api\"\nstrip_prefix = true\n[[port]]\nport = 5432\ntarget = 5000\n[[port]]\nport = 6000\n",
    );
    let shop = subject("shop", &["shop.example.com"], "[link]\nbilling = \"billing\"\n");
    let other = subject("other", &["other.example.com"], "");
    let subjects = [other, shop, billing];
    let export = policies(&subjects, &subjects[2], &ingress("nginx"));
    expect![[r#"
        --- NetworkPolicy billing
        spec:
          ingress:
          - from:
            - podSelector:
                matchLabels:
                  app.kubernetes.io/name: billing
          - from:
            - namespaceSelector:
                matchLabels:
                  kubernetes.io/metadata.name: ingress-nginx
            ports:
            - port: http
              protocol: TCP
          - from:
            - podSelector:
                matchLabels:
                  app.kubernetes.io/name: shop
            ports:
            - port: http
              protocol: TCP
          - ports:
            - port: 5000
              protocol: TCP
          - ports:
            - port: http
              protocol: TCP
          podSelector:
            matchLabels:
              app.kubernetes.io/name: billing
          policyTypes:
          - Ingress
        # /spec/ingress: the app's own pods, the entrance, linked apps, and nobody else; what the app itself calls is not limited
        ---
        Changed [[route]] /api: linked apps (`shop`) find `web` at `http://billing`, whatever the path; those that call this route call `http://billing-api` without the prefix
    "#]].assert_eq(&shown(&export, |_| true));
}

#[test]
fn an_app_that_is_not_public_lets_no_entrance_in() {
    let shop = subject("shop", &["shop.example.com"], "[proxy]\npublic = false\n");
    let export = policies(std::slice::from_ref(&shop), &shop, &ingress("nginx"));
    let from = &export.objects[0].value["spec"]["ingress"];
    assert_eq!(from.as_array().unwrap().len(), 1, "{from}");
}

#[test]
fn an_entrance_is_where_it_runs() {
    let shop = subject("shop", &["shop.example.com"], "");
    let mut text = String::new();
    let classes = ["nginx", "traefik", "other"].map(|class| Entrance::Ingress(class.to_owned()));
    let gateways = ["infra/public", "public"].map(|name| Entrance::Gateway(name.to_owned()));
    for entrance in classes.into_iter().chain(gateways) {
        let options = Options { entrance, ..Options::default() };
        let export = policies(std::slice::from_ref(&shop), &shop, &options);
        let from = &export.objects[0].value["spec"]["ingress"][1]["from"];
        text += &format!("{from}\n");
        for note in export.notes {
            text += &format!("  {:?} {}\n", note.kind, note.text);
        }
    }
    expect![[r#"
        [{"namespaceSelector":{"matchLabels":{"kubernetes.io/metadata.name":"ingress-nginx"}}}]
        [{"namespaceSelector":{"matchLabels":{"kubernetes.io/metadata.name":"traefik"}}},{"namespaceSelector":{"matchLabels":{"kubernetes.io/metadata.name":"kube-system"}},"podSelector":{"matchLabels":{"app.kubernetes.io/name":"traefik"}}}]
        [{"namespaceSelector":{}}]
          Changed pods of every namespace reach the app's http ports, as nobody here knows where class `other` runs
        [{"namespaceSelector":{"matchLabels":{"kubernetes.io/metadata.name":"infra"}}}]
          Todo the app lets in pods of namespace `infra`; if the Gateway's pods run elsewhere, name that one
        [{"namespaceSelector":{}}]
          Changed pods of every namespace reach the app's http ports, as the Gateway was named without its namespace
    "#]].assert_eq(&text);
}
