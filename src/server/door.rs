//! The API at the box's own host: a listener on loopback, and the routes that lead the proxy there.
//!
//! The proxy serves it as any other route, with the certificate that any other name gets; streams, upgrades and uploads of any
//! size pass. Only [`PATHS`] are routed, so an app that has had the host before goes on to have the rest of it.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;

use super::ServerError;
use crate::api::server::{DOOR_HEADER, Door, DoorKey};
use crate::config::ServerConfig;
use crate::name::{AppName, Host, InstanceId, PathPrefix, ProcessType, ReleaseId, Slot, is_public};
use crate::policy::{Ejection, HeaderEdits, Logging, Policy, Protocol, Timeouts};
use crate::port::ListenError;
use crate::route::{Mode, Route, Upstream};
use crate::tls::CaCertificate;

/// What the API answers.
const PATHS: [&str; 2] = ["/v1", "/invite"];
/// A `down` drains for as long as an app's WebSockets may take.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(20 * 60);

/// Opens the door, and says how the proxy gets there.
pub(super) fn open(host: &str) -> Result<(Door, Vec<Route>), ServerError> {
    let loopback = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let failed = |source: io::Error| ListenError::Refused { addr: loopback, source };
    let listener = std::net::TcpListener::bind(loopback).map_err(failed)?;
    listener.set_nonblocking(true).map_err(failed)?;
    let addr = listener.local_addr().map_err(failed)?;
    let listener = TcpListener::from_std(listener).map_err(failed)?;
    let key = DoorKey::random();
    let host: Host = host.parse().expect("the settings' host is checked");
    let routes = PATHS.map(|path| route(&host, path, addr, &key));
    Ok((Door { listener, key }, routes.to_vec()))
}

/// Where the API is, as people write it.
pub(super) fn url(host: &str, port: u16) -> String {
    match port {
        443 => format!("https://{host}"),
        port => format!("https://{host}:{port}"),
    }
}

/// The fingerprint of the local CA, where the box's own host has a certificate of it.
pub(super) fn ca_pin(config: &ServerConfig, ca_pem: &str) -> Option<String> {
    let is_local = config.acme.directories.is_empty() || !is_public(&config.host);
    let certificate = CaCertificate::from_pem(ca_pem).ok().filter(|_| is_local)?;
    Some(certificate.fingerprint().replace(':', "").to_ascii_lowercase())
}

fn route(host: &Host, path: &str, addr: SocketAddr, key: &DoorKey) -> Route {
    let policy = Policy {
        request_headers: HeaderEdits { set: vec![(DOOR_HEADER, key.value())], ..HeaderEdits::default() },
        timeouts: Timeouts { first_byte: ANSWER_TIME_MAX, ..Timeouts::default() },
        retries: 0,
        // It is there, or the whole box is not.
        ejection: Ejection { failures: 0, ..Ejection::default() },
        protocol: Protocol::Http1,
        // Whoever reads the log must not be able to follow an invite.
        logging: Logging { exclude: vec!["/invite".parse().expect("it is a path")], ..Logging::default() },
        ..Policy::default()
    };
    let process: ProcessType = "api".parse().expect("it is a label");
    Route {
        app: AppName::of_the_box(),
        process: process.clone(),
        host: host.clone(),
        path: path.parse::<PathPrefix>().expect("it is a path"),
        strip_prefix: false,
        policy: Arc::new(policy),
        mode: Mode::Open,
        canary: None,
        is_held: false,
        is_scaled_to_zero: false,
        upstreams: vec![Upstream {
            instance: InstanceId::from_bits(crate::random::bits()),
            slot: Slot { process, number: 1 },
            release: ReleaseId::from_number(1).expect("1 is a release's number"),
            addr,
        }],
    }
}
