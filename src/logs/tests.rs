//! Reading while others write.

use std::sync::Arc;
use std::time::Duration;

use super::*;

fn app() -> AppName {
    "shop".parse().unwrap()
}

fn lines(numbers: std::ops::Range<u32>, text: &str) -> Vec<Line> {
    let speaker = Arc::new(Speaker::of_box(Source::App, None));
    let line = |number: u32| Line {
        at: crate::clock::nanos(),
        is_stderr: false,
        is_cut: false,
        speaker: Arc::clone(&speaker),
        text: format!("{number} {text}"),
    };
    numbers.map(line).collect()
}

fn number(line: &Line) -> u32 {
    line.text.split(' ').next().unwrap().parse().unwrap()
}

#[tokio::test]
async fn history_goes_over_into_what_comes_without_a_gap_or_a_double() {
    let dir = tempfile::tempdir().unwrap();
    let logs = Logs::open(dir.path().to_owned(), Budget::default());
    let writer = {
        let logs = logs.clone();
        tokio::spawn(async move {
            for batch in 0..200 {
                logs.sink().keep(&app(), lines(batch * 50..batch * 50 + 50, "text")).await;
            }
        })
    };
    let mut readers = tokio::task::JoinSet::new();
    for _ in 0..4 {
        let logs = logs.clone();
        readers.spawn(async move {
            let mut items = logs.read(Query { follow: true, tail: Some(100), ..Query::of(app()) });
            let mut found = Vec::new();
            while found.last() != Some(&9_999) {
                found.extend(items.recv().await.unwrap().iter().map(|item| match item {
                    Item::Line(line) => number(line),
                    Item::Skipped(_) => panic!("nothing is skipped"),
                }));
            }
            found
        });
        tokio::task::yield_now().await;
    }
    for found in readers.join_all().await {
        assert_eq!(found, (found[0]..10_000).collect::<Vec<_>>());
    }
    writer.await.unwrap();
}

#[tokio::test]
async fn one_who_is_slow_is_told_how_much_was_missed_and_holds_up_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let logs = Logs::open(dir.path().to_owned(), Budget { app: 1 << 20, all: 1 << 30 });
    logs.sink().keep(&app(), lines(0..10, "first")).await;
    logs.sink().finish().await;
    let mut items = logs.read(Query { follow: true, ..Query::of(app()) });
    let first = items.recv().await.unwrap();
    assert_eq!(first.len(), 10);
    // Nothing is taken meanwhile; far more than is kept, and than waits for a reader.
    let text = "x".repeat(1000);
    for batch in 0..100_u32 {
        logs.sink().keep(&app(), lines(10 + batch * 50..60 + batch * 50, &text)).await;
    }
    logs.sink().finish().await;
    let (mut next, mut skipped) = (10, 0);
    while next < 5_010 {
        for item in items.recv().await.unwrap() {
            match item {
                Item::Line(line) => {
                    assert_eq!(number(&line), next);
                    next += 1;
                }
                Item::Skipped(lines) => {
                    skipped += lines;
                    next += u32::try_from(lines).unwrap();
                }
            }
        }
    }
    assert!(skipped > 1_000, "{skipped}");
}

