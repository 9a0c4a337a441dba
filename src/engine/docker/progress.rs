//! What engines say while they build and fetch, as lines that people read.
//!
//! BuildKit sends a graph: vertices that start, end, are cached or fail, and the output of each. It becomes
//! `#5 [2/3] RUN make`, `#5 cc -o app`, `#5 DONE 1.2s`: steps are numbered in the order in which they start, because several
//! run at a time. The older builder and Podman's send text. A download or upload is one line for each
//! state of each layer.

use std::collections::{BTreeMap, BTreeSet};

use bollard::moby::buildkit::v1::{StatusResponse, Vertex, VertexLog};
use bollard::models::{BuildInfo, BuildInfoAux};

use super::super::EngineError;
use super::error::is_disk_full;

/// The longest line of a step's output that is kept while its end is awaited.
const LINE_BYTES_MAX: usize = 16 * 1024;
/// How BuildKit calls looking for a base image.
const LOADING_IMAGE: &str = "[internal] load metadata for ";
/// What BuildKit puts before the names of Docker Hub's images, and people do not.
const HUB_PREFIXES: [&str; 2] = ["docker.io/library/", "docker.io/"];

/// A build's log so far.
#[derive(Debug, Default)]
pub(super) struct BuildProgress {
    /// By digest.
    steps: BTreeMap<String, Step>,
    /// What the older builder said that has no end of line yet.
    text: String,
    /// The older builder's step, when it is one that needs an image: what it needs.
    base_image: Option<String>,
    failed: Option<FailedStep>,
}

/// A download's or upload's log so far: the state that each layer was last said to be in.
#[derive(Debug, Default)]
pub(super) struct LayerProgress(BTreeMap<String, String>);

#[derive(Debug)]
struct Step {
    number: usize,
    is_over: bool,
    partial: Vec<u8>,
    statuses: BTreeSet<String>,
}

#[derive(Debug)]
struct FailedStep {
    name: String,
    error: String,
}

impl BuildProgress {
    /// The lines that this adds to the log.
    pub(super) fn lines(&mut self, info: BuildInfo) -> Vec<String> {
        match info.aux {
            Some(BuildInfoAux::BuildKit(status)) => self.graph_lines(&status),
            _ => self.text_lines(&info.stream.or(info.status).unwrap_or_default()),
        }
    }

    /// Why the build failed, when the engine says `message`.
    pub(super) fn failure(&self, action: &str, message: &str) -> EngineError {
        if is_disk_full(message) {
            return EngineError::DiskFull { action: action.to_owned() };
        }
        let message = message.trim();
        let message = match (&self.failed, &self.base_image) {
            (Some(step), _) => match step.name.strip_prefix(LOADING_IMAGE) {
                Some(image) => format!("cannot fetch image `{}`: {}", short_image(image), step.error),
                None => format!("step `{}` failed: {}", step.name, step.error),
            },
            (None, Some(image)) => format!("cannot fetch image `{image}`: {message}"),
            (None, None) => message.to_owned(),
        };
        EngineError::BuildFailed { message }
    }

    fn graph_lines(&mut self, status: &StatusResponse) -> Vec<String> {
        let mut lines = Vec::new();
        for vertex in &status.vertexes {
            self.vertex_lines(vertex, &mut lines);
        }
        for progress in status.statuses.iter().filter(|progress| progress.completed.is_some()) {
            if let Some(step) = self.steps.get_mut(&progress.vertex)
                && step.statuses.insert(progress.id.clone())
            {
                lines.push(format!("#{} {} done", step.number, progress.id));
            }
        }
        for log in &status.logs {
            self.log_lines(log, &mut lines);
        }
        for warning in &status.warnings {
            if let Some(step) = self.steps.get(&warning.vertex) {
                let text = String::from_utf8_lossy(&warning.short);
                lines.push(format!("#{} WARNING: {text}", step.number));
            }
        }
        lines
    }

    fn vertex_lines(&mut self, vertex: &Vertex, lines: &mut Vec<String>) {
        let Some(started) = &vertex.started else { return };
        let number = self.steps.len() + 1;
        let step = self.steps.entry(vertex.digest.clone()).or_insert_with(|| {
            lines.push(format!("#{number} {}", vertex.name));
            Step { number, is_over: false, partial: Vec::new(), statuses: BTreeSet::new() }
        });
        let Some(completed) = vertex.completed.as_ref().filter(|_| !step.is_over) else { return };
        step.is_over = true;
        let number = step.number;
        if !step.partial.is_empty() {
            lines.push(format!("#{number} {}", String::from_utf8_lossy(&std::mem::take(&mut step.partial))));
        }
        if !vertex.error.is_empty() {
            lines.push(format!("#{number} ERROR: {}", vertex.error));
            self.failed = Some(FailedStep { name: vertex.name.clone(), error: vertex.error.clone() });
        } else if vertex.cached {
            lines.push(format!("#{number} CACHED"));
        } else {
            let millis = (completed.seconds - started.seconds) * 1000
                + i64::from(completed.nanos - started.nanos) / 1_000_000;
            lines.push(format!("#{number} DONE {}.{}s", millis / 1000, millis % 1000 / 100));
        }
    }

