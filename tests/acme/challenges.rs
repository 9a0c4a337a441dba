use super::*;
use crate::support::client::{Client, get};

#[tokio::test(flavor = "multi_thread")]
async fn each_kind_proves_a_name() {
    let world = World::new().await;
    for (kind, name) in [(HTTP, "http.example.com"), (TLS, "tls.example.com"), (DNS, "dns.example.com")] {
        world
            .issue(&[name], &[kind])
            .await
            .unwrap_or_else(|error| panic!("{kind}: {error}\n{}", world.pebble.log()));
    }
    assert_eq!(world.notes.orders(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wildcard_takes_dns_01_and_its_domain_the_best_kind() {
    let world = World::new().await;
    world.issue(&["example.com", "*.example.com"], &[HTTP, DNS]).await.unwrap();
    let log = world.pebble.log();
    assert!(log.contains("Attempting to validate w/ HTTP: http://example.com"), "{log}");
    world.issue(&["example.org", "*.example.org"], &[DNS]).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_kind_is_tried_when_one_fails() {
    let closed = nobody().await;
    let world = World::with(|options| options.ports.0 = closed.port()).await;
    world.issue(&["blog.example.com"], &[HTTP, TLS, DNS]).await.unwrap();
    assert_eq!(world.notes.orders(), 2, "one for each kind that was tried");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_proved_is_not_proved_again() {
    let world = World::with(|options| options.proofs_reused = 100).await;
    world.issue(&["blog.example.com"], &[HTTP]).await.unwrap();
    let unanswered = Post::new(Challenges::default(), None);
    let request = request(&["blog.example.com"], &[HTTP]);
    let issued = world.authority().issue(&request, &world.notes, &unanswered).await.unwrap();
    check(&request, &issued);
}

#[tokio::test]
async fn a_token_is_answered_before_any_route_and_others_are_the_apps() {
    use crate::support::backend::Backend;
    use crate::support::proxy::TestProxy;

    let challenges = Challenges::default();
    let config = ProxyConfig { challenges: challenges.clone(), ..ProxyConfig::new("localhost") };
    let proxy = TestProxy::start(config).await;
    let app = Backend::replying("app").start().await;
    let mut route = proxy.route("blog.example.com", &[&app]);
    let mut policy = minipaas::policy::Policy::clone(&route.policy);
    policy.https_redirect = true;
    route.policy = Arc::new(policy);
    proxy.publish([route, proxy.route("own.example.com", &[&app])]);

    let posted = challenges.post_http("token", "token.thumbprint");
    let ask = |host: &'static str, token: &str| get(host, &format!("{}{token}", minipaas::tls::HTTP01_PATH));
    for host in ["blog.example.com", "own.example.com", "unknown.example.com"] {
        let reply = proxy.send(ask(host, "token")).await;
        assert_eq!((reply.status.as_u16(), reply.body.as_str()), (200, "token.thumbprint"), "{host}");
    }
    assert_eq!(app.seen().len(), 0);
    let mut client = Client::connect(proxy.http).await;
    assert_eq!(client.send(ask("own.example.com", "tokens")).await.body, "app");
    assert_eq!(client.send(ask("blog.example.com", "other")).await.status, 308);
    drop(posted);
    assert_eq!(client.send(ask("own.example.com", "token")).await.body, "app");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_chain_leads_to_the_authoritys_root() {
    use rustls::client::danger::ServerCertVerifier as _;

    let world = World::new().await;
    let chain = chain(&world.issue(&["blog.example.com"], &[HTTP]).await.unwrap());
    let root = CertificateDer::from_pem_slice(world.pebble.issuing_root().await.as_bytes()).unwrap();
    let mut roots = rustls::RootCertStore::empty();
    roots.add(root).unwrap();
    let provider = Arc::new(ring::default_provider());
    let verifier = rustls::client::WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider);
    let name = "blog.example.com".try_into().unwrap();
    let now = rustls::pki_types::UnixTime::now();
    verifier.build().unwrap().verify_server_cert(&chain[0], &chain[1..], &name, &[], now).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn authorities_are_looked_up_at_the_servers_of_our_choice() {
    use minipaas::web::{Client, Settings};

    let world = World::new().await;
    world.pebble.set_a("here.example.com.", "127.0.0.1").await;
    let settings = Settings {
        extra_roots: vec![world.pebble.root.clone()],
        nameservers: vec![world.pebble.dns],
        may_reach: None,
    };
    let web = Client::new(&settings).unwrap();
    let send = |host: &str| {
        let url = format!("http://{host}:{}/{}", world.pebble.ports.0, "x");
        web.send(http::Request::get(url).body(bytes::Bytes::new()).unwrap())
    };
    assert_eq!(send("here.example.com").await.unwrap().status(), 404);
    world.pebble.break_name("gone.example.com.").await;
    let error = send("gone.example.com").await.unwrap_err();
    assert!(error.to_string().starts_with("cannot look up `gone.example.com`: "), "{error}");
    // Its certificate is for an address alone.
    let url = world.pebble.directory.replace("127.0.0.1", "here.example.com");
    let request = http::Request::get(url).body(bytes::Bytes::new()).unwrap();
    let error = web.send(request).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "the certificate of `here.example.com` is not trusted: it is for another name"
    );
}
