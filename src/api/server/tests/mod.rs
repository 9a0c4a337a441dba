//! The permission matrix: every route by every kind of caller, as requests through the guards that stand before the handlers.
//!
//! [`EXPECTED`] says who may use a route. It is written by hand, so a new route without a row fails here.

mod events;

use std::collections::BTreeMap;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{ConnectInfo, Request};
use axum::http::header::AUTHORIZATION;
use axum::response::IntoResponse as _;
use futures_util::StreamExt as _;
use serde_json::Value;
use tempfile::TempDir;
use tower_service::Service as _;

use super::*;
use crate::api::Progress;
use crate::clock;
use crate::people::{Actor, NewToken, Role, Scope, Secret, SecretId, SecretKind, UserName};

/// Who may use a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum May {
    /// Anybody, without a token.
    Anybody,
    /// Any user, to look.
    Look,
    /// Any user, to change something.
    Change,
    /// Any user, with a token without limits.
    Oneself,
    Admin,
    Viewer,
    Collaborator,
    Owner,
}

use May::{Admin, Anybody, Change, Collaborator, Look, Oneself, Owner, Viewer};

/// Who may use which route; the last column says whether it is also for an app that is yet to be.
const EXPECTED: &[(&str, May, bool)] = &[
    ("GET /v1/health", Anybody, false),
    ("GET /v1/ca.pem", Anybody, false),
    ("GET /invite/{code}", Anybody, false),
    ("POST /v1/invites/redeem", Anybody, false),
    ("GET /v1/status", Look, false),
    ("GET /v1/apps", Look, false),
    ("GET /v1/traffic", Look, false),
    ("GET /v1/whoami", Look, false),
    // Of each app that is asked for, what `exports` itself says.
    ("GET /v1/exports", Look, false),
    ("POST /v1/exports", Change, false),
    ("POST /v1/static-base", Change, false),
    ("GET /v1/tokens", Oneself, false),
    ("POST /v1/tokens", Oneself, false),
    ("POST /v1/tokens/{token}/rotate", Oneself, false),
    ("DELETE /v1/tokens/{token}", Oneself, false),
    ("GET /v1/metrics", Admin, false),
    ("GET /v1/certs", Admin, false),
    ("POST /v1/certs", Admin, false),
    ("DELETE /v1/certs/{which}", Admin, false),
    ("POST /v1/certs/{which}/renew", Admin, false),
    ("GET /v1/users", Admin, false),
    ("POST /v1/users", Admin, false),
    ("PATCH /v1/users/{user}", Admin, false),
    ("DELETE /v1/users/{user}", Admin, false),
    ("GET /v1/invites", Admin, false),
    ("POST /v1/invites", Admin, false),
    ("DELETE /v1/invites/{invite}", Admin, false),
    ("GET /v1/events", Admin, false),
    ("GET /v1/hooks", Admin, false),
    ("POST /v1/hooks", Admin, false),
    ("DELETE /v1/hooks/{id}", Admin, false),
    ("POST /v1/hooks/{id}/test", Admin, false),
    ("GET /v1/hooks/{id}/deliveries", Admin, false),
    ("GET /v1/openapi.json", Anybody, false),
    ("GET /v1/apps/{app}", Viewer, false),
    ("GET /v1/apps/{app}/deploys/{release}", Viewer, false),
    ("GET /v1/apps/{app}/releases", Viewer, false),
    ("GET /v1/apps/{app}/releases/{release}", Viewer, false),
    ("GET /v1/apps/{app}/limits", Viewer, false),
    ("GET /v1/apps/{app}/autoscale", Viewer, false),
    ("GET /v1/apps/{app}/cron", Viewer, false),
    ("GET /v1/apps/{app}/cron/{job}/runs", Viewer, false),
    ("GET /v1/apps/{app}/domains", Viewer, false),
    ("GET /v1/apps/{app}/health", Viewer, false),
    ("GET /v1/apps/{app}/events", Viewer, false),
    ("POST /v1/apps/{app}/releases/{release}/push", Collaborator, false),
    ("POST /v1/apps/{app}/rollback", Collaborator, false),
    ("GET /v1/apps/{app}/config", Collaborator, false),
    ("PATCH /v1/apps/{app}/config", Collaborator, false),
    ("PATCH /v1/apps/{app}/limits", Collaborator, false),
    ("PATCH /v1/apps/{app}/health", Collaborator, false),
    ("GET /v1/apps/{app}/drains", Collaborator, false),
    ("POST /v1/apps/{app}/drains", Collaborator, false),
    ("DELETE /v1/apps/{app}/drains/{drain}", Collaborator, false),
    ("POST /v1/apps/{app}/runs", Collaborator, false),
    ("DELETE /v1/apps/{app}/runs/{slot}", Collaborator, false),
    ("POST /v1/apps/{app}/instances/{slot}/exec", Collaborator, false),
    ("GET /v1/apps/{app}/instances/{slot}/files", Collaborator, false),
    ("PUT /v1/apps/{app}/instances/{slot}/files", Collaborator, false),
    ("POST /v1/apps/{app}/instances/{slot}/ports/{port}", Collaborator, false),
    ("PATCH /v1/apps/{app}/formation", Collaborator, false),
    ("POST /v1/apps/{app}/restart", Collaborator, false),
    ("PUT /v1/apps/{app}/autoscale/{process}", Collaborator, false),
    ("DELETE /v1/apps/{app}/autoscale/{process}", Collaborator, false),
    ("POST /v1/apps/{app}/cron/{job}/runs", Collaborator, false),
    ("PUT /v1/apps/{app}/cron/{job}/suspended", Collaborator, false),
    ("DELETE /v1/apps/{app}/cron/{job}/suspended", Collaborator, false),
    ("POST /v1/apps/{app}/domains", Collaborator, false),
    ("DELETE /v1/apps/{app}/domains", Collaborator, false),
    ("DELETE /v1/apps/{app}/domains/{host}", Collaborator, false),
    ("PUT /v1/apps/{app}", Owner, true),
    ("GET /v1/apps/{app}/hooks", Owner, false),
    ("POST /v1/apps/{app}/hooks", Owner, false),
    ("DELETE /v1/apps/{app}/hooks/{id}", Owner, false),
    ("POST /v1/apps/{app}/hooks/{id}/test", Owner, false),
    ("GET /v1/apps/{app}/hooks/{id}/deliveries", Owner, false),
    ("GET /v1/apps/{app}/logs", Viewer, false),
    ("GET /v1/apps/{app}/proxy", Viewer, false),
    ("GET /v1/apps/{app}/access", Viewer, false),
    ("PATCH /v1/apps/{app}/proxy", Collaborator, false),
    ("POST /v1/apps/{app}/plan", Collaborator, true),
    ("GET /v1/apps/{app}/builds/{content}", Collaborator, true),
    ("POST /v1/apps/{app}/builds", Collaborator, true),
    ("POST /v1/apps/{app}/images", Collaborator, true),
    ("POST /v1/apps/{app}/deploys", Collaborator, true),
    ("DELETE /v1/apps/{app}/deploys/{release}", Collaborator, false),
    ("PUT /v1/apps/{app}/maintenance", Collaborator, false),
    ("DELETE /v1/apps/{app}/maintenance", Collaborator, false),
    ("PUT /v1/apps/{app}/pause", Collaborator, false),
    ("DELETE /v1/apps/{app}/pause", Collaborator, false),
    ("PATCH /v1/apps/{app}/canary", Collaborator, false),
    ("DELETE /v1/apps/{app}/canary", Collaborator, false),
    ("POST /v1/apps/{app}/canary/promote", Collaborator, false),
    ("DELETE /v1/apps/{app}", Owner, false),
    ("PUT /v1/apps/{app}/upstreams", Owner, true),
    ("PUT /v1/apps/{app}/access/{user}", Owner, false),
    ("DELETE /v1/apps/{app}/access/{user}", Owner, false),
    ("POST /v1/apps/{app}/transfer", Owner, false),
];

