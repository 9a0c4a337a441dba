//! What the first person who administers a new box is told, once: how to come in from elsewhere.

use crate::api::InviteRequest;
use crate::api::client::Client;

/// A link that makes its first follower an admin; `None` when the daemon gives none. It is as good as a password, so it is for a
/// person's eyes, and in no JSON.
pub(super) async fn first_admin(client: &Client) -> Option<String> {
    let wanted = InviteRequest { user: None, is_admin: true, grants: Vec::new(), lasts_ms: None };
    let reply = client.invite(&wanted).await.ok()?;
    Some(format!(
        "the first admin's invite, good once and for 72 hours: on your own machine, `minipaas login '{}'`",
        reply.link.0
    ))
}
