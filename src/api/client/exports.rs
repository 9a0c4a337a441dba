//! What an export of apps needs.

use http::Method;

use super::query::query;
use super::{Client, ClientError, WORK_TIMEOUT, empty, json};
use crate::api::{ExportQuery, ExportReply, ExportRequest};
use crate::name::AppName;

impl Client {
    /// `GET /v1/exports`, of these apps or all: without the values of secrets.
    ///
    /// # Errors
    ///
    /// As [`Client::status`].
    pub async fn export(&self, apps: Option<&[AppName]>) -> Result<ExportReply, ClientError> {
        let join = |apps: &[AppName]| apps.iter().map(AppName::as_str).collect::<Vec<_>>().join(",");
        let path = format!("/exports{}", query(&ExportQuery { apps: apps.map(join) }));
        // Every image is looked at.
        self.send(Method::GET, &path, empty(), WORK_TIMEOUT).await?.json(WORK_TIMEOUT).await
    }

    /// `POST /v1/exports`: with the values of secrets.
    ///
    /// # Errors
    ///
    /// As [`Client::status`].
    pub async fn export_secrets(&self, apps: Option<&[AppName]>) -> Result<ExportReply, ClientError> {
        let apps = apps.map(|apps| apps.iter().map(ToString::to_string).collect());
        let request = json(&ExportRequest { apps });
        self.send(Method::POST, "/exports", request, WORK_TIMEOUT).await?.json(WORK_TIMEOUT).await
    }
}