/// What each kind of caller gets, in the order of [`May`], for the app `shop`; and for an app that is yet to be.
const CALLERS: &[(&str, [u16; 8], u16)] = &[
    ("nobody", [200, 401, 401, 401, 401, 401, 401, 401], 401),
    ("nonsense", [200, 401, 401, 401, 401, 401, 401, 401], 401),
    ("unknown", [200, 401, 401, 401, 401, 401, 401, 401], 401),
    ("expired", [200, 401, 401, 401, 401, 401, 401, 401], 401),
    ("revoked", [200, 401, 401, 401, 401, 401, 401, 401], 401),
    ("member", [200, 200, 200, 200, 403, 404, 404, 404], 200),
    ("owner-of-blog", [200, 200, 200, 200, 403, 404, 404, 404], 200),
    ("viewer", [200, 200, 200, 200, 403, 200, 403, 403], 200),
    ("collaborator", [200, 200, 200, 200, 403, 200, 200, 403], 200),
    ("owner", [200, 200, 200, 200, 403, 200, 200, 200], 200),
    ("owner-read", [200, 200, 403, 403, 403, 200, 403, 403], 403),
    ("owner-of-shop-as-viewer", [200, 200, 403, 403, 403, 200, 403, 403], 404),
    ("owner-of-shop-as-collaborator", [200, 200, 200, 403, 403, 200, 200, 403], 404),
    ("owner-of-other", [200, 200, 200, 403, 403, 404, 404, 404], 404),
    ("admin", [200, 200, 200, 200, 200, 200, 200, 200], 200),
    ("admin-read", [200, 200, 403, 403, 403, 200, 403, 403], 403),
    ("admin-of-shop", [200, 200, 200, 403, 403, 200, 200, 403], 404),
    ("system", [200, 200, 200, 200, 200, 200, 200, 200], 200),
];

