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

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};

use toml::de::DeTable;
use tracing_subscriber::EnvFilter;

use crate::manifest::ManifestError;
use crate::manifest::read::{Report, Table};
use crate::name::{Host, NameError};

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
/// Where plain http is served: the port that browsers use, else one that needs no privilege.
const HTTP_PORTS: [u16; 2] = [80, 8080];
/// The same for https.
const HTTPS_PORTS: [u16; 2] = [443, 8443];

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
    /// `--domain`.
    pub domain: Option<String>,
    /// `--metrics`.
    pub metrics: Option<String>,
    /// `--access-log`.
    pub access_log: Option<String>,
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
    /// Apps are at `<app>.<domain>`; lower case. Default `localhost`.
    pub domain: String,
    /// What is logged, as a filter of `tracing`. Default `info`.
    pub log: String,
    /// Where Prometheus may scrape `/metrics`. Default nowhere.
    pub metrics: Option<ListenChoice>,
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

/// Where to listen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ListenChoice {
    /// At this address and nowhere else.
    Address(SocketAddr),
    /// On every interface, at the first of these ports that is free and permitted.
    Ports(Vec<u16>),
}

/// Why there are no settings.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// No variable says where the user's state is.
    #[error("there is no home for the state: none of `MINIPAAS_HOME`, `XDG_STATE_HOME` and `HOME` is set")]
    NoHome,
    /// The home cannot be made absolute.
    #[error("the home `{}` cannot be resolved", path.display())]
    Home {
        /// The home as it was given.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The file is there and cannot be read.
    #[error("cannot read `{}`", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The file breaks rules.
    #[error(transparent)]
    File(#[from] ManifestError),
    /// Not an address.
    #[error(
        "{from} is `{text}`, which is no address; use one such as `127.0.0.1:8080`, or a port such as `:8080`"
    )]
    Address {
        /// The flag, variable or key.
        from: String,
        /// Its value.
        text: String,
    },
    /// Not a host name.
    #[error("{from} is `{text}`, which is no domain; use a name such as `apps.example.com`")]
    Domain {
        /// The flag, variable or key.
        from: String,
        /// Its value.
        text: String,
        /// The rule that it breaks.
        #[source]
        source: Option<NameError>,
    },
    /// Not a filter.
    #[error(
        "{from} is `{text}`, which is no log filter; use a level such as `info` or `minipaas=debug,warn`"
    )]
    Log {
        /// The flag, variable or key.
        from: String,
        /// Its value.
        text: String,
    },
}

/// A value, and where it comes from, as a person would name it.
struct Setting {
    from: String,
    text: String,
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
            flag.map(|text| Setting { from: format!("`--{}`", key.replace('_', "-")), text: text.clone() })
                .or_else(|| {
                    let text = env.get(&variable)?.to_owned();
                    Some(Setting { from: format!("`{variable}`"), text })
                })
                .or_else(|| Some(Setting { from: format!("`{key}` in {SERVER_FILE}"), text: in_file? }))
        };
        let http = setting("http", flags.http.as_ref());
        let https = setting("https", flags.https.as_ref());
        let domain = setting("domain", flags.domain.as_ref());
        let log = setting("log", None);
        let metrics = setting("metrics", flags.metrics.as_ref());
        let access_log = setting("access_log", flags.access_log.as_ref());
        Ok(Self {
            access_log: access_log
                .map_or_else(AccessLogChoice::default, |setting| access_log_choice(setting, &home)),
            home,
            http: http.map_or_else(|| Ok(ListenChoice::Ports(HTTP_PORTS.to_vec())), listen_choice)?,
            https: https.map_or_else(|| Ok(ListenChoice::Ports(HTTPS_PORTS.to_vec())), listen_choice)?,
            domain: domain.map_or_else(|| Ok(DOMAIN.to_owned()), checked_domain)?,
            log: log.map_or_else(|| Ok(LOG.to_owned()), checked_log)?,
            metrics: metrics.map(listen_choice).transpose()?,
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

// === impl ListenChoice ===

impl ListenChoice {
    /// The addresses to try, in order: the first that can be bound is where to listen.
    ///
    /// `[::]` also takes IPv4 on Linux; `0.0.0.0` comes after it for machines without IPv6.
    #[must_use]
    pub fn attempts(&self) -> Vec<SocketAddr> {
        match self {
            Self::Address(addr) => vec![*addr],
            Self::Ports(ports) => {
                let every: [IpAddr; 2] = [Ipv6Addr::UNSPECIFIED.into(), Ipv4Addr::UNSPECIFIED.into()];
                ports.iter().flat_map(|port| every.map(|ip| SocketAddr::new(ip, *port))).collect()
            }
        }
    }
}

fn listen_choice(Setting { from, text }: Setting) -> Result<ListenChoice, ConfigError> {
    if let Ok(port) = text.strip_prefix(':').unwrap_or(&text).parse() {
        return Ok(ListenChoice::Ports(vec![port]));
    }
    text.parse().map(ListenChoice::Address).map_err(|_| ConfigError::Address { from, text })
}

/// A relative path is one in the home.
fn access_log_choice(Setting { text, .. }: Setting, home: &Path) -> AccessLogChoice {
    match text.as_str() {
        "off" => AccessLogChoice::Off,
        "stderr" => AccessLogChoice::Stderr,
        path => AccessLogChoice::File(home.join(path)),
    }
}

fn checked_domain(Setting { from, text }: Setting) -> Result<String, ConfigError> {
    match text.parse() {
        Ok(Host::Exact(name)) => Ok(name),
        Ok(Host::Wildcard(_) | Host::Fallback) => Err(ConfigError::Domain { from, text, source: None }),
        Err(error) => Err(ConfigError::Domain { from, text, source: Some(error) }),
    }
}

fn checked_log(Setting { from, text }: Setting) -> Result<String, ConfigError> {
    match EnvFilter::builder().parse(&text) {
        Ok(_) => Ok(text),
        Err(_) => Err(ConfigError::Log { from, text }),
    }
}

/// The file's settings by key; none when there is no file.
fn read_file(path: &Path) -> Result<BTreeMap<&'static str, String>, ConfigError> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
        Err(source) => return Err(ConfigError::Read { path: path.to_owned(), source }),
    };
    let mut problems = Vec::new();
    let settings = parse_file(&text, &mut Report::new(SERVER_FILE, &text, &mut problems));
    if problems.is_empty() { Ok(settings) } else { Err(ManifestError { problems }.into()) }
}

