//! Where an installed minipaas lies, on this machine or below the root of an image.

use std::path::{Path, PathBuf};

use crate::config;

/// The program.
pub(super) const BINARY: &str = "/usr/local/bin/minipaas";
/// The state.
pub(super) const HOME: &str = "/var/lib/minipaas";
/// Where an administrator's units are.
const UNIT_DIR: &str = "/etc/systemd/system";

/// A unit of systemd, as it is in the repository.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unit {
    pub(super) name: &'static str,
    pub(super) text: &'static str,
    /// The target that starts it with the machine: `WantedBy` in its text.
    pub(super) target: &'static str,
}

/// The units, in the order in which they are started.
pub(super) static UNITS: [Unit; 3] = [
    Unit {
        name: "minipaas-http.socket",
        text: include_str!("../../../systemd/minipaas-http.socket"),
        target: "sockets.target",
    },
    Unit {
        name: "minipaas-https.socket",
        text: include_str!("../../../systemd/minipaas-https.socket"),
        target: "sockets.target",
    },
    Unit {
        name: SERVICE,
        text: include_str!("../../../systemd/minipaas.service"),
        target: "multi-user.target",
    },
];
/// The unit of the daemon.
pub(super) const SERVICE: &str = "minipaas.service";

/// Paths as the installed program sees them, and where they are from here.
#[derive(Debug, Clone)]
pub(super) struct Layout {
    /// An image's root; `None` for this machine.
    root: Option<PathBuf>,
}

impl Layout {
    pub(super) fn new(root: Option<&Path>) -> Self {
        Self { root: root.map(Path::to_owned) }
    }

    /// Whether it is the file system of an image, in which nothing runs.
    pub(super) fn is_image(&self) -> bool {
        self.root.is_some()
    }

    /// An absolute path of the installed machine, from here.
    pub(super) fn at(&self, path: impl AsRef<Path>) -> PathBuf {
        let path = path.as_ref();
        match &self.root {
            None => path.to_owned(),
            Some(root) => root.join(path.strip_prefix("/").unwrap_or(path)),
        }
    }

    pub(super) fn home(&self) -> PathBuf {
        self.at(HOME)
    }

    pub(super) fn settings(&self) -> PathBuf {
        self.home().join(config::SERVER_FILE)
    }

    pub(super) fn binary(&self) -> PathBuf {
        self.at(BINARY)
    }
}

impl Unit {
    /// Its file.
    pub(super) fn path(&self) -> PathBuf {
        Path::new(UNIT_DIR).join(self.name)
    }

    /// The link by which it is enabled: what `systemctl enable` makes, which is not there in every image.
    pub(super) fn link(&self) -> PathBuf {
        Path::new(UNIT_DIR).join(format!("{}.wants", self.target)).join(self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_those_of_the_units() {
        for unit in &UNITS {
            assert!(unit.text.contains(&format!("\nWantedBy={}\n", unit.target)), "{}", unit.name);
        }
    }

    #[test]
    fn service_runs_what_is_installed_where_it_is_installed() {
        let text = UNITS[2].text;
        assert!(text.contains(&format!("\nExecStart={BINARY} server\n")));
        assert!(text.contains(&format!("\nEnvironment=MINIPAAS_HOME={HOME}\n")));
    }

    #[test]
    fn image_has_all_below_its_root() {
        let layout = Layout::new(Some(Path::new("/mnt")));
        assert_eq!(layout.binary(), Path::new("/mnt/usr/local/bin/minipaas"));
        assert_eq!(Layout::new(None).home(), Path::new(HOME));
    }
}
