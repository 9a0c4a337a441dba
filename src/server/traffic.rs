//! The data plane's part of the composition: doors that are open before anything else is known.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::ServerError;
use super::tls::Tls;
use crate::config::{AccessLogChoice, ServerConfig};
use crate::logs::{LogSink, RouterLines};
use crate::port::receive_at;
use crate::proxy::{AccessLog, Http3, Proxy, ProxyConfig, Trust};
use crate::tls::server_config_with;
use crate::traffic::Routes;

/// The proxy, and where its https is.
pub(super) struct Serving {
    pub(super) proxy: Proxy,
    pub(super) https: SocketAddr,
}

/// Serves http, https, HTTP/3 where it is wanted, and TCP ports, until `shutdown`.
pub(super) fn serve(
    config: &ServerConfig,
    routes: &Routes,
    tls: &Tls,
    http: TcpListener,
    (https, https_listener): (SocketAddr, TcpListener),
    access_log: Option<AccessLog>,
    shutdown: &CancellationToken,
) -> Result<Serving, ServerError> {
    let plain = ProxyConfig::new(config.domain.clone());
    let proxy = Proxy::new(
        routes.clone(),
        ProxyConfig {
            unlimited_clients: [plain.unlimited_clients.as_slice(), &config.trusted_proxies].concat(),
            https_port: https.port(),
            http3: config.http3,
            ca_pem: Some(tls.ca.certificate_pem().into()),
            challenges: tls.challenges.clone(),
            access_log,
            trust: Trust {
                proxies: config.trusted_proxies.clone(),
                client_ip_header: config.client_ip_header.clone(),
                proxy_protocol: config.proxy_protocol,
            },
            ..plain
        },
    );
    tokio::spawn(proxy.clone().serve_http(http, shutdown.clone()));
    let server_config = server_config_with(Arc::clone(&tls.resolver), Arc::clone(&tls.tickets));
    if config.http3 {
        let http3 = Http3::new(receive_at(https)?, &server_config)?;
        tokio::spawn(proxy.clone().serve_http3(http3, shutdown.clone()));
    }
    tokio::spawn(proxy.clone().serve_https(https_listener, server_config, shutdown.clone()));
    tokio::spawn(proxy.clone().serve_ports(shutdown.clone()));
    Ok(Serving { proxy, https })
}

/// Where a line for each request goes: to where the operator wants it, and into the log of its app.
pub(super) fn access_log(
    config: &ServerConfig,
    routes: &Routes,
    logs: &LogSink,
) -> Result<Option<AccessLog>, ServerError> {
    let failed = |path: Option<&PathBuf>| {
        let path = path.cloned();
        move |source| ServerError::AccessLog { path, source }
    };
    let (writer, path): (Box<dyn Write + Send>, _) = match &config.access_log {
        AccessLogChoice::Off if !config.log_router => return Ok(None),
        AccessLogChoice::Off => (Box::new(io::sink()), None),
        // Its lock is held for as long as a batch is written, so no other line comes in between.
        AccessLogChoice::Stderr => (Box::new(io::stderr()), None),
        AccessLogChoice::File(path) => {
            let file = OpenOptions::new().append(true).create(true).open(path).map_err(failed(Some(path)))?;
            (Box::new(file), Some(path))
        }
    };
    let log = match config.log_router {
        true => AccessLog::to(RouterLines::new(writer, logs.clone()), routes.metrics()),
        false => AccessLog::to(writer, routes.metrics()),
    };
    log.map(Some).map_err(failed(path))
}
