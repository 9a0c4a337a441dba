//! A proxy on ports of its own, whose routes a test changes as the controller would.

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use http::Request;
use http_body_util::Full;
use minipaas::name::{InstanceId, PathPrefix, ProcessType, ReleaseId, Slot};
use minipaas::policy::Policy;
use minipaas::proxy::{Http3, Proxy, ProxyConfig};
use minipaas::route::{Mode, PortRoute, Route, RouteTable, Upstream};
use minipaas::traffic::{self, Drained, Routes};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::backend::Backend;
use super::client::{Client, Reply};

/// A running proxy. Dropping it stops the accepting.
pub struct TestProxy {
    pub proxy: Proxy,
    pub routes: Routes,
    pub http: SocketAddr,
    pub https: SocketAddr,
    /// The certificate of the TLS listener, its own root.
    pub root: CertificateDer<'static>,
    pub shutdown: CancellationToken,
    instances: AtomicU32,
}

impl TestProxy {
    pub async fn with_route(host: &str, backends: &[&Backend]) -> Self {
        let proxy = Self::start(ProxyConfig::new("localhost")).await;
        proxy.publish([proxy.route(host, backends)]);
        proxy
    }

    /// One route that is treated as the policy says; plain http is let through.
    pub async fn with_policy(host: &str, backends: &[&Backend], policy: Policy) -> Self {
        let proxy = Self::start(ProxyConfig::new("localhost")).await;
        let mut route = proxy.route(host, backends);
        route.policy = Arc::new(Policy { https_redirect: false, ..policy });
        proxy.publish([route]);
        proxy
    }

    /// Starts with an empty table, and with HTTP/3 if the configuration says that there is.
    pub async fn start(config: ProxyConfig) -> Self {
        let (root, tls) = tls_config();
        Self::start_with(config, root, tls).await
    }

    /// The same, with TLS as given; `root` is what its clients trust.
    pub async fn start_with(
        config: ProxyConfig,
        root: CertificateDer<'static>,
        tls: Arc<rustls::ServerConfig>,
    ) -> Self {
        Self::start_with_tls(config, root, |_| tls).await
    }

    /// As [`TestProxy::start_with`], with the TLS that is made for its routes.
    pub async fn start_with_tls(
        config: ProxyConfig,
        root: CertificateDer<'static>,
        tls: impl FnOnce(&Routes) -> Arc<rustls::ServerConfig>,
    ) -> Self {
        let routes = Routes::new();
        let has_http3 = config.http3;
        let proxy = Proxy::new(routes.clone(), config);
        let http = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (https, udp) = https_sockets(has_http3).await;
        let shutdown = CancellationToken::new();
        let tls = tls(&routes);
        let started = Self {
            proxy: proxy.clone(),
            routes,
            http: http.local_addr().unwrap(),
            https: https.local_addr().unwrap(),
            root,
            shutdown: shutdown.clone(),
            instances: AtomicU32::new(1),
        };
        if let Some(udp) = udp {
            let http3 = Http3::new(udp, &tls).unwrap();
            tokio::spawn(proxy.clone().serve_http3(http3, shutdown.clone()));
        }
        tokio::spawn(proxy.clone().serve_http(http, shutdown.clone()));
        tokio::spawn(proxy.clone().serve_ports(shutdown.clone()));
        tokio::spawn(proxy.serve_https(https, tls, shutdown));
        started
    }

    /// An instance, of a new id, for each backend.
    fn upstreams(&self, backends: &[&Backend]) -> Vec<Upstream> {
        let upstream = |backend: &&Backend| {
            let number = self.instances.fetch_add(1, Ordering::SeqCst);
            Upstream {
                instance: InstanceId::from_bits(number),
                slot: Slot { process: ProcessType::web(), number },
                release: ReleaseId::FIRST,
                addr: backend.addr,
            }
        };
        backends.iter().map(upstream).collect()
    }

    /// A TCP port of the app `blog` with an instance, of a new id, for each backend.
    pub fn port(&self, listen: SocketAddr, backends: &[&Backend]) -> PortRoute {
        PortRoute {
            app: "blog".parse().unwrap(),
            process: ProcessType::web(),
            listen: listen.port(),
            send_proxy: None,
            accept_proxy: false,
            drain: Duration::from_secs(300),
            is_held: false,
            upstreams: self.upstreams(backends),
        }
    }

    /// A route of the app `blog` with an instance, of a new id, for each backend.
    pub fn route(&self, host: &str, backends: &[&Backend]) -> Route {
        let upstreams = self.upstreams(backends);
        Route {
            app: "blog".parse().unwrap(),
            process: ProcessType::web(),
            host: host.parse().unwrap(),
            path: PathPrefix::root(),
            strip_prefix: false,
            policy: Arc::new(Policy { https_redirect: false, ..Policy::default() }),
            mode: Mode::Open,
            canary: None,
            is_held: false,
            is_scaled_to_zero: false,
            upstreams,
        }
    }

    pub fn publish(&self, routes: impl IntoIterator<Item = Route>) {
        let generation = self.routes.load().table().generation() + 1;
        self.routes.publish(RouteTable::new(generation, routes.into_iter().collect()));
    }

    pub fn publish_ports(&self, ports: impl IntoIterator<Item = PortRoute>) {
        let table = RouteTable::new(self.routes.load().table().generation() + 1, Vec::new());
        self.routes.publish(table.with_ports(ports.into_iter().collect()));
    }

    /// The live upstream of the first instance in the first route.
    pub fn upstream(&self) -> Arc<traffic::Upstream> {
        let live = self.routes.load();
        self.routes.upstream(&live.table().routes()[0].upstreams[0].instance).unwrap()
    }

    /// Sends one request on a connection of its own.
    pub async fn send(&self, request: Request<Full<bytes::Bytes>>) -> Reply {
        Client::connect(self.http).await.send(request).await
    }

    pub async fn stop(&self, grace: Duration) -> Drained {
        self.shutdown.cancel();
        self.proxy.finish(grace).await
    }
}

impl Drop for TestProxy {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

/// A port for TCP, and for UDP if that is wanted.
async fn https_sockets(has_udp: bool) -> (TcpListener, Option<UdpSocket>) {
    loop {
        let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
        if !has_udp {
            return (tcp, None);
        }
        // Some client may have the UDP port of this number.
        if let Ok(udp) = UdpSocket::bind(tcp.local_addr().unwrap()) {
            return (tcp, Some(udp));
        }
    }
}

fn tls_config() -> (CertificateDer<'static>, Arc<rustls::ServerConfig>) {
    // The first test that comes here installs it for all.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let made = rcgen::generate_simple_self_signed(["blog.localhost".to_owned()]).unwrap();
    let root = made.cert.der().clone();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let mut config = rustls::ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![root.clone()], key)
        .unwrap();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    (root, Arc::new(config))
}
