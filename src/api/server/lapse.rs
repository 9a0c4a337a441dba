//! For how long whoever was let in may go on.
//!
//! A request is asked once; what it began may last for hours: a stream of lines, a shell in an instance. The gate gives each
//! request a [`Lapse`], which ends when the gate would not let it in any more: the token was revoked, rotated or ran out, or the
//! role went. Somebody at the box itself is never sent away.

use std::sync::Arc;

use super::gate::{Guard, denied_refusal};
use crate::api::Failure;
use crate::name::AppName;
use crate::people::{Caller, State};

/// The end of somebody's right to go on with a request.
#[derive(Clone)]
pub(super) struct Lapse {
    pub(super) guard: Arc<Guard>,
    pub(super) caller: Caller,
    /// The app in the path.
    pub(super) app: Option<AppName>,
}

impl Lapse {
    /// Returns when they may not go on, with why; never, for somebody at the box itself.
    pub(super) async fn wait(self) -> Failure {
        let Self { guard, caller, app } = self;
        let may = |state: &State| {
            // A build may go on before its app is there.
            let is_new = app.as_ref().is_some_and(|app| guard.gate.lacks(app));
            guard.check(state, &caller, app.as_ref(), is_new).is_ok()
        };
        let denied = guard.gate.people().lapsed(&caller, may).await;
        denied.map_or_else(
            || Failure::new("forbidden", "your role was taken away while this went on"),
            |denied| *denied_refusal(denied).failure,
        )
    }
}