/// A box with the apps `shop` and `blog`, and one of each kind of caller.
struct World {
    people: People,
    key: DoorKey,
    tokens: BTreeMap<&'static str, String>,
    /// No two requests come from one address.
    requests: u32,
    _folder: TempDir,
}

impl World {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let people = People::in_folder(folder.path()).await;
        let shop: AppName = "shop".parse().unwrap();
        let mut world = Self {
            people: people.clone(),
            key: DoorKey::random(),
            tokens: BTreeMap::new(),
            requests: 0,
            _folder: folder,
        };
        for (name, is_admin) in [
            ("member", false),
            ("bob", false),
            ("vera", false),
            ("carl", false),
            ("olga", false),
            ("ada", true),
        ] {
            people.add_user(name.parse().unwrap(), is_admin).await.unwrap();
        }
        for (app, name, role) in [
            ("shop", "vera", Role::Viewer),
            ("shop", "carl", Role::Collaborator),
            ("shop", "olga", Role::Owner),
            ("blog", "bob", Role::Owner),
            ("blog", "olga", Role::Owner),
        ] {
            people.grant(&app.parse().unwrap(), &name.parse().unwrap(), role).await.unwrap();
        }
        let of_shop = |role| Scope::App(shop.clone(), role);
        let blog = Scope::App("blog".parse().unwrap(), Role::Owner);
        for (caller, name, scope) in [
            ("member", "member", Scope::All),
            ("owner-of-blog", "bob", Scope::All),
            ("viewer", "vera", Scope::All),
            ("collaborator", "carl", Scope::All),
            ("owner", "olga", Scope::All),
            ("owner-read", "olga", Scope::Read),
            ("owner-of-shop-as-viewer", "olga", of_shop(Role::Viewer)),
            ("owner-of-shop-as-collaborator", "olga", of_shop(Role::Collaborator)),
            ("owner-of-other", "olga", blog),
            ("admin", "ada", Scope::All),
            ("admin-read", "ada", Scope::Read),
            ("admin-of-shop", "ada", of_shop(Role::Collaborator)),
        ] {
            world.token(caller, name, scope, None).await;
        }
        world.tokens.insert("nonsense", "mp_nonsense".to_owned());
        world.tokens.insert("unknown", Secret::random(SecretKind::Token).reveal().to_string());
        let revoked = world.token("revoked", "ada", Scope::All, None).await;
        people.revoke_token(&revoked, None).await.unwrap();
        let soon = clock::now() + 100;
        world.token("expired", "ada", Scope::All, Some(soon)).await;
        while clock::now() <= soon {
            tokio::task::yield_now().await;
        }
        world
    }

    async fn token(
        &mut self,
        caller: &'static str,
        user: &str,
        scope: Scope,
        expires: Option<u64>,
    ) -> SecretId {
        let user: UserName = user.parse().unwrap();
        let wanted = NewToken { name: caller.to_owned(), scope, expires };
        let (token, secret) = self.people.add_token(&user, wanted).await.unwrap();
        self.tokens.insert(caller, secret.reveal().to_string());
        token.id
    }

    fn gate(&self) -> Gate {
        let apps = || ["shop", "blog"].map(|app| app.parse().unwrap()).to_vec();
        Gate::new(self.people.clone(), self.key.clone(), apps)
    }

    /// A request as this caller makes it.
    fn request(&mut self, caller: &str, method: &Method, path: &str) -> Request {
        self.requests += 1;
        let peer = match caller {
            "system" => Peer::System(Actor::named("root")),
            _ => Peer::Loopback,
        };
        let addr = std::net::Ipv4Addr::from(0x0a00_0000 + self.requests);
        let mut req = Request::builder().method(method).uri(path).extension(ConnectInfo(peer));
        if caller != "system" {
            req = req.header(DOOR_HEADER, self.key.value()).header("x-forwarded-for", addr.to_string());
        }
        if let Some(token) = self.tokens.get(caller) {
            req = req.header(AUTHORIZATION, format!("Bearer {token}"));
        }
        req.body(Body::empty()).unwrap()
    }
}

