//! What one part of a manifest says about another, or about the folder's files.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;

use super::Manifest;
use super::read::{Entry, Report, Table, nearest};
use super::source::{FILE_BYTES_MAX, FILES_MAX, WantedFile};
use crate::name::ProcessType;

/// Collected while the tables are read; what is named must exist once all is read, the Procfile included.
#[derive(Debug)]
pub(super) struct References<'f> {
    files: &'f BTreeMap<String, String>,
    /// Where each file is named that is below the folder.
    pub(super) wanted: Vec<WantedFile>,
    /// Where it is named, what leads to it, and the process type.
    processes: Vec<(Range<usize>, &'static str, ProcessType)>,
}

impl<'f> References<'f> {
    pub(super) fn new(files: &'f BTreeMap<String, String>) -> Self {
        Self { files, wanted: Vec::new(), processes: Vec::new() }
    }

    /// Reads `process` of a table that leads there; `web` when it does not say.
    pub(super) fn process(
        &mut self,
        table: &mut Table<'_>,
        at: &Range<usize>,
        what: &'static str,
        report: &mut Report<'_>,
    ) -> ProcessType {
        let Some(entry) = table.take("process") else {
            self.processes.push((at.clone(), what, ProcessType::web()));
            return ProcessType::web();
        };
        let Some(process) = entry.parsed(report, "a process type", str::parse::<ProcessType>) else {
            return ProcessType::web();
        };
        self.processes.push((entry.span(), what, process.clone()));
        process
    }

    /// The text of the file that the entry names.
    pub(super) fn file(&mut self, entry: &Entry<'_>, report: &mut Report<'_>) -> Option<Arc<str>> {
        let path = entry.parsed(report, "a file's path", path_below)?;
        self.wanted.push(WantedFile { path: path.clone(), line: report.line(&entry.span()) });
        let count = self.wanted.iter().map(|wanted| &wanted.path).collect::<BTreeSet<_>>().len();
        let problem = match self.files.get(&path) {
            _ if count > FILES_MAX => format!("`{path}` is one file too many; at most {FILES_MAX} are kept"),
            Some(text) if text.len() > FILE_BYTES_MAX => {
                format!("`{path}` is larger than {} KiB", FILE_BYTES_MAX / 1024)
            }
            Some(text) => return Some(Arc::from(text.as_str())),
            None => format!("there is no file `{path}` in the project folder"),
        };
        report.problem(&entry.span(), problem, None);
        None
    }

    /// Reports the processes that there are none of.
    pub(super) fn check_processes(&self, manifest: &Manifest, report: &mut Report<'_>) {
        for (at, what, process) in &self.processes {
            if manifest.processes.contains_key(process) {
                continue;
            }
            let known: Vec<_> = manifest.processes.keys().map(ProcessType::as_str).collect();
            let hint = nearest(process.as_str(), known.iter().copied()).map_or_else(
                || format!("there is {}", known.join(", ")),
                |near| format!("did you mean `{near}`?"),
            );
            let message = format!("{what} leads to process `{process}`, which there is none of");
            report.problem(at, message, Some(hint));
        }
    }
}

/// A relative path that stays below its folder, without its `.` segments.
fn path_below(text: &str) -> Result<String, String> {
    if text.starts_with('/') || text.split('/').any(|part| part == "..") {
        return Err(format!("`{text}` is outside the project folder; give a path below it"));
    }
    let parts: Vec<_> = text.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    if parts.is_empty() || text.contains('\0') {
        return Err(format!("`{}` is not a file's path", text.escape_debug()));
    }
    Ok(parts.join("/"))
}
