//! What a daemon costs that has nothing to do: memory and CPU with no apps, and with 50.
//!
//!     cargo bench --profile dev --bench idle
//!
//! Memory is what is resident, with the part that is no file's (`RssAnon`) beside it; CPU is user and system time over a
//! minute, after the daemon has settled. The goals are 20 MiB with no apps, and 30 MiB and 0.5 % with 50.
#![allow(clippy::print_stdout, reason = "a benchmark prints what it found")]

#[allow(dead_code, reason = "each benchmark uses its part")]
mod support;

use std::time::Duration;
use std::{fs, thread};

use support::{Bench, project};

const APPS: usize = 50;
/// What comes right after a deploy (drains, the engine's events, a resync) is not idling.
const SETTLE: Duration = Duration::from_secs(35);
const SAMPLE: Duration = Duration::from_secs(60);
/// Linux counts a process's time in these, whatever its own clock: `USER_HZ`.
const TICKS_PER_SECOND: f64 = 100.0;

fn main() {
    let image = support::image::test_app_image();
    let project = project(&image);
    let mut bench = Bench::start();
    report("no apps", bench.pid());
    for number in 1..=APPS {
        bench.up(project.path(), &format!("idle-{number}"));
    }
    report(&format!("{APPS} apps"), bench.pid());
}

fn report(what: &str, pid: u32) {
    thread::sleep(SETTLE);
    let before = cpu_ticks(pid);
    thread::sleep(SAMPLE);
    let percent = (cpu_ticks(pid) - before) / TICKS_PER_SECOND / SAMPLE.as_secs_f64() * 100.0;
    let [resident, anonymous, threads] = ["VmRSS", "RssAnon", "Threads"].map(|key| status(pid, key));
    println!(
        "{what:<8} {:>5.1} MiB resident ({:.1} MiB anonymous)   {percent:.2} % CPU   {threads} threads",
        resident / 1024.0,
        anonymous / 1024.0
    );
}

/// A number of `/proc/PID/status`; sizes are in KiB.
fn status(pid: u32, key: &str) -> f64 {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).expect("the daemon runs");
    let line = text.lines().find(|line| line.starts_with(key)).expect("the kernel tells it");
    line.split_whitespace().nth(1).and_then(|number| number.parse().ok()).expect("it is a number")
}

/// User and system time so far.
fn cpu_ticks(pid: u32) -> f64 {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).expect("the daemon runs");
    // The second field is the name, which may have spaces; after its parenthesis the state comes first.
    let (_, rest) = text.rsplit_once(')').expect("the name is in parentheses");
    let ticks = rest.split_whitespace().skip(11).take(2);
    ticks.map(|field| field.parse::<f64>().expect("it is a number")).sum()
}
