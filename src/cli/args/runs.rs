//! What is typed to run commands, and to reach into what runs.

use std::net::Ipv4Addr;
use std::str::FromStr;
use std::time::Duration;

use crate::manifest;
use crate::name::{ProcessType, ReleaseId, Slot};

#[derive(Debug, clap::Args)]
pub(crate) struct RunArgs {
    /// One more variable for the command; may be given more than once
    #[arg(short, long, value_name = "K=V")]
    pub(crate) env: Vec<Variable>,
    /// End with the command's exit code, which is what happens without it, too
    #[arg(short = 'x', long, hide = true)]
    pub(crate) exit_code: bool,
    /// With the limits of this process type; without a command, its command
    #[arg(long = "type", value_name = "TYPE")]
    pub(crate) process: Option<ProcessType>,
    /// Return at once, and have it go on by itself; its output goes to the app's logs
    #[arg(long)]
    pub(crate) detach: bool,
    /// For how long it may go on detached, such as `2h` [default: 24h]
    #[arg(long, value_name = "TIME", value_parser = manifest::duration, requires = "detach")]
    pub(crate) limit: Option<Duration>,
    /// Give it no terminal, even if there is one
    #[arg(long)]
    pub(crate) no_tty: bool,
    /// In this release [default: the one that serves]
    #[arg(long, value_name = "vN")]
    pub(crate) release: Option<ReleaseId>,
    /// The command; what follows it is its own. A single word is a line, as in the manifest
    #[arg(value_name = "CMD", trailing_var_arg = true, required_unless_present = "process")]
    pub(crate) command: Vec<String>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct ExecArgs {
    /// Give it no terminal, even if there is one
    #[arg(long)]
    pub(crate) no_tty: bool,
    /// The instance [default: the command's first word if it is one, else web.1]
    #[arg(short, long, value_name = "INSTANCE", alias = "dyno", short_alias = 'd')]
    pub(crate) instance: Option<Slot>,
    /// The instance, if not web.1, and the command; what follows it is its own
    #[arg(value_name = "CMD", trailing_var_arg = true)]
    pub(crate) words: Vec<String>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct CpArgs {
    /// What is copied: a file or folder, of which one side is an instance's: `web.1:/app/log`
    #[arg(value_name = "FROM")]
    pub(crate) from: Place,
    /// Where to: into a folder that is there, else to this name [default: this folder]
    #[arg(value_name = "TO", default_value = ".")]
    pub(crate) to: Place,
}

#[derive(Debug, clap::Args)]
pub(crate) struct PortForwardArgs {
    /// The instance, if not web.1, and ports: `8000`, or `LOCAL:REMOTE` such as `5000:8000`
    #[arg(value_name = "[INSTANCE] [LOCAL:]REMOTE", required = true)]
    pub(crate) words: Vec<String>,
}

/// `K=V`.
#[derive(Debug, Clone)]
pub(crate) struct Variable {
    pub(crate) key: String,
    pub(crate) value: String,
}

/// A path here, or one in an instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    Here(String),
    In { slot: Slot, path: String },
}

/// A port here and the one that it leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ports {
    /// 0 for any that is free.
    pub(crate) local: u16,
    pub(crate) remote: u16,
}

impl Ports {
    /// Where it is listened: nobody else's business.
    pub(crate) const HOST: Ipv4Addr = Ipv4Addr::LOCALHOST;
}

impl FromStr for Variable {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        // The value may be a secret: no error repeats it.
        match text.split_once('=') {
            Some((key, value)) if !key.is_empty() && !value.contains('\0') => {
                Ok(Self { key: key.to_owned(), value: value.to_owned() })
            }
            _ => Err("it takes a name and a value, such as `LOG_LEVEL=debug`".to_owned()),
        }
    }
}

impl FromStr for Place {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let Some((slot, path)) =
            text.split_once(':').and_then(|(slot, path)| Some((slot.parse().ok()?, path)))
        else {
            return Ok(Self::Here(text.to_owned()));
        };
        if !path.starts_with('/') {
            return Err(format!("`{path}` is not an absolute path in the instance, such as `/app/log`"));
        }
        Ok(Self::In { slot, path: path.to_owned() })
    }
}

impl FromStr for Ports {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bad = || format!("`{text}` is neither a port nor two such as `5000:8000`");
        let port = |text: &str| text.parse::<u16>().map_err(|_| bad());
        let (local, remote) = match text.split_once(':') {
            Some((local, remote)) => (port(local)?, port(remote)?),
            None => (port(text)?, port(text)?),
        };
        if remote == 0 {
            return Err(bad());
        }
        Ok(Self { local, remote })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_in_an_instance_begins_with_its_slot() {
        let place = |text: &str| text.parse::<Place>();
        let slot = "web.1".parse().expect("a slot");
        assert_eq!(place("web.1:/a:b"), Ok(Place::In { slot, path: "/a:b".to_owned() }));
        for here in ["./a", "a.txt", "C:/x", "dir/web.1", "web:/x"] {
            assert_eq!(place(here), Ok(Place::Here(here.to_owned())));
        }
        assert!(place("web.1:log").is_err());
    }

    #[test]
    fn ports_are_one_or_two() {
        let ports = |text: &str| text.parse::<Ports>();
        assert_eq!(ports("8000"), Ok(Ports { local: 8000, remote: 8000 }));
        assert_eq!(ports("0:80"), Ok(Ports { local: 0, remote: 80 }));
        for bad in ["", "web.1", "1:2:3", "80:0", "70000"] {
            assert!(ports(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_error_about_a_variable_does_not_repeat_it() {
        let error = "=s3cret".parse::<Variable>().expect_err("no name");
        assert!(!error.contains("s3cret"));
    }
}
