//! A release's image to a real registry, through a box.

use std::path::Path;

use futures_util::StreamExt as _;
use minipaas::api::client::{Client, ClientError};
use minipaas::api::{Progress, PushRequest, RegistryCredentials, Shown};
use walkdir::WalkDir;

use super::release::TestApp;
use super::world::TestBox;
use crate::support::registry::Registry;

const PASSWORD: &str = "correct-horse-battery";

async fn push(on: &TestBox, release: &str, request: &PushRequest) -> Result<Progress, ClientError> {
    let client = Client::unix(on.home().join("minipaas.sock"));
    let mut said = client.push(&"shop".parse().unwrap(), release.parse().unwrap(), request).await?;
    let mut last = None;
    while let Some(event) = said.next().await {
        last = Some(event?);
    }
    Ok(last.expect("it says how it ended"))
}

fn request(registry: &Registry, password: Option<&str>) -> PushRequest {
    let credentials = password.map(|password| RegistryCredentials::Password {
        user: "ada".to_owned(),
        password: Shown(password.to_owned()),
    });
    PushRequest { registry: format!("{}/acme", registry.addr), credentials }
}

fn code(result: Result<Progress, ClientError>) -> String {
    match result {
        Ok(Progress::Failed { failure }) | Err(ClientError::Failed(failure)) => failure.code,
        other => panic!("{other:?}"),
    }
}

/// Files in which a text stands as it is.
fn files_with(text: &str, folder: &Path) -> Vec<String> {
    let files = WalkDir::new(folder).into_iter().flatten().filter(|entry| entry.file_type().is_file());
    let has = |path: &Path| {
        let bytes = std::fs::read(path).unwrap_or_default();
        bytes.windows(text.len()).any(|window| window == text.as_bytes())
    };
    files.filter(|file| has(file.path())).map(|file| file.path().display().to_string()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_goes_to_a_registry_and_its_credentials_stay_nowhere() {
    let on = TestBox::new();
    let daemon = on.serve(&[("MINIPAAS_LOG", "trace")]).await;
    on.project("shop").deploy(&TestApp::version("one")).await.success();
    let registry = Registry::start(Some(("ada", PASSWORD))).await;

    match push(&on, "v1", &request(&registry, Some(PASSWORD))).await {
        Ok(Progress::Pushed { repository, digest }) => {
            assert_eq!(repository, format!("{}/acme/shop", registry.addr));
            assert_eq!(digest, registry.digest("acme/shop", "v1", Some(("ada", PASSWORD))));
        }
        other => panic!("{other:?}"),
    }
    match push(&on, "v1", &request(&registry, None)).await {
        Ok(Progress::Failed { failure }) => {
            assert_eq!(failure.code, "not-pushed");
            let hint =
                format!("`docker login {}` on this machine, as somebody who may push there", registry.addr);
            assert_eq!(failure.hints, [hint]);
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(code(push(&on, "v7", &request(&registry, None)).await), "not-found");
    let bad = PushRequest { registry: "https://ghcr.io".to_owned(), credentials: None };
    assert_eq!(code(push(&on, "v1", &bad).await), "bad-request");

    let events = on.run(&["events", "--json"]).await.success().stdout;
    assert!(events.contains("image-pushed") && events.contains("acme/shop:v1"), "{events}");
    assert!(!events.contains(PASSWORD), "{events}");
    let log = daemon.stderr();
    assert!(log.contains("trace") || log.contains("TRACE"), "it logged all that it can");
    assert!(!log.contains(PASSWORD), "the daemon's log has the password");
    assert_eq!(files_with(PASSWORD, &on.home()), [""; 0]);
}
