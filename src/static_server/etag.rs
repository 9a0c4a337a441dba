//! Strong validators: a hash of the content, remembered for as long as the file does not change.

use std::collections::HashMap;
use std::fmt::Write;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::{Mutex, PoisonError};

use http::HeaderValue;
use sha2::{Digest, Sha256};

use super::root::{SiteFile, Version};

/// Files whose tag is remembered; about 150 bytes each.
const ETAGS_MAX: usize = 16_384;
/// Half of SHA-256: 128 bits of it never collide by accident.
const ETAG_HASH_BYTES: usize = 16;
const HASH_CHUNK_BYTES: usize = 64 * 1024;

/// The tags of the files served so far.
#[derive(Debug, Default)]
pub(super) struct Etags {
    /// By device and inode; written by whoever hashed a file, read by every request.
    known: Mutex<HashMap<(u64, u64), (Version, HeaderValue)>>,
}

impl Etags {
    /// The tag of an open file. Reads the whole file the first time and after each change.
    ///
    /// Requests that come while a file is first hashed hash it too; waiting for each other would gain little.
    pub(super) fn of(&self, file: &SiteFile) -> io::Result<HeaderValue> {
        let key = (file.version.device, file.version.inode);
        if let Some(etag) = self.known(key, &file.version) {
            return Ok(etag);
        }
        let etag = hash(file)?;
        // A file that was changed while it was hashed gets a tag of its own once, and is hashed again next time.
        if file.version_now()? == file.version {
            let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            if known.len() >= ETAGS_MAX {
                known.clear();
            }
            known.insert(key, (file.version, etag.clone()));
        }
        Ok(etag)
    }

    fn known(&self, key: (u64, u64), version: &Version) -> Option<HeaderValue> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(&key).filter(|(known, _)| known == version).map(|(_, etag)| etag.clone())
    }
}

fn hash(file: &SiteFile) -> io::Result<HeaderValue> {
    let mut hasher = Sha256::new();
    let mut chunk = vec![0; HASH_CHUNK_BYTES];
    let mut offset = 0;
    loop {
        let read = file.file.read_at(&mut chunk, offset)?;
        if read == 0 {
            break;
        }
        hasher.update(&chunk[..read]);
        offset += read as u64;
    }
    let mut etag = String::from("\"");
    for byte in &hasher.finalize()[..ETAG_HASH_BYTES] {
        write!(etag, "{byte:02x}").expect("writing to a string cannot fail");
    }
    etag.push('"');
    Ok(HeaderValue::try_from(etag).expect("hexadecimal digits are visible ASCII"))
}
