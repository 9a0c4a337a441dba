//! `minipaas doctor`: looks at everything that minipaas needs, says how it is, and what to do where it is not well.
//!
//! Each check is a function from what was found to a [`Finding`]; finding out is apart from judging, so that judging has table
//! tests. A finding that keeps minipaas from working is a failure, and so is the command then; one that only makes something
//! worse is a warning. Nothing is changed and nothing is started.

mod domains;
mod machine;
mod ports;

use std::fmt;
use std::net::{IpAddr, ToSocketAddrs as _};

pub(crate) use machine::{DISK_BYTES_ENOUGH, DISK_BYTES_MIN};

use console::Color;
use serde::Serialize;

use super::Session;
use super::completions::VERSION;
use super::failure::Failure;
use super::output::count;
use crate::api::client::{Client, ClientError};
use crate::api::{EngineStatus, Status};
use crate::config::{ServerConfig, ServerFlags};
use crate::tls::CaCertificate;
use crate::tls::trust::{self, Change, Environment, Outcome};

/// The result of one check.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Finding {
    check: &'static str,
    verdict: Verdict,
    message: String,
    hint: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Verdict {
    Ok,
    Warn,
    Fail,
}

pub(crate) async fn run(session: &Session) -> Result<(), Failure> {
    let flags = ServerFlags { home: Some(session.home.clone()), ..ServerFlags::default() };
    let config = ServerConfig::resolve(&flags, &session.env)?;
    let client = session.local_client();
    let status = client.status().await;
    let mut findings = vec![machine::home(&session.home), machine::disk(&session.home), daemon(&status)];
    let certificate = certificate(&client).await;
    let status = status.ok();
    findings.push(engine(status.as_ref().map(|status| &status.engine)));
    if let Some(status) = &status {
        findings.push(certificates(&status.warnings));
        findings.push(domains::finding(&client, status).await);
    }
    // These ask the system, files and tools, and take their time.
    let rest = tokio::task::spawn_blocking(move || {
        let mut findings = match &status {
            Some(status) => vec![served("http", &status.http), served("https", &status.https)],
            None => vec![ports::finding("http", &config.http), ports::finding("https", &config.https)],
        };
        let domain = status.map_or(config.domain, |status| status.domain);
        findings.push(names(&domain, &resolve(&format!("minipaas-doctor.{domain}"))));
        findings.extend(certificate.as_ref().map(|certificate| authority(certificate, &domain)));
        findings.push(trusted(
            certificate.map(|certificate| trust::status(&certificate, &Environment::detect())),
        ));
        findings.push(machine::watches());
        findings
    });
    findings.extend(rest.await.expect("no check panics"));
    print(session, &findings)
}

fn print(session: &Session, findings: &[Finding]) -> Result<(), Failure> {
    let out = session.out;
    if out.is_json() {
        out.json(&findings)?;
    } else {
        for Finding { check, verdict, message, hint } in findings {
            let colour = match verdict {
                Verdict::Ok => Color::Green,
                Verdict::Warn => Color::Yellow,
                Verdict::Fail => Color::Red,
            };
            let word = out.coloured(&format!("{:4}", verdict.to_string()), colour);
            out.line(format_args!("{word}  {check:8}  {message}"))?;
            if let Some(hint) = hint {
                out.line(format_args!("{:16}hint: {hint}", ""))?;
            }
        }
    }
    match findings.iter().filter(|finding| finding.verdict == Verdict::Fail).count() {
        0 => Ok(()),
        failed => Err(Failure::failed(format!("{} failed", count(failed, "check")))),
    }
}

fn daemon(status: &Result<Status, ClientError>) -> Finding {
    let finding = Finding::about("daemon");
    match status {
        Ok(status) if status.version == VERSION => {
            finding.ok(format!("{VERSION} answers, pid {}", status.pid))
        }
        Ok(status) => finding
            .warn(format!("it is version {}, and this is {VERSION}", status.version))
            .hint("`minipaas server --stop`, and the next `minipaas up` starts this version"),
        Err(error @ ClientError::Unreachable { source, .. }) => match source.kind() {
            std::io::ErrorKind::PermissionDenied => {
                finding.fail(format!("{error}: permission denied")).hint("the daemon is another user's")
            }
            _ => finding.warn(error.to_string()).hint("`minipaas up` starts it"),
        },
        Err(error) => finding.fail(error.to_string()).hint("`minipaas server --stop` ends it"),
    }
}

