//! Says when files of a project change: for `up --watch`. The only user of notify.
//!
//! Folders are watched one by one, not as a tree, so that an ignored `node_modules` costs no watches; there are few on
//! some machines. Whoever watches gives the rules with [`Watcher::follow`], again after each change, because the change may
//! be to the ignore file or may have made folders. What happens in a new folder before it is followed belongs to a change
//! that was reported already, so nothing is lost as long as the folder is read after `follow`.
//!
//! Changes are collected by notify's own thread in a set of bounded size. [`Watcher::changed`] waits until it has been quiet
//! for 200 ms, so that a checkout or a bundler is one change.
//!
//! It does not know whether contents differ; a digest does.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use notify::event::{EventKind, ModifyKind};
use notify::{Event, RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::builder::context::{Context, ContextError, EntryKind};
use crate::builder::ignore::IgnoreRules;

/// After the last change; longer than an editor takes between its writes, shorter than anyone notices.
const QUIET: Duration = Duration::from_millis(200);
/// After the first change, quiet or not: something that writes all the time must not put off a deploy for ever.
const COLLECTING_MAX: Duration = Duration::from_secs(5);
/// Changed files that are remembered by name.
const NAMES_MAX: usize = 1_000;

/// Watches a project's folder. Dropping it ends that.
#[derive(Debug)]
pub struct Watcher {
    dir: PathBuf,
    /// Files at the top that count, whatever the rules say.
    always: BTreeSet<PathBuf>,
    /// Files that the manifest names; they count, too.
    named: BTreeSet<PathBuf>,
    notify: RecommendedWatcher,
    watched: BTreeSet<PathBuf>,
    /// Which folder the rules are for, absolute.
    rules: Option<(PathBuf, IgnoreRules)>,
    collected: Arc<Collected>,
}

/// Why a folder cannot be watched.
#[derive(Debug, thiserror::Error)]
pub enum WatchError {
    /// The system watches nothing for us, or not this folder.
    #[error("cannot watch `{}` for changes", path.display())]
    Watch {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: notify::Error,
    },
    /// The folder cannot be listed.
    #[error(transparent)]
    Scan(#[from] ContextError),
    /// The thread that watches is gone.
    #[error("the watch of `{}` ended by itself", path.display())]
    Ended {
        /// The folder.
        path: PathBuf,
        /// What it said last.
        #[source]
        source: notify::Error,
    },
}

/// What notify's thread has seen and nobody has taken.
#[derive(Debug, Default)]
struct Collected {
    changes: Mutex<Changes>,
    arrived: Notify,
}

#[derive(Debug, Default)]
struct Changes {
    paths: BTreeSet<PathBuf>,
    error: Option<notify::Error>,
}

impl Watcher {
    /// Watches the top of `dir`, an absolute path, for changes to the files named `always`.
    ///
    /// # Errors
    ///
    /// When the system does not let it.
    pub fn new(dir: PathBuf, always: &[&str]) -> Result<Self, WatchError> {
        let collected = Arc::new(Collected::default());
        let sink = Arc::clone(&collected);
        let notify = notify::recommended_watcher(move |event| sink.take(event))
            .map_err(|source| WatchError::Watch { path: dir.clone(), source })?;
        let always = always.iter().map(|name| dir.join(name)).collect();
        let (named, watched) = (BTreeSet::new(), BTreeSet::new());
        let mut watcher = Self { dir, always, named, notify, watched, rules: None, collected };
        watcher.watch(watcher.dir.clone())?;
        Ok(watcher)
    }

    /// Watches every folder that the rules leave of `folder`, relative to the project's, those of the named files, and none
    /// else.
    ///
    /// # Errors
    ///
    /// When a folder cannot be read or watched.
    pub fn follow(
        &mut self,
        rules: Option<(String, IgnoreRules)>,
        named: &[String],
    ) -> Result<(), WatchError> {
        let mut wanted = BTreeSet::from([self.dir.clone()]);
        self.named = named.iter().map(|file| self.dir.join(file)).collect();
        wanted.extend(self.named.iter().filter_map(|file| file.parent()).map(Path::to_owned));
        self.rules = rules.map(|(folder, rules)| {
            (if folder == "." { self.dir.clone() } else { self.dir.join(folder) }, rules)
        });
        if let Some((root, rules)) = &self.rules {
            wanted.insert(root.clone());
            let context = Context::scan(root, rules)?;
            let folders = context.entries().filter(|entry| entry.kind == EntryKind::Directory);
            wanted.extend(folders.map(|folder| root.join(&folder.path)));
        }
        for gone in self.watched.difference(&wanted).cloned().collect::<Vec<_>>() {
            // It may be gone from the disk, too, and then from the kernel's list.
            let _ = self.notify.unwatch(&gone);
            self.watched.remove(&gone);
        }
        for new in wanted.difference(&self.watched).cloned().collect::<Vec<_>>() {
            self.watch(new)?;
        }
        Ok(())
    }

    /// Waits for a change that counts, and until it is quiet. Returns the changed paths, relative to the project's folder.
    /// Cancel-safe.
    ///
    /// # Errors
    ///
    /// When nothing is watched any more.
    pub async fn changed(&mut self) -> Result<Vec<String>, WatchError> {
        loop {
            if self.collected.is_empty() {
                self.collected.arrived.notified().await;
            }
            let deadline = Instant::now() + COLLECTING_MAX;
            while Instant::now() < deadline
                && tokio::time::timeout(QUIET, self.collected.arrived.notified()).await.is_ok()
            {}
            let changes = self.collected.drain();
            if let Some(source) = changes.error {
                return Err(WatchError::Ended { path: self.dir.clone(), source });
            }
            let relative = |path: &Path| path.strip_prefix(&self.dir).unwrap_or(path).display().to_string();
            let counted: Vec<String> =
                changes.paths.iter().filter(|path| self.counts(path)).map(|path| relative(path)).collect();
            if !counted.is_empty() {
                return Ok(counted);
            }
        }
    }

    fn counts(&self, path: &Path) -> bool {
        if self.always.contains(path) || self.named.contains(path) {
            return true;
        }
        let Some((root, rules)) = &self.rules else { return false };
        let Some(relative) = path.strip_prefix(root).ok().and_then(Path::to_str) else { return false };
        !relative.is_empty() && !rules.is_ignored(relative)
    }

    fn watch(&mut self, path: PathBuf) -> Result<(), WatchError> {
        match self.notify.watch(&path, RecursiveMode::NonRecursive) {
            Ok(()) => {
                self.watched.insert(path);
                Ok(())
            }
            // Somebody removed it meanwhile; that is a change of its own.
            Err(error) if matches!(error.kind, notify::ErrorKind::PathNotFound) => Ok(()),
            Err(source) => Err(WatchError::Watch { path, source }),
        }
    }
}

impl WatchError {
    /// What to do about it, when that is known.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Watch { source, .. } if matches!(source.kind, notify::ErrorKind::MaxFilesWatch) => Some(
                "the system's watches are used up: `sudo sysctl fs.inotify.max_user_watches=524288`, or \
                 ignore folders in `.dockerignore`"
                    .to_owned(),
            ),
            Self::Watch { .. } | Self::Scan(_) | Self::Ended { .. } => None,
        }
    }
}