async fn answer(router: &Router, req: Request) -> (u16, String) {
    let answer = router.clone().call(req).await.unwrap();
    let status = answer.status().as_u16();
    let body = to_bytes(answer.into_body(), 1 << 20).await.unwrap();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

fn stubs() -> Vec<Endpoint<()>> {
    endpoints().iter().map(Endpoint::stubbed).collect()
}

fn name(endpoint: &Endpoint<()>) -> String {
    format!("{} {}", endpoint.method, endpoint.path)
}

/// The path with these in the place of what is in braces.
fn path_of(template: &str, app: &str) -> String {
    template.replace("{app}", app).replace(['{', '}'], "")
}

#[tokio::test]
async fn every_route_is_for_whom_it_is_meant_for() {
    let mut world = World::new().await;
    let router = endpoint::router(stubs(), &world.gate(), None);
    let expected: BTreeMap<_, _> = EXPECTED.iter().map(|(name, may, new)| (*name, (*may, *new))).collect();
    assert_eq!(expected.len(), EXPECTED.len(), "no route is expected twice");
    let mut problems = Vec::new();
    let (mut checked, mut numbers) = (0, 0..);
    for endpoint in stubs() {
        let name = name(&endpoint);
        let Some((may, is_for_new)) = expected.get(name.as_str()).copied() else {
            problems.push(format!("{name} has no row in EXPECTED: who may use it?"));
            continue;
        };
        assert_eq!(may >= Viewer, endpoint.path.contains("{app}"), "{name}");
        for (caller, statuses, of_new) in CALLERS {
            let req = world.request(caller, &endpoint.method, &path_of(endpoint.path, "shop"));
            let (status, body) = answer(&router, req).await;
            let wanted = statuses[may as usize];
            checked += 1;
            if status != wanted || (status == 200) != (body == "reached" || endpoint.method == Method::HEAD) {
                problems.push(format!("{name} by {caller}: {status}, not {wanted}: {body}"));
            }
            if may < Viewer {
                continue;
            }
            // No app of this name; each time another one, as whoever makes it owns it.
            let app = format!("new-{}", numbers.next().unwrap());
            let req = world.request(caller, &endpoint.method, &path_of(endpoint.path, &app));
            let (status, body) = answer(&router, req).await;
            let wanted =
                if is_for_new { *of_new } else { statuses[1].max(404 * u16::from(statuses[1] == 200)) };
            checked += 1;
            if status != wanted {
                problems.push(format!("{name} of no app by {caller}: {status}, not {wanted}: {body}"));
            }
        }
    }
    let names: Vec<_> = stubs().iter().map(name).collect();
    let gone = EXPECTED.iter().filter(|(name, ..)| !names.iter().any(|known| known == name));
    problems.extend(gone.map(|(name, ..)| format!("{name} is expected, and is no route")));
    assert!(problems.is_empty(), "{}", problems.join("\n"));
    assert!(checked > 1_000, "{checked}");
}

#[tokio::test]
async fn an_app_that_one_may_not_see_is_as_one_that_is_not_there() {
    let mut world = World::new().await;
    let router = endpoint::router(stubs(), &world.gate(), None);
    for caller in ["member", "owner-of-blog", "owner-of-other"] {
        for endpoint in stubs().iter().filter(|endpoint| endpoint.path.contains("{app}")) {
            if endpoint.creation != endpoint::Creation::No {
                continue;
            }
            let mut of = async |app: &str| {
                let req = world.request(caller, &endpoint.method, &path_of(endpoint.path, app));
                answer(&router, req).await
            };
            let (hidden, missing) = (of("shop").await, of("none").await);
            assert_eq!(hidden.0, 404);
            assert_eq!((hidden.0, hidden.1.replace("shop", "none")), missing, "{}", name(endpoint));
        }
    }
}

#[tokio::test]
async fn a_refusal_says_what_is_needed_and_who_can_give_it() {
    let mut world = World::new().await;
    let router = endpoint::router(stubs(), &world.gate(), None);
    let req = world.request("viewer", &Method::DELETE, "/v1/apps/shop");
    let (_, body) = answer(&router, req).await;
    let failure: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(failure["message"], "`vera` is viewer of `shop`, and this needs owner");
    let hint = "an owner (`olga`) can give it: `minipaas access add vera --role owner -a shop`";
    assert_eq!(failure["hints"][0], hint);
    let req = world.request("expired", &Method::GET, "/v1/apps");
    let (_, body) = answer(&router, req).await;
    assert!(body.contains("token-expired") && body.contains("minipaas login"), "{body}");
}

#[tokio::test]
async fn what_a_client_says_of_itself_makes_no_identity() {
    let mut world = World::new().await;
    let router = endpoint::router(stubs(), &world.gate(), None);
    let admin = world.tokens["admin"].clone();
    let plain = |world: &mut World| world.request("nobody", &Method::GET, "/v1/users");
    let mut tries = Vec::new();
    let mut with = |world: &mut World, name: &'static str, value: String| {
        let mut req = plain(world);
        req.headers_mut().append(name, value.parse().unwrap());
        tries.push(req);
    };
    for (header, value) in [
        ("x-forwarded-user", "ada"),
        ("x-remote-user", "root"),
        ("x-minipaas-user", "ada"),
        ("x-forwarded-for", "127.0.0.1"),
        ("forwarded", "for=127.0.0.1;by=unix"),
        ("cookie", admin.as_str()),
        ("proxy-authorization", &format!("Bearer {admin}")),
        ("authorization", &format!("Basic {admin}")),
        ("authorization", "Bearer"),
    ] {
        with(&mut world, header, value.to_owned());
    }
    // Which of two is meant is for nobody to guess.
    with(&mut world, "authorization", format!("Bearer {admin}"));
    tries.last_mut().unwrap().headers_mut().append(AUTHORIZATION, "Bearer x".parse().unwrap());
    let mut in_query = plain(&mut world);
    *in_query.uri_mut() = format!("/v1/users?access_token={admin}&token={admin}").parse().unwrap();
    tries.push(in_query);
    for req in tries {
        let shown = format!("{req:?}");
        assert_eq!(answer(&router, req).await.0, 401, "{shown}");
    }
    // Whoever reaches the listener past the proxy is nobody at all, token or not.
    for caller in ["admin", "nobody"] {
        for path in ["/v1/users", "/v1/health", "/v1/nothing"] {
            let mut req = world.request(caller, &Method::GET, path);
            req.headers_mut().insert(DOOR_HEADER, "guessed".parse().unwrap());
            assert_eq!(answer(&router, req).await.0, 403, "{caller} {path}");
        }
    }
    let nothing =
        [("/v1/nothing", Method::GET, 404), ("/v1/health", Method::POST, 405), ("/", Method::GET, 404)];
    for (path, method, status) in nothing {
        let req = world.request("nobody", &method, path);
        assert_eq!(answer(&router, req).await.0, 401, "{path}");
        let req = world.request("member", &method, path);
        assert_eq!(answer(&router, req).await.0, status, "{path}");
    }
}

