//! Images on their way to a real registry.

use std::net::SocketAddr;
use std::sync::Mutex;

use minipaas::engine::{Engine, EngineError, PushRefusal};
use minipaas::environment::Value;
use minipaas::registry::Credentials;

use super::world::{DockerWorld, World};
use crate::support::docker::docker;
use crate::support::free_port;
use crate::support::registry::Registry;

/// In base64 it has both characters in which the two alphabets differ.
const PASSWORD: &str = "ÿ~~>>??ü";

impl DockerWorld {
    /// A name for an image at this address that no other test uses.
    fn name_at(&self, addr: SocketAddr) -> (String, String) {
        let repository = format!("acme/{}", self.owner());
        (format!("{addr}/{repository}:v4"), repository)
    }

    async fn push(&self, reference: &str, credentials: Option<&Credentials>) -> Result<String, EngineError> {
        let image = self.image("shop").await;
        self.engine.push(&image, reference, credentials, &|_| {}).await
    }

    async fn refusal(&self, reference: &str, credentials: Option<&Credentials>) -> PushRefusal {
        match self.push(reference, credentials).await {
            Err(EngineError::NotPushed { refusal, .. }) => refusal,
            other => panic!("{other:?}"),
        }
    }
}

fn password(user: &str, password: &str) -> Credentials {
    Credentials::Password { user: user.to_owned(), password: Value::new(password.to_owned()) }
}

#[tokio::test]
async fn an_image_is_found_at_the_registry_by_its_digest() {
    let (world, registry) = (DockerWorld::new().await, Registry::start(None).await);
    let (reference, repository) = world.name_at(registry.addr);
    let image = world.image("shop").await;
    let lines = Mutex::new(Vec::new());
    let log = |line| lines.lock().unwrap().push(line);
    let digest = world.engine.push(&image, &reference, None, &log).await.unwrap();
    assert_eq!(registry.digest(&repository, "v4", None), digest);
    assert!(digest.starts_with("sha256:") && digest.len() == 71, "{digest}");
    let lines = lines.into_inner().unwrap();
    assert!(lines.iter().any(|line| line.ends_with(": Pushed")), "{lines:?}");
    assert!(world.engine.image(&reference).await.unwrap().is_none(), "it keeps no name of the registry's");
    assert_eq!(world.push(&reference, None).await.unwrap(), digest, "and once more");
    assert!(world.engine.image(&image).await.unwrap().is_some());
}

#[tokio::test]
async fn a_name_that_was_there_stays_what_it_was() {
    let (world, registry) = (DockerWorld::new().await, Registry::start(None).await);
    let (reference, _) = world.name_at(registry.addr);
    let image = world.image("shop").await;
    docker(["tag", &image, &reference]);
    world.push(&reference, None).await.unwrap();
    assert_eq!(world.engine.image(&reference).await.unwrap().unwrap().id, image);
    let other = world.image("other").await;
    assert_ne!(other, image, "their labels differ");
    let pushed = world.engine.push(&other, &reference, None, &|_| {}).await;
    assert_eq!(world.engine.image(&reference).await.unwrap().unwrap().id, image);
    docker(["rmi", &reference]);
    pushed.unwrap();
}

#[tokio::test]
async fn a_registry_that_wants_a_login_takes_the_right_one() {
    let (world, registry) = (DockerWorld::new().await, Registry::start(Some(("ada", PASSWORD))).await);
    let (reference, repository) = world.name_at(registry.addr);
    assert_eq!(world.refusal(&reference, None).await, PushRefusal::Unauthorized);
    assert_eq!(world.refusal(&reference, Some(&password("ada", "x"))).await, PushRefusal::Unauthorized);
    assert!(world.engine.image(&reference).await.unwrap().is_none(), "also after a failure");
    let digest = world.push(&reference, Some(&password("ada", PASSWORD))).await.unwrap();
    assert_eq!(registry.digest(&repository, "v4", Some(("ada", PASSWORD))), digest);
}

#[tokio::test]
async fn a_registry_without_https_is_told_from_one_that_does_not_answer() {
    let world = DockerWorld::new().await;
    // Engines take plain http from loopback addresses alone.
    let gateway = docker(["network", "inspect", "bridge", "--format", "{{(index .IPAM.Config 0).Gateway}}"]);
    let addr = SocketAddr::new(gateway.parse().unwrap(), free_port().port());
    let _registry = Registry::start_at(addr, None).await;
    let (reference, _) = world.name_at(addr);
    assert_eq!(world.refusal(&reference, None).await, PushRefusal::PlainHttp);
    let (reference, _) = world.name_at(free_port());
    assert_eq!(world.refusal(&reference, None).await, PushRefusal::Unreachable);
}

#[tokio::test]
async fn an_image_that_is_gone_is_said_to_be() {
    let world = DockerWorld::new().await;
    let image = format!("sha256:{}", "0".repeat(64));
    let error = world.engine.push(&image, "127.0.0.1:1/a:v1", None, &|_| {}).await.unwrap_err();
    assert!(matches!(error, EngineError::NotFound { .. }), "{error:?}");
}
