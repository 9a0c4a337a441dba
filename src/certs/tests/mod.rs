//! The task on a real store and vault, with authorities that do as they are told, in time that passes when it is waited for.

mod failures;

use std::sync::Arc;
use std::sync::Mutex;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use tempfile::TempDir;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::acme::fake::{FakeAuthority, Scripted};
use crate::acme::{Answer, OrderError, OrderErrorKind, RenewalInfo, RespondError};
use crate::name::{PathPrefix, ProcessType};
use crate::policy::{Ask, Policy};
use crate::route::{Mode, Route, RouteTable};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const NAME: &str = "shop.example.com";

/// A box whose daemon can be killed and started again.
struct TestBox {
    dir: TempDir,
    clock: WallClock,
    authorities: Vec<Arc<FakeAuthority>>,
    means: Means,
    vouched: Arc<Mutex<Vec<String>>>,
}

/// A daemon on it.
struct Daemon {
    certs: Certs,
    routes: Routes,
    store: Store,
    vault: Vault,
    demand: Demand,
    shutdown: CancellationToken,
}

#[derive(Debug)]
struct Silent;

/// Knows some names, is elsewhere for one, and panics for another.
#[derive(Debug)]
struct Knows(Arc<Mutex<Vec<String>>>);

#[async_trait]
impl Responder for Silent {
    async fn present(&self, _answer: &Answer) -> Result<(), RespondError> {
        Ok(())
    }

    async fn withdraw(&self, _answer: &Answer) -> Result<(), RespondError> {
        Ok(())
    }
}

#[async_trait]
impl Look for Knows {
    async fn look(&self, host: &str) -> Result<(), Elsewhere> {
        assert!(!host.starts_with("panic"), "somebody sent what nobody thought of");
        if host.starts_with("elsewhere") {
            return Err(Elsewhere { kind: "elsewhere", message: "it leads elsewhere".to_owned() });
        }
        Ok(())
    }
}

#[async_trait]
impl Asker for Knows {
    async fn ask(&self, _on_demand: &OnDemand, host: &str) -> Result<bool, String> {
        Ok(self.0.lock().unwrap().iter().any(|known| known == host))
    }
}

impl TestBox {
    fn new() -> Self {
        let (epoch, start) = (SystemTime::now(), Instant::now());
        let clock: WallClock = Arc::new(move || epoch + start.elapsed());
        let means = Means { domain: "localhost".to_owned(), has_authority: true, has_dns: false };
        let authorities = vec![Arc::new(FakeAuthority::new("first").with_clock(Arc::clone(&clock)))];
        Self { dir: tempfile::tempdir().unwrap(), clock, authorities, means, vouched: Arc::default() }
    }

    fn authority(&self) -> &FakeAuthority {
        &self.authorities[0]
    }

    async fn start(&self, hosts: &[&str]) -> Daemon {
        let key = BoxKey::open_or_create(&self.dir.path().join("box.key")).unwrap();
        let vault = Vault::open(&self.dir.path().join("certs"), key.clone()).unwrap();
        let routes = Routes::new();
        routes.publish(table(hosts));
        let knows = Arc::new(Knows(Arc::clone(&self.vouched)));
        let kinds = if self.means.has_dns { vec![ChallengeKind::Dns01] } else { vec![ChallengeKind::Http01] };
        let store = Store::open(self.dir.path()).unwrap();
        let parts = Parts {
            store: store.clone(),
            vault: vault.clone(),
            key,
            routes: routes.clone(),
            means: self.means.clone(),
            authorities: self.authorities.iter().map(|one| Arc::clone(one) as Arc<dyn Authority>).collect(),
            responder: Arc::new(Silent),
            kinds,
            no_provider: None,
            look: Arc::clone(&knows) as Arc<dyn Look>,
            asker: knows,
            clock: Arc::clone(&self.clock),
            reporter: crate::events::Reporter::default(),
        };
        let shutdown = CancellationToken::new();
        let (demand, demanded) = demand();
        let certs = Certs::start(parts, demanded, shutdown.clone()).await.unwrap();
        Daemon { certs, routes, store, vault, demand, shutdown }
    }
}

impl Daemon {
    /// Ends it as a kill does: whatever is under way is not gone on with.
    async fn kill(self) {
        let Self { certs, shutdown, .. } = self;
        shutdown.cancel();
        certs.ended().await;
    }

