//! The API's OpenAPI document, made of the list of routes and of the wire's own types.
//!
//! It is version 3.1, whose schemas are JSON Schema 2020-12, and says nothing that a client of the box could not find out by
//! asking. Nobody writes it: a route that is added is in it, and a field's comment is its description.

use std::sync::LazyLock;

use axum::Json;
use axum::http::Method;
use schemars::generate::SchemaSettings;
use schemars::{Schema, SchemaGenerator};
use serde_json::{Map, Value, json};

use super::describe::{Content, Docs};
use super::endpoint::{Endpoint, Needs};
use super::endpoints;
use crate::api::{Failure, OpenApi};

/// Where a document keeps its types.
const SCHEMAS: &str = "/components/schemas";

pub(super) fn own_endpoints() -> Vec<Endpoint> {
    let summary = "Give this API as an OpenAPI document";
    vec![Endpoint::new(Method::GET, "/v1/openapi.json", Needs::Nothing, summary, document_as_json)]
}

/// The document of this version.
#[must_use]
pub fn document() -> &'static Value {
    static DOCUMENT: LazyLock<Value> = LazyLock::new(|| of(&endpoints()));
    &DOCUMENT
}

async fn document_as_json() -> Json<OpenApi> {
    Json(OpenApi(document().clone()))
}

fn of(endpoints: &[Endpoint]) -> Value {
    let mut generator = SchemaSettings::draft2020_12()
        .with(|settings| settings.definitions_path = SCHEMAS.into())
        .into_generator();
    let failure = generator.subschema_for::<Failure>();
    let mut paths = Map::new();
    for endpoint in endpoints {
        let path = paths.entry(endpoint.path).or_insert_with(|| json!({}));
        path[endpoint.method.as_str().to_ascii_lowercase()] = operation(endpoint, &failure, &mut generator);
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "minipaas",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "The control API of a box. Streams are one JSON value a line, or server-sent events for \
                clients that accept `text/event-stream`.",
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "paths": paths,
        "components": {
            "schemas": generator.take_definitions(true),
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    })
}

fn operation(endpoint: &Endpoint, failure: &Schema, generator: &mut SchemaGenerator) -> Value {
    let Docs { query, body, answer, is_later } = &endpoint.docs;
    let mut parameters: Vec<_> = path_parameters(endpoint.path).collect();
    if let Some(query) = query {
        parameters.extend(query_parameters(&query(generator), generator));
    }
    if endpoint.is_write() && !endpoint.docs.takes_bytes() {
        parameters.push(json!({
            "name": "Idempotency-Key", "in": "header", "required": false, "schema": {"type": "string", "maxLength": 200},
            "description": "A request that is sent again with the key that it had is answered with the first answer.",
        }));
    }
    let (status, good) = match (answer, is_later) {
        (None, true) => ("202", json!({"description": "It is asked for, or done."})),
        (None, false) => ("204", json!({"description": "It is done."})),
        (Some(answer), _) => {
            ("200", json!({"description": "It is done.", "content": content(*answer, generator)}))
        }
    };
    let refusal =
        json!({"description": "Why it is not done.", "content": {"application/json": {"schema": failure}}});
    let mut operation = json!({
        "operationId": operation_id(endpoint),
        "summary": endpoint.summary,
        "parameters": parameters,
        "responses": {status: good, "default": refusal},
        "x-needs": needs(endpoint.needs),
    });
    if let Some(body) = body {
        operation["requestBody"] = json!({"required": true, "content": content(*body, generator)});
    }
    if endpoint.needs != Needs::Nothing {
        operation["security"] = json!([{"token": []}]);
    }
    if endpoint.is_write() {
        operation["x-action"] = endpoint.action_name().into();
    }
    operation
}

fn content(content: Content, generator: &mut SchemaGenerator) -> Value {
    match content {
        Content::Json(schema) => json!({"application/json": {"schema": schema(generator)}}),
        Content::Lines(schema) => {
            let schema = schema(generator);
            json!({"application/x-ndjson": {"schema": schema}, "text/event-stream": {"schema": schema}})
        }
        Content::Text => json!({"text/plain": {"schema": {"type": "string"}}}),
        Content::Bytes => json!({"application/octet-stream": {}}),
    }
}

