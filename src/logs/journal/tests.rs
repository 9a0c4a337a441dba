//! What survives on disk, and what does not.

use std::cell::Cell;
use std::io::Write as _;

use super::super::line::{Line, Source, Speaker};
use super::*;
use crate::name::ReleaseId;

fn app() -> AppName {
    "shop".parse().unwrap()
}

fn line(number: u64, text: &str) -> Line {
    let speaker = Speaker {
        source: Source::App,
        process: "web.1".to_owned(),
        release: Some(ReleaseId::FIRST),
        instance: Some(InstanceId::from_bits(1)),
    };
    Line {
        at: 1_000 + number,
        is_stderr: false,
        is_cut: false,
        speaker: Arc::new(speaker),
        text: format!("{number} {text}"),
    }
}

fn write(disk: &mut Disk, numbers: std::ops::Range<u64>, text: &str) {
    let lines = numbers.map(|number| line(number, text)).collect();
    disk.write(vec![Batch { app: app(), lines }]);
}

/// Everything from the first line on: the numbers of lines, and how many were missed.
fn read(journal: &Journal) -> (Vec<String>, u64) {
    let mut cursor = Cursor::before_all(journal.shelf(&app()).unwrap());
    let (mut texts, mut missed) = (Vec::new(), 0);
    loop {
        let chunk = cursor.read(10_000, &|_| true).unwrap();
        for item in chunk.items {
            match item {
                Item::Line(line) => texts.push(line.text),
                Item::Missed(lines) => missed += lines,
            }
        }
        if chunk.is_end {
            return (texts, missed);
        }
    }
}

fn numbers(texts: &[String]) -> Vec<u64> {
    texts.iter().map(|text| text.split(' ').next().unwrap().parse().unwrap()).collect()
}

#[test]
fn a_torn_end_is_cut_off_and_written_over() {
    let dir = tempfile::tempdir().unwrap();
    let whole = {
        let journal = Journal::new(dir.path().to_owned());
        let mut disk = Disk::new(journal.clone(), Budget::default());
        write(&mut disk, 0..3, "text");
        journal.shelf(&app()).unwrap().path(0)
    };
    let bytes = fs::read(&whole).unwrap();
    let record = (bytes.len() - usize::try_from(segment::HEADER_BYTES).unwrap() - 9) / 3;
    for cut in 1..=record {
        fs::write(&whole, &bytes[..bytes.len() - cut]).unwrap();
        let journal = Journal::new(dir.path().to_owned());
        let position = journal.shelf(&app()).unwrap().position(&InstanceId::from_bits(1)).unwrap();
        assert_eq!((position.stdout.at, position.stdout.count), (1_001, 1), "two lines are whole, cut {cut}");
        let mut disk = Disk::new(journal.clone(), Budget::default());
        write(&mut disk, 7..8, "after");
        assert_eq!(read(&journal).0, ["0 text", "1 text", "7 after"], "cut {cut}");
    }
    fs::write(&whole, [&bytes[..], &[0; 5000]].concat()).unwrap();
    assert_eq!(read(&Journal::new(dir.path().to_owned())).0.len(), 3, "zeroes, as after a power cut");
    fs::write(&whole, &bytes[..10]).unwrap();
    let journal = Journal::new(dir.path().to_owned());
    write(&mut Disk::new(journal.clone(), Budget::default()), 0..1, "anew");
    assert_eq!(read(&journal).0, ["0 anew"], "not even the header was whole");
}

#[test]
fn the_oldest_go_when_the_budget_is_used_up_and_readers_know_how_many() {
    let dir = tempfile::tempdir().unwrap();
    let budget = Budget { app: 1 << 20, all: 8 << 20 };
    let journal = Journal::new(dir.path().to_owned());
    let mut disk = Disk::new(journal.clone(), budget);
    let text = "x".repeat(1000);
    for batch in 0..500 {
        write(&mut disk, batch * 10..batch * 10 + 10, &text);
    }
    let size: u64 =
        fs::read_dir(journal.dir(&app())).unwrap().map(|file| file.unwrap().metadata().unwrap().len()).sum();
    assert!(size <= budget.app, "{size}");
    for journal in [journal.clone(), Journal::new(dir.path().to_owned())] {
        let (texts, missed) = read(&journal);
        assert!(texts.len() > 800, "{}", texts.len());
        assert_eq!(numbers(&texts), (missed..5000).collect::<Vec<_>>(), "no gap but at the beginning");
    }
    // The position is known though the instance's first lines are gone.
    let shelf = Journal::new(dir.path().to_owned()).shelf(&app()).unwrap();
    assert_eq!(shelf.position(&InstanceId::from_bits(1)).unwrap().stdout.at, 1_000 + 4999);
}

