use futures_util::{StreamExt as _, stream};

use super::*;

/// As many as the issue asks for.
const ORDERS: usize = 100;
const AT_ONCE: usize = 4;

#[tokio::test(flavor = "multi_thread")]
async fn every_order_succeeds_where_half_of_the_nonces_are_refused() {
    let world = World::with(|options| options.nonces_refused = 50).await;
    world.issue(&["first.example.com"], &[HTTP]).await.unwrap();
    let issue = |number| {
        let (world, name) = (&world, format!("app-{number}.example.com"));
        async move {
            let kind = [HTTP, TLS, DNS][number % 3];
            world.issue(&[&name], &[kind]).await.unwrap_or_else(|error| panic!("{name}: {error}"));
        }
    };
    stream::iter(1..ORDERS).for_each_concurrent(AT_ONCE, issue).await;
    assert_eq!(world.notes.orders(), ORDERS, "one for each name");
}
