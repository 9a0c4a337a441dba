//! A configuration for each peer: one worker, h1 and h2, a route to the upstream that keeps idle connections, an access log
//! in the peer's own format to a file, forwarding headers as minipaas sets them, no limit that a case would meet.
//!
//! What is not named is the peer's default.

use std::process::Command;

use super::{Peer, Setting, with_args};

/// Writes the configuration and has the command use it.
pub(super) fn configure(peer: Peer, setting: &Setting<'_>, command: &mut Command) -> anyhow::Result<()> {
    match peer {
        Peer::Nginx => {
            let file = setting.write("nginx.conf", &nginx(setting))?;
            with_args(command, &["-e", &setting.path("error.log"), "-p", &setting.path(""), "-c"]).arg(file);
        }
        Peer::Haproxy => {
            let file = setting.write("haproxy.cfg", &haproxy(setting))?;
            with_args(command, &["-db", "-f"]).arg(file);
        }
        Peer::Envoy => {
            let file = setting.write("envoy.yaml", &envoy(setting))?;
            with_args(command, &["--concurrency", "1", "--disable-hot-restart", "-l", "error", "-c"])
                .arg(file);
        }
        Peer::Traefik => {
            setting.write("routes.yaml", &traefik_routes(setting))?;
            let file = setting.write("traefik.yaml", &traefik(setting))?;
            command.arg("--configFile").arg(file);
        }
        Peer::Caddy => {
            let file = setting.write("Caddyfile", &caddy(setting))?;
            with_args(command, &["run", "--adapter", "caddyfile", "--config"]).arg(file);
            // Where it would keep its state.
            command.env("XDG_DATA_HOME", setting.dir).env("XDG_CONFIG_HOME", setting.dir);
        }
        Peer::Minipaas => unreachable!("minipaas reads its store"),
    }
    Ok(())
}

fn nginx(setting: &Setting<'_>) -> String {
    let Setting { ports, upstream, .. } = setting;
    let path = |name| setting.path(name);
    format!(
        "daemon off;
# Its workers must get at the folder, which is ours; without root they are us anyway.
user root root;
worker_processes 1;
worker_rlimit_nofile 65536;
pid {pid};
events {{ worker_connections 16384; }}
http {{
    access_log {log} combined;
    client_body_temp_path {body};
    proxy_temp_path {proxy};
    fastcgi_temp_path {fastcgi};
    uwsgi_temp_path {uwsgi};
    scgi_temp_path {scgi};
    # A connection every 1,000 requests, by default, is not what is measured.
    keepalive_requests 100000000;
    client_max_body_size 0;
    upstream app {{
        server {upstream};
        keepalive 256;
        keepalive_requests 100000000;
    }}
    server {{
        listen {http} backlog=4096;
        listen {https} ssl http2 backlog=4096;
        ssl_certificate {certificate};
        ssl_certificate_key {key};
        ssl_protocols TLSv1.2 TLSv1.3;
        location / {{
            proxy_pass http://app;
            proxy_http_version 1.1;
            proxy_request_buffering off;
            proxy_set_header Connection \"\";
            proxy_set_header Host $http_host;
            proxy_set_header X-Real-IP $remote_addr;
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
            proxy_set_header X-Forwarded-Proto $scheme;
            proxy_set_header X-Request-Id $request_id;
        }}
    }}
}}
",
        pid = path("nginx.pid"),
        log = path("access.log"),
        body = path("body"),
        proxy = path("proxy"),
        fastcgi = path("fastcgi"),
        uwsgi = path("uwsgi"),
        scgi = path("scgi"),
        http = ports.http,
        https = ports.https,
        certificate = path("cert.pem"),
        key = path("key.pem"),
    )
}

fn haproxy(setting: &Setting<'_>) -> String {
    let Setting { ports, upstream, .. } = setting;
    format!(
        "global
    log stdout format raw local0
    # It wants two open files for each, and does not start where it may not have them.
    maxconn 9000
    nbthread 1
defaults
    mode http
    log global
    option httplog
    option forwardfor
    timeout connect 5s
    timeout client 60s
    timeout server 60s
frontend web
    bind {http} backlog 4096
    bind {https} ssl crt {both} alpn h2,http/1.1 backlog 4096
    http-request set-header X-Forwarded-Proto https if {{ ssl_fc }}
    http-request set-header X-Forwarded-Proto http if !{{ ssl_fc }}
    unique-id-format %{{+X}}o\\ %ci:%cp_%fi:%fp_%Ts_%rt:%pid
    unique-id-header X-Request-Id
    default_backend app
backend app
    server one {upstream}
",
        http = ports.http,
        https = ports.https,
        both = setting.path("both.pem"),
    )
}

