//! The site's root directory, from which only what is below it can be opened.
//!
//! Where the kernel has `openat2(2)` (Linux 5.6, and a seccomp profile that allows it), `RESOLVE_BENEATH` makes the
//! kernel refuse a resolution that leaves the root at any step, so a symlink inside the root is followed and one to
//! the outside is not, without a race between the check and the use. Elsewhere each segment is opened from its parent
//! with `O_NOFOLLOW`: just as tight, but symlinks are then not served at all.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat, openat2};
use rustix::io::Errno;

/// Tries at a resolution that a rename elsewhere disturbed: `openat2` then says `EAGAIN` and means it.
const RESOLVE_TRIES_MAX: u32 = 8;

/// An open root directory.
#[derive(Debug)]
pub(super) struct Root {
    dir: OwnedFd,
    resolver: Resolver,
}

/// How a path below the root is resolved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Resolver {
    /// The kernel keeps the resolution below the root and follows symlinks that stay there.
    Beneath,
    /// Segment by segment, following no symlink.
    NoFollow,
}

/// What is at a path.
#[derive(Debug)]
pub(super) enum Found {
    File(SiteFile),
    Directory,
    /// Nothing, or nothing that may be served: outside the root, unreadable, a device, a socket.
    Nothing,
}

/// An open regular file.
#[derive(Debug)]
pub(super) struct SiteFile {
    pub(super) file: File,
    pub(super) version: Version,
}

