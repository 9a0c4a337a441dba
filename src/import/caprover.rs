//! `CapRover`'s `captain-definition`: how the image is made, and nothing else.

use super::draft::Draft;
use super::findings::{Findings, Place};
use super::node::{Node, Section, read_yaml};
use super::{Files, Options, path};
use crate::name::AppName;

/// The file that the lines of a definition are written to.
const DOCKERFILE: &str = "Dockerfile.minipaas";
/// The port at which `CapRover` asks an app unless somebody said otherwise in its dashboard.
const PORT: u16 = 80;

pub(super) fn read(
    file: &str,
    files: &dyn Files,
    options: &Options<'_>,
    findings: &mut Findings,
) -> Vec<Draft> {
    let Some(document) = document(file, files, findings) else { return Vec::new() };
    let mut draft = Draft::new("", Some(app(options)));
    let mut section = Section::new("the file", &document, findings);
    match section.take("schemaVersion").map(|node| (node, node.scalar())) {
        Some((_, Some(version))) if version == "2" => {}
        Some((node, _)) => {
            findings.problem(&node.at, format!("`schemaVersion` is {}; 2 is read", node.shown()));
        }
        None => findings.problem(&section.at, "the file has no `schemaVersion`; 2 is read"),
    }
    let image = section.take("imageName").and_then(|node| node.string("`imageName`", findings));
    let dockerfile =
        section.take("dockerfilePath").and_then(|node| node.string("`dockerfilePath`", findings));
    let lines = section.take("dockerfileLines").map(|node| node.strings("`dockerfileLines`", findings));
    let template = section.take("templateId");
    section.finish(findings);
    let count = [image.is_some(), dockerfile.is_some(), lines.is_some(), template.is_some()];
    if count.into_iter().filter(|is_there| *is_there).count() != 1 {
        let rule = "the file takes one of `dockerfilePath`, `dockerfileLines`, `imageName` and `templateId`";
        findings.problem(&document.at, rule);
        return Vec::new();
    }
    draft.build.image = image;
    if let Some(dockerfile) = dockerfile {
        let dockerfile = path::join("", &dockerfile);
        draft.build.dockerfile = Some(dockerfile).filter(|dockerfile| dockerfile != "Dockerfile");
    }
    if let Some(lines) = lines {
        let text: String = lines.into_iter().map(|(line, _)| line + "\n").collect();
        draft.files.insert(DOCKERFILE.to_owned(), text);
        draft.build.dockerfile = Some(DOCKERFILE.to_owned());
    }
    if let Some(node) = template {
        let instead = "write a Dockerfile: minipaas guesses no language";
        findings.lost(&node.at, format!("the template {}", node.shown()), instead);
    }
    draft.process("web").port = Some(PORT);
    draft.remark("process.web", "CapRover's default; write the one that was set as the app's HTTP port.");
    let instead = "variables, volumes, domains, instances and pre-deploy scripts are not in this file: see them in its dashboard";
    findings.choice(&Place::file(file), "CapRover keeps the rest of an app on its server", instead);
    vec![draft]
}

/// The document of a file that has to be there.
pub(super) fn document(file: &str, files: &dyn Files, findings: &mut Findings) -> Option<Node> {
    let text = text(file, files, findings)?;
    read_yaml(file, &text).map_err(|problem| findings.problems.push(problem)).ok()
}

/// The text of a file that has to be there.
pub(super) fn text(file: &str, files: &dyn Files, findings: &mut Findings) -> Option<String> {
    match files.read(file) {
        Ok(Some(text)) => return Some(text),
        Ok(None) => findings.problem(&Place::file(file), "there is no such file"),
        Err(message) => findings.problem(&Place::file(file), message),
    }
    None
}

/// The app's name when the project gives it none.
pub(super) fn app(options: &Options<'_>) -> String {
    options.app.map_or_else(|| AppName::from_folder(options.folder).to_string(), ToString::to_string)
}
