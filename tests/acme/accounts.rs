use minipaas::acme::{Eab, OrderErrorKind};
use zeroize::Zeroizing;

use super::*;

const KEY_ID: &str = "kid-1";
const KEY: &str = "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W";

#[tokio::test(flavor = "multi_thread")]
async fn an_account_is_made_once() {
    let world = World::new().await;
    world.issue(&["one.example.com"], &[HTTP]).await.unwrap();
    let account = world.notes.account_url().unwrap();
    world.issue(&["two.example.com"], &[HTTP]).await.unwrap();
    assert_eq!(world.notes.account_url().unwrap(), account);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_authority_that_has_forgotten_the_account_gets_a_new_one() {
    let world = World::new().await;
    world.issue(&["one.example.com"], &[HTTP]).await.unwrap();
    let forgotten = world.notes.account_url().unwrap();
    let listen = world.pebble.directory.split('/').nth(2).unwrap().parse().unwrap();
    let World { notes, pebble, .. } = world;
    drop(pebble);
    let world = World { notes, ..World::with(|options| options.listen = Some(listen)).await };
    // The order that was open is of the account that is gone.
    let request = OrderRequest { resume: world.notes.open(), ..request(&["two.example.com"], &[HTTP]) };
    let issued = world.authority().issue(&request, &world.notes, &world.post()).await.unwrap();
    check(&request, &issued);
    assert_ne!(world.notes.account_url().unwrap(), forgotten);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deactivated_account_is_not_replaced() {
    let world = World::new().await;
    world.issue(&["one.example.com"], &[HTTP]).await.unwrap();
    world.deactivate().await;
    let kept = world.notes.account_url();
    let error = world.issue(&["two.example.com"], &[HTTP]).await.unwrap_err();
    assert_eq!(error.kind, OrderErrorKind::Account, "{error}");
    assert_eq!(
        error.message,
        "it does not take the account of this box: Account has been deactivated; ask it why, or use another authority"
    );
    assert_eq!(world.notes.account_url(), kept);
    assert_eq!(world.notes.orders(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_elsewhere_is_named_where_it_is_wanted() {
    let world = World::with(|options| options.eab = Some((KEY_ID, KEY))).await;
    let error = world.issue(&["blog.example.com"], &[HTTP]).await.unwrap_err();
    assert_eq!(error.kind, OrderErrorKind::EabRequired, "{error}");
    let expected = "it wants an account that you have with it: ";
    assert!(error.message.starts_with(expected), "{error}");

    let wrong = "AWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W";
    for (key, words) in [(wrong, "are right"), ("no base64!", "copy it again")] {
        let error = world.issue_with_eab(key).await.unwrap_err();
        assert_eq!(error.kind, OrderErrorKind::EabRequired, "{error}");
        assert!(error.message.ends_with(words), "{error}");
    }
    world.issue_with_eab(KEY).await.unwrap();
}

impl World {
    async fn issue_with_eab(&self, key: &str) -> Result<Issued, OrderError> {
        let eab = Eab { key_id: KEY_ID.to_owned(), hmac_key: Zeroizing::new(key.to_owned()) };
        let authority = self.authority_at(&self.pebble.directory, |config| config.eab = Some(eab));
        authority.issue(&request(&["blog.example.com"], &[HTTP]), &self.notes, &self.post()).await
    }
}

/// The test's own way to the authority.
struct Wire(minipaas::web::Client);

impl instant_acme::HttpClient for Wire {
    fn request(
        &self,
        request: http::Request<instant_acme::BodyWrapper<bytes::Bytes>>,
    ) -> std::pin::Pin<
        Box<dyn Future<Output = Result<instant_acme::BytesResponse, instant_acme::Error>> + Send>,
    > {
        use http_body_util::{BodyExt as _, Full};

        let client = self.0.clone();
        Box::pin(async move {
            let (head, body) = request.into_parts();
            let body = body.collect().await.unwrap().to_bytes();
            let response = client.send(http::Request::from_parts(head, body)).await.unwrap();
            Ok(response.map(Full::new).into())
        })
    }
}

impl World {
    async fn deactivate(&self) {
        let kept = self.notes.account.lock().unwrap().clone().unwrap();
        let builder = instant_acme::Account::builder_with_http(Box::new(Wire(self.pebble.web.clone())));
        let account = builder.from_credentials(serde_json::from_str(&kept).unwrap()).await.unwrap();
        account.deactivate().await.unwrap();
    }
}