#[tokio::test]
async fn what_is_said_is_read_by_source_and_time() {
    let dir = tempfile::tempdir().unwrap();
    let logs = Logs::open(dir.path().to_owned(), Budget::default());
    let (slot, release) = ("web.1".parse().unwrap(), "v5".parse().unwrap());
    logs.sink().say(&app(), Voice::Build, "step 1\nstep 2");
    logs.sink().say(&app(), Voice::Release(release), "v5 deployed");
    logs.sink().say(&app(), Voice::Instance(&slot, release), "up");
    logs.sink().say(&app(), Voice::Router, &format!("at=info path=\"/{}\"", "x".repeat(TEXT_BYTES_MAX)));
    logs.sink().finish().await;
    let read = async |query: Query| {
        let mut items = logs.read(query);
        let mut found = Vec::new();
        while let Some(batch) = items.recv().await {
            found.extend(batch.into_iter().map(|item| match item {
                Item::Line(line) => {
                    format!("{} {}", line.speaker, line.text.chars().take(12).collect::<String>())
                }
                Item::Skipped(_) => panic!("nothing is skipped"),
            }));
        }
        found
    };
    let build = ["minipaas[build] step 1", "minipaas[build] step 2"];
    let all = read(Query::of(app())).await;
    assert_eq!(all[..2], build);
    assert_eq!(all[2..4], ["minipaas[release] v5 deployed", "minipaas[web.1] up"]);
    assert_eq!(all[4..], ["minipaas[router] at=info path", "minipaas[router] xxxxxxxxxxxx"], "cut in two");
    assert_eq!(read(Query { source: Some(Source::Build), ..Query::of(app()) }).await, build);
    assert_eq!(read(Query { process: Some("web".to_owned()), ..Query::of(app()) }).await.len(), 1);
    assert_eq!(read(Query { release: Some(release), ..Query::of(app()) }).await.len(), 2);
    let later = Some(crate::clock::nanos() + 1_000_000_000);
    assert!(read(Query { since: later, ..Query::of(app()) }).await.is_empty());
    assert_eq!(read(Query { until: later, tail: Some(2), ..Query::of(app()) }).await.len(), 2);
    assert!(!logs.has(&"other".parse().unwrap()).await && logs.has(&app()).await);
}

#[tokio::test]
async fn what_is_forgotten_is_not_read_by_who_takes_the_name() {
    let dir = tempfile::tempdir().unwrap();
    let other: AppName = "other".parse().unwrap();
    let logs = Logs::open(dir.path().to_owned(), Budget::default());
    let mut follower = logs.read(Query { follow: true, ..Query::of(app()) });
    logs.sink().keep(&app(), lines(0..10, "old")).await;
    let mut heard = 0;
    while heard < 10 {
        heard += follower.recv().await.unwrap().len();
    }
    logs.sink().keep(&app(), lines(10..20, "old")).await;
    logs.sink().say(&app(), Voice::Build, "old");
    logs.sink().say(&other, Voice::Build, "kept");
    logs.forget(&app()).await;
    assert!(!logs.has(&app()).await && logs.has(&other).await);
    assert!(!dir.path().join("shop").exists());
    logs.forget(&"nobody".parse().unwrap()).await;

    logs.sink().keep(&app(), lines(100..103, "new")).await;
    logs.sink().finish().await;
    let mut found = Vec::new();
    let mut items = logs.read(Query::of(app()));
    while let Some(batch) = items.recv().await {
        found.extend(batch);
    }
    let numbers = |items: &[Item]| {
        let lines = items.iter().map(|item| match item {
            Item::Line(line) => number(line),
            Item::Skipped(_) => panic!("nothing is skipped"),
        });
        lines.collect::<Vec<_>>()
    };
    assert_eq!(numbers(&found), [100, 101, 102]);
    drop((logs, items));
    let again = Logs::open(dir.path().to_owned(), Budget::default());
    let mut items = again.read(Query::of(app()));
    assert_eq!(numbers(&items.recv().await.unwrap()), [100, 101, 102], "nor after a restart");
    // Who follows goes on with what comes, and was told of nothing that it missed.
    while follower.recv().await.unwrap().last() != found.last() {}
}

#[tokio::test]
async fn a_line_is_there_soon_after_it_was_said() {
    let dir = tempfile::tempdir().unwrap();
    let logs = Logs::open(dir.path().to_owned(), Budget::default());
    let mut items = logs.read(Query { follow: true, ..Query::of(app()) });
    logs.sink().say(&app(), Voice::Build, "step 1");
    let found = tokio::time::timeout(Duration::from_secs(10), items.recv()).await;
    assert_eq!(found.expect("it comes by itself").map(|batch| batch.len()), Some(1));
}
