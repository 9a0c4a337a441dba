//! The server's settings, from everywhere they can come from.
//!
//! [`ServerConfig::resolve`] is the one function that decides: a flag goes before a `MINIPAAS_*` variable, that before a key
//! of `$MINIPAAS_HOME/server.toml`, that before the default. What comes out is valid; nothing checks it again. The
//! environment comes in as an [`Env`], so that nothing here depends on the process and tests need none.
//!
//! The home is the whole identity of a box: its socket, its state, its CA. So a second home on one machine is a second box.
//! [`home`] alone is what a client needs.
//!
//! It does not bind anything: [`ListenChoice::attempts`] only says which addresses to try, in order.

mod acme;
mod error;
mod file;
mod listen;
mod logs;
mod trust;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use http::HeaderName;
use ipnet::IpNet;
use tracing_subscriber::EnvFilter;

use crate::logs::Budget;
use crate::name::Host;

pub use acme::{AcmeConfig, Directory};
pub use error::ConfigError;
use file::read_file;
pub use listen::ListenChoice;

/// The settings' file in the home.
pub const SERVER_FILE: &str = "server.toml";
/// The control API's socket in the home.
const SOCKET: &str = "minipaas.sock";
/// The home of a box that root runs.
const ROOT_HOME: &str = "/var/lib/minipaas";
/// Where apps are when nothing else is said: `<app>.localhost` is this machine, by RFC 6761.
const DOMAIN: &str = "localhost";
/// What the daemon logs when nothing else is said.
const LOG: &str = "info";
/// `http://<app>.internal` is an app for its callers: a box there would be two things at one name.
const INTERNAL_DOMAIN: &str = "internal";

/// What the process knows of its surroundings.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Env {
    /// The variables; those that are not UTF-8 are left out.
    pub variables: BTreeMap<String, String>,
    /// Whether root runs it.
    pub is_root: bool,
}

/// The flags of `minipaas server`, as they were typed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ServerFlags {
    /// `--home`.
    pub home: Option<PathBuf>,
    /// `--http`.
    pub http: Option<String>,
    /// `--https`.
    pub https: Option<String>,
    /// `--http3`.
    pub http3: Option<String>,
    /// `--domain`.
    pub domain: Option<String>,
    /// `--host`.
    pub host: Option<String>,
    /// `--acme-directory`.
    pub acme_directory: Option<String>,
    /// `--acme-root`.
    pub acme_root: Option<String>,
    /// `--acme-email`.
    pub acme_email: Option<String>,
    /// `--acme-eab-file`.
    pub acme_eab_file: Option<String>,
    /// `--acme-dns`.
    pub acme_dns: Option<String>,
    /// `--acme-dns-file`.
    pub acme_dns_file: Option<String>,
    /// `--dns`.
    pub dns: Option<String>,
    /// `--metrics`.
    pub metrics: Option<String>,
    /// `--access-log`.
    pub access_log: Option<String>,
    /// `--trusted-proxies`.
    pub trusted_proxies: Option<String>,
    /// `--client-ip-header`.
    pub client_ip_header: Option<String>,
    /// `--proxy-protocol`.
    pub proxy_protocol: Option<String>,
}

/// The server's settings, complete and valid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerConfig {
    /// The state's folder, absolute. Default: `/var/lib/minipaas` for root, else `$XDG_STATE_HOME/minipaas`.
    pub home: PathBuf,
    /// Where plain http is served. Default: port 80, else 8080.
    pub http: ListenChoice,
    /// Where https is served. Default: port 443, else 8443.
    pub https: ListenChoice,
    /// Whether HTTP/3 is served, too, on the UDP port of https's number. Default false.
    pub http3: bool,
    /// Apps are at `<app>.<domain>`; lower case. Default `localhost`.
    pub domain: String,
    /// Where the API is served over TLS; lower case. Default the domain itself.
    pub host: String,
    /// Proxies in front of the box, which are believed what they say of their clients. Default none.
    pub trusted_proxies: Vec<IpNet>,
    /// The header in which those name the client's address. Default `None`: `X-Forwarded-For`.
    pub client_ip_header: Option<HeaderName>,
    /// Whether connections of those begin with a PROXY header. Default false.
    pub proxy_protocol: bool,
    /// Where certificates of public names come from.
    pub acme: AcmeConfig,
    /// Name servers to ask in place of the system's. Default none.
    pub dns: Vec<SocketAddr>,
    /// What is logged, as a filter of `tracing`. Default `info`.
    pub log: String,
    /// Where Prometheus may scrape `/metrics`. Default nowhere.
    pub metrics: Option<ListenChoice>,
    /// What is kept of apps' logs. Default: 64 MiB of each, 1 GiB of all.
    pub log_budget: Budget,
    /// Whether a line for each request goes into its app's log. Default: whether there is an access log.
    pub log_router: bool,
    /// Where a line for each request goes. Default standard error, as the log.
    pub access_log: AccessLogChoice,
}