/// `get_apps_app_logs`: unique, as method and path are.
fn operation_id(endpoint: &Endpoint) -> String {
    let path = endpoint.path.trim_start_matches("/v1/").replace(['{', '}'], "").replace(['/', '.', '-'], "_");
    format!("{}_{path}", endpoint.method.as_str().to_ascii_lowercase())
}

fn path_parameters(path: &str) -> impl Iterator<Item = Value> {
    let names = path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    names.map(|name| {
        json!({"name": name.trim_start_matches('*'), "in": "path", "required": true, "schema": {"type": "string"}})
    })
}

/// A query's fields, each as a parameter.
fn query_parameters(query: &Schema, generator: &SchemaGenerator) -> Vec<Value> {
    let reference = query.get("$ref").and_then(Value::as_str);
    let found = match reference.and_then(|reference| reference.rsplit('/').next()) {
        Some(name) => generator.definitions().get(name).cloned(),
        None => Some(query.clone().to_value()),
    };
    let Some(found) = found else { return Vec::new() };
    let is_required = |name: &str| {
        let required = found.get("required").and_then(Value::as_array);
        required.is_some_and(|names| names.iter().any(|known| known == name))
    };
    let fields = found.get("properties").and_then(Value::as_object).into_iter().flatten();
    fields
        .map(|(name, schema)| {
            json!({"name": name, "in": "query", "required": is_required(name), "schema": schema})
        })
        .collect()
}

fn needs(needs: Needs) -> String {
    match needs {
        Needs::Nothing => "nothing".to_owned(),
        Needs::Account => "account".to_owned(),
        Needs::Oneself => "account, with a token for everything".to_owned(),
        Needs::OfApp(role) => format!("{role} of the app"),
        Needs::Admin => "admin".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// Every value below, with where it is.
    fn walk<'a>(value: &'a Value, at: String, found: &mut Vec<(String, &'a Value)>) {
        match value {
            Value::Object(fields) => {
                fields.iter().for_each(|(key, value)| walk(value, format!("{at}/{key}"), found));
            }
            Value::Array(values) => {
                values.iter().enumerate().for_each(|(key, value)| walk(value, format!("{at}/{key}"), found));
            }
            _ => {}
        }
        found.push((at, value));
    }

    #[test]
    fn every_route_is_in_it_once() {
        let document = document();
        let mut ids = BTreeSet::new();
        for endpoint in endpoints() {
            let method = endpoint.method.as_str().to_ascii_lowercase();
            let operation = &document["paths"][endpoint.path][&method];
            assert_eq!(operation["summary"], endpoint.summary, "{method} {}", endpoint.path);
            assert!(ids.insert(operation["operationId"].as_str().unwrap()), "{operation}");
            for parameter in path_parameters(endpoint.path) {
                assert!(operation["parameters"].as_array().unwrap().contains(&parameter));
            }
        }
        let operations = document["paths"].as_object().unwrap().values();
        assert_eq!(operations.map(|path| path.as_object().unwrap().len()).sum::<usize>(), ids.len());
    }

    #[test]
    fn every_reference_leads_somewhere() {
        let document = document();
        let mut found = Vec::new();
        walk(document, String::new(), &mut found);
        let references = found.iter().filter(|(at, _)| at.ends_with("/$ref"));
        let mut count = 0;
        for (at, reference) in references {
            let pointer = reference.as_str().unwrap().strip_prefix('#').unwrap();
            assert!(document.pointer(pointer).is_some(), "{at}: {pointer} is nowhere");
            count += 1;
        }
        assert!(count > 40, "{count}");
    }

    #[test]
    fn bodies_are_those_of_the_handlers() {
        let document = document();
        let schema = |pointer: &str| document.pointer(pointer).cloned().unwrap_or_default();
        let deploys = "/paths/~1v1~1apps~1{app}~1deploys/post";
        assert_eq!(
            schema(&format!("{deploys}/requestBody/content/application~1json/schema/$ref")),
            "#/components/schemas/DeployRequest"
        );
        assert_eq!(
            schema(&format!("{deploys}/responses/200/content/text~1event-stream/schema/$ref")),
            "#/components/schemas/Progress"
        );
        assert_eq!(schema(&format!("{deploys}/x-action")), "deploy");
        let logs = schema("/paths/~1v1~1apps~1{app}~1logs/get/parameters");
        let names: Vec<_> = logs.as_array().unwrap().iter().map(|found| found["name"].clone()).collect();
        assert!(names.contains(&json!("app")) && names.contains(&json!("follow")), "{names:?}");
    }
}
