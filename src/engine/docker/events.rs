//! What happens to our containers.
//!
//! The client library sends the request when the stream is first polled, which may be long after [`Engine::events`] has
//! returned. So the engine is asked for its time first, and the stream starts there: what happens in between is replayed.
//!
//! [`Engine::events`]: super::super::Engine::events

use std::collections::HashMap;

use bollard::models::EventMessage;
use bollard::query_parameters::EventsOptionsBuilder;
use futures_util::future::ready;
use futures_util::stream::{BoxStream, StreamExt};
use jiff::Timestamp;

use super::super::{ContainerEvent, EngineError, label};
use super::DockerEngine;

/// What may change how a container looks to us.
const ACTIONS: [&str; 6] = ["start", "die", "oom", "stop", "destroy", "health_status"];

impl DockerEngine {
    pub(super) async fn container_events(&self) -> Result<BoxStream<'static, ContainerEvent>, EngineError> {
        let info = self.call("tell its time", "its time", self.client.info()).await?;
        let now = info.system_time.as_deref().and_then(|time| time.parse::<Timestamp>().ok());
        let filters = HashMap::from([
            ("type".to_owned(), vec!["container".to_owned()]),
            ("label".to_owned(), vec![self.owner_filter()]),
            ("event".to_owned(), ACTIONS.map(str::to_owned).to_vec()),
        ]);
        let mut options = EventsOptionsBuilder::default().filters(&filters);
        if let Some(now) = now {
            options = options.since(&format!("{}.{:09}", now.as_second(), now.subsec_nanosecond()));
        }
        let events = self.client.events(Some(options.build()));
        let ours =
            events.map(|event| event.inspect_err(|error| tracing::debug!(%error, "engine events ended")));
        Ok(ours
            .take_while(|event| ready(event.is_ok()))
            .filter_map(|event| ready(event.ok().and_then(read_event)))
            .boxed())
    }
}

fn read_event(event: EventMessage) -> Option<ContainerEvent> {
    let attributes = event.actor?.attributes?;
    Some(ContainerEvent { instance: attributes.get(label::INSTANCE)?.parse().ok()? })
}