    fn log_lines(&mut self, log: &VertexLog, lines: &mut Vec<String>) {
        let Some(step) = self.steps.get_mut(&log.vertex) else { return };
        for piece in log.msg.split_inclusive(|byte| *byte == b'\n') {
            step.partial.extend_from_slice(piece);
            if piece.ends_with(b"\n") || step.partial.len() > LINE_BYTES_MAX {
                let line = std::mem::take(&mut step.partial);
                lines.push(format!("#{} {}", step.number, String::from_utf8_lossy(&line).trim_end()));
            }
        }
    }

    fn text_lines(&mut self, text: &str) -> Vec<String> {
        self.text.push_str(text);
        let end = match self.text.rfind('\n') {
            Some(end) => end + 1,
            None if self.text.len() > LINE_BYTES_MAX => self.text.len(),
            None => return Vec::new(),
        };
        let whole: String = self.text.drain(..end).collect();
        let lines = whole.lines().map(str::trim_end).filter(|line| !line.is_empty());
        lines
            .map(|line| {
                // `Step 1/3 : FROM busybox AS build`; whatever comes after it means that the image was there.
                self.base_image = line
                    .strip_prefix("Step ")
                    .and_then(|step| step.split_once(" : FROM "))
                    .and_then(|(_, image)| image.split(' ').next().map(str::to_owned));
                line.to_owned()
            })
            .collect()
    }
}

impl LayerProgress {
    /// The line that this adds to the log: none when only a number of bytes changed.
    pub(super) fn line(&mut self, layer: Option<&str>, status: Option<&str>) -> Option<String> {
        let status = status?.trim_end();
        let Some(layer) = layer.filter(|layer| !layer.is_empty()) else { return Some(status.to_owned()) };
        match self.0.insert(layer.to_owned(), status.to_owned()) {
            Some(last) if last == status => None,
            _ => Some(format!("{layer}: {status}")),
        }
    }
}

fn short_image(name: &str) -> &str {
    HUB_PREFIXES.iter().find_map(|prefix| name.strip_prefix(prefix)).unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(progress: &mut BuildProgress, stream: &str) -> Vec<String> {
        progress.lines(BuildInfo { stream: Some(stream.to_owned()), ..Default::default() })
    }

    fn status_of(vertex: Vertex, log: &str) -> BuildInfo {
        let logs = VertexLog { vertex: vertex.digest.clone(), msg: log.into(), ..Default::default() };
        let status = StatusResponse { vertexes: vec![vertex], logs: vec![logs], ..Default::default() };
        BuildInfo { aux: Some(BuildInfoAux::BuildKit(status)), ..Default::default() }
    }

    #[test]
    fn a_graph_becomes_numbered_lines() {
        let mut progress = BuildProgress::default();
        let mut vertex = Vertex { name: "[1/2] RUN make".to_owned(), ..Default::default() };
        assert!(progress.lines(status_of(vertex.clone(), "")).is_empty());
        vertex.started = Some(Default::default());
        assert_eq!(progress.lines(status_of(vertex.clone(), "a\nb")), ["#1 [1/2] RUN make", "#1 a"]);
        let mut end = vertex.started.unwrap_or_default();
        (end.seconds, end.nanos) = (2, 340_000_000);
        vertex.completed = Some(end);
        assert_eq!(progress.lines(status_of(vertex.clone(), "")), ["#1 b", "#1 DONE 2.3s"]);
        assert!(progress.lines(status_of(vertex, "")).is_empty());
    }

    #[test]
    fn a_missing_base_image_is_named() {
        let mut progress = BuildProgress::default();
        text(&mut progress, "Step 1/2 : FROM nope:1 AS build\n");
        let error = progress.failure("build image `x`", "no such host");
        assert_eq!(error.to_string(), "cannot fetch image `nope:1`: no such host");
        text(&mut progress, " ---> 0123\nStep 2/2 : RUN false\n");
        assert_eq!(progress.failure("build image `x`", "code 1").to_string(), "code 1");

        let mut progress = BuildProgress::default();
        progress.lines(status_of(
            Vertex {
                name: format!("{LOADING_IMAGE}docker.io/library/nope:1"),
                started: Some(Default::default()),
                completed: Some(Default::default()),
                error: "no such host".to_owned(),
                ..Default::default()
            },
            "",
        ));
        let error = progress.failure("build image `x`", "failed to solve");
        assert_eq!(error.to_string(), "cannot fetch image `nope:1`: no such host");
    }

    #[test]
    fn a_download_says_each_state_once() {
        let mut progress = LayerProgress::default();
        let mut said = Vec::new();
        for (layer, status) in [
            ("", "Pulling from library/a"),
            ("l1", "Downloading"),
            ("l1", "Downloading"),
            ("l1", "Pull complete"),
        ] {
            said.extend(progress.line(Some(layer), Some(status)));
        }
        assert_eq!(said, ["Pulling from library/a", "l1: Downloading", "l1: Pull complete"]);
    }
}
