//! From what went wrong inside to what a client is told.

use axum::http::StatusCode;

use crate::api::Failure;
use crate::builder::image::ImageError;
use crate::controller::{
    CanaryError, ChangeError, ConfigError, DeployError, DownError, ProxyError, Stopping, TrafficError,
    UpstreamsError, View,
};
use crate::engine::{EngineError, PushRefusal};
use crate::external::ExternalError;
use crate::name::AppName;
use crate::people::PeopleError;
use crate::port::ListenError;
use crate::rollout::Cause;
use crate::route::Conflict;

/// An answer other than 2xx.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    /// Boxed: what is seldom returned should not make every answer large.
    pub(super) failure: Box<Failure>,
}

impl Refusal {
    pub(super) fn new(status: StatusCode, failure: impl Into<Failure>) -> Self {
        Self { status, failure: Box::new(failure.into()) }
    }

    pub(super) fn not_found(message: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, Failure::new("not-found", message))
    }

    pub(super) fn bad_request(message: String) -> Self {
        Self::new(StatusCode::BAD_REQUEST, Failure::new("bad-request", message))
    }

    pub(super) fn no_app(app: &AppName, view: &View) -> Self {
        let failure = Failure::new("not-found", format!("there is no app `{app}`"));
        let names: Vec<_> = view.apps.iter().map(|app| format!("`{}`", app.name)).collect();
        let hint = if names.is_empty() {
            "there are no apps yet".to_owned()
        } else {
            format!("there is {}", names.join(", "))
        };
        Self::new(StatusCode::NOT_FOUND, failure.hinted(hint))
    }

    pub(super) fn from_down(error: DownError, view: &View) -> Self {
        match error {
            DownError::Unknown(app) => Self::no_app(&app, view),
            DownError::Engine(source) => {
                let cause = source.to_string();
                let failure = Failure::from(source);
                let message = "the app is forgotten, but not everything of it is gone".to_owned();
                let failure = Failure { message, ..failure }.caused_by(cause);
                let hint = "what is left is removed as soon as the engine answers";
                Self::new(StatusCode::BAD_GATEWAY, failure.hinted(hint))
            }
            DownError::Store(source) => internal("the app could not be removed", &source),
        }
    }

    pub(super) fn from_traffic(error: TrafficError, view: &View) -> Self {
        let message = error.to_string();
        match error {
            TrafficError::Unknown(app) => Self::no_app(&app, view),
            TrafficError::InMaintenance(app) => {
                let failure = Failure::new("in-maintenance", message);
                let hint = format!("`minipaas maintenance off -a {app}` ends it");
                Self::new(StatusCode::CONFLICT, failure.hinted(hint))
            }
            TrafficError::WaitTooLong(_) => Self::bad_request(message),
            TrafficError::Store(source) => internal(&message, &source),
        }
    }

    pub(super) fn from_upstreams(error: UpstreamsError) -> Self {
        let message = error.to_string();
        match error {
            UpstreamsError::Wanted(ExternalError::Manifest(_)) => {
                Self::new(StatusCode::BAD_REQUEST, Failure::new("manifest", message))
            }
            UpstreamsError::Wanted(_) => Self::bad_request(message),
            UpstreamsError::Deployed(app) => {
                let failure = Failure::new("deployed", message)
                    .hinted("choose another name")
                    .hinted(format!("`minipaas apps destroy {app}` removes it"));
                Self::new(StatusCode::CONFLICT, failure)
            }
            UpstreamsError::Own(_) => {
                let failure = Failure::new("own-address", message)
                    .hinted("name the address where the app itself listens");
                Self::new(StatusCode::BAD_REQUEST, failure)
            }
            UpstreamsError::CanonicalHost(error) => {
                let failure =
                    error.hints().into_iter().fold(Failure::new("manifest", message), Failure::hinted);
                Self::new(StatusCode::BAD_REQUEST, failure)
            }
            UpstreamsError::Conflict(conflict) => Self::new(StatusCode::CONFLICT, of_conflict(&conflict)),
            UpstreamsError::Store(source) => internal(&message, &source),
        }
    }

    pub(super) fn from_proxy(error: ProxyError, view: &View) -> Self {
        let (message, hints) = (error.to_string(), error.hints());
        match error {
            ProxyError::Unknown(app) => Self::no_app(&app, view),
            ProxyError::Store(source) => internal(&message, &source),
            // What is wrong with a setting is wrong as it is in a manifest.
            ProxyError::NoRoute { .. }
            | ProxyError::Invalid(_)
            | ProxyError::CanonicalHost(_)
            | ProxyError::NoKey { .. }
            | ProxyError::NoUser(_)
            | ProxyError::LastUser(_) => {
                let failure = hints.into_iter().fold(Failure::new("manifest", message), Failure::hinted);
                Self::new(StatusCode::BAD_REQUEST, failure)
            }
        }
    }

    pub(super) fn from_canary(error: CanaryError, view: &View) -> Self {
        let message = error.to_string();
        match error {
            CanaryError::Unknown(app) => Self::no_app(&app, view),
            CanaryError::None(_) => Self::new(
                StatusCode::CONFLICT,
                Failure::new("no-canary", message)
                    .hinted("`canary = { percent = 10 }` in `[deploy]` has the next `minipaas up` make one"),
            ),
            CanaryError::Percent(_) => Self::bad_request(message),
            CanaryError::NotReady { app, .. } => {
                let hint = format!("`minipaas ps {app}` shows why; `minipaas canary abort` takes it away");
                Self::new(StatusCode::CONFLICT, Failure::new("not-ready", message).hinted(hint))
            }
            CanaryError::Store(source) => internal(&message, &source),
        }
    }
}

