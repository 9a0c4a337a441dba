//! Records as they lie on disk: JSON, each with the version of its form.
//!
//! A form that changes gets the next version, and the old one stays readable: `tests/fixtures/store/` holds a record of
//! every version there was.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::callers::{self, CallersForm};
use super::domains::{self, DomainForm};
use super::environment;
use super::external::{self, ExternalForm};
use super::formation::{self, FormationForm};
use super::settings::{self, OverridesForm};
use super::traffic::{self, ModeForm, ShareForm};
use super::{AppRecord, StoreError};
use crate::manifest::{Bytes, MilliCpu, ProbeKind, ProbeSetting, ProbeSettings, Source};
use crate::name::{AppName, BoxId, ReleaseId};
use crate::people::Actor;
use crate::release::{Build, ProcessLimits, Release, ReleaseState, Revision};
use crate::rollout::{Phase, RolloutRecord};
use crate::route::{Mode, PortRoute, Route, RouteTable, Upstream};
use crate::seal::BoxKey;

/// The version of every form today.
const VERSION: u32 = 1;

#[derive(Serialize, Deserialize)]
struct Versioned<T> {
    version: u32,
    #[serde(flatten)]
    record: T,
}

#[derive(Serialize, Deserialize)]
struct BoxForm {
    id: String,
}

#[derive(Serialize, Deserialize)]
struct AppForm {
    name: String,
    current: Option<u64>,
    last: Option<u64>,
    origin: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    traffic: Option<ModeForm>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    canary: Option<ShareForm>,
    /// Only of apps that are only routes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    external: Option<ExternalForm>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    proxy: Option<OverridesForm>,
    /// Sealed, in base64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    staged: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    domains: Vec<DomainForm>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    formation: Option<FormationForm>,
}

#[derive(Serialize, Deserialize)]
struct RemovedForm {
    name: String,
    last: u64,
}

#[derive(Serialize, Deserialize)]
struct ReleaseForm {
    app: String,
    id: u64,
    build: BuildForm,
    manifest: Option<String>,
    procfile: Option<String>,
    /// The files that the manifest names; there were none before there were pages.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    files: BTreeMap<String, String>,
    created_at: u64,
    state: StateForm,
    failure: Option<String>,
    /// Sealed, in base64; releases of the first days have none, nor what follows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    environment: Option<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    limits: BTreeMap<String, LimitsForm>,
    /// Process type to kind to words; there were none before commands could set probes.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    probes: BTreeMap<String, BTreeMap<String, String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    by: Option<String>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    summary: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    revision: Option<RevisionForm>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    copy_of: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    settled_at: Option<u64>,
}

#[derive(Serialize, Deserialize)]
struct LimitsForm {
    /// Bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    memory: Option<u64>,
    /// Thousandths of a core.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cpu: Option<u32>,
}

#[derive(Serialize, Deserialize)]
struct RevisionForm {
    commit: String,
    subject: String,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    is_dirty: bool,
}

