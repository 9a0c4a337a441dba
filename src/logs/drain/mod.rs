//! Drains: an app's stream, handed on to somebody else's log server.
//!
//! A drain is a URL, which may hold a password and is therefore kept sealed. Each has a task of its own (`task`) with a place
//! in the app's journal, so that one that takes nothing holds up nothing: not the app, not the stream, not another drain.
//!
//! ```text
//! syslog://HOST[:514]         a datagram a line, RFC 5424
//! syslog+tcp://HOST[:514]     the same with octet counts, RFC 6587
//! syslog+tls://HOST[:6514]    inside TLS, whose certificate the machine must trust
//! http://…  https://…         POST of `application/logplex-1`, as Heroku's https drains: the same frames, many a request
//! ```

mod address;
mod connection;
mod frame;
mod task;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustls::ClientConfig;
use tokio_util::task::AbortOnDropHandle;

use self::connection::Connection;
use self::task::Task;
use super::{Logs, blocking};
use crate::clock;
use crate::name::AppName;
use crate::seal::BoxKey;
use crate::store::{DrainRecord, Store, StoreError};
use crate::web::{self, WebError};

pub use self::address::{DrainUrl, NoDrainUrl, Transport};
pub use self::task::DrainStatus;

/// Drains that an app has at most.
pub const DRAINS_MAX: usize = 10;

/// The drains of all apps; clones are handles on the same ones. Dropping the last one ends them.
#[derive(Clone)]
pub struct Drains(Arc<Inner>);

struct Inner {
    logs: Logs,
    store: Store,
    key: BoxKey,
    web: web::Client,
    tls: Arc<ClientConfig>,
    open: Mutex<BTreeMap<AppName, Vec<Drain>>>,
    /// Held over a change, so that two at a time do not make more than there may be.
    changing: tokio::sync::Mutex<()>,
}

struct Drain {
    id: String,
    url: DrainUrl,
    created_at: u64,
    status: Arc<Mutex<DrainStatus>>,
    _task: AbortOnDropHandle<()>,
}

/// A drain, as it is shown: without what is secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DrainView {
    /// Its id: eight hexadecimal digits.
    pub id: String,
    /// Where it leads.
    pub url: String,
    /// When it was made, in milliseconds since the Unix epoch.
    pub created_at: u64,
    /// How it does.
    pub status: DrainStatus,
}

/// Why drains were not opened, or not changed.
#[derive(Debug, thiserror::Error)]
pub enum DrainError {
    /// The store did not do it.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// There is no client for https.
    #[error("cannot speak https with log servers")]
    Web(#[source] WebError),
    /// There is one that leads there.
    #[error("`{app}` has a drain to {url} already")]
    Twice {
        /// The app.
        app: AppName,
        /// Where it leads, without what is secret.
        url: String,
    },
    /// There are enough.
    #[error("`{0}` has {DRAINS_MAX} drains already, which is as many as there may be")]
    Many(AppName),
    /// There is none.
    #[error("`{app}` has no drain `{which}`")]
    Unknown {
        /// The app.
        app: AppName,
        /// The id or URL that was given, without what is secret.
        which: String,
    },
}

impl Drains {
    /// Opens those that the store has, each where it stopped before.
    ///
    /// # Errors
    ///
    /// When the store cannot be read, or a root that the machine trusts is none.
    pub async fn open(logs: Logs, store: Store, key: BoxKey) -> Result<Self, DrainError> {
        let web = web::Client::new(&web::Settings::default()).map_err(DrainError::Web)?;
        let tls = blocking(connection::tls_config).await;
        let records = store.drains().await?;
        let open = Mutex::default();
        let drains = Self(Arc::new(Inner {
            logs,
            store,
            key,
            web,
            tls,
            open,
            changing: tokio::sync::Mutex::default(),
        }));
        for record in records {
            let opened = drains.0.key.open(&sealed_as(&record.app, &record.id), &record.url).ok();
            let url = opened.and_then(|bytes| std::str::from_utf8(&bytes).ok()?.parse().ok());
            match url {
                Some(url) => drains.begin(&record, url),
                None => {
                    tracing::error!(app = %record.app, drain = record.id, "a drain cannot be opened with this box's key");
                }
            }
        }
        Ok(drains)
    }

    /// The app's, the oldest first.
    #[must_use]
    pub fn of(&self, app: &AppName) -> Vec<DrainView> {
        self.opened().get(app).into_iter().flatten().map(Drain::view).collect()
    }

