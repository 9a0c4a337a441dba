//! What `docker login` has left: Docker's `config.json`, and the programs that it names for keeping passwords.
//!
//! As the `docker` command does it: a program for this host (`credHelpers`), else the program for all (`credsStore`), else what the
//! file itself has (`auths`). Such a program, `docker-credential-NAME get`, takes the account's name on its standard input and
//! answers with JSON on its standard output. What it answers is in no log and no error.
//!
//! The file is read, never written: logging in is `docker login`'s.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Deserializer};
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;
use zeroize::Zeroizing;

use super::{Credentials, Registry};
use crate::environment::Value;

/// The file, in `$DOCKER_CONFIG` or `~/.docker`.
const FILE: &str = "config.json";
/// What the name of a program that keeps passwords begins with.
const HELPER_PREFIX: &str = "docker-credential-";
/// How long one may take: somebody may be asked to unlock a keyring.
const HELPER_TIME_MAX: Duration = Duration::from_secs(60);
/// How a program says that it keeps nothing for this account (docker-credential-helpers, `credentials/error.go`).
const HELPER_HAS_NONE: &str = "credentials not found in native keychain";
/// The user name under which a program gives an identity token (docker/cli, `credentials/native_store.go`).
const TOKEN_USER: &str = "<token>";

/// Docker's config file.
#[derive(Debug, Default)]
pub struct DockerConfig {
    path: PathBuf,
    content: Content,
}

