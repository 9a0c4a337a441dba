//! The commit that a folder is at, as git says: a release's note, and nothing more. Without git, or outside of a repository,
//! there is none.

use std::path::Path;
use std::process::Stdio;

use tokio::process::Command;

use crate::api::Revision;

/// A message's first line is not cut before this.
const SUBJECT_CHARACTERS_MAX: usize = 200;

/// The commit, if the folder is a part of a repository.
pub(crate) async fn of(dir: &Path) -> Option<Revision> {
    let said = git(dir, &["log", "-1", "--format=%H%n%s"]).await?;
    let (commit, subject) = said.split_once('\n')?;
    let subject: String = subject.trim().chars().take(SUBJECT_CHARACTERS_MAX).collect();
    // Of this folder alone: a repository may hold many apps.
    let is_dirty = git(dir, &["status", "--porcelain", "--", "."]).await.is_some_and(|said| !said.is_empty());
    Some(Revision { commit: commit.to_owned(), subject, is_dirty })
}

async fn git(dir: &Path, args: &[&str]) -> Option<String> {
    let output = Command::new("git")
        .arg("-C")
        .arg(dir)
        // A lock that is taken only to refresh the index would get in somebody's way.
        .args(["--no-optional-locks"])
        .args(args)
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .await
        .ok()?;
    let said = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| said.trim_end().to_owned())
}
