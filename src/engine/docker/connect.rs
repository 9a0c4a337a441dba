//! Finding an engine and agreeing with it.
//!
//! Docker's own order: `DOCKER_HOST`, then the current context, and only when neither says anything the sockets where engines
//! usually are: Docker's, the rootless one, Podman's. What was named explicitly is the only candidate, because somebody who
//! names an engine does not want another. Nothing here looks whether a socket exists: connecting tells.

use std::fmt;
use std::path::{Path, PathBuf};

use bollard::models::{SystemInfo, SystemVersion};
use bollard::{API_DEFAULT_VERSION, Docker};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use tokio::sync::Mutex;

use super::super::{EngineError, EngineInfo};
use super::error::explain;
use super::transport::{Address, Transport};
use super::{CONNECT_TIME_MAX, DockerEngine};
use crate::name::BoxId;

/// The oldest API that does what we ask: Engine 20.10.
const API_OLDEST: ApiVersion = ApiVersion(1, 41);
/// The context that stands for no context.
const CONTEXT_DEFAULT: &str = "default";

/// Where an engine may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    url: String,
    /// Or why it cannot be used.
    address: Result<Address, String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct ApiVersion(u32, u32);

/// `~/.docker/config.json`, as far as we care.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ClientConfig {
    current_context: String,
}

/// A context's `meta.json`, as far as we care.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ContextMeta {
    endpoints: ContextEndpoints,
}

#[derive(Debug, Deserialize)]
struct ContextEndpoints {
    docker: ContextEndpoint,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ContextEndpoint {
    host: String,
}

/// Where an engine may be, best first. `env` reads a variable of the environment, `home` is the user's directory.
///
/// `DOCKER_HOST` or a context other than `default` is the only one in the list; one that cannot be used says so when it is
/// connected to.
#[must_use]
pub fn find_endpoints(env: &dyn Fn(&str) -> Option<String>, home: &Path) -> Vec<Endpoint> {
    let get = |key: &str| env(key).filter(|value| !value.is_empty());
    if let Some(host) = get("DOCKER_HOST") {
        let endpoint = Endpoint::from_url(&host);
        let wants_tls = get("DOCKER_TLS_VERIFY").or_else(|| get("DOCKER_CERT_PATH")).is_some();
        return vec![if wants_tls { endpoint.over_tls() } else { endpoint }];
    }
    let config_dir = get("DOCKER_CONFIG").map_or_else(|| home.join(".docker"), PathBuf::from);
    let context = get("DOCKER_CONTEXT").unwrap_or_else(|| current_context(&config_dir));
    if !context.is_empty() && context != CONTEXT_DEFAULT {
        return vec![endpoint_of_context(&config_dir, &context)];
    }
    let runtime_dir = get("XDG_RUNTIME_DIR");
    let in_runtime_dir = |socket: &str| runtime_dir.as_ref().map(|dir| format!("{dir}/{socket}"));
    [
        Some("/var/run/docker.sock".to_owned()),
        in_runtime_dir("docker.sock"),
        in_runtime_dir("podman/podman.sock"),
        Some("/run/podman/podman.sock".to_owned()),
    ]
    .into_iter()
    .flatten()
    .map(|socket| Endpoint::from_url(&format!("unix://{socket}")))
    .collect()
}

// === impl Endpoint ===

impl Endpoint {
    /// The endpoint that `DOCKER_HOST` would name so: `unix:///run/docker.sock`, `tcp://127.0.0.1:2375`.
    #[must_use]
    pub fn from_url(url: &str) -> Self {
        let address = match url.split_once("://") {
            Some(("unix", path)) => Ok(Address::Unix(PathBuf::from(path))),
            Some(("tcp" | "http", addr)) => Ok(Address::Tcp(addr.trim_end_matches('/').to_owned())),
            Some(("https", _)) => Err("an engine over TLS is not supported yet".to_owned()),
            Some((scheme, _)) => Err(format!("`{scheme}://` is not supported; use `unix://` or `tcp://`")),
            None => Err("it has no scheme; write `unix:///path` or `tcp://host:port`".to_owned()),
        };
        Self { url: url.to_owned(), address }
    }

