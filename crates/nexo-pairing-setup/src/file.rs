//! Reads and creates key files. No other process sees one half written, readable by others, or
//! replaced.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::process::geteuid;
use time::OffsetDateTime;

use crate::key::{KEY_BYTES, Key, Secret};
use crate::paths::{folder_of, folder_owner};
use crate::{KeyError, KeyId};

/// A key and the time at which its file was written.
#[derive(Debug)]
pub(crate) struct StoredKey {
    pub(crate) key: Key,
    pub(crate) modified: OffsetDateTime,
}

/// Reads a key. The checks are made on the open file, so that it cannot be swapped in between.
///
/// An external key may be a symbolic link, have any owner and be readable by everyone, like a mounted
/// secret; only its owner may have write access.
pub(crate) fn read(path: &Path, external: bool) -> Result<StoredKey, KeyError> {
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
    let modified = modified.unwrap_or(OffsetDateTime::UNIX_EPOCH);
    Ok(StoredKey { key: Key::new(secret), modified })
}

fn open(path: &Path, external: bool) -> Result<File, KeyError> {
    // Without `NONBLOCK`, opening a pipe waits for a writer.
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
    match wrong_owner(path, owner) {
        Some(expected) => Err(KeyError::Owner { path: path.into(), owner, expected }),
        None => Ok(()),
    }
}

/// Checks the owner of a file of ours: us or, for root, the owner of its folder, the user that the
/// service runs as. Returns the expected owner if it is someone else.
pub(crate) fn wrong_owner(path: &Path, owner: u32) -> Option<u32> {
    let us = geteuid();
    let folder = folder_owner(path).unwrap_or(us.as_raw());
    if owner == us.as_raw() || us.is_root() && owner == folder {
        None
    } else if owner == folder {
        Some(us.as_raw())
    } else {
        Some(folder)
    }
}

/// Gives a file that root created to the owner of its folder, who could not use it otherwise.
pub(crate) fn give_to_owner(file: &File, path: &Path) -> io::Result<()> {
    if geteuid().is_root() {
        let folder = fs::metadata(folder_of(path))?;
        fchown(file, Some(folder.uid()), Some(folder.gid()))?;
    }
    Ok(())
}

/// Creates a key file, complete. `false` if the file exists: it stays as it is.
pub(crate) fn publish(path: &Path, key: &Key) -> Result<bool, KeyError> {
    let temporary = temporary_path(path, key.id());
    // Unlike a rename, a link never replaces the key of another process.
    let linked = write(&temporary, key).map(|()| fs::hard_link(&temporary, path));
    let removed = remove(&temporary);
    let is_new = match linked? {
        Ok(()) => true,
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => false,
        Err(error) => return Err(KeyError::io(path, error)),
    };
    removed?;
    // Also for an existing key: its creator may not have got this far yet.
    sync(folder_of(path))?;
    Ok(is_new)
}

/// The file of a new key until it is complete. It is left behind if the process is killed.
pub(crate) fn temporary_path(path: &Path, id: KeyId) -> PathBuf {
    path.with_file_name(format!(".pairing.key.{id}.tmp"))
}

/// Writes a key to a new file, mode 0600, and waits until it is on disk.
pub(crate) fn write(path: &Path, key: &Key) -> Result<(), KeyError> {
    let write = || {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        // The umask may have cleared bits.
        file.set_permissions(Permissions::from_mode(0o600))?;
        give_to_owner(&file, path)?;
        file.write_all(key.secret())?;
        file.sync_all()
    };
    write().map_err(|error| KeyError::io(path, error))
}

/// Removes a file. `false` if it does not exist.
pub(crate) fn remove(path: &Path) -> Result<bool, KeyError> {
    match fs::remove_file(path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(KeyError::io(path, error)),
    }
}

/// Creates a folder, mode 0700, and its missing parents.
pub(crate) fn create_folder(path: &Path) -> Result<(), KeyError> {
    match DirBuilder::new().mode(0o700).create(path) {
        Ok(()) => {
            // The umask may have cleared bits.
            let private = Permissions::from_mode(0o700);
            let prepare = || {
                if !geteuid().is_root() {
                    return fs::set_permissions(path, private);
                }
                let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                let folder = File::from(rustix::fs::open(path, flags, Mode::empty())?);
                folder.set_permissions(private)?;
                give_to_owner(&folder, path)
            };
            prepare().map_err(|error| KeyError::io(path, error))?;
            sync(folder_of(path))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            create_folder(folder_of(path))?;
            create_folder(path)
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        Err(error) => Err(KeyError::io(path, error)),
    }
}

/// Waits until the entries of a folder are on disk.
pub(crate) fn sync(folder: &Path) -> Result<(), KeyError> {
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(|error| KeyError::io(folder, error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_publish_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        let key = Key::new(Secret::default());
        let error = publish(&folder.path().join("x".repeat(300)), &key).unwrap_err();
        assert!(matches!(error, KeyError::Io { .. }), "{error}");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn removing_reports_a_missing_file_and_fails_for_a_folder() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        assert!(!remove(&path).unwrap());
        fs::write(&path, "").unwrap();
        assert!(remove(&path).unwrap() && !path.exists());
        assert!(remove(folder.path()).is_err());
    }

    #[test]
    fn folders_are_created_with_their_parents_unless_a_file_is_in_the_way() {
        let folder = tempfile::tempdir().unwrap();
        let (deep, file) = (folder.path().join("a/b"), folder.path().join("file"));
        create_folder(&deep).unwrap();
        create_folder(&deep).unwrap();
        assert_eq!(fs::metadata(&deep).unwrap().permissions().mode() & 0o7777, 0o700);
        fs::write(&file, "").unwrap();
        assert!(create_folder(&file).is_err() && create_folder(&file.join("c")).is_err());
        assert!(sync(&deep).is_ok() && sync(&deep.join("c")).is_err());
        assert_eq!(
            (folder_of(&file), folder_of(Path::new("key"))),
            (folder.path(), Path::new("."))
        );
    }
}
