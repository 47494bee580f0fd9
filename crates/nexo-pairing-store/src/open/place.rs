//! The location of a database file: its identity, the files beside it, and its permissions.

use std::fs::{self, DirBuilder, File, Metadata};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use rustix::fs::{Mode, OFlags};

use crate::{StoreError, StoreErrorKind};

/// Network file systems (`statfs`(2)), on which SQLite's locks do not hold.
const NETWORK_FILE_SYSTEMS: [(i64, &str); 8] = [
    (0x6969, "nfs"),
    (0x517b, "smb"),
    (0xff53_4d42, "cifs"),
    (0xfe53_4d42, "smb2"),
    (0x5346_414f, "afs"),
    (0x7375_7245, "coda"),
    (0x00c3_6400, "ceph"),
    (0x0102_1997, "9p"),
];

/// The identity of a file. Inode numbers are reused soon, so the birth time is part of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FileId {
    device: u64,
    inode: u64,
    /// Nanoseconds since the Unix epoch; 0 if the file system does not know.
    born: u128,
}

impl FileId {
    /// Its inode.
    pub(crate) fn inode(&self) -> u64 {
        self.inode
    }

    /// The file at `path` now, if there is one.
    pub(crate) fn of(path: &Path) -> Option<Self> {
        let metadata = fs::metadata(path).ok()?;
        let born = metadata.created().ok().and_then(|at| at.duration_since(UNIX_EPOCH).ok());
        let born = born.unwrap_or_default().as_nanos();
        Some(Self { device: metadata.dev(), inode: metadata.ino(), born })
    }

    /// As one word, for comparisons only.
    pub(crate) fn to_word(self) -> String {
        format!("{}:{}:{}", self.device, self.inode, self.born)
    }
}

/// The path of a file without links, so that all processes find the same files beside it. Creates the folder
/// (mode 0700) if `create` is set.
pub(crate) fn resolve(path: &Path, create: bool) -> Result<PathBuf, StoreError> {
    match fs::canonicalize(path) {
        Ok(resolved) => return Ok(resolved),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            // A link to a file that does not exist yet. A link to itself is another error.
            if let (Ok(target), Some(folder)) = (fs::read_link(path), path.parent()) {
                return resolve(&folder.join(target), create);
            }
        }
        Err(_) => {}
    }
    let name = path.file_name().ok_or_else(|| StoreError::new(StoreErrorKind::NotAFile, path))?;
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    if create {
        make_folder(folder).map_err(|error| StoreError::io(folder, error))?;
    }
    let folder = fs::canonicalize(folder).map_err(|error| StoreError::io(path, error))?;
    Ok(folder.join(name))
}

/// Creates a folder (mode 0700) and its parents, if they are missing.
fn make_folder(folder: &Path) -> io::Result<()> {
    if folder.as_os_str().is_empty() || folder.is_dir() {
        return Ok(());
    }
    let above = folder.parent().unwrap_or(folder);
    make_folder(above)?;
    match DirBuilder::new().mode(0o700).create(folder) {
        // Another process was faster.
        Err(error) if error.kind() == ErrorKind::AlreadyExists && folder.is_dir() => Ok(()),
        Ok(()) if rustix::process::geteuid().is_root() => {
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let made = File::from(rustix::fs::open(folder, flags, Mode::empty())?);
            give_to_owner(&made, if above.as_os_str().is_empty() { Path::new(".") } else { above })
        }
        made => made,
    }
}

/// Changes the owner of a file that root creates to that of `of`, which could not use it otherwise.
pub(crate) fn give_to_owner(made: &File, of: &Path) -> io::Result<()> {
    if rustix::process::geteuid().is_root() {
        let of = fs::metadata(of)?;
        fchown(made, Some(of.uid()), Some(of.gid()))?;
    }
    Ok(())
}

/// The file beside a database with this suffix.
pub(crate) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Rejects links, symbolic and hard ones, in place of the files that SQLite creates beside a database: it
/// would write to their targets, and root would give those away.
pub(crate) fn refuse_links(path: &Path) -> Result<(), StoreError> {
    for suffix in ["-wal", "-shm", "-journal"] {
        let path = beside(path, suffix);
        let is_link = |metadata: Metadata| {
            metadata.is_symlink() || metadata.is_file() && metadata.nlink() > 1
        };
        if fs::symlink_metadata(&path).is_ok_and(is_link) {
            return Err(StoreError::new(StoreErrorKind::NotAFile, path));
        }
    }
    Ok(())
}

/// Rejects a file system on which locks do not hold.
pub(crate) fn refuse_network(path: &Path) -> Result<(), StoreError> {
    let folder = path.parent().unwrap_or(path);
    let stat = rustix::fs::statfs(folder).map_err(|error| StoreError::io(folder, error.into()))?;
    // The width of the magic number differs between machines; its low 32 bits do not.
    let magic = stat.f_type as i64 & 0xffff_ffff;
    match NETWORK_FILE_SYSTEMS.iter().find(|(known, _)| *known == magic) {
        Some((_, name)) => Err(StoreError::new(StoreErrorKind::NetworkFileSystem { name }, path)),
        None => Ok(()),
    }
}

/// What follows `-wal` in the name of a quarantined WAL, before its inode.
pub(crate) const QUARANTINED: &str = ".replaced-";

/// Removes quarantined WALs: they name people, too.
pub(crate) fn remove_quarantined(path: &Path) {
    let Ok(path) = fs::canonicalize(path) else { return };
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else { return };
    let name = name.to_string_lossy();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let file = entry.file_name();
        let rest = file.to_str().and_then(|file| file.strip_prefix(&*name));
        let rest = rest.and_then(|rest| rest.strip_prefix("-wal").or(rest.strip_prefix("-shm")));
        if rest.is_some_and(|rest| rest.starts_with(QUARANTINED))
            && let Err(error) = fs::remove_file(entry.path())
        {
            tracing::warn!(path = %entry.path().display(), %error, "failed to remove an old WAL");
        }
    }
}

/// Sets the mode of a file of ours to 0600; its WAL inherits it.
pub(crate) fn keep_private(path: &Path) -> Result<(), StoreError> {
    let metadata = fs::metadata(path).map_err(|error| StoreError::io(path, error))?;
    if metadata.uid() != rustix::process::geteuid().as_raw() || metadata.mode() & 0o177 == 0 {
        return Ok(());
    }
    for file in [path.to_owned(), beside(path, "-wal"), beside(path, "-shm")] {
        match fs::set_permissions(&file, fs::Permissions::from_mode(0o600)) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(StoreError::io(&file, error));
            }
            _ => {}
        }
    }
    Ok(())
}