    /// Makes one, which begins with the next line.
    ///
    /// # Errors
    ///
    /// When there is one like it, or there are too many, or it cannot be stored.
    pub async fn add(&self, app: &AppName, url: DrainUrl) -> Result<DrainView, DrainError> {
        let _changing = self.0.changing.lock().await;
        {
            let opened = self.opened();
            let known = opened.get(app).map_or(&[][..], Vec::as_slice);
            if known.iter().any(|drain| drain.url == url) {
                return Err(DrainError::Twice { app: app.clone(), url: url.to_string() });
            }
            if known.len() >= DRAINS_MAX {
                return Err(DrainError::Many(app.clone()));
            }
        }
        let id = format!("{:08x}", crate::random::bits());
        let sealed = self.0.key.seal(&sealed_as(app, &id), url.secret().as_bytes());
        let record = DrainRecord { id: id.clone(), app: app.clone(), url: sealed, created_at: clock::now() };
        self.0.store.save_drain(&record).await?;
        self.begin(&record, url);
        let made = self.of(app).into_iter().find(|drain| drain.id == id);
        Ok(made.expect("it was just opened, and changes are made one after the other"))
    }

    /// Ends and forgets the one of this id or URL.
    ///
    /// # Errors
    ///
    /// When there is none, or the store does not forget it.
    pub async fn remove(&self, app: &AppName, which: &str) -> Result<(), DrainError> {
        let _changing = self.0.changing.lock().await;
        let url = which.parse::<DrainUrl>().ok();
        let is_meant = |drain: &Drain| drain.id == which || url.as_ref() == Some(&drain.url);
        let found = self
            .opened()
            .get(app)
            .into_iter()
            .flatten()
            .find(|drain| is_meant(drain))
            .map(|drain| drain.id.clone());
        let Some(id) = found else {
            // A URL that was mistyped may hold a password.
            let which = url.map_or_else(
                || crate::plain::plain(which.split("://").next().unwrap_or(""), 64),
                |url| url.to_string(),
            );
            return Err(DrainError::Unknown { app: app.clone(), which });
        };
        self.end(app, &id).await
    }

    /// Ends and forgets all of an app that is removed.
    ///
    /// # Errors
    ///
    /// When the store does not forget them.
    pub async fn forget(&self, app: &AppName) -> Result<(), DrainError> {
        let _changing = self.0.changing.lock().await;
        for drain in self.of(app) {
            self.end(app, &drain.id).await?;
        }
        Ok(())
    }

    async fn end(&self, app: &AppName, id: &str) -> Result<(), DrainError> {
        self.0.store.remove_drain(app, id).await?;
        if let Some(drains) = self.opened().get_mut(app) {
            drains.retain(|drain| drain.id != id);
        }
        let place = self.place(app, id);
        // One that is left costs a few bytes.
        let _ = blocking(move || std::fs::remove_file(place)).await;
        Ok(())
    }

    fn begin(&self, record: &DrainRecord, url: DrainUrl) {
        let (app, id) = (record.app.clone(), record.id.clone());
        let status = Arc::new(Mutex::default());
        let connection = Connection::new(
            app.clone(),
            id.clone(),
            url.clone(),
            self.0.web.clone(),
            Arc::clone(&self.0.tls),
        );
        let task = Task {
            app: app.clone(),
            journal: self.0.logs.journal.clone(),
            connection,
            status: Arc::clone(&status),
            place: self.place(&app, &id),
        };
        let task = AbortOnDropHandle::new(tokio::spawn(task.run()));
        let drain = Drain { id, url, created_at: record.created_at, status, _task: task };
        self.opened().entry(app).or_default().push(drain);
    }

    fn place(&self, app: &AppName, id: &str) -> PathBuf {
        self.0.logs.journal.dir(app).join(format!("drain-{id}"))
    }

    fn opened(&self) -> MutexGuard<'_, BTreeMap<AppName, Vec<Drain>>> {
        self.0.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drain {
    fn view(&self) -> DrainView {
        DrainView {
            id: self.id.clone(),
            url: self.url.to_string(),
            created_at: self.created_at,
            status: self.status.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        }
    }
}

/// So that no URL can be put in another's place.
fn sealed_as(app: &AppName, id: &str) -> String {
    format!("drain {app}/{id}")
}

#[cfg(test)]
mod tests;