/// Why it cannot be said who somebody is.
#[derive(Debug, thiserror::Error)]
pub enum CredentialsError {
    /// The file is there, and cannot be read.
    #[error("cannot read Docker's config `{}`", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// It is not what Docker writes. Its text is not told, as it may hold passwords.
    #[error("Docker's config `{}` is not the JSON that Docker writes (line {line})", path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// Where.
        line: usize,
    },
    /// An account's `auth` is not what Docker writes.
    #[error("what Docker's config `{}` has for `{account}` is no login", path.display())]
    InvalidAccount {
        /// The file.
        path: PathBuf,
        /// The registry.
        account: String,
    },
    /// The program that keeps the passwords cannot be run.
    #[error("Docker's config `{}` names `{program}`, which cannot be run", path.display())]
    NoHelper {
        /// The file.
        path: PathBuf,
        /// The program.
        program: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The program did not answer in time, or as it must, or said that something is wrong.
    #[error("`{program}` gave no login for `{account}`: {reason}")]
    HelperFailed {
        /// The program.
        program: String,
        /// The registry.
        account: String,
        /// Its own words, if they are an error's, or ours.
        reason: String,
    },
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Content {
    auths: BTreeMap<String, Account>,
    creds_store: Option<String>,
    cred_helpers: BTreeMap<String, String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Account {
    /// `user:password`, in base64.
    auth: Option<Hidden>,
    username: Option<String>,
    password: Option<Hidden>,
    identitytoken: Option<Hidden>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct HelperAnswer {
    username: String,
    secret: Hidden,
}

/// What nobody is to see, read from JSON.
#[derive(Debug, Clone)]
struct Hidden(Value);

// === impl DockerConfig ===

impl DockerConfig {
    /// Where it is, by the values of `DOCKER_CONFIG` and `HOME`; `None` without either.
    #[must_use]
    pub fn path(docker_config: Option<&str>, home: Option<&str>) -> Option<PathBuf> {
        let dir = docker_config.map(PathBuf::from).or_else(|| Some(Path::new(home?).join(".docker")))?;
        Some(dir.join(FILE))
    }

    /// Reads it; one that is not there is empty.
    ///
    /// # Errors
    ///
    /// When it cannot be read, or is not JSON.
    pub async fn read(path: &Path) -> Result<Self, CredentialsError> {
        let path = path.to_owned();
        let text = match tokio::fs::read(&path).await {
            Ok(text) => Zeroizing::new(text),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(Self { path, content: Content::default() });
            }
            Err(source) => return Err(CredentialsError::Unreadable { path, source }),
        };
        match serde_json::from_slice(&text) {
            Ok(content) => Ok(Self { path, content }),
            Err(error) => Err(CredentialsError::Invalid { path, line: error.line() }),
        }
    }

    /// Who one is at this registry; `None`: nobody has logged in there.
    ///
    /// # Errors
    ///
    /// When what is there cannot be understood, or the program that keeps it does not give it.
    pub async fn credentials(&self, registry: &Registry) -> Result<Option<Credentials>, CredentialsError> {
        let Content { auths, creds_store, cred_helpers } = &self.content;
        let account = registry.account();
        let helper = cred_helpers.get(registry.host()).or_else(|| cred_helpers.get(account));
        if let Some(helper) = helper.or(creds_store.as_ref()).filter(|helper| !helper.is_empty())
            && let Some(found) = self.ask(&format!("{HELPER_PREFIX}{helper}"), account).await?
        {
            return Ok(Some(found));
        }
        // Older files have the registry's URL.
        let exact = auths.get(account);
        let found = exact.or_else(|| {
            let mut named = auths.iter().filter(|(name, _)| host_of(name) == host_of(account));
            named.next().map(|(_, found)| found)
        });
        found.map_or(Ok(None), |found| {
            found.credentials().map_err(|()| CredentialsError::InvalidAccount {
                path: self.path.clone(),
                account: account.to_owned(),
            })
        })
    }

    /// What the program says; `None`: it knows nothing of this account.
    async fn ask(&self, program: &str, account: &str) -> Result<Option<Credentials>, CredentialsError> {
        let no_helper = |source| CredentialsError::NoHelper {
            path: self.path.clone(),
            program: program.to_owned(),
            source,
        };
        let failed = |reason: &str| CredentialsError::HelperFailed {
            program: program.to_owned(),
            account: account.to_owned(),
            reason: reason.to_owned(),
        };
        let mut child = Command::new(program)
            .arg("get")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .map_err(no_helper)?;
        let mut stdin = child.stdin.take().expect("its standard input is a pipe");
        let answered = async {
            // One that does not want to know which account it is says why itself.
            let _ = stdin.write_all(format!("{account}\n").as_bytes()).await;
            drop(stdin);
            child.wait_with_output().await
        };
        let output = match tokio::time::timeout(HELPER_TIME_MAX, answered).await {
            Ok(output) => output.map_err(no_helper)?,
            Err(_) => {
                return Err(failed(&format!("it did not answer within {}s", HELPER_TIME_MAX.as_secs())));
            }
        };
        let stdout = Zeroizing::new(output.stdout);
        if !output.status.success() {
            let said = String::from_utf8_lossy(&stdout);
            let said = said.trim();
            return if said == HELPER_HAS_NONE { Ok(None) } else { Err(failed(said)) };
        }
        let HelperAnswer { username, secret: Hidden(secret) } = serde_json::from_slice(&stdout)
            .map_err(|_| failed("its answer is not the JSON that it must be"))?;
        Ok(if secret.reveal().is_empty() {
            None
        } else if username == TOKEN_USER {
            Some(Credentials::IdentityToken(secret))
        } else {
            Some(Credentials::Password { user: username, password: secret })
        })
    }
}

// === impl Account ===

impl Account {
    fn credentials(&self) -> Result<Option<Credentials>, ()> {
        let given = |hidden: &Option<Hidden>| {
            hidden.as_ref().map(|hidden| hidden.0.clone()).filter(|value| !value.reveal().is_empty())
        };
        if let Some(token) = given(&self.identitytoken) {
            return Ok(Some(Credentials::IdentityToken(token)));
        }
        if let (Some(user), Some(password)) = (&self.username, given(&self.password)) {
            return Ok(Some(Credentials::Password { user: user.clone(), password }));
        }
        let Some(auth) = given(&self.auth) else { return Ok(None) };
        let both = Zeroizing::new(STANDARD.decode(auth.reveal()).map_err(|_| ())?);
        let both = std::str::from_utf8(&both).map_err(|_| ())?;
        let (user, password) = both.split_once(':').ok_or(())?;
        // Docker has padded passwords with NULs.
        let password = password.trim_end_matches('\0').to_owned();
        Ok(Some(Credentials::Password { user: user.to_owned(), password: Value::new(password) }))
    }
}

// === impl Hidden ===

impl<'de> Deserialize<'de> for Hidden {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|text| Self(Value::new(text)))
    }
}

