//! Reads and makes key files, so that none is ever seen half written, open to others, or replaced.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::process::geteuid;
use time::OffsetDateTime;

use crate::folder::{folder_of, folder_owner};
use crate::key::{KEY_BYTES, Key, Secret};
use crate::{KeyError, KeyId};

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
    match wrong_owner(path, owner) {
        Some(expected) => Err(KeyError::Owner { path: path.into(), owner, expected }),
        None => Ok(()),
    }
}

/// A file of ours belongs to us or, for root, to the owner of its folder: the user that the service runs
/// as. Whose it has to be, where it is neither's.
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

/// Gives what root makes in somebody's folder to the owner of that folder, who could not use it
/// otherwise.
pub(crate) fn give_to_owner(made: &File, path: &Path) -> io::Result<()> {
    if geteuid().is_root() {
        let folder = fs::metadata(folder_of(path))?;
        fchown(made, Some(folder.uid()), Some(folder.gid()))?;
    }
    Ok(())
}

/// Puts a key where there is none. `false` when there is one already: it stays.
pub(crate) fn publish(path: &Path, key: &Key) -> Result<bool, KeyError> {
    let temporary = temporary(path, key.id());
    // Unlike a rename, a link never takes the place of another's key.
    let linked = write(&temporary, key).map(|()| fs::hard_link(&temporary, path));
    let removed = remove(&temporary);
    let is_new = match linked? {
        Ok(()) => true,
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => false,
        Err(error) => return Err(KeyError::io(path, error)),
    };
    removed?;
    // Also for the one that was there: whoever made it may not have come so far yet.
    sync(folder_of(path))?;
    Ok(is_new)
}

/// Where a key that is published lies until it is complete; it stays there if we are killed.
pub(crate) fn temporary(path: &Path, id: KeyId) -> PathBuf {
    path.with_file_name(format!(".pairing.key.{id}.tmp"))
}

/// Makes a file that holds a key, mode 0600, and waits until it is on disk.
pub(crate) fn write(path: &Path, key: &Key) -> Result<(), KeyError> {
    let write = || {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        // The umask may have taken bits away.
        file.set_permissions(Permissions::from_mode(0o600))?;
        give_to_owner(&file, path)?;
        file.write_all(key.secret())?;
        file.sync_all()
    };
    write().map_err(|error| KeyError::io(path, error))
}

/// Removes a file. `false` when there is none.
pub(crate) fn remove(path: &Path) -> Result<bool, KeyError> {
    match fs::remove_file(path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(KeyError::io(path, error)),
    }
}

/// Makes a folder, mode 0700, and those above it, as far as they are missing.
pub(crate) fn make_folder(path: &Path) -> Result<(), KeyError> {
    match DirBuilder::new().mode(0o700).create(path) {
        Ok(()) => {
            // The umask may have taken bits away.
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
            make_folder(folder_of(path))?;
            make_folder(path)
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        Err(error) => Err(KeyError::io(path, error)),
    }
}

/// Waits until what was made, renamed or removed in a folder is on disk.
pub(crate) fn sync(folder: &Path) -> Result<(), KeyError> {
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(|error| KeyError::io(folder, error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_cannot_be_put_in_its_place_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        let key = Key::new(Secret::default());
        let error = publish(&folder.path().join("x".repeat(300)), &key).unwrap_err();
        assert!(matches!(error, KeyError::Io { .. }), "{error}");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn what_is_not_there_needs_no_removing_and_what_stays_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        assert!(!remove(&path).unwrap());
        fs::write(&path, "").unwrap();
        assert!(remove(&path).unwrap() && !path.exists());
        assert!(remove(folder.path()).is_err());
    }

    #[test]
    fn folders_are_made_where_they_can_be() {
        let folder = tempfile::tempdir().unwrap();
        let (deep, file) = (folder.path().join("a/b"), folder.path().join("file"));
        make_folder(&deep).unwrap();
        make_folder(&deep).unwrap();
        assert_eq!(fs::metadata(&deep).unwrap().permissions().mode() & 0o7777, 0o700);
        fs::write(&file, "").unwrap();
        assert!(make_folder(&file).is_err() && make_folder(&file.join("c")).is_err());
        assert!(sync(&deep).is_ok() && sync(&deep.join("c")).is_err());
        assert_eq!(
            (folder_of(&file), folder_of(Path::new("key"))),
            (folder.path(), Path::new("."))
        );
    }
}
