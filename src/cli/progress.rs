//! How a build or a deploy goes on, as it goes on.
//!
//! On a terminal the running step is one line with a spinner and the time it has taken, with the newest lines of its log
//! under it; a finished step leaves a line behind, and its log is gone. When it fails, the whole log is printed instead.
//! Without a terminal every step and every line of a log is a line of its own. With `--quiet` there is nothing.
//!
//! All of it is on standard error.

use std::collections::VecDeque;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use tokio::time::Instant;

use super::output::Output;

/// Lines of the log under a running step.
const FOLDED_LINES: usize = 5;
/// Lines of the log that are kept for a failure: that of a large `cargo build`.
const KEPT_LINES_MAX: usize = 10_000;
/// Between two pictures of the spinner.
const TICK: Duration = Duration::from_millis(100);
/// Columns before a line of the log.
const INDENT: usize = 4;

/// The view of one build or deploy.
#[derive(Debug)]
pub(crate) struct ProgressView {
    out: Output,
    view: View,
    log: VecDeque<String>,
}

#[derive(Debug)]
enum View {
    None,
    Lines,
    Live(Live),
}

#[derive(Debug)]
struct Live {
    bar: ProgressBar,
    /// The running step, and since when.
    step: Option<(String, Instant)>,
}

impl ProgressView {
    pub(crate) fn new(out: Output) -> Self {
        let view = match (out.is_quiet(), out.is_live()) {
            (true, _) => View::None,
            (false, false) => View::Lines,
            (false, true) => View::Live(Live { bar: ProgressBar::hidden(), step: None }),
        };
        Self { out, view, log: VecDeque::new() }
    }

    /// A step begins; the one before it is done.
    pub(crate) fn step(&mut self, step: &str, detail: &str) {
        self.log.clear();
        let text = format!("{step} {detail}").trim_end().to_owned();
        match &mut self.view {
            View::None => {}
            View::Lines => self.out.say(format_args!("=> {text}")),
            View::Live(live) => {
                live.leave('✓', self.out);
                live.start(text);
            }
        }
    }

    /// A line of the running step's log.
    pub(crate) fn log(&mut self, line: &str) {
        let line = printable(line);
        match &self.view {
            View::None => {}
            View::Lines => self.out.say(format_args!("   {line}")),
            View::Live(live) => {
                if self.log.len() == KEPT_LINES_MAX {
                    self.log.pop_front();
                }
                self.log.push_back(line);
                live.show(&self.log);
            }
        }
    }

    /// Something worth saying meanwhile.
    pub(crate) fn notice(&mut self, text: &str) {
        match &self.view {
            View::None => {}
            View::Lines => self.out.say(text),
            View::Live(live) => live.bar.suspend(|| self.out.say(text)),
        }
    }

    /// All steps are done.
    pub(crate) fn finish(&mut self) {
        if let View::Live(live) = &mut self.view {
            live.leave('✓', self.out);
        }
    }

    /// The running step failed: its whole log is printed. Says whether there was one to see, now or before.
    pub(crate) fn fail(&mut self) -> bool {
        match &mut self.view {
            View::None => false,
            View::Lines => true,
            View::Live(live) => {
                live.leave('✗', self.out);
                for line in &self.log {
                    self.out.say(format_args!("   {line}"));
                }
                true
            }
        }
    }

    /// The running step is given up: the view goes away, and what it showed of the log.
    pub(crate) fn abandon(&mut self) {
        if let View::Live(live) = &mut self.view {
            live.leave('✗', self.out);
        }
    }
}

impl Live {
    fn start(&mut self, text: String) {
        let style = ProgressStyle::with_template("{spinner:.cyan} {prefix} {elapsed:.dim}{msg}")
            .expect("the template is valid")
            .tick_chars("⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏ ");
        self.bar = ProgressBar::new_spinner().with_style(style).with_prefix(text.clone());
        self.bar.enable_steady_tick(TICK);
        self.step = Some((text, Instant::now()));
    }

    fn show(&self, log: &VecDeque<String>) {
        let columns = usize::from(console::Term::stderr().size().1).saturating_sub(INDENT + 1);
        let folded = log.iter().skip(log.len().saturating_sub(FOLDED_LINES));
        let lines =
            folded.map(|line| format!("\n{:INDENT$}{}", "", console::truncate_str(line, columns, "…")));
        self.bar.set_message(lines.collect::<String>());
    }

    /// Puts a line in the running step's place.
    fn leave(&mut self, mark: char, out: Output) {
        if let Some((text, since)) = self.step.take() {
            self.bar.finish_and_clear();
            out.say(format_args!("{mark} {text} {:.1}s", since.elapsed().as_secs_f64()));
        }
    }
}

/// The line as it may go to a terminal: no colours of its own, no other control characters.
fn printable(line: &str) -> String {
    // A progress bar draws itself over with carriage returns; its last state is what counts.
    let last = line.trim_end_matches(['\r', '\n']).rsplit('\r').next().unwrap_or_default();
    let plain = console::strip_ansi_codes(last);
    plain.chars().map(|c| if c == '\t' { ' ' } else { c }).filter(|c| !c.is_control()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logs_cannot_steer_the_terminal() {
        assert_eq!(printable("\u{1b}[31mred\u{1b}[0m\r\n"), "red");
        assert_eq!(printable("10%\r50%\r100%"), "100%");
        assert_eq!(printable("a\tb\u{7}\u{8}"), "a b");
    }
}