    fn over_tls(self) -> Self {
        match self.address {
            Ok(Address::Tcp(_)) => {
                Self { address: Err("an engine over TLS is not supported yet".to_owned()), ..self }
            }
            _ => self,
        }
    }

    fn unusable(url: &str, reason: String) -> Self {
        Self { url: url.to_owned(), address: Err(reason) }
    }

    fn is_unix(&self) -> bool {
        matches!(self.address, Ok(Address::Unix(_)))
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.url)
    }
}

// === impl DockerEngine ===

impl DockerEngine {
    /// Connects for the box `owner`, agrees on an API version and looks at what the engine can do.
    ///
    /// # Errors
    ///
    /// [`EngineError::Unreachable`] when it does not answer within 2 s or its kind of endpoint is not supported,
    /// [`EngineError::Forbidden`] when its socket may not be opened, [`EngineError::Refused`] when it is too old or too new.
    pub async fn connect(owner: BoxId, endpoint: &Endpoint) -> Result<Self, EngineError> {
        let unreachable =
            |reason: String| EngineError::Unreachable { endpoint: endpoint.to_string(), reason };
        let address = endpoint.address.clone().map_err(unreachable)?;
        let ask = async {
            let transport = Transport::new(address);
            let version = ask_version(endpoint, &transport.clone().client()).await?;
            let transport = transport.speaking(&agree(&version)?.to_string());
            let client = transport.clone().client();
            let info = ask_info(endpoint, &client).await?;
            Ok(Self {
                owner,
                endpoint: endpoint.clone(),
                is_bridge_reachable: endpoint.is_unix() && is_bridge_reachable(&info),
                has_buildkit: !is_podman(&version),
                transport,
                client,
                network: Mutex::new(()),
                pushing: Mutex::new(()),
            })
        };
        tokio::time::timeout(CONNECT_TIME_MAX, ask).await.unwrap_or_else(|_| {
            Err(unreachable(format!("no answer within {} s", CONNECT_TIME_MAX.as_secs())))
        })
    }

    /// Connects to the first endpoint that answers.
    ///
    /// # Errors
    ///
    /// When none does: that of the first which is there but may not be used or refuses, else that of the first in the list.
    pub async fn connect_first(owner: &BoxId, endpoints: &[Endpoint]) -> Result<Self, EngineError> {
        let mut first = None;
        for endpoint in endpoints {
            match Self::connect(owner.clone(), endpoint).await {
                Ok(engine) => return Ok(engine),
                Err(error @ EngineError::Unreachable { .. }) => first = first.or(Some(error)),
                Err(error) => return Err(error),
            }
        }
        Err(first.unwrap_or_else(|| EngineError::NotFound { what: "an engine".to_owned() }))
    }

    pub(super) async fn describe(&self) -> Result<EngineInfo, EngineError> {
        let action = "say what it is";
        let version = self.call(action, "its version", self.client.version()).await?;
        let info = self.call(action, "its state", self.client.info()).await?;
        Ok(EngineInfo {
            endpoint: self.endpoint.to_string(),
            api: agree(&version)?.to_string(),
            version: version.version.unwrap_or_default(),
            is_bridge_reachable: self.is_bridge_reachable,
            root_dir: info.docker_root_dir.unwrap_or_default(),
            memory_bytes: info.mem_total.and_then(|bytes| u64::try_from(bytes).ok()).unwrap_or_default(),
            cores: info.ncpu.and_then(|cores| u32::try_from(cores).ok()).unwrap_or_default(),
        })
    }
}

async fn ask_version(endpoint: &Endpoint, client: &Docker) -> Result<SystemVersion, EngineError> {
    client.version().await.map_err(|error| explain(endpoint, "ask for its version", "its version", error))
}

