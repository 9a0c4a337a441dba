//! The boxes elsewhere that somebody has logged in to: `remotes.toml`, which is theirs alone (0600), as it holds tokens.

use std::collections::BTreeMap;
use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};
use toml::de::DeTable;
use zeroize::Zeroizing;

use super::super::failure::{Failure, Kind};
use crate::api::client::{BoxTrust, BoxUrl, Client};
use crate::config::Env;
use crate::file::{PRIVATE_MODE, make_private, replace};
use crate::manifest::ManifestError;
use crate::manifest::read::{Report, Table};

/// The file's name, in the folder of this program's settings.
const FILE: &str = "remotes.toml";
/// Of a folder that holds tokens.
const FOLDER_MODE: u32 = 0o700;
/// As long as a DNS label.
const NAME_LENGTH_MAX: usize = 63;

/// All of them.
#[derive(Debug, Default)]
pub(crate) struct Remotes {
    path: PathBuf,
    /// The one that is used where this machine has no box.
    pub(crate) default: Option<String>,
    pub(crate) boxes: BTreeMap<String, Remote>,
}

/// One box, and who one is there.
#[derive(Clone)]
pub(crate) struct Remote {
    pub(crate) url: BoxUrl,
    /// The box's own CA, in PEM, where that was pinned.
    pub(crate) ca: Option<String>,
    pub(crate) token: Zeroizing<String>,
}

impl Remotes {
    /// Reads the file; none are in one that is not there.
    pub(crate) fn read(env: &Env) -> Result<Self, Failure> {
        let Some(folder) = folder(env) else { return Ok(Self::default()) };
        let path = folder.join(FILE);
        let cannot = |error: io::Error| {
            let error = anyhow!(error).context(format!("cannot read `{}`", path.display()));
            Failure::new(Kind::Failed, error)
        };
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => Zeroizing::new(text),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(Self { path, ..Self::default() });
            }
            Err(error) => return Err(cannot(error)),
        };
        make_private(&path).map_err(cannot)?;
        let mut problems = Vec::new();
        let read = parse(&text, &mut Report::new(FILE, &text, &mut problems));
        match read {
            Some((default, boxes)) if problems.is_empty() => Ok(Self { path, default, boxes }),
            _ => Err(ManifestError::new(problems).into()),
        }
    }

    /// Writes the file, whole.
    pub(crate) fn write(&self) -> Result<(), Failure> {
        let write = || -> anyhow::Result<()> {
            let folder = self.path.parent().context("neither `HOME` nor `XDG_CONFIG_HOME` is set")?;
            DirBuilder::new().recursive(true).mode(FOLDER_MODE).create(folder)?;
            Ok(replace(&self.path, PRIVATE_MODE, self.text().as_bytes())?)
        };
        write()
            .with_context(|| format!("cannot write `{}`", self.path.display()))
            .map_err(|error| Failure::new(Kind::Failed, error))
    }

    /// The box of this name.
    pub(crate) fn find(&self, name: &str) -> Result<&Remote, Failure> {
        self.boxes.get(name).ok_or_else(|| {
            let known: Vec<_> = self.boxes.keys().map(|name| format!("`{name}`")).collect();
            let hint = if known.is_empty() {
                "`minipaas login URL` logs in to one".to_owned()
            } else {
                format!("there is {}", known.join(", "))
            };
            Failure::usage(format!("no remote is called `{name}`")).hint(hint)
        })
    }

    /// The box that is meant where this machine has none: the default, or the only one.
    pub(crate) fn chosen(&self) -> Option<&str> {
        let mut names = self.boxes.keys();
        let only = names.next().filter(|_| names.next().is_none());
        self.default.as_ref().filter(|name| self.boxes.contains_key(*name)).or(only).map(String::as_str)
    }

    /// In order, and as JSON writes strings, which is how TOML does, too.
    fn text(&self) -> Zeroizing<String> {
        let quoted = |text: &str| serde_json::to_string(text).expect("a string is JSON");
        let mut text = Zeroizing::new(String::new());
        if let Some(default) = &self.default {
            text.push_str(&format!("default = {}\n", quoted(default)));
        }
        for (name, remote) in &self.boxes {
            text.push_str(&format!("\n[remote.{name}]\nurl = {}\n", quoted(&remote.url.to_string())));
            if let Some(ca) = &remote.ca {
                text.push_str(&format!("ca = {}\n", quoted(ca)));
            }
            text.push_str(&format!("token = {}\n", quoted(&remote.token)));
        }
        text
    }
}

impl Remote {
    pub(crate) fn client(&self) -> Result<Client, Failure> {
        let trust = BoxTrust::Known(self.ca.clone());
        Ok(Client::https(self.url.clone(), &trust, Some(&self.token))?)
    }
}

