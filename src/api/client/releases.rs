//! Releases, config, limits and probes.

use http::{Method, header};

use super::query::query;
use super::{ANSWER_TIMEOUT, Client, ClientError, ProgressStream, WORK_TIMEOUT, empty, json};
use crate::api::{
    App, Config, ConfigRequest, HealthRequest, LimitsReply, LimitsRequest, PushRequest, Release, ReleaseInfo,
    ReleasesQuery, RollbackRequest,
};
use crate::name::{AppName, ReleaseId};

/// What becomes of a change to the config.
pub enum ConfigChanged {
    /// It is a release, which is rolled out.
    Release(ProgressStream),
    /// It waits for the next one.
    Staged(Config),
}

impl Client {
    /// `PUT /v1/apps/{app}`.
    ///
    /// # Errors
    ///
    /// As [`Client::status`].
    pub async fn create(&self, app: &AppName) -> Result<App, ClientError> {
        self.change(Method::PUT, &format!("/apps/{app}"), empty()).await
    }

    /// `GET /v1/apps/{app}/releases`.
    ///
    /// # Errors
    ///
    /// As [`Client::status`].
    pub async fn releases(&self, app: &AppName, wanted: &ReleasesQuery) -> Result<Vec<Release>, ClientError> {
        self.get(&format!("/apps/{app}/releases{}", query(wanted))).await
    }

    /// `GET /v1/apps/{app}/releases/{release}`.
    ///
    /// # Errors
    ///
    /// As [`Client::status`].
    pub async fn release(&self, app: &AppName, release: ReleaseId) -> Result<ReleaseInfo, ClientError> {
        self.get(&format!("/apps/{app}/releases/{release}")).await
    }

    /// `POST /v1/apps/{app}/releases/{release}/push`.
    ///
    /// # Errors
    ///
    /// As [`Client::status`].
    pub async fn push(
        &self,
        app: &AppName,
        release: ReleaseId,
        push: &PushRequest,
    ) -> Result<ProgressStream, ClientError> {
        let path = format!("/apps/{app}/releases/{release}/push");
        self.send(Method::POST, &path, json(push), WORK_TIMEOUT).await?.progress().await
    }

    /// `POST /v1/apps/{app}/rollback`.
    ///
    /// # Errors
    ///
    /// As [`Client::status`].
    pub async fn rollback(
        &self,
        app: &AppName,
        rollback: &RollbackRequest,
    ) -> Result<ProgressStream, ClientError> {
        let path = format!("/apps/{app}/rollback");
        self.send(Method::POST, &path, json(rollback), WORK_TIMEOUT).await?.progress().await
    }

    /// `GET /v1/apps/{app}/config`.
    ///
    /// # Errors
    ///
    /// As [`Client::status`].
    pub async fn config(&self, app: &AppName) -> Result<Config, ClientError> {
        self.get(&format!("/apps/{app}/config")).await
    }

    /// `PATCH /v1/apps/{app}/config`.
    ///
    /// # Errors
    ///
    /// As [`Client::status`].
    pub async fn change_config(
        &self,
        app: &AppName,
        change: &ConfigRequest,
    ) -> Result<ConfigChanged, ClientError> {
        let path = format!("/apps/{app}/config");
        let answer = self.send(Method::PATCH, &path, json(change), WORK_TIMEOUT).await?.successful().await?;
        let kind = answer.res.headers().get(header::CONTENT_TYPE);
        if kind.is_some_and(|kind| kind.as_bytes().starts_with(b"application/json")) {
            return answer.json(ANSWER_TIMEOUT).await.map(ConfigChanged::Staged);
        }
        answer.progress().await.map(ConfigChanged::Release)
    }

    /// `PATCH /v1/apps/{app}/health`.
    ///
    /// # Errors
    ///
    /// As [`Client::status`].
    pub async fn change_health(
        &self,
        app: &AppName,
        change: &HealthRequest,
    ) -> Result<ProgressStream, ClientError> {
        let path = format!("/apps/{app}/health");
        self.send(Method::PATCH, &path, json(change), WORK_TIMEOUT).await?.progress().await
    }

    /// `GET /v1/apps/{app}/limits`.
    ///
    /// # Errors
    ///
    /// As [`Client::status`].
    pub async fn limits(&self, app: &AppName) -> Result<LimitsReply, ClientError> {
        self.get(&format!("/apps/{app}/limits")).await
    }

    /// `PATCH /v1/apps/{app}/limits`.
    ///
    /// # Errors
    ///
    /// As [`Client::status`].
    pub async fn change_limits(
        &self,
        app: &AppName,
        change: &LimitsRequest,
    ) -> Result<ProgressStream, ClientError> {
        let path = format!("/apps/{app}/limits");
        self.send(Method::PATCH, &path, json(change), WORK_TIMEOUT).await?.progress().await
    }
}
