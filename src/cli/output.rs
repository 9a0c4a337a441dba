//! The only place that prints.
//!
//! Standard output carries a command's result and nothing else; everything about how it goes is on standard error. A result
//! that cannot be written is an error (a closed pipe ends the command), a notice that cannot be written is lost.
//!
//! Colours are for terminals, each stream by itself, and never when `NO_COLOR` is set (no-color.org) or `TERM` is `dumb`.

use std::fmt;
use std::io::{self, BufRead as _, IsTerminal as _, Write as _};

use console::Style;
use serde::Serialize;

use super::args::Globals;
use super::failure::{Failure, OutputError};
use crate::config::Env;

/// How this process prints.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Output {
    is_json: bool,
    is_quiet: bool,
    is_yes: bool,
    has_stdout_colour: bool,
    has_stderr_colour: bool,
    is_live: bool,
    is_screen: bool,
    can_ask: bool,
}

/// What printing a result comes to.
pub(crate) type OutputResult = Result<(), OutputError>;

/// Rows under a header, in columns as wide as they need to be.
#[derive(Debug)]
pub(crate) struct Table {
    rows: Vec<Vec<String>>,
}

/// What somebody answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    Yes,
    No,
    /// There is nobody to ask.
    Nobody,
}

/// Instances by colour; ANSI's six that are neither black nor white.
const SLOT_COLOURS: [console::Color; 6] = [
    console::Color::Cyan,
    console::Color::Yellow,
    console::Color::Green,
    console::Color::Magenta,
    console::Color::Blue,
    console::Color::Red,
];

impl Output {
    pub(crate) fn new(globals: &Globals, env: &Env) -> Self {
        let may_colour = env.get("NO_COLOR").is_none() && env.get("TERM") != Some("dumb");
        let is_stderr_terminal = io::stderr().is_terminal();
        // For indicatif, which asks console.
        console::set_colors_enabled_stderr(may_colour && is_stderr_terminal);
        Self {
            is_json: globals.json,
            is_quiet: globals.quiet,
            is_yes: globals.yes,
            has_stdout_colour: may_colour && io::stdout().is_terminal(),
            has_stderr_colour: may_colour && is_stderr_terminal,
            is_live: is_stderr_terminal && env.get("TERM") != Some("dumb"),
            is_screen: io::stdout().is_terminal() && env.get("TERM") != Some("dumb"),
            can_ask: io::stdin().is_terminal() && is_stderr_terminal,
        }
    }

    /// Whether the result is to be JSON.
    pub(crate) fn is_json(&self) -> bool {
        self.is_json
    }

    /// Whether only the result and errors are wanted.
    pub(crate) fn is_quiet(&self) -> bool {
        self.is_quiet
    }

    /// Whether progress can be drawn over.
    pub(crate) fn is_live(&self) -> bool {
        self.is_live
    }

    /// Whether the result can be drawn over: [`Self::screen`].
    pub(crate) fn is_screen(&self) -> bool {
        self.is_screen
    }

    /// Whether there is somebody to ask.
    pub(crate) fn can_ask(&self) -> bool {
        self.can_ask
    }

    /// A line of the result.
    pub(crate) fn line(&self, line: impl fmt::Display) -> OutputResult {
        Ok(writeln!(io::stdout().lock(), "{line}")?)
    }

    /// The result as bytes, as they are.
    pub(crate) fn bytes(&self, bytes: &[u8]) -> OutputResult {
        Ok(io::stdout().lock().write_all(bytes)?)
    }

    /// What a command on the box wrote to its standard output, at once.
    pub(crate) fn pass_on(&self, bytes: &[u8]) -> OutputResult {
        let mut stdout = io::stdout().lock();
        stdout.write_all(bytes)?;
        Ok(stdout.flush()?)
    }

    /// What it wrote to its standard error.
    pub(crate) fn pass_on_errors(&self, bytes: &[u8]) -> OutputResult {
        Ok(io::stderr().lock().write_all(bytes)?)
    }

    /// The result as one JSON value on one line.
    pub(crate) fn json(&self, value: &impl Serialize) -> OutputResult {
        self.line(serde_json::to_string(value).expect("results are JSON"))
    }

    /// The table, with a header that stands out on a terminal.
    pub(crate) fn table(&self, table: &Table) -> OutputResult {
        for (at, line) in table.lines().into_iter().enumerate() {
            let style = Style::new().bold().force_styling(self.has_stdout_colour && at == 0);
            self.line(style.apply_to(line))?;
        }
        Ok(())
    }

    /// The table at the top of a screen that is otherwise empty.
    pub(crate) fn screen(&self, table: &Table) -> OutputResult {
        // Home, and clear from there: what was shown before scrolls away once, and nothing flickers.
        self.bytes(b"\x1b[H\x1b[J")?;
        self.table(table)
    }

    /// A slot's name, in its colour on a terminal: `number` tells slots apart.
    pub(crate) fn slot(&self, name: &str, number: usize) -> String {
        let colour = SLOT_COLOURS[number % SLOT_COLOURS.len()];
        Style::new().fg(colour).force_styling(self.has_stdout_colour).apply_to(name).to_string()
    }

    /// A word of the result, red, yellow or green on a terminal.
    pub(crate) fn coloured(&self, word: &str, colour: console::Color) -> String {
        Style::new().fg(colour).force_styling(self.has_stdout_colour).apply_to(word).to_string()
    }

    /// Something worth knowing, unless `--quiet`.
    pub(crate) fn notice(&self, text: impl fmt::Display) {
        if !self.is_quiet {
            self.say(text);
        }
    }

