//! Settings of the proxy by command: they hold at once, outlive the daemon and every deploy, and open nothing.

use std::sync::Arc;

use minipaas::controller::{DeployError, Layer, ProxyChange, ProxyEdit, ProxyError, ProxySettings};
use minipaas::manifest::{Settings, setting};
use minipaas::policy::Policy;

use super::SECOND;
use super::world::{Daemon, World};

const HASH: &str = "$2y$05$c4WoMPo3SXsafkva.HHa6uXQZWr7oboPiC2bT/r7q1BB8I2s0BRqC";
const ADMIN: &str =
    "[proxy]\nretries = 2\n[[route]]\npath = \"/admin\"\n[route.proxy]\nallow = [\"10.0.0.0/8\"]\n";

fn policy(daemon: &Daemon, path: &str) -> Arc<Policy> {
    let live = daemon.routes.load();
    Arc::clone(&live.table().find("shop.localhost", path).expect("the app has a route").1.policy)
}

fn change(route: Option<&str>, edit: ProxyEdit) -> Option<ProxyChange> {
    Some(ProxyChange { route: route.map(|path| (None, path.parse().unwrap())), edit })
}

fn set<const N: usize>(route: Option<&str>, typed: [&str; N]) -> Option<ProxyChange> {
    let values = typed.map(|text| setting(text).unwrap()).into();
    change(route, ProxyEdit::Set(Settings { values, ..Settings::default() }))
}

fn unset(route: Option<&str>, key: &str) -> Option<ProxyChange> {
    change(route, ProxyEdit::Unset(vec![key.to_owned()]))
}

fn user(name: &str, hash: Option<&str>) -> Option<ProxyChange> {
    change(None, ProxyEdit::User { user: name.to_owned(), hash: hash.map(str::to_owned) })
}

/// Key, value and origin of whatever nobody left at its default.
fn said(settings: &ProxySettings) -> Vec<String> {
    let everywhere = settings.app.iter().map(|one| (String::new(), one));
    let on_routes =
        settings.routes.iter().flat_map(|((_, path), all)| all.iter().map(|one| (path.to_string(), one)));
    let all = everywhere.chain(on_routes).filter(|(_, one)| one.from != Layer::Default);
    all.map(|(at, one)| format!("{at} {} = {} ({:?})", one.key, one.value, one.from).trim_start().to_owned())
        .collect()
}

#[test]
fn a_setting_holds_at_once_and_outlives_the_daemon_and_a_deploy() {
    let mut world = World::new();
    world.life(async |daemon| {
        daemon.deploy("shop", "").await.unwrap();
        daemon.proxy("shop", set(None, ["body_max=1K", "https_redirect=false"])).await.unwrap();
        assert_eq!((policy(daemon, "/").body_max, policy(daemon, "/").https_redirect), (Some(1024), false));
        assert_eq!(daemon.releases("shop").await, ["v1 active"], "no release is made of it");
        daemon.deploy("shop", SECOND).await.unwrap();
        assert_eq!(policy(daemon, "/").body_max, Some(1024));
        daemon.engine.disconnect();
    });
    world.life(async |daemon| {
        assert_eq!(policy(daemon, "/").body_max, Some(1024), "before the engine is asked");
        daemon.proxy("shop", unset(None, "body_max")).await.unwrap();
        daemon.proxy("shop", set(None, ["retries=4"])).await.unwrap();
        let now = policy(daemon, "/");
        assert_eq!((now.body_max, now.retries, daemon.upstreams("shop.localhost").len()), (None, 4, 1));
        daemon.engine.reconnect();
        daemon.settle().await;
        daemon.check_settled(&["shop"]).await;
        assert_eq!((policy(daemon, "/").retries, policy(daemon, "/").https_redirect), (4, false));
        daemon.proxy("shop", change(None, ProxyEdit::Reset)).await.unwrap();
        assert_eq!(*policy(daemon, "/"), Policy::default());
    });
}

