//! The program at a terminal: a real one, of which we hold the other end.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex};

use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize};

use super::serving;
use crate::deploy::command::until;
use crate::deploy::world::{Project, TestBox};

/// A program at a terminal. Dropping it kills it.
struct AtTerminal {
    child: Child,
    master: File,
    /// Ours, to ask for its mode.
    terminal: File,
    screen: Arc<Mutex<String>>,
}

impl AtTerminal {
    fn start(on: &TestBox, project: &Project<'_>, args: &[&str]) -> Self {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a terminal");
        grantpt(&master).expect("it is ours");
        unlockpt(&master).expect("it is ours");
        let name = ptsname(&master, Vec::new()).expect("it has a name").into_string().expect("UTF-8");
        let open = || {
            use std::os::unix::fs::OpenOptionsExt as _;
            let flags = i32::try_from(rustix::fs::OFlags::NOCTTY.bits()).expect("a flag");
            OpenOptions::new().read(true).write(true).custom_flags(flags).open(&name).expect("its other end")
        };
        let terminal = open();
        resize(&terminal, 91, 31);
        let mut command = on.command(&project.dir, args, &[("TERM", "xterm")]);
        command.stdin(Stdio::from(open())).stdout(Stdio::from(open())).stderr(Stdio::from(open()));
        let child = command.spawn().expect("the program runs");
        let master = File::from(master);
        let screen = Arc::new(Mutex::new(String::new()));
        let (mut output, seen) = (master.try_clone().expect("a handle"), Arc::clone(&screen));
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(length @ 1..) = output.read(&mut buffer) {
                seen.lock().expect("no panic").push_str(&String::from_utf8_lossy(&buffer[..length]));
            }
        });
        Self { child, master, terminal, screen }
    }

    fn press(&mut self, keys: &str) {
        self.master.write_all(keys.as_bytes()).expect("it is open");
    }

    async fn shows(&self, text: &str) {
        until(&format!("`{text}` is shown: {:?}", self.screen()), || self.screen().contains(text)).await;
    }

    fn screen(&self) -> String {
        self.screen.lock().expect("no panic").clone()
    }

    fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).expect("a process id");
        kill_process(pid, signal).expect("it is ours");
    }

    /// Whether keys are put together to lines and shown, as before.
    fn is_as_before(&self) -> bool {
        let modes = tcgetattr(&self.terminal).expect("a terminal").local_modes;
        modes.contains(LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG)
    }

    async fn ends_with(mut self, code: i32) {
        until("the program ends", || self.child.try_wait().expect("it is ours").is_some()).await;
        let status = self.child.wait().expect("it ended");
        assert_eq!(status.code(), Some(code), "{}", self.screen());
        assert!(self.is_as_before(), "the terminal is left in raw mode");
    }
}

impl Drop for AtTerminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn resize(terminal: &File, columns: u16, rows: u16) {
    let size = Winsize { ws_col: columns, ws_row: rows, ws_xpixel: 0, ws_ypixel: 0 };
    tcsetwinsize(terminal, size).expect("a terminal");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_terminal_is_lent_to_the_command_and_given_back() {
    let on = TestBox::new();
    let project = serving(&on).await;
    for args in [&["run", "sh"][..], &["exec", "web.1", "sh"][..]] {
        let mut shell = AtTerminal::start(&on, &project, args);
        shell.shows("# ").await;
        assert!(!shell.is_as_before(), "it is in raw mode");
        shell.press("stty size; echo is-$((40 + 2))\n");
        shell.shows("is-42").await;
        shell.shows("31 91").await;
        resize(&shell.terminal, 132, 43);
        shell.signal(Signal::WINCH);
        // The size is on its way while the shell asks.
        shell.press("until [ \"$(stty size)\" = '43 132' ]; do sleep 0.1; done; echo has-$((6 * 7))\n");
        shell.shows("has-42").await;
        // Ctrl-C ends what runs in the shell, and neither it nor us.
        shell.press("echo go-$((1 + 1)); sleep 1000\n");
        shell.shows("go-2").await;
        shell.press("\x03");
        shell.press("echo on-$((2 + 2))\n");
        shell.shows("on-4").await;
        shell.press("exit 7\n");
        shell.ends_with(7).await;
    }
    on.settled(1, "v1").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_terminal_is_given_back_after_a_signal_and_when_the_daemon_is_gone() {
    let on = TestBox::new();
    let project = serving(&on).await;
    let shell = AtTerminal::start(&on, &project, &["run", "sh"]);
    shell.shows("# ").await;
    shell.signal(Signal::HUP);
    shell.ends_with(129).await;
    on.settled(1, "v1").await;

    let shell = AtTerminal::start(&on, &project, &["run", "sh"]);
    shell.shows("# ").await;
    on.kill_daemon();
    shell.ends_with(3).await;
    let _server = on.serve(&[]).await;
    on.settled(1, "v1").await;
}
