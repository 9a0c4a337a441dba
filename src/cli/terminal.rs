//! The terminal that we were called from, lent to a process elsewhere.
//!
//! In raw mode every key goes to the process as it is, Ctrl-C too. The mode is put back when [`RawMode`] is dropped, however
//! that comes about; only SIGKILL leaves it as it is.

use std::io::{self, IsTerminal as _};

use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};

use crate::api::Window;

/// The window of a terminal that does not say: the oldest one.
const WINDOW_DEFAULT: Window = Window { columns: 80, rows: 24 };

/// A terminal in raw mode.
pub(crate) struct RawMode {
    before: Termios,
}

impl RawMode {
    /// Puts the terminal of standard input into raw mode.
    pub(crate) fn enter() -> io::Result<Self> {
        let before = tcgetattr(io::stdin())?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(io::stdin(), OptionalActions::Now, &raw)?;
        Ok(Self { before })
    }
}

impl Drop for RawMode {
    fn drop(&mut self) {
        // A terminal that is gone needs no mode. What was typed and not read is not for the shell.
        let _ = tcsetattr(io::stdin(), OptionalActions::Flush, &self.before);
    }
}

/// Whether both ends of a conversation are at a terminal.
pub(crate) fn is_there() -> bool {
    io::stdin().is_terminal() && io::stdout().is_terminal()
}

/// The size of its window.
pub(crate) fn window() -> Window {
    match tcgetwinsize(io::stdout()) {
        Ok(size) if size.ws_col > 0 && size.ws_row > 0 => Window { columns: size.ws_col, rows: size.ws_row },
        _ => WINDOW_DEFAULT,
    }
}
