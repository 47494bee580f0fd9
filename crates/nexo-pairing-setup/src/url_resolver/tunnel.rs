//! Reads the file to which a tunnel writes its URL. Anyone who can write it decides where companions
//! present their tokens, so only its owner may have write access.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use time::OffsetDateTime;

use super::TunnelFileProblem;
use crate::file::wrong_owner;

/// The largest file that is read, in bytes.
const MAX_FILE_BYTES: usize = 4096;

/// The line in the file and its age; `None` if the file is missing or empty.
pub(super) fn read(
    path: &Path,
    now: OffsetDateTime,
) -> Result<Option<(String, Option<Duration>)>, TunnelFileProblem> {
    let Some(file) = open(path)? else { return Ok(None) };
    // Of the open file, so that it cannot be swapped in between.
    let metadata = file.metadata().map_err(TunnelFileProblem::Io)?;
    if !metadata.is_file() {
        return Err(TunnelFileProblem::NotAFile);
    }
    let owner = metadata.uid();
    if let Some(expected) = wrong_owner(path, owner) {
        return Err(TunnelFileProblem::Owner { owner, expected });
    }
    let mode = metadata.mode() & 0o7777;
    if mode & 0o022 != 0 {
        return Err(TunnelFileProblem::Mode { mode });
    }
    let mut bytes = Vec::with_capacity(MAX_FILE_BYTES + 1);
    let limit = MAX_FILE_BYTES as u64 + 1;
    file.take(limit).read_to_end(&mut bytes).map_err(TunnelFileProblem::Io)?;
    if bytes.len() > MAX_FILE_BYTES {
        return Err(TunnelFileProblem::TooLong { max: MAX_FILE_BYTES });
    }
    let text = std::str::from_utf8(&bytes).map_err(|_| TunnelFileProblem::NotUtf8)?.trim();
    if text.contains(['\n', '\r']) {
        return Err(TunnelFileProblem::SeveralLines);
    }
    let written = OffsetDateTime::from_unix_timestamp(metadata.mtime()).ok();
    let age = written.and_then(|written| (now - written).try_into().ok());
    Ok((!text.is_empty()).then(|| (text.to_owned(), age)))
}

fn open(path: &Path) -> Result<Option<File>, TunnelFileProblem> {
    // Without `NONBLOCK`, opening a pipe waits for a writer.
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
    match rustix::fs::open(path, flags, Mode::empty()) {
        Ok(file) => Ok(Some(file.into())),
        Err(Errno::NOENT) => Ok(None),
        Err(Errno::LOOP) => Err(TunnelFileProblem::Symlink),
        // A socket, on Linux and elsewhere.
        Err(Errno::NXIO | Errno::OPNOTSUPP) => Err(TunnelFileProblem::NotAFile),
        Err(error) => Err(TunnelFileProblem::Io(error.into())),
    }
}
