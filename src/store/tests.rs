//! A store in a temporary folder: what is there after a write, and after it was opened again.

use std::sync::Arc;
use std::time::Duration;

use super::{AppRecord, LockError, STICKY_KEY, Store, StoreError};
use crate::certs::{NameRecord, OpenOrder, Problem, Renewal};
use crate::environment::{Environment, EnvironmentChange, Kind, Variable};
use crate::manifest::{ProbeKind, ProbeSetting, Source};
use crate::name::{AppName, ReleaseId};
use crate::people::Actor;
use crate::release::{Build, ProcessLimits, Release, ReleaseState, Revision};
use crate::rollout::{Phase, RolloutRecord};
use crate::route::{Maintenance, Mode, Share};
use crate::seal::BoxKey;
use crate::traffic::StickyKey;

fn app(current: Option<u64>) -> AppRecord {
    AppRecord {
        current: current.and_then(ReleaseId::from_number),
        last: ReleaseId::from_number(2),
        origin: "/home/ann/shop".to_owned(),
        ..AppRecord::new(name())
    }
}

fn name() -> AppName {
    "shop".parse().unwrap()
}

fn release(number: u64, state: ReleaseState) -> Release {
    let build = Build {
        image: "sha256:1".to_owned(),
        reference: "shop:1".to_owned(),
        content: Some("abc".to_owned()),
        exposed_ports: vec![80],
        has_healthcheck: true,
        has_command: true,
    };
    let source = Source { toml: Some("app = \"shop\"".to_owned()), ..Source::default() };
    let release = Release::new(name(), ReleaseId::from_number(number).unwrap(), build, source);
    Release { created_at: 1_700_000_000_000, state, ..release }
}

#[tokio::test]
async fn what_was_acknowledged_is_there_after_a_reopening() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let id = store.box_id().clone();
    let key = store.sticky_key(&BoxKey::new(&[7; 32])).unwrap();
    store.append_release(&app(None), &release(1, ReleaseState::Pending), Phase::Starting).await.unwrap();
    store.switch(&app(None), &release(1, ReleaseState::Pending), None).await.unwrap();
    store.append_release(&app(Some(1)), &release(2, ReleaseState::Pending), Phase::Starting).await.unwrap();
    drop(store);

    let store = Store::open(dir.path()).unwrap();
    assert_eq!(store.box_id(), &id);
    assert_eq!(store.sticky_key(&BoxKey::new(&[7; 32])).unwrap(), key);
    let snapshot = store.snapshot().await.unwrap();
    assert_eq!(snapshot.apps, [app(Some(1))]);
    assert_eq!(snapshot.releases, [release(1, ReleaseState::Active), release(2, ReleaseState::Pending)]);
    let phases: Vec<_> =
        snapshot.rollouts.iter().map(|rollout| (rollout.release.number(), rollout.phase)).collect();
    assert_eq!(phases, [(1, Phase::Switching), (2, Phase::Starting)]);
}

#[test]
fn a_sticky_key_that_was_kept_unsealed_is_made_anew() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    // As 0.1.0 kept it.
    store.db.insert(STICKY_KEY, &[9; 32]).unwrap();
    let key = BoxKey::new(&[7; 32]);
    let made = store.sticky_key(&key).unwrap();
    assert_ne!(made, StickyKey::new([9; 32]));
    assert_eq!(store.sticky_key(&key).unwrap(), made);
    let kept = store.db.get(STICKY_KEY).unwrap().unwrap();
    assert_ne!(kept.as_ref(), [9; 32]);
    assert_ne!(store.sticky_key(&BoxKey::new(&[8; 32])).unwrap(), made, "another box's");
}

