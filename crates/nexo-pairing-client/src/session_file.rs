//! Session files: one for each device name and gateway, readable by its owner only, never half written.

mod name;

use std::fs::{self, DirBuilder, File, Metadata, Permissions};
use std::io::{self, ErrorKind, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

use nexo_pairing_core::SessionToken;
use rustix::fs::{Mode, OFlags};
use rustix::process::geteuid;
use tempfile::NamedTempFile;
use zeroize::Zeroizing;

use crate::{Gateway, MAX_ANSWER_BYTES};

/// The file that keeps the session token of one device at one gateway, and nothing else.
///
/// Its name consists of the device's label and of the gateway, so that a setup code of another gateway
/// never replaces the session at this one. All methods with I/O are blocking.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionFile {
    path: PathBuf,
}

impl SessionFile {
    /// The session file of a device at a gateway. `label` is the name of the device, if it has one; see
    /// [`Claim::device_label`](crate::Claim::device_label). No I/O.
    ///
    /// Use a folder that holds nothing but session files. [`reserve`](Self::reserve) creates it where it
    /// is missing. `nexo-pair claim` uses `$NEXO_HOME/pairing/sessions`.
    #[must_use]
    pub fn new(folder: impl AsRef<Path>, gateway: &Gateway, label: Option<&str>) -> Self {
        Self { path: folder.as_ref().join(name::of(gateway, label)) }
    }

    /// The path of the file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Allocates the disk space for a token, so that disk errors come before the setup code is used up. The folder is created with mode 0700. Files and folders that root creates get the owner of
    /// the folder above.
    ///
    /// # Errors
    ///
    /// [`FolderOwner`](SessionFileError::FolderOwner) and [`FolderMode`](SessionFileError::FolderMode)
    /// when other users could replace the session; [`Reserve`](SessionFileError::Reserve) when the disk
    /// is full or not writable.
    pub fn reserve(&self) -> Result<ReservedSessionFile, SessionFileError> {
        let failed = |source| SessionFileError::Reserve { path: self.path.clone(), source };
        let folder = folder_of(&self.path);
        make_folder(folder).map_err(failed)?;
        self.check_folder(&fs::metadata(folder).map_err(failed)?)?;
        let temporary = make_temporary(folder, &self.path).map_err(failed)?;
        Ok(ReservedSessionFile { path: self.path.clone(), temporary })
    }

    /// Reads the token.
    ///
    /// # Errors
    ///
    /// [`SessionFileError::Load`] when the file does not exist (the kind of its source is
    /// [`NotFound`](ErrorKind::NotFound)), is not readable or holds no token.
    pub fn load(&self) -> Result<SessionToken, SessionFileError> {
        let mut text = Zeroizing::new(String::with_capacity(SessionToken::MAX_BYTES + 2));
        let read = File::open(&self.path).and_then(|file| {
            file.take(SessionToken::MAX_BYTES as u64 + 1).read_to_string(&mut text)
        });
        let token = read.and_then(|_| {
            SessionToken::parse(&text)
                .map_err(|error| io::Error::new(ErrorKind::InvalidData, error))
        });
        token.map_err(|source| SessionFileError::Load { path: self.path.clone(), source })
    }

    /// Checks that no other user can write to the folder: they could replace the session.
    fn check_folder(&self, metadata: &Metadata) -> Result<(), SessionFileError> {
        let (owner, us) = (metadata.uid(), geteuid());
        let mode = metadata.mode() & 0o7777;
        let path = self.path.clone();
        if owner != us.as_raw() && !us.is_root() {
            Err(SessionFileError::FolderOwner { path, owner })
        } else if mode & 0o022 != 0 {
            Err(SessionFileError::FolderMode { path, mode })
        } else {
            Ok(())
        }
    }
}

/// Disk space for a session file. Dropping it leaves the session file unchanged.
#[derive(Debug)]
pub struct ReservedSessionFile {
    path: PathBuf,
    temporary: NamedTempFile,
}

