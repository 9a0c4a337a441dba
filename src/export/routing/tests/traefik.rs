//! Apps behind Traefik.

use expect_test::expect;

use super::super::super::Options;
use super::{HASH, ingress, routed, shown, subject};

#[test]
fn a_policy_is_a_chain_of_middlewares() {
    let toml = format!(
        "[process.web]\nport = 3000\nreplicas = 3\n[proxy]\nbasic_auth = {{ ann = \"{HASH}\" }}\ndeny = [\"128.0.0.0/1\", \"::/0\"]\nrate_limit = \"100/1m\"\n\
         body_max = \"20M\"\nhsts = true\ncompress = true\nretries = 2\nmax_connections = 10\n\
         cors = {{ origins = [\"*\"] }}\nresponse_headers = {{ set = {{ x-a = \"b\" }}, remove = [\"server\"] }}\n\
         redirects = [{{ from = \"/old\", to = \"/new\" }}, {{ from = \"/blog/*\", to = \"https://blog.example.com/*\", status = 302 }}]\n\
         balance = \"sticky\"\n[[route]]\npath = \"/api\"\nstrip_prefix = true\nproxy = {{ basic_auth = false }}\n"
    );
    let export = routed(&subject("shop", &["shop.example.com"], &toml), &ingress("traefik"));
    expect![[r#"
        --- ServersTransport shop
        spec:
          forwardingTimeouts:
            dialTimeout: 5s
            responseHeaderTimeout: 60s
        --- Service shop
        traefik.ingress.kubernetes.io/service.serverstransport: prod-shop@kubernetescrd
        traefik.ingress.kubernetes.io/service.sticky.cookie: true
        traefik.ingress.kubernetes.io/service.sticky.cookie.httponly: true
        spec:
          ports:
          - name: http
            port: 80
            targetPort: http
          selector:
            app.kubernetes.io/component: web
            app.kubernetes.io/name: shop
          type: ClusterIP
        --- Middleware shop-https
        spec:
          redirectScheme:
            permanent: true
            scheme: https
        --- Middleware shop-redirect-1
        spec:
          redirectRegex:
            permanent: true
            regex: ^https?://[^/]+/old(?P<query>\?.*)?$
            replacement: /new${query}
        --- Middleware shop-redirect-2
        spec:
          redirectRegex:
            permanent: false
            regex: ^https?://[^/]+/blog/(?P<rest>[^?]*)(?P<query>\?.*)?$
            replacement: https://blog.example.com/${rest}${query}
        --- Middleware shop-addresses
        spec:
          ipAllowList:
            sourceRange:
            - 0.0.0.0/1
        --- Secret shop-basic-auth
        data:
          users: >-
            YW5uOiQyeSQwNSRjNFdvTVBvM1NYc2Fma3ZhLkhIYTZ1WFFaV3I3b2JvUGlDMmJUL3I3cTFCQjhJMnMwQlJxQwo=
        type: Opaque
        # : users and bcrypt hashes, as htpasswd writes them
        --- Middleware shop-basic-auth
        spec:
          basicAuth:
            realm: shop
            removeHeader: true
            secret: shop-basic-auth
        --- Middleware shop-rate-limit
        spec:
          rateLimit:
            average: 100
            burst: 100
            period: 60s
        --- Middleware shop-compress
        spec:
          compress:
            encodings:
            - zstd
            - br
            - gzip
        --- Middleware shop-in-flight
        spec:
          inFlightReq:
            amount: 30
        --- Middleware shop-buffering
        spec:
          buffering:
            maxRequestBodyBytes: 20971520
        --- Middleware shop-headers
        spec:
          headers:
            accessControlAllowCredentials: false
            accessControlAllowMethods:
            - GET
            - HEAD
            - POST
            accessControlAllowOriginList:
            - "*"
            accessControlMaxAge: 600
            addVaryHeader: true
            customResponseHeaders:
              server: ""
              x-a: b
            stsIncludeSubdomains: false
            stsPreload: false
            stsSeconds: 31536000
        --- Middleware shop-retry
        spec:
          retry:
            attempts: 3
        --- Ingress shop
        cert-manager.io/cluster-issuer: letsencrypt
        traefik.ingress.kubernetes.io/router.middlewares: prod-shop-https@kubernetescrd,prod-shop-redirect-1@kubernetescrd,prod-shop-redirect-2@kubernetescrd,prod-shop-addresses@kubernetescrd,prod-shop-rate-limit@kubernetescrd,prod-shop-headers@kubernetescrd,prod-shop-basic-auth@kubernetescrd,prod-shop-compress@kubernetescrd,prod-shop-in-flight@kubernetescrd,prod-shop-buffering@kubernetescrd,prod-shop-retry@kubernetescrd
        spec:
          ingressClassName: traefik
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
        --- Middleware shop-route-api-strip
        spec:
          stripPrefix:
            prefixes:
            - /api
        --- Ingress shop-route-api
        cert-manager.io/cluster-issuer: letsencrypt
        traefik.ingress.kubernetes.io/router.middlewares: prod-shop-https@kubernetescrd,prod-shop-addresses@kubernetescrd,prod-shop-rate-limit@kubernetescrd,prod-shop-headers@kubernetescrd,prod-shop-compress@kubernetescrd,prod-shop-in-flight@kubernetescrd,prod-shop-buffering@kubernetescrd,prod-shop-route-api-strip@kubernetescrd,prod-shop-retry@kubernetescrd
        spec:
          ingressClassName: traefik
          rules:
          - host: shop.example.com
            http:
              paths:
              - backend:
                  service:
                    name: shop
                    port:
                      name: http
                path: /api
                pathType: Prefix
          tls:
          - hosts:
            - shop.example.com
            secretName: shop.example.com-tls
        ---
        Todo [proxy] deny: Traefik must see the clients' addresses: `externalTrafficPolicy: Local` on its Service, or the PROXY protocol
        Changed [proxy] rate_limit: every pod of Traefik counts for itself
        Changed [proxy] body_max: Traefik collects requests and responses of the route to see how large they are; nothing streams
        Changed [proxy] max_connections: Traefik counts 30 for all instances together, and answers 429 beyond it
        Changed [[route]] path: Traefik takes `/api` for the beginning of `/apiary`, too, unless `providers.kubernetesIngress.strictPrefixMatching` is set
    "#]].assert_eq(&shown(&export, |_| true));
}

#[test]
fn other_hosts_lead_to_the_canonical_one() {
    let toml = "[proxy]\ncanonical_host = \"shop.example.com\"\nretries = 0\n[tls]\nclient_ca = \"ca.pem\"\n";
    let options = Options { namespace: None, ..ingress("traefik") };
    let export = routed(&subject("shop", &["shop.example.com", "www.example.com"], toml), &options);
    expect![[r#"
        --- ServersTransport shop
        spec:
          forwardingTimeouts:
            dialTimeout: 5s
            responseHeaderTimeout: 60s
        --- Middleware shop-https
        spec:
          redirectScheme:
            permanent: true
            scheme: https
        --- Secret shop-client-ca
        data:
          ca.crt: >-
            LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0tCk1JSUJlakNDQVIrZ0F3SUJBZ0lVTXZVMkxSbEcza0RGNHdyYzV4YjNveDhpSE1Nd0NnWUlLb1pJemowRUF3SXcKRWpFUU1BNEdBMVVFQXd3SFkyeHBaVzUwY3pBZUZ3MHlOakV4TWpNeE56UTBNVFJhRncwek5qRXhNakF4TnpRMApNVFJhTUJJeEVEQU9CZ05WQkFNTUIyTnNhV1Z1ZEhNd1dUQVRCZ2NxaGtqT1BRSUJCZ2dxaGtqT1BRTUJCd05DCkFBU1Y5bjFuWjRHMlhNbFlNVldrNkZVQTRwMmZvWlVSNGlNS3JsMEpXd2JZNys3RG5tTlRzQkFod1VvV2pJdDEKbnhmMDFIVE5sMEJvVUxaVTVUY0kyVFFQbzFNd1VUQWRCZ05WSFE0RUZnUVU1azl0QmRZZ1FvNVRTcWxuUm43Rgp4TlBNdWp3d0h3WURWUjBqQkJnd0ZvQVU1azl0QmRZZ1FvNVRTcWxuUm43RnhOUE11and3RHdZRFZSMFRBUUgvCkJBVXdBd0VCL3pBS0JnZ3Foa2pPUFFRREFnTkpBREJHQWlFQWdiU1FTNWhEd3hhUm5xemFLMWNrZFVGZzBFd2YKaXBIdW9KODJjaWlpT044Q0lRREpJWUd5R0xnMktEYzJuRFlNNm1mWDMxK0xma2pTckZpcTE0eEk2T1loTkE9PQotLS0tLUVORCBDRVJUSUZJQ0FURS0tLS0tCg==
        type: Opaque
        # : certificates of the CAs; nothing in it is secret
        --- TLSOption shop-client-ca
        spec:
          clientAuth:
            clientAuthType: RequireAndVerifyClientCert
            secretNames:
            - shop-client-ca
        --- Ingress shop
        cert-manager.io/cluster-issuer: letsencrypt
        traefik.ingress.kubernetes.io/router.middlewares: default-shop-https@kubernetescrd
        traefik.ingress.kubernetes.io/router.tls: true
        traefik.ingress.kubernetes.io/router.tls.options: default-shop-client-ca@kubernetescrd
        spec:
          ingressClassName: traefik
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
        --- Middleware shop-route-www-example-com-canonical
        spec:
          redirectRegex:
            permanent: true
            regex: ^(https?)://[^/]+/(.*)$
            replacement: ${1}://shop.example.com/${2}
        --- Ingress shop-route-www-example-com
        cert-manager.io/cluster-issuer: letsencrypt
        traefik.ingress.kubernetes.io/router.middlewares: default-shop-https@kubernetescrd,default-shop-route-www-example-com-canonical@kubernetescrd
        traefik.ingress.kubernetes.io/router.tls: true
        traefik.ingress.kubernetes.io/router.tls.options: default-shop-client-ca@kubernetescrd
        spec:
          ingressClassName: traefik
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
        ---
        Todo --namespace: references to objects of the app need a namespace and name `default`; if it goes elsewhere, export with `--namespace`
        Changed [tls] client_ca: Traefik asks for it at every path of the host
    "#]].assert_eq(&shown(&export, |object| object.kind() != "Service"));
}

#[test]
fn a_host_asks_for_certificates_at_every_path_or_at_none() {
    let toml = "[[route]]\npath = \"/hooks\"\ntls = { client_ca = \"ca.pem\" }\n[[route]]\nhost = \"docs.example.com\"\n";
    let export = routed(&subject("shop", &["shop.example.com"], toml), &ingress("traefik"));
    let ingresses = export.objects.iter().filter(|object| object.kind() == "Ingress");
    let options = ingresses.map(|ingress| {
        let options =
            &ingress.value["metadata"]["annotations"]["traefik.ingress.kubernetes.io/router.tls.options"];
        format!("{}: {}", ingress.value["spec"]["rules"][0]["host"], options)
    });
    assert_eq!(
        options.collect::<Vec<_>>(),
        [
            r#""shop.example.com": "prod-shop-client-ca@kubernetescrd""#,
            r#""shop.example.com": "prod-shop-client-ca@kubernetescrd""#,
            r#""docs.example.com": null"#,
        ]
    );
}