#[test]
fn what_a_command_closes_stays_closed_in_every_table_of_a_restart() {
    let mut world = World::new();
    world.life(async |daemon| {
        daemon.deploy("shop", ADMIN).await.unwrap();
        daemon.proxy("shop", user("ann", Some(HASH))).await.unwrap();
        daemon.proxy("shop", set(Some("/admin"), ["deny=[\"10.9.0.0/16\"]"])).await.unwrap();
    });
    world.life(async |daemon| {
        let is_closed = |daemon: &Daemon| {
            ["/", "/admin"].iter().all(|path| policy(daemon, path).basic_auth.len() == 1)
                && policy(daemon, "/admin").access.deny.len() == 1
                && policy(daemon, "/").access.deny.is_empty()
        };
        assert!(is_closed(daemon), "the table of the last process");
        let (routes, stop) = (daemon.routes.clone(), tokio_util::sync::CancellationToken::new());
        let stopped = stop.clone();
        let watching = tokio::spawn(async move {
            let mut changed = routes.subscribe();
            let mut tables = 0;
            loop {
                let live = changed.borrow_and_update().clone();
                let all = live.table().routes();
                assert!(all.iter().all(|route| route.policy.basic_auth.len() == 1), "{all:?}");
                tables += 1;
                tokio::select! { _ = changed.changed() => {} () = stopped.cancelled() => return tables }
            }
        });
        daemon.recovered().await;
        daemon.deploy("shop", &format!("{ADMIN}[env]\nN = \"2\"\n")).await.unwrap();
        daemon.settle().await;
        stop.cancel();
        assert!(watching.await.unwrap() > 1);
        assert!(is_closed(daemon));
        daemon.check_settled(&["shop"]).await;
    });
}

#[test]
fn settings_are_shown_with_who_said_so() {
    World::new().life(async |daemon| {
        daemon.deploy("shop", ADMIN).await.unwrap();
        daemon.proxy("shop", set(None, ["body_max=20M"])).await.unwrap();
        daemon.proxy("shop", user("ann", Some(HASH))).await.unwrap();
        let settings = daemon.proxy("shop", set(Some("/admin"), ["retries=3"])).await.unwrap();
        assert_eq!(
            said(&settings),
            [
                "basic_auth = { \"ann\" = \"***\" } (Command)",
                "body_max = \"20M\" (Command)",
                "retries = 2 (Manifest)",
                "/admin allow = [\"10.0.0.0/8\"] (Manifest)",
                "/admin retries = 3 (Command)",
            ]
        );
        assert_eq!(daemon.proxy("shop", None).await.unwrap(), settings);
    });
}

#[test]
fn values_are_shown_as_they_were_written() {
    World::new().life(async |daemon| {
        let toml = "[proxy]\nbody_max = \"512K\"\ncompress = [\n  \"br\",\n]\nhsts = { max_age = \"1y\" }\n";
        daemon.deploy("shop", toml).await.unwrap();
        let settings = daemon.proxy("shop", set(None, ["rate_limit=10/1m", "timeout=90s"])).await.unwrap();
        assert_eq!(
            said(&settings),
            [
                "hsts = { max_age = \"1y\" } (Manifest)",
                "rate_limit = \"10/1m\" (Command)",
                "body_max = \"512K\" (Manifest)",
                "compress = [\"br\"] (Manifest)",
                "timeout = \"90s\" (Command)",
            ]
        );
    });
}

#[test]
fn a_canonical_host_is_one_that_the_app_has() {
    World::new().life(async |daemon| {
        let canonical = "[proxy]\ncanonical_host = \"www.example.com\"\n";
        let error = daemon.deploy("shop", canonical).await.unwrap_err();
        assert!(matches!(error, DeployError::CanonicalHost(_)), "{error:?}");
        let routed = format!("{canonical}[[route]]\nhost = \"www.example.com\"\n");
        daemon.deploy("shop", &routed).await.unwrap();
    });
}

