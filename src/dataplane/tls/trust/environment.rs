//! What `trust` has to know about the machine and about who asks.
//!
//! All of it is data, so that tests have a machine of their own in a directory. [`Environment::detect`] is
//! the one place that reads the process's surroundings. Under `sudo` the home that counts is that of the
//! person at the keyboard, whose browsers are meant, and what is written there is written as that person.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

/// Where the stores are, and what may be done to them.
#[derive(Debug, Clone)]
pub struct Environment {
    /// The directory that the system's files are below. Default: `/`.
    pub root: PathBuf,
    /// The home with the browsers' databases.
    pub home: PathBuf,
    /// Who `home` belongs to, if tools that write there must be run as somebody else.
    pub owner: Option<Owner>,
    /// Whether the system's store may be written.
    pub is_root: bool,
    /// NSS's `certutil`, if it is installed.
    pub certutil: Option<PathBuf>,
    /// The Java that the person has chosen, by `JAVA_HOME`.
    pub java_home: Option<PathBuf>,
}

/// A user of the system, by number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owner {
    /// The user's id.
    pub uid: u32,
    /// The id of the user's group.
    pub gid: u32,
}

impl Environment {
    /// This machine and the user who started the process, also if that was through `sudo`.
    pub fn detect() -> Self {
        Self::from_variables(root_directory(), rustix::process::geteuid().is_root(), |name| {
            std::env::var_os(name)
        })
    }

    fn from_variables(root: PathBuf, is_root: bool, get: impl Fn(&str) -> Option<OsString>) -> Self {
        let number = |name| get(name)?.to_str()?.parse().ok();
        let behind_sudo = match (is_root, number("SUDO_UID"), number("SUDO_GID")) {
            (true, Some(uid), Some(gid)) if uid != 0 => {
                home_of(&root, uid).map(|home| (home, Some(Owner { uid, gid })))
            }
            _ => None,
        };
        let (home, owner) = behind_sudo
            .unwrap_or_else(|| (get("HOME").map_or_else(|| root.join("root"), PathBuf::from), None));
        let certutil = std::env::split_paths(&get("PATH").unwrap_or_default())
            .map(|directory| directory.join("certutil"))
            .find(|path| path.is_file());
        // Root runs tools below it, and must not be led to any by somebody else.
        let java_home = get("JAVA_HOME").map(PathBuf::from).filter(|_| owner.is_none());
        Self { root, home, owner, is_root, certutil, java_home }
    }
}

/// The machine's root; in the tests' build that of a machine in a directory, if there is one: nobody's own store is changed.
fn root_directory() -> PathBuf {
    #[cfg(feature = "testing")]
    if let Some(root) = std::env::var_os("MINIPAAS_TRUST_ROOT") {
        return root.into();
    }
    PathBuf::from("/")
}

/// The home directory that `/etc/passwd` has for a user.
fn home_of(root: &Path, uid: u32) -> Option<PathBuf> {
    let passwd = fs::read_to_string(root.join("etc/passwd")).ok()?;
    passwd.lines().find_map(|line| {
        let fields: Vec<&str> = line.split(':').collect();
        match fields[..] {
            [_, _, id, _, _, home, ..] if id.parse() == Ok(uid) => Some(PathBuf::from(home)),
            _ => None,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(is_root: bool, variables: &[(&str, &str)]) -> Environment {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("etc")).unwrap();
        fs::write(
            root.path().join("etc/passwd"),
            "root:x:0:0:root:/root:/bin/bash\nada:x:1000:1000:Ada,,,:/home/ada:/bin/bash\n",
        )
        .unwrap();
        Environment::from_variables(root.path().to_owned(), is_root, |name| {
            variables.iter().find(|(n, _)| *n == name).map(|(_, value)| OsString::from(value))
        })
    }

    #[test]
    fn home_is_that_of_the_caller() {
        let env = environment(false, &[("HOME", "/home/ada"), ("SUDO_UID", "1000"), ("SUDO_GID", "1000")]);
        assert_eq!((env.home, env.owner), (PathBuf::from("/home/ada"), None));
    }

    #[test]
    fn under_sudo_home_is_that_of_the_person_behind_it() {
        let env = environment(true, &[("HOME", "/root"), ("SUDO_UID", "1000"), ("SUDO_GID", "1001")]);
        assert_eq!(env.home, PathBuf::from("/home/ada"));
        assert_eq!(env.owner, Some(Owner { uid: 1000, gid: 1001 }));
    }

    #[test]
    fn a_sudo_user_without_a_home_leaves_root() {
        let env = environment(true, &[("HOME", "/root"), ("SUDO_UID", "4711"), ("SUDO_GID", "4711")]);
        assert_eq!((env.home, env.owner), (PathBuf::from("/root"), None));
    }

    #[test]
    fn certutil_is_looked_up_in_path() {
        let bin = tempfile::tempdir().unwrap();
        let path = format!("/nonexistent:{}", bin.path().display());
        assert_eq!(environment(false, &[("PATH", &path)]).certutil, None);
        fs::write(bin.path().join("certutil"), "").unwrap();
        assert_eq!(environment(false, &[("PATH", &path)]).certutil, Some(bin.path().join("certutil")));
    }
}
