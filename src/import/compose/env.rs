//! What a service's variables come to: `environment` over its `env_file`s.

use std::collections::BTreeMap;

use super::super::Files;
use super::super::findings::{Findings, Place};
use super::project::Project;
use super::{COMPOSE_PROJECT_NAME, dotenv};

/// Reads the files, and gives variables without a value that of the caller.
pub(super) fn resolve(
    project: &mut Project,
    files: &dyn Files,
    variables: &BTreeMap<String, String>,
    findings: &mut Findings,
) {
    for service in &mut project.services {
        findings.about(Some(&service.name));
        let mut env: BTreeMap<String, (Option<String>, Place)> = BTreeMap::new();
        for file in &service.env_files {
            match files.read(&file.path) {
                Ok(Some(text)) => {
                    for line in dotenv::read(&file.path, &text, variables, findings) {
                        env.insert(line.name, (line.value, line.at));
                    }
                }
                Ok(None) if !file.is_required => {}
                Ok(None) => {
                    let message = format!("there is no file `{}`; `required: false` does without", file.path);
                    findings.problem(&file.at, message);
                }
                Err(message) => findings.problem(&file.at, message),
            }
        }
        env.append(&mut service.env);
        for (name, (value, at)) in &mut env {
            if value.is_none() && name != COMPOSE_PROJECT_NAME {
                *value = variables.get(name).cloned();
                if value.is_none() {
                    let text =
                        format!("`{name}` of `{}` comes from outside and is not set here", service.name);
                    findings.choice(at, text, "it is left out");
                }
            }
        }
        service.env = env;
    }
    findings.about(None);
}
