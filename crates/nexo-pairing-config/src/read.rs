//! Reads the configuration file: once, completely, and as it was at one moment.

#[cfg(test)]
mod tests;

use std::fs::{self, File, Metadata};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::thread;
use std::time::Duration;

use crate::ConfigError;

/// The largest configuration file, in bytes.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// How often a file that is being written is read before giving up.
pub(crate) const ATTEMPTS: u32 = 5;

/// How long a reload waits for the file to settle: longer than the resolution of a file system's
/// time stamps, and than a writer takes between two writes.
const PAUSE: Duration = Duration::from_millis(25);

/// Changes when a file is written or replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp {
    pub(crate) device: u64,
    pub(crate) inode: u64,
    pub(crate) size: u64,
    /// Modification time of the contents and of the inode, each in seconds and nanoseconds.
    pub(crate) changed: [i64; 4],
}

/// The file system, or a test that decides what happens between two calls.
pub(crate) trait FileSystem {
    /// The stamp of a file and then up to `limit` bytes of it.
    fn read(&self, path: &Path, limit: u64) -> io::Result<(Option<Stamp>, Vec<u8>)>;
    /// The current stamp at the path; `None` if it is not a regular file.
    fn stamp(&self, path: &Path) -> io::Result<Option<Stamp>>;
    /// Whether anything exists at the path, even a dangling link.
    fn exists(&self, path: &Path) -> bool;
    /// Waits a moment.
    fn pause(&self);
}

/// The text of the file at one moment; `None` if it does not exist and is not `required`. With
/// `settle`, it was not written for a moment, either.
pub(crate) fn text(
    files: &dyn FileSystem,
    path: &Path,
    required: bool,
    settle: bool,
) -> Result<Option<String>, ConfigError> {
    let failed = |source| ConfigError::Read { path: path.to_owned(), source };
    let (before, bytes) = match files.read(path, MAX_FILE_BYTES + 1) {
        Ok(read) => read,
        // A dangling link is not the same as no file: there should be one.
        Err(error) if error.kind() == ErrorKind::NotFound && !required && !files.exists(path) => {
            return Ok(None);
        }
        Err(error) => return Err(failed(error)),
    };
    // A pipe has no stamp, and can be read only once.
    if before.is_some() {
        if settle {
            files.pause();
        }
        let after = files.stamp(path);
        if !matches!(after, Ok(after) if after == before) {
            return Err(ConfigError::Changing { path: path.to_owned() });
        }
    }
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(ConfigError::TooLarge { path: path.to_owned() });
    }
    let text = String::from_utf8(bytes);
    text.map(Some).map_err(|_| ConfigError::NotUtf8 { what: path.display().to_string() })
}

/// Whether a text may be truncated within a value. A text truncated at the end of a line looks
/// complete: that is why a reload keeps the values of keys that are absent.
pub(crate) fn is_truncated(text: &str) -> bool {
    !text.is_empty() && !text.ends_with(['\n', '}', ']'])
}

/// The file system of this machine.
#[derive(Debug)]
pub(crate) struct System;

impl FileSystem for System {
    fn read(&self, path: &Path, limit: u64) -> io::Result<(Option<Stamp>, Vec<u8>)> {
        let file = File::open(path)?;
        let stamp = stamp(&file.metadata()?);
        let mut bytes = Vec::new();
        file.take(limit).read_to_end(&mut bytes)?;
        Ok((stamp, bytes))
    }

    fn stamp(&self, path: &Path) -> io::Result<Option<Stamp>> {
        Ok(stamp(&fs::metadata(path)?))
    }

    fn exists(&self, path: &Path) -> bool {
        path.symlink_metadata().is_ok()
    }

    fn pause(&self) {
        thread::sleep(PAUSE);
    }
}

fn stamp(metadata: &Metadata) -> Option<Stamp> {
    metadata.is_file().then(|| Stamp {
        device: metadata.dev(),
        inode: metadata.ino(),
        size: metadata.size(),
        changed: [metadata.mtime(), metadata.mtime_nsec(), metadata.ctime(), metadata.ctime_nsec()],
    })
}