#[derive(Serialize, Deserialize)]
struct BuildForm {
    image: String,
    reference: String,
    content: Option<String>,
    exposed_ports: Vec<u16>,
    has_healthcheck: bool,
    has_command: bool,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum StateForm {
    Pending,
    Active,
    Superseded,
    Failed,
}

#[derive(Serialize, Deserialize)]
struct RolloutForm {
    app: String,
    release: u64,
    phase: String,
}

#[derive(Serialize, Deserialize)]
struct TableForm {
    generation: u64,
    routes: Vec<RouteForm>,
    /// Tables of the first days have none.
    #[serde(default)]
    ports: Vec<PortForm>,
    /// Likewise those from before apps called each other.
    #[serde(default)]
    callers: CallersForm,
}

#[derive(Serialize, Deserialize)]
struct PortForm {
    app: String,
    process: String,
    listen: u16,
    upstreams: Vec<UpstreamForm>,
}

#[derive(Serialize, Deserialize)]
struct RouteForm {
    app: String,
    process: String,
    host: String,
    path: String,
    strip_prefix: bool,
    upstreams: Vec<UpstreamForm>,
}

#[derive(Serialize, Deserialize)]
struct UpstreamForm {
    instance: String,
    slot: String,
    release: u64,
    addr: String,
}

pub(super) fn from_box_id(id: &BoxId) -> Vec<u8> {
    encode(&BoxForm { id: id.to_string() })
}

pub(super) fn box_id(key: &str, bytes: &[u8]) -> Result<BoxId, StoreError> {
    parse(key, &decode::<BoxForm>(key, bytes)?.id)
}

pub(super) fn from_app(app: &AppRecord, box_key: Option<&BoxKey>) -> Result<Vec<u8>, StoreError> {
    let what = staged_as(&app.name);
    Ok(encode(&AppForm {
        name: app.name.to_string(),
        current: app.current.map(ReleaseId::number),
        last: app.last.map(ReleaseId::number),
        origin: app.origin.clone(),
        traffic: traffic::from_mode(&app.mode),
        canary: app.canary.as_ref().map(traffic::from_share),
        external: app.external.as_ref().map(external::from_external),
        proxy: settings::from_overrides(&app.proxy),
        formation: formation::from_formation(&app.formation),
        domains: domains::from_domains(&app.domains),
        staged: environment::from_change(&what, &app.staged, box_key)?,
    }))
}

pub(super) fn app(key: &str, bytes: &[u8], box_key: Option<&BoxKey>) -> Result<AppRecord, StoreError> {
    let form: AppForm = decode(key, bytes)?;
    let name = parse(key, &form.name)?;
    Ok(AppRecord {
        staged: environment::change(&staged_as(&name), form.staged.as_deref(), box_key)?,
        name,
        current: form.current.and_then(ReleaseId::from_number),
        last: form.last.and_then(ReleaseId::from_number),
        origin: form.origin,
        mode: traffic::mode(key, form.traffic)?,
        canary: form.canary.map(|share| traffic::share(key, share)).transpose()?,
        external: form.external.map(|external| external::external(key, external)).transpose()?,
        proxy: Arc::new(settings::overrides(key, form.proxy)?),
        domains: domains::domains(key, form.domains)?,
        formation: formation::formation(key, form.formation)?,
    })
}

pub(super) fn from_removed(name: &AppName, last: ReleaseId) -> Vec<u8> {
    encode(&RemovedForm { name: name.to_string(), last: last.number() })
}

pub(super) fn removed(key: &str, bytes: &[u8]) -> Result<(AppName, ReleaseId), StoreError> {
    let form: RemovedForm = decode(key, bytes)?;
    Ok((parse(key, &form.name)?, parse(key, &form.last.to_string())?))
}

pub(super) fn from_release(release: &Release, box_key: Option<&BoxKey>) -> Result<Vec<u8>, StoreError> {
    let (state, failure) = match &release.state {
        ReleaseState::Pending => (StateForm::Pending, None),
        ReleaseState::Active => (StateForm::Active, None),
        ReleaseState::Superseded => (StateForm::Superseded, None),
        ReleaseState::Failed { reason } => (StateForm::Failed, Some(reason.clone())),
    };
    let build = &release.build;
    let limits = |limits: &ProcessLimits| LimitsForm {
        memory: limits.memory.map(|bytes| bytes.0),
        cpu: limits.cpu.map(|milli| milli.0),
    };
    let revision = |revision: &Revision| RevisionForm {
        commit: revision.commit.clone(),
        subject: revision.subject.clone(),
        is_dirty: revision.is_dirty,
    };
    let what = environment_as(&release.app, release.id);
    Ok(encode(&ReleaseForm {
        app: release.app.to_string(),
        id: release.id.number(),
        build: BuildForm {
            image: build.image.clone(),
            reference: build.reference.clone(),
            content: build.content.clone(),
            exposed_ports: build.exposed_ports.clone(),
            has_healthcheck: build.has_healthcheck,
            has_command: build.has_command,
        },
        manifest: release.source.toml.clone(),
        procfile: release.source.procfile.clone(),
        files: release.source.files.clone(),
        created_at: release.created_at,
        state,
        failure,
        environment: environment::from_environment(&what, &release.environment, box_key)?,
        limits: release.limits.iter().map(|(name, found)| (name.to_string(), limits(found))).collect(),
        probes: release.probes.iter().map(|(name, found)| (name.to_string(), from_probes(found))).collect(),
        by: Some(release.by.to_string()),
        summary: release.summary.clone(),
        revision: release.revision.as_ref().map(revision),
        copy_of: release.copy_of.map(ReleaseId::number),
        settled_at: release.settled_at,
    }))
}

pub(super) fn release(key: &str, bytes: &[u8], box_key: Option<&BoxKey>) -> Result<Release, StoreError> {
    let form: ReleaseForm = decode(key, bytes)?;
    let state = match form.state {
        StateForm::Pending => ReleaseState::Pending,
        StateForm::Active => ReleaseState::Active,
        StateForm::Superseded => ReleaseState::Superseded,
        StateForm::Failed => ReleaseState::Failed { reason: form.failure.unwrap_or_default() },
    };
    let (app, id) = (parse(key, &form.app)?, parse(key, &form.id.to_string())?);
    let what = environment_as(&app, id);
    let limits = |(name, form): (String, LimitsForm)| {
        let limits = ProcessLimits { memory: form.memory.map(Bytes), cpu: form.cpu.map(MilliCpu) };
        Ok((parse(key, &name)?, limits))
    };
    let revision =
        |form: RevisionForm| Revision { commit: form.commit, subject: form.subject, is_dirty: form.is_dirty };
    Ok(Release {
        app,
        id,
        build: Build {
            image: form.build.image,
            reference: form.build.reference,
            content: form.build.content,
            exposed_ports: form.build.exposed_ports,
            has_healthcheck: form.build.has_healthcheck,
            has_command: form.build.has_command,
        },
        source: Source { toml: form.manifest, procfile: form.procfile, files: form.files },
        environment: Arc::new(environment::environment(&what, form.environment.as_deref(), box_key)?),
        limits: form.limits.into_iter().map(limits).collect::<Result<_, StoreError>>()?,
        probes: form
            .probes
            .into_iter()
            .map(|(name, form)| Ok((parse(key, &name)?, probes(key, &form)?)))
            .collect::<Result<_, StoreError>>()?,
        by: form.by.map_or_else(Actor::unknown, Actor::named),
        summary: form.summary,
        revision: form.revision.map(revision),
        copy_of: form.copy_of.and_then(ReleaseId::from_number),
        created_at: form.created_at,
        settled_at: form.settled_at,
        state,
    })
}

fn from_probes(settings: &ProbeSettings) -> BTreeMap<String, String> {
    settings.iter().map(|(kind, setting)| (kind.to_string(), setting.text().to_owned())).collect()
}

fn probes(key: &str, form: &BTreeMap<String, String>) -> Result<ProbeSettings, StoreError> {
    let probe = |(kind, text): (&String, &String)| {
        let kind: ProbeKind = parse(key, kind)?;
        let failed = |reason| StoreError::Record { key: key.to_owned(), reason };
        Ok((kind, ProbeSetting::parse(kind, text).map_err(failed)?))
    };
    form.iter().map(probe).collect()
}

/// What the variables are sealed as that an app's next release will have.
fn staged_as(app: &AppName) -> String {
    format!("staged config of {app}")
}

/// What the variables of a release are sealed as.
fn environment_as(app: &AppName, release: ReleaseId) -> String {
    format!("config of {app} {release}")
}

pub(super) fn from_rollout(rollout: &RolloutRecord) -> Vec<u8> {
    encode(&RolloutForm {
        app: rollout.app.to_string(),
        release: rollout.release.number(),
        phase: rollout.phase.as_str().to_owned(),
    })
}

pub(super) fn rollout(key: &str, bytes: &[u8]) -> Result<RolloutRecord, StoreError> {
    let form: RolloutForm = decode(key, bytes)?;
    let unknown =
        || StoreError::Record { key: key.to_owned(), reason: format!("unknown phase `{}`", form.phase) };
    Ok(RolloutRecord {
        app: parse(key, &form.app)?,
        release: parse(key, &form.release.to_string())?,
        phase: Phase::from_name(&form.phase).ok_or_else(unknown)?,
    })
}

pub(super) fn from_table(table: &RouteTable) -> Vec<u8> {
    let routes = table
        .routes()
        .iter()
        // The box's own are made anew at each start: their upstreams are not there any more.
        .filter(|route| route.app != AppName::of_the_box())
        .map(|route| RouteForm {
            app: route.app.to_string(),
            process: route.process.to_string(),
            host: route.host.to_string(),
            path: route.path.to_string(),
            strip_prefix: route.strip_prefix,
            upstreams: from_upstreams(&route.upstreams),
        })
        .collect();
    let ports = table
        .ports()
        .iter()
        .map(|port| PortForm {
            app: port.app.to_string(),
            process: port.process.to_string(),
            listen: port.listen,
            upstreams: from_upstreams(&port.upstreams),
        })
        .collect();
    let callers = callers::from_callers(table.callers());
    encode(&TableForm { generation: table.generation(), routes, ports, callers })
}

fn from_upstreams(upstreams: &[Upstream]) -> Vec<UpstreamForm> {
    upstreams
        .iter()
        .map(|upstream| UpstreamForm {
            instance: upstream.instance.to_string(),
            slot: upstream.slot.to_string(),
            release: upstream.release.number(),
            addr: upstream.addr.to_string(),
        })
        .collect()
}

pub(super) fn table(key: &str, bytes: &[u8]) -> Result<RouteTable, StoreError> {
    let form: TableForm = decode(key, bytes)?;
    let routes = form.routes.into_iter().map(|route| self::route(key, route)).collect::<Result<_, _>>()?;
    let ports = form.ports.into_iter().map(|port| self::port(key, port)).collect::<Result<_, _>>()?;
    let callers = callers::callers(key, form.callers)?;
    Ok(RouteTable::new(form.generation, routes).with_ports(ports).with_callers(Arc::new(callers), ""))
}

/// What is not kept of it follows from the app's release.
fn port(key: &str, form: PortForm) -> Result<PortRoute, StoreError> {
    Ok(PortRoute {
        app: parse(key, &form.app)?,
        process: parse(key, &form.process)?,
        listen: form.listen,
        send_proxy: None,
        accept_proxy: false,
        drain: Duration::ZERO,
        is_held: false,
        upstreams: upstreams(key, form.upstreams)?,
    })
}

fn upstreams(key: &str, forms: Vec<UpstreamForm>) -> Result<Vec<Upstream>, StoreError> {
    let upstream = |form: UpstreamForm| {
        Ok(Upstream {
            instance: parse(key, &form.instance)?,
            slot: parse(key, &form.slot)?,
            release: parse(key, &form.release.to_string())?,
            addr: parse(key, &form.addr)?,
        })
    };
    forms.into_iter().map(upstream).collect()
}

fn route(key: &str, form: RouteForm) -> Result<Route, StoreError> {
    Ok(Route {
        app: parse(key, &form.app)?,
        process: parse(key, &form.process)?,
        host: parse(key, &form.host)?,
        path: parse(key, &form.path)?,
        strip_prefix: form.strip_prefix,
        policy: Arc::default(),
        mode: Mode::Open,
        canary: None,
        // A swap that a crash cut short holds requests again once it is resumed, not before.
        is_held: false,
        is_scaled_to_zero: false,
        upstreams: upstreams(key, form.upstreams)?,
    })
}

pub(super) fn encode<T: Serialize>(record: &T) -> Vec<u8> {
    serde_json::to_vec(&Versioned { version: VERSION, record })
        .expect("forms hold only strings, numbers and lists")
}

pub(super) fn decode<T: DeserializeOwned>(key: &str, bytes: &[u8]) -> Result<T, StoreError> {
    let failed = |reason: String| StoreError::Record { key: key.to_owned(), reason };
    let form: Versioned<serde_json::Value> =
        serde_json::from_slice(bytes).map_err(|error| failed(error.to_string()))?;
    if form.version != VERSION {
        return Err(failed(format!("it has version {}, which a newer minipaas wrote", form.version)));
    }
    serde_json::from_value(form.record).map_err(|error| failed(error.to_string()))
}

pub(super) fn parse<T: std::str::FromStr<Err: ToString>>(key: &str, text: &str) -> Result<T, StoreError> {
    text.parse()
        .map_err(|error: T::Err| StoreError::Record { key: key.to_owned(), reason: error.to_string() })
}
