//! A compose project: several services, as one app for each image.
//!
//! ```text
//! files ─► load (interpolate, include, extend, merge) ─► one document ─► Project (checked)
//!       ─► group: services of one image are process types of one app ─► app: a draft for each
//! ```
//!
//! A manifest describes one image, so that is what decides. Databases and queues are no apps and are left out. The order of
//! `depends_on` means nothing here, because what is not there yet is waited for and tried again; what has to end first is
//! the release's own command.

mod address;
mod app;
mod deploy;
mod dotenv;
mod env;
mod group;
mod health;
mod interpolate;
mod label;
mod load;
mod mention;
mod merge;
mod mount;
mod port;
mod process;
mod project;
mod service;
mod volume;

use super::draft::Draft;
use super::findings::Findings;
use super::{Files, Options};
use load::Loader;

/// Variables that name the files and profiles of a project.
const COMPOSE_FILE: &str = "COMPOSE_FILE";
const COMPOSE_PROFILES: &str = "COMPOSE_PROFILES";
const COMPOSE_PROJECT_NAME: &str = "COMPOSE_PROJECT_NAME";
/// Where a project's variables are, unless it is said.
const DOTENV: &str = ".env";
/// What is merged over a file that nobody named, with its ending.
const OVERRIDES: [(&str, [&str; 2]); 4] = [
    ("compose.yaml", ["compose.override.yaml", "compose.override.yml"]),
    ("compose.yml", ["compose.override.yml", "compose.override.yaml"]),
    ("docker-compose.yml", ["docker-compose.override.yml", "docker-compose.override.yaml"]),
    ("docker-compose.yaml", ["docker-compose.override.yaml", "docker-compose.override.yml"]),
];

/// The project's apps. With `is_found` the files were found and not named, so the project may name others.
pub(super) fn read(
    paths: &[String],
    is_found: bool,
    files: &dyn Files,
    options: &Options<'_>,
    findings: &mut Findings,
) -> Vec<Draft> {
    let mut loader = Loader { files, environment: options.environment, findings };
    let dotenv = options.env_file.unwrap_or(DOTENV);
    let mut variables = loader.variables(dotenv, options.env_file.is_some());
    let paths = if is_found { found(paths, variables.get(COMPOSE_FILE), files) } else { paths.to_vec() };
    let name = options.app.map(ToString::to_string).or_else(|| variables.get(COMPOSE_PROJECT_NAME).cloned());
    variables.entry(COMPOSE_PROJECT_NAME.to_owned()).or_insert_with(|| options.folder.to_owned());
    let Some(document) = loader.project(&paths, &variables) else { return Vec::new() };
    let mut profiles = options.profiles.to_vec();
    if let Some(more) = variables.get(COMPOSE_PROFILES) {
        profiles.extend(more.split(',').map(|profile| profile.trim().to_owned()));
    }
    let mut project = project::read(&document, name.as_deref(), options.folder, findings);
    project.select(&profiles, findings);
    project.check(findings);
    env::resolve(&mut project, files, &variables, findings);
    if !findings.problems.is_empty() {
        return Vec::new();
    }
    let groups = group::groups(&project, findings);
    app::drafts(&project, &groups, files, findings)
}

/// The files that `docker compose` would read, when it is not told which.
fn found(paths: &[String], named: Option<&String>, files: &dyn Files) -> Vec<String> {
    if let Some(named) = named {
        return named.split(':').filter(|path| !path.is_empty()).map(str::to_owned).collect();
    }
    let mut all = paths.to_vec();
    let overrides = OVERRIDES.iter().find(|(name, _)| paths.first().is_some_and(|path| path == name));
    let is_there = |path: &&&str| matches!(files.read(path), Ok(Some(_)));
    if let Some((_, names)) = overrides
        && let Some(path) = names.iter().find(is_there)
    {
        all.push((*path).to_owned());
    }
    all
}
