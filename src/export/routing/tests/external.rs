//! Apps that are only routes.

use expect_test::{Expect, expect};

use super::super::super::{External, Sheet, Upstream};
use super::super::add_external;
use super::{ingress, shown, subject};

fn check(upstreams: &[&str], toml: &str, expected: &Expect) {
    let upstream = |text: &&str| match text.parse() {
        Ok(addr) => Upstream::Address(addr),
        Err(_) => {
            let (name, port) = text.split_once(':').unwrap();
            Upstream::Name(name.to_owned(), port.parse().unwrap())
        }
    };
    let external = External {
        app: "legacy".parse().unwrap(),
        upstreams: upstreams.iter().map(upstream).collect(),
        hosts: vec!["legacy.example.com".parse().unwrap()],
        path: "/".parse().unwrap(),
        manifest: subject("legacy", &[], toml).manifest,
    };
    let mut sheet = Sheet::new(&external.app);
    add_external(&external, &ingress("nginx"), &mut sheet);
    expected.assert_eq(&shown(&sheet.finish(), |_| true));
}

#[test]
fn addresses_are_endpoints() {
    let upstreams = [
        "10.0.0.5:8080",
        "10.0.0.6:8080",
        "10.0.0.7:9090",
        "[2001:db8::1]:8080",
        "127.0.0.1:80",
        "old.example.com:80",
    ];
    check(
        &upstreams,
        "[[route]]\npath = \"/api\"\nstrip_prefix = true\n",
        &expect![[r#"
            --- Service legacy
            spec:
              ports:
              - name: http
                port: 80
              type: ClusterIP
            # : no selector: the upstreams run elsewhere
            --- EndpointSlice legacy-ipv4-8080
            addressType: IPv4
            endpoints:
            - addresses:
              - "10.0.0.5"
              conditions:
                ready: true
            - addresses:
              - "10.0.0.6"
              conditions:
                ready: true
            ports:
            - name: http
              port: 8080
              protocol: TCP
            --- EndpointSlice legacy-ipv4-9090
            addressType: IPv4
            endpoints:
            - addresses:
              - "10.0.0.7"
              conditions:
                ready: true
            ports:
            - name: http
              port: 9090
              protocol: TCP
            --- EndpointSlice legacy-ipv6-8080
            addressType: IPv6
            endpoints:
            - addresses:
              - 2001:db8::1
              conditions:
                ready: true
            ports:
            - name: http
              port: 8080
              protocol: TCP
            --- Ingress legacy
            cert-manager.io/cluster-issuer: letsencrypt
            nginx.ingress.kubernetes.io/proxy-body-size: 0
            nginx.ingress.kubernetes.io/proxy-read-timeout: 3600
            nginx.ingress.kubernetes.io/proxy-request-buffering: off
            nginx.ingress.kubernetes.io/proxy-send-timeout: 3600
            nginx.ingress.kubernetes.io/use-regex: true
            spec:
              ingressClassName: nginx
              rules:
              - host: legacy.example.com
                http:
                  paths:
                  - backend:
                      service:
                        name: legacy
                        port:
                          name: http
                    path: /(|$)(.*)
                    pathType: ImplementationSpecific
              tls:
              - hosts:
                - legacy.example.com
                secretName: legacy.example.com-tls
            # /metadata/annotations/nginx.ingress.kubernetes.io~1use-regex: ingress-nginx takes all paths of these hosts for regular expressions
            # /metadata/annotations/nginx.ingress.kubernetes.io~1proxy-body-size: no limit, as on the box; ingress-nginx has one of 1 MiB
            # /metadata/annotations/nginx.ingress.kubernetes.io~1proxy-request-buffering: passed on as they come, as on the box
            # /metadata/annotations/nginx.ingress.kubernetes.io~1proxy-read-timeout: event streams and WebSockets may be silent for long, as on the box
            --- Ingress legacy-route-api
            cert-manager.io/cluster-issuer: letsencrypt
            nginx.ingress.kubernetes.io/proxy-body-size: 0
            nginx.ingress.kubernetes.io/proxy-read-timeout: 3600
            nginx.ingress.kubernetes.io/proxy-request-buffering: off
            nginx.ingress.kubernetes.io/proxy-send-timeout: 3600
            nginx.ingress.kubernetes.io/rewrite-target: /$2
            nginx.ingress.kubernetes.io/use-regex: true
            nginx.ingress.kubernetes.io/x-forwarded-prefix: /api
            spec:
              ingressClassName: nginx
              rules:
              - host: legacy.example.com
                http:
                  paths:
                  - backend:
                      service:
                        name: legacy
                        port:
                          name: http
                    path: /api(/|$)(.*)
                    pathType: ImplementationSpecific
              tls:
              - hosts:
                - legacy.example.com
                secretName: legacy.example.com-tls
            # /metadata/annotations/nginx.ingress.kubernetes.io~1use-regex: ingress-nginx takes all paths of these hosts for regular expressions
            # /metadata/annotations/nginx.ingress.kubernetes.io~1proxy-body-size: no limit, as on the box; ingress-nginx has one of 1 MiB
            # /metadata/annotations/nginx.ingress.kubernetes.io~1proxy-request-buffering: passed on as they come, as on the box
            # /metadata/annotations/nginx.ingress.kubernetes.io~1proxy-read-timeout: event streams and WebSockets may be silent for long, as on the box
            ---
            Todo --upstream: `127.0.0.1:80` means another machine on a cluster; make it listen at an address that pods can reach
            Dropped --upstream: `old.example.com:80` is left out: a Service leads to addresses, or to one name; give its addresses
            Changed [[route]] path: ingress-nginx finds routes without regard to case in hosts with `strip_prefix` or redirects
        "#]],
    );
}

#[test]
fn a_name_is_the_services_own() {
    check(
        &["old.example.com:8080", "older.example.com:80"],
        "",
        &expect![[r#"
        --- Service legacy
        spec:
          externalName: old.example.com
          ports:
          - name: http
            port: 8080
          type: ExternalName
        # : no selector: the upstreams run elsewhere
        --- Ingress legacy
        cert-manager.io/cluster-issuer: letsencrypt
        nginx.ingress.kubernetes.io/proxy-body-size: 0
        nginx.ingress.kubernetes.io/proxy-read-timeout: 3600
        nginx.ingress.kubernetes.io/proxy-request-buffering: off
        nginx.ingress.kubernetes.io/proxy-send-timeout: 3600
        spec:
          ingressClassName: nginx
          rules:
          - host: legacy.example.com
            http:
              paths:
              - backend:
                  service:
                    name: legacy
                    port:
                      name: http
                path: /
                pathType: Prefix
          tls:
          - hosts:
            - legacy.example.com
            secretName: legacy.example.com-tls
        # /metadata/annotations/nginx.ingress.kubernetes.io~1proxy-body-size: no limit, as on the box; ingress-nginx has one of 1 MiB
        # /metadata/annotations/nginx.ingress.kubernetes.io~1proxy-request-buffering: passed on as they come, as on the box
        # /metadata/annotations/nginx.ingress.kubernetes.io~1proxy-read-timeout: event streams and WebSockets may be silent for long, as on the box
        ---
        Todo --upstream: the Service stands for a name (`ExternalName`): the controller must be allowed to follow it (Traefik: `allowExternalNameServices`), and the upstream is asked for the app's host
        Dropped --upstream: `older.example.com:80` is left out: a Service leads to addresses, or to one name; give its addresses
    "#]],
    );
}
