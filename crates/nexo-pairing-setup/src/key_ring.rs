//! The current key, which signs, and the older ones, whose signatures still verify.
//!
//! For a key at `pairing.key` the older ones are the files `pairing.key.d/<key id>`. Other names in
//! that folder are ignored: `.lock` is locked by the process that changes the ring, and `.new` is the
//! key that a rotation is about to make the current one.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use crate::file::StoredKey;
use crate::key::{Key, KeyId};
use crate::paths::folder_of;
use crate::{KeyError, RandomSource, file};

/// The keys of a key file and its folder.
#[derive(Debug)]
pub(crate) struct KeyRing {
    pub(crate) current: StoredKey,
    /// Sorted by their ids.
    pub(crate) older: Vec<StoredKey>,
}

impl KeyRing {
    /// Reads the ring. Creates the first key if it is missing and not external.
    pub(crate) fn open_or_create(
        path: &Path,
        external: bool,
        random: &dyn RandomSource,
    ) -> Result<Self, KeyError> {
        match Self::load(path, external) {
            Err(KeyError::Missing { path: missing }) if missing == path && !external => {
                file::create_folder(folder_of(path))?;
                if file::publish(path, &Key::generate(random)?)? {
                    tracing::info!(path = %path.display(), "created the key that signs setup codes");
                }
                Self::load(path, external)
            }
            loaded => loaded,
        }
    }

    /// Reads the ring.
    pub(crate) fn load(path: &Path, external: bool) -> Result<Self, KeyError> {
        // The current key first: if it is rotated meanwhile, it is found among the older ones.
        let current = file::read(path, external)?;
        let folder = ring_folder(path);
        let mut older = Vec::new();
        for id in ids_in(&folder)? {
            let path = folder.join(id.to_string());
            let stored = match file::read(&path, external) {
                Err(KeyError::Missing { .. }) => continue,
                stored => stored?,
            };
            if stored.key.id() != id {
                return Err(KeyError::Name { path, found: stored.key.id() });
            }
            if id != current.key.id() {
                older.push(stored);
            }
        }
        older.sort_by_key(|stored| stored.key.id());
        Ok(Self { current, older })
    }

    /// All keys, the current one first.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &StoredKey> {
        std::iter::once(&self.current).chain(&self.older)
    }

    /// Whether another ring has the same keys and the same current one.
    pub(crate) fn has_same_keys(&self, other: &Self) -> bool {
        let ids = |ring: &Self| ring.keys().map(|stored| stored.key.id()).collect::<Vec<_>>();
        ids(self) == ids(other)
    }
}

/// Makes a new key the current one and returns its id; the previous key still verifies. There is a
/// current key at any moment: the old one gets a second name in the ring, then the new one takes over
/// its first name in one step.
pub(crate) fn rotate(path: &Path, random: &dyn RandomSource) -> Result<KeyId, KeyError> {
    let folder = ring_folder(path);
    // A link could put the old key where others can read it.
    if folder.is_symlink() {
        return Err(KeyError::io(&folder, io::ErrorKind::NotADirectory.into()));
    }
    file::create_folder(&folder)?;
    let _lock = lock(&folder)?;
    let current = file::read(path, false)?.key.id();
    let older = folder.join(current.to_string());
    match fs::hard_link(path, &older) {
        // Left behind by a rotation that was interrupted.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        linked => linked.map_err(|error| KeyError::io(&older, error))?,
    }
    let found = file::read(&older, false)?.key.id();
    if found != current {
        return Err(KeyError::Name { path: older, found });
    }
    file::sync(&folder)?;
    file::sync(folder_of(path))?;
    let new = folder.join(".new");
    // Left behind by an interrupted rotation; it never signed anything.
    file::remove(&new)?;
    let key = Key::generate(random)?;
    file::write(&new, &key)?;
    fs::rename(&new, path).map_err(|error| KeyError::io(path, error))?;
    file::sync(folder_of(path))?;
    Ok(key.id())
}

/// Removes an older key from the ring.
pub(crate) fn retire(path: &Path, id: KeyId) -> Result<(), KeyError> {
    let folder = ring_folder(path);
    let _lock = match lock(&folder) {
        Err(KeyError::Missing { .. }) => None,
        locked => Some(locked?),
    };
    if file::read(path, false)?.key.id() == id {
        return Err(KeyError::Current { id });
    }
    if !file::remove(&folder.join(id.to_string()))? {
        return Err(KeyError::Unknown { id });
    }
    // Left behind if the process that created the key was killed.
    file::remove(&file::temporary_path(path, id))?;
    file::sync(&folder)
}

/// The folder of the older keys.
fn ring_folder(path: &Path) -> PathBuf {
    let mut folder = path.as_os_str().to_owned();
    folder.push(".d");
    folder.into()
}

/// The file names in a folder that are key ids.
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

/// Waits for exclusive access to the ring. Closing the file releases it, also in a crash.
fn lock(folder: &Path) -> Result<File, KeyError> {
    let path = folder.join(".lock");
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(0o600);
    // Anyone who can write to the folder could put a link to a foreign file there.
    options.custom_flags(OFlags::NOFOLLOW.bits().cast_signed());
    let lock = || {
        let file = options.open(&path)?;
        let metadata = file.metadata()?;
        if !metadata.is_file() || metadata.nlink() != 1 {
            return Err(io::Error::other("it is a link, or not a regular file"));
        }
        // The umask may have cleared bits, and the next process has to open it.
        file.set_permissions(Permissions::from_mode(0o600))?;
        file::give_to_owner(&file, &path)?;
        file.lock().map(|()| file)
    };
    lock().map_err(|error| KeyError::io(&path, error))
}
