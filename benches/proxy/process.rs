//! Programs that run while something is measured: pinned to a core, read through `/proc`, ended whatever happens.
//!
//! A program is ended when its [`Process`] is dropped: SIGTERM first, so that it ends its workers, then SIGKILL for all
//! that it left. Where `setpriv` is there the kernel sends the SIGTERM when this program is killed before it could.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use std::{fs, thread};

use anyhow::{Context as _, bail, ensure};
use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, kill_process, setrlimit};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::Instant;

/// For a program to end after SIGTERM.
const END_TIME_MAX: Duration = Duration::from_secs(2);
const POLL_INTERVAL: Duration = Duration::from_millis(10);

/// A running program and its children.
pub(crate) struct Process {
    child: Child,
    log: PathBuf,
}

/// The sizes of a process tree, in bytes. Pages that processes share are counted for each.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Memory {
    pub resident: u64,
    /// The most that it ever was.
    pub peak: u64,
}

impl Process {
    /// Starts a program on one core; what it writes to its standard output and error goes to `log`.
    pub(crate) fn start(command: &Command, core: usize, log: &Path) -> anyhow::Result<Self> {
        let file = fs::File::create(log).with_context(|| format!("cannot write `{}`", log.display()))?;
        let mut pinned = bound(command, Some(core));
        pinned.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file);
        let child = pinned.spawn().with_context(|| format!("cannot run {pinned:?}"))?;
        Ok(Self { child, log: log.to_owned() })
    }

    /// Waits until `is_ready`.
    pub(crate) fn await_ready(
        &mut self,
        limit: Duration,
        mut is_ready: impl FnMut() -> bool,
    ) -> anyhow::Result<()> {
        let began = Instant::now();
        while !is_ready() {
            if let Some(status) = self.child.try_wait()? {
                bail!("it ended with {status}: {}", self.last_words());
            }
            ensure!(began.elapsed() < limit, "it does not answer: {}", self.last_words());
            thread::sleep(POLL_INTERVAL);
        }
        Ok(())
    }

    /// The CPU time that all its threads have used, user and system. Those of ended threads are not in it.
    pub(crate) fn cpu(&self) -> Duration {
        let nanoseconds = self.tree().into_iter().flat_map(threads).filter_map(|thread| {
            let text = fs::read_to_string(thread.join("schedstat")).ok()?;
            text.split_whitespace().next()?.parse::<u64>().ok()
        });
        Duration::from_nanos(nanoseconds.sum())
    }

    /// What it has in memory.
    pub(crate) fn memory(&self) -> Memory {
        let statuses =
            self.tree().into_iter().filter_map(|pid| fs::read_to_string(format!("/proc/{pid}/status")).ok());
        let mut memory = Memory { resident: 0, peak: 0 };
        for status in statuses {
            let fields: BTreeMap<_, _> = status.lines().filter_map(|line| line.split_once(':')).collect();
            let bytes = |key| {
                let kib: Option<u64> =
                    fields.get(key).and_then(|value| value.trim().strip_suffix(" kB")?.parse().ok());
                kib.unwrap_or_default() * 1024
            };
            memory.resident += bytes("VmRSS");
            memory.peak += bytes("VmHWM");
        }
        memory
    }

    /// The end of what it wrote.
    fn last_words(&self) -> String {
        let text = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<_> = text.lines().collect();
        lines[lines.len().saturating_sub(5)..].join("\n")
    }

    /// It and its descendants.
    fn tree(&self) -> Vec<u32> {
        let mut tree = vec![self.child.id()];
        let mut next = 0;
        while let Some(pid) = tree.get(next).copied() {
            next += 1;
            for thread in threads(pid) {
                let children = fs::read_to_string(thread.join("children")).unwrap_or_default();
                tree.extend(children.split_whitespace().filter_map(|pid| pid.parse::<u32>().ok()));
            }
        }
        tree
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let tree = self.tree();
        send(self.child.id(), Signal::TERM);
        let began = Instant::now();
        while matches!(self.child.try_wait(), Ok(None)) && began.elapsed() < END_TIME_MAX {
            thread::sleep(POLL_INTERVAL);
        }
        if matches!(self.child.try_wait(), Ok(None)) {
            // Its children can only be told from strangers as long as it is there.
            tree.into_iter().for_each(|pid| send(pid, Signal::KILL));
            drop(self.child.wait());
        }
    }
}

/// The same command, ended by the kernel together with us, and on one core where one is named.
pub(crate) fn bound(command: &Command, core: Option<usize>) -> Command {
    let mut words: Vec<&OsStr> = Vec::new();
    if super::peers::on_path("setpriv").is_some() {
        words.extend(["setpriv", "--pdeathsig", "TERM", "--"].map(OsStr::new));
    }
    let core = core.map(|core| core.to_string());
    if let Some(core) = &core {
        words.extend(["taskset", "-c", core].map(OsStr::new));
    }
    words.push(command.get_program());
    words.extend(command.get_args());
    let mut pinned = Command::new(words[0]);
    pinned.args(&words[1..]);
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => pinned.env(name, value),
            None => pinned.env_remove(name),
        };
    }
    pinned
}

/// Has this program run on one core, its upstream and clients with it.
pub(crate) fn pin_self(core: usize) -> anyhow::Result<()> {
    let pid = std::process::id().to_string();
    let mut taskset = Command::new("taskset");
    taskset.args(["-c", "-p", &core.to_string(), &pid]).stdout(Stdio::null());
    let status = taskset.status().context("cannot run `taskset`")?;
    ensure!(
        status.success(),
        "there is no core {core}: two are needed, one for the proxies and one for the rest"
    );
    Ok(())
}

/// Removes the folder and ends this program when it is interrupted or terminated.
pub(crate) fn end_on_signals(folder: PathBuf) {
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let heard = runtime.map(|runtime| runtime.block_on(interrupted()));
        if matches!(heard, Ok(Ok(()))) {
            drop(fs::remove_dir_all(&folder));
            std::process::exit(130);
        }
    });
}

async fn interrupted() -> std::io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        _ = terminate.recv() => Ok(()),
        heard = tokio::signal::ctrl_c() => heard,
    }
}

/// As many open files as the system lets us have; what is started inherits it.
pub(crate) fn raise_file_limit() {
    let limit = getrlimit(Resource::Nofile);
    // Where that is not permitted, opening connections will say what is missing.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
}

fn threads(pid: u32) -> Vec<PathBuf> {
    let entries = fs::read_dir(format!("/proc/{pid}/task"));
    entries.into_iter().flatten().flatten().map(|entry| entry.path()).collect()
}

fn send(pid: u32, signal: Signal) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        // It may have ended meanwhile.
        let _ = kill_process(pid, signal);
    }
}
