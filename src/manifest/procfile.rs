//! `Procfile`: one `type: command` a line, as Heroku reads it.
//!
//! What `minipaas.toml` says of a process wins over its line here, so that a Heroku app can be refined without being rewritten.

use super::{Command, Manifest, PROCFILE, Problem, ReleaseCommand};
use crate::name::ProcessType;

/// The line that is no process type: it runs once for each release.
const RELEASE: &str = "release";

/// Adds the file's processes to the manifest.
pub(super) fn merge(text: &str, manifest: &mut Manifest, problems: &mut Vec<Problem>) {
    let mut seen = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let mut problem = |message: String, hint: Option<&str>| {
            problems.push(Problem {
                file: PROCFILE,
                line: index + 1,
                message,
                hint: hint.map(str::to_owned),
            });
        };
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let Some((name, command)) = line.split_once(':') else {
            problem(format!("`{line}` has no `:`"), Some("write `type: command`, such as `web: npm start`"));
            continue;
        };
        let (name, command) = (name.trim(), command.trim());
        let process: ProcessType = match name.parse() {
            Ok(process) => process,
            Err(error) => {
                problem(format!("{error}"), None);
                continue;
            }
        };
        if command.is_empty() {
            problem(format!("process `{name}` has no command"), None);
            continue;
        }
        if seen.contains(&process) {
            problem(format!("process `{name}` stands here twice"), Some("keep one line"));
            continue;
        }
        seen.push(process.clone());
        if process.as_str() == RELEASE {
            let command = Command::Line(command.to_owned());
            manifest.release.get_or_insert_with(|| ReleaseCommand::new(command));
            continue;
        }
        let entry = manifest.processes.entry(process).or_default();
        if entry.command.is_none() {
            entry.command = Some(Command::Line(command.to_owned()));
        }
    }
}