impl From<Stopping> for Refusal {
    fn from(error: Stopping) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, Failure::new("stopping", error.to_string()))
    }
}

impl From<PeopleError> for Refusal {
    fn from(error: PeopleError) -> Self {
        let message = error.to_string();
        let (status, code, hint) = match &error {
            PeopleError::NoUser(user) => (
                StatusCode::NOT_FOUND,
                "no-user",
                Some(format!("`minipaas invite {user}` prints a link that makes one")),
            ),
            PeopleError::UserExists(_) => (StatusCode::CONFLICT, "conflict", None),
            PeopleError::NameNeeded => {
                (StatusCode::BAD_REQUEST, "name-needed", Some("`--user NAME` says which".to_owned()))
            }
            PeopleError::LastOwner { app, .. } => (
                StatusCode::CONFLICT,
                "conflict",
                Some(format!("`minipaas apps transfer USER -a {app}` gives it to somebody else")),
            ),
            PeopleError::NoToken(_) => {
                (StatusCode::NOT_FOUND, "no-token", Some("`minipaas tokens` lists yours".to_owned()))
            }
            PeopleError::NoInvite => {
                (StatusCode::NOT_FOUND, "no-invite", Some("ask for another link".to_owned()))
            }
            PeopleError::NoGrant { app, .. } => (
                StatusCode::NOT_FOUND,
                "no-access",
                Some(format!("`minipaas access -a {app}` lists those who have one")),
            ),
            PeopleError::Claimed(_) => {
                (StatusCode::CONFLICT, "name-taken", Some("choose another name with `--app`".to_owned()))
            }
            PeopleError::TooMany(_) => (StatusCode::CONFLICT, "too-many", None),
            PeopleError::OtherName(_)
            | PeopleError::Name(_)
            | PeopleError::AdminOfApp
            | PeopleError::TokenName
            | PeopleError::TokenTime
            | PeopleError::InviteTime => (StatusCode::BAD_REQUEST, "bad-request", None),
            PeopleError::Store(_) => return internal(&message, &error),
        };
        Self::new(status, hint.into_iter().fold(Failure::new(code, message), Failure::hinted))
    }
}

impl From<ImageError> for Refusal {
    fn from(error: ImageError) -> Self {
        Self::new(StatusCode::BAD_GATEWAY, error)
    }
}

impl From<DeployError> for Refusal {
    fn from(error: DeployError) -> Self {
        let status = match &error {
            DeployError::Manifest(_)
            | DeployError::CanonicalHost(_)
            | DeployError::OwnLink(_)
            | DeployError::CanaryWithVolume(_) => StatusCode::BAD_REQUEST,
            DeployError::Conflict(_)
            | DeployError::PortConflict(_)
            | DeployError::OwnPort(_)
            | DeployError::Port(_)
            | DeployError::NameTaken { .. } => StatusCode::CONFLICT,
            DeployError::Change(error) => status_of_change(error),
            DeployError::EngineAway(_) => StatusCode::BAD_GATEWAY,
            DeployError::Aborted(_) | DeployError::TakenDown(_) | DeployError::Store(_) => {
                StatusCode::INTERNAL_SERVER_ERROR
            }
        };
        Self::new(status, error)
    }
}

