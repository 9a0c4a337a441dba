//! `minipaas cp`: files and folders into an instance, or out of it.
//!
//! As `cp` does: into a folder that is there, under the same name; else to the name that is given, whose folder must be
//! there. They travel as tar archives, which are made and unpacked as they go. What comes from a container is a
//! stranger's: it is unpacked below the place that was named, and nowhere else.

use std::fs;
use std::io::{self, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};
use bytes::{Buf as _, Bytes};
use futures_util::StreamExt as _;
use futures_util::stream::{self, BoxStream};
use serde::Serialize;
use tokio::sync::mpsc;

use super::args::{AppArgs, CpArgs, Place};
use super::failure::{Failure, Kind};
use super::{Session, project};
use crate::api::client::{Client, ClientError};
use crate::name::AppName;

/// Large enough that a file's pieces outweigh what each costs.
const PIECE_BYTES: usize = 64 * 1024;
/// Pieces between the disk and the socket: 1 MiB.
const PIECES_MAX: usize = 16;
/// The API's code for a path that is not there.
const CODE_NO_FILE: &str = "no-file";

/// The result with `--json`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Copied<'a> {
    app: &'a str,
    instance: &'a str,
    path: &'a str,
}

/// Writes what it is given to a channel.
struct PieceWriter(mpsc::Sender<io::Result<Bytes>>);

/// Reads what comes through a channel.
struct PieceReader {
    pieces: mpsc::Receiver<io::Result<Bytes>>,
    piece: Bytes,
}

/// A path in an instance.
struct Remote<'a> {
    client: Client,
    app: &'a AppName,
    slot: &'a str,
    path: &'a str,
}

pub(crate) async fn run(session: &Session, args: &CpArgs) -> Result<(), Failure> {
    let app = project::app_of(session, &AppArgs { name: None })?;
    let ((slot, path), here, is_out) = match (&args.from, &args.to) {
        (Place::In { slot, path }, Place::Here(here)) => ((slot.to_string(), path), here, true),
        (Place::Here(here), Place::In { slot, path }) => ((slot.to_string(), path), here, false),
        (Place::Here(_), Place::Here(_)) => {
            let failure = Failure::usage("neither side is an instance's");
            return Err(failure.hint("name one as `web.1:/path`: `minipaas cp web.1:/app/log .`"));
        }
        (Place::In { .. }, Place::In { .. }) => {
            return Err(Failure::usage("both sides are an instance's")
                .hint("copy to this machine first, and from here to the other"));
        }
    };
    let remote = Remote { client: session.client(), app: &app, slot: &slot, path };
    match is_out {
        true => take(&remote, Path::new(here)).await?,
        false => give(&remote, Path::new(here)).await?,
    }
    if session.out.is_json() {
        session.out.json(&Copied { app: app.as_str(), instance: &slot, path })?;
    }
    Ok(())
}

/// From the instance to this machine.
async fn take(remote: &Remote<'_>, to: &Path) -> Result<(), Failure> {
    let archive = remote.client.read_files(remote.app, remote.slot, remote.path).await?;
    let (tx, pieces) = mpsc::channel(PIECES_MAX);
    let to = to.to_owned();
    let unpacking =
        tokio::task::spawn_blocking(move || unpack(PieceReader { pieces, piece: Bytes::new() }, &to));
    pass(archive, tx).await;
    unpacking
        .await
        .map_err(|error| Failure::new(Kind::Failed, error))?
        .map_err(|error| Failure::new(Kind::Failed, error))
}

/// From this machine to the instance.
async fn give(remote: &Remote<'_>, from: &Path) -> Result<(), Failure> {
    let failed = |error| Failure::new(Kind::Usage, error);
    let from =
        from.canonicalize().with_context(|| format!("cannot read `{}`", from.display())).map_err(failed)?;
    let base = from.file_name().map(|name| name.to_string_lossy().into_owned());
    let base =
        base.ok_or_else(|| Failure::usage("the root of this machine has no name to be copied under"))?;
    let (folder, name) = if remote.is_folder().await? {
        (remote.path.to_owned(), base)
    } else {
        let path = remote.path.trim_end_matches('/');
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
        (format!("{folder}/"), name.to_owned())
    };
    let (tx, rx) = mpsc::channel(PIECES_MAX);
    let packing = tokio::task::spawn_blocking(move || {
        let packed = pack(PieceWriter(tx.clone()), &from, &name);
        if packed.is_err() {
            // Without this the archive would seem complete. Nobody listens if the connection is what failed.
            let _ = tx.blocking_send(Err(io::Error::other("the archive is incomplete")));
        }
        packed
    });
    let archive = stream::unfold(rx, |mut rx| async move { Some((rx.recv().await?, rx)) }).boxed();
    let written = remote.client.write_files(remote.app, remote.slot, &folder, archive).await;
    match (packing.await, written) {
        (_, Ok(())) => Ok(()),
        // What the daemon says is a better reason than any.
        (_, Err(error @ ClientError::Failed(_))) => Err(error.into()),
        (Ok(Err(error)), Err(_)) if error.chain().all(|cause| !is_broken_pipe(cause)) => Err(failed(error)),
        (_, Err(error)) => Err(error.into()),
    }
}

