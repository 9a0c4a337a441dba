//! What the first person who administers a new box is told, once: how to come in.

use crate::api::client::Client;

/// How the first admin uses the box; `None` when the daemon does not say what it is.
pub(super) async fn first_admin(client: &Client) -> Option<String> {
    let status = client.status().await.ok()?;
    Some(format!(
        "root is the admin of box {}, by its socket `{}`: `sudo minipaas status`",
        status.box_id,
        client.socket().display()
    ))
}
