//! What the machine itself has for minipaas: a home, a disk, watches.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use rustix::fs::{Access, access, statvfs};

use super::Finding;

/// Below this no image can be made.
pub(crate) const DISK_BYTES_MIN: u64 = 1 << 30;
/// Below this a few builds fill it.
pub(crate) const DISK_BYTES_ENOUGH: u64 = 5 << 30;
/// For `up --watch` of a project with thousands of folders; the kernel's default on a small machine is 8192.
const WATCHES_ENOUGH: u64 = 16_384;
/// The kernel's limit on watches of one user.
const WATCHES_LIMIT: &str = "/proc/sys/fs/inotify/max_user_watches";

/// The home is ours alone to read, and can be written.
pub(super) fn home(home: &Path) -> Finding {
    let finding = Finding::about("home");
    let shown = home.display();
    let Ok(metadata) = std::fs::metadata(home) else {
        return finding.ok(format!("`{shown}` is not there yet"));
    };
    if !metadata.is_dir() {
        return finding
            .fail(format!("`{shown}` is no folder"))
            .hint("set `MINIPAAS_HOME` to a folder, or remove the file");
    }
    if access(home, Access::WRITE_OK | Access::EXEC_OK).is_err() {
        return finding
            .fail(format!("`{shown}` cannot be written"))
            .hint(format!("`sudo chown -R $USER {shown}`, or set `MINIPAAS_HOME` to a folder of yours"));
    }
    if metadata.permissions().mode() & 0o007 != 0 {
        return finding
            .warn(format!("`{shown}` is open to every user; the CA's key and variables of apps are in it"))
            .hint(format!("`chmod 700 {shown}`"));
    }
    finding.ok(format!("`{shown}`"))
}

/// There is room for images and state.
pub(super) fn disk(home: &Path) -> Finding {
    let nearest = home.ancestors().find(|dir| dir.exists()).unwrap_or(Path::new("/"));
    match statvfs(nearest) {
        Ok(disk) => judge_disk(disk.f_bavail.saturating_mul(disk.f_frsize)),
        Err(error) => Finding::about("disk")
            .warn(format!("cannot tell what is free at `{}`: {error}", nearest.display())),
    }
}

/// There are enough watches.
pub(super) fn watches() -> Finding {
    let limit = std::fs::read_to_string(WATCHES_LIMIT).ok().and_then(|text| text.trim().parse().ok());
    judge_watches(limit)
}

fn judge_disk(free_bytes: u64) -> Finding {
    let finding = Finding::about("disk");
    let message = format!("{:.1} GiB are free", free_bytes as f64 / (1_u64 << 30) as f64);
    match free_bytes {
        0..DISK_BYTES_MIN => finding.fail(message).hint("`docker system df` shows what takes the space"),
        DISK_BYTES_MIN..DISK_BYTES_ENOUGH => {
            finding.warn(message).hint("`docker system df` shows what takes the space")
        }
        _ => finding.ok(message),
    }
}

fn judge_watches(limit: Option<u64>) -> Finding {
    let finding = Finding::about("watches");
    match limit {
        None => finding.ok("not limited here".to_owned()),
        Some(limit) if limit < WATCHES_ENOUGH => finding
            .warn(format!("{limit} folders can be watched: few for `minipaas up --watch`"))
            .hint("`sudo sysctl fs.inotify.max_user_watches=524288`"),
        Some(limit) => finding.ok(format!("{limit} folders can be watched")),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Verdict;
    use super::*;

    #[test]
    fn home_that_others_can_read_is_warned_about() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let mode = |mode| {
            std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(mode)).expect("a mode");
            home(dir.path()).verdict
        };
        assert_eq!(mode(0o755), Verdict::Warn);
        assert_eq!(mode(0o750), Verdict::Ok);
        assert_eq!(mode(0o700), Verdict::Ok);
        assert_eq!(home(&dir.path().join("new")).verdict, Verdict::Ok);
        std::fs::write(dir.path().join("file"), "").expect("a file");
        assert_eq!(home(&dir.path().join("file")).verdict, Verdict::Fail);
    }

    #[test]
    fn limits_have_two_sides() {
        assert_eq!(judge_disk(1 << 29).verdict, Verdict::Fail);
        assert_eq!(judge_disk(2 << 30).verdict, Verdict::Warn);
        assert_eq!(judge_disk(20 << 30).verdict, Verdict::Ok);
        assert_eq!(judge_watches(Some(8_192)).verdict, Verdict::Warn);
        assert_eq!(judge_watches(Some(524_288)).verdict, Verdict::Ok);
    }
}