#[test]
fn a_box_has_a_budget_and_a_silent_instance_keeps_its_place() {
    let dir = tempfile::tempdir().unwrap();
    let budget = Budget { app: 1 << 20, all: 1 << 20 };
    let journal = Journal::new(dir.path().to_owned());
    let mut disk = Disk::new(journal.clone(), budget);
    write(&mut disk, 0..1, "quiet");
    let other: AppName = "loud".parse().unwrap();
    let text = "x".repeat(1000);
    for number in 0..3000 {
        disk.write(vec![Batch { app: other.clone(), lines: vec![line(number, &text)] }]);
    }
    let size = |app: &AppName| {
        journal.shelf(app).unwrap().state().segments.iter().map(|segment| segment.bytes).sum::<u64>()
    };
    assert!(size(&app()) + size(&other) <= budget.all + SLACK);
    assert_eq!(read(&journal).0, ["0 quiet"], "its only segment stays");
}

/// A newest segment each that stays whatever the budget is.
const SLACK: u64 = 128 * 1024;

thread_local! {
    /// How many bytes the disk still takes.
    static ROOM: Cell<usize> = const { Cell::new(usize::MAX) };
}

fn append_while_there_is_room(file: &mut File, bytes: &[u8]) -> io::Result<()> {
    let room = ROOM.get();
    let taken = bytes.len().min(room);
    ROOM.set(room - taken);
    file.write_all(&bytes[..taken])?;
    if taken < bytes.len() { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
}

#[test]
fn a_full_disk_loses_lines_says_how_many_and_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let journal = Journal::new(dir.path().to_owned());
    let mut disk = Disk::new(journal.clone(), Budget::default()).with_append(append_while_there_is_room);
    write(&mut disk, 0..5, "before");
    ROOM.set(100);
    write(&mut disk, 5..20, "lost");
    ROOM.set(0);
    write(&mut disk, 20..30, "lost");
    assert_eq!(numbers(&read(&journal).0), (0..5).collect::<Vec<_>>(), "what was written in part is none");
    ROOM.set(usize::MAX);
    write(&mut disk, 30..35, "after");
    let (texts, missed) = read(&journal);
    assert_eq!(missed, 0);
    assert_eq!(texts[5], "dropped 25 lines: the disk was full");
    assert_eq!(numbers(&texts[6..]), (30..35).collect::<Vec<_>>());
    assert_eq!(read(&Journal::new(dir.path().to_owned())).0, texts, "and it is whole on disk");
}

/// Takes what fits into a disk of 200 KiB beside what is there.
fn append_to_a_small_disk(file: &mut File, bytes: &[u8]) -> io::Result<()> {
    let dir = SMALL_DISK.with_borrow(Clone::clone);
    let used: u64 = fs::read_dir(dir)?.filter_map(|file| Some(file.ok()?.metadata().ok()?.len())).sum();
    match used + bytes.len() as u64 > 200 * 1024 {
        true => Err(io::ErrorKind::StorageFull.into()),
        false => file.write_all(bytes),
    }
}

thread_local! {
    static SMALL_DISK: std::cell::RefCell<PathBuf> = const { std::cell::RefCell::new(PathBuf::new()) };
}

#[test]
fn a_full_disk_drops_the_oldest_and_loses_nothing_new() {
    let dir = tempfile::tempdir().unwrap();
    let journal = Journal::new(dir.path().to_owned());
    SMALL_DISK.set(journal.dir(&app()));
    let budget = Budget { app: 1 << 20, all: 1 << 30 };
    let mut disk = Disk::new(journal.clone(), budget).with_append(append_to_a_small_disk);
    let text = "x".repeat(1000);
    for number in 0..600 {
        write(&mut disk, number..number + 1, &text);
    }
    let (texts, missed) = read(&journal);
    assert!(missed > 0);
    assert_eq!(numbers(&texts), (missed..600).collect::<Vec<_>>());
}

#[test]
fn the_last_lines_are_found_over_segments() {
    let dir = tempfile::tempdir().unwrap();
    let journal = Journal::new(dir.path().to_owned());
    let mut disk = Disk::new(journal.clone(), Budget { app: 1 << 20, all: 1 << 30 });
    let text = "x".repeat(1000);
    for batch in 0..20 {
        write(&mut disk, batch * 10..batch * 10 + 10, &text);
    }
    let last = |count: usize, is_wanted: &dyn Fn(&Line) -> bool| {
        let shelf = journal.shelf(&app()).unwrap();
        assert!(shelf.state().segments.len() > 2);
        let mut cursor = Cursor::before_last(&shelf, count, None, is_wanted).unwrap();
        let mut texts = Vec::new();
        loop {
            let chunk = cursor.read(u64::MAX, is_wanted).unwrap();
            texts.extend(chunk.items.into_iter().filter_map(|item| match item {
                Item::Line(line) => Some(line.text),
                Item::Missed(_) => None,
            }));
            if chunk.is_end {
                return numbers(&texts);
            }
        }
    };
    assert_eq!(last(3, &|_| true), [197, 198, 199]);
    assert_eq!(last(150, &|_| true), (50..200).collect::<Vec<_>>());
    assert_eq!(last(1000, &|_| true), (0..200).collect::<Vec<_>>());
    let even = |line: &Line| (line.at - 1_000).is_multiple_of(50);
    assert_eq!(last(3, &even), [50, 100, 150]);
    assert!(last(0, &|_| true).is_empty());
}
