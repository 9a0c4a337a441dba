//! Watching the engine: subscribe, then list, then listen; list again every 30 s, and after every time it was away.
//!
//! Runs in a task of its own, because an engine may hang, and the controller must not.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use tokio::sync::mpsc;

use crate::engine::{Container, Engine, EngineError, EngineInfo};
use crate::name::InstanceId;
use crate::route::Bridge;

/// Between two listings while nothing happens.
const RESYNC: Duration = Duration::from_secs(30);
/// After an event, before listing: what happens together is seen together.
const DEBOUNCE: Duration = Duration::from_millis(100);
/// Between two tries at an engine that is away.
const RECONNECT_PAUSE: Duration = Duration::from_secs(1);
/// An engine that does not list in time hangs.
const LIST_TIME_MAX: Duration = Duration::from_secs(30);

/// What was observed.
#[derive(Debug)]
pub(super) enum Observed {
    /// It answers.
    Up(EngineInfo),
    /// It does not.
    Down(EngineError),
    /// A container did something: look at it.
    Touched(InstanceId),
    /// The network of our containers.
    Bridge(Bridge),
    /// Every container of ours.
    Listed(Vec<Container>),
}

/// Watches until nobody listens any more.
pub(super) async fn watch(engine: Arc<dyn Engine>, observed: mpsc::UnboundedSender<Observed>) {
    loop {
        if let Err(error) = watch_once(engine.as_ref(), &observed).await
            && observed.send(Observed::Down(error)).is_err()
        {
            return;
        }
        if observed.is_closed() {
            return;
        }
        tokio::time::sleep(RECONNECT_PAUSE).await;
    }
}

async fn watch_once(
    engine: &dyn Engine,
    observed: &mpsc::UnboundedSender<Observed>,
) -> Result<(), EngineError> {
    let info = engine.info().await?;
    let mut events = engine.events().await?;
    // Told nobody when the channel is closed; the loop above ends then.
    let _ = observed.send(Observed::Up(info));
    loop {
        let containers = list(engine).await?;
        if !containers.is_empty()
            && let Some(bridge) = engine.bridge().await?
        {
            let _ = observed.send(Observed::Bridge(bridge));
        }
        let _ = observed.send(Observed::Listed(containers));
        let mut listing = Box::pin(tokio::time::sleep(RESYNC));
        let mut is_touched = false;
        loop {
            tokio::select! {
                () = observed.closed() => return Ok(()),
                () = &mut listing => break,
                event = events.next() => match event {
                    Some(event) => {
                        let _ = observed.send(Observed::Touched(event.instance));
                        if !is_touched {
                            is_touched = true;
                            listing.as_mut().reset(tokio::time::Instant::now() + DEBOUNCE);
                        }
                    }
                    // The engine went away, or restarts; asking it again says which.
                    None => return Ok(()),
                }
            }
        }
    }
}

async fn list(engine: &dyn Engine) -> Result<Vec<Container>, EngineError> {
    match tokio::time::timeout(LIST_TIME_MAX, engine.containers()).await {
        Ok(result) => result,
        Err(_) => Err(EngineError::Unreachable {
            endpoint: "the engine".to_owned(),
            reason: format!("it did not list its containers within {LIST_TIME_MAX:?}"),
        }),
    }
}