fn host_of(account: &str) -> &str {
    let bare = account.strip_prefix("https://").or_else(|| account.strip_prefix("http://"));
    let bare = bare.unwrap_or(account);
    bare.split('/').next().unwrap_or(bare)
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn found(config: &str, registry: &str) -> Result<Option<Credentials>, CredentialsError> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(FILE);
        std::fs::write(&path, config).unwrap();
        DockerConfig::read(&path).await?.credentials(&registry.parse().unwrap()).await
    }

    fn password(user: &str, password: &str) -> Credentials {
        Credentials::Password { user: user.to_owned(), password: Value::new(password.to_owned()) }
    }

    /// A program that keeps passwords. Another process writes it: while this one has it open, a test beside may fork, and then it
    /// cannot be run (ETXTBSY).
    fn helper(dir: &Path, script: &str) -> String {
        let path = dir.join("docker-credential-test").display().to_string();
        let write = "printf '#!/bin/sh\n%s\n' \"$1\" > \"$2\" && chmod +x \"$2\"";
        let status = std::process::Command::new("sh").args(["-c", write, "sh", script, &path]).status();
        assert!(status.unwrap().success());
        path
    }

    #[tokio::test]
    async fn a_login_in_the_file_is_found_by_host() {
        // `ada:ho:rse`
        let config = r#"{"auths": {"ghcr.io": {"auth": "YWRhOmhvOnJzZQ=="}, "quay.io": {},
            "https://old.example.com/v1/": {"username": "bob", "password": "x"},
            "https://index.docker.io/v1/": {"identitytoken": "t"}}}"#;
        assert_eq!(found(config, "ghcr.io/acme").await.unwrap(), Some(password("ada", "ho:rse")));
        assert_eq!(found(config, "old.example.com").await.unwrap(), Some(password("bob", "x")));
        let token = Credentials::IdentityToken(Value::new("t".to_owned()));
        assert_eq!(found(config, "acme").await.unwrap(), Some(token));
        assert_eq!(found(config, "quay.io/acme").await.unwrap(), None);
        assert_eq!(found(config, "ghcr.io.evil.com/acme").await.unwrap(), None);
    }

    #[tokio::test]
    async fn a_broken_file_is_told_without_its_text() {
        for (config, part) in [
            ("{\"auths\": \"horse\"}", "(line 1)"),
            ("not json horse", "(line 1)"),
            (r#"{"auths": {"ghcr.io": {"auth": "horse"}}}"#, "for `ghcr.io` is no login"),
        ] {
            let error = found(config, "ghcr.io").await.unwrap_err().to_string();
            assert!(error.contains(part) && !error.contains("horse"), "{error}");
        }
        let missing = DockerConfig::read(Path::new("/nowhere/config.json")).await.unwrap();
        assert_eq!(missing.credentials(&"ghcr.io".parse().unwrap()).await.unwrap(), None);
    }

    #[tokio::test]
    async fn a_program_is_asked_by_name() {
        let dir = tempfile::tempdir().unwrap();
        let ask =
            async |script: &str| DockerConfig::default().ask(&helper(dir.path(), script), "ghcr.io").await;
        let answer = r#"read account; [ "$1 $account" = "get ghcr.io" ] && echo '{"ServerURL":"ghcr.io","Username":"ada","Secret":"horse"}'"#;
        assert_eq!(ask(answer).await.unwrap(), Some(password("ada", "horse")));
        let token = r#"echo '{"ServerURL":"ghcr.io","Username":"<token>","Secret":"t"}'"#;
        assert_eq!(ask(token).await.unwrap(), Some(Credentials::IdentityToken(Value::new("t".to_owned()))));
        assert_eq!(ask(&format!("echo {HELPER_HAS_NONE}; exit 1")).await.unwrap(), None);
        let error = ask("echo keyring is locked; exit 1").await.unwrap_err().to_string();
        assert!(error.ends_with("for `ghcr.io`: keyring is locked"), "{error}");
        let error = ask("echo horse").await.unwrap_err().to_string();
        assert!(!error.contains("horse"), "{error}");
        let config = r#"{"credsStore": "no-such-program", "auths": {}}"#;
        let error = found(config, "ghcr.io").await.unwrap_err().to_string();
        assert!(error.contains("names `docker-credential-no-such-program`, which cannot be run"), "{error}");
    }
}
