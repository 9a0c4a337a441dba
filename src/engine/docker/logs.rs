//! What containers wrote.
//!
//! The engine keeps lines in pieces of 16 KiB, each with a time of its own; [`LineMerger`] puts them together, standard output
//! and standard error apart. A line that is longer than [`LINE_BYTES_MAX`] is cut there and goes on as another line.
//!
//! When a container ends, an engine (seen with 20.10) may end a followed log before the last line when that has no end of
//! line; whoever needs the last word reads the log again without following.

use std::iter::once;

use bollard::container::LogOutput;
use bollard::query_parameters::LogsOptionsBuilder;
use bytes::Bytes;
use futures_util::future::ready;
use futures_util::stream::{self, BoxStream, StreamExt};
use jiff::Timestamp;

use super::super::{EngineError, LogLine, LogQuery};
use super::DockerEngine;

/// The longest line that is passed on whole.
const LINE_BYTES_MAX: usize = 64 * 1024;
const NANOS_PER_SECOND: u64 = 1_000_000_000;

impl DockerEngine {
    pub(super) async fn container_logs(
        &self,
        container: &str,
        query: LogQuery,
    ) -> Result<BoxStream<'static, LogLine>, EngineError> {
        // The stream below has no way to say that there is no such container.
        if self.inspect(container).await?.is_none() {
            return Err(EngineError::NotFound { what: format!("container `{container}`") });
        }
        let tail = query.tail.map_or_else(|| "all".to_owned(), |lines| lines.to_string());
        // The engine counts whole seconds here; the rest is for whoever asks to skip.
        let since =
            query.since.map_or(0, |nanos| i32::try_from(nanos / NANOS_PER_SECOND).unwrap_or(i32::MAX));
        let options = LogsOptionsBuilder::default()
            .stdout(true)
            .stderr(true)
            .timestamps(true)
            .follow(query.follow)
            .tail(&tail)
            .since(since)
            .build();
        let pieces = self.client.logs(container, Some(options));
        let pieces =
            pieces.map(|piece| piece.inspect_err(|error| tracing::debug!(%error, "log ended early")));
        let pieces = pieces.take_while(|piece| ready(piece.is_ok())).filter_map(|piece| ready(piece.ok()));
        // A last `None` asks for what is left of a line that never ended.
        let lines =
            pieces.map(Some).chain(stream::once(ready(None))).scan(LineMerger::default(), |merger, piece| {
                ready(Some(match piece {
                    Some(LogOutput::StdErr { message }) => merger.push(true, &message),
                    Some(output) => merger.push(false, &output.into_bytes()),
                    None => merger.finish(),
                }))
            });
        Ok(lines.flat_map(stream::iter).boxed())
    }
}

/// Lines in the making, one a stream.
#[derive(Debug, Default)]
struct LineMerger {
    stdout: Option<Partial>,
    stderr: Option<Partial>,
}

#[derive(Debug)]
struct Partial {
    at: u64,
    text: Vec<u8>,
}

impl LineMerger {
    fn push(&mut self, is_stderr: bool, piece: &Bytes) -> Vec<LogLine> {
        let slot = if is_stderr { &mut self.stderr } else { &mut self.stdout };
        let (at, text) = split_time(piece);
        let (is_whole, text) = match text.strip_suffix(b"\n") {
            Some(text) => (true, text.strip_suffix(b"\r").unwrap_or(text)),
            None => (false, text),
        };
        let partial = slot.get_or_insert(Partial { at, text: Vec::new() });
        partial.text.extend_from_slice(text);
        let mut lines = Vec::new();
        while partial.text.len() > LINE_BYTES_MAX {
            let rest = partial.text.split_off(LINE_BYTES_MAX);
            lines.push(LogLine { is_cut: true, ..partial.line(is_stderr) });
            partial.text = rest;
        }
        if is_whole {
            lines.extend(slot.take().map(|partial| partial.line(is_stderr)));
        }
        lines
    }

    fn finish(&mut self) -> Vec<LogLine> {
        let stdout = self.stdout.take().map(|partial| partial.line(false));
        let stderr = self.stderr.take().map(|partial| partial.line(true));
        let rest = once(stdout).chain(once(stderr)).flatten();
        rest.map(|line| LogLine { is_unfinished: true, ..line }).collect()
    }
}

impl Partial {
    fn line(&self, is_stderr: bool) -> LogLine {
        let text = String::from_utf8_lossy(&self.text).into_owned();
        LogLine { at: self.at, is_stderr, is_cut: false, is_unfinished: false, text }
    }
}

/// The time that the engine puts before each piece, in nanoseconds, and what follows.
fn split_time(piece: &[u8]) -> (u64, &[u8]) {
    let parse = |end: usize| -> Option<u64> {
        let time: Timestamp = std::str::from_utf8(&piece[..end]).ok()?.parse().ok()?;
        u64::try_from(time.as_nanosecond()).ok()
    };
    let space = piece.iter().position(|byte| *byte == b' ');
    match space.and_then(|end| Some((parse(end)?, &piece[end + 1..]))) {
        Some(split) => split,
        None => (0, piece),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(at_millis: u64, is_stderr: bool, text: &str) -> LogLine {
        let text = text.to_owned();
        LogLine { at: at_millis * 1_000_000, is_stderr, is_cut: false, is_unfinished: false, text }
    }

    fn piece(seconds: u32, text: &str) -> Bytes {
        Bytes::from(format!("1970-01-01T00:00:0{seconds}.250000000Z {text}"))
    }

    #[test]
    fn pieces_become_lines_with_the_time_of_their_first() {
        let mut merger = LineMerger::default();
        assert_eq!(merger.push(false, &piece(1, "a")), []);
        assert_eq!(merger.push(true, &piece(2, "err\r\n")), [line(2250, true, "err")]);
        assert_eq!(merger.push(false, &piece(3, "b\n")), [line(1250, false, "ab")]);
        assert_eq!(merger.push(false, &piece(4, "\n")), [line(4250, false, "")]);
        assert_eq!(merger.push(false, &piece(5, "rest")), []);
        assert_eq!(merger.finish(), [LogLine { is_unfinished: true, ..line(5250, false, "rest") }]);
    }

    #[test]
    fn a_line_without_end_is_cut() {
        let mut merger = LineMerger::default();
        let piece = piece(1, &"x".repeat(LINE_BYTES_MAX / 4));
        let cut: Vec<LogLine> = (0..5).flat_map(|_| merger.push(false, &piece)).collect();
        assert_eq!(cut.len(), 1);
        assert_eq!((cut[0].text.len(), cut[0].is_cut), (LINE_BYTES_MAX, true));
    }
}