#[tokio::test]
async fn what_an_operator_wants_of_the_traffic_survives() {
    let dir = tempfile::tempdir().unwrap();
    let closed = Maintenance {
        allow: vec!["10.0.0.0/8".parse().unwrap(), "2001:db8::/32".parse().unwrap()],
        cookie: Some(Maintenance::digest(b"secret")),
        page: Some("<h1>back soon</h1>".into()),
        retry_after: Some(Duration::from_secs(300)),
        health_path: Some("/healthz".to_owned()),
    };
    let header = ("x-beta".parse().unwrap(), Some("yes".parse().unwrap()));
    let share = Share { percent: 10, cookie: Some("beta".to_owned()), header: Some(header) };
    let paused = Mode::Paused { wait: Duration::from_millis(1500) };
    for mode in [Mode::Maintenance(Arc::new(closed)), paused, Mode::Open] {
        let record = AppRecord { mode, canary: Some(share.clone()), ..app(Some(1)) };
        let store = Store::open(dir.path()).unwrap();
        store.save_app(&record).await.unwrap();
        drop(store);
        let store = Store::open(dir.path()).unwrap();
        assert_eq!(store.snapshot().await.unwrap().apps, [record]);
    }
}

#[tokio::test]
async fn a_switch_that_is_taken_back_is_one_step() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let (old, new) = (release(1, ReleaseState::Superseded), release(2, ReleaseState::Active));
    store.append_release(&app(Some(1)), &new, Phase::Starting).await.unwrap();
    store.switch(&app(Some(1)), &new, Some(&old)).await.unwrap();
    let failed = release(2, ReleaseState::Failed { reason: "it errs".to_owned() });
    store.flip_back(&app(Some(2)), &old, &failed).await.unwrap();
    let snapshot = store.snapshot().await.unwrap();
    assert_eq!(snapshot.apps, [app(Some(1))]);
    assert_eq!(snapshot.releases, [release(1, ReleaseState::Active), failed]);
    assert!(snapshot.rollouts.is_empty());
}

#[tokio::test]
async fn a_failed_release_keeps_its_reason_and_its_number() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    store.append_release(&app(None), &release(2, ReleaseState::Pending), Phase::Starting).await.unwrap();
    let failed = release(2, ReleaseState::Failed { reason: "exit code 1".to_owned() });
    store.fail_release(&failed).await.unwrap();
    let snapshot = store.snapshot().await.unwrap();
    assert_eq!(snapshot.releases, [failed]);
    assert_eq!(snapshot.apps[0].last, ReleaseId::from_number(2));
    assert!(snapshot.rollouts.is_empty());
}

#[tokio::test]
async fn a_removed_app_leaves_nothing_and_touches_no_other() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let longer = AppRecord { name: "shop-2".parse().unwrap(), ..app(None) };
    store.append_release(&app(None), &release(1, ReleaseState::Pending), Phase::Starting).await.unwrap();
    store
        .append_release(
            &longer,
            &Release { app: longer.name.clone(), ..release(1, ReleaseState::Pending) },
            Phase::Starting,
        )
        .await
        .unwrap();
    store
        .set_phase(&RolloutRecord { app: name(), release: ReleaseId::FIRST, phase: Phase::AwaitingReadiness })
        .await
        .unwrap();
    store.remove_app(&app(None)).await.unwrap();
    let snapshot = store.snapshot().await.unwrap();
    assert_eq!(snapshot.apps, [longer]);
    assert_eq!(snapshot.removed.get(&name()).copied(), ReleaseId::from_number(2), "no number is given twice");
    assert_eq!((snapshot.releases.len(), snapshot.rollouts.len()), (1, 1));
}

#[test]
fn the_lock_names_its_holder() {
    let dir = tempfile::tempdir().unwrap();
    let _store = Store::open(dir.path()).unwrap();
    let error = Store::open(dir.path()).unwrap_err();
    let StoreError::Locked(LockError::Held { holder, .. }) = error else { panic!("{error}") };
    assert_eq!(holder, std::process::id().to_string());
    assert_eq!(super::Lock::holder(&dir.path().join("minipaas.lock")), Some(std::process::id()));
}