impl Remote<'_> {
    /// Whether a folder is there under this path, or a link to one.
    async fn is_folder(&self) -> Result<bool, Failure> {
        let inside = format!("{}/.", self.path.trim_end_matches('/'));
        match self.client.read_files(self.app, self.slot, &inside).await {
            // It is not read: dropping it ends it.
            Ok(_) => Ok(true),
            Err(ClientError::Failed(failure))
                if failure.code == CODE_NO_FILE || failure.code == "engine-refused" =>
            {
                Ok(false)
            }
            Err(error) => Err(error.into()),
        }
    }
}

/// Puts the archive's pieces where they are unpacked.
async fn pass(mut archive: BoxStream<'static, io::Result<Bytes>>, tx: mpsc::Sender<io::Result<Bytes>>) {
    while let Some(piece) = archive.next().await {
        if tx.send(piece).await.is_err() {
            return;
        }
    }
}

/// Makes an archive of the file or folder, under this name.
fn pack(writer: PieceWriter, from: &Path, name: &str) -> anyhow::Result<()> {
    let mut tar = tar::Builder::new(BufWriter::with_capacity(PIECE_BYTES, writer));
    // Engines do not read sparse entries, and links are copied as links.
    tar.sparse(false);
    tar.follow_symlinks(false);
    let reading = || format!("cannot read `{}`", from.display());
    if from.is_dir() {
        tar.append_dir_all(name, from).with_context(reading)?;
    } else {
        tar.append_path_with_name(from, name).with_context(reading)?;
    }
    tar.into_inner().and_then(|mut writer| writer.flush()).with_context(reading)
}

/// Unpacks an archive of one root into a folder that is there, or to another name.
fn unpack(reader: PieceReader, to: &Path) -> anyhow::Result<()> {
    let mut archive = tar::Archive::new(reader);
    archive.set_preserve_permissions(false);
    archive.set_overwrite(true);
    let writing = || format!("cannot write `{}`", to.display());
    if to.is_dir() {
        return archive.unpack(to).with_context(writing);
    }
    let folder = match to.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    if !folder.is_dir() {
        return Err(anyhow!("there is no folder `{}`", folder.display()));
    }
    // Beside its place first: what is half unpacked must not look whole.
    let aside = Aside::make(folder).with_context(writing)?;
    archive.unpack(&aside.0).with_context(writing)?;
    let mut roots = fs::read_dir(&aside.0).with_context(writing)?;
    let root = roots.next().ok_or_else(|| anyhow!("the archive is empty"))?.with_context(writing)?;
    fs::rename(root.path(), to).with_context(writing)
}

/// A folder that is removed with whatever is left in it.
struct Aside(PathBuf);

impl Aside {
    fn make(beside: &Path) -> io::Result<Self> {
        let path = beside.join(format!(".minipaas-cp-{:08x}", crate::random::bits()));
        fs::create_dir(&path)?;
        Ok(Self(path))
    }
}

impl Drop for Aside {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

impl Write for PieceWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.blocking_send(Ok(Bytes::copy_from_slice(bytes))).map_err(|_| io::ErrorKind::BrokenPipe)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Read for PieceReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.piece.is_empty() {
            match self.pieces.blocking_recv() {
                Some(piece) => self.piece = piece?,
                None => return Ok(0),
            }
        }
        let length = buffer.len().min(self.piece.len());
        self.piece.copy_to_slice(&mut buffer[..length]);
        Ok(length)
    }
}

fn is_broken_pipe(cause: &(dyn std::error::Error + 'static)) -> bool {
    cause.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}