#[tokio::test]
async fn wrong_tokens_are_counted_by_address_and_right_ones_are_not_kept_out() {
    let mut world = World::new().await;
    let router = endpoint::router(stubs(), &world.gate(), None);
    let mut from_one = async |caller: &str| {
        let mut req = world.request(caller, &Method::GET, "/v1/apps");
        req.headers_mut().insert("x-forwarded-for", "192.0.2.1".parse().unwrap());
        answer(&router, req).await.0
    };
    let mut refused = 0;
    for _ in 0..40 {
        refused += u32::from(from_one("unknown").await == 429);
    }
    assert!((15..=20).contains(&refused), "{refused}");
    assert_eq!(from_one("member").await, 200);
    assert_eq!(from_one("nobody").await, 401);
    let elsewhere = world.request("unknown", &Method::GET, "/v1/apps");
    assert_eq!(answer(&router, elsewhere).await.0, 401);
}

#[tokio::test]
async fn a_stream_ends_with_the_right_to_read_it() {
    let mut world = World::new().await;
    let endless = |path| {
        let handler = || async {
            let lines = futures_util::stream::repeat(()).then(|()| async {
                tokio::time::sleep(Duration::from_millis(5)).await;
                Ok::<_, std::convert::Infallible>("{\"line\":1}\n")
            });
            ([("content-type", stream::NDJSON)], Body::from_stream(lines)).into_response()
        };
        Endpoint::<()>::new(Method::GET, path, Needs::OfApp(Role::Viewer), "Go on for ever", handler)
    };
    let new = endless("/v1/apps/{app}/new").before_creation();
    let router = endpoint::router(vec![endless("/v1/apps/{app}/stream"), new], &world.gate(), None);
    let req = world.request("member", &Method::GET, "/v1/apps/yet-to-be/new");
    let chunks = router.clone().call(req).await.unwrap().into_body().into_data_stream();
    let lines: Vec<_> = chunks.take(5).map(Result::unwrap).collect().await;
    assert!(lines.iter().all(|line| line == "{\"line\":1}\n"), "{lines:?}");
    let last_line = async |router: &Router, req: Request, end: &dyn Fn() -> tokio::task::JoinHandle<()>| {
        let answer = router.clone().call(req).await.unwrap();
        assert_eq!(answer.status(), 200);
        let mut chunks = answer.into_body().into_data_stream();
        assert_eq!(chunks.next().await.unwrap().unwrap(), "{\"line\":1}\n");
        end().await.unwrap();
        let mut last = None;
        while let Some(chunk) = chunks.next().await {
            last = Some(chunk.unwrap());
        }
        match serde_json::from_slice::<Progress>(&last.unwrap()).unwrap() {
            Progress::Failed { failure } => failure.code,
            other => panic!("{other:?}"),
        }
    };
    let people = world.people.clone();
    let demote = || {
        let people = people.clone();
        tokio::spawn(async move {
            people.withdraw_grant(&"shop".parse().unwrap(), &"carl".parse().unwrap()).await.unwrap();
        })
    };
    let req = world.request("collaborator", &Method::GET, "/v1/apps/shop/stream");
    assert_eq!(last_line(&router, req, &demote).await, "forbidden");
    let id: Secret = world.tokens["viewer"].parse().unwrap();
    let revoke = || {
        let (people, id) = (people.clone(), id.id().clone());
        tokio::spawn(async move { people.revoke_token(&id, None).await.unwrap() })
    };
    let req = world.request("viewer", &Method::GET, "/v1/apps/shop/stream");
    assert_eq!(last_line(&router, req, &revoke).await, "unauthenticated");
    world.token("short", "olga", Scope::All, Some(clock::now() + 300)).await;
    let req = world.request("short", &Method::GET, "/v1/apps/shop/stream");
    assert_eq!(last_line(&router, req, &|| tokio::spawn(async {})).await, "token-expired");
}
