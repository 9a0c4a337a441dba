use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use super::api::{Answer, Request, serve};
use super::{NAME, ONE, OTHER, ZONE, check_denied, check_values, open};

const TOKEN: &str = "rightToken";

/// The one set of the name, if there is one, and how often things are not done at once.
#[derive(Default)]
struct Hetzner {
    values: Option<Vec<String>>,
    /// Changes that will be refused, as another has the zone.
    conflicts: u32,
    /// Whether the next action fails.
    is_broken: bool,
    actions: u64,
}

/// As in <https://docs.hetzner.cloud/reference/cloud#dns>.
fn answer(state: &mut Hetzner, request: &Request) -> Answer {
    let error = |status, code, message| {
        (status, json!({ "error": { "code": code, "message": message, "details": null } }).to_string())
    };
    let action = |id: u64, status: &str, error: Value| {
        json!({ "action": { "id": id, "command": "add_rrset_records", "status": status, "progress": 50,
            "started": "2016-01-30T23:55:00+00:00", "finished": null,
            "resources": [{ "id": 42, "type": "zone" }], "error": error } })
        .to_string()
    };
    if !request.has_token(TOKEN) {
        return error(401, "unauthorized", "unable to authenticate");
    }
    match request.line() {
        ("GET", path) if path.len() == 3 && path[..2] == ["v1", "zones"] => {
            if path[2] != ZONE {
                return error(404, "not_found", "zone not found");
            }
            (200, json!({ "zone": { "id": 42, "name": ZONE, "mode": "primary", "ttl": 3600 } }).to_string())
        }
        ("GET", path) if path == ["v1", "zones", ZONE, "rrsets", "_acme-challenge.shop", "TXT"] => {
            let Some(values) = &state.values else { return error(404, "not_found", "rrset not found") };
            let records: Vec<_> =
                values.iter().map(|value| json!({ "value": value, "comment": "" })).collect();
            let set = json!({ "id": "_acme-challenge.shop/TXT", "name": "_acme-challenge.shop", "type": "TXT",
                "ttl": 60, "labels": {}, "protection": { "change": false }, "records": records, "zone": 42 });
            (200, json!({ "rrset": set }).to_string())
        }
        ("POST", path) if path[..6] == ["v1", "zones", ZONE, "rrsets", "_acme-challenge.shop", "TXT"] => {
            if state.conflicts > 0 {
                state.conflicts -= 1;
                return error(409, "conflict", "the resource has changed during the request");
            }
            let body = request.json();
            let value = body["records"][0]["value"].as_str().unwrap().to_owned();
            assert!(value.starts_with('"') && value.ends_with('"'), "{value}");
            match path[6..] {
                ["actions", "add_records"] => {
                    // The TTL of a set that is there may not be given anew.
                    assert_eq!(body.get("ttl").is_some(), state.values.is_none());
                    let values = state.values.get_or_insert_default();
                    assert!(!values.contains(&value));
                    values.push(value);
                }
                ["actions", "remove_records"] => {
                    let values = state.values.as_mut().unwrap();
                    values.retain(|there| *there != value);
                    if values.is_empty() {
                        state.values = None;
                    }
                }
                ref other => panic!("{other:?}"),
            }
            state.actions += 1;
            (201, action(state.actions, "running", Value::Null))
        }
        ("GET", path) if path[..2] == ["v1", "actions"] => {
            let id = path[2].parse().unwrap();
            assert!((1..=state.actions).contains(&id));
            if state.is_broken {
                let reason = json!({ "code": "action_failed", "message": "Action failed" });
                return (200, action(id, "error", reason));
            }
            (200, action(id, "success", Value::Null))
        }
        (method, path) => panic!("{method} {path:?}"),
    }
}

async fn start(state: &Arc<Mutex<Hetzner>>, token: &str) -> Arc<dyn minipaas::dns::Provider> {
    let url = serve(state, answer).await;
    open("hetzner", &[("HETZNER_ENDPOINT", &format!("{url}/v1/")), ("HETZNER_API_TOKEN", token)])
}

#[tokio::test]
async fn values_come_and_go_beside_others() {
    let values = Some(vec!["\"theirs\"".to_owned()]);
    let state = Arc::new(Mutex::new(Hetzner { values, conflicts: 2, ..Hetzner::default() }));
    let provider = start(&state, TOKEN).await;
    check_values(provider.as_ref(), "theirs", async || {
        let state = state.lock().unwrap();
        state.values.iter().flatten().map(|value| value.trim_matches('"').to_owned()).collect()
    })
    .await;
}

#[tokio::test]
async fn a_set_is_made_and_goes_with_its_last_value() {
    let state = Arc::new(Mutex::new(Hetzner::default()));
    let provider = start(&state, TOKEN).await;
    provider.remove_txt(NAME, ONE).await.unwrap();
    provider.add_txt(NAME, ONE).await.unwrap();
    provider.add_txt(NAME, OTHER).await.unwrap();
    provider.remove_txt(NAME, ONE).await.unwrap();
    provider.remove_txt(NAME, OTHER).await.unwrap();
    assert_eq!(state.lock().unwrap().values, None);
}

#[tokio::test]
async fn an_action_that_fails_later_is_a_failure() {
    let state = Arc::new(Mutex::new(Hetzner { is_broken: true, ..Hetzner::default() }));
    let error = start(&state, TOKEN).await.add_txt(NAME, ONE).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "DNS provider `hetzner` did not add the TXT record of `_acme-challenge.shop.example.test`: Action failed [action_failed]"
    );
}

#[tokio::test]
async fn a_wrong_token_is_said_to_be_one() {
    let state = Arc::new(Mutex::new(Hetzner::default()));
    let error = check_denied(start(&state, "wr0ng").await.as_ref(), "wr0ng").await;
    assert!(
        error.contains(
            "unable to authenticate [unauthorized] (status 401); make an API token with Read & Write"
        ),
        "{error}"
    );
}
