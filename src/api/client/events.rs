//! The audit log.

use futures_util::stream::BoxStream;
use http::Method;

use super::{ANSWER_TIMEOUT, Client, ClientError, empty, query};
use crate::api::{Event, Events, EventsQuery};
use crate::name::AppName;

/// Events as they happen; ends when the daemon does.
pub type EventStream = BoxStream<'static, Result<Event, ClientError>>;

impl Client {
    /// `GET /v1/events`, or those of one app: a page.
    ///
    /// # Errors
    ///
    /// As [`Client::status`].
    pub async fn events(&self, app: Option<&AppName>, wanted: &EventsQuery) -> Result<Events, ClientError> {
        self.get(&format!("{}{}", path(app), query(wanted))).await
    }

    /// The same, followed.
    ///
    /// # Errors
    ///
    /// As [`Client::status`].
    pub async fn follow_events(
        &self,
        app: Option<&AppName>,
        wanted: &EventsQuery,
    ) -> Result<EventStream, ClientError> {
        let wanted = EventsQuery { follow: true, ..wanted.clone() };
        let path = format!("{}{}", path(app), query(&wanted));
        Ok(self.send(Method::GET, &path, empty(), ANSWER_TIMEOUT).await?.successful().await?.lines())
    }
}

fn path(app: Option<&AppName>) -> String {
    app.map_or_else(|| "/events".to_owned(), |app| format!("/apps/{app}/events"))
}
