//! The ledger of releases, and how far each rollout is.
//!
//! What a phase changes of several records is one batch. A phase is stored before its effect.

use super::apps::AppRecord;
use super::{Store, StoreError, record};
use crate::name::{AppName, ReleaseId};
use crate::release::{Release, ReleaseState};
use crate::rollout::{Phase, RolloutRecord};

impl Store {
    /// Notes that a release is about to be the app's canary, with the share of the requests that is in the app's record.
    ///
    /// # Errors
    ///
    /// When it cannot be written; the release must not get requests then.
    pub async fn begin_canary(&self, app: &AppRecord, release: ReleaseId) -> Result<(), StoreError> {
        let mut batch = sled::Batch::default();
        self.put_app(&mut batch, app)?;
        put_rollout(&mut batch, &RolloutRecord { app: app.name.clone(), release, phase: Phase::Canary });
        self.apply(batch).await?;
        self.halt(Phase::Canary.as_str()).await;
        Ok(())
    }

    /// Takes a switch back: `back` serves again, and `failed` never will.
    ///
    /// # Errors
    ///
    /// When it cannot be written; the failed one goes on serving then.
    pub async fn flip_back(
        &self,
        app: &AppRecord,
        back: &Release,
        failed: &Release,
    ) -> Result<(), StoreError> {
        let mut batch = sled::Batch::default();
        self.put_app(&mut batch, &AppRecord { current: Some(back.id), ..app.clone() })?;
        self.put_release(&mut batch, &Release { state: ReleaseState::Active, ..back.clone() })?;
        self.put_release(&mut batch, failed)?;
        batch.remove(rollout_key(&app.name, failed.id).as_bytes());
        self.apply(batch).await
    }

    /// Adds a release to its app's ledger, with its rollout about to enter this phase. The app is made with its first release.
    ///
    /// # Errors
    ///
    /// When it cannot be written; then nothing was.
    pub async fn append_release(
        &self,
        app: &AppRecord,
        release: &Release,
        phase: Phase,
    ) -> Result<(), StoreError> {
        let mut batch = sled::Batch::default();
        self.put_app(&mut batch, app)?;
        self.put_release(&mut batch, release)?;
        put_rollout(&mut batch, &RolloutRecord { app: app.name.clone(), release: release.id, phase });
        self.apply(batch).await?;
        self.halt(phase.as_str()).await;
        Ok(())
    }

    /// Notes the phase that a rollout is about to enter. A rollout that was ended meanwhile stays ended.
    ///
    /// # Errors
    ///
    /// When it cannot be written; the phase must not be entered then.
    pub async fn set_phase(&self, rollout: &RolloutRecord) -> Result<(), StoreError> {
        let key = rollout_key(&rollout.app, rollout.release);
        let bytes = record::from_rollout(rollout);
        self.blocking(move |store| {
            let failed = |error| store.failed("write", error);
            store.db.update_and_fetch(key, |old| old.map(|_| bytes.clone())).map_err(failed)?;
            store.db.flush().map_err(failed)?;
            Ok(())
        })
        .await?;
        self.halt(rollout.phase.as_str()).await;
        Ok(())
    }

    /// Makes `release` the one that serves, in one step with what that makes of the releases before.
    ///
    /// # Errors
    ///
    /// When it cannot be written; the old release serves then.
    pub async fn switch(
        &self,
        app: &AppRecord,
        release: &Release,
        before: Option<&Release>,
    ) -> Result<(), StoreError> {
        let mut batch = sled::Batch::default();
        self.put_app(&mut batch, &AppRecord { current: Some(release.id), ..app.clone() })?;
        self.put_release(&mut batch, &Release { state: ReleaseState::Active, ..release.clone() })?;
        if let Some(before) = before {
            self.put_release(&mut batch, &Release { state: ReleaseState::Superseded, ..before.clone() })?;
        }
        put_rollout(
            &mut batch,
            &RolloutRecord { app: app.name.clone(), release: release.id, phase: Phase::Switching },
        );
        self.apply(batch).await?;
        self.halt(Phase::Switching.as_str()).await;
        Ok(())
    }

    /// Ends the rollout of a release that serves, or served.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub async fn finish_rollout(&self, app: &AppName, release: ReleaseId) -> Result<(), StoreError> {
        let mut batch = sled::Batch::default();
        batch.remove(rollout_key(app, release).as_bytes());
        self.apply(batch).await
    }

    /// Ends the rollout of a release that never served, and keeps why.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub async fn fail_release(&self, release: &Release) -> Result<(), StoreError> {
        let mut batch = sled::Batch::default();
        self.put_release(&mut batch, release)?;
        batch.remove(rollout_key(&release.app, release.id).as_bytes());
        self.apply(batch).await
    }

    fn put_release(&self, batch: &mut sled::Batch, release: &Release) -> Result<(), StoreError> {
        // Padded, so that the order of the keys is that of the numbers.
        let key = format!("release/{}/{:012}", release.app, release.id.number());
        batch.insert(key.as_bytes(), record::from_release(release, self.key.as_ref())?);
        Ok(())
    }
}

fn put_rollout(batch: &mut sled::Batch, rollout: &RolloutRecord) {
    batch.insert(rollout_key(&rollout.app, rollout.release).as_bytes(), record::from_rollout(rollout));
}

fn rollout_key(app: &AppName, release: ReleaseId) -> String {
    format!("rollout/{app}/{:012}", release.number())
}
