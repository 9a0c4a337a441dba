//! The composition root: settings in, a running daemon out.
//!
//! Order matters twice. At the start whatever lets traffic flow comes first: the store, the last route table, the listeners;
//! only then is the engine asked for anything, so a restarted daemon serves while Docker still thinks. At the end the doors
//! close from the outside in: no new command, no new connection, what is in flight finishes within a grace, the store is
//! closed. Containers keep running.

mod bridge;
mod certificates;
mod door;
mod hosts;
mod listen;
mod tls;
mod traffic;

use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use std::{fs, io};

use futures_util::FutureExt;
use tokio::net::UnixListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use self::certificates::Daemon;
use self::tls::Tls;
use crate::answers::Answers;
use crate::api::server::{Api, Facts, Recordings};
use crate::autoscale::{self, Autoscaler};
use crate::builder::image::Images;
use crate::certs::{self, Certs};
use crate::clock::WallClock;
use crate::config::ServerConfig;
use crate::controller::{Controller, Parts, View, last_table};
use crate::cron::{Jobs, OneOffRunner};
use crate::engine::docker::{DockerEngine, Endpoint, find_endpoints};
use crate::engine::lazy::LazyEngine;
use crate::engine::{Engine, EngineError};
use crate::events::Journal;
use crate::external::{Surroundings, SystemResolver};
use crate::hooks::{self, HookError, Hooks};
use crate::instance::{self, Machinery};
use crate::logs::{Collector, DrainError, Drains, EngineContainers, Logs};
use crate::name::{BoxId, InstanceId};
use crate::oneoff::Runs;
use crate::people::{People, PeopleError};
use crate::port::{ListenError, listen_at};
use crate::probe::NetworkProber;
use crate::proxy::Http3Error;
use crate::rollout::{self, Deps};
use crate::seal::SealError;
use crate::store::{Store, StoreError};
use crate::tls::{CaError, VaultError};
use crate::traffic::Routes;

pub use self::certificates::CertificatesError;

/// How long requests that are in flight may take when the daemon ends.
const FINISH_GRACE: Duration = Duration::from_secs(30);
/// How long the engine may take to remove a network when the daemon ends.
const LEAVE_TIME_MAX: Duration = Duration::from_secs(5);
/// Only the owner and the group may look into the home; keys in it have narrower modes still.
const HOME_MODE: u32 = 0o750;
/// Only the owner and the group may talk to the daemon.
const SOCKET_MODE: u32 = 0o660;