#[test]
fn what_does_not_fit_any_more_is_kept_and_told() {
    World::new().life(async |daemon| {
        daemon.deploy("shop", ADMIN).await.unwrap();
        daemon.proxy("shop", set(Some("/admin"), ["body_max=1K"])).await.unwrap();
        daemon.proxy("shop", set(None, ["connect_timeout=10s"])).await.unwrap();
        daemon.deploy("shop", "[proxy]\ntimeout = \"8s\"\n").await.unwrap();
        let settings = daemon.proxy("shop", None).await.unwrap();
        let ignored: Vec<_> =
            settings.ignored.iter().map(|one| (one.key.as_str(), one.reason.as_str())).collect();
        let never =
            "`connect_timeout` is 10s and can never pass, because `timeout` ends the whole request after 8s";
        assert_eq!(
            ignored,
            [("connect_timeout", never), ("body_max", "the app has no route `shop.localhost/admin` now")]
        );
        assert_eq!(said(&settings), ["timeout = \"8s\" (Manifest)"]);
        assert_eq!(policy(daemon, "/").timeouts.connect.as_secs(), 5);
        // What is ignored already is in nobody's way, and comes back with a manifest that it fits.
        daemon.proxy("shop", set(None, ["retries=3"])).await.unwrap();
        daemon.deploy("shop", ADMIN).await.unwrap();
        assert_eq!(policy(daemon, "/admin").body_max, Some(1024));
        assert_eq!(policy(daemon, "/").timeouts.connect.as_secs(), 10);
        daemon.deploy("shop", SECOND).await.unwrap();
        let settings = daemon.proxy("shop", unset(Some("/admin"), "body_max")).await.unwrap();
        assert_eq!(settings.ignored, [], "it can be taken back without its route");
    });
}

#[test]
fn a_refused_setting_changes_nothing() {
    World::new().life(async |daemon| {
        daemon.deploy("shop", ADMIN).await.unwrap();
        daemon.proxy("shop", set(None, ["timeout=30s"])).await.unwrap();
        let before = daemon.proxy("shop", None).await.unwrap();
        let refused = async |change: Option<ProxyChange>| -> (String, Vec<String>) {
            let error: ProxyError = daemon.proxy("shop", change).await.unwrap_err();
            (error.to_string(), error.hints())
        };
        let (said, hints) = refused(set(None, ["retries=3", "body_mx=1"])).await;
        assert_eq!(
            (said.as_str(), hints),
            ("unknown key `body_mx` in [proxy]", vec!["did you mean `body_max`?".to_owned()])
        );
        let (said, _) = refused(set(None, ["connect_timeout=40s"])).await;
        assert!(said.starts_with("`connect_timeout` is 40s and can never pass"), "{said}");
        let (said, hints) = refused(set(None, ["body_max=20X"])).await;
        let rule = "`20X` is not a size; write a number with `K`, `M` or `G`, such as `256M`";
        assert_eq!(said, format!("`body_max`: {rule}"));
        assert_eq!(hints, ["such as `minipaas proxy set body_max=20M`"]);
        let (said, hints) = refused(set(None, ["canonical_host=www.example.com"])).await;
        assert!(
            said.starts_with("`canonical_host` is `www.example.com`, which is no host of the app"),
            "{said}"
        );
        assert_eq!(hints[1], "the app has `shop.localhost`");
        let (said, hints) = refused(set(Some("/admn"), ["retries=3"])).await;
        assert_eq!(said, "app `shop` has no route `shop.localhost/admn`");
        assert_eq!(hints, ["it has `shop.localhost/`, `shop.localhost/admin`"]);
        assert_eq!(refused(unset(None, "body_mx")).await.0, "`body_mx` is no key of [proxy]");
        assert_eq!(refused(user("ann", None)).await.0, "`basic_auth` has no user `ann`");
        let (said, _) = refused(user("a:b", Some(HASH))).await;
        assert_eq!(said, "`basic_auth`: `a:b` is not a user's name; it has no colon");
        daemon.proxy("shop", user("ann", Some(HASH))).await.unwrap();
        assert!(refused(user("ann", None)).await.0.starts_with("`ann` is the only user"));
        daemon.proxy("shop", user("bob", Some(HASH))).await.unwrap();
        assert_eq!(policy(daemon, "/").basic_auth.len(), 2);
        daemon.proxy("shop", user("bob", None)).await.unwrap();
        daemon.proxy("shop", unset(None, "basic_auth")).await.unwrap();
        assert_eq!(daemon.proxy("shop", None).await.unwrap(), before);
        let error = daemon.proxy("blog", None).await.unwrap_err();
        assert_eq!(error.to_string(), "there is no app `blog`");
    });
}