fn parse_file(text: &str, report: &mut Report<'_>) -> BTreeMap<&'static str, String> {
    let document = match DeTable::parse(text) {
        Ok(document) => document,
        Err(error) => {
            let at = error.span().unwrap_or(0..0);
            report.problem(&at, format!("not valid TOML: {}", error.message()), None);
            return BTreeMap::new();
        }
    };
    let mut table = Table::new("the file", document.get_ref());
    let settings = ["http", "https", "domain", "log", "metrics", "access_log"]
        .into_iter()
        .filter_map(|key| Some((key, table.take(key)?.string(report)?)))
        .collect();
    table.finish(report);
    settings
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;

    fn env(variables: &[(&str, &str)]) -> Env {
        let variables = variables.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        Env { variables: variables.collect(), is_root: false }
    }

    /// The settings of a home whose `server.toml` has this text.
    fn resolve(
        flags: ServerFlags,
        variables: &[(&str, &str)],
        file: &str,
    ) -> Result<ServerConfig, ConfigError> {
        let home = tempfile::tempdir().expect("a temporary directory");
        std::fs::write(home.path().join(SERVER_FILE), file).expect("a file");
        let flags = ServerFlags { home: Some(home.path().to_owned()), ..flags };
        ServerConfig::resolve(&flags, &env(variables))
    }

    fn check_error(flags: ServerFlags, variables: &[(&str, &str)], file: &str, expected: &Expect) {
        expected.assert_eq(&resolve(flags, variables, file).expect_err("a rule is broken").to_string());
    }

    #[test]
    fn flag_goes_before_variable_before_file_before_default() {
        let flags = ServerFlags { domain: Some("flag.example".to_owned()), ..ServerFlags::default() };
        let variables = [("MINIPAAS_DOMAIN", "variable.example")];
        let file = "domain = \"file.example\"";
        let domain = |flags, variables: &[_], file| resolve(flags, variables, file).expect("valid").domain;
        assert_eq!(domain(flags, &variables, file), "flag.example");
        assert_eq!(domain(ServerFlags::default(), &variables, file), "variable.example");
        assert_eq!(domain(ServerFlags::default(), &[("MINIPAAS_DOMAIN", "")], file), "file.example");
        assert_eq!(domain(ServerFlags::default(), &[], ""), "localhost");
    }

    #[test]
    fn every_setting_comes_from_every_place() {
        let variables =
            [("MINIPAAS_HTTP", "127.0.0.1:8081"), ("MINIPAAS_HTTPS", ":8444"), ("MINIPAAS_LOG", "debug")];
        let config = resolve(ServerFlags::default(), &variables, "").expect("valid");
        assert_eq!(config.http, ListenChoice::Address("127.0.0.1:8081".parse().expect("an address")));
        assert_eq!(config.https, ListenChoice::Ports(vec![8444]));
        assert_eq!(config.log, "debug");
        let file = "http = \"8081\"\nhttps = \"[::1]:8444\"\nlog = \"minipaas=trace\"\n";
        let config = resolve(ServerFlags::default(), &[], file).expect("valid");
        assert_eq!(config.http, ListenChoice::Ports(vec![8081]));
        assert_eq!(config.https, ListenChoice::Address("[::1]:8444".parse().expect("an address")));
        assert_eq!(config.log, "minipaas=trace");
    }

    #[test]
    fn metrics_are_nowhere_unless_it_is_said_where() {
        let metrics = |text| resolve(ServerFlags::default(), &[], text).expect("valid").metrics;
        assert_eq!(metrics(""), None);
        let local = ListenChoice::Address("127.0.0.1:9464".parse().expect("an address"));
        assert_eq!(metrics("metrics = \"127.0.0.1:9464\""), Some(local));
    }

    #[test]
    fn access_log_is_a_file_in_the_home_or_elsewhere_or_off() {
        let choice = |text: &str| {
            let flags = ServerFlags { access_log: Some(text.to_owned()), ..ServerFlags::default() };
            let config = resolve(flags, &[("MINIPAAS_ACCESS_LOG", "off")], "").expect("valid");
            (config.access_log, config.home)
        };
        assert_eq!(choice("off").0, AccessLogChoice::Off);
        assert_eq!(choice("/var/log/a").0, AccessLogChoice::File("/var/log/a".into()));
        let (found, home) = choice("access.log");
        assert_eq!(found, AccessLogChoice::File(home.join("access.log")));
        let unset = resolve(ServerFlags::default(), &[], "").expect("valid");
        assert_eq!(unset.access_log, AccessLogChoice::Stderr);
    }

    #[test]
    fn home_follows_who_runs_it() {
        let check = |env: &Env, expected: &str| {
            assert_eq!(home(None, env).expect("a home"), Path::new(expected));
        };
        check(&Env { is_root: true, ..env(&[("HOME", "/root")]) }, "/var/lib/minipaas");
        check(&Env { is_root: true, ..env(&[("MINIPAAS_HOME", "/srv/box")]) }, "/srv/box");
        check(&env(&[("HOME", "/home/ada")]), "/home/ada/.local/state/minipaas");
        check(&env(&[("HOME", "/home/ada"), ("XDG_STATE_HOME", "/state")]), "/state/minipaas");
        assert!(matches!(home(None, &env(&[])), Err(ConfigError::NoHome)));
        assert!(home(Some(Path::new("box")), &env(&[])).expect("a home").is_absolute());
    }

    #[test]
    fn default_ports_are_tried_before_unprivileged_ones() {
        let config = resolve(ServerFlags::default(), &[], "").expect("valid");
        let attempts = |choice: &ListenChoice| {
            choice.attempts().iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(attempts(&config.http), "[::]:80 0.0.0.0:80 [::]:8080 0.0.0.0:8080");
        assert_eq!(attempts(&config.https), "[::]:443 0.0.0.0:443 [::]:8443 0.0.0.0:8443");
    }

    #[test]
    fn errors_name_the_place_and_the_rule() {
        let flags = ServerFlags { http: Some("localhost".to_owned()), ..ServerFlags::default() };
        check_error(
            flags,
            &[],
            "",
            &expect![
                "`--http` is `localhost`, which is no address; use one such as `127.0.0.1:8080`, or a port such as `:8080`"
            ],
        );
        check_error(
            ServerFlags::default(),
            &[("MINIPAAS_DOMAIN", "*")],
            "",
            &expect!["`MINIPAAS_DOMAIN` is `*`, which is no domain; use a name such as `apps.example.com`"],
        );
        check_error(
            ServerFlags::default(),
            &[],
            "log = \"a=b=c\"",
            &expect![
                "`log` in server.toml is `a=b=c`, which is no log filter; use a level such as `info` or `minipaas=debug,warn`"
            ],
        );
        check_error(
            ServerFlags::default(),
            &[],
            "\ndomian = \"example.com\"\nhttp = 80",
            &expect![[r#"
                server.toml:3: `http` is a whole number; it takes a string
                       server.toml:2: unknown key `domian` in the file; did you mean `domain`?"#]],
        );
    }
}
