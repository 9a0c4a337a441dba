//! How many instances run, by what rule that changes, and jobs that run at times.

use http::Method;

use super::query::{encoded, query};
use super::{ANSWER_TIMEOUT, Client, ClientError, ProgressStream, WORK_TIMEOUT, empty, json};
use crate::api::{Autoscale, AutoscaleQuery, AutoscaleRequest, Job, JobRun, RestartRequest, ScaleRequest};
use crate::name::{AppName, ProcessType};

impl Client {
    /// `PATCH /v1/apps/{app}/formation`.
    ///
    /// # Errors
    ///
    /// As [`Client::status`].
    pub async fn scale(&self, app: &AppName, to: &ScaleRequest) -> Result<ProgressStream, ClientError> {
        let path = format!("/apps/{app}/formation");
        self.send(Method::PATCH, &path, json(to), WORK_TIMEOUT).await?.progress().await
    }

    /// `POST /v1/apps/{app}/restart`.
    ///
    /// # Errors
    ///
    /// As [`Client::status`].
    pub async fn restart(&self, app: &AppName, what: &RestartRequest) -> Result<ProgressStream, ClientError> {
        let path = format!("/apps/{app}/restart");
        self.send(Method::POST, &path, json(what), WORK_TIMEOUT).await?.progress().await
    }

    /// `GET /v1/apps/{app}/autoscale`.
    ///
    /// # Errors
    ///
    /// As [`Client::status`].
    pub async fn autoscale(&self, app: &AppName) -> Result<Vec<Autoscale>, ClientError> {
        self.get(&format!("/apps/{app}/autoscale")).await
    }

    /// `PUT /v1/apps/{app}/autoscale/{process}`.
    ///
    /// # Errors
    ///
    /// As [`Client::status`].
    pub async fn set_autoscale(
        &self,
        app: &AppName,
        process: &ProcessType,
        to: &AutoscaleRequest,
    ) -> Result<(), ClientError> {
        let path = format!("/apps/{app}/autoscale/{process}");
        self.send(Method::PUT, &path, json(to), ANSWER_TIMEOUT).await?.text(ANSWER_TIMEOUT).await.map(drop)
    }

    /// `DELETE /v1/apps/{app}/autoscale/{process}`.
    ///
    /// # Errors
    ///
    /// As [`Client::status`].
    pub async fn unset_autoscale(
        &self,
        app: &AppName,
        process: &ProcessType,
        how: &AutoscaleQuery,
    ) -> Result<(), ClientError> {
        let path = format!("/apps/{app}/autoscale/{process}{}", query(how));
        self.send(Method::DELETE, &path, empty(), ANSWER_TIMEOUT).await?.text(ANSWER_TIMEOUT).await.map(drop)
    }

    /// `GET /v1/apps/{app}/cron`.
    ///
    /// # Errors
    ///
    /// As [`Client::status`].
    pub async fn jobs(&self, app: &AppName) -> Result<Vec<Job>, ClientError> {
        self.get(&format!("/apps/{app}/cron")).await
    }

    /// `GET /v1/apps/{app}/cron/{job}/runs`.
    ///
    /// # Errors
    ///
    /// As [`Client::status`].
    pub async fn job_runs(&self, app: &AppName, job: &str) -> Result<Vec<JobRun>, ClientError> {
        self.get(&format!("/apps/{app}/cron/{}/runs", encoded(job))).await
    }

    /// `POST /v1/apps/{app}/cron/{job}/runs`.
    ///
    /// # Errors
    ///
    /// As [`Client::status`].
    pub async fn run_job(&self, app: &AppName, job: &str) -> Result<ProgressStream, ClientError> {
        let path = format!("/apps/{app}/cron/{}/runs", encoded(job));
        self.send(Method::POST, &path, empty(), WORK_TIMEOUT).await?.progress().await
    }

    /// `PUT /v1/apps/{app}/cron/{job}/suspended`, or `DELETE` of it.
    ///
    /// # Errors
    ///
    /// As [`Client::status`].
    pub async fn suspend_job(
        &self,
        app: &AppName,
        job: &str,
        is_suspended: bool,
    ) -> Result<Job, ClientError> {
        let method = if is_suspended { Method::PUT } else { Method::DELETE };
        self.change(method, &format!("/apps/{app}/cron/{}/suspended", encoded(job)), empty()).await
    }
}