impl From<DeployError> for Failure {
    fn from(error: DeployError) -> Self {
        let message = error.to_string();
        match error {
            DeployError::Manifest(_) | DeployError::OwnLink(_) => Self::new("manifest", message),
            DeployError::CanaryWithVolume(_) => Self::new("manifest", message)
                .hinted("take `canary` out of `[deploy]`, or keep the data in a service instead of a volume"),
            DeployError::CanonicalHost(error) => {
                error.hints().into_iter().fold(Self::new("manifest", message), Self::hinted)
            }
            DeployError::Conflict(conflict) => of_conflict(&conflict),
            DeployError::OwnPort(_) => Self::new("port", message)
                .hinted("choose another port in its [[port]] table; http reaches an app by its host, with a [[route]]"),
            DeployError::PortConflict(conflict) => Self::new("conflict", message).hinted(format!(
                "choose another port in its [[port]] table, or `minipaas down {}`",
                conflict.owner
            )),
            DeployError::Port(error) => Self::new("port", message).hinted(match error {
                ListenError::Forbidden { .. } => "choose one above 1023, or run the daemon as root",
                _ => "choose another port in its [[port]] table, or end whatever listens there",
            }),
            DeployError::Change(error) => error.into(),
            DeployError::NameTaken { app, .. } => Self::new("name-taken", message)
                .hinted("choose another name with `--app`, or deploy over it with `--take-over`")
                .hinted(format!("`minipaas down {app}` removes it")),
            DeployError::Aborted(abort) => {
                let code = match abort.cause {
                    Cause::Cancelled => "cancelled",
                    Cause::Worse(_) => "worse",
                    Cause::CommandFailed(_) | Cause::CommandLate { .. } | Cause::CommandNotStarted(_) => {
                        "release-command"
                    }
                    _ => "not-ready",
                };
                let failure = Self {
                    log: abort.log.clone(),
                    causes: abort.detail().into_iter().collect(),
                    ..Self::new(code, message)
                };
                abort.hints().into_iter().fold(failure, Self::hinted)
            }
            DeployError::TakenDown(_) => Self::new("cancelled", message),
            DeployError::EngineAway(_) => Self::new("engine-unreachable", message)
                .hinted("what runs goes on to serve; `minipaas doctor` looks into it"),
            DeployError::Store(source) => *internal(&message, &source).failure,
        }
    }
}

impl From<ChangeError> for Failure {
    fn from(error: ChangeError) -> Self {
        let message = error.to_string();
        match error {
            ChangeError::NoApp(_) => Self::new("not-found", message)
                .hinted("`minipaas apps` lists what there is; `minipaas apps create` makes one"),
            ChangeError::External(app) => Self::new("external", message)
                .hinted("choose another name with `--app`")
                .hinted(format!("`minipaas apps destroy {app}` removes it")),
            ChangeError::NeverDeployed(_) => {
                Self::new("never-deployed", message).hinted("`minipaas up` deploys it")
            }
            ChangeError::NoRelease { app, .. } => Self::new("not-found", message)
                .hinted(format!("`minipaas releases -a {app}` lists those that it has")),
            ChangeError::NoneBefore(app) => Self::new("nothing-before", message)
                .hinted(format!("`minipaas releases -a {app}` lists its releases")),
            ChangeError::Serves { .. } => Self::new("serves-already", message),
            ChangeError::NeverServed { app, .. } => Self::new("never-served", message)
                .hinted(format!("`minipaas releases -a {app}` shows which have served")),
            ChangeError::NoVariable { near: Some(near), .. } => {
                Self::new("not-found", message).hinted(format!("did you mean `{near}`?"))
            }
            ChangeError::NoVariable { near: None, .. } => Self::new("not-found", message),
            ChangeError::NoProcess { known, .. } => {
                let known: Vec<_> = known.iter().map(|name| format!("`{name}`")).collect();
                Self::new("not-found", message).hinted(format!("it has {}", known.join(", ")))
            }
            ChangeError::TooMuch { .. } => Self::new("too-large", message),
        }
    }
}