/// Why the daemon does not start.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The state cannot be opened.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// There is no key of the box.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// There is no local CA.
    #[error("cannot open the local CA")]
    Ca(#[from] CaError),
    /// The kept certificates cannot be opened.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// A port cannot be had.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// There can be no HTTP/3 on its port.
    #[error("cannot serve HTTP/3")]
    Http3(#[from] Http3Error),
    /// The home or the socket in it cannot be made.
    #[error("cannot {action} `{}`", path.display())]
    Path {
        /// What was being done.
        action: &'static str,
        /// To what.
        path: PathBuf,
        /// The system's word.
        #[source]
        source: io::Error,
    },
    /// The access log cannot be opened.
    #[error("cannot open the access log{}", path.as_ref().map(|path| format!(" `{}`", path.display())).unwrap_or_default())]
    AccessLog {
        /// Its file, if it is one.
        path: Option<PathBuf>,
        /// The system's word.
        #[source]
        source: io::Error,
    },
    /// Nobody can be asked for certificates.
    #[error("cannot order certificates")]
    Certificates(#[from] CertificatesError),
    /// The webhooks cannot be taken up.
    #[error("cannot take up the webhooks")]
    Hooks(#[from] HookError),
    /// Nothing can be handed on to log servers.
    #[error("cannot open the drains")]
    Drains(#[from] DrainError),
    /// Who may use the box cannot be kept.
    #[error(transparent)]
    People(#[from] PeopleError),
    /// Signals cannot be heard.
    #[error("cannot listen for signals")]
    Signals(#[source] io::Error),
}

/// Runs the daemon until SIGTERM or SIGINT.
///
/// # Errors
///
/// When it cannot start. What goes wrong later is logged and does not end it.
pub async fn run(
    config: ServerConfig,
    env: impl Fn(&str) -> Option<String> + Sync,
) -> Result<(), ServerError> {
    let mut terminate = signal(SignalKind::terminate()).map_err(ServerError::Signals)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(ServerError::Signals)?;
    make_home(&config.home)?;
    let store = Store::open(&config.home)?;
    #[cfg(feature = "testing")]
    if let Some(moment) = env("MINIPAAS_HALT_AT") {
        store.halt_at(&moment);
    }

    let journal = Journal::start(store.clone()).await?;
    let key = tls::box_key(&config.home)?;
    let store = store.sealed_with(key.clone());
    let (door, own) = door::open(&config.host)?;
    let routes = Routes::with_sticky_key(store.sticky_key(&key)?).with_own(own);
    if let Some(table) = store.route_table()? {
        routes.publish(last_table(&store.snapshot().await?, &table, &config.domain));
    }
    let listeners = listen::listen(&config.http, &config.https, env("LISTEN_FDNAMES").as_deref()).await?;
    let metrics = config.metrics.as_ref().map(|metrics| listen_at(&metrics.attempts())).transpose()?;
    let logs = Logs::open(config.home.join("logs"), config.log_budget);
    let log = traffic::access_log(&config, &routes, logs.sink())?;
    let plain = CancellationToken::new();
    let drains = Drains::open(logs.clone(), store.clone(), key.clone()).await?;
    let (demand, demanded) = certs::demand();
    let tls = Tls::open(&config, key.clone(), &routes, demand)?;
    let proxy =
        traffic::serve(&config, &routes, &tls, listeners.http.1, listeners.https, log.clone(), &plain)?;
    tracing::info!(http = %listeners.http.0, https = %proxy.https, http3 = config.http3, domain = config.domain, "serving");

    tokio::spawn(bridge::run(routes.clone(), proxy.proxy.clone(), listeners.http.0, plain.clone()));

    let user_home = env("HOME").map_or_else(|| PathBuf::from("/"), PathBuf::from);
    let (engine, collector) = engine(store.box_id().clone(), find_endpoints(&env, &user_home), &logs);
    let doors = CancellationToken::new();
    let own = Arc::new([listeners.http.0, proxy.https]);
    let surroundings = Surroundings { resolver: Arc::new(SystemResolver), own };
    let ids: Arc<dyn Fn() -> InstanceId + Send + Sync> =
        Arc::new(|| InstanceId::from_bits(crate::random::bits()));
    let runs = Runs::new(Arc::clone(&engine), Arc::clone(&ids), listeners.http.0.port());
    let deps = |changes, requests| Deps {
        machinery: Machinery {
            engine: Arc::clone(&engine),
            prober: Arc::new(NetworkProber::new(Arc::clone(&engine))),
            changes,
            logs: logs.sink().clone(),
            http_port: listeners.http.0.port(),
        },
        store: store.clone(),
        runs: runs.clone(),
        routes: routes.clone(),
        ids,
        requests,
        reporter: journal.reporter(),
    };
    let controller = start_controller(&config, deps, surroundings.clone(), &doors).await?;
    let people = People::open(&store).await?;
    people.keep_apps(&controller.view().apps.iter().map(|app| app.name.clone()).collect()).await?;
    let facts = Facts {
        box_id: store.box_id().to_string(),
        domain: config.domain.clone(),
        http: listeners.http.0,
        https: proxy.https,
        ca_pem: tls.ca.certificate_pem().to_owned(),
        url: door::url(&config.host, proxy.https.port()),
        ca_pin: door::ca_pin(&config, tls.ca.certificate_pem()),
    };
    let parts = certificates::parts(&Daemon {
        config: &config,
        store: &store,
        tls: &tls,
        routes: &routes,
        reporter: journal.reporter(),
        http_port: listeners.http.0.port(),
        env: &env,
    })?;
    let certs = Certs::start(parts, demanded, doors.clone()).await?;
    let autoscaler = Autoscaler::start(
        controller.clone(),
        Arc::clone(&engine),
        routes.clone(),
        autoscale_interval(&env),
        doors.clone(),
    );
    let runner = Arc::new(OneOffRunner::new(controller.clone(), runs.clone()));
    let clock: WallClock = Arc::new(SystemTime::now);
    let jobs = Jobs::start(controller.clone(), store.clone(), runner, clock, doors.clone()).await?;
    let images = Images::new(Arc::clone(&engine), store.box_id().clone());
    let hooks = Hooks::start(hooks::Parts {
        store: store.clone(),
        key: key.clone(),
        journal: journal.clone(),
        retry: retry(&env),
        box_id: facts.box_id.clone(),
        https_port: proxy.https.port(),
    })
    .await?;
    let views = controller.watch();
    let api = Api {
        controller,
        images,
        engine: Arc::clone(&engine),
        runs: runs.clone(),
        logs: logs.clone(),
        drains,
        certs: certs.clone(),
        routes: routes.clone(),
        surroundings,
        people,
        autoscaler,
        jobs,
        journal,
        hooks,
        answers: Answers::new(store.clone(), key),
        recordings: Recordings::default(),
        facts: Arc::new(facts),
    };
    let socket = config.socket_path();
    let listener = bind_socket(&socket)?;
    let commands = CancellationToken::new();
    let served = tokio::spawn(crate::api::server::serve(api, listener, door, commands.clone()));
    if let Some((addr, listener)) = metrics {
        tracing::info!(%addr, "metrics");
        tokio::spawn(crate::api::server::serve_metrics(
            routes.clone(),
            certs.clone(),
            listener,
            commands.clone(),
        ));
    }
    notify(&[sd_notify::NotifyState::Ready]);

    tokio::select! {
        _ = terminate.recv() => tracing::info!("asked to stop"),
        _ = interrupt.recv() => tracing::info!("interrupted"),
    }
    notify(&[sd_notify::NotifyState::Stopping]);
    commands.cancel();
    doors.cancel();
    plain.cancel();
    proxy.proxy.finish(FINISH_GRACE).await;
    if let Some(log) = log {
        log.finish().await;
    }
    certs.ended().await;
    runs.finish().await;
    let view = Arc::clone(&views.borrow());
    leave_engine(engine.as_ref(), &view).await;
    collector.stop();
    logs.sink().finish().await;
    // Streams of clients that wait for a deploy end with the controller; one that reads nothing must not keep us.
    served.abort();
    let _ = fs::remove_file(&socket);
    tracing::info!("stopped");
    Ok(())
}

/// Removes our network from an engine that nothing of ours is left on. A container that is made later makes it anew.
async fn leave_engine(engine: &dyn Engine, view: &View) {
    if !view.engine.is_recovered || !view.apps.is_empty() {
        return;
    }
    match tokio::time::timeout(LEAVE_TIME_MAX, engine.remove_network()).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "the network stays"),
        Err(_) => tracing::debug!("the network stays: the engine takes too long"),
    }
}

/// Between two decisions of the autoscaler; tests have no time for its own pace.
fn autoscale_interval(_env: &(impl Fn(&str) -> Option<String> + Sync)) -> Duration {
    #[cfg(feature = "testing")]
    if let Some(millis) = _env("MINIPAAS_AUTOSCALE_MILLIS").and_then(|millis| millis.parse().ok()) {
        return Duration::from_millis(millis);
    }
    autoscale::INTERVAL
}

async fn start_controller(
    config: &ServerConfig,
    deps: impl FnOnce(instance::Changes, mpsc::UnboundedSender<rollout::Request>) -> Deps,
    surroundings: Surroundings,
    shutdown: &CancellationToken,
) -> Result<Controller, StoreError> {
    let (changes_tx, changes) = mpsc::unbounded_channel();
    let (requests_tx, requests) = mpsc::unbounded_channel();
    let deps = deps(changes_tx, requests_tx);
    let parts = Parts { deps, requests, changes, domain: config.domain.clone(), surroundings };
    Controller::start(parts, shutdown.clone()).await
}

/// Whichever engine answers first among the places where one may be, looked for anew whenever it was away; and what follows
/// the logs of its containers.
fn engine(owner: BoxId, endpoints: Vec<Endpoint>, logs: &Logs) -> (Arc<dyn Engine>, Collector) {
    let lazy = Arc::new(LazyEngine::new(move || {
        let (owner, endpoints) = (owner.clone(), endpoints.clone());
        async move {
            let engine = DockerEngine::connect_first(&owner, &endpoints).await?;
            Ok::<Arc<dyn Engine>, EngineError>(Arc::new(engine))
        }
        .boxed()
    }));
    let engine: Arc<dyn Engine> = lazy.clone();
    let collector = Collector::new(logs.clone(), Arc::new(EngineContainers(Arc::downgrade(&engine))));
    lazy.observe(Arc::new(collector.clone()));
    (engine, collector)
}

/// When webhooks try again. A test has no hours.
#[cfg(feature = "testing")]
fn retry(env: &impl Fn(&str) -> Option<String>) -> hooks::Retry {
    let first =
        env("MINIPAAS_HOOK_RETRY_MS").and_then(|millis| millis.parse().ok()).map(Duration::from_millis);
    let default = hooks::Retry::default();
    first.map_or(default, |first| hooks::Retry { first, pause_max: first, ..default })
}

#[cfg(not(feature = "testing"))]
fn retry(_env: &impl Fn(&str) -> Option<String>) -> hooks::Retry {
    hooks::Retry::default()
}

fn make_home(home: &Path) -> Result<(), ServerError> {
    let failed = |action| move |source| ServerError::Path { action, path: home.to_owned(), source };
    if home.is_dir() {
        return Ok(());
    }
    fs::DirBuilder::new().recursive(true).mode(HOME_MODE).create(home).map_err(failed("make"))
}

fn bind_socket(path: &Path) -> Result<UnixListener, ServerError> {
    let failed = |action| move |source| ServerError::Path { action, path: path.to_owned(), source };
    // We hold the home's lock, so whoever made this socket is gone.
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed("replace")(error)),
        _ => {}
    }
    let listener = UnixListener::bind(path).map_err(failed("listen on"))?;
    fs::set_permissions(path, fs::Permissions::from_mode(SOCKET_MODE)).map_err(failed("restrict"))?;
    Ok(listener)
}

fn notify(states: &[sd_notify::NotifyState<'_>]) {
    // Where systemd did not start us there is nobody to tell.
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!(%error, "cannot notify systemd");
    }
}
