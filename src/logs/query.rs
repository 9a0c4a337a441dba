//! Which lines somebody wants.

use regex_automata::meta::{Config, Regex};

use super::line::{Line, Source};
use crate::name::{AppName, ReleaseId};

/// What a pattern may need of memory when it is compiled, and again when it is searched for.
const PATTERN_BYTES_MAX: usize = 1 << 20;
/// The longest pattern.
const PATTERN_CHARS_MAX: usize = 1000;

/// Which lines are wanted.
#[derive(Debug, Clone)]
pub struct Query {
    /// The app.
    pub app: AppName,
    /// Go on with new lines.
    pub follow: bool,
    /// At most so many of the newest; `None` for all since `since`, or else 100.
    pub tail: Option<u32>,
    /// Only lines of this process type (`web`) or instance (`web.1`), and what the box says about it.
    pub process: Option<String>,
    /// Only lines of this source.
    pub source: Option<Source>,
    /// Only lines about this release.
    pub release: Option<ReleaseId>,
    /// Only lines of this time or later, in nanoseconds since the Unix epoch.
    pub since: Option<u64>,
    /// Only lines of this time or earlier.
    pub until: Option<u64>,
    /// Only lines that match.
    pub grep: Option<Pattern>,
}

/// What a line's text is searched for.
#[derive(Debug, Clone)]
pub struct Pattern(Regex);

/// Not a regular expression, or one that is too large.
#[derive(Debug, thiserror::Error)]
#[error(
    "`{text}` is no pattern that can be searched for; it is a regular expression, in which `\\` makes the next character plain"
)]
pub struct NoPattern {
    text: String,
    #[source]
    source: Option<Box<regex_automata::meta::BuildError>>,
}

impl Pattern {
    /// A regular expression, as the Rust crate `regex` has them but for Unicode's scripts and categories; it matches in linear
    /// time.
    ///
    /// # Errors
    ///
    /// When it is none, or too large.
    pub fn new(text: &str) -> Result<Self, NoPattern> {
        let wrong = |source| NoPattern { text: text.to_owned(), source };
        if text.chars().count() > PATTERN_CHARS_MAX {
            return Err(wrong(None));
        }
        let config =
            Config::new().nfa_size_limit(Some(PATTERN_BYTES_MAX)).hybrid_cache_capacity(PATTERN_BYTES_MAX);
        let regex = Regex::builder().configure(config).build(text);
        regex.map(Self).map_err(|error| wrong(Some(Box::new(error))))
    }
}

impl Query {
    /// Everything of an app, from its last lines on.
    #[must_use]
    pub fn of(app: AppName) -> Self {
        Self {
            app,
            follow: false,
            tail: None,
            process: None,
            source: None,
            release: None,
            since: None,
            until: None,
            grep: None,
        }
    }

    /// Whether the line is one of those that are wanted.
    #[must_use]
    pub fn wants(&self, line: &Line) -> bool {
        let speaker = &line.speaker;
        self.since.is_none_or(|since| line.at >= since)
            && self.until.is_none_or(|until| line.at <= until)
            && self.source.is_none_or(|source| speaker.source == source)
            && self.release.is_none_or(|release| speaker.release == Some(release))
            && self.process.as_ref().is_none_or(|process| is_of(&speaker.process, process))
            && self.grep.as_ref().is_none_or(|Pattern(regex)| regex.is_match(&line.text))
    }
}

/// Whether `web.1` is meant by `web.1` or `web`.
fn is_of(process: &str, wanted: &str) -> bool {
    process == wanted || process.rsplit_once('.').is_some_and(|(process, _)| process == wanted)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::line::Speaker;
    use super::*;

    #[test]
    fn a_line_must_be_all_that_is_wanted() {
        let all = || Query::of("shop".parse().unwrap());
        let speaker = Speaker {
            source: Source::App,
            process: "web.1".to_owned(),
            release: ReleaseId::from_number(3),
            instance: None,
        };
        let text = "GET /cart 200".to_owned();
        let line = Line { at: 50, is_stderr: false, is_cut: false, speaker: Arc::new(speaker), text };
        let wanted = |query: Query| query.wants(&line);
        let process = |process: &str| wanted(Query { process: Some(process.to_owned()), ..all() });
        let grep = |text: &str| wanted(Query { grep: Some(Pattern::new(text).unwrap()), ..all() });
        assert!(wanted(all()));
        assert!(process("web") && process("web.1") && !process("web.2") && !process("we"));
        assert!(wanted(Query { source: Some(Source::App), release: ReleaseId::from_number(3), ..all() }));
        assert!(!wanted(Query { source: Some(Source::Router), ..all() }));
        assert!(!wanted(Query { release: ReleaseId::from_number(2), ..all() }));
        assert!(wanted(Query { since: Some(50), until: Some(50), ..all() }));
        assert!(!wanted(Query { since: Some(51), ..all() }) && !wanted(Query { until: Some(49), ..all() }));
        assert!(grep("cart") && grep("^GET .* (200|201)$") && !grep("POST") && grep("(?i)get"));
    }

    #[test]
    fn a_pattern_cannot_take_the_box_down() {
        for wrong in ["(", "a{1000}{1000}{1000}", &"x".repeat(PATTERN_CHARS_MAX + 1)] {
            assert!(Pattern::new(wrong).is_err(), "{wrong}");
        }
        let speaker = Arc::new(Speaker::of_box(Source::Build, None));
        let text = "a".repeat(50_000) + "b";
        let line = Line { at: 0, is_stderr: false, is_cut: false, speaker, text };
        let grep = Some(Pattern::new("(a*)*(a|aa)+$").unwrap());
        assert!(!Query { grep, ..Query::of("shop".parse().unwrap()) }.wants(&line));
    }
}
