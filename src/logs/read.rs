//! Lines for somebody who asks: the newest, all since a time, and those that come.
//!
//! A reader has a place in the journal and reads files on the blocking pool, some half a megabyte at a time, when its receiver
//! has room. So one that takes nothing costs a few batches of memory, and comes upon what is there when it goes on. What was
//! dropped in the meantime, it is told the number of; so is one that follows and falls so far behind that it would never see
//! what happens now.

use std::sync::Arc;

use tokio::sync::mpsc;

use super::journal::{self, Chunk, Cursor, Shelf};
use super::line::Line;
use super::query::Query;
use super::{Logs, blocking};

/// Batches that wait for a reader.
const BATCHES_MAX: usize = 4;
/// What is read at a time.
const CHUNK_BYTES: u64 = 256 * 1024;
/// How many of the newest lines are given when nothing is said.
const TAIL_DEFAULT: u32 = 100;
/// The most that can be asked for by number: their places are kept in memory.
const TAIL_MAX: u32 = 1_000_000;
/// One who follows and is farther behind goes on with what is new.
const BEHIND_MAX: u64 = 500_000;

/// What a reader gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item {
    /// A line.
    Line(Line),
    /// So many lines were skipped, wanted or not: they were dropped, or this reader is too slow.
    Skipped(u64),
}

impl Logs {
    /// Reads until there is no more, or the reader goes away. Dropping the receiver ends the task behind it.
    #[must_use]
    pub fn read(&self, query: Query) -> mpsc::Receiver<Vec<Item>> {
        let (items, receiver) = mpsc::channel(BATCHES_MAX);
        let journal = self.journal.clone();
        tokio::spawn(async move {
            let app = query.app.clone();
            let result =
                match blocking(move || journal.shelf(&query.app.clone()).map(|shelf| (shelf, query))).await {
                    Ok((shelf, query)) => read(shelf, Arc::new(query), &items).await,
                    Err(error) => Err(error),
                };
            if let Err(error) = result {
                tracing::warn!(%app, %error, "a log cannot be read");
            }
        });
        receiver
    }
}

async fn read(shelf: Arc<Shelf>, query: Arc<Query>, items: &mpsc::Sender<Vec<Item>>) -> std::io::Result<()> {
    // Subscribed before the first look, so that no line comes between the two.
    let mut end = shelf.end();
    let wanted = Arc::clone(&query);
    let mut cursor = blocking(move || begin(shelf, &wanted)).await?;
    let mut is_following = false;
    loop {
        end.borrow_and_update();
        let wanted = Arc::clone(&query);
        let chunk;
        (cursor, chunk) = blocking(move || {
            let skipped = match is_following && cursor.behind() > BEHIND_MAX {
                true => cursor.skip_to_newest(),
                false => 0,
            };
            let chunk = cursor.read(CHUNK_BYTES, &|line| wanted.wants(line));
            let chunk = chunk.map(|mut chunk| {
                if skipped > 0 {
                    chunk.items.insert(0, journal::Item::Missed(skipped));
                }
                chunk
            });
            (cursor, chunk)
        })
        .await;
        let Chunk { items: found, is_end } = chunk?;
        if !found.is_empty() && items.send(found.into_iter().map(Item::from).collect()).await.is_err() {
            return Ok(());
        }
        if !is_end {
            continue;
        }
        if !query.follow {
            return Ok(());
        }
        is_following = true;
        tokio::select! {
            () = items.closed() => return Ok(()),
            changed = end.changed() => if changed.is_err() { return Ok(()) },
        }
    }
}

/// The place of the first line that is wanted, or one before it.
fn begin(shelf: Arc<Shelf>, query: &Query) -> std::io::Result<Cursor> {
    let tail = match query.tail {
        Some(0) => return Ok(Cursor::at_end(shelf)),
        Some(tail) => tail.min(TAIL_MAX),
        None if query.since.is_some() => return Ok(Cursor::since(shelf, query.since)),
        None => TAIL_DEFAULT,
    };
    Cursor::before_last(&shelf, usize::try_from(tail).unwrap_or(usize::MAX), query.since, &|line| {
        query.wants(line)
    })
}

impl From<journal::Item> for Item {
    fn from(item: journal::Item) -> Self {
        match item {
            journal::Item::Line(line) => Self::Line(line),
            journal::Item::Missed(lines) => Self::Skipped(lines),
        }
    }
}