async fn ask_info(endpoint: &Endpoint, client: &Docker) -> Result<SystemInfo, EngineError> {
    client.info().await.map_err(|error| explain(endpoint, "ask for its state", "its state", error))
}

/// The newest API version that both sides speak.
fn agree(version: &SystemVersion) -> Result<ApiVersion, EngineError> {
    let refuse = |message| EngineError::Refused { action: "use the engine".to_owned(), message };
    let parse = |text: &Option<String>| text.as_deref().and_then(ApiVersion::parse);
    let theirs = parse(&version.api_version)
        .ok_or_else(|| refuse("it does not say which API version it speaks".to_owned()))?;
    let our_newest = ApiVersion::parse(&API_DEFAULT_VERSION.to_string())
        .expect("the client library's own version is a version");
    let engine = version.version.as_deref().unwrap_or("unknown");
    if theirs < API_OLDEST {
        return Err(refuse(format!(
            "version {engine} speaks API {theirs}; minipaas needs {API_OLDEST} (Docker 20.10)"
        )));
    }
    match parse(&version.min_api_version) {
        Some(oldest) if oldest > our_newest => Err(refuse(format!(
            "version {engine} speaks API {oldest} and newer; this minipaas knows up to {our_newest}: upgrade it"
        ))),
        _ => Ok(theirs.min(our_newest)),
    }
}

fn is_podman(version: &SystemVersion) -> bool {
    version.components.iter().flatten().any(|component| component.name.contains("Podman"))
}

/// Whether the bridges of an engine behind a local socket are on this machine and in this network. They are not when it runs
/// in a virtual machine (Docker Desktop, Colima) or in a user's network namespace (rootless), or when we run in a container:
/// all but rootless show in the host's name.
fn is_bridge_reachable(info: &SystemInfo) -> bool {
    let is_rootless = info.security_options.iter().flatten().any(|option| option.contains("name=rootless"));
    let is_desktop = info.operating_system.as_deref().is_some_and(|name| name.contains("Docker Desktop"));
    let here = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    !is_rootless && !is_desktop && info.name.as_deref() == Some(here.trim_end())
}

fn current_context(config_dir: &Path) -> String {
    // As in Docker's own client, a file that is missing or broken names no context.
    std::fs::read(config_dir.join("config.json"))
        .ok()
        .and_then(|text| serde_json::from_slice::<ClientConfig>(&text).ok())
        .unwrap_or_default()
        .current_context
}

fn endpoint_of_context(config_dir: &Path, context: &str) -> Endpoint {
    let id = format!("{:x}", Sha256::digest(context));
    let unusable = |problem: String| {
        Endpoint::unusable(&format!("Docker context `{context}`"), format!("its description {problem}"))
    };
    let meta = config_dir.join("contexts/meta").join(&id).join("meta.json");
    let text = match std::fs::read(&meta) {
        Ok(text) => text,
        Err(error) => return unusable(format!("{} cannot be read: {error}", meta.display())),
    };
    let endpoint = match serde_json::from_slice::<ContextMeta>(&text) {
        Ok(meta) => Endpoint::from_url(&meta.endpoints.docker.host),
        Err(error) => return unusable(format!("{} cannot be understood: {error}", meta.display())),
    };
    // A context keeps its certificates in a folder of its own; without one it does not use TLS.
    if config_dir.join("contexts/tls").join(&id).join("docker").is_dir() {
        endpoint.over_tls()
    } else {
        endpoint
    }
}

// === impl ApiVersion ===

impl ApiVersion {
    fn parse(text: &str) -> Option<Self> {
        let (major, minor) = text.split_once('.')?;
        Some(Self(major.parse().ok()?, minor.parse().ok()?))
    }
}

