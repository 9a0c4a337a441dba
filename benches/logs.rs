//! What 100,000 lines a second cost, whether all of them arrive, and how late.
//!
//!     cargo bench --bench logs [-- SECONDS]
//!
//! Twenty instances of one app write lines of 100 bytes at a pace, each numbered, whether anybody takes them or not. The
//! daemon's collector takes them into its journal, in this process; one follower reads everything, another at most a fifth of it.
//! At first the journal has room for all lines, then a budget of 8 MiB, so that the oldest are dropped all the time.
//!
//! *Lost* are lines that an instance wrote and that are neither where they belong nor told as skipped: holes in the journal, in
//! what a follower got, and in their order. There must be none. The CPU's time is that of the whole process, and so with what it
//! costs to make and to check the lines; the source's own share is measured first. Memory is what no file backs (`RssAnon`).
//! A line is late from the moment at which it was due until the follower has it; batches are written every 64 KiB, or
//! every tenth of a second.
#![allow(clippy::print_stdout, reason = "a benchmark prints what it found")]

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::StreamExt as _;
use futures_util::stream::{self, BoxStream};
use minipaas::clock;
use minipaas::engine::{ContainerState, EngineError, Labels, LogLine, LogQuery};
use minipaas::logs::{Budget, Collector, Containers, Item, Line, Logs, Query};
use minipaas::name::{AppName, InstanceId, ReleaseId};
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, sleep_until, timeout};

/// As the daemon has it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const INSTANCES: u64 = 20;
/// Of all instances together.
const LINES_PER_SECOND: u64 = 100_000;
const LINE_BYTES: usize = 100;
/// Unless a number is given.
const SECONDS: u64 = 10;
/// How often an instance writes what is due.
const WRITE_INTERVAL: Duration = Duration::from_millis(5);
/// Room for all lines of a minute and a half.
const ENOUGH: Budget = Budget { app: 2 << 30, all: 2 << 30 };
const SMALL: Budget = Budget { app: 8 << 20, all: 1 << 30 };
const SLOW_LINES_PER_SECOND: u64 = LINES_PER_SECOND / 5;
/// For what was written to arrive after the last line.
const ARRIVAL_TIME_MAX: Duration = Duration::from_secs(60);
/// Lateness is counted by the millisecond up to this.
const LATE_MS_MAX: usize = 10_000;
/// Linux counts a process's time in these, whatever its own clock: `USER_HZ`.
const TICKS_PER_SECOND: f64 = 100.0;

/// Instances that write at a pace.
struct Paced {
    /// When the first line is due, in nanoseconds since the Unix epoch.
    begin: u64,
    lines_each: u64,
    taken: Arc<AtomicU64>,
}

/// What somebody got of the lines of all instances.
struct Tally {
    /// The next number of each instance, once it has one.
    next: Vec<Option<u64>>,
    lines: u64,
    /// Told by the stream.
    skipped: u64,
    /// Lines of each instance before the first that is there.
    before_first: u64,
    /// Lines by how late they were, in milliseconds.
    late: Vec<u64>,
}

#[tokio::main]
async fn main() {
    let seconds = std::env::args().find_map(|word| word.parse().ok()).unwrap_or(SECONDS);
    source_alone(seconds).await;
    run("all lines have room", ENOUGH, seconds).await;
    run("a budget of 8 MiB", SMALL, seconds).await;
}

/// What it costs to make the lines.
async fn source_alone(seconds: u64) {
    let before = cpu_seconds();
    let source = Arc::new(Paced::beginning_now(seconds));
    let readers = (0..INSTANCES).map(|number| {
        let mut lines = source.lines(number).take(usize_of(source.lines_each));
        tokio::spawn(async move { while lines.next().await.is_some() {} })
    });
    for reader in readers.collect::<Vec<_>>() {
        reader.await.expect("reading does not panic");
    }
    println!(
        "the source alone        {:>9.2} µs of CPU a line\n",
        cpu_per_line(before, LINES_PER_SECOND * seconds)
    );
}

