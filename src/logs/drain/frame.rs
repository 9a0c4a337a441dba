//! Lines as syslog messages (RFC 5424), and as frames of them.
//!
//! ```text
//! <190>1 2026-11-23T20:37:00.123456Z shop app web.1 - - text       syslog
//! <190>1 2026-11-23T20:37:00.123456Z shop app web.1 - text         http, as Heroku's log drains have it
//! ```
//!
//! The host is the app, the application is `app` or `minipaas`, the process is what stands in a line's brackets. What apps write
//! is of facility local7, what the box says of local3 (as at Heroku), and of severity info. A frame is the message's length in
//! bytes, a space, and the message (RFC 6587, 3.4.1).

use jiff::Timestamp;

use super::super::line::{Line, Source};
use crate::name::AppName;

/// Local7, info.
const PRIORITY_APP: u8 = 23 * 8 + 6;
/// Local3, info.
const PRIORITY_BOX: u8 = 19 * 8 + 6;
/// What stands for structured data that there is none of.
const NO_DATA: &str = "- ";

/// Which of the two forms a message has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// RFC 5424.
    Syslog,
    /// Without structured data.
    Logplex,
}

/// The line as a message.
pub(super) fn message(app: &AppName, line: &Line, form: Form) -> String {
    let priority = match line.speaker.source {
        Source::App => PRIORITY_APP,
        Source::Router | Source::Build | Source::Release | Source::Platform => PRIORITY_BOX,
    };
    let time = Timestamp::from_nanosecond(line.at.into()).unwrap_or(Timestamp::UNIX_EPOCH);
    let (program, process) = (line.speaker.source.program(), &line.speaker.process);
    let data = if form == Form::Syslog { NO_DATA } else { "" };
    format!("<{priority}>1 {time:.6} {app} {program} {process} - {data}{}", line.text)
}

/// The message with its length before it.
pub(super) fn push(to: &mut Vec<u8>, message: &str) {
    to.extend_from_slice(message.len().to_string().as_bytes());
    to.push(b' ');
    to.extend_from_slice(message.as_bytes());
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::super::line::Speaker;
    use super::*;

    #[test]
    fn a_line_is_a_message_of_the_rfc() {
        let speaker =
            Speaker { source: Source::App, process: "web.1".to_owned(), release: None, instance: None };
        let at = 1_767_225_600_123_456_789;
        let line = |speaker| Line {
            at,
            is_stderr: false,
            is_cut: false,
            speaker: Arc::new(speaker),
            text: "grüß dich".to_owned(),
        };
        let app: AppName = "shop".parse().unwrap();
        let said = message(&app, &line(speaker.clone()), Form::Syslog);
        assert_eq!(said, "<190>1 2026-01-01T00:00:00.123456Z shop app web.1 - - grüß dich");
        let said = message(&app, &line(Speaker::of_box(Source::Router, None)), Form::Logplex);
        assert_eq!(said, "<158>1 2026-01-01T00:00:00.123456Z shop minipaas router - grüß dich");
    }

    #[test]
    fn a_frame_counts_bytes() {
        let mut frames = Vec::new();
        push(&mut frames, "grüß");
        push(&mut frames, "");
        assert_eq!(String::from_utf8(frames).unwrap(), "6 grüß0 ");
    }
}
