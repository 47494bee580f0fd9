//! Reads the configuration file: once, whole, and as it was at one moment.

#[cfg(test)]
mod tests;

use std::fs::{self, File, Metadata};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::thread;
use std::time::Duration;

use crate::ConfigError;

/// How large a configuration file may be, in bytes.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// How often a file that somebody is writing is looked at before it is given up.
pub(crate) const ATTEMPTS: u32 = 5;

/// How long a reload lets the file settle: longer than the time stamps of a file system are apart,
/// and than a writer takes between two of its writes.
const PAUSE: Duration = Duration::from_millis(25);

/// What changes when a file is written or replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp {
    pub(crate) device: u64,
    pub(crate) inode: u64,
    pub(crate) size: u64,
    /// Of the contents and of the inode, in seconds and nanoseconds.
    pub(crate) changed: [i64; 4],
}

/// Where the file is read from: the system, or a test that decides what happens in between.
pub(crate) trait FileSystem {
    /// Opens the file.
    fn open(&self, path: &Path) -> io::Result<Box<dyn OpenFile>>;
    /// The stamp of what is at the path now; `None` where it is not a regular file.
    fn stamp(&self, path: &Path) -> io::Result<Option<Stamp>>;
    /// Whether there is something at the path, also a link that leads nowhere.
    fn is_there(&self, path: &Path) -> bool;
    /// Lets time pass.
    fn pause(&self);
}

/// A file that is open.
pub(crate) trait OpenFile {
    /// Its stamp; `None` where it is not a regular file.
    fn stamp(&self) -> io::Result<Option<Stamp>>;
    /// Reads up to `limit` bytes from its beginning.
    fn read(&mut self, limit: u64) -> io::Result<Vec<u8>>;
}

/// The text of the file at one moment; `None` when there is no file and none is `required`. With
/// `settle`, nobody has written to it for a while, either.
pub(crate) fn text(
    files: &dyn FileSystem,
    path: &Path,
    required: bool,
    settle: bool,
) -> Result<Option<String>, ConfigError> {
    let failed = |source| ConfigError::Read { path: path.to_owned(), source };
    let mut file = match files.open(path) {
        Ok(file) => file,
        // A link that leads nowhere is not the same as no file: somebody meant to have one.
        Err(error) if error.kind() == ErrorKind::NotFound && !required && !files.is_there(path) => {
            return Ok(None);
        }
        Err(error) => return Err(failed(error)),
    };
    let before = file.stamp().map_err(failed)?;
    let bytes = file.read(MAX_FILE_BYTES + 1).map_err(failed)?;
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

/// Whether a text may have lost its end in the middle of a value. A text that was cut at
/// the end of a line looks whole: that is why a reload keeps the values of keys that are absent.
pub(crate) fn is_cut(text: &str) -> bool {
    !text.is_empty() && !text.ends_with(['\n', '}', ']'])
}

/// The files of this machine.
#[derive(Debug)]
pub(crate) struct System;

impl FileSystem for System {
    fn open(&self, path: &Path) -> io::Result<Box<dyn OpenFile>> {
        Ok(Box::new(File::open(path)?))
    }

    fn stamp(&self, path: &Path) -> io::Result<Option<Stamp>> {
        Ok(stamp(&fs::metadata(path)?))
    }

    fn is_there(&self, path: &Path) -> bool {
        path.symlink_metadata().is_ok()
    }

    fn pause(&self) {
        thread::sleep(PAUSE);
    }
}

impl OpenFile for File {
    fn stamp(&self) -> io::Result<Option<Stamp>> {
        Ok(stamp(&self.metadata()?))
    }

    fn read(&mut self, limit: u64) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.take(limit).read_to_end(&mut bytes)?;
        Ok(bytes)
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
