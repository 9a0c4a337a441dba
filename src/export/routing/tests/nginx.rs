//! Apps behind ingress-nginx.

use expect_test::{Expect, expect};

use super::{HASH, ingress, is_ingress, routed, shown, subject};

fn check(hosts: &[&str], toml: &str, expected: &Expect) {
    let export = routed(&subject("shop", hosts, toml), &ingress("nginx"));
    expected.assert_eq(&shown(&export, is_ingress));
}

#[test]
fn an_app_without_any_word_is_as_open_as_on_the_box() {
    check(
        &["shop.example.com"],
        "",
        &expect![[r#"
        --- Ingress shop
        cert-manager.io/cluster-issuer: letsencrypt
        nginx.ingress.kubernetes.io/proxy-body-size: 0
        nginx.ingress.kubernetes.io/proxy-read-timeout: 3600
        nginx.ingress.kubernetes.io/proxy-request-buffering: off
        nginx.ingress.kubernetes.io/proxy-send-timeout: 3600
        spec:
          ingressClassName: nginx
          rules:
          - host: shop.example.com
            http:
              paths:
              - backend:
                  service:
                    name: shop
                    port:
                      name: http
                path: /
                pathType: Prefix
          tls:
          - hosts:
            - shop.example.com
            secretName: shop.example.com-tls
        # /metadata/annotations/nginx.ingress.kubernetes.io~1proxy-body-size: no limit, as on the box; ingress-nginx has one of 1 MiB
        # /metadata/annotations/nginx.ingress.kubernetes.io~1proxy-request-buffering: passed on as they come, as on the box
        # /metadata/annotations/nginx.ingress.kubernetes.io~1proxy-read-timeout: event streams and WebSockets may be silent for long, as on the box
        ---
    "#]],
    );
}

#[test]
fn a_stripped_prefix_makes_every_path_of_its_host_a_regular_expression() {
    let toml = "[process.web]\n[process.api]\n[process.docs]\n[[route]]\npath = \"/api\"\nprocess = \"api\"\nstrip_prefix = true\n\
                [[route]]\npath = \"/api/v1.2\"\nprocess = \"docs\"\n[proxy]\nscope_cookies = true\n";
    check(
        &["shop.example.com", "www.example.com"],
        toml,
        &expect![[r#"
            --- Ingress shop
            cert-manager.io/cluster-issuer: letsencrypt
            nginx.ingress.kubernetes.io/proxy-body-size: 0
            nginx.ingress.kubernetes.io/proxy-read-timeout: 3600
            nginx.ingress.kubernetes.io/proxy-request-buffering: off
            nginx.ingress.kubernetes.io/proxy-send-timeout: 3600
            nginx.ingress.kubernetes.io/use-regex: true
            spec:
              ingressClassName: nginx
              rules:
              - host: shop.example.com
                http:
                  paths:
                  - backend:
                      service:
                        name: shop-docs
                        port:
                          name: http
                    path: /api/v1\.2(/|$)(.*)
                    pathType: ImplementationSpecific
                  - backend:
                      service:
                        name: shop
                        port:
                          name: http
                    path: /(|$)(.*)
                    pathType: ImplementationSpecific
              tls:
              - hosts:
                - shop.example.com
                secretName: shop.example.com-tls
            # /metadata/annotations/nginx.ingress.kubernetes.io~1use-regex: ingress-nginx takes all paths of these hosts for regular expressions
            # /metadata/annotations/nginx.ingress.kubernetes.io~1proxy-body-size: no limit, as on the box; ingress-nginx has one of 1 MiB
            # /metadata/annotations/nginx.ingress.kubernetes.io~1proxy-request-buffering: passed on as they come, as on the box
            # /metadata/annotations/nginx.ingress.kubernetes.io~1proxy-read-timeout: event streams and WebSockets may be silent for long, as on the box
            --- Ingress shop-route-api
            cert-manager.io/cluster-issuer: letsencrypt
            nginx.ingress.kubernetes.io/proxy-body-size: 0
            nginx.ingress.kubernetes.io/proxy-cookie-path: / /api/
            nginx.ingress.kubernetes.io/proxy-read-timeout: 3600
            nginx.ingress.kubernetes.io/proxy-request-buffering: off
            nginx.ingress.kubernetes.io/proxy-send-timeout: 3600
            nginx.ingress.kubernetes.io/rewrite-target: /$2
            nginx.ingress.kubernetes.io/use-regex: true
            nginx.ingress.kubernetes.io/x-forwarded-prefix: /api
            spec:
              ingressClassName: nginx
              rules:
              - host: shop.example.com
                http:
                  paths:
                  - backend:
                      service:
                        name: shop-api
                        port:
                          name: http
                    path: /api(/|$)(.*)
                    pathType: ImplementationSpecific
              tls:
              - hosts:
                - shop.example.com
                secretName: shop.example.com-tls
            # /metadata/annotations/nginx.ingress.kubernetes.io~1use-regex: ingress-nginx takes all paths of these hosts for regular expressions
            # /metadata/annotations/nginx.ingress.kubernetes.io~1proxy-body-size: no limit, as on the box; ingress-nginx has one of 1 MiB
            # /metadata/annotations/nginx.ingress.kubernetes.io~1proxy-request-buffering: passed on as they come, as on the box
            # /metadata/annotations/nginx.ingress.kubernetes.io~1proxy-read-timeout: event streams and WebSockets may be silent for long, as on the box
            --- Ingress shop-route-www-example-com
            cert-manager.io/cluster-issuer: letsencrypt
            nginx.ingress.kubernetes.io/proxy-body-size: 0
            nginx.ingress.kubernetes.io/proxy-read-timeout: 3600
            nginx.ingress.kubernetes.io/proxy-request-buffering: off
            nginx.ingress.kubernetes.io/proxy-send-timeout: 3600
            spec:
              ingressClassName: nginx
              rules:
              - host: www.example.com
                http:
                  paths:
                  - backend:
                      service:
                        name: shop
                        port:
                          name: http
                    path: /
                    pathType: Prefix
              tls:
              - hosts:
                - www.example.com
                secretName: www.example.com-tls
            # /metadata/annotations/nginx.ingress.kubernetes.io~1proxy-body-size: no limit, as on the box; ingress-nginx has one of 1 MiB
            # /metadata/annotations/nginx.ingress.kubernetes.io~1proxy-request-buffering: passed on as they come, as on the box
            # /metadata/annotations/nginx.ingress.kubernetes.io~1proxy-read-timeout: event streams and WebSockets may be silent for long, as on the box
            ---
            Changed [[route]] path: ingress-nginx finds routes without regard to case in hosts with `strip_prefix` or redirects
        "#]],
    );
}

#[test]
fn guards_are_annotations() {
    let toml = format!(
        "[proxy]\nbasic_auth = {{ ann = \"{HASH}\" }}\nallow = [\"10.0.0.0/8\", \"192.168.1.1\"]\ndeny = [\"10.1.0.0/16\"]\n\
         rate_limit = \"100/1m\"\nbody_max = \"20M\"\n[tls]\nclient_ca = \"ca.pem\"\n"
    );
    let export = routed(&subject("shop", &["shop.example.com"], &toml), &ingress("nginx"));
    expect![[r#"
        --- Secret shop-basic-auth
        data:
          auth: >-
            YW5uOiQyeSQwNSRjNFdvTVBvM1NYc2Fma3ZhLkhIYTZ1WFFaV3I3b2JvUGlDMmJUL3I3cTFCQjhJMnMwQlJxQwo=
        type: Opaque
        # : users and bcrypt hashes, as htpasswd writes them
        --- Secret shop-client-ca
        data:
          ca.crt: >-
            LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0tCk1JSUJlakNDQVIrZ0F3SUJBZ0lVTXZVMkxSbEcza0RGNHdyYzV4YjNveDhpSE1Nd0NnWUlLb1pJemowRUF3SXcKRWpFUU1BNEdBMVVFQXd3SFkyeHBaVzUwY3pBZUZ3MHlOakV4TWpNeE56UTBNVFJhRncwek5qRXhNakF4TnpRMApNVFJhTUJJeEVEQU9CZ05WQkFNTUIyTnNhV1Z1ZEhNd1dUQVRCZ2NxaGtqT1BRSUJCZ2dxaGtqT1BRTUJCd05DCkFBU1Y5bjFuWjRHMlhNbFlNVldrNkZVQTRwMmZvWlVSNGlNS3JsMEpXd2JZNys3RG5tTlRzQkFod1VvV2pJdDEKbnhmMDFIVE5sMEJvVUxaVTVUY0kyVFFQbzFNd1VUQWRCZ05WSFE0RUZnUVU1azl0QmRZZ1FvNVRTcWxuUm43Rgp4TlBNdWp3d0h3WURWUjBqQkJnd0ZvQVU1azl0QmRZZ1FvNVRTcWxuUm43RnhOUE11and3RHdZRFZSMFRBUUgvCkJBVXdBd0VCL3pBS0JnZ3Foa2pPUFFRREFnTkpBREJHQWlFQWdiU1FTNWhEd3hhUm5xemFLMWNrZFVGZzBFd2YKaXBIdW9KODJjaWlpT044Q0lRREpJWUd5R0xnMktEYzJuRFlNNm1mWDMxK0xma2pTckZpcTE0eEk2T1loTkE9PQotLS0tLUVORCBDRVJUSUZJQ0FURS0tLS0tCg==
        type: Opaque
        # : certificates of the CAs; nothing in it is secret
        --- Ingress shop
        cert-manager.io/cluster-issuer: letsencrypt
        nginx.ingress.kubernetes.io/auth-realm: shop
        nginx.ingress.kubernetes.io/auth-secret: shop-basic-auth
        nginx.ingress.kubernetes.io/auth-tls-secret: prod/shop-client-ca
        nginx.ingress.kubernetes.io/auth-tls-verify-client: on
        nginx.ingress.kubernetes.io/auth-type: basic
        nginx.ingress.kubernetes.io/denylist-source-range: 10.1.0.0/16
        nginx.ingress.kubernetes.io/limit-burst-multiplier: 1
        nginx.ingress.kubernetes.io/limit-rpm: 100
        nginx.ingress.kubernetes.io/proxy-body-size: 20m
        nginx.ingress.kubernetes.io/proxy-read-timeout: 3600
        nginx.ingress.kubernetes.io/proxy-request-buffering: off
        nginx.ingress.kubernetes.io/proxy-send-timeout: 3600
        nginx.ingress.kubernetes.io/whitelist-source-range: 10.0.0.0/8,192.168.1.1/32
        spec:
          ingressClassName: nginx
          rules:
          - host: shop.example.com
            http:
              paths:
              - backend:
                  service:
                    name: shop
                    port:
                      name: http
                path: /
                pathType: Prefix
          tls:
          - hosts:
            - shop.example.com
            secretName: shop.example.com-tls
        # /metadata/annotations/nginx.ingress.kubernetes.io~1proxy-request-buffering: passed on as they come, as on the box
        # /metadata/annotations/nginx.ingress.kubernetes.io~1proxy-read-timeout: event streams and WebSockets may be silent for long, as on the box
        ---
        Todo [proxy] allow: the controller must see the clients' addresses: `externalTrafficPolicy: Local` on its Service, or the PROXY protocol
        Todo [proxy] deny: the controller must see the clients' addresses: `externalTrafficPolicy: Local` on its Service, or the PROXY protocol
        Changed [tls] client_ca: ingress-nginx asks for it at every path of the host, and answers 400 without
        Changed [proxy] rate_limit: every pod of ingress-nginx counts for itself, and answers 503 unless `limit-req-status-code` of its ConfigMap is 429
    "#]].assert_eq(&shown(&export, |object| object.kind() != "Service"));
}

#[test]
fn redirects_have_ingresses_of_their_own() {
    let toml = "[proxy]\ncanonical_host = \"shop.example.com\"\nredirects = [\n\
                { from = \"/old\", to = \"/new\" },\n\
                { from = \"/blog/*\", to = \"https://blog.example.com/*\", status = 301 },\n\
                { from = \"/docs/*\", to = \"/help/*\" },\n\
                { from = \"/wiki/*\", to = \"/\", status = 302 } ]\n";
    check(
        &["shop.example.com", "www.example.com"],
        toml,
        &expect![[r#"
            --- Ingress shop
            cert-manager.io/cluster-issuer: letsencrypt
            nginx.ingress.kubernetes.io/proxy-body-size: 0
            nginx.ingress.kubernetes.io/proxy-read-timeout: 3600
            nginx.ingress.kubernetes.io/proxy-request-buffering: off
            nginx.ingress.kubernetes.io/proxy-send-timeout: 3600
            nginx.ingress.kubernetes.io/use-regex: true
            spec:
              ingressClassName: nginx
              rules:
              - host: shop.example.com
                http:
                  paths:
                  - backend:
                      service:
                        name: shop
                        port:
                          name: http
                    path: /(|$)(.*)
                    pathType: ImplementationSpecific
              tls:
              - hosts:
                - shop.example.com
                secretName: shop.example.com-tls
            # /metadata/annotations/nginx.ingress.kubernetes.io~1use-regex: ingress-nginx takes all paths of these hosts for regular expressions
            # /metadata/annotations/nginx.ingress.kubernetes.io~1proxy-body-size: no limit, as on the box; ingress-nginx has one of 1 MiB
            # /metadata/annotations/nginx.ingress.kubernetes.io~1proxy-request-buffering: passed on as they come, as on the box
            # /metadata/annotations/nginx.ingress.kubernetes.io~1proxy-read-timeout: event streams and WebSockets may be silent for long, as on the box
            --- Ingress shop-redirect-docs
            cert-manager.io/cluster-issuer: letsencrypt
            nginx.ingress.kubernetes.io/rewrite-target: $scheme://$host/help/$1$2
            nginx.ingress.kubernetes.io/use-regex: true
            spec:
              ingressClassName: nginx
              rules:
              - host: shop.example.com
                http:
                  paths:
                  - backend:
                      service:
                        name: shop
                        port:
                          name: http
                    path: /docs/(|$)(.*)
                    pathType: ImplementationSpecific
              tls:
              - hosts:
                - shop.example.com
                secretName: shop.example.com-tls
            # /metadata/annotations/nginx.ingress.kubernetes.io~1use-regex: ingress-nginx takes all paths of these hosts for regular expressions
            --- Ingress shop-redirect-wiki
            cert-manager.io/cluster-issuer: letsencrypt
            nginx.ingress.kubernetes.io/permanent-redirect: /
            nginx.ingress.kubernetes.io/permanent-redirect-code: 302
            nginx.ingress.kubernetes.io/use-regex: true
            spec:
              ingressClassName: nginx
              rules:
              - host: shop.example.com
                http:
                  paths:
                  - backend:
                      service:
                        name: shop
                        port:
                          name: http
                    path: /wiki/(|$)(.*)
                    pathType: ImplementationSpecific
              tls:
              - hosts:
                - shop.example.com
                secretName: shop.example.com-tls
            # /metadata/annotations/nginx.ingress.kubernetes.io~1use-regex: ingress-nginx takes all paths of these hosts for regular expressions
            --- Ingress shop-redirect-old
            cert-manager.io/cluster-issuer: letsencrypt
            nginx.ingress.kubernetes.io/permanent-redirect: /new
            nginx.ingress.kubernetes.io/permanent-redirect-code: 308
            nginx.ingress.kubernetes.io/use-regex: true
            spec:
              ingressClassName: nginx
              rules:
              - host: shop.example.com
                http:
                  paths:
                  - backend:
                      service:
                        name: shop
                        port:
                          name: http
                    path: /old$
                    pathType: ImplementationSpecific
              tls:
              - hosts:
                - shop.example.com
                secretName: shop.example.com-tls
            # /metadata/annotations/nginx.ingress.kubernetes.io~1use-regex: ingress-nginx takes all paths of these hosts for regular expressions
            --- Ingress shop-redirect-blog
            cert-manager.io/cluster-issuer: letsencrypt
            nginx.ingress.kubernetes.io/rewrite-target: https://blog.example.com/$1$2
            nginx.ingress.kubernetes.io/use-regex: true
            spec:
              ingressClassName: nginx
              rules:
              - host: shop.example.com
                http:
                  paths:
                  - backend:
                      service:
                        name: shop
                        port:
                          name: http
                    path: /blog/(|$)(.*)
                    pathType: ImplementationSpecific
              tls:
              - hosts:
                - shop.example.com
                secretName: shop.example.com-tls
            # /metadata/annotations/nginx.ingress.kubernetes.io~1use-regex: ingress-nginx takes all paths of these hosts for regular expressions
            --- Ingress shop-redirect-www-example-com
            cert-manager.io/cluster-issuer: letsencrypt
            nginx.ingress.kubernetes.io/rewrite-target: https://shop.example.com/$1$2
            nginx.ingress.kubernetes.io/use-regex: true
            spec:
              ingressClassName: nginx
              rules:
              - host: www.example.com
                http:
                  paths:
                  - backend:
                      service:
                        name: shop
                        port:
                          name: http
                    path: /(|$)(.*)
                    pathType: ImplementationSpecific
              tls:
              - hosts:
                - www.example.com
                secretName: www.example.com-tls
            # /metadata/annotations/nginx.ingress.kubernetes.io~1use-regex: ingress-nginx takes all paths of these hosts for regular expressions
            ---
            Changed [[route]] path: ingress-nginx finds routes without regard to case in hosts with `strip_prefix` or redirects
            Changed [proxy] redirects: ingress-nginx answers with 302 where the rest of the path is kept
            Changed [proxy] redirects: ingress-nginx leaves the query out of a redirect
            Changed [proxy] canonical_host: ingress-nginx answers with 302 where the rest of the path is kept
        "#]],
    );
}

#[test]
fn what_browsers_are_told_and_how_long_anybody_waits() {
    let toml = "[proxy]\nhsts = { max_age = \"1y\", subdomains = true }\nresponse_headers = { set = { x-frame-options = \"DENY\" } }\n\
                cors = { origins = [\"https://a.example.com\", \"https://b.example.com\"], methods = [\"PUT\"], headers = [\"x-a\"], \
                expose = [\"x-b\"], credentials = true, max_age = \"1h\" }\n\
                connect_timeout = \"1500ms\"\nfirst_byte_timeout = \"10s\"\nidle_timeout = \"2m\"\ntimeout = \"5m\"\nretries = 0\n\
                balance = \"sticky\"\nhttps_redirect = false\nlog = { exclude = [\"/\"] }\n";
    check(
        &["shop.example.com"],
        toml,
        &expect![[r#"
            --- Ingress shop
            cert-manager.io/cluster-issuer: letsencrypt
            nginx.ingress.kubernetes.io/affinity: cookie
            nginx.ingress.kubernetes.io/affinity-mode: persistent
            nginx.ingress.kubernetes.io/cors-allow-credentials: true
            nginx.ingress.kubernetes.io/cors-allow-headers: accept, accept-language, content-language, x-a
            nginx.ingress.kubernetes.io/cors-allow-methods: GET, HEAD, POST, OPTIONS, PUT
            nginx.ingress.kubernetes.io/cors-allow-origin: https://a.example.com, https://b.example.com
            nginx.ingress.kubernetes.io/cors-expose-headers: x-b
            nginx.ingress.kubernetes.io/cors-max-age: 3600
            nginx.ingress.kubernetes.io/custom-headers: prod/shop-response-headers
            nginx.ingress.kubernetes.io/enable-access-log: false
            nginx.ingress.kubernetes.io/enable-cors: true
            nginx.ingress.kubernetes.io/proxy-body-size: 0
            nginx.ingress.kubernetes.io/proxy-connect-timeout: 2
            nginx.ingress.kubernetes.io/proxy-next-upstream: off
            nginx.ingress.kubernetes.io/proxy-read-timeout: 120
            nginx.ingress.kubernetes.io/proxy-request-buffering: off
            nginx.ingress.kubernetes.io/proxy-send-timeout: 120
            nginx.ingress.kubernetes.io/session-cookie-change-on-failure: true
            nginx.ingress.kubernetes.io/session-cookie-path: /
            nginx.ingress.kubernetes.io/ssl-redirect: false
            spec:
              ingressClassName: nginx
              rules:
              - host: shop.example.com
                http:
                  paths:
                  - backend:
                      service:
                        name: shop
                        port:
                          name: http
                    path: /
                    pathType: Prefix
              tls:
              - hosts:
                - shop.example.com
                secretName: shop.example.com-tls
            # /metadata/annotations/nginx.ingress.kubernetes.io~1proxy-body-size: no limit, as on the box; ingress-nginx has one of 1 MiB
            # /metadata/annotations/nginx.ingress.kubernetes.io~1proxy-request-buffering: passed on as they come, as on the box
            # /metadata/annotations/nginx.ingress.kubernetes.io~1proxy-read-timeout: the longer one of `idle_timeout` and `first_byte_timeout`
            ---
            Changed [proxy] hsts: ingress-nginx sends it for all apps, by default for a year and with subdomains; in its ConfigMap set `hsts-max-age: "31536000"`, `hsts-include-subdomains: "true"` and `hsts-preload: "false"`
            Todo [proxy] response_headers: ingress-nginx answers 503 until `global-allowed-response-headers` of its ConfigMap permits `x-frame-options`
            Changed [proxy] connect_timeout: 1.5s is rounded up to 2 s
            Changed [proxy] first_byte_timeout: ingress-nginx has one timeout for the first byte and for every one after it
            Dropped [proxy] timeout: ingress-nginx has no limit for a whole request; have the app give up by itself
        "#]],
    );
}

#[test]
fn what_is_not_public_has_a_service_and_no_ingress() {
    let toml = "[proxy]\npublic = false\n[process.web]\nport = 3000\n[[port]]\nport = 5432\ntarget = 9000\nproxy_protocol = \"v2\"\n\
                accept_proxy_protocol = true\ndrain = \"1h\"\n";
    let export = routed(&subject("shop", &["shop.example.com"], toml), &ingress("nginx"));
    expect![[r#"
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
        --- Service shop-tcp
        spec:
          ports:
          - name: tcp-5432
            port: 5432
            protocol: TCP
            targetPort: 9000
          selector:
            app.kubernetes.io/component: web
            app.kubernetes.io/name: shop
          type: LoadBalancer
        ---
        Todo [[port]] 5432: the cluster must have a load balancer for Services of type LoadBalancer; clients connect to its address
        Todo [[port]] 5432: no Service sends the PROXY protocol, which the app expects (`v2`): have the load balancer send it, by the annotation of its maker
        Changed [[port]] 5432: a Service passes the PROXY protocol of a proxy in front on to the app, which has to read it itself
        Changed [[port]] 5432: connections to a replaced pod last as long as its `terminationGracePeriodSeconds`, and not as long as `drain`
    "#]].assert_eq(&shown(&export, |_| true));
}

#[test]
fn a_process_that_is_asked_over_grpc_is_spoken_to_in_http2() {
    let toml = "[process.web]\nport = 3000\nready = { grpc = true }\n[proxy]\nbalance = \"client-ip\"\n";
    let export = routed(&subject("shop", &["shop.example.com"], toml), &ingress("nginx"));
    expect![[r#"
        --- Service shop
        spec:
          ports:
          - appProtocol: kubernetes.io/h2c
            name: http
            port: 80
            targetPort: http
          selector:
            app.kubernetes.io/component: web
            app.kubernetes.io/name: shop
          sessionAffinity: ClientIP
          type: ClusterIP
        --- Ingress shop
        cert-manager.io/cluster-issuer: letsencrypt
        nginx.ingress.kubernetes.io/backend-protocol: GRPC
        nginx.ingress.kubernetes.io/proxy-body-size: 0
        nginx.ingress.kubernetes.io/proxy-read-timeout: 3600
        nginx.ingress.kubernetes.io/proxy-request-buffering: off
        nginx.ingress.kubernetes.io/proxy-send-timeout: 3600
        nginx.ingress.kubernetes.io/upstream-hash-by: $binary_remote_addr
        spec:
          ingressClassName: nginx
          rules:
          - host: shop.example.com
            http:
              paths:
              - backend:
                  service:
                    name: shop
                    port:
                      name: http
                path: /
                pathType: Prefix
          tls:
          - hosts:
            - shop.example.com
            secretName: shop.example.com-tls
        # /metadata/annotations/nginx.ingress.kubernetes.io~1proxy-body-size: no limit, as on the box; ingress-nginx has one of 1 MiB
        # /metadata/annotations/nginx.ingress.kubernetes.io~1proxy-request-buffering: passed on as they come, as on the box
        # /metadata/annotations/nginx.ingress.kubernetes.io~1proxy-read-timeout: event streams and WebSockets may be silent for long, as on the box
        ---
        Changed [proxy] protocol: ingress-nginx speaks HTTP/2 with an app as gRPC does, for every request of the route
    "#]].assert_eq(&shown(&export, |_| true));
}
