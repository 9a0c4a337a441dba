//! Apps behind a Gateway.

use expect_test::expect;

use super::{HASH, gateway, routed, shown, subject};

#[test]
fn a_policy_is_filters_and_notes() {
    let toml = format!(
        "[process.web]\n[process.api]\nport = 4000\n[proxy]\nbasic_auth = {{ ann = \"{HASH}\" }}\nhsts = true\nbody_max = \"20M\"\n\
         response_headers = {{ set = {{ x-a = \"b\" }}, remove = [\"server\"] }}\nrequest_headers = {{ remove = [\"x-debug\"] }}\n\
         cors = {{ origins = [\"https://a.example.com\"], methods = [\"PUT\", \"PURGE\"], credentials = true }}\ntimeout = \"90s\"\n\
         redirects = [{{ from = \"/old\", to = \"/new\" }}, {{ from = \"/blog/*\", to = \"https://blog.example.com:8443/*\" }}]\n\
         [[route]]\npath = \"/api\"\nprocess = \"api\"\nstrip_prefix = true\nproxy = {{ timeout = false, protocol = \"h2\" }}\n"
    );
    let export = routed(&subject("shop", &["shop.example.com", "www.example.com"], &toml), &gateway());
    expect![[r#"
        --- Service shop-api
        spec:
          ports:
          - appProtocol: kubernetes.io/h2c
            name: http
            port: 80
            targetPort: http
          selector:
            app.kubernetes.io/component: api
            app.kubernetes.io/name: shop
          type: ClusterIP
        --- Service shop
        spec:
          ports:
          - name: http
            port: 80
            targetPort: http
          selector:
            app.kubernetes.io/component: web
            app.kubernetes.io/name: shop
          type: ClusterIP
        --- HTTPRoute shop
        spec:
          hostnames:
          - shop.example.com
          parentRefs:
          - name: public
            namespace: infra
          rules:
          - filters:
            - requestRedirect:
                hostname: blog.example.com
                path:
                  replacePrefixMatch: /
                  type: ReplacePrefixMatch
                port: 8443
                scheme: https
                statusCode: 301
              type: RequestRedirect
            matches:
            - path:
                type: PathPrefix
                value: /blog
          - backendRefs:
            - name: shop-api
              port: 80
            filters:
            - requestHeaderModifier:
                remove:
                - x-debug
              type: RequestHeaderModifier
            - responseHeaderModifier:
                remove:
                - server
                set:
                - name: x-a
                  value: b
                - name: strict-transport-security
                  value: max-age=31536000
              type: ResponseHeaderModifier
            - cors:
                allowCredentials: true
                allowMethods:
                - PUT
                allowOrigins:
                - https://a.example.com
                maxAge: 600
              type: CORS
            - type: URLRewrite
              urlRewrite:
                path:
                  replacePrefixMatch: /
                  type: ReplacePrefixMatch
            matches:
            - path:
                type: PathPrefix
                value: /api
            timeouts:
              request: 0s
          - filters:
            - requestRedirect:
                path:
                  replaceFullPath: /new
                  type: ReplaceFullPath
                statusCode: 301
              type: RequestRedirect
            matches:
            - path:
                type: Exact
                value: /old
          - backendRefs:
            - name: shop
              port: 80
            filters:
            - requestHeaderModifier:
                remove:
                - x-debug
              type: RequestHeaderModifier
            - responseHeaderModifier:
                remove:
                - server
                set:
                - name: x-a
                  value: b
                - name: strict-transport-security
                  value: max-age=31536000
              type: ResponseHeaderModifier
            - cors:
                allowCredentials: true
                allowMethods:
                - PUT
                allowOrigins:
                - https://a.example.com
                maxAge: 600
              type: CORS
            matches:
            - path:
                type: PathPrefix
                value: /
            timeouts:
              request: 1m30s
        # /spec/rules/1/timeouts/request: no limit, as on the box; some Gateways have one of 15 s
        --- HTTPRoute shop-route-2
        spec:
          hostnames:
          - www.example.com
          parentRefs:
          - name: public
            namespace: infra
          rules:
          - filters:
            - requestRedirect:
                hostname: blog.example.com
                path:
                  replacePrefixMatch: /
                  type: ReplacePrefixMatch
                port: 8443
                scheme: https
                statusCode: 301
              type: RequestRedirect
            matches:
            - path:
                type: PathPrefix
                value: /blog
          - filters:
            - requestRedirect:
                path:
                  replaceFullPath: /new
                  type: ReplaceFullPath
                statusCode: 301
              type: RequestRedirect
            matches:
            - path:
                type: Exact
                value: /old
          - backendRefs:
            - name: shop
              port: 80
            filters:
            - requestHeaderModifier:
                remove:
                - x-debug
              type: RequestHeaderModifier
            - responseHeaderModifier:
                remove:
                - server
                set:
                - name: x-a
                  value: b
                - name: strict-transport-security
                  value: max-age=31536000
              type: ResponseHeaderModifier
            - cors:
                allowCredentials: true
                allowMethods:
                - PUT
                allowOrigins:
                - https://a.example.com
                maxAge: 600
              type: CORS
            matches:
            - path:
                type: PathPrefix
                value: /
            timeouts:
              request: 1m30s
        ---
        Todo --tls: certificates are the Gateway's: annotate the Gateway with `cert-manager.io/cluster-issuer: letsencrypt`, and give it an https listener for each of `shop.example.com`, `www.example.com`
        Todo [proxy] https_redirect: `infra/public` serves plain http as well unless its http listener has an HTTPRoute that redirects to https
        Changed [proxy] redirects: a Gateway answers 301 and not 308: older ones know no other
        Todo [proxy] cors: filter `CORS` is standard from Gateway API v1.5 on; the cluster's must be as new
        Dropped [proxy] cors: the Gateway API knows no method `PURGE`; have the app answer for it
        Dropped [proxy] basic_auth: the Gateway API has no word for it, and its implementation may have a policy: NOBODY IS ASKED FOR A PASSWORD; have the app ask, or set it up at the controller, before it is reachable
        Dropped [proxy] body_max: the Gateway API has no word for it, and its implementation may have a policy: the controller's own limit holds; set it there, or have the app refuse
    "#]].assert_eq(&shown(&export, |_| true));
}

#[test]
fn hosts_with_the_same_rules_share_a_route() {
    let toml = "[[route]]\nhost = \"*\"\n[[route]]\nhost = \"*.example.org\"\n[proxy]\ncanonical_host = \"www.example.com\"\n";
    let export = routed(&subject("shop", &["shop.example.com", "www.example.com"], toml), &gateway());
    expect![[r#"
        --- HTTPRoute shop
        spec:
          hostnames:
          - shop.example.com
          - "*.example.org"
          parentRefs:
          - name: public
            namespace: infra
          rules:
          - filters:
            - requestRedirect:
                hostname: www.example.com
                path:
                  replacePrefixMatch: /
                  type: ReplacePrefixMatch
                scheme: https
                statusCode: 301
              type: RequestRedirect
            matches:
            - path:
                type: PathPrefix
                value: /
        --- HTTPRoute shop-route-2
        spec:
          parentRefs:
          - name: public
            namespace: infra
          rules:
          - filters:
            - requestRedirect:
                hostname: www.example.com
                path:
                  replacePrefixMatch: /
                  type: ReplacePrefixMatch
                scheme: https
                statusCode: 301
              type: RequestRedirect
            matches:
            - path:
                type: PathPrefix
                value: /
        --- HTTPRoute shop-route-3
        spec:
          hostnames:
          - www.example.com
          parentRefs:
          - name: public
            namespace: infra
          rules:
          - backendRefs:
            - name: shop
              port: 80
            matches:
            - path:
                type: PathPrefix
                value: /
            timeouts:
              request: 0s
        # /spec/rules/0/timeouts/request: no limit, as on the box; some Gateways have one of 15 s
        ---
        Todo --tls: certificates are the Gateway's: annotate the Gateway with `cert-manager.io/cluster-issuer: letsencrypt`, and give it an https listener for each of `shop.example.com`, `*`, `*.example.org`, `www.example.com`
        Todo [proxy] https_redirect: `infra/public` serves plain http as well unless its http listener has an HTTPRoute that redirects to https
        Changed [proxy] canonical_host: a Gateway answers 301 and not 308: older ones know no other
    "#]].assert_eq(&shown(&export, |object| object.kind() == "HTTPRoute"));
}

#[test]
fn more_rules_than_a_route_takes_make_another() {
    let routes: String = (0..20).map(|n| format!("[[route]]\npath = \"/p{n}\"\n")).collect();
    let export = routed(&subject("shop", &["shop.example.com"], &routes), &gateway());
    let rules = export.objects.iter().filter(|object| object.kind() == "HTTPRoute");
    let counts: Vec<_> = rules.map(|route| route.value["spec"]["rules"].as_array().unwrap().len()).collect();
    assert_eq!(counts, [16, 5]);
}
