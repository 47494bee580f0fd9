//! Reads and makes key files, so that none is ever seen half written, open to others, or replaced.

use std::fs::{self, DirBuilder, File, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::Path;

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::process::geteuid;
use tempfile::NamedTempFile;
use time::OffsetDateTime;

use crate::KeyError;
use crate::key::{KEY_BYTES, Key, Secret};

/// Reads a key and when its file was written. The checks are made on what was opened, so that
/// nothing can be put in its place in between.
///
/// A key that others keep (`external`) may be a symbolic link, belong to anybody and be readable by
/// anybody, as mounted secrets are; only writing has to be their owner's.
pub(crate) fn read(path: &Path, external: bool) -> Result<(Key, OffsetDateTime), KeyError> {
    let mut file = open(path, external)?;
    let io = |error| KeyError::io(path, error);
    let metadata = file.metadata().map_err(io)?;
    if !metadata.is_file() {
        return Err(KeyError::NotAFile { path: path.into() });
    }
    if !external {
        check_owner(path, metadata.uid())?;
    }
    let mode = metadata.mode() & 0o7777;
    if mode & if external { 0o022 } else { 0o077 } != 0 {
        return Err(KeyError::Mode { path: path.into(), mode, external });
    }
    if metadata.len() != KEY_BYTES as u64 {
        return Err(KeyError::Length { path: path.into(), length: metadata.len() });
    }
    let mut secret = Secret::default();
    file.read_exact(&mut secret[..]).map_err(io)?;
    let modified = OffsetDateTime::from_unix_timestamp(metadata.mtime());
    Ok((Key::new(secret), modified.unwrap_or(OffsetDateTime::UNIX_EPOCH)))
}

fn open(path: &Path, external: bool) -> Result<File, KeyError> {
    // Opening a pipe would wait for somebody to write.
    let mut flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
    if !external {
        flags |= OFlags::NOFOLLOW;
    }
    let error = match rustix::fs::open(path, flags, Mode::empty()) {
        Ok(file) => return Ok(file.into()),
        Err(error) => error,
    };
    match error {
        Errno::LOOP if !external => return Err(KeyError::Symlink { path: path.into() }),
        // A socket, on Linux and elsewhere.
        Errno::NXIO | Errno::OPNOTSUPP => return Err(KeyError::NotAFile { path: path.into() }),
        Errno::ACCESS if !external => {
            if let Ok(metadata) = path.symlink_metadata() {
                check_owner(path, metadata.uid())?;
            }
        }
        _ => {}
    }
    Err(KeyError::io(path, error.into()))
}

fn check_owner(path: &Path, owner: u32) -> Result<(), KeyError> {
    let expected = geteuid().as_raw();
    if owner == expected {
        return Ok(());
    }
    Err(KeyError::Owner { path: path.into(), owner, expected })
}

/// Puts a key where there is none. `false` when there is one already: it stays.
pub(crate) fn publish(path: &Path, key: &Key) -> Result<bool, KeyError> {
    let temporary = write_temporary(path, key)?;
    // Unlike a rename, a link never takes the place of another's key.
    let is_new = match fs::hard_link(temporary.path(), path) {
        Ok(()) => true,
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => false,
        Err(error) => return Err(KeyError::io(path, error)),
    };
    temporary.close().map_err(|error| KeyError::io(path, error))?;
    // Also for the one that was there: whoever made it may not have come so far yet.
    sync(folder_of(path))?;
    Ok(is_new)
}

/// Puts a key in the place of the one at `path`, in one step.
pub(crate) fn replace(path: &Path, key: &Key) -> Result<(), KeyError> {
    let temporary = write_temporary(path, key)?;
    temporary.persist(path).map_err(|error| KeyError::io(path, error.error))?;
    sync(folder_of(path))
}

/// A file beside `path` that holds a key, mode 0600, on disk. It is removed when it is dropped.
fn write_temporary(path: &Path, key: &Key) -> Result<NamedTempFile, KeyError> {
    let io = |error| KeyError::io(path, error);
    let private = Permissions::from_mode(0o600);
    let mut builder = tempfile::Builder::new();
    builder.prefix(".pairing.key.").suffix(".tmp").permissions(private.clone());
    let mut temporary = builder.tempfile_in(folder_of(path)).map_err(io)?;
    // The umask may have taken bits away.
    temporary.as_file().set_permissions(private).map_err(io)?;
    temporary.write_all(key.secret()).map_err(io)?;
    temporary.as_file().sync_all().map_err(io)?;
    Ok(temporary)
}

/// Makes a folder and those above it, mode 0700, as far as they are missing.
pub(crate) fn make_folder(path: &Path) -> Result<(), KeyError> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map_err(|error| KeyError::io(path, error))
}

/// Waits until what was made, renamed or removed in a folder is on disk.
pub(crate) fn sync(folder: &Path) -> Result<(), KeyError> {
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(|error| KeyError::io(folder, error))
}

/// The folder that a file is in.
pub(crate) fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}