impl Collected {
    fn take(&self, event: notify::Result<Event>) {
        let mut changes = self.changes.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            // Reading a file is none, and we do it ourselves.
            Ok(event) if is_change(&event) => {
                for path in event.paths {
                    if changes.paths.len() < NAMES_MAX {
                        changes.paths.insert(path);
                    }
                }
            }
            Ok(_) => return,
            // One path's trouble, such as a folder that was removed while it was looked at.
            Err(error) if !error.paths.is_empty() => return,
            Err(error) => changes.error = Some(error),
        }
        drop(changes);
        self.arrived.notify_one();
    }

    fn is_empty(&self) -> bool {
        let changes = self.changes.lock().unwrap_or_else(PoisonError::into_inner);
        changes.paths.is_empty() && changes.error.is_none()
    }

    fn drain(&self) -> Changes {
        std::mem::take(&mut self.changes.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn is_change(event: &Event) -> bool {
    matches!(
        event.kind,
        EventKind::Any
            | EventKind::Create(_)
            | EventKind::Remove(_)
            | EventKind::Modify(
                ModifyKind::Any | ModifyKind::Data(_) | ModifyKind::Metadata(_) | ModifyKind::Name(_)
            )
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Longer than any of it takes; a test that is stuck ends.
    const PATIENCE: Duration = Duration::from_secs(20);

    fn rules(text: &str) -> Option<(String, IgnoreRules)> {
        let rules = IgnoreRules::parse(Path::new(".dockerignore"), text).expect("good patterns");
        Some((".".to_owned(), rules))
    }

    fn watcher(dir: &Path, ignored: &str) -> Watcher {
        let mut watcher = Watcher::new(dir.to_owned(), &["minipaas.toml"]).expect("a watcher");
        watcher.follow(rules(ignored), &[]).expect("a readable folder");
        watcher
    }

    async fn changed(watcher: &mut Watcher) -> Vec<String> {
        tokio::time::timeout(PATIENCE, watcher.changed()).await.expect("a change").expect("a working watcher")
    }

    #[tokio::test]
    async fn changes_that_count_are_named() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        std::fs::create_dir_all(dir.path().join("src")).expect("a folder");
        std::fs::create_dir_all(dir.path().join("node_modules/x")).expect("a folder");
        let mut watcher = watcher(dir.path(), "node_modules\nminipaas.toml\n*.log");
        std::fs::write(dir.path().join("node_modules/x/a.js"), "").expect("a file");
        std::fs::write(dir.path().join("noise.log"), "").expect("a file");
        std::fs::write(dir.path().join("src/a.js"), "").expect("a file");
        std::fs::write(dir.path().join("minipaas.toml"), "").expect("a file");
        assert_eq!(changed(&mut watcher).await, ["minipaas.toml", "src/a.js"]);
    }

    #[tokio::test]
    async fn new_folders_are_followed_and_ignored_ones_are_not() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let mut watcher = watcher(dir.path(), "dist");
        std::fs::create_dir(dir.path().join("new")).expect("a folder");
        std::fs::create_dir(dir.path().join("dist")).expect("a folder");
        assert_eq!(changed(&mut watcher).await, ["new"]);
        watcher.follow(rules("dist"), &[]).expect("a readable folder");
        let watched = BTreeSet::from([dir.path().to_owned(), dir.path().join("new")]);
        assert_eq!(watcher.watched, watched);
        std::fs::write(dir.path().join("new/a"), "").expect("a file");
        assert_eq!(changed(&mut watcher).await, ["new/a"]);
    }

    #[tokio::test]
    async fn ready_images_depend_on_the_manifest_alone() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let mut watcher = watcher(dir.path(), "");
        watcher.follow(None, &[]).expect("a readable folder");
        std::fs::write(dir.path().join("a"), "").expect("a file");
        std::fs::write(dir.path().join("minipaas.toml"), "").expect("a file");
        assert_eq!(changed(&mut watcher).await, ["minipaas.toml"]);
    }

    #[tokio::test]
    async fn files_that_the_manifest_names_count_in_ignored_folders_too() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        std::fs::create_dir(dir.path().join("errors")).expect("a folder");
        let mut watcher = watcher(dir.path(), "errors");
        watcher.follow(rules("errors"), &["errors/404.html".to_owned()]).expect("a readable folder");
        std::fs::write(dir.path().join("errors/other.html"), "").expect("a file");
        std::fs::write(dir.path().join("errors/404.html"), "").expect("a file");
        assert_eq!(changed(&mut watcher).await, ["errors/404.html"]);
    }
}
