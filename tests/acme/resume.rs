use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::time::timeout;

use super::gate::{Act, Gate};
use super::*;
use crate::support::SOON;

/// As after a `kill -9`: whatever the authority has done, the box has not seen its answer.
#[tokio::test(flavor = "multi_thread")]
async fn an_order_goes_on_wherever_it_was_cut_short() {
    let world = World::new().await;
    let gate = Gate::start(&world.pebble).await;
    let authority = world.authority_at(&gate.directory(), |_| {});
    let mut cut = 0;
    loop {
        let notes = Notes::default();
        let made = Arc::new(AtomicUsize::new(0));
        let at = cut;
        let mut number = 0;
        let count = Arc::clone(&made);
        gate.set(move |seen| {
            number += 1;
            if seen.uri.path() == "/order-plz" {
                count.fetch_add(1, Ordering::SeqCst);
            }
            if number == at + 1 { Act::Swallow } else { Act::Pass }
        });
        let name = format!("cut-{cut}.example.com");
        let request = request(&[&name], &[[HTTP, TLS, DNS][cut % 3]]);
        // It answers on: an order that the authority finds unanswered is invalid, and made anew, as below.
        let post = world.post();
        let first = {
            let issue = authority.issue(&request, &notes, &post);
            tokio::select! {
                issued = issue => Some(issued.unwrap()),
                () = gate.stuck() => None,
            }
        };
        if let Some(issued) = first {
            check(&request, &issued);
            break;
        }
        let seen = made.load(Ordering::SeqCst);
        let counting = Arc::clone(&made);
        gate.set(move |seen| {
            if seen.uri.path() == "/order-plz" {
                counting.fetch_add(1, Ordering::SeqCst);
            }
            Act::Pass
        });
        let was_known = notes.orders() == 1;
        let request = OrderRequest { resume: notes.open(), ..request };
        let issued = timeout(SOON, authority.issue(&request, &notes, &world.post())).await.unwrap();
        check(&request, &issued.unwrap_or_else(|error| panic!("cut after request {at}: {error}")));
        if was_known {
            assert_eq!(made.load(Ordering::SeqCst), 1, "cut after request {at}");
        } else {
            assert_eq!(made.load(Ordering::SeqCst), seen + 1, "cut after request {at}");
        }
        cut += 1;
    }
    assert!(cut >= 10, "{cut} requests are too few for an order");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_is_done_is_only_downloaded() {
    let world = World::new().await;
    let first = request(&["blog.example.com"], &[HTTP]);
    let issued = world.authority().issue(&first, &world.notes, &world.post()).await.unwrap();
    let unanswered = Post::new(Challenges::default(), None);
    let again = OrderRequest { resume: world.notes.open(), ..first };
    assert_eq!(world.authority().issue(&again, &world.notes, &unanswered).await.unwrap(), issued);
    assert_eq!(world.notes.orders(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_is_gone_or_failed_is_made_anew_once() {
    let world = World::new().await;
    world.issue(&["first.example.com"], &[HTTP]).await.unwrap();
    let made = world.notes.open().unwrap();
    let gone = format!("{}/none", made.rsplit_once('/').unwrap().0);
    let request_gone = OrderRequest { resume: Some(gone), ..request(&["gone.example.com"], &[HTTP]) };
    check(&request_gone, &world.authority().issue(&request_gone, &world.notes, &world.post()).await.unwrap());
    assert_eq!(world.notes.orders(), 2);

    let unanswered = Post::new(Challenges::default(), None);
    let failed = request(&["failed.example.com"], &[HTTP]);
    world.authority().issue(&failed, &world.notes, &unanswered).await.unwrap_err();
    assert_eq!(world.notes.orders(), 3);
    let again = OrderRequest { resume: world.notes.open(), ..failed };
    check(&again, &world.authority().issue(&again, &world.notes, &world.post()).await.unwrap());
    assert_eq!(world.notes.orders(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_for_other_names_is_made_anew() {
    let world = World::new().await;
    let unfinished = request(&["one.example.com"], &[HTTP]);
    let gate = Gate::start(&world.pebble).await;
    let authority = world.authority_at(&gate.directory(), |_| {});
    gate.set(|seen| if seen.uri.path().starts_with("/chalZ") { Act::Hold } else { Act::Pass });
    let post = world.post();
    tokio::select! {
        issued = authority.issue(&unfinished, &world.notes, &post) => panic!("{issued:?}"),
        () = gate.stuck() => {}
    }
    gate.set(|_| Act::Pass);
    // Of other names, which the authority notices when it is to sign.
    let other = OrderRequest { resume: world.notes.open(), ..request(&["two.example.com"], &[HTTP]) };
    check(&other, &authority.issue(&other, &world.notes, &post).await.unwrap());
    assert_eq!(world.notes.orders(), 2);
}