    /// Something that may be a mistake, unless `--quiet`.
    pub(crate) fn warning(&self, text: impl fmt::Display) {
        self.notice(format_args!("{} {text}", self.label("warning:", Style::new().yellow().bold())));
    }

    /// Why the command ends.
    pub(crate) fn failure(&self, failure: &Failure) {
        let text = failure.to_string();
        if let Some(rest) = text.strip_prefix("error:") {
            let rest =
                rest.replace("\nhint:", &format!("\n{}", self.label("hint:", Style::new().cyan().bold())));
            self.say(format_args!("{}{}", self.label("error:", Style::new().red().bold()), rest.trim_end()));
        }
    }

    /// Asks for a word, and takes it for a yes; as [`Self::ask`] else. Blocks.
    pub(crate) fn ask_for(&self, question: &str, word: &str) -> Answer {
        self.answer(question, |answer| answer == word)
    }

    /// Asks a question; yes by `--yes`, and nobody is asked where there is no terminal. Blocks.
    pub(crate) fn ask(&self, question: &str) -> Answer {
        let is_yes = |answer: &str| matches!(answer.to_ascii_lowercase().as_str(), "y" | "yes");
        self.answer(&format!("{question} [y/N]"), is_yes)
    }

    fn answer(&self, question: &str, is_yes: impl Fn(&str) -> bool) -> Answer {
        if self.is_yes {
            return Answer::Yes;
        }
        if !self.can_ask {
            return Answer::Nobody;
        }
        // Prompts stay on the line; the answer is what makes the next one.
        let mut stderr = io::stderr().lock();
        if write!(stderr, "{question} ").and_then(|()| stderr.flush()).is_err() {
            return Answer::Nobody;
        }
        let mut answer = String::new();
        match io::stdin().lock().read_line(&mut answer) {
            Ok(_) if is_yes(answer.trim()) => Answer::Yes,
            Ok(_) => Answer::No,
            Err(_) => Answer::Nobody,
        }
    }

    /// A line on standard error, `--quiet` or not.
    pub(crate) fn say(&self, text: impl fmt::Display) {
        // There is no better place to report that this does not work.
        let _ = writeln!(io::stderr().lock(), "{text}");
    }

    fn label(&self, text: &str, style: Style) -> String {
        style.force_styling(self.has_stderr_colour).apply_to(text).to_string()
    }
}

impl Table {
    pub(crate) fn new<const N: usize>(header: [&str; N]) -> Self {
        Self { rows: vec![header.map(str::to_owned).to_vec()] }
    }

    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().collect());
    }

    fn lines(&self) -> Vec<String> {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let width = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(column));
            cells.map(|cell| console::measure_text_width(cell)).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..columns).map(width).collect();
        let line = |row: &Vec<String>| {
            let mut line = String::new();
            for (cell, width) in row.iter().zip(&widths) {
                let padding = width + 2 - console::measure_text_width(cell);
                line.push_str(cell);
                line.extend(std::iter::repeat_n(' ', padding));
            }
            line.trim_end().to_owned()
        };
        self.rows.iter().map(line).collect()
    }
}

/// How long ago that was, in its largest unit: `12s`, `3m`, `2h`, `5d`.
pub(crate) fn age(since_millis: u64, now_millis: u64) -> String {
    let secs = now_millis.saturating_sub(since_millis) / 1000;
    match secs {
        // Nobody knows.
        _ if since_millis == 0 => "-".to_owned(),
        0..60 => format!("{secs}s"),
        60..3_600 => format!("{}m", secs / 60),
        3_600..86_400 => format!("{}h", secs / 3_600),
        _ => format!("{}d", secs / 86_400),
    }
}

/// A size as a person reads it.
pub(crate) fn size(bytes: u64) -> String {
    const KIB: u64 = 1 << 10;
    match bytes {
        0..KIB => format!("{bytes} B"),
        KIB..1_048_576 => format!("{} KiB", bytes / KIB),
        1_048_576..1_073_741_824 => format!("{:.1} MiB", bytes as f64 / 1_048_576.0),
        _ => format!("{:.1} GiB", bytes as f64 / 1_073_741_824.0),
    }
}

/// A duration as people write it: `250ms`, `30s`, `5m`.
pub(crate) fn duration(millis: u64) -> String {
    match millis {
        millis if !millis.is_multiple_of(1_000) => format!("{millis}ms"),
        millis if millis >= 60_000 && millis.is_multiple_of(60_000) => format!("{}m", millis / 60_000),
        millis => format!("{}s", millis / 1_000),
    }
}

/// `1 file`, `2 files`.
pub(crate) fn count(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let mut table = Table::new(["SLOT", "STATE", "DETAIL"]);
        table.row(["web.1", "ready", ""].map(str::to_owned));
        table.row(["réponse.10", "crashed", "exit code 1"].map(str::to_owned));
        assert_eq!(
            table.lines(),
            ["SLOT        STATE    DETAIL", "web.1       ready", "réponse.10  crashed  exit code 1"]
        );
    }

    #[test]
    fn sizes_have_a_fitting_unit() {
        assert_eq!(size(1_023), "1023 B");
        assert_eq!(size(2_048), "2 KiB");
        assert_eq!(size(1_572_864), "1.5 MiB");
        assert_eq!(size(3 << 30), "3.0 GiB");
    }

    #[test]
    fn ages_have_one_unit() {
        let check = |secs: u64, expected: &str| assert_eq!(age(1_000, 1_000 + secs * 1_000), expected);
        check(0, "0s");
        check(59, "59s");
        check(60, "1m");
        check(3_599, "59m");
        check(7_200, "2h");
        check(86_400 * 40, "40d");
        assert_eq!(age(5_000, 1_000), "0s", "clocks may differ");
    }
}
