//! The router's lines, from the access log into the apps' streams.
//!
//! It stands where the access log writes, on that log's own thread: a request does what it always did, and nothing more. Of
//! each app's lines [`LINES_MAX`] a second are taken, and as many more that tell of an error; a line then says how many were
//! not. So a load of a hundred thousand requests a second costs the look at each line, and fills no journal.
//!
//! A line goes to the app that it names, in a part that is the proxy's own: what a client sends stands in quotes, before it.

use std::collections::HashMap;
use std::io::{self, Write};
use std::time::Duration;

use jiff::Timestamp;
use memchr::memmem;
use tokio::time::Instant;

use super::sink::{LogSink, Voice};
use crate::clock;
use crate::name::AppName;

/// Lines of an app that are taken in a second, and lines that tell of errors besides.
const LINES_MAX: u64 = 200;
/// Apps that are counted at a time; those beyond are begun anew.
const APPS_MAX: usize = 10_000;
const SECOND: Duration = Duration::from_secs(1);
/// Between the time and the fields.
const MARK: &str = " router: ";

/// Passes an access log's lines on, and takes those of apps into their streams.
pub struct RouterLines<W> {
    inner: W,
    sink: LogSink,
    apps: HashMap<String, Counted>,
}

struct Counted {
    app: AppName,
    since: Instant,
    taken: u64,
    errors_taken: u64,
    left: u64,
    errors_left: u64,
}

impl<W: Write> RouterLines<W> {
    /// Passes lines to `inner`, and takes them into `sink`.
    pub fn new(inner: W, sink: LogSink) -> Self {
        Self { inner, sink, apps: HashMap::new() }
    }

    fn take(&mut self, line: &[u8]) {
        let Some((before, app, after)) = parts(line) else { return };
        let is_error = memmem::find(before, b" at=error ").is_some() || is_server_error(after);
        let now = Instant::now();
        if !self.apps.contains_key(app) {
            let Ok(name) = app.parse::<AppName>() else { return };
            if self.apps.len() >= APPS_MAX {
                self.apps.clear();
            }
            self.apps.insert(app.to_owned(), Counted::new(name, now));
        }
        let counted = self.apps.get_mut(app).expect("it was put there");
        if now.duration_since(counted.since) >= SECOND {
            counted.tell(&self.sink);
            *counted = Counted::new(counted.app.clone(), now);
        }
        if !counted.is_taken(is_error) {
            return;
        }
        let before = String::from_utf8_lossy(before);
        let Some((time, fields)) = before.split_once(MARK) else { return };
        let time = time.parse::<Timestamp>().ok().and_then(|time| u64::try_from(time.as_nanosecond()).ok());
        let text = format!("{fields}{}", String::from_utf8_lossy(after));
        self.sink.say_at(time.unwrap_or_else(clock::nanos), &counted.app, Voice::Router, &text);
    }
}

impl<W: Write> Write for RouterLines<W> {
    /// Whole lines, as an access log writes them.
    fn write(&mut self, lines: &[u8]) -> io::Result<usize> {
        lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).for_each(|line| self.take(line));
        self.inner.write_all(lines)?;
        Ok(lines.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

impl Counted {
    fn new(app: AppName, now: Instant) -> Self {
        Self { app, since: now, taken: 0, errors_taken: 0, left: 0, errors_left: 0 }
    }

    fn is_taken(&mut self, is_error: bool) -> bool {
        if self.taken < LINES_MAX {
            self.taken += 1;
            return true;
        }
        if is_error && self.errors_taken < LINES_MAX {
            self.errors_taken += 1;
            return true;
        }
        self.left += 1;
        self.errors_left += u64::from(is_error);
        false
    }

    fn tell(&self, sink: &LogSink) {
        if self.left > 0 {
            let text = format!("at=info left_out={} errors_left_out={}", self.left, self.errors_left);
            sink.say(&self.app, Voice::Router, &text);
        }
    }
}

/// What is before ` app=NAME`, the name, and what is after.
fn parts(line: &[u8]) -> Option<(&[u8], &str, &[u8])> {
    const FIELD: &[u8] = b" app=";
    let at = memmem::rfind(line, FIELD)?;
    let rest = &line[at + FIELD.len()..];
    let end = memchr::memchr(b' ', rest)?;
    let (app, after) = rest.split_at(end);
    // What a client has sent and that has a space is in quotes: such a field would end in one.
    if memchr::memchr(b'"', rest).is_some() {
        return None;
    }
    Some((&line[..at], std::str::from_utf8(app).ok()?, after))
}

fn is_server_error(after: &[u8]) -> bool {
    memmem::find(after, b" status=5").is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_the_apps_that_the_proxy_names() {
        let check = |line: &str, expected: Option<(&str, &str, &str)>| {
            let found = parts(line.as_bytes()).map(|(before, app, after)| {
                (std::str::from_utf8(before).unwrap(), app, std::str::from_utf8(after).unwrap())
            });
            assert_eq!(found, expected);
        };
        check(
            "2026-01-01T00:00:00.123Z router: at=info path=\"/\" fwd=\"::1\" app=shop instance=web.1 status=200",
            Some((
                "2026-01-01T00:00:00.123Z router: at=info path=\"/\" fwd=\"::1\"",
                "shop",
                " instance=web.1 status=200",
            )),
        );
        check("t router: at=info host=\"a app=shop connect=0ms\" fwd=\"::1\" status=404", None);
        check("t router: at=info fwd=\"::1\" header.x=\"a app=shop b\" connect=0ms status=404", None);
        check("t router: at=info fwd=\"::1\" status=404", None);
    }

    #[tokio::test(start_paused = true)]
    async fn beyond_a_number_a_second_lines_are_counted_and_errors_last() {
        let mut counted = Counted::new("shop".parse().unwrap(), Instant::now());
        let taken = (0..LINES_MAX + 50).filter(|_| counted.is_taken(false)).count() as u64;
        let errors = (0..LINES_MAX + 5).filter(|_| counted.is_taken(true)).count() as u64;
        assert_eq!((taken, errors), (LINES_MAX, LINES_MAX));
        assert_eq!((counted.left, counted.errors_left), (55, 5));
    }
}