/// Which file it was, and which state of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Version {
    pub(super) device: u64,
    pub(super) inode: u64,
    pub(super) size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Root {
    /// Opens the root and finds out which resolver the kernel offers.
    pub(super) fn open(path: &Path) -> io::Result<Root> {
        let dir = openat(CWD, path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
        let resolver = match open_beneath(&dir, ".") {
            // Old seccomp profiles answer EPERM to a system call they do not know.
            Err(Errno::NOSYS | Errno::PERM) => Resolver::NoFollow,
            _ => Resolver::Beneath,
        };
        Ok(Root { dir, resolver })
    }

    /// The same root with a resolver of the caller's choice.
    #[cfg(test)]
    pub(super) fn resolving(self, resolver: Resolver) -> Root {
        Root { resolver, ..self }
    }

    /// Opens what is at `relative`; the empty path is the root itself.
    ///
    /// # Errors
    /// Only for what is no fact about the site: out of file descriptors, a failing disk.
    pub(super) fn find(&self, relative: &str) -> io::Result<Found> {
        let relative = if relative.is_empty() { "." } else { relative };
        let opened = match self.resolver {
            Resolver::Beneath => open_beneath(&self.dir, relative),
            Resolver::NoFollow => open_no_follow(&self.dir, relative),
        };
        match opened {
            Ok(fd) => classify(File::from(fd)),
            Err(
                Errno::NOENT
                | Errno::NOTDIR
                | Errno::LOOP
                | Errno::XDEV
                | Errno::ACCESS
                | Errno::PERM
                | Errno::NAMETOOLONG
                | Errno::NXIO
                | Errno::INVAL
                | Errno::AGAIN,
            ) => Ok(Found::Nothing),
            Err(errno) => Err(errno.into()),
        }
    }
}

impl SiteFile {
    /// The file's state now, to be compared with [`SiteFile::version`].
    pub(super) fn version_now(&self) -> io::Result<Version> {
        Ok(Version::of(&self.file.metadata()?))
    }
}

impl Version {
    fn of(metadata: &std::fs::Metadata) -> Version {
        Version {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }

    /// When the file was last modified, in whole seconds; `None` at or before the epoch.
    ///
    /// Images carry the epoch as every file's time, so that equal content is an equal image. It says nothing about the
    /// content then, and a cache that believed it would keep an old release's file.
    pub(super) fn modified(&self) -> Option<SystemTime> {
        let secs = u64::try_from(self.modified.0).ok().filter(|secs| *secs > 0)?;
        Some(SystemTime::UNIX_EPOCH + Duration::from_secs(secs))
    }
}

/// `NONBLOCK`, so that a FIFO in the site cannot hold a request.
fn file_flags() -> OFlags {
    OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY
}

fn open_beneath(dir: &OwnedFd, relative: &str) -> Result<OwnedFd, Errno> {
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    let mut tries = 1;
    loop {
        match openat2(dir, relative, file_flags(), Mode::empty(), resolve) {
            Err(Errno::AGAIN | Errno::INTR) if tries < RESOLVE_TRIES_MAX => tries += 1,
            opened => return opened,
        }
    }
}

fn open_no_follow(dir: &OwnedFd, relative: &str) -> Result<OwnedFd, Errno> {
    let mut at: Option<OwnedFd> = None;
    for segment in relative.split('/') {
        if segment.is_empty() || segment == ".." {
            return Err(Errno::NOENT);
        }
        let parent = at.as_ref().unwrap_or(dir);
        at = Some(openat(parent, segment, file_flags() | OFlags::NOFOLLOW, Mode::empty())?);
    }
    at.ok_or(Errno::NOENT)
}

fn classify(file: File) -> io::Result<Found> {
    let metadata = file.metadata()?;
    if metadata.is_dir() {
        Ok(Found::Directory)
    } else if metadata.is_file() {
        Ok(Found::File(SiteFile { version: Version::of(&metadata), file }))
    } else {
        Ok(Found::Nothing)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::os::unix::fs::symlink;

    use proptest::prelude::{Strategy, any, prop, prop_oneof};
    use tempfile::TempDir;

    use super::*;

    const SECRET: &str = "the secret beside the root";

    fn site() -> (TempDir, std::path::PathBuf) {
        let outer = tempfile::tempdir().expect("a temporary directory");
        let root = outer.path().join("root");
        std::fs::create_dir_all(root.join("dir")).expect("a directory");
        std::fs::write(outer.path().join("secret"), SECRET).expect("a file");
        std::fs::write(root.join("page"), "page").expect("a file");
        symlink("page", root.join("inside")).expect("a symlink");
        symlink("../secret", root.join("escape")).expect("a symlink");
        symlink("../..", root.join("dir/up")).expect("a symlink");
        symlink(outer.path().join("secret"), root.join("absolute")).expect("a symlink");
        symlink("/proc/self/root", root.join("magic")).expect("a symlink");
        (outer, root)
    }

    fn read(root: &Root, path: &str) -> Option<String> {
        match root.find(path).expect("no failure of the disk") {
            Found::File(mut found) => {
                let mut text = String::new();
                found.file.read_to_string(&mut text).expect("a readable file");
                Some(text)
            }
            Found::Directory | Found::Nothing => None,
        }
    }

    #[test]
    fn symlink_inside_the_root_is_followed_where_the_kernel_can_check() {
        let (_outer, root) = site();
        let root = Root::open(&root).expect("the root opens");
        assert_eq!(root.resolver, Resolver::Beneath, "the tests run on Linux 5.6 or later");
        assert_eq!(read(&root, "inside").as_deref(), Some("page"));
        let root = root.resolving(Resolver::NoFollow);
        assert_eq!(read(&root, "inside"), None);
        assert_eq!(read(&root, "page").as_deref(), Some("page"));
    }

    #[test]
    fn special_files_are_not_served() {
        let (outer, root) = site();
        let socket = std::os::unix::net::UnixListener::bind(root.join("socket")).expect("a socket");
        let root = Root::open(&root).expect("the root opens");
        assert_eq!(read(&root, "socket"), None);
        drop((socket, outer));
    }

    #[test]
    fn no_relative_path_leaves_the_root() {
        let (_outer, path) = site();
        let beneath = Root::open(&path).expect("the root opens");
        let no_follow = Root::open(&path).expect("the root opens").resolving(Resolver::NoFollow);
        let piece = prop_oneof![
            prop::sample::select(vec![
                "..", ".", "", "dir", "up", "escape", "absolute", "magic", "secret", "root"
            ])
            .prop_map(str::to_owned),
            any::<String>().prop_map(|piece| piece.replace('\0', "")),
        ];
        let paths = prop::collection::vec(piece, 1..7).prop_map(|pieces| pieces.join("/"));
        proptest::test_runner::TestRunner::default()
            .run(&paths, |path| {
                for root in [&beneath, &no_follow] {
                    let text = read(root, &path);
                    proptest::prop_assert!(
                        text.is_none() || text.as_deref() == Some("page"),
                        "{path}: {text:?}"
                    );
                }
                Ok(())
            })
            .expect("no path leaves the root");
    }
}
