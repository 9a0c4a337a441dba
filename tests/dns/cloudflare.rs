use std::sync::{Arc, Mutex};

use serde_json::json;

use super::api::{Answer, Request, serve};
use super::{NAME, ONE, ZONE, check_denied, check_values, open};

const TOKEN: &str = "right_token";
const ZONE_ID: &str = "023e105f4ecef8ad9ca31a8372d0c353";

/// Records by id: name and content.
#[derive(Default)]
struct Cloudflare {
    records: Vec<(String, String, String)>,
    next: u32,
}

/// As in <https://developers.cloudflare.com/api/resources/dns/subresources/records/>.
fn answer(state: &mut Cloudflare, request: &Request) -> Answer {
    let ok =
        |result| (200, json!({"success": true, "errors": [], "messages": [], "result": result}).to_string());
    let error = |status, code, message| {
        let errors = json!([{ "code": code, "message": message }]);
        (status, json!({"success": false, "errors": errors, "messages": [], "result": null}).to_string())
    };
    if !request.has_token(TOKEN) {
        return error(403, 9109, "Invalid access token");
    }
    match request.line() {
        ("GET", path) if path == ["zones"] => {
            let is_ours = request.query["name"] == ZONE;
            let zone = json!({ "id": ZONE_ID, "name": ZONE, "status": "active", "permissions": ["#dns_records:edit"] });
            ok(if is_ours { json!([zone]) } else { json!([]) })
        }
        ("POST", path) if path == ["zones", ZONE_ID, "dns_records"] => {
            let body = request.json();
            assert_eq!((&body["type"], body["ttl"].as_u64()), (&json!("TXT"), Some(60)));
            let (name, content) = (body["name"].as_str().unwrap(), body["content"].as_str().unwrap());
            if state.records.iter().any(|(_, n, c)| n == name && c == content) {
                return error(400, 81058, "An identical record already exists.");
            }
            state.next += 1;
            let id = format!("372e67954025e0ba6aaa6d586b9e0b{:02}", state.next);
            state.records.push((id.clone(), name.to_owned(), content.to_owned()));
            ok(json!({ "id": id, "name": name, "type": "TXT", "content": content, "ttl": 60 }))
        }
        ("GET", path) if path == ["zones", ZONE_ID, "dns_records"] => {
            assert_eq!(request.query["type"], "TXT");
            let found = state.records.iter().filter(|(_, name, _)| *name == request.query["name"]);
            let found =
                found.map(|(id, name, content)| json!({ "id": id, "name": name, "content": content }));
            ok(found.collect())
        }
        ("DELETE", path) if path[..3] == ["zones", ZONE_ID, "dns_records"] => {
            let count = state.records.len();
            state.records.retain(|(id, _, _)| id != path[3]);
            if state.records.len() == count {
                return error(404, 81044, "Record does not exist.");
            }
            ok(json!({ "id": path[3] }))
        }
        (method, path) => panic!("{method} {path:?}"),
    }
}

#[tokio::test]
async fn values_come_and_go_beside_others() {
    let state = Arc::new(Mutex::new(Cloudflare::default()));
    state.lock().unwrap().records.push(("a0".to_owned(), NAME.to_owned(), "theirs".to_owned()));
    let url = serve(&state, answer).await;
    let credentials = [("CLOUDFLARE_ENDPOINT", url.as_str()), ("CF_DNS_API_TOKEN", TOKEN)];
    let provider = open("cloudflare", &credentials);
    check_values(provider.as_ref(), "theirs", async || {
        let state = state.lock().unwrap();
        assert!(state.records.iter().all(|(_, name, _)| name == NAME));
        state.records.iter().map(|(_, _, content)| content.trim_matches('"').to_owned()).collect()
    })
    .await;
}

#[tokio::test]
async fn a_wrong_token_and_a_foreign_name_are_told_apart() {
    let state = Arc::new(Mutex::new(Cloudflare::default()));
    let url = serve(&state, answer).await;
    let wrong = [("CLOUDFLARE_ENDPOINT", url.as_str()), ("CLOUDFLARE_DNS_API_TOKEN", "wr0ng_token")];
    let error = check_denied(open("cloudflare", &wrong).as_ref(), "wr0ng_token").await;
    assert_eq!(
        error,
        "DNS provider `cloudflare` refused to add the TXT record of `_acme-challenge.shop.example.test`: Invalid access token [9109] \
         (status 403); make an API token with the permissions Zone / Zone / Read and Zone / DNS / Edit on the zone, and set it as \
         `CLOUDFLARE_DNS_API_TOKEN`"
    );
    let right = [("CLOUDFLARE_ENDPOINT", url.as_str()), ("CLOUDFLARE_DNS_API_TOKEN", TOKEN)];
    let error = open("cloudflare", &right).add_txt("_acme-challenge.example.org", ONE).await.unwrap_err();
    assert!(error.is_lasting() && !error.is_denied());
    assert_eq!(
        error.to_string(),
        "DNS provider `cloudflare` has no zone for `_acme-challenge.example.org`; add the domain to the account at Cloudflare, give \
         the credentials access to it, or choose the provider that serves it"
    );
}

#[tokio::test]
async fn a_server_error_keeps_its_words_and_hides_the_token() {
    let state = Arc::new(Mutex::new(()));
    let url = serve(&state, |(), request| {
        let said = request.headers["authorization"].to_str().unwrap();
        (
            503,
            json!({"success": false, "errors": [{ "code": 1, "message": format!("busy\nwith {said}") }]})
                .to_string(),
        )
    })
    .await;
    let credentials = [("CLOUDFLARE_ENDPOINT", url.as_str()), ("CLOUDFLARE_DNS_API_TOKEN", TOKEN)];
    let error = open("cloudflare", &credentials).add_txt(NAME, ONE).await.unwrap_err();
    assert!(!error.is_lasting());
    assert!(error.to_string().ends_with("did not add the TXT record of `_acme-challenge.shop.example.test`: busy with Bearer … [1] (status 503)"), "{error}");
}

#[tokio::test]
async fn an_api_that_is_away_is_no_fault_of_the_settings() {
    let closed = crate::support::free_port();
    let url = format!("http://{closed}");
    let credentials = [("CLOUDFLARE_ENDPOINT", url.as_str()), ("CLOUDFLARE_DNS_API_TOKEN", TOKEN)];
    let error = open("cloudflare", &credentials).remove_txt(NAME, ONE).await.unwrap_err();
    assert!(!error.is_lasting(), "{error:?}");
    assert!(
        error.to_string().starts_with("DNS provider `cloudflare` could not be asked to remove"),
        "{error}"
    );
}