    /// The view of a name, once it fits.
    async fn until(&self, name: &str, fits: impl Fn(&NameView) -> bool) -> NameView {
        let mut view = self.certs.watch();
        let found = view.wait_for(|all| all.iter().any(|one| one.name == name && fits(one))).await.unwrap();
        found.iter().find(|one| one.name == name && fits(one)).unwrap().clone()
    }

    async fn until_state(&self, name: &str, state: State) -> NameView {
        self.until(name, |view| view.state == state).await
    }
}

fn table(hosts: &[&str]) -> RouteTable {
    RouteTable::new(1, hosts.iter().map(|host| route(host)).collect())
}

/// A table whose names are ordered when the app agrees.
fn on_demand() -> RouteTable {
    let policy = Policy { ask: Some(Ask::Path("/allowed".to_owned())), ..Policy::default() };
    RouteTable::new(1, vec![Route { policy: Arc::new(policy), ..route("*") }])
}

fn route(host: &str) -> Route {
    Route {
        app: "shop".parse().unwrap(),
        process: ProcessType::web(),
        host: host.parse().unwrap(),
        path: PathPrefix::root(),
        strip_prefix: false,
        policy: Arc::default(),
        mode: Mode::Open,
        canary: None,
        is_held: false,
        is_scaled_to_zero: false,
        upstreams: Vec::new(),
    }
}

fn failure(kind: OrderErrorKind) -> Scripted {
    Scripted::Fail(OrderError::new(kind, "it says no"))
}

fn id(view: &NameView) -> CertificateId {
    view.certificate.as_ref().unwrap().id
}

