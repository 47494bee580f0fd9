//! Where a session is kept: a file of its own that only its owner can read, and of which there is
//! never half.

use std::fs::{self, DirBuilder, File, Permissions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;
use ring::digest::{SHA256, digest};
use rustix::process::geteuid;
use tempfile::NamedTempFile;

use crate::error::CliError;
use crate::text::{escaped, is_hidden, shell_word};

/// The name for a device that nobody has named, as 0.1.8's companion has it.
const NO_LABEL: &str = "default";

/// The longest name that is made of a label, in bytes. File systems take 255.
const MAX_NAME_BYTES: usize = 200;

/// A session file that is ready to be written.
#[derive(Debug)]
pub(crate) struct SessionFile {
    path: PathBuf,
    temporary: NamedTempFile,
}

impl SessionFile {
    /// Does all that can fail before a setup code is used up for what is to be kept here.
    pub(crate) fn prepare(home: &Path, label: Option<&str>) -> Result<Self, CliError> {
        let folder = home.join("pairing").join("sessions");
        let path = folder.join(format!("{}.token", label.map_or(NO_LABEL.into(), file_name)));
        let temporary = make_folder(&folder).and_then(|()| make_temporary(&folder, &path));
        match temporary {
            Ok(temporary) => Ok(Self { path, temporary }),
            Err(source) => {
                Err(CliError::Io { what: format!("keep a session in {}", word(&path)), source })
            }
        }
    }

    /// Puts the token in place, and whatever was there goes. Returns whether something was.
    pub(crate) fn save(self, token: &str) -> Result<(PathBuf, bool), CliError> {
        let Self { path, mut temporary } = self;
        let is_replaced = path.symlink_metadata().is_ok();
        let saved = temporary
            .write_all(token.as_bytes())
            .and_then(|()| temporary.as_file().sync_all())
            // A rename: of a link, the link is replaced and not what it leads to.
            .and_then(|()| temporary.persist(&path).map_err(|error| error.error))
            .and_then(|_| File::open(path.parent().unwrap_or(Path::new(".")))?.sync_all());
        match saved {
            Ok(()) => Ok((path, is_replaced)),
            Err(source) => {
                let what =
                    format!("keep the session, whose setup code is used up, in {}", word(&path));
                Err(CliError::Io { what, source })
            }
        }
    }
}

/// Makes the folder and those above it, as far as they are missing.
fn make_folder(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let metadata = fs::metadata(folder)?;
    // Whoever may write there could put another session in the place of ours.
    if metadata.uid() != geteuid().as_raw() || metadata.mode() & 0o022 != 0 {
        let folder = word(folder);
        return Err(io::Error::new(
            ErrorKind::PermissionDenied,
            format!("others may write to the folder; make it your own: chmod 700 {folder}"),
        ));
    }
    Ok(())
}

fn make_temporary(folder: &Path, path: &Path) -> io::Result<NamedTempFile> {
    if path.symlink_metadata().is_ok_and(|metadata| metadata.is_dir()) {
        return Err(ErrorKind::IsADirectory.into());
    }
    let private = Permissions::from_mode(0o600);
    let mut builder = tempfile::Builder::new();
    builder.prefix(".session.").suffix(".tmp").permissions(private.clone());
    let temporary = builder.tempfile_in(folder)?;
    // The umask may have taken bits away.
    temporary.as_file().set_permissions(private)?;
    Ok(temporary)
}

/// A path as a shell takes it.
fn word(path: &Path) -> String {
    shell_word(&escaped(&path.to_string_lossy()))
}

/// The file name for a label, and for no other: letters, digits, `-` and `_` stand for themselves, any
/// other character as `%XX` a byte. What gets too long ends in a hash of the label.
fn file_name(label: &str) -> String {
    let mut name = String::new();
    for c in label.chars() {
        if matches!(c, '-' | '_') || c.is_alphanumeric() && !is_hidden(c) {
            name.push(c);
        } else {
            let mut bytes = [0; 4];
            name.extend(c.encode_utf8(&mut bytes).bytes().map(|byte| format!("%{byte:02X}")));
        }
    }
    if name.len() > MAX_NAME_BYTES {
        let hash = digest(&SHA256, label.as_bytes());
        let hash = HEXLOWER.encode(&hash.as_ref()[..16]);
        name.truncate(name.floor_char_boundary(MAX_NAME_BYTES - 1 - hash.len()));
        name = format!("{name}~{hash}");
    }
    name
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::os::unix::fs::symlink;

    use tempfile::TempDir;

    use super::*;

    #[test]
    fn a_label_becomes_a_name_that_leads_nowhere_else() {
        for (label, name) in [
            ("myphone-1", "myphone-1"),
            ("Ana's iPhone", "Ana%27s%20iPhone"),
            ("../../etc/passwd", "%2E%2E%2F%2E%2E%2Fetc%2Fpasswd"),
            (".", "%2E"),
            ("Teléfono Ñandú", "Teléfono%20Ñandú"),
            ("电话", "电话"),
            ("a\u{3164}b", "a%E3%85%A4b"),
            ("100%", "100%25"),
        ] {
            assert_eq!(file_name(label), name);
        }
    }

    #[test]
    fn two_labels_never_share_a_name() {
        let labels = [
            "a b",
            "a_b",
            "a%20b",
            "a%b",
            "a/b",
            "A b",
            "a\u{301}",
            "\u{e1}",
            "a~b",
            "default",
            "%64efault",
        ];
        let long =
            [" ".repeat(128), format!("{}!", " ".repeat(127)), "ñ".repeat(64), "😀".repeat(32)];
        let labels: Vec<&str> = labels.into_iter().chain(long.iter().map(String::as_str)).collect();
        let names: HashSet<String> = labels.iter().map(|label| file_name(label)).collect();
        assert_eq!(names.len(), labels.len());
        assert!(
            names.iter().all(|name| name.len() <= MAX_NAME_BYTES && !name.contains(['/', '.']))
        );
        // It was cut, so it has a name that no whole one can have.
        assert_eq!(names.iter().filter(|name| name.contains('~')).count(), 3);
    }

    fn prepare(home: &TempDir) -> Result<SessionFile, CliError> {
        SessionFile::prepare(home.path(), Some("phone"))
    }

    fn mode(path: &Path) -> u32 {
        fs::symlink_metadata(path).unwrap().mode() & 0o777
    }

    #[test]
    fn a_session_is_its_owners_alone_and_replaces_the_one_before() {
        let home = tempfile::tempdir().unwrap();
        let (path, is_replaced) = prepare(&home).unwrap().save("first").unwrap();
        assert_eq!(
            (path.clone(), is_replaced),
            (home.path().join("pairing/sessions/phone.token"), false)
        );
        assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
        assert_eq!(mode(&home.path().join("pairing")), 0o700);
        assert_eq!(prepare(&home).unwrap().save("second").unwrap(), (path.clone(), true));
        assert_eq!(fs::read_to_string(&path).unwrap(), "second");
        let (path, _) = SessionFile::prepare(home.path(), None).unwrap().save("third").unwrap();
        assert_eq!(path.file_name().unwrap(), "default.token");
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 2);
    }

    #[test]
    fn a_claim_that_fails_leaves_no_file_behind() {
        let home = tempfile::tempdir().unwrap();
        drop(prepare(&home).unwrap());
        assert_eq!(fs::read_dir(home.path().join("pairing/sessions")).unwrap().count(), 0);
    }

    #[test]
    fn a_link_is_replaced_and_what_it_leads_to_stays() {
        let home = tempfile::tempdir().unwrap();
        let file = prepare(&home).unwrap();
        let elsewhere = home.path().join("elsewhere");
        fs::write(&elsewhere, "mine").unwrap();
        symlink(&elsewhere, &file.path).unwrap();
        let (path, is_replaced) = file.save("secret").unwrap();
        assert!(is_replaced && fs::symlink_metadata(path).unwrap().is_file());
        assert_eq!(fs::read_to_string(elsewhere).unwrap(), "mine");
    }

    #[test]
    fn what_will_not_do_is_told_before_a_code_is_used() {
        let home = tempfile::tempdir().unwrap();
        let sessions = home.path().join("pairing/sessions");
        fs::create_dir_all(sessions.join("phone.token")).unwrap();
        let error = prepare(&home).unwrap_err();
        assert!(error.to_string().ends_with("phone.token"), "{error}");
        fs::remove_dir(sessions.join("phone.token")).unwrap();
        fs::set_permissions(&sessions, Permissions::from_mode(0o770)).unwrap();
        let error = crate::error::chain(&prepare(&home).unwrap_err());
        assert!(error.contains("chmod 700"), "{error}");
        fs::set_permissions(&sessions, Permissions::from_mode(0o700)).unwrap();
        prepare(&home).unwrap();
    }
}
