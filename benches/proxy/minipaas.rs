//! A home of minipaas in whose store an app serves, as a daemon left it that was stopped a moment ago.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use anyhow::Context as _;
use minipaas::manifest::Source;
use minipaas::name::{AppName, ReleaseId};
use minipaas::release::{Build, Release};
use minipaas::rollout::Phase;
use minipaas::route::RouteTable;
use minipaas::store::{AppRecord, Store};

use super::peers::{HOST, Ports};
use super::route;

/// The domain of the box; requests go to hosts of the manifest.
const DOMAIN: &str = "bench.test";
/// Where no engine is.
const NO_ENGINE: &str = "unix:///nonexistent/minipaas-bench.sock";

/// The name of one of many hosts.
pub(crate) fn host(number: usize) -> String {
    format!("host-{number}.{DOMAIN}")
}

/// Fills the home, and says how a daemon serves it.
pub(crate) fn prepare(
    program: &Path,
    home: &Path,
    ports: Ports,
    upstream: SocketAddr,
    hosts: usize,
) -> anyhow::Result<Command> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(fill(home, upstream, hosts)).context("cannot write the store")?;
    let mut command = Command::new(program);
    command
        .args(["server", "--domain", DOMAIN])
        .args(["--http", &ports.http.to_string(), "--https", &ports.https.to_string(), "--home"])
        .arg(home)
        .env("DOCKER_HOST", NO_ENGINE);
    for name in ["MINIPAAS_LOG", "LISTEN_FDS", "LISTEN_FDNAMES", "LISTEN_PID"] {
        command.env_remove(name);
    }
    Ok(command)
}

async fn fill(home: &Path, upstream: SocketAddr, hosts: usize) -> anyhow::Result<()> {
    let names: Vec<_> = std::iter::once(HOST.to_owned()).chain((1..hosts).map(host)).collect();
    let mut toml = "[proxy]\nhttps_redirect = false\n".to_owned();
    for name in &names {
        toml += &format!("[[route]]\nhost = \"{name}\"\n");
    }
    let app: AppName = route::APP.parse()?;
    let build = Build {
        image: "sha256:0".to_owned(),
        reference: "bench".to_owned(),
        content: None,
        exposed_ports: vec![upstream.port()],
        has_healthcheck: false,
        has_command: true,
    };
    let source = Source { toml: Some(toml), ..Source::default() };
    let release = Release::new(app.clone(), ReleaseId::FIRST, build, source);
    let routes = names.iter().map(|name| route::to(name, upstream)).collect::<Result<_, _>>()?;
    let record = AppRecord { last: Some(release.id), origin: "/bench".to_owned(), ..AppRecord::new(app) };
    fs::create_dir_all(home)?;
    let store = Store::open(home)?;
    store.append_release(&record, &release, Phase::Starting).await?;
    store.switch(&record, &release, None).await?;
    store.finish_rollout(&record.name, release.id).await?;
    store.save_route_table(&RouteTable::new(1, routes)).await?;
    Ok(())
}
