//! The files of an export, in a folder.
//!
//! A file that was not written by an export is not replaced unasked; one that was, and is none of this export's, is removed.
//! What has values of secrets is for its owner alone, in a folder that others cannot look into.

use std::fs::{self, DirBuilder, File as FsFile};
use std::io::{self, BufRead as _, BufReader, IsTerminal as _};
use std::os::fd::AsFd as _;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use crate::cli::Session;
use crate::cli::failure::{Failure, Kind};
use crate::export::format::{File, MARK};
use crate::file;

/// The folders below that of an export in which it has files.
const FOLDERS: [&str; 2] = ["", "templates"];
/// Of files for everybody.
const PUBLIC_MODE: u32 = 0o644;
/// Of a folder with secrets.
const PRIVATE_FOLDER_MODE: u32 = 0o700;
/// What lets strangers read.
const OTHERS_READ: u32 = 0o004;
/// What lets anybody but the owner read.
const READ_BY_OTHERS: u32 = 0o044;

/// Writes the files, and removes older ones of ours.
pub(super) fn write(session: &Session, folder: &Path, files: &[File]) -> Result<(), Failure> {
    let is_secret = files.iter().any(|file| file.is_secret);
    let foreign: Vec<_> = files
        .iter()
        .map(|file| folder.join(&file.path))
        .filter(|path| path.exists() && !is_ours(path))
        .collect();
    if !foreign.is_empty() && !session.globals.yes {
        let names: Vec<_> = foreign.iter().map(|path| format!("`{}`", path.display())).collect();
        let message = format!("{} would be replaced, and no export wrote it", names.join(", "));
        return Err(Failure::failed(message).hint("`--yes` replaces it; another `-o DIR` leaves it as it is"));
    }
    let mode = if is_secret { PRIVATE_FOLDER_MODE } else { 0o777 };
    make(folder, mode)?;
    for file in files {
        let path = folder.join(&file.path);
        if let Some(parent) = path.parent() {
            make(parent, mode)?;
        }
        let mode = if file.is_secret { file::PRIVATE_MODE } else { PUBLIC_MODE };
        file::replace(&path, mode, file.text.as_bytes()).map_err(|error| failed("write", &path, error))?;
    }
    for path in stale(folder, files).map_err(|error| failed("list", folder, error))? {
        fs::remove_file(&path).map_err(|error| failed("remove", &path, error))?;
        tracing::debug!(path = %path.display(), "a file of an earlier export is gone");
    }
    Ok(())
}

/// Refuses a folder that strangers can look into.
pub(super) fn check_private(folder: &Path) -> Result<(), Failure> {
    let Ok(metadata) = fs::metadata(folder) else { return Ok(()) };
    if metadata.is_dir() && metadata.mode() & OTHERS_READ != 0 {
        let shown = folder.display();
        return Err(Failure::usage(format!(
            "everybody can read `{shown}`, and there would be secrets in it"
        ))
        .hint(format!("`chmod 700 {shown}` closes it, or name a folder that is not there yet"))
        .hint("`--secrets sealed` or `external` writes none"));
    }
    Ok(())
}

/// Refuses to print secrets where others see them: a terminal, or a file that others can read.
pub(super) fn check_stdout() -> Result<(), Failure> {
    let stdout = io::stdout();
    let hint = "`-o DIR` writes them to files that nobody else can read";
    if stdout.is_terminal() {
        return Err(Failure::usage("values of secrets are not printed to a terminal").hint(hint));
    }
    let owned = stdout
        .as_fd()
        .try_clone_to_owned()
        .map_err(|error| failed("look at", Path::new("standard output"), error))?;
    let metadata = FsFile::from(owned).metadata();
    let metadata = metadata.map_err(|error| failed("look at", Path::new("standard output"), error))?;
    if metadata.is_file() && metadata.mode() & READ_BY_OTHERS != 0 {
        return Err(Failure::usage(
            "others can read the file that standard output goes to, and there would be secrets in it",
        )
        .hint(hint)
        .hint("`umask 077` before the file is made closes it"));
    }
    Ok(())
}

/// Makes the folder unless it is there.
fn make(folder: &Path, mode: u32) -> Result<(), Failure> {
    let made = DirBuilder::new().recursive(true).mode(mode).create(folder);
    made.map_err(|error| failed("make", folder, error))
}

/// Files of earlier exports that are none of these.
fn stale(folder: &Path, files: &[File]) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for below in FOLDERS {
        let entries = match fs::read_dir(folder.join(below)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            entries => entries?,
        };
        for entry in entries {
            let path = entry?.path();
            let is_yaml = path.extension().is_some_and(|extension| extension == "yaml");
            let is_new = files.iter().any(|file| folder.join(&file.path) == path);
            if is_yaml && !is_new && is_ours(&path) {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

/// Whether an export wrote it.
fn is_ours(path: &Path) -> bool {
    let mut line = Vec::new();
    let is_file = fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_file());
    let mut read = || BufReader::new(FsFile::open(path)?).read_until(b'\n', &mut line);
    is_file && read().is_ok() && line.trim_ascii_end() == MARK.as_bytes()
}

fn failed(action: &str, path: &Path, error: io::Error) -> Failure {
    let error = anyhow::Error::new(error).context(format!("cannot {action} `{}`", path.display()));
    Failure::new(Kind::Failed, error)
}
