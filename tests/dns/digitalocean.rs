use std::sync::{Arc, Mutex};

use serde_json::json;

use super::api::{Answer, Request, serve};
use super::{NAME, ONE, ZONE, check_denied, check_values, open};

const TOKEN: &str = "dop_v1_right";

/// Records by id: the name within the zone, and the data.
#[derive(Default)]
struct DigitalOcean {
    records: Vec<(u64, String, String)>,
    next: u64,
}

/// As in <https://docs.digitalocean.com/reference/api/reference/domain-records/>.
fn answer(state: &mut DigitalOcean, request: &Request) -> Answer {
    let error = |status, id, message| (status, json!({ "id": id, "message": message }).to_string());
    let record = |(id, name, data): &(u64, String, String)| json!({ "id": id, "type": "TXT", "name": name, "data": data, "priority": null, "port": null, "ttl": 60 });
    if !request.has_token(TOKEN) {
        return error(401, "unauthorized", "Unable to authenticate you.");
    }
    match request.line() {
        ("GET", path) if path.len() == 3 && path[..2] == ["v2", "domains"] => {
            if path[2] != ZONE {
                return error(404, "not_found", "The resource you were accessing could not be found.");
            }
            (200, json!({ "domain": { "name": ZONE, "ttl": 1800, "zone_file": "" } }).to_string())
        }
        ("GET", path) if path == ["v2", "domains", ZONE, "records"] => {
            assert_eq!(request.query["type"], "TXT");
            // The filter is a whole name, and the records have relative ones.
            let name = request.query["name"].strip_suffix(".example.test").unwrap();
            let found: Vec<_> = state.records.iter().filter(|(_, n, _)| n == name).map(record).collect();
            (
                200,
                json!({ "meta": { "total": found.len() }, "domain_records": found, "links": {} }).to_string(),
            )
        }
        ("POST", path) if path == ["v2", "domains", ZONE, "records"] => {
            let body = request.json();
            assert_eq!((&body["type"], body["ttl"].as_u64()), (&json!("TXT"), Some(60)));
            state.next += 1;
            let text = |key: &str| body[key].as_str().unwrap().to_owned();
            state.records.push((state.next, text("name"), text("data")));
            (201, json!({ "domain_record": record(state.records.last().unwrap()) }).to_string())
        }
        ("DELETE", path) if path[..4] == ["v2", "domains", ZONE, "records"] => {
            let id: u64 = path[4].parse().unwrap();
            state.records.retain(|(record, _, _)| *record != id);
            (204, String::new())
        }
        (method, path) => panic!("{method} {path:?}"),
    }
}

#[tokio::test]
async fn values_come_and_go_beside_others() {
    let state = Arc::new(Mutex::new(DigitalOcean { records: Vec::new(), next: 7 }));
    state.lock().unwrap().records.push((1, "_acme-challenge.shop".to_owned(), "theirs".to_owned()));
    let url = serve(&state, answer).await;
    let provider = open("digitalocean", &[("DIGITALOCEAN_ENDPOINT", &url), ("DO_AUTH_TOKEN", TOKEN)]);
    check_values(provider.as_ref(), "theirs", async || {
        let state = state.lock().unwrap();
        assert!(state.records.iter().all(|(_, name, _)| name == "_acme-challenge.shop"));
        state.records.iter().map(|(_, _, data)| data.clone()).collect()
    })
    .await;

    let twice = futures_util::join!(provider.add_txt(NAME, ONE), provider.add_txt(NAME, ONE));
    assert!(twice.0.is_ok() && twice.1.is_ok());
    assert_eq!(state.lock().unwrap().records.len(), 2);
}

#[tokio::test]
async fn a_wrong_token_is_said_to_be_one() {
    let state = Arc::new(Mutex::new(DigitalOcean::default()));
    let url = serve(&state, answer).await;
    let wrong = [("DIGITALOCEAN_ENDPOINT", url.as_str()), ("DO_AUTH_TOKEN", "dop_v1_wr0ng")];
    let error = check_denied(open("digitalocean", &wrong).as_ref(), "wr0ng").await;
    assert!(error.contains("Unable to authenticate you. [unauthorized] (status 401); make a token with the scopes domain:read"), "{error}");
}
