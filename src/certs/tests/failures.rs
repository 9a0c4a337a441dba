//! What goes wrong: said in words, answered with patience, and never in a circle.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_failure_says_why_and_patience_survives_a_restart() {
    let a_box = TestBox::new();
    a_box.authority().script([failure(OrderErrorKind::Validation), failure(OrderErrorKind::Validation)]);
    let daemon = a_box.start(&[NAME]).await;
    let view = daemon.until_state(NAME, State::Failed).await;
    let problem = view.problem.unwrap();
    assert_eq!((problem.kind.as_str(), problem.message.as_str()), ("validation", "first: it says no"));
    let wait = view.next.unwrap() - problem.at;
    assert!((60_000..=66_000).contains(&wait), "{wait}");
    daemon.kill().await;

    let daemon = a_box.start(&[NAME]).await;
    assert_eq!(daemon.until_state(NAME, State::Failed).await.next, view.next);
    assert_eq!(a_box.authority().seen().len(), 1);
    let second =
        daemon.until(NAME, |view| view.problem.as_ref().is_some_and(|other| other.at > problem.at)).await;
    let wait = second.next.unwrap() - second.problem.unwrap().at;
    assert!((120_000..=132_000).contains(&wait), "{wait}");
    assert_eq!(daemon.until_state(NAME, State::Valid).await.problem, None);
    assert_eq!(a_box.authority().seen().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn an_authority_that_asks_for_time_gets_it() {
    let a_box = TestBox::new();
    let late =
        OrderError { retry_after: Some(DAY), ..OrderError::new(OrderErrorKind::RateLimited, "enough") };
    a_box.authority().script([Scripted::Fail(late)]);
    let daemon = a_box.start(&[NAME]).await;
    let view = daemon.until_state(NAME, State::Failed).await;
    assert_eq!(view.next.unwrap() - view.problem.unwrap().at, 24 * 60 * 60 * 1000);
    let asked = (a_box.clock)();
    daemon.until_state(NAME, State::Valid).await;
    assert!((a_box.clock)().duration_since(asked).unwrap() >= DAY);
}

#[tokio::test(start_paused = true)]
async fn a_box_that_lost_its_key_orders_all_anew() {
    let a_box = TestBox::new();
    let lose_key = || std::fs::remove_file(a_box.dir.path().join("box.key")).unwrap();
    a_box.authority().script([Scripted::Hang]);
    let daemon = a_box.start(&[NAME]).await;
    a_box.authority().until_hanging(1).await;
    daemon.kill().await;

    // The keys of the account and of the order do not open any more.
    lose_key();
    let daemon = a_box.start(&[NAME]).await;
    let before = id(&daemon.until_state(NAME, State::Valid).await);
    let resumed: Vec<_> = a_box.authority().seen().into_iter().map(|seen| seen.resume.is_some()).collect();
    assert_eq!(resumed, [false, false]);
    daemon.kill().await;

    // Nor does the certificate's.
    lose_key();
    let daemon = a_box.start(&[NAME]).await;
    assert_ne!(id(&daemon.until_state(NAME, State::Valid).await), before);
}

#[tokio::test(start_paused = true)]
async fn a_certificate_that_is_over_when_it_comes_is_a_failure_and_no_reason_to_ask_at_once() {
    let a_box = TestBox::new();
    a_box.authority().set_lifetime(Duration::ZERO);
    let daemon = a_box.start(&[NAME]).await;
    let view = daemon.until_state(NAME, State::Failed).await;
    let problem = view.problem.unwrap();
    assert_eq!(problem.kind, "unusable");
    assert!(problem.message.contains("expired"), "{}", problem.message);
    assert!(view.next.unwrap() - problem.at >= 60_000);
    assert!(daemon.vault.list().is_empty());

    // The order that gave it is not taken up again, as it would give the same.
    a_box.authority().set_lifetime(90 * DAY);
    daemon.until_state(NAME, State::Valid).await;
    assert_eq!(a_box.authority().seen()[1].resume, None);
}

#[tokio::test(start_paused = true)]
async fn a_certificate_for_names_that_nobody_ordered_is_not_taken() {
    let a_box = TestBox::new();
    a_box.authority().set_also_for(Some("bank.example.com"));
    let daemon = a_box.start(&[NAME]).await;
    let problem = daemon.until_state(NAME, State::Failed).await.problem.unwrap();
    assert_eq!(
        problem.message,
        "first: the certificate is for `shop.example.com`, `bank.example.com`, and not for `shop.example.com` alone"
    );
    assert!(daemon.vault.find("bank.example.com").is_none());
}

#[tokio::test(start_paused = true)]
async fn an_authority_that_asks_for_ages_gets_a_week() {
    let a_box = TestBox::new();
    let never = OrderError {
        retry_after: Some(Duration::MAX),
        ..OrderError::new(OrderErrorKind::RateLimited, "enough")
    };
    a_box.authority().script([Scripted::Fail(never)]);
    let daemon = a_box.start(&[NAME]).await;
    let view = daemon.until_state(NAME, State::Failed).await;
    assert_eq!(view.next.unwrap() - view.problem.unwrap().at, 7 * 24 * 60 * 60 * 1000);
}

#[tokio::test(start_paused = true)]
async fn what_a_clock_has_put_off_that_was_years_ahead_is_done_when_it_is_right_again() {
    let mut a_box = TestBox::new();
    let right = Arc::clone(&a_box.clock);
    let ahead = Arc::clone(&right);
    a_box.clock = Arc::new(move || ahead() + 3650 * DAY);
    let daemon = a_box.start(&[NAME]).await;
    // The authority's clock is right, so what it gives has expired here.
    assert_eq!(daemon.until_state(NAME, State::Failed).await.problem.unwrap().kind, "unusable");
    daemon.kill().await;
    a_box.clock = right;
    let since = Instant::now();
    a_box.start(&[NAME]).await.until_state(NAME, State::Valid).await;
    assert!(since.elapsed() < DAY / 24, "{:?}", since.elapsed());
}

#[tokio::test(start_paused = true)]
async fn what_strangers_say_does_not_reach_the_terminal_as_it_is() {
    let a_box = TestBox::new();
    let said = format!("\x1b[2J\x1b]0;owned\x07no\nwarning: \u{202e}all is well{}", "!".repeat(1 << 20));
    a_box.authority().script([Scripted::Fail(OrderError::new(OrderErrorKind::Refused, said))]);
    let daemon = a_box.start(&[NAME]).await;
    let message = daemon.until_state(NAME, State::Failed).await.problem.unwrap().message;
    assert!(message.starts_with("first:  [2J ]0;owned no warning:  all is well!!"), "{}", &message[..80]);
    assert!(message.len() < 5_000, "{}", message.len());
}

#[tokio::test(start_paused = true)]
async fn what_cannot_work_is_said_without_asking_an_authority() {
    let a_box = TestBox::new();
    let daemon = a_box.start(&["*.example.com", "elsewhere.example.com"]).await;
    let wildcard = daemon.until_state("*.example.com", State::Failed).await;
    assert_eq!(wildcard.problem.unwrap().kind, "needs-dns");
    let elsewhere = daemon.until_state("elsewhere.example.com", State::Failed).await;
    assert_eq!(elsewhere.problem.unwrap().kind, "elsewhere");
    assert_eq!(a_box.authority().seen().len(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_job_that_panics_fails_and_nothing_else_does() {
    let a_box = TestBox::new();
    let daemon = a_box.start(&["panic.example.com", NAME]).await;
    let failed = daemon.until_state("panic.example.com", State::Failed).await;
    assert_eq!(failed.problem.unwrap().kind, "box");
    daemon.until_state(NAME, State::Valid).await;
}

/// Both would otherwise fail for ever, once somebody has lost `box.key`.
#[tokio::test(start_paused = true)]
async fn an_order_and_an_account_of_another_boxes_key_are_made_anew() {
    let a_box = TestBox::new();
    let foreign = BoxKey::new(&[9; 32]).seal("a key", b"secret");
    let order = OpenOrder {
        authority: "first".to_owned(),
        url: Some("fake://first/0".to_owned()),
        key: foreign.clone(),
    };
    let store = Store::open(a_box.dir.path()).unwrap();
    store.save_certificate_order(NAME, &order).await.unwrap();
    store.save_acme_account("first", &foreign).await.unwrap();
    drop(store);
    let daemon = a_box.start(&[NAME]).await;
    daemon.until(NAME, |view| view.state == State::Valid || view.problem.is_some()).await;
    assert_eq!(daemon.until(NAME, |_| true).await.problem, None);
    assert_eq!(a_box.authority().seen()[0].resume, None);
}

#[tokio::test(start_paused = true)]
async fn the_next_authority_is_asked_where_it_may_see_it_differently() {
    let mut a_box = TestBox::new();
    a_box.authorities.push(Arc::new(FakeAuthority::new("second").with_clock(Arc::clone(&a_box.clock))));
    a_box.authorities[0].script([failure(OrderErrorKind::Unreachable), failure(OrderErrorKind::Validation)]);
    let daemon = a_box.start(&[NAME]).await;
    let view = daemon.until_state(NAME, State::Valid).await;
    assert_eq!(view.signer, Signer::Authority(Some("second".to_owned())));

    daemon.routes.publish(table(&[NAME, "b.example.com"]));
    daemon.until_state("b.example.com", State::Failed).await;
    assert_eq!(a_box.authorities[1].seen().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn other_settings_are_tried_at_once() {
    let mut a_box = TestBox::new();
    a_box.authority().script([failure(OrderErrorKind::Account)]);
    let daemon = a_box.start(&[NAME]).await;
    daemon.until_state(NAME, State::Failed).await;
    daemon.kill().await;
    let failed = (a_box.clock)();
    a_box.authorities = vec![Arc::new(FakeAuthority::new("second").with_clock(Arc::clone(&a_box.clock)))];
    let daemon = a_box.start(&[NAME]).await;
    daemon.until_state(NAME, State::Valid).await;
    assert_eq!((a_box.clock)(), failed, "nobody waited");
}
