//! Webhooks; of all apps, or of one.

use http::Method;

use super::{ANSWER_TIMEOUT, Client, ClientError, empty, encoded, json};
use crate::api::{Hook, HookAdded, HookDelivery, HookRequest};
use crate::name::AppName;

impl Client {
    /// `GET /v1/hooks`.
    ///
    /// # Errors
    ///
    /// As [`Client::status`].
    pub async fn hooks(&self, app: Option<&AppName>) -> Result<Vec<Hook>, ClientError> {
        self.get(&path(app)).await
    }

    /// `POST /v1/hooks`.
    ///
    /// # Errors
    ///
    /// As [`Client::status`].
    pub async fn add_hook(
        &self,
        app: Option<&AppName>,
        hook: &HookRequest,
    ) -> Result<HookAdded, ClientError> {
        self.change(Method::POST, &path(app), json(hook)).await
    }

    /// `DELETE /v1/hooks/{id}`.
    ///
    /// # Errors
    ///
    /// As [`Client::status`].
    pub async fn remove_hook(&self, app: Option<&AppName>, id: &str) -> Result<(), ClientError> {
        let path = format!("{}/{}", path(app), encoded(id));
        self.send(Method::DELETE, &path, empty(), ANSWER_TIMEOUT).await?.text(ANSWER_TIMEOUT).await.map(drop)
    }

    /// `POST /v1/hooks/{id}/test`.
    ///
    /// # Errors
    ///
    /// As [`Client::status`].
    pub async fn test_hook(&self, app: Option<&AppName>, id: &str) -> Result<HookDelivery, ClientError> {
        // The other side has as long as the client has patience: 30 s, and some for the way.
        let path = format!("{}/{}/test", path(app), encoded(id));
        let limit = ANSWER_TIMEOUT * 2;
        self.send(Method::POST, &path, empty(), limit).await?.json(limit).await
    }

    /// `GET /v1/hooks/{id}/deliveries`.
    ///
    /// # Errors
    ///
    /// As [`Client::status`].
    pub async fn hook_deliveries(
        &self,
        app: Option<&AppName>,
        id: &str,
    ) -> Result<Vec<HookDelivery>, ClientError> {
        self.get(&format!("{}/{}/deliveries", path(app), encoded(id))).await
    }
}

fn path(app: Option<&AppName>) -> String {
    app.map_or_else(|| "/hooks".to_owned(), |app| format!("/apps/{app}/hooks"))
}