impl From<ChangeError> for Refusal {
    fn from(error: ChangeError) -> Self {
        Self::new(status_of_change(&error), error)
    }
}

impl From<ConfigError> for Refusal {
    fn from(error: ConfigError) -> Self {
        let message = error.to_string();
        match error {
            ConfigError::Change(error) => error.into(),
            ConfigError::Exists(_) => Self::new(StatusCode::CONFLICT, Failure::new("exists", message)),
            ConfigError::Store(source) => internal(&message, &source),
        }
    }
}

fn status_of_change(error: &ChangeError) -> StatusCode {
    match error {
        ChangeError::NoApp(_)
        | ChangeError::NoRelease { .. }
        | ChangeError::NoVariable { .. }
        | ChangeError::NoProcess { .. } => StatusCode::NOT_FOUND,
        ChangeError::External(_)
        | ChangeError::NeverDeployed(_)
        | ChangeError::NoneBefore(_)
        | ChangeError::Serves { .. }
        | ChangeError::NeverServed { .. } => StatusCode::CONFLICT,
        ChangeError::TooMuch { .. } => StatusCode::BAD_REQUEST,
    }
}

impl From<ImageError> for Failure {
    fn from(error: ImageError) -> Self {
        let message = error.to_string();
        match error {
            ImageError::Engine(source) => source.into(),
            ImageError::Missing(_) => Self::new("image-missing", message),
            ImageError::NotFetched { source, .. } => Self::new("image-missing", message)
                .caused_by(source.to_string())
                .hinted("check its name, or build it on this engine first"),
            ImageError::Closure(_) | ImageError::Context(_) => *internal(&message, &error).failure,
        }
    }
}

impl From<EngineError> for Failure {
    fn from(error: EngineError) -> Self {
        let message = error.to_string();
        match error {
            EngineError::Unreachable { .. } => Self::new("engine-unreachable", message)
                .hinted("what runs goes on to serve; `minipaas doctor` looks into it"),
            EngineError::Forbidden { .. } => Self::new("engine-unreachable", message)
                .hinted("add the daemon's user to the `docker` group, log in again, and restart the daemon"),
            EngineError::DiskFull { .. } => Self::new("disk-full", message)
                .hinted("`docker system df` tells what uses it; nothing of the old release was touched"),
            EngineError::BuildFailed { .. } => Self::new("build-failed", message),
            EngineError::NotPushed { reference, refusal, .. } => {
                not_pushed(Self::new("not-pushed", message), &reference, refusal)
            }
            EngineError::NotFound { .. } => Self::new("image-missing", message),
            EngineError::Refused { .. } => Self::new("engine-refused", message),
            EngineError::Context(source) => Self::new("build-failed", message).caused_by(source.to_string()),
        }
    }
}

fn not_pushed(failure: Failure, reference: &str, refusal: PushRefusal) -> Failure {
    let host = reference.split('/').next().unwrap_or(reference);
    match refusal {
        PushRefusal::Unauthorized => failure
            .hinted(format!("`docker login {host}` on this machine, as somebody who may push there")),
        PushRefusal::PlainHttp => failure.hinted(format!(
            "the registry has no https: add \"{host}\" to `insecure-registries` in the engine's `/etc/docker/daemon.json` and reload it; \
             the cluster's nodes need the same"
        )),
        PushRefusal::Untrusted => failure.hinted(format!(
            "put its CA at `/etc/docker/certs.d/{host}/ca.crt` on the engine's machine; the cluster's nodes need it, too"
        )),
        PushRefusal::Unreachable => {
            failure.hinted(format!("the engine's machine, not this one, has to reach `{host}`"))
        }
        PushRefusal::Other => failure,
    }
}

fn of_conflict(conflict: &Conflict) -> Failure {
    if conflict.owner == AppName::of_the_box() {
        return Failure::new("conflict", conflict.to_string())
            .hinted("choose another host for the app, or another one for the box: its setting `host`");
    }
    Failure::new("conflict", conflict.to_string())
        .hinted(format!("take the route out of one of the two, or `minipaas down {}`", conflict.owner))
}

pub(super) fn internal(message: &str, error: &dyn std::error::Error) -> Refusal {
    let mut failure = Failure::new("internal", message);
    let mut cause = error.source();
    while let Some(error) = cause {
        failure = failure.caused_by(error.to_string());
        cause = error.source();
    }
    Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, failure)
}
