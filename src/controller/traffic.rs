//! What an operator does to an app's traffic: maintenance, and pausing it.
//!
//! The wish is kept in the app's record before it is published, so that it outlives the daemon and every deploy.

use std::sync::Arc;
use std::time::Duration;

use super::task::Task;
use crate::name::AppName;
use crate::route::{Maintenance, Mode};
use crate::store::{AppRecord, StoreError};

/// What an operator wants of an app's traffic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TrafficChange {
    /// Requests are answered with 503 and a page, whatever the app was in before.
    Maintain(Arc<Maintenance>),
    /// They are not any more. An app that is paused stays so.
    EndMaintenance,
    /// Requests wait.
    Pause {
        /// For how long at most.
        wait: Duration,
    },
    /// They go on. An app that is in maintenance stays so.
    Resume,
}

/// Why an app's traffic is as it was.
#[derive(Debug, thiserror::Error)]
pub enum TrafficError {
    /// There is none of this name.
    #[error("there is no app `{0}`")]
    Unknown(AppName),
    /// It is in maintenance, so that nothing would wait.
    #[error("app `{0}` is in maintenance, and none of its requests would wait")]
    InMaintenance(AppName),
    /// It is to wait longer than clients do.
    #[error("requests wait {} at most, not {}", words(Mode::PAUSE_WAIT_MAX), words(*.0))]
    WaitTooLong(Duration),
    /// The state could not be written.
    #[error("the state of the app could not be stored")]
    Store(#[from] StoreError),
}

impl Task {
    /// Makes the change, stored first, and says what holds from then on. One that changes nothing is none.
    pub(super) async fn change_traffic(
        &mut self,
        name: &AppName,
        change: TrafficChange,
    ) -> Result<Mode, TrafficError> {
        let app = self.apps.get_mut(name).ok_or_else(|| TrafficError::Unknown(name.clone()))?;
        let mode = changed(name, &app.record.mode, change)?;
        if mode != app.record.mode {
            let record = AppRecord { mode: mode.clone(), ..app.record.clone() };
            self.deps.store.save_app(&record).await?;
            tracing::info!(app = %name, was = word(&app.record.mode), now = word(&mode), "traffic changed");
            app.record = record;
            self.publish().await;
        }
        Ok(mode)
    }
}

/// What the change makes of a mode.
fn changed(name: &AppName, mode: &Mode, change: TrafficChange) -> Result<Mode, TrafficError> {
    Ok(match (change, mode) {
        (TrafficChange::Maintain(maintenance), _) => Mode::Maintenance(maintenance),
        (TrafficChange::Pause { .. }, Mode::Maintenance(_)) => {
            return Err(TrafficError::InMaintenance(name.clone()));
        }
        (TrafficChange::Pause { wait }, _) if wait > Mode::PAUSE_WAIT_MAX => {
            return Err(TrafficError::WaitTooLong(wait));
        }
        (TrafficChange::Pause { wait }, _) => Mode::Paused { wait },
        (TrafficChange::EndMaintenance, Mode::Maintenance(_))
        | (TrafficChange::Resume, Mode::Paused { .. }) => Mode::Open,
        (TrafficChange::EndMaintenance | TrafficChange::Resume, mode) => mode.clone(),
    })
}

fn word(mode: &Mode) -> &'static str {
    match mode {
        Mode::Open => "open",
        Mode::Paused { .. } => "paused",
        Mode::Maintenance(_) => "maintenance",
    }
}

/// As people write it: whole seconds, or minutes.
fn words(duration: Duration) -> String {
    match duration.as_secs() {
        secs if secs >= 60 && secs.is_multiple_of(60) => format!("{}m", secs / 60),
        _ => format!("{duration:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(mode: &Mode, change: TrafficChange) -> Result<Mode, String> {
        changed(&"shop".parse().unwrap(), mode, change).map_err(|error| error.to_string())
    }

    #[test]
    fn each_end_ends_its_own_beginning_alone() {
        let closed = Mode::Maintenance(Arc::default());
        let paused = Mode::Paused { wait: Duration::from_secs(1) };
        assert_eq!(after(&closed, TrafficChange::EndMaintenance), Ok(Mode::Open));
        assert_eq!(after(&paused, TrafficChange::Resume), Ok(Mode::Open));
        assert_eq!(after(&closed, TrafficChange::Resume), Ok(closed.clone()));
        assert_eq!(after(&paused, TrafficChange::EndMaintenance), Ok(paused.clone()));
        assert_eq!(after(&paused, TrafficChange::Maintain(Arc::default())), Ok(closed));
    }

    #[test]
    fn what_cannot_be_paused_says_why() {
        let pause = |secs| TrafficChange::Pause { wait: Duration::from_secs(secs) };
        let closed = Mode::Maintenance(Arc::default());
        assert_eq!(
            after(&closed, pause(1)).unwrap_err(),
            "app `shop` is in maintenance, and none of its requests would wait"
        );
        assert_eq!(after(&Mode::Open, pause(301)).unwrap_err(), "requests wait 5m at most, not 301s");
        assert!(after(&Mode::Open, pause(300)).is_ok());
    }
}