fn caddy(setting: &Setting<'_>) -> String {
    let Setting { ports, upstream, .. } = setting;
    format!(
        "{{
    admin off
    auto_https off
    persist_config off
    log {{
        level ERROR
    }}
    servers {{
        protocols h1 h2
    }}
}}
(app) {{
    log {{
        output file {log} {{
            roll_disabled
        }}
    }}
    reverse_proxy {upstream}
}}
http://localhost:{http} {{
    bind 127.0.0.1
    import app
}}
https://localhost:{https} {{
    bind 127.0.0.1
    tls {certificate} {key}
    import app
}}
",
        log = setting.path("access.log"),
        http = ports.http.port(),
        https = ports.https.port(),
        certificate = setting.path("cert.pem"),
        key = setting.path("key.pem"),
    )
}

fn traefik(setting: &Setting<'_>) -> String {
    format!(
        "global:
  checkNewVersion: false
  sendAnonymousUsage: false
log:
  level: ERROR
accessLog:
  filePath: {log}
entryPoints:
  web:
    address: {http}
  websecure:
    address: {https}
providers:
  file:
    filename: {routes}
    watch: false
",
        log = setting.path("access.log"),
        http = setting.ports.http,
        https = setting.ports.https,
        routes = setting.path("routes.yaml"),
    )
}

fn traefik_routes(setting: &Setting<'_>) -> String {
    format!(
        "http:
  routers:
    plain:
      rule: Host(`localhost`)
      entryPoints: [web]
      service: app
    secure:
      rule: Host(`localhost`)
      entryPoints: [websecure]
      service: app
      tls: {{}}
  services:
    app:
      loadBalancer:
        servers:
          - url: http://{upstream}
tls:
  certificates:
    - certFile: {certificate}
      keyFile: {key}
",
        upstream = setting.upstream,
        certificate = setting.path("cert.pem"),
        key = setting.path("key.pem"),
    )
}

fn envoy(setting: &Setting<'_>) -> String {
    let tls = format!(
        "
          transport_socket:
            name: envoy.transport_sockets.tls
            typed_config:
              \"@type\": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext
              common_tls_context:
                alpn_protocols: [h2, http/1.1]
                tls_certificates:
                  - certificate_chain: {{ filename: {certificate} }}
                    private_key: {{ filename: {key} }}",
        certificate = setting.path("cert.pem"),
        key = setting.path("key.pem"),
    );
    let listener = |name: &str, port: u16, tls: &str| {
        format!(
            "
    - name: {name}
      address: {{ socket_address: {{ address: 127.0.0.1, port_value: {port} }} }}
      filter_chains:
        - filters:
            - name: envoy.filters.network.http_connection_manager
              typed_config:
                \"@type\": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
                stat_prefix: {name}
                use_remote_address: true
                access_log:
                  - name: envoy.access_loggers.file
                    typed_config:
                      \"@type\": type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog
                      path: {log}
                http_filters:
                  - name: envoy.filters.http.router
                    typed_config:
                      \"@type\": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router
                route_config:
                  virtual_hosts:
                    - name: app
                      domains: [\"*\"]
                      routes: [{{ match: {{ prefix: / }}, route: {{ cluster: app, timeout: 60s }} }}]{tls}",
            log = setting.path("access.log"),
        )
    };
    format!(
        "static_resources:
  listeners:{plain}{secure}
  clusters:
    - name: app
      type: STATIC
      load_assignment:
        cluster_name: app
        endpoints:
          - lb_endpoints:
              - endpoint: {{ address: {{ socket_address: {{ address: {ip}, port_value: {port} }} }} }}
",
        plain = listener("plain", setting.ports.http.port(), ""),
        secure = listener("secure", setting.ports.https.port(), &tls),
        ip = setting.upstream.ip(),
        port = setting.upstream.port(),
    )
}
