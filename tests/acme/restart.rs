//! A daemon that is started again serves what it has, before it has asked anybody, and whether or not anybody answers.

use std::collections::BTreeMap;
use std::sync::Mutex;

use rustix::process::Signal;

use super::daemon::AcmeBox;
use super::gate::{Act, Gate};
use super::*;
use crate::deploy::command::PATIENCE;

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_serves_at_once_and_orders_nothing() {
    let mut on = AcmeBox::new(|_| {}).await;
    let gate = Gate::start(&on.pebble).await;
    on.set_directory(gate.directory());
    let hosts: Vec<_> = ["blog", "shop", "wiki"].map(|name| format!("{name}.example.com")).into();
    let daemon = on.serve(&[]).await;
    on.create("shop", &hosts).await;
    let known = on.valid(&hosts, &BTreeMap::new(), PATIENCE).await;
    assert_eq!((on.orders(), on.accounts()), (hosts.len(), 1));
    daemon.signal(Signal::TERM);
    daemon.finish().await.success();

    let paths = Arc::new(Mutex::new(Vec::new()));
    let asked = Arc::clone(&paths);
    gate.set(move |seen| {
        asked.lock().unwrap().push(seen.uri.path().to_owned());
        Act::Hold
    });
    let mut daemon = on.start(&[]).await;
    for is_killed in [true, false] {
        for host in &hosts {
            on.served(host).await;
        }
        on.ready(&mut daemon).await;
        assert_eq!(on.valid(&hosts, &BTreeMap::new(), PATIENCE).await, known, "killed next: {is_killed}");
        if is_killed {
            daemon.kill();
            daemon = on.start(&[]).await;
        }
    }
    assert_eq!(*paths.lock().unwrap(), [""; 0], "nobody was asked for anything");
    daemon.kill();

    // Nobody listens where the authority was.
    drop(gate);
    let daemon = on.serve(&[]).await;
    on.run(&["certs", "renew", &hosts[0]]).await.success();
    let deadline = tokio::time::Instant::now() + PATIENCE;
    let problem = loop {
        let mut certs = on.certs().await;
        let found = certs.remove(&hosts[0]).unwrap();
        if let Some(problem) = found.problem {
            assert_eq!(found.state, "valid");
            break problem;
        }
        assert!(tokio::time::Instant::now() < deadline, "no reason is shown: {found:?}");
    };
    assert_eq!(problem.kind, "unreachable", "{problem:?}");
    on.served(&hosts[0]).await;
    daemon.kill();
    let _daemon = on.start(&[]).await;
    on.served(&hosts[0]).await;
    assert_eq!(on.orders(), hosts.len());
}
