//! What containers use, as the engine counts it.

use std::time::Duration;

use bollard::query_parameters::StatsOptionsBuilder;
use futures_util::TryStreamExt;

use super::super::{EngineError, Usage};
use super::DockerEngine;

impl DockerEngine {
    /// One reading, without the engine's own second one a second later: rates are made of two of ours.
    pub(super) async fn container_usage(&self, container: &str) -> Result<Option<Usage>, EngineError> {
        let what = format!("container `{container}`");
        let options = StatsOptionsBuilder::default().stream(false).one_shot(true).build();
        let read = async { self.client.stats(container, Some(options)).try_next().await };
        let found = match self.call(&format!("measure {what}"), &what, read).await {
            Ok(found) => found,
            Err(EngineError::NotFound { .. }) => None,
            Err(error) => return Err(error),
        };
        Ok(found.and_then(|stats| {
            let cpu = stats.cpu_stats?.cpu_usage?.total_usage?;
            let memory = stats.memory_stats.and_then(|memory| memory.usage).unwrap_or_default();
            // A container that does not run has used nothing.
            (cpu > 0).then(|| Usage { cpu: Duration::from_nanos(cpu), memory_bytes: memory })
        }))
    }
}
