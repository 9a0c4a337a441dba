//! `kill -9` of the daemon during a first order, a renewal, and the swap of the one certificate for the other.
//!
//! What must hold: whoever is started next serves a certificate of the authority at once if there was one, the old or the new;
//! the order that was cut short is gone on with; no further one is made, unless the box never heard that its order was made.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::time::sleep;

use super::daemon::AcmeBox;
use super::gate::{Act, Gate};
use super::*;
use crate::deploy::command::{PATIENCE, POLL_INTERVAL, until};

/// Said by the authority when a name is proved.
const PROVED: &str = "set VALID by completed challenge";
/// A first order has at least these requests: directory, nonce, order, its authorization, the challenge, signing, download.
const REQUESTS_MIN: usize = 7;

/// Cuts the daemon's life short after one request of an order after the other: the authority has done what was asked, and the
/// box never hears of it.
async fn killed_after_each_request(is_renewal: bool) {
    let mut on = AcmeBox::new(|_| {}).await;
    let gate = Gate::start(&on.pebble).await;
    on.set_directory(gate.directory());
    let mut daemon = on.serve(&[]).await;
    let first = vec!["shop.example.com".to_owned()];
    on.create("shop", &first).await;
    let mut known = on.valid(&first, &BTreeMap::new(), PATIENCE).await;
    let mut cut = 0;
    loop {
        let (orders, proved, stuck) = (on.orders(), on.said(PROVED), gate.stuck_count());
        let [is_made, is_asked] = [(); 2].map(|()| Arc::new(AtomicBool::new(false)));
        let (made, asked) = (Arc::clone(&is_made), Arc::clone(&is_asked));
        let mut number = 0;
        gate.set(move |seen| {
            number += 1;
            if number != cut + 1 {
                return Act::Pass;
            }
            made.store(seen.uri.path() == "/order-plz", Ordering::SeqCst);
            asked.store(seen.uri.path().starts_with("/chalZ"), Ordering::SeqCst);
            Act::Swallow
        });
        let hosts = if is_renewal { first.clone() } else { vec![format!("cut-{cut}.example.com")] };
        if is_renewal {
            on.run(&["certs", "renew", &hosts[0]]).await.success();
        } else {
            on.create(&format!("cut-{cut}"), &hosts).await;
        }
        tokio::select! {
            ids = on.valid(&hosts, &known, PATIENCE) => {
                assert_eq!(on.orders(), orders + 1);
                drop(ids);
                break;
            }
            () = cut_short(&gate, stuck) => {}
        }
        if is_asked.load(Ordering::SeqCst) && on.said(PROVED) == proved {
            // It asks the box meanwhile, which must be there for that: a name that is not proved makes the order void.
            until("the name is proved", || on.said(PROVED) > proved).await;
        }
        daemon.kill();

        gate.set(|_| Act::Pass);
        daemon = on.start(&[]).await;
        let served = on.served(&first[0]).await;
        assert!(!served.is_empty(), "a certificate of the authority, at once");
        on.ready(&mut daemon).await;
        let ids = on.valid(&hosts, &known, PATIENCE).await;
        on.served(&hosts[0]).await;
        // Of an order whose making was answered to nobody, nobody knows.
        let again = usize::from(is_made.load(Ordering::SeqCst));
        assert_eq!(on.orders(), orders + 1 + again, "cut after request {cut}");
        known.extend(ids);
        assert_eq!(on.files().len(), known.len(), "cut after request {cut}");
        cut += 1;
    }
    assert!(cut >= REQUESTS_MIN, "{cut} requests are too few for an order");
    assert_eq!(on.accounts(), 1);
}

/// Waits until a request is held up.
async fn cut_short(gate: &Gate, before: usize) {
    while gate.stuck_count() == before {
        sleep(POLL_INTERVAL).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_during_a_first_order() {
    killed_after_each_request(false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_during_a_renewal() {
    killed_after_each_request(true).await;
}

/// The certificate is in the vault, and nothing else knows of it yet.
#[tokio::test(flavor = "multi_thread")]
async fn killed_during_the_swap() {
    const HALTED: [(&str, &str); 1] = [("MINIPAAS_HALT_AT", "certificate-kept")];
    let on = AcmeBox::new(|_| {}).await;
    let hosts = vec!["shop.example.com".to_owned()];
    let mut known = BTreeMap::new();
    for orders in 1..=2 {
        let mut daemon = on.serve(&HALTED).await;
        if orders == 1 {
            on.create("shop", &hosts).await;
        } else {
            on.run(&["certs", "renew", &hosts[0]]).await.success();
        }
        daemon.says("halted").await;
        let served = on.served(&hosts[0]).await;
        assert_eq!(on.files().len(), orders, "the old one and the new one");
        daemon.kill();

        let mut daemon = on.start(&[]).await;
        assert_eq!(on.served(&hosts[0]).await, served, "what was served before");
        on.ready(&mut daemon).await;
        known = on.valid(&hosts, &known, PATIENCE).await;
        assert_eq!(on.served(&hosts[0]).await, served);
        until("what was replaced is gone", || on.files().len() == 1).await;
        assert_eq!(on.orders(), orders, "nothing was ordered again");
        daemon.kill();
    }
}
