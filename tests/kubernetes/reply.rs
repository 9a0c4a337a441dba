//! What an API server says when it does not do it: `Status` objects, as apimachinery's `api/errors` makes them.

use serde_json::{Value, json};

use super::fields::Conflict;

/// An answer that is not 2xx.
#[derive(Debug, Clone)]
pub struct Refused {
    pub code: u16,
    reason: &'static str,
    message: String,
    details: Value,
}

impl Refused {
    fn new(code: u16, reason: &'static str, message: String) -> Self {
        Self { code, reason, message, details: json!({}) }
    }

    pub fn unauthorized() -> Self {
        Self::new(401, "Unauthorized", "Unauthorized".to_owned())
    }

    pub fn not_found(resource: &str, name: &str) -> Self {
        Self::new(404, "NotFound", format!("{resource} \"{name}\" not found"))
    }

    pub fn no_route() -> Self {
        Self::new(404, "NotFound", "the server could not find the requested resource".to_owned())
    }

    pub fn forbidden(verb: &str, group: &str, plural: &str, namespace: Option<&str>, name: &str) -> Self {
        let resource = qualified(plural, group);
        let place = namespace.map_or_else(
            || "at the cluster scope".to_owned(),
            |namespace| format!("in the namespace \"{namespace}\""),
        );
        let message = format!(
            "{resource} \"{name}\" is forbidden: User \"ada\" cannot {verb} resource \"{plural}\" in API group \"{group}\" {place}"
        );
        Self::new(403, "Forbidden", message)
    }

    pub fn over_quota(resource: &str, name: &str) -> Self {
        let message = format!(
            "{resource} \"{name}\" is forbidden: exceeded quota: small, requested: count/{resource}=1, used: 0, limited: 0"
        );
        Self::new(403, "Forbidden", message)
    }

    pub fn conflicts(resource: &str, name: &str, api_version: &str, conflicts: &[Conflict]) -> Self {
        let causes = conflicts.iter().map(|conflict| {
            let message = format!("conflict with \"{}\" using {api_version}", conflict.manager);
            json!({ "reason": "FieldManagerConflict", "message": message, "field": conflict.field })
        });
        let causes: Vec<_> = causes.collect();
        // The words that kubectl shows, of one field and of more.
        let message = match conflicts {
            [one] => format!(
                "Apply failed with 1 conflict: conflict with \"{}\" using {api_version}: {}",
                one.manager, one.field
            ),
            more => {
                let lines = more.iter().map(|one| format!("\n- {}", one.field)).collect::<String>();
                format!(
                    "Apply failed with {} conflicts: conflicts with \"{}\" using {api_version}:{lines}",
                    more.len(),
                    more[0].manager
                )
            }
        };
        let details = json!({ "name": name, "kind": resource, "causes": causes });
        Self { details, ..Self::new(409, "Conflict", message) }
    }

    /// Something changed since it was looked at, or another object has the name.
    pub fn precondition(resource: &str, name: &str) -> Self {
        let message = format!(
            "Operation cannot be fulfilled on {resource} \"{name}\": Precondition failed: UID in precondition does not match"
        );
        Self::new(409, "Conflict", message)
    }

    /// As it is answered to a field that is in no schema: without a reason.
    pub fn untyped(object: &Value, problem: &str) -> Self {
        let (version, kind) = (&object["apiVersion"], &object["kind"]);
        let metadata = &object["metadata"];
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let message = format!(
            "failed to create typed patch object ({}/{}; {}, Kind={}): {problem}",
            text(&metadata["namespace"]),
            text(&metadata["name"]),
            text(version),
            text(kind)
        );
        Self::new(500, "", message)
    }

    pub fn invalid(object: &Value, problem: &str) -> Self {
        let kind = object["kind"].as_str().unwrap_or_default();
        let name = object["metadata"]["name"].as_str().unwrap_or_default();
        Self::new(422, "Invalid", format!("{kind} \"{name}\" is invalid: {problem}"))
    }

    pub fn bad_request(message: &str) -> Self {
        Self::new(400, "BadRequest", message.to_owned())
    }

    pub fn to_json(&self) -> Value {
        json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": self.message, "reason": self.reason, "details": self.details, "code": self.code,
        })
    }
}

/// `deployments.apps`; of the core group `pods`.
pub fn qualified(plural: &str, group: &str) -> String {
    if group.is_empty() { plural.to_owned() } else { format!("{plural}.{group}") }
}
