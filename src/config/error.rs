//! Why there are no settings: each problem names the flag, variable or key that has it, and the rule.

use std::io;
use std::path::PathBuf;

use crate::manifest::ManifestError;
use crate::name::NameError;

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
    /// The domain by which containers call each other.
    #[error(
        "{from} is `internal`, below which apps call each other; use another name, such as `box.internal`"
    )]
    Internal {
        /// The flag, variable or key.
        from: String,
    },
    /// Not a list of networks.
    #[error(
        "{from} has `{text}`, which is no network; use addresses and CIDRs such as `10.0.0.0/8,2001:db8::1`"
    )]
    Network {
        /// The flag, variable or key.
        from: String,
        /// The part of its value.
        text: String,
    },
    /// Not a header.
    #[error("{from} is `{text}`, which is no header; use a name such as `cf-connecting-ip`")]
    Header {
        /// The flag, variable or key.
        from: String,
        /// Its value.
        text: String,
    },
    /// Neither on nor off.
    #[error("{from} is `{text}`; it takes `true` or `false`")]
    Switch {
        /// The flag, variable or key.
        from: String,
        /// Its value.
        text: String,
    },
    /// Not a size, or too small a one.
    #[error("{from} is `{text}`; it takes a size of at least {min}M, such as `64M` or `1G`")]
    Size {
        /// The flag, variable or key.
        from: String,
        /// Its value.
        text: String,
        /// The least, in MiB.
        min: u64,
    },
    /// A setting that does nothing without another one.
    #[error("{from} is for trusted proxies, and there is none; set `trusted_proxies`, too")]
    NobodyTrusted {
        /// The flag, variable or key.
        from: String,
    },
    /// Not a CA.
    #[error(
        "{from} has `{text}`, which is no certificate authority; use `letsencrypt`, `letsencrypt-staging`, `zerossl`, the URL of a directory, or `off`"
    )]
    Directory {
        /// The flag, variable or key.
        from: String,
        /// The part of its value.
        text: String,
    },
    /// Not an email address.
    #[error("{from} is `{text}`, which is no email address; use one such as `ops@example.com`")]
    Email {
        /// The flag, variable or key.
        from: String,
        /// Its value.
        text: String,
    },
    /// Not a way to change DNS records.
    #[error("{from} is `{text}`, which is no DNS provider; use one of {}", crate::dns::KINDS.iter().map(|kind| format!("`{kind}`")).collect::<Vec<_>>().join(", "))]
    DnsProvider {
        /// The flag, variable or key.
        from: String,
        /// Its value.
        text: String,
    },
    /// Not a list of name servers.
    #[error(
        "{from} has `{text}`, which is no name server; use addresses such as `10.0.0.53` or `127.0.0.1:8053`"
    )]
    NameServer {
        /// The flag, variable or key.
        from: String,
        /// The part of its value.
        text: String,
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
