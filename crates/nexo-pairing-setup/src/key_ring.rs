//! The key that signs, and the older ones whose signatures are still good.
//!
//! For a key at `pairing.key` the older ones are the files `pairing.key.d/<key id>`. Any other name
//! in that folder is not looked at: `.lock` is that of whoever changes the ring, `.new` the key that
//! he is about to make the current one.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use time::OffsetDateTime;

use crate::folder::folder_of;
use crate::key::{Key, KeyId};
use crate::{KeyError, RandomSource, file};

/// What a key ring holds: at least the current key.
#[derive(Debug)]
pub(crate) struct KeyRing {
    pub(crate) current: Entry,
    /// By their ids.
    pub(crate) older: Vec<Entry>,
}

/// A key and when its file was written.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) key: Key,
    pub(crate) modified: OffsetDateTime,
}

impl KeyRing {
    /// Reads the ring; makes its first key when there is none and we keep it ourselves.
    pub(crate) fn open_or_create(
        path: &Path,
        external: bool,
        random: &dyn RandomSource,
    ) -> Result<Self, KeyError> {
        match Self::load(path, external) {
            Err(KeyError::Missing { path: missing }) if missing == path && !external => {
                file::make_folder(folder_of(path))?;
                if file::publish(path, &Key::generate(random)?)? {
                    tracing::info!(path = %path.display(), "made the key that signs setup codes");
                }
                Self::load(path, external)
            }
            loaded => loaded,
        }
    }

    /// Reads the ring.
    pub(crate) fn load(path: &Path, external: bool) -> Result<Self, KeyError> {
        // The current key first: should it be rotated now, it is found among the older ones.
        let current = Entry::read(path, external)?;
        let folder = folder(path);
        let mut older = Vec::new();
        for id in ids_in(&folder)? {
            let path = folder.join(id.to_string());
            let entry = match Entry::read(&path, external) {
                Err(KeyError::Missing { .. }) => continue,
                entry => entry?,
            };
            if entry.key.id() != id {
                return Err(KeyError::Name { path, found: entry.key.id() });
            }
            if id != current.key.id() {
                older.push(entry);
            }
        }
        older.sort_by_key(|entry| entry.key.id());
        Ok(Self { current, older })
    }

    /// All keys, the current one first.
    pub(crate) fn entries(&self) -> impl Iterator<Item = &Entry> {
        std::iter::once(&self.current).chain(&self.older)
    }

    /// Whether another ring has the same keys and the same current one.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        let ids = |ring: &Self| ring.entries().map(|entry| entry.key.id()).collect::<Vec<_>>();
        ids(self) == ids(other)
    }
}

impl Entry {
    fn read(path: &Path, external: bool) -> Result<Self, KeyError> {
        file::read(path, external).map(|(key, modified)| Self { key, modified })
    }
}

/// Makes a new current key and says its id; the one before goes on verifying. There is a current key
/// at any moment: the old one gets a second name in the ring, then the new one takes its first name,
/// in one step.
pub(crate) fn rotate(path: &Path, random: &dyn RandomSource) -> Result<KeyId, KeyError> {
    let folder = folder(path);
    // A link could lead the old key to where others read it.
    if folder.is_symlink() {
        return Err(KeyError::io(&folder, io::ErrorKind::NotADirectory.into()));
    }
    file::make_folder(&folder)?;
    let _lock = lock(&folder)?;
    let current = Entry::read(path, false)?.key.id();
    let kept = folder.join(current.to_string());
    match fs::hard_link(path, &kept) {
        // Left behind by a rotation that got no further.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        linked => linked.map_err(|error| KeyError::io(&kept, error))?,
    }
    let found = Entry::read(&kept, false)?.key.id();
    if found != current {
        return Err(KeyError::Name { path: kept, found });
    }
    file::sync(&folder)?;
    file::sync(folder_of(path))?;
    let new = folder.join(".new");
    // Left behind by a rotation that was killed; nothing was signed with it.
    file::remove(&new)?;
    let key = Key::generate(random)?;
    file::write(&new, &key)?;
    fs::rename(&new, path).map_err(|error| KeyError::io(path, error))?;
    file::sync(folder_of(path))?;
    Ok(key.id())
}

/// Takes an older key out of the ring.
pub(crate) fn retire(path: &Path, id: KeyId) -> Result<(), KeyError> {
    let folder = folder(path);
    let _lock = match lock(&folder) {
        Err(KeyError::Missing { .. }) => None,
        locked => Some(locked?),
    };
    if Entry::read(path, false)?.key.id() == id {
        return Err(KeyError::Current { id });
    }
    if !file::remove(&folder.join(id.to_string()))? {
        return Err(KeyError::Unknown { id });
    }
    // Left behind by whoever made the key, if he was killed at it.
    file::remove(&file::temporary(path, id))?;
    file::sync(&folder)
}

/// The folder of the older keys.
fn folder(path: &Path) -> PathBuf {
    let mut folder = path.as_os_str().to_owned();
    folder.push(".d");
    folder.into()
}

/// The names in a folder that are key ids.
fn ids_in(folder: &Path) -> Result<Vec<KeyId>, KeyError> {
    let io = |error| KeyError::io(folder, error);
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(io)?,
    };
    let mut ids = Vec::new();
    for entry in entries {
        let name = entry.map_err(io)?.file_name();
        ids.extend(name.to_str().and_then(|name| KeyId::parse(name).ok()));
    }
    Ok(ids)
}

/// Waits until nobody else changes the ring. The lock ends with the file, also in a crash.
fn lock(folder: &Path) -> Result<File, KeyError> {
    let path = folder.join(".lock");
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(0o600);
    // Whoever may write to the folder could have put a link to somebody else's file there.
    options.custom_flags(OFlags::NOFOLLOW.bits().cast_signed());
    let lock = || {
        let file = options.open(&path)?;
        let metadata = file.metadata()?;
        if !metadata.is_file() || metadata.nlink() != 1 {
            return Err(io::Error::other("it is a link, or not a regular file"));
        }
        // The umask may have taken bits away, and the next one has to open it.
        file.set_permissions(Permissions::from_mode(0o600))?;
        file::give_to_owner(&file, &path)?;
        file.lock().map(|()| file)
    };
    lock().map_err(|error| KeyError::io(&path, error))
}
