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

/// Where the session of one device at one gateway is kept: a file that holds the token and nothing else.
///
/// The name of the file is made of the device's label and of the gateway, so that a setup code from
/// elsewhere never replaces the session of this one. Its methods block on the disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionFile {
    path: PathBuf,
}

impl SessionFile {
    /// The session file of a device with this label, or of one without, at this gateway. Nothing is
    /// read or made.
    ///
    /// The folder is to be used for session files only; it is made, and those above it, where it is
    /// missing. The program `nexo-pair` has its own in `$NEXO_HOME/pairing/sessions`.
    #[must_use]
    pub fn new(folder: impl AsRef<Path>, gateway: &Gateway, label: Option<&str>) -> Self {
        Self { path: folder.as_ref().join(name::of(gateway, label)) }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Does everything that can fail before the setup code is used up: after this, keeping the token
    /// takes no more room on the disk.
    ///
    /// What root makes belongs to the owner of the folder.
    ///
    /// # Errors
    ///
    /// [`SessionFileError`]: [`FolderOwner`](SessionFileError::FolderOwner) and
    /// [`FolderMode`](SessionFileError::FolderMode) when somebody else could put another session in
    /// place of ours, [`Reserve`](SessionFileError::Reserve) when the disk is full or may not be written.
    pub fn reserve(&self) -> Result<ReservedSessionFile, SessionFileError> {
        let failed = |source| SessionFileError::Reserve { path: self.path.clone(), source };
        let folder = self.folder();
        make_folder(folder).map_err(failed)?;
        self.check_folder(&fs::metadata(folder).map_err(failed)?)?;
        let temporary = make_temporary(folder, &self.path).map_err(failed)?;
        Ok(ReservedSessionFile { path: self.path.clone(), temporary })
    }

    /// Reads the token that was kept.
    ///
    /// # Errors
    ///
    /// [`SessionFileError::Load`] when the file is not there (its source is of the kind
    /// [`NotFound`](ErrorKind::NotFound)), cannot be read or holds no token.
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

    fn folder(&self) -> &Path {
        folder_of(&self.path)
    }

    /// Makes sure that nobody else may write to the folder.
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

/// A session file that is ready to be written. Dropped, it leaves everything as it was.
#[derive(Debug)]
pub struct ReservedSessionFile {
    path: PathBuf,
    temporary: NamedTempFile,
}

impl ReservedSessionFile {
    /// Puts the token in place of what was there, readable by its owner only, and returns when it is on
    /// the disk. Says whether a session was there.
    ///
    /// # Errors
    ///
    /// [`SessionFileError::Save`] when the disk fails.
    pub fn save(self, token: &SessionToken) -> Result<bool, SessionFileError> {
        let Self { path, mut temporary } = self;
        let token = token.as_str();
        let is_replaced = path.symlink_metadata().is_ok();
        let saved = temporary
            .rewind()
            .and_then(|()| temporary.write_all(token.as_bytes()))
            .and_then(|()| temporary.as_file().set_len(token.len() as u64))
            .and_then(|()| temporary.as_file().sync_all())
            // A rename: of a link, the link is replaced and not what it leads to.
            .and_then(|()| temporary.persist(&path).map_err(|error| error.error))
            .and_then(|_| File::open(folder_of(&path))?.sync_all());
        match saved {
            Ok(()) => Ok(is_replaced),
            Err(source) => Err(SessionFileError::Save { path, source }),
        }
    }
}

/// Why a session cannot be kept, or read again.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SessionFileError {
    /// The folder belongs to another user.
    #[error("the folder of {} belongs to user {owner}", .path.display())]
    FolderOwner {
        /// The session file.
        path: PathBuf,
        /// Whose the folder is.
        owner: u32,
    },
    /// Others may write to the folder.
    #[error("others may write to the folder of {} (mode {mode:04o})", .path.display())]
    FolderMode {
        /// The session file.
        path: PathBuf,
        /// The permission bits of the folder.
        mode: u32,
    },
    /// There is no room for it, or no permission to make it.
    #[error("failed to make ready {}", .path.display())]
    Reserve {
        /// The session file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// It could not be written, after its room was reserved.
    #[error("failed to write {}", .path.display())]
    Save {
        /// The session file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// It could not be read, or holds no token.
    #[error("failed to read {}", .path.display())]
    Load {
        /// The session file.
        path: PathBuf,
        /// What the system said, or what is wrong with the token.
        #[source]
        source: io::Error,
    },
}

fn folder_of(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new("."))
}

/// Makes the folder and those above it, as far as they are missing.
fn make_folder(folder: &Path) -> io::Result<()> {
    let Some(above) = folder.parent().filter(|_| !folder.is_dir()) else { return Ok(()) };
    make_folder(above)?;
    match DirBuilder::new().mode(0o700).create(folder) {
        // Another process was faster.
        Err(error) if error.kind() == ErrorKind::AlreadyExists && folder.is_dir() => return Ok(()),
        made => made?,
    }
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    give_to_owner(&rustix::fs::open(folder, flags, Mode::empty())?.into(), above)
}

/// Gives what root makes in somebody's folder to the owner of the folder, who could not use it otherwise.
fn give_to_owner(made: &File, folder: &Path) -> io::Result<()> {
    if geteuid().is_root() {
        let owner = fs::metadata(folder)?;
        fchown(made, Some(owner.uid()), Some(owner.gid()))?;
    }
    Ok(())
}

/// Makes the file under another name, with room for the longest token.
fn make_temporary(folder: &Path, path: &Path) -> io::Result<NamedTempFile> {
    if path.symlink_metadata().is_ok_and(|metadata| metadata.is_dir()) {
        return Err(ErrorKind::IsADirectory.into());
    }
    let private = Permissions::from_mode(0o600);
    let mut builder = tempfile::Builder::new();
    builder.prefix(".session.").suffix(".tmp").permissions(private.clone());
    let mut temporary = builder.tempfile_in(folder)?;
    // The umask may have taken bits away.
    temporary.as_file().set_permissions(private)?;
    give_to_owner(temporary.as_file(), folder)?;
    // Synced: before that, a file system may promise blocks that it does not have.
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
    fn the_room_for_a_token_is_taken_before_and_given_back_after() {
        let home = tempfile::tempdir().unwrap();
        let file = phone(&home);
        let reserved = file.reserve().unwrap();
        let taken = reserved.temporary.as_file().metadata().unwrap();
        assert_eq!(taken.len(), MAX_ANSWER_BYTES as u64);
        assert!(taken.blocks() * 512 >= MAX_ANSWER_BYTES as u64, "written, and not only promised");
        reserved.save(&token("the-token")).unwrap();
        assert_eq!(fs::read_to_string(file.path()).unwrap(), "the-token");
    }

    #[test]
    fn a_session_is_its_owners_alone_and_replaces_the_one_before() {
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
    fn a_link_is_replaced_and_what_it_leads_to_stays() {
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
    fn what_will_not_do_is_told_before_a_code_is_used() {
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
    fn what_holds_no_token_is_told_and_not_shown() {
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
            let (kind, told) = kind();
            assert_eq!(kind, ErrorKind::InvalidData, "{text}");
            assert!(text.is_empty() || !told.contains(text), "{told}");
        }
        fs::write(file.path(), "x".repeat(256)).unwrap();
        assert_eq!(file.load().unwrap().as_str(), "x".repeat(256));
    }
}