impl fmt::Display for ApiVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.0, self.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(vars: &[(&str, &str)], home: &Path, expected: &[&str]) {
        let env = |key: &str| vars.iter().find(|(k, _)| *k == key).map(|(_, v)| (*v).to_owned());
        let found: Vec<String> = find_endpoints(&env, home).iter().map(ToString::to_string).collect();
        assert_eq!(found, expected);
    }

    fn home_with_context(name: &str, host: &str) -> tempfile::TempDir {
        let home = tempfile::tempdir().unwrap();
        let id = format!("{:x}", Sha256::digest(name));
        let meta = home.path().join(".docker/contexts/meta").join(id);
        std::fs::create_dir_all(&meta).unwrap();
        let text = format!(r#"{{"Name":"{name}","Endpoints":{{"docker":{{"Host":"{host}"}}}}}}"#);
        std::fs::write(meta.join("meta.json"), text).unwrap();
        home
    }

    #[test]
    fn the_usual_sockets_are_tried_when_nothing_is_named() {
        let home = tempfile::tempdir().unwrap();
        check(
            &[("XDG_RUNTIME_DIR", "/run/user/7"), ("DOCKER_HOST", ""), ("DOCKER_CONTEXT", "default")],
            home.path(),
            &[
                "unix:///var/run/docker.sock",
                "unix:///run/user/7/docker.sock",
                "unix:///run/user/7/podman/podman.sock",
                "unix:///run/podman/podman.sock",
            ],
        );
    }

    #[test]
    fn what_is_named_is_the_only_candidate() {
        let home = home_with_context("far", "tcp://10.0.0.1:2375");
        check(&[("DOCKER_CONTEXT", "far")], home.path(), &["tcp://10.0.0.1:2375"]);
        std::fs::write(home.path().join(".docker/config.json"), r#"{"currentContext":"far"}"#).unwrap();
        check(&[], home.path(), &["tcp://10.0.0.1:2375"]);
        check(&[("DOCKER_HOST", "unix:///x.sock")], home.path(), &["unix:///x.sock"]);
    }

    #[tokio::test]
    async fn an_endpoint_that_cannot_be_used_says_why() {
        let home = tempfile::tempdir().unwrap();
        for (vars, expected) in [
            (vec![("DOCKER_HOST", "ssh://me@box")], "`ssh://` is not supported"),
            (vec![("DOCKER_HOST", "tcp://box:2376"), ("DOCKER_TLS_VERIFY", "1")], "over TLS"),
            (vec![("DOCKER_CONTEXT", "gone")], "Docker context `gone`: its description"),
            (vec![("DOCKER_HOST", "unix:///nowhere.sock")], "No such file"),
        ] {
            let env = |key: &str| vars.iter().find(|(k, _)| *k == key).map(|(_, v)| (*v).to_owned());
            let endpoints = find_endpoints(&env, home.path());
            let error = DockerEngine::connect_first(&BoxId::from_bits(1), &endpoints).await.unwrap_err();
            assert!(error.to_string().contains(expected), "{error}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_engine_that_hangs_is_given_up_on() {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("e.sock");
        let _listens_and_never_answers = tokio::net::UnixListener::bind(&socket).unwrap();
        let endpoint = Endpoint::from_url(&format!("unix://{}", socket.display()));
        let error = DockerEngine::connect(BoxId::from_bits(1), &endpoint).await.unwrap_err();
        assert!(error.to_string().ends_with("no answer within 2 s"), "{error}");
    }

    #[test]
    fn the_newest_common_api_version_is_used() {
        let agreed = |newest: &str, oldest: &str| {
            agree(&SystemVersion {
                api_version: Some(newest.to_owned()),
                min_api_version: Some(oldest.to_owned()),
                ..Default::default()
            })
            .map(|version| version.to_string())
            .map_err(|error| error.to_string())
        };
        assert_eq!(agreed("1.41", "1.12").unwrap(), "1.41");
        assert_eq!(agreed("1.99", "1.44").unwrap(), API_DEFAULT_VERSION.to_string());
        assert!(agreed("1.40", "1.12").unwrap_err().contains("minipaas needs 1.41"));
        assert!(agreed("1.99", "1.98").unwrap_err().contains("upgrade it"));
    }
}