async fn run(what: &str, budget: Budget, seconds: u64) {
    let offered = LINES_PER_SECOND * seconds;
    let dir = tempfile::tempdir().expect("a temporary folder can be made");
    let logs = Logs::open(dir.path().to_owned(), budget);
    let follower = logs.read(Query { follow: true, since: Some(0), ..Query::of(app()) });
    let slow = logs.read(Query { follow: true, since: Some(0), ..Query::of(app()) });
    let memory_before = memory();
    let (cpu_before, began) = (cpu_seconds(), Instant::now());

    let source = Paced::beginning_now(seconds);
    let taken = Arc::clone(&source.taken);
    let collector = Collector::new(logs.clone(), Arc::new(source));
    for number in 0..INSTANCES {
        collector.collect(&number.to_string(), &labels(number), ContainerState::Running);
    }
    let slow = tokio::spawn(follow(slow, offered, Some(SLOW_LINES_PER_SECOND)));
    let follower = tokio::spawn(async move { (follow(follower, offered, None).await, began.elapsed()) });
    let mut memory_most = memory_before;
    while !follower.is_finished() {
        sleep(Duration::from_millis(100)).await;
        memory_most = memory_most.max(memory());
    }
    let (followed, took) = follower.await.expect("following does not panic");
    let cpu = cpu_per_line(cpu_before, offered);
    logs.sink().finish().await;
    let slow = slow.await.expect("following does not panic");
    let kept = all_of(&logs).await;

    println!("{what}: {INSTANCES} instances, {LINE_BYTES} bytes a line, {seconds} s");
    let (took, taken) = (took.as_secs_f64(), taken.load(Ordering::Relaxed));
    println!("  offered               {offered:>9} lines, {taken} taken by the collector");
    println!(
        "  the last one arrived  {took:>9.2} s after the beginning: {:.0} lines/s",
        offered as f64 / took
    );
    // What is missing at the beginning was dropped for the budget.
    let (dropped, expected) = (kept.before_first, offered - kept.before_first);
    println!("  in the journal        {:>9} lines, {dropped} dropped for the budget", kept.lines);
    println!("  to the follower       {:>9} lines, {} told as skipped", followed.lines, followed.skipped);
    println!("  to the slow follower  {:>9} lines, {} told as skipped", slow.lines, slow.skipped);
    let lost = [kept.lost(expected), followed.lost(offered), slow.lost(offered)];
    println!(
        "  lost by us            {:>9} in the journal, {} and {} to the followers",
        lost[0], lost[1], lost[2]
    );
    println!("  CPU                   {cpu:>9.2} µs a line");
    println!(
        "  memory                {:>9.1} MiB more than before, at most ({memory_before:.1} MiB before)",
        memory_most - memory_before
    );
    println!("  the follower was late {:>9} ms p50, {} ms p99\n", followed.late(50), followed.late(99));
}

/// Reads until every line was given or told as skipped; with a pace, at most so many a second.
async fn follow(mut items: mpsc::Receiver<Vec<Item>>, lines: u64, lines_per_second: Option<u64>) -> Tally {
    let mut tally = Tally::new();
    let began = Instant::now();
    while tally.lines + tally.skipped < lines {
        let Ok(Some(batch)) = timeout(ARRIVAL_TIME_MAX, items.recv()).await else { break };
        tally.add(batch);
        if let Some(pace) = lines_per_second {
            sleep_until(began + Duration::from_micros(tally.lines * 1_000_000 / pace)).await;
        }
    }
    tally
}

/// Everything that the journal has.
async fn all_of(logs: &Logs) -> Tally {
    let mut items = logs.read(Query { since: Some(0), ..Query::of(app()) });
    let mut tally = Tally::new();
    while let Some(batch) = items.recv().await {
        tally.add(batch);
    }
    tally
}

impl Paced {
    fn beginning_now(seconds: u64) -> Self {
        let lines_each = LINES_PER_SECOND / INSTANCES * seconds;
        Self { begin: clock::nanos(), lines_each, taken: Arc::default() }
    }

    /// The lines of an instance, each not before it is due; after the last one nothing comes.
    fn lines(&self, instance: u64) -> BoxStream<'static, LogLine> {
        let (begin, lines_each, taken) = (self.begin, self.lines_each, Arc::clone(&self.taken));
        let due = move |number: u64| begin + number * (INSTANCES * 1_000_000_000 / LINES_PER_SECOND);
        let mut ticks = interval(WRITE_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let batches = stream::unfold((0, ticks), move |(next, mut ticks)| async move {
            if next == lines_each {
                std::future::pending::<()>().await;
            }
            loop {
                ticks.tick().await;
                let now = clock::nanos();
                let end = (next..lines_each).find(|number| due(*number) > now).unwrap_or(lines_each);
                if end > next {
                    return Some((stream::iter(next..end), (end, ticks)));
                }
            }
        });
        let lines = batches.flatten().map(move |number| {
            taken.fetch_add(1, Ordering::Relaxed);
            let mut text = format!("{instance} {number} {:.<LINE_BYTES$}", "");
            text.truncate(LINE_BYTES);
            LogLine { at: due(number), is_stderr: false, is_cut: false, is_unfinished: false, text }
        });
        lines.boxed()
    }
}