#[test]
fn records_of_every_version_there_was_are_read() {
    let fixtures = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/store");
    let read = |name: &str| std::fs::read(fixtures.join(name)).unwrap();
    assert_eq!(super::record::app("app/shop", &read("app.v1.json"), None).unwrap(), app(Some(1)));
    let closed = super::record::app("app/shop", &read("app.v1.maintenance.json"), None).unwrap();
    let Mode::Maintenance(closed) = closed.mode else { panic!("{closed:?}") };
    assert!(closed.is_passed_by(b"secret"));
    let bytes = read("app.v1.external.json");
    let legacy = super::record::app("app/legacy", &bytes, None).unwrap();
    let upstreams = &legacy.external.as_ref().unwrap().upstreams;
    assert_eq!(upstreams[&3].to_string(), "http://app.internal");
    assert_eq!(
        String::from_utf8(super::record::from_app(&legacy, None).unwrap()),
        Ok(String::from_utf8(bytes).unwrap().trim_end().to_owned())
    );
    assert_eq!(
        super::record::release("release/shop/1", &read("release.v1.json"), None).unwrap(),
        release(1, ReleaseState::Active)
    );
    let mut with_files = release(1, ReleaseState::Active);
    with_files.source.files.insert("errors/404.html".to_owned(), "<p>gone</p>".to_owned());
    let bytes = read("release.v1.files.json");
    assert_eq!(super::record::release("release/shop/1", &bytes, None).unwrap(), with_files);
    let again = super::record::from_release(&with_files, None).unwrap();
    assert_eq!(super::record::release("release/shop/1", &again, None).unwrap(), with_files);
    let removed = super::record::removed("removed/shop", &read("removed.v1.json")).unwrap();
    assert_eq!(removed, (name(), ReleaseId::from_number(2).unwrap()));
    let bytes = read("app.v1.proxy.json");
    let with_settings = super::record::app("app/shop", &bytes, None).unwrap();
    let (proxy, route) =
        (&with_settings.proxy, ("shop.localhost".parse().unwrap(), "/admin".parse().unwrap()));
    assert_eq!(proxy.keys().into_iter().collect::<Vec<_>>(), ["allow", "body_max", "error_pages"]);
    assert_eq!((proxy.app.files.len(), proxy.routes[&route].values.len()), (1, 1));
    let again = super::record::from_app(&with_settings, None).unwrap();
    assert_eq!(super::record::app("app/shop", &again, None).unwrap(), with_settings);
    let with_domains = super::record::app("app/shop", &read("app.v1.domains.json"), None).unwrap();
    let domains: Vec<_> =
        with_domains.domains.iter().map(|one| format!("{} {} {}", one.host, one.by, one.at)).collect();
    assert_eq!(domains, ["shop.example.com ann 1767225600123", "*.example.org somebody 1767225600124"]);
    let again = super::record::from_app(&with_domains, None).unwrap();
    assert_eq!(super::record::app("app/shop", &again, None).unwrap(), with_domains);
    let rollout = super::record::rollout("rollout/shop/1", &read("rollout.v1.json")).unwrap();
    assert_eq!(rollout.phase, Phase::AwaitingReadiness);
    let canary = super::record::rollout("rollout/shop/2", &read("rollout.v1.canary.json")).unwrap();
    assert_eq!(canary.phase, Phase::Canary);
    assert_eq!(super::record::table("table", &read("table.v1.json")).unwrap().routes().len(), 1);
}

#[test]
fn what_config_has_set_is_kept_sealed() {
    let key = BoxKey::new(&[7; 32]);
    let name: crate::environment::VariableName = "TOKEN".parse().unwrap();
    let variable = Variable::new(&name, "hunter2".to_owned(), Kind::Secret).unwrap();
    let limits = ProcessLimits { memory: Some(crate::manifest::Bytes(1 << 28)), cpu: None };
    let kept = Release {
        environment: Arc::new(Environment::new([(name.clone(), variable.clone())])),
        limits: [("web".parse().unwrap(), limits)].into(),
        by: Actor::named("ann"),
        summary: "added TOKEN".to_owned(),
        revision: Some(Revision { commit: "1f2e".to_owned(), subject: "Sell".to_owned(), is_dirty: true }),
        copy_of: Some(ReleaseId::FIRST),
        settled_at: Some(1_700_000_001_000),
        ..release(2, ReleaseState::Active)
    };
    let bytes = super::record::from_release(&kept, Some(&key)).unwrap();
    let text = String::from_utf8(bytes.clone()).unwrap();
    assert!(!text.contains("hunter2") && !text.contains("\"TOKEN\""), "{text}");
    let other = BoxKey::new(&[8; 32]);
    let read = |bytes: &[u8], key| super::record::release("release/shop/2", bytes, key);
    assert_eq!(read(&bytes, Some(&key)).unwrap(), kept);
    assert!(read(&bytes, None).is_err() && read(&bytes, Some(&other)).is_err());
    // One release's variables are not another's.
    assert!(read(text.replace("\"id\":2", "\"id\":3").as_bytes(), Some(&key)).is_err());
    let fixture = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/store/release.v1.config.json");
    assert_eq!(read(&std::fs::read(fixture).unwrap(), Some(&key)).unwrap(), kept);

    let staged = EnvironmentChange { set: [(name.clone(), variable)].into(), unset: [name].into() };
    let record = AppRecord { staged, ..app(None) };
    let bytes = super::record::from_app(&record, Some(&key)).unwrap();
    assert_eq!(super::record::app("app/shop", &bytes, Some(&key)).unwrap(), record);
}