impl std::fmt::Debug for Remote {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Remote").field("url", &self.url).finish_non_exhaustive()
    }
}

/// Whether a box can have this name: it is a key of TOML as it is, and `local` is this machine's.
pub(crate) fn check_name(name: &str) -> Result<(), Failure> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    if name == super::LOCAL || !(1..=NAME_LENGTH_MAX).contains(&name.len()) || !name.bytes().all(is_plain) {
        let message =
            format!("`{name}` is no name for a remote; use letters, digits, `-` and `_`, and not `local`");
        return Err(Failure::usage(message));
    }
    Ok(())
}

type Read = (Option<String>, BTreeMap<String, Remote>);

fn parse(text: &str, report: &mut Report<'_>) -> Option<Read> {
    let document = match DeTable::parse(text) {
        Ok(document) => document,
        Err(error) => {
            // Without the parser's words, which quote the line, and so perhaps a token.
            report.problem(&error.span().unwrap_or(0..0), "not valid TOML".to_owned(), None);
            return None;
        }
    };
    let mut table = Table::new("the file", document.get_ref());
    let default = table.take("default").and_then(|entry| entry.string(report));
    let mut boxes = BTreeMap::new();
    let all = table.take("remote").and_then(|entry| entry.table(report, "[remote]".to_owned()));
    for entry in all.map(|mut all| all.take_all()).unwrap_or_default() {
        let Some(mut one) = entry.table(report, format!("[remote.{}]", entry.key())) else { continue };
        let url = one.take("url").and_then(|url| url.parsed(report, "an address", str::parse::<BoxUrl>));
        let ca = one.take("ca").and_then(|ca| ca.string(report));
        let token = one.take("token").and_then(|token| token.string(report));
        one.finish(report);
        match (url, token) {
            (Some(url), Some(token)) => {
                let remote = Remote { url, ca, token: Zeroizing::new(token) };
                boxes.insert(entry.key().to_owned(), remote);
            }
            _ => report.problem(&entry.span(), "a remote has a `url` and a `token`".to_owned(), None),
        }
    }
    table.finish(report);
    Some((default, boxes))
}

/// Where programs keep what somebody has set (XDG Base Directory).
fn folder(env: &Env) -> Option<PathBuf> {
    let config = env.get("XDG_CONFIG_HOME").map(PathBuf::from);
    let config = config.or_else(|| Some(Path::new(env.get("HOME")?).join(".config")));
    Some(config?.join("minipaas"))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn env(folder: &Path) -> Env {
        let variables = [("XDG_CONFIG_HOME".to_owned(), folder.display().to_string())];
        Env { variables: variables.into(), is_root: false }
    }

    #[test]
    fn what_was_written_is_read_back_and_is_private() {
        let folder = tempfile::tempdir().unwrap();
        let env = env(folder.path());
        let mut remotes = Remotes::read(&env).unwrap();
        assert!(remotes.boxes.is_empty() && remotes.chosen().is_none());
        let ca = "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n";
        let remote = |ca: Option<&str>| Remote {
            url: "https://box.example.com:8443".parse().unwrap(),
            ca: ca.map(str::to_owned),
            token: Zeroizing::new("mp_secret".to_owned()),
        };
        remotes.boxes.insert("box".to_owned(), remote(Some(ca)));
        assert_eq!(remotes.chosen(), Some("box"));
        remotes.boxes.insert("other".to_owned(), remote(None));
        assert_eq!(remotes.chosen(), None);
        remotes.default = Some("other".to_owned());
        remotes.write().unwrap();

        let path = folder.path().join("minipaas/remotes.toml");
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let read = Remotes::read(&env).unwrap();
        assert_eq!((read.chosen(), read.boxes.len()), (Some("other"), 2));
        let found = read.find("box").unwrap();
        assert_eq!((found.ca.as_deref(), found.token.as_str()), (Some(ca), "mp_secret"));
        assert_eq!(found.url.to_string(), "https://box.example.com:8443");
        assert!(read.find("boxx").unwrap_err().to_string().contains("there is `box`, `other`"));
        assert!(!format!("{read:?}").contains("secret"));
    }

    #[test]
    fn a_broken_file_does_not_show_its_tokens() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("minipaas")).unwrap();
        for text in
            ["[remote.box]\ntoken = mp_secret\n", "[remote.box]\ntoken = \"mp_secret\"\nurl = \"no where\"\n"]
        {
            std::fs::write(folder.path().join("minipaas/remotes.toml"), text).unwrap();
            let failure = Remotes::read(&env(folder.path())).unwrap_err().to_string();
            assert!(failure.contains("remotes.toml") && !failure.contains("secret"), "{failure}");
        }
    }
}