#[tokio::test(start_paused = true)]
async fn a_public_name_is_ordered_once_and_a_private_one_is_the_boxes_own() {
    let a_box = TestBox::new();
    let daemon = a_box.start(&[NAME, "shop.localhost"]).await;
    let view = daemon.until_state(NAME, State::Valid).await;
    assert_eq!(view.signer, Signer::Authority(Some("first".to_owned())));
    assert!(daemon.vault.find(NAME).is_some());
    assert_eq!(daemon.until_state("shop.localhost", State::Valid).await.signer, Signer::Local);

    let id = id(&view);
    daemon.kill().await;
    let daemon = a_box.start(&[NAME]).await;
    assert_eq!(self::id(&daemon.until_state(NAME, State::Valid).await), id);
    assert_eq!(a_box.authority().seen().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_order_that_was_cut_short_is_gone_on_with() {
    let a_box = TestBox::new();
    a_box.authority().script([Scripted::Hang]);
    let daemon = a_box.start(&[NAME]).await;
    daemon.until_state(NAME, State::Ordering).await;
    a_box.authority().until_hanging(1).await;
    daemon.kill().await;

    let daemon = a_box.start(&[NAME]).await;
    daemon.until_state(NAME, State::Valid).await;
    let resumed: Vec<_> = a_box.authority().seen().into_iter().map(|seen| seen.resume.is_some()).collect();
    assert_eq!(resumed, [false, true]);
    daemon.kill().await;
    let daemon = a_box.start(&[NAME]).await;
    assert_eq!(daemon.until(NAME, |_| true).await.state, State::Valid);
}

/// The daemon was killed after the certificate was kept and before the order was forgotten, when its successor finds this.
#[tokio::test(start_paused = true)]
async fn an_order_whose_certificate_is_kept_is_not_made_again() {
    let a_box = TestBox::new();
    let daemon = a_box.start(&[NAME]).await;
    let first = daemon.until_state(NAME, State::Valid).await;
    // Certificates tell times by the second.
    tokio::time::sleep(DAY).await;
    daemon.store.halt_at("certificate-kept");
    daemon.certs.renew(NAME).await.unwrap();
    while daemon.vault.list().len() < 2 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    daemon.kill().await;

    let daemon = a_box.start(&[NAME]).await;
    let view = daemon.until(NAME, |view| view.next.is_some() && view.state == State::Valid).await;
    assert_ne!(id(&view), id(&first));
    assert_eq!(daemon.vault.list().len(), 1);
    let orders = || a_box.authority().seen().len();
    assert_eq!(orders(), 2);
    daemon.until(NAME, |now| now.certificate.is_some() && self::id(now) != self::id(&view)).await;
    assert_eq!(orders(), 3);
    assert_eq!(a_box.authority().seen()[2].resume, None);
}

#[tokio::test(start_paused = true)]
async fn a_certificate_is_renewed_when_a_third_of_its_life_is_left() {
    let a_box = TestBox::new();
    let daemon = a_box.start(&[NAME]).await;
    let start = (a_box.clock)();
    let first = daemon.until_state(NAME, State::Valid).await;
    let second =
        daemon.until(NAME, |view| view.certificate.as_ref().is_some_and(|now| now.id != id(&first))).await;
    let days = (a_box.clock)().duration_since(start).unwrap().as_secs() / DAY.as_secs();
    assert!((60..=63).contains(&days), "{days}");
    let seen = a_box.authority().seen();
    assert_eq!((seen.len(), seen[1].replaces), (2, true));
    daemon.until_state(NAME, State::Valid).await;
    assert_eq!(daemon.vault.list().len(), 1);
    assert_eq!(daemon.vault.list()[0].id, id(&second));
}

#[tokio::test(start_paused = true)]
async fn the_authority_may_say_when_to_renew() {
    let a_box = TestBox::new();
    let now = (a_box.clock)();
    let window = now + 10 * DAY..now + 12 * DAY;
    a_box.authority().set_renewal(Some(RenewalInfo { window, explanation: None, check_again: DAY / 4 }));
    let daemon = a_box.start(&[NAME]).await;
    let first = daemon.until_state(NAME, State::Valid).await;
    daemon.until(NAME, |view| view.certificate.as_ref().is_some_and(|now| now.id != id(&first))).await;
    let days = (a_box.clock)().duration_since(now).unwrap().as_secs_f64() / DAY.as_secs_f64();
    assert!((10.0..=12.0).contains(&days), "{days}");
}

#[tokio::test(start_paused = true)]
async fn an_authority_that_would_have_all_renewed_at_once_is_asked_once_an_hour() {
    let a_box = TestBox::new();
    let now = (a_box.clock)();
    // As Let's Encrypt dates them; so their start says nothing of when they came.
    a_box.authority().set_backdating(DAY / 24);
    let window = now - 2 * DAY..now - DAY;
    a_box.authority().set_renewal(Some(RenewalInfo { window, explanation: None, check_again: DAY / 4 }));
    let daemon = a_box.start(&[NAME]).await;
    let first = daemon.until_state(NAME, State::Valid).await;
    daemon.until(NAME, |view| view.certificate.as_ref().is_some_and(|now| now.id != id(&first))).await;
    let hours = (a_box.clock)().duration_since(now).unwrap().as_secs_f64() / (DAY.as_secs_f64() / 24.0);
    assert!((0.99..=1.1).contains(&hours), "{hours}");
    assert_eq!(a_box.authority().seen().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_name_that_nobody_needs_is_forgotten_though_the_app_says_yes_to_all() {
    let a_box = TestBox::new();
    a_box.vouched.lock().unwrap().push("elsewhere.example.org".to_owned());
    let daemon = a_box.start(&[]).await;
    daemon.routes.publish(on_demand());
    daemon.demand.ask_for("elsewhere.example.org");
    daemon.until_state("elsewhere.example.org", State::Failed).await;
    let mut view = daemon.certs.watch();
    view.wait_for(|all| !all.iter().any(|view| view.name == "elsewhere.example.org")).await.unwrap();
    daemon.kill().await;
    let store = Store::open(a_box.dir.path()).unwrap();
    assert!(store.certificate_names().await.unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_name_that_no_route_has_is_kept_a_week_and_then_forgotten() {
    let a_box = TestBox::new();
    let daemon = a_box.start(&[NAME]).await;
    daemon.until_state(NAME, State::Valid).await;
    daemon.routes.publish(table(&[]));
    daemon.until_state(NAME, State::Unused).await;
    daemon.routes.publish(table(&[NAME]));
    daemon.until_state(NAME, State::Valid).await;
    assert_eq!(a_box.authority().seen().len(), 1);

    daemon.routes.publish(table(&[]));
    daemon.until_state(NAME, State::Unused).await;
    let since = (a_box.clock)();
    let mut view = daemon.certs.watch();
    view.wait_for(|all| all.is_empty()).await.unwrap();
    assert_eq!((a_box.clock)().duration_since(since).unwrap().as_secs() / DAY.as_secs(), 7);
    assert!(daemon.vault.list().is_empty());
    assert_eq!(a_box.authority().seen().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_certificate_that_was_brought_goes_before_any_order() {
    let a_box = TestBox::new();
    let daemon = a_box.start(&[]).await;
    let (chain, key) = FakeAuthority::new("own").pair(NAME);
    let id = daemon.certs.add(Chain::from_pem(&chain, &key).unwrap()).await.unwrap();
    daemon.routes.publish(table(&[NAME]));
    let view = daemon.until(NAME, |view| view.signer == Signer::Own && !view.hosts.is_empty()).await;
    assert_eq!((view.state, self::id(&view)), (State::Valid, id));
    assert_eq!(a_box.authority().seen().len(), 0);

    assert!(matches!(daemon.certs.renew(NAME).await, Err(CertsError::NotOrdered(_))));
    assert!(matches!(daemon.certs.remove("nothing").await, Err(CertsError::Unknown(_))));
    daemon.certs.remove(&id.to_string()).await.unwrap();
    let view = daemon.until(NAME, |view| view.signer != Signer::Own && view.state == State::Valid).await;
    assert_eq!(view.signer, Signer::Authority(Some("first".to_owned())));
    assert!(matches!(daemon.certs.remove(NAME).await, Err(CertsError::NotOwn(_))));
}

#[tokio::test(start_paused = true)]
async fn the_box_signs_for_no_host_that_has_a_certificate_of_its_own() {
    let host = "shop.localhost";
    let a_box = TestBox::new();
    let daemon = a_box.start(&[host]).await;
    daemon.until(host, |view| view.signer == Signer::Local).await;
    let mut ids = Vec::new();
    for _ in 0..2 {
        let (chain, key) = FakeAuthority::new("own").pair(host);
        ids.push(daemon.certs.add(Chain::from_pem(&chain, &key).unwrap()).await.unwrap());
    }
    let mut view = daemon.certs.watch();
    let is_own = |view: &NameView| view.signer == Signer::Own && view.state == State::Valid;
    view.wait_for(|all| all.len() == 2 && all.iter().all(is_own)).await.unwrap();

    let error = daemon.certs.remove(host).await.unwrap_err().to_string();
    assert!(error.starts_with("2 certificates are for `shop.localhost`; say which, by its id: `"), "{error}");
    daemon.certs.remove(&ids[0].to_string()).await.unwrap();
    daemon.certs.remove(host).await.unwrap();
    daemon.until(host, |view| view.signer == Signer::Local).await;
}

#[tokio::test(start_paused = true)]
async fn the_certificate_of_an_authority_that_is_not_asked_any_more_is_replaced() {
    let mut a_box = TestBox::new();
    let daemon = a_box.start(&[NAME]).await;
    daemon.until_state(NAME, State::Valid).await;
    daemon.kill().await;
    a_box.authorities = vec![Arc::new(FakeAuthority::new("second").with_clock(Arc::clone(&a_box.clock)))];
    let daemon = a_box.start(&[NAME]).await;
    daemon.until(NAME, |view| view.signer == Signer::Authority(Some("second".to_owned()))).await;
}

#[tokio::test(start_paused = true)]
async fn only_so_many_orders_run_at_a_time_and_one_for_a_name() {
    let a_box = TestBox::new();
    let names: Vec<_> = (0..ORDERS_MAX + 5).map(|n| format!("{n:02}.example.com")).collect();
    let hosts: Vec<_> = names.iter().map(String::as_str).collect();
    a_box.authority().script(vec![Scripted::Hang; ORDERS_MAX]);
    let daemon = a_box.start(&hosts).await;
    a_box.authority().until_hanging(ORDERS_MAX).await;
    daemon.routes.publish(table(&hosts));
    let last = names.last().unwrap();
    assert_eq!(daemon.until(last, |_| true).await.state, State::Waiting);
    let seen: std::collections::BTreeSet<_> =
        a_box.authority().seen().into_iter().map(|seen| seen.names).collect();
    assert_eq!(seen.len(), ORDERS_MAX);
}

#[tokio::test(start_paused = true)]
async fn names_on_demand_are_ordered_when_the_app_knows_them() {
    let a_box = TestBox::new();
    a_box.vouched.lock().unwrap().push("customer.example.org".to_owned());
    let daemon = a_box.start(&[]).await;
    daemon.routes.publish(on_demand());
    daemon.demand.ask_for("stranger.example.org");
    daemon.demand.ask_for("customer.example.org");
    daemon.demand.ask_for("customer.example.org");
    daemon.until_state("customer.example.org", State::Valid).await;
    assert_eq!(a_box.authority().seen().len(), 1);
    assert!(!daemon.certs.view().iter().any(|view| view.name == "stranger.example.org"));
    daemon.kill().await;

    let daemon = a_box.start(&[]).await;
    daemon.until_state("customer.example.org", State::Unused).await;
    daemon.routes.publish(on_demand());
    daemon.until_state("customer.example.org", State::Valid).await;
    assert_eq!(a_box.authority().seen().len(), 1);
}