impl ReservedSessionFile {
    /// Writes the token with mode 0600, replaces the session file atomically and syncs it to disk.
    /// Returns whether there was a session before.
    ///
    /// # Errors
    ///
    /// [`SessionFileError::Save`] when an I/O operation fails.
    pub fn save(self, token: &SessionToken) -> Result<bool, SessionFileError> {
        let Self { path, mut temporary } = self;
        let token = token.as_str();
        let is_replaced = path.symlink_metadata().is_ok();
        let saved = temporary
            .rewind()
            .and_then(|()| temporary.write_all(token.as_bytes()))
            .and_then(|()| temporary.as_file().set_len(token.len() as u64))
            .and_then(|()| temporary.as_file().sync_all())
            // A rename replaces a link, not its target.
            .and_then(|()| temporary.persist(&path).map_err(|error| error.error))
            .and_then(|_| File::open(folder_of(&path))?.sync_all());
        match saved {
            Ok(()) => Ok(is_replaced),
            Err(source) => Err(SessionFileError::Save { path, source }),
        }
    }
}

/// The error of a [`SessionFile`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SessionFileError {
    /// The folder belongs to another user.
    #[error("the folder of {} belongs to user {owner}", .path.display())]
    FolderOwner {
        /// The session file.
        path: PathBuf,
        /// The owner of the folder.
        owner: u32,
    },
    /// Other users can write to the folder.
    #[error("other users can write to the folder of {} (mode {mode:04o})", .path.display())]
    FolderMode {
        /// The session file.
        path: PathBuf,
        /// The mode of the folder.
        mode: u32,
    },
    /// The disk is full or not writable.
    #[error("failed to reserve {}", .path.display())]
    Reserve {
        /// The session file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// The file could not be written, although its space was reserved.
    #[error("failed to write {}", .path.display())]
    Save {
        /// The session file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// The file could not be read, or holds no token.
    #[error("failed to read {}", .path.display())]
    Load {
        /// The session file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
}

fn folder_of(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new("."))
}

/// Creates the folder and its missing parents.
fn make_folder(folder: &Path) -> io::Result<()> {
    let Some(above) = folder.parent().filter(|_| !folder.is_dir()) else { return Ok(()) };
    make_folder(above)?;
    match DirBuilder::new().mode(0o700).create(folder) {
        // Another process created it.
        Err(error) if error.kind() == ErrorKind::AlreadyExists && folder.is_dir() => return Ok(()),
        created => created?,
    }
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    give_to_owner(&rustix::fs::open(folder, flags, Mode::empty())?.into(), above)
}

/// As root, gives a file or folder to the owner of the folder above, who could not use it otherwise.
fn give_to_owner(created: &File, folder: &Path) -> io::Result<()> {
    if geteuid().is_root() {
        let owner = fs::metadata(folder)?;
        fchown(created, Some(owner.uid()), Some(owner.gid()))?;
    }
    Ok(())
}

/// Creates a temporary file with room for the longest token.
fn make_temporary(folder: &Path, path: &Path) -> io::Result<NamedTempFile> {
    if path.symlink_metadata().is_ok_and(|metadata| metadata.is_dir()) {
        return Err(ErrorKind::IsADirectory.into());
    }
    let private = Permissions::from_mode(0o600);
    let mut builder = tempfile::Builder::new();
    builder.prefix(".session.").suffix(".tmp").permissions(private.clone());
    let mut temporary = builder.tempfile_in(folder)?;
    // The umask may have cleared bits.
    temporary.as_file().set_permissions(private)?;
    give_to_owner(temporary.as_file(), folder)?;
    // Synced: before that, a file system may promise space that it does not have.
    temporary.write_all(&[0; MAX_ANSWER_BYTES])?;
    temporary.as_file().sync_all()?;
    Ok(temporary)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use tempfile::TempDir;

    use super::*;

    fn file(home: &TempDir, url: &str, label: Option<&str>) -> SessionFile {
        let folder = home.path().join("pairing/sessions");
        SessionFile::new(folder, &Gateway::parse(url).unwrap(), label)
    }

    /// The session file of a phone.
    fn phone(home: &TempDir) -> SessionFile {
        file(home, "wss://nexo.example.com/pair", Some("phone"))
    }

    fn token(text: &str) -> SessionToken {
        SessionToken::parse(text).unwrap()
    }

    fn mode(path: &Path) -> u32 {
        fs::symlink_metadata(path).unwrap().mode() & 0o777
    }

    #[test]
    fn the_session_of_another_gateway_stays() {
        let home = tempfile::tempdir().unwrap();
        let ours = phone(&home);
        ours.reserve().unwrap().save(&token("our-token")).unwrap();
        let theirs = file(&home, "wss://elsewhere.example.net/pair", Some("phone"));
        assert!(!theirs.reserve().unwrap().save(&token("their-token")).unwrap());
        assert_eq!(ours.load().unwrap().as_str(), "our-token");
    }

    #[test]
    fn the_space_for_a_token_is_reserved_and_trimmed() {
        let home = tempfile::tempdir().unwrap();
        let file = phone(&home);
        let reserved = file.reserve().unwrap();
        let taken = reserved.temporary.as_file().metadata().unwrap();
        assert_eq!(taken.len(), MAX_ANSWER_BYTES as u64);
        assert!(taken.blocks() * 512 >= MAX_ANSWER_BYTES as u64, "the space is only promised");
        reserved.save(&token("the-token")).unwrap();
        assert_eq!(fs::read_to_string(file.path()).unwrap(), "the-token");
    }

    #[test]
    fn a_session_file_is_private_and_replaces_the_one_before() {
        let home = tempfile::tempdir().unwrap();
        let first = phone(&home);
        let path = home.path().join("pairing/sessions/phone@nexo.example.com_443.token");
        assert_eq!(first.path(), path);
        assert!(!first.reserve().unwrap().save(&token("first-token")).unwrap());
        assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
        assert_eq!(mode(&home.path().join("pairing")), 0o700);
        assert!(first.reserve().unwrap().save(&token("second-token")).unwrap());
        assert_eq!(fs::read_to_string(&path).unwrap(), "second-token");
        let nameless = file(&home, "wss://nexo.example.com/pair", None);
        nameless.reserve().unwrap().save(&token("third-token")).unwrap();
        let name = nameless.path().file_name().unwrap();
        assert_eq!(name, "default@nexo.example.com_443.token");
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 2);
    }

    #[test]
    fn a_claim_that_fails_leaves_no_file_behind() {
        let home = tempfile::tempdir().unwrap();
        drop(phone(&home).reserve().unwrap());
        assert_eq!(fs::read_dir(home.path().join("pairing/sessions")).unwrap().count(), 0);
    }

    #[test]
    fn a_link_is_replaced_and_its_target_stays() {
        let home = tempfile::tempdir().unwrap();
        let file = phone(&home);
        let reserved = file.reserve().unwrap();
        let elsewhere = home.path().join("elsewhere");
        fs::write(&elsewhere, "mine").unwrap();
        symlink(&elsewhere, file.path()).unwrap();
        assert!(reserved.save(&token("the-token")).unwrap());
        assert!(fs::symlink_metadata(file.path()).unwrap().is_file());
        assert_eq!(fs::read_to_string(elsewhere).unwrap(), "mine");
    }

    #[test]
    fn an_unusable_place_is_reported_before_a_code_is_used() {
        let home = tempfile::tempdir().unwrap();
        let file = phone(&home);
        let sessions = home.path().join("pairing/sessions");
        fs::create_dir_all(file.path()).unwrap();
        let error = file.reserve().unwrap_err();
        assert!(error.to_string().ends_with("phone@nexo.example.com_443.token"), "{error}");
        fs::remove_dir(file.path()).unwrap();
        fs::set_permissions(&sessions, Permissions::from_mode(0o770)).unwrap();
        let error = file.reserve().unwrap_err();
        assert!(matches!(error, SessionFileError::FolderMode { mode: 0o770, .. }), "{error:?}");
        fs::set_permissions(&sessions, Permissions::from_mode(0o700)).unwrap();
        file.reserve().unwrap();
    }

    #[test]
    fn a_file_without_a_token_is_reported_and_not_shown() {
        let home = tempfile::tempdir().unwrap();
        let file = phone(&home);
        let kind = || match file.load().unwrap_err() {
            SessionFileError::Load { source, .. } => (source.kind(), source.to_string()),
            error => panic!("{error:?}"),
        };
        assert_eq!(kind().0, ErrorKind::NotFound);
        drop(file.reserve().unwrap());
        for text in ["", "two words", "line\n", "ñandú-ñandú", &"x".repeat(257)] {
            fs::write(file.path(), text).unwrap();
            let (kind, message) = kind();
            assert_eq!(kind, ErrorKind::InvalidData, "{text}");
            assert!(text.is_empty() || !message.contains(text), "{message}");
        }
        fs::write(file.path(), "x".repeat(256)).unwrap();
        assert_eq!(file.load().unwrap().as_str(), "x".repeat(256));
    }
}