#[test]
fn probes_that_commands_have_set_are_kept_in_their_words() {
    let setting = |kind, text| (kind, ProbeSetting::parse(kind, text).unwrap());
    let probes =
        [setting(ProbeKind::Ready, "{ http = \"/up\", interval = \"5s\" }"), setting(ProbeKind::Live, "off")];
    let kept = Release {
        probes: [("web".parse().unwrap(), probes.into())].into(),
        by: Actor::named("ann"),
        summary: "changed probes of web".to_owned(),
        ..release(3, ReleaseState::Active)
    };
    let bytes = super::record::from_release(&kept, None).unwrap();
    let read = |bytes: &[u8]| super::record::release("release/shop/3", bytes, None);
    assert_eq!(read(&bytes).unwrap(), kept);
    let fixture = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/store/release.v1.probes.json");
    assert_eq!(read(&std::fs::read(fixture).unwrap()).unwrap(), kept);
    let broken = String::from_utf8(bytes).unwrap().replace("\"off\"", "\"on\"");
    assert!(read(broken.as_bytes()).unwrap_err().to_string().contains("`live` is not TOML"));
}

#[test]
fn a_record_of_a_newer_version_is_refused() {
    let error = super::record::app("app/shop", br#"{"version":99,"name":"shop"}"#, None).unwrap_err();
    assert!(error.to_string().contains("a newer minipaas wrote"), "{error}");
}

#[tokio::test]
async fn a_name_and_its_order_are_remembered_until_they_are_forgotten() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let plain = NameRecord::new("a.example.com");
    let full = NameRecord {
        failures: 3,
        next_try: Some(17),
        tried_with: "pebble".to_owned(),
        problem: Some(Problem { kind: "caa".to_owned(), message: "no".to_owned(), at: 16 }),
        issued: Some(14),
        renewal: Some(Renewal {
            certificate: "0123456789abcdef".parse().unwrap(),
            window: 18..19,
            check_at: 20,
            explanation: Some("https://example.com/why".to_owned()),
        }),
        unwanted_since: Some(15),
        is_demanded: true,
        ..NameRecord::new("*.example.com")
    };
    store.save_certificate_name(&plain).await.unwrap();
    store.save_certificate_name(&full).await.unwrap();
    let order = OpenOrder { authority: "pebble".to_owned(), url: None, key: vec![0, 255] };
    store.save_certificate_order("*.example.com", &order).await.unwrap();
    store.save_certificate_order("a.example.com", &order).await.unwrap();
    store.remove_certificate_order("a.example.com").await.unwrap();
    store.save_acme_account("https://ca.example/directory", b"sealed").await.unwrap();
    drop(store);

    let store = Store::open(dir.path()).unwrap();
    assert_eq!(store.certificate_names().await.unwrap(), [full, plain.clone()]);
    let account = store.acme_account("https://ca.example/directory").await.unwrap();
    assert_eq!(account.as_deref(), Some(&b"sealed"[..]));
    assert_eq!(store.acme_account("https://other.example/directory").await.unwrap(), None);
    assert_eq!(store.certificate_order("*.example.com").await.unwrap(), Some(order));
    assert_eq!(store.certificate_order("a.example.com").await.unwrap(), None);
    assert_eq!(store.certificate_orders().await.unwrap(), ["*.example.com"]);
    store.remove_certificate_name("*.example.com").await.unwrap();
    assert_eq!(store.certificate_order("*.example.com").await.unwrap(), None);
    assert_eq!(store.certificate_names().await.unwrap(), [plain]);
}
