//! Settings of an app's proxy as they are asked for and told, and why they are refused.

use crate::manifest::{Problem, RouteName, Settings};
use crate::name::{AppName, Host, PathPrefix};
use crate::plan::NoSuchHost;
use crate::store::StoreError;

/// What is to become of an app's settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProxyChange {
    /// The route that they are for, whose host may be the app's own; `None`: for all of the app's.
    pub route: Option<(Option<Host>, PathPrefix)>,
    /// What is to be done.
    pub edit: ProxyEdit,
}

/// What is to be done with settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProxyEdit {
    /// These are made, in the place of earlier ones of the same keys.
    Set(Settings),
    /// These are taken back.
    Unset(Vec<String>),
    /// All are taken back; for the app, those of its routes, too.
    Reset,
    /// `basic_auth` has this user with this hash, beside those that are in effect; or has this user no more.
    User {
        /// The user.
        user: String,
        /// The bcrypt hash of the password.
        hash: Option<String>,
    },
}

/// How an app's requests are treated, and who said so.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ProxySettings {
    /// Every key, for routes of which nothing else is said.
    pub app: Vec<Setting>,
    /// What differs on a route.
    pub routes: Vec<(RouteName, Vec<Setting>)>,
    /// What was set and does not hold.
    pub ignored: Vec<IgnoredSetting>,
}

/// A key of `[proxy]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// The key.
    pub key: &'static str,
    /// Its value as TOML, without what is secret.
    pub value: String,
    /// Who said so.
    pub from: Layer,
}

/// Who said something, the weakest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Layer {
    /// Nobody.
    Default,
    /// The manifest of the release that serves.
    Manifest,
    /// A command.
    Command,
}

/// A setting that was made by command and does not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IgnoredSetting {
    /// The route that it does not hold for; `None`: for the app.
    pub route: Option<RouteName>,
    /// The key.
    pub key: String,
    /// Why.
    pub reason: String,
}

/// Why an app's settings are as they were.
#[derive(Debug, thiserror::Error)]
pub enum ProxyError {
    /// There is none of this name.
    #[error("there is no app `{0}`")]
    Unknown(AppName),
    /// The app has no such route.
    #[error("app `{app}` has no route `{}{}`", route.0, route.1)]
    NoRoute {
        /// The app.
        app: AppName,
        /// The one that was meant.
        route: RouteName,
        /// Those that it has.
        known: Vec<RouteName>,
    },
    /// Values that break a rule, by themselves or together with what is set already.
    #[error("{}", .0.iter().map(|problem| problem.message.as_str()).collect::<Vec<_>>().join("\n       "))]
    Invalid(Vec<Problem>),
    /// Its canonical host would lead away from it.
    #[error(transparent)]
    CanonicalHost(#[from] NoSuchHost),
    /// There is nothing of this name to take back.
    #[error("`{key}` is no key of [proxy]")]
    NoKey {
        /// What was meant to be one.
        key: String,
    },
    /// There is no such user to take out.
    #[error("`basic_auth` has no user `{0}`")]
    NoUser(String),
    /// Without this user there would be none, which lets everybody in.
    #[error("`{0}` is the only user of `basic_auth`, and without one everybody would come in")]
    LastUser(String),
    /// The state could not be written.
    #[error("the settings could not be stored")]
    Store(#[from] StoreError),
}

impl ProxyError {
    /// What to write instead.
    #[must_use]
    pub fn hints(&self) -> Vec<String> {
        match self {
            Self::NoRoute { known, .. } if known.is_empty() => vec!["it has none yet".to_owned()],
            Self::NoRoute { known, .. } => {
                let known: Vec<_> = known.iter().map(|(host, path)| format!("`{host}{path}`")).collect();
                vec![format!("it has {}", known.join(", "))]
            }
            Self::Invalid(problems) => problems.iter().filter_map(|problem| problem.hint.clone()).collect(),
            Self::CanonicalHost(error) => error.hints().into(),
            Self::NoKey { .. } => vec!["`minipaas proxy` lists the keys".to_owned()],
            Self::LastUser(_) => {
                vec!["`minipaas proxy set basic_auth=false` does let everybody in".to_owned()]
            }
            Self::Unknown(_) | Self::NoUser(_) | Self::Store(_) => Vec::new(),
        }
    }
}