fn engine(engine: Option<&EngineStatus>) -> Finding {
    let finding = Finding::about("engine");
    let Some(engine) = engine else {
        return finding.warn("not known: the daemon is who asks it".to_owned());
    };
    let endpoint = &engine.endpoint;
    match (&engine.error, &engine.version) {
        (Some(error), _) if error.to_ascii_lowercase().contains("permission denied") => finding
            .fail(format!("{endpoint}: {error}"))
            .hint("`sudo usermod -aG docker $USER`, log out and in again, then `minipaas server --stop`"),
        (Some(error), _) => finding
            .fail(format!("{endpoint}: {error}"))
            .hint("`minipaas up` starts or installs Docker where it can"),
        (None, Some(version)) => finding.ok(format!("{version} at {endpoint}")),
        (None, None) => finding.warn(format!("{endpoint} was not asked yet")),
    }
}

fn certificates(warnings: &[String]) -> Finding {
    let finding = Finding::about("certs");
    match warnings {
        [] => finding.ok("every host has a certificate".to_owned()),
        warnings => finding.warn(warnings.join("; ")).hint("`minipaas certs`"),
    }
}

fn served(scheme: &'static str, addr: &str) -> Finding {
    Finding::about(scheme).ok(format!("served at {addr}"))
}

fn names(domain: &str, resolved: &[IpAddr]) -> Finding {
    let finding = Finding::about("names");
    let is_local = domain == "localhost";
    match resolved {
        [] if is_local => finding
            .warn(
                "`*.localhost` has no address for programs here; browsers and curl know it by themselves"
                    .to_owned(),
            )
            .hint("`sudo apt-get install libnss-myhostname` tells the others"),
        [] => finding
            .fail(format!("`*.{domain}` has no address"))
            .hint(format!("add a DNS record for `*.{domain}` that leads to this machine")),
        addrs if is_local && !addrs.iter().all(IpAddr::is_loopback) => finding
            .fail(format!("`*.localhost` is {}, which is not this machine", addrs[0]))
            .hint("look for it in `/etc/hosts` and in the name server's settings"),
        addrs => finding.ok(format!("`*.{domain}` is {}", addrs[0])),
    }
}

/// What the local CA may sign for: the domain, or its certificates there are refused.
fn authority(certificate: &CaCertificate, domain: &str) -> Finding {
    let finding = Finding::about("ca");
    match certificate.constraints() {
        Some(constraints) if !constraints.permits(domain) => finding
            .warn(format!("the local CA was made for other domains: browsers refuse what it signs for `{domain}`"))
            .hint("for a new CA remove `ca/ca.crt` and `ca/ca.key` in the home, restart the daemon, and `minipaas trust`"),
        Some(constraints) => finding.ok(format!("signs for {constraints}")),
        None => finding.ok("signs for any name: it is of an earlier version".to_owned()),
    }
}

fn trusted(outcomes: Option<Vec<Outcome>>) -> Finding {
    let finding = Finding::about("trust");
    let Some(outcomes) = outcomes else {
        return finding.warn("not known: the daemon has the certificate".to_owned());
    };
    let missing: Vec<String> = outcomes
        .iter()
        .filter(|outcome| !matches!(outcome.change, Change::AlreadyThere))
        .map(|outcome| outcome.store.to_string())
        .collect();
    match (outcomes.len(), missing.len()) {
        (0, _) => finding.warn("there is no trust store that minipaas knows".to_owned()),
        (stores, 0) => finding.ok(format!("{} the box's certificates", verb(stores))),
        _ => finding
            .warn(format!("browsers and tools will warn: not trusted in {}", missing.join(", ")))
            .hint("`minipaas trust`"),
    }
}

fn verb(stores: usize) -> String {
    if stores == 1 { "1 store trusts".to_owned() } else { format!("{stores} stores trust") }
}