/// Where the access log goes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum AccessLogChoice {
    /// To standard error.
    #[default]
    Stderr,
    /// To the end of this file.
    File(PathBuf),
    /// Nowhere.
    Off,
}

/// A value, and where it comes from, as a person would name it.
struct Setting {
    from: String,
    text: String,
    /// Whether it is of the file.
    is_of_file: bool,
}

impl Setting {
    /// A file that is there already: beside the settings' file, or where the command was typed.
    fn path(&self, home: &Path) -> PathBuf {
        let base = if self.is_of_file { Some(home.to_owned()) } else { std::env::current_dir().ok() };
        base.unwrap_or_default().join(&self.text)
    }
}

// === impl Env ===

impl Env {
    /// The process's own.
    #[must_use]
    pub fn of_process() -> Self {
        let variables = std::env::vars_os()
            .filter_map(|(key, value)| Some((key.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        Self { variables, is_root: rustix::process::geteuid().is_root() }
    }

    /// The variable's value; an empty one counts as not set.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }
}

// === impl ServerConfig ===

impl ServerConfig {
    /// Decides every setting and checks it. Reads `server.toml` in the home, if there is one.
    ///
    /// # Errors
    ///
    /// When a value is not valid, a key of the file is unknown, or the file cannot be read.
    pub fn resolve(flags: &ServerFlags, env: &Env) -> Result<Self, ConfigError> {
        let home = home(flags.home.as_deref(), env)?;
        let mut file = read_file(&home.join(SERVER_FILE))?;
        let mut setting = |key: &str, flag: Option<&String>| {
            let variable = format!("MINIPAAS_{}", key.to_uppercase());
            let in_file = file.remove(key);
            flag.map(|text| Setting {
                from: format!("`--{}`", key.replace('_', "-")),
                text: text.clone(),
                is_of_file: false,
            })
            .or_else(|| {
                let text = env.get(&variable)?.to_owned();
                Some(Setting { from: format!("`{variable}`"), text, is_of_file: false })
            })
            .or_else(|| {
                let from = format!("`{key}` in {SERVER_FILE}");
                Some(Setting { from, text: in_file?, is_of_file: true })
            })
        };
        let http = setting("http", flags.http.as_ref());
        let https = setting("https", flags.https.as_ref());
        let http3 = setting("http3", flags.http3.as_ref());
        let domain = setting("domain", flags.domain.as_ref());
        let host = setting("host", flags.host.as_ref());
        let proxies = setting("trusted_proxies", flags.trusted_proxies.as_ref());
        let client_ip_header = setting("client_ip_header", flags.client_ip_header.as_ref());
        let proxy_protocol = setting("proxy_protocol", flags.proxy_protocol.as_ref());
        let acme = acme::Settings {
            directory: setting("acme_directory", flags.acme_directory.as_ref()),
            root: setting("acme_root", flags.acme_root.as_ref()),
            email: setting("acme_email", flags.acme_email.as_ref()),
            eab_file: setting("acme_eab_file", flags.acme_eab_file.as_ref()),
            dns: setting("acme_dns", flags.acme_dns.as_ref()),
            dns_file: setting("acme_dns_file", flags.acme_dns_file.as_ref()),
        };
        let dns = setting("dns", flags.dns.as_ref());
        let log = setting("log", None);
        let metrics = setting("metrics", flags.metrics.as_ref());
        let access_log = setting("access_log", flags.access_log.as_ref());
        let access_log =
            access_log.map_or_else(AccessLogChoice::default, |setting| access_log_choice(&setting, &home));
        let logs = logs::Settings {
            budget: setting("log_budget", None),
            budget_box: setting("log_budget_box", None),
        };
        let log_router = setting("log_router", None);
        let trusted_proxies = proxies.map_or_else(|| Ok(Vec::new()), trust::networks)?;
        let is_trusting = !trusted_proxies.is_empty();
        let domain = domain.map_or_else(|| Ok(DOMAIN.to_owned()), checked_domain)?;
        Ok(Self {
            log_router: log_router.map_or(Ok(access_log != AccessLogChoice::Off), switch)?,
            access_log,
            log_budget: logs.resolve()?,
            acme: acme.resolve(&home)?,
            dns: dns.map_or_else(|| Ok(Vec::new()), acme::name_servers)?,
            home,
            http: http
                .map_or_else(|| Ok(ListenChoice::Ports(listen::HTTP_PORTS.to_vec())), listen::choice)?,
            https: https
                .map_or_else(|| Ok(ListenChoice::Ports(listen::HTTPS_PORTS.to_vec())), listen::choice)?,
            http3: http3.map_or(Ok(false), switch)?,
            host: host.map_or_else(|| Ok(domain.clone()), checked_domain)?,
            domain,
            trusted_proxies,
            client_ip_header: client_ip_header
                .map(|setting| trust::header(setting, is_trusting))
                .transpose()?,
            proxy_protocol: proxy_protocol
                .map_or(Ok(false), |setting| trust::proxy_protocol(setting, is_trusting))?,
            log: log.map_or_else(|| Ok(LOG.to_owned()), checked_log)?,
            metrics: metrics.map(listen::choice).transpose()?,
        })
    }

    /// The control API's socket.
    #[must_use]
    pub fn socket_path(&self) -> PathBuf {
        socket_path(&self.home)
    }
}

/// The control API's socket in this home.
#[must_use]
pub fn socket_path(home: &Path) -> PathBuf {
    home.join(SOCKET)
}

/// The home: the flag, else `MINIPAAS_HOME`, else the default. Absolute.
///
/// # Errors
///
/// When nothing says where it is, or a relative path cannot be resolved.
pub fn home(flag: Option<&Path>, env: &Env) -> Result<PathBuf, ConfigError> {
    let given = flag.map(Path::to_owned).or_else(|| env.get("MINIPAAS_HOME").map(PathBuf::from));
    let path = match given {
        Some(path) => path,
        None if env.is_root => PathBuf::from(ROOT_HOME),
        None => {
            let state = env.get("XDG_STATE_HOME").map(PathBuf::from);
            let state = state.or_else(|| Some(Path::new(env.get("HOME")?).join(".local/state")));
            state.ok_or(ConfigError::NoHome)?.join("minipaas")
        }
    };
    std::path::absolute(&path).map_err(|source| ConfigError::Home { path, source })
}

fn switch(Setting { from, text, .. }: Setting) -> Result<bool, ConfigError> {
    text.parse().map_err(|_| ConfigError::Switch { from, text })
}

/// What is written lies in the home, wherever the daemon is started.
fn access_log_choice(setting: &Setting, home: &Path) -> AccessLogChoice {
    match setting.text.as_str() {
        "off" => AccessLogChoice::Off,
        "stderr" => AccessLogChoice::Stderr,
        path => AccessLogChoice::File(home.join(path)),
    }
}

fn checked_domain(Setting { from, text, .. }: Setting) -> Result<String, ConfigError> {
    match text.parse() {
        Ok(Host::Exact(name)) if name == INTERNAL_DOMAIN => Err(ConfigError::Internal { from }),
        Ok(Host::Exact(name)) => Ok(name),
        Ok(Host::Wildcard(_) | Host::Fallback) => Err(ConfigError::Domain { from, text, source: None }),
        Err(error) => Err(ConfigError::Domain { from, text, source: Some(error) }),
    }
}

fn checked_log(Setting { from, text, .. }: Setting) -> Result<String, ConfigError> {
    match EnvFilter::builder().parse(&text) {
        Ok(_) => Ok(text),
        Err(_) => Err(ConfigError::Log { from, text }),
    }
}

#[cfg(test)]
mod tests;