#[async_trait]
impl Containers for Paced {
    async fn logs(
        &self,
        container: &str,
        _query: LogQuery,
    ) -> Result<BoxStream<'static, LogLine>, EngineError> {
        Ok(self.lines(container.parse().expect("containers are numbered")))
    }

    async fn is_running(&self, _container: &str) -> Result<Option<bool>, EngineError> {
        Ok(Some(true))
    }
}

impl Tally {
    fn new() -> Self {
        let next = vec![None; usize_of(INSTANCES)];
        Self { next, lines: 0, skipped: 0, before_first: 0, late: vec![0; LATE_MS_MAX + 1] }
    }

    fn add(&mut self, batch: Vec<Item>) {
        let now = clock::nanos();
        for item in batch {
            match item {
                Item::Line(line) => self.line(&line, now),
                Item::Skipped(lines) => self.skipped += lines,
            }
        }
    }

    fn line(&mut self, line: &Line, now: u64) {
        let mut words = line.text.split(' ').map(str::parse::<u64>);
        let (Some(Ok(instance)), Some(Ok(number))) = (words.next(), words.next()) else {
            panic!("`{}` is none of our lines", line.text);
        };
        match self.next[usize_of(instance)].replace(number + 1) {
            Some(next) => assert!(number >= next, "line {number} of instance {instance} comes after {next}"),
            None => self.before_first += number,
        }
        self.lines += 1;
        let late = usize_of(now.saturating_sub(line.at) / 1_000_000).min(LATE_MS_MAX);
        self.late[late] += 1;
    }

    /// Lines that are nowhere, of so many that should be; less than none when more were told as skipped than were.
    fn lost(&self, expected: u64) -> i64 {
        let signed = |lines: u64| i64::try_from(lines).expect("so many lines there are not");
        signed(expected) - signed(self.lines + self.skipped)
    }

    /// So many percent of the lines were later by at most this, in milliseconds.
    fn late(&self, percent: u64) -> usize {
        let mut rest = self.lines * percent / 100;
        let found = self.late.iter().position(|lines| {
            let is_here = *lines > rest;
            rest = rest.saturating_sub(*lines);
            is_here
        });
        found.unwrap_or(LATE_MS_MAX)
    }
}

fn app() -> AppName {
    "bench".parse().expect("it is a name")
}

fn labels(number: u64) -> Labels {
    Labels {
        app: app(),
        release: ReleaseId::FIRST,
        slot: format!("web.{}", number + 1).parse().expect("it is a slot"),
        instance: InstanceId::from_bits(u32::try_from(number).expect("there are few")),
    }
}

/// In microseconds, since the process had used `before` seconds.
fn cpu_per_line(before: f64, lines: u64) -> f64 {
    (cpu_seconds() - before) * 1e6 / lines as f64
}

/// User and system time so far.
fn cpu_seconds() -> f64 {
    let text = fs::read_to_string("/proc/self/stat").expect("Linux tells it");
    // The second field is the name, which may have spaces; after its parenthesis the state comes first.
    let (_, rest) = text.rsplit_once(')').expect("the name is in parentheses");
    let ticks = rest.split_whitespace().skip(11).take(2);
    ticks.map(|field| field.parse::<f64>().expect("it is a number")).sum::<f64>() / TICKS_PER_SECOND
}

/// What no file backs, in MiB.
fn memory() -> f64 {
    let text = fs::read_to_string("/proc/self/status").expect("Linux tells it");
    let line = text.lines().find(|line| line.starts_with("RssAnon")).expect("the kernel tells it");
    let kib: f64 = line.split_whitespace().nth(1).and_then(|word| word.parse().ok()).expect("it is a number");
    kib / 1024.0
}

fn usize_of(number: u64) -> usize {
    usize::try_from(number).expect("it is small")
}