async fn certificate(client: &Client) -> Option<CaCertificate> {
    CaCertificate::from_pem(&client.ca_pem().await.ok()?).ok()
}

fn resolve(host: &str) -> Vec<IpAddr> {
    (host, 80).to_socket_addrs().map(|addrs| addrs.map(|addr| addr.ip()).collect()).unwrap_or_default()
}

// === impl Finding ===

impl Finding {
    fn about(check: &'static str) -> Self {
        Self { check, verdict: Verdict::Ok, message: String::new(), hint: None }
    }

    fn ok(self, message: String) -> Self {
        Self { message, ..self }
    }

    fn warn(self, message: String) -> Self {
        Self { verdict: Verdict::Warn, message, ..self }
    }

    fn fail(self, message: String) -> Self {
        Self { verdict: Verdict::Fail, message, ..self }
    }

    fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail => "fail",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seal::BoxKey;
    use crate::tls::LocalCa;

    fn status(version: &str) -> Result<Status, ClientError> {
        Ok(Status {
            version: version.to_owned(),
            pid: 7,
            box_id: "0".to_owned(),
            domain: "localhost".to_owned(),
            http: "0.0.0.0:80".to_owned(),
            https: "0.0.0.0:443".to_owned(),
            engine: EngineStatus::default(),
            generation: 1,
            apps: Vec::new(),
            warnings: Vec::new(),
        })
    }

    fn unreachable(kind: std::io::ErrorKind) -> Result<Status, ClientError> {
        Err(ClientError::Unreachable { path: "/x".into(), source: kind.into() })
    }

    #[test]
    fn daemon_may_be_down_but_not_out_of_reach() {
        assert_eq!(daemon(&status(VERSION)).verdict, Verdict::Ok);
        assert_eq!(daemon(&status("0.0.1")).verdict, Verdict::Warn);
        assert_eq!(daemon(&unreachable(std::io::ErrorKind::NotFound)).verdict, Verdict::Warn);
        assert_eq!(daemon(&unreachable(std::io::ErrorKind::PermissionDenied)).verdict, Verdict::Fail);
    }

    #[test]
    fn engine_without_permission_says_how_to_get_it() {
        let away = |error: &str| EngineStatus { error: Some(error.to_owned()), ..EngineStatus::default() };
        let denied = engine(Some(&away("Permission denied (os error 13)")));
        assert!(denied.hint.is_some_and(|hint| hint.contains("usermod")));
        assert_eq!(engine(Some(&away("connection refused"))).verdict, Verdict::Fail);
        let there = EngineStatus { version: Some("28.2".to_owned()), ..EngineStatus::default() };
        assert_eq!(engine(Some(&there)).verdict, Verdict::Ok);
        assert_eq!(engine(None).verdict, Verdict::Warn);
    }

    #[test]
    fn a_ca_of_another_domain_is_told_of() {
        let dir = tempfile::tempdir().expect("a folder");
        let ca = LocalCa::open_or_create(dir.path(), &BoxKey::new(&[7; 32]), &["apps.example.com"]);
        let certificate = ca.expect("a CA").certificate().clone();
        for domain in ["apps.example.com", "localhost"] {
            assert_eq!(authority(&certificate, domain).verdict, Verdict::Ok, "{domain}");
        }
        let other = authority(&certificate, "example.org");
        assert_eq!(other.verdict, Verdict::Warn);
        assert!(other.hint.is_some_and(|hint| hint.starts_with("for a new CA remove `ca/ca.crt`")));
    }

    #[test]
    fn names_lead_to_this_machine() {
        let addr = |text: &str| vec![text.parse::<IpAddr>().expect("an address")];
        assert_eq!(names("localhost", &addr("127.0.0.1")).verdict, Verdict::Ok);
        assert_eq!(names("localhost", &addr("192.0.2.1")).verdict, Verdict::Fail);
        assert_eq!(names("localhost", &[]).verdict, Verdict::Warn);
        assert_eq!(names("apps.example.com", &addr("192.0.2.1")).verdict, Verdict::Ok);
        assert_eq!(names("apps.example.com", &[]).verdict, Verdict::Fail);
    }
}
