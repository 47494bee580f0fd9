//! Session files: one for each device name and gateway, readable by its owner only, never half written.

use std::fs::{self, DirBuilder, File, Permissions};
use std::io::{self, ErrorKind, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;
use ring::digest::{SHA256, digest};
use rustix::fs::{Mode, OFlags};
use rustix::process::geteuid;
use tempfile::NamedTempFile;

use super::MAX_ANSWER_BYTES;
use super::connect::Gateway;
use crate::error::CliError;
use crate::text::{escaped, is_hidden, shell_word};

/// The name for a device without a label, as 0.1.8's companion has it.
const NO_LABEL: &str = "default";

/// The longest parts of a file name that are made of a label and of a gateway, in bytes. File systems take
/// 255 for `label@gateway.token`.
const MAX_LABEL_PART: usize = 128;
const MAX_GATEWAY_PART: usize = 120;

/// A session file that is ready to be written.
#[derive(Debug)]
pub(crate) struct SessionFile {
    path: PathBuf,
    temporary: NamedTempFile,
}

impl SessionFile {
    /// Does everything that can fail before the setup code is used up: after this, keeping the token
    /// takes no more room on the disk.
    ///
    /// The gateway is part of the name, so that a setup code from elsewhere never replaces the session of
    /// this one.
    pub(crate) fn prepare(home: &Path, url: &str, label: Option<&str>) -> Result<Self, CliError> {
        let folder = home.join("pairing").join("sessions");
        let label = label.map_or(NO_LABEL.into(), label_part);
        let path = folder.join(format!("{label}@{}.token", gateway_part(&Gateway::parse(url)?)));
        let temporary = private_folder(&folder).and_then(|()| make_temporary(&folder, &path));
        match temporary {
            Ok(temporary) => Ok(Self { path, temporary }),
            Err(source) => {
                Err(CliError::Io { what: format!("keep a session in {}", word(&path)), source })
            }
        }
    }

    /// Puts the token in place of what was there. Returns whether something was.
    pub(crate) fn save(self, token: &str) -> Result<(PathBuf, bool), CliError> {
        let Self { path, mut temporary } = self;
        let is_replaced = path.symlink_metadata().is_ok();
        let saved = temporary
            .rewind()
            .and_then(|()| temporary.write_all(token.as_bytes()))
            .and_then(|()| temporary.as_file().set_len(token.len() as u64))
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

/// Makes the folder, unless it is there, and makes sure that nobody else may write to it: they could put
/// another session in place of ours.
fn private_folder(folder: &Path) -> io::Result<()> {
    make_folder(folder)?;
    let metadata = fs::metadata(folder)?;
    let (owner, us) = (metadata.uid(), geteuid());
    let problem = if owner != us.as_raw() && !us.is_root() {
        format!("the folder belongs to user {owner}; run as that user, or set NEXO_HOME")
    } else if metadata.mode() & 0o022 != 0 {
        format!("others may write to the folder: chmod 700 {}", word(folder))
    } else {
        return Ok(());
    };
    Err(io::Error::new(ErrorKind::PermissionDenied, problem))
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

/// A path as a shell takes it.
fn word(path: &Path) -> String {
    shell_word(&escaped(&path.to_string_lossy()))
}

/// The part of the file name for a label, and for no other label: letters, digits, `-` and `_` stand for
/// themselves.
fn label_part(label: &str) -> String {
    let part = encoded(label, |c| matches!(c, '-' | '_') || c.is_alphanumeric() && !is_hidden(c));
    bounded(part, MAX_LABEL_PART)
}

/// The part of the file name for a gateway, and for no other gateway: `host_port`, and its path where it
/// is not at the root of the host.
fn gateway_part(gateway: &Gateway) -> String {
    let stands_for_itself = |c: char| matches!(c, '-' | '.') || c.is_ascii_alphanumeric();
    let path = gateway.uri.path().trim_end_matches('/');
    let base = path.strip_suffix("/pair").unwrap_or(path).trim_start_matches('/');
    let host = encoded(&gateway.host.to_ascii_lowercase(), stands_for_itself);
    let mut part = format!("{host}_{}", gateway.port);
    if !base.is_empty() {
        part = format!("{part}_{}", encoded(base, stands_for_itself));
    }
    bounded(part, MAX_GATEWAY_PART)
}

/// The text with every other character as `%XX` for each of its bytes.
fn encoded(text: &str, stands_for_itself: impl Fn(char) -> bool) -> String {
    let mut part = String::new();
    for c in text.chars() {
        if stands_for_itself(c) {
            part.push(c);
        } else {
            let mut bytes = [0; 4];
            part.extend(c.encode_utf8(&mut bytes).bytes().map(|byte| format!("%{byte:02X}")));
        }
    }
    part
}

/// The part itself or, where it is too long, its beginning and a hash of the whole.
fn bounded(mut part: String, max: usize) -> String {
    if part.len() > max {
        let hash = digest(&SHA256, part.as_bytes());
        let hash = HEXLOWER.encode(&hash.as_ref()[..16]);
        part.truncate(part.floor_char_boundary(max - 1 - hash.len()));
        part = format!("{part}~{hash}");
    }
    part
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::os::unix::fs::symlink;

    use tempfile::TempDir;

    use super::*;

    const URL: &str = "wss://nexo.example.com/pair";

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
            assert_eq!(label_part(label), name);
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
        let names: HashSet<String> = labels.iter().map(|label| label_part(label)).collect();
        assert_eq!(names.len(), labels.len());
        assert!(
            names.iter().all(|name| name.len() <= MAX_LABEL_PART && !name.contains(['/', '.']))
        );
        // It was cut, so it has a name that no whole one can have.
        assert_eq!(names.iter().filter(|name| name.contains('~')).count(), 3);
    }

    #[test]
    fn each_gateway_has_a_name_of_its_own() {
        for (url, part) in [
            ("wss://nexo.example.com/pair", "nexo.example.com_443"),
            ("https://NEXO.example.com:443/pair", "nexo.example.com_443"),
            ("ws://nexo.example.com/pair", "nexo.example.com_80"),
            ("ws://127.0.0.1:7780/pair", "127.0.0.1_7780"),
            ("ws://[fd00::1]:7780/pair", "fd00%3A%3A1_7780"),
            ("wss://example.com/ana/pair", "example.com_443_ana"),
            ("wss://example.com/bob/x/pair", "example.com_443_bob%2Fx"),
            ("wss://example.com/_443/pair", "example.com_443_%5F443"),
            ("wss://a_b.example.com/pair", "a%5Fb.example.com_443"),
        ] {
            assert_eq!(gateway_part(&Gateway::parse(url).unwrap()), part, "{url}");
        }
        let long = format!("wss://example.com/{}/pair", "x".repeat(300));
        let part = gateway_part(&Gateway::parse(&long).unwrap());
        assert!(part.len() <= MAX_GATEWAY_PART && part.contains('~'), "{part}");
    }

    #[test]
    fn the_session_of_another_gateway_stays() {
        let home = tempfile::tempdir().unwrap();
        let (ours, _) = prepare(&home).unwrap().save("ours").unwrap();
        let theirs = "wss://elsewhere.example.net/pair";
        let theirs = SessionFile::prepare(home.path(), theirs, Some("phone")).unwrap();
        assert!(!theirs.save("theirs").unwrap().1);
        assert_eq!(fs::read_to_string(ours).unwrap(), "ours");
    }

    #[test]
    fn the_room_for_a_token_is_taken_before_and_given_back_after() {
        let home = tempfile::tempdir().unwrap();
        let file = prepare(&home).unwrap();
        let taken = file.temporary.as_file().metadata().unwrap();
        assert_eq!(taken.len(), MAX_ANSWER_BYTES as u64);
        assert!(taken.blocks() * 512 >= MAX_ANSWER_BYTES as u64, "written, and not only promised");
        let (path, _) = file.save("token").unwrap();
        assert_eq!(fs::read_to_string(path).unwrap(), "token");
    }

    fn prepare(home: &TempDir) -> Result<SessionFile, CliError> {
        SessionFile::prepare(home.path(), URL, Some("phone"))
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
            (home.path().join("pairing/sessions/phone@nexo.example.com_443.token"), false)
        );
        assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
        assert_eq!(mode(&home.path().join("pairing")), 0o700);
        assert_eq!(prepare(&home).unwrap().save("second").unwrap(), (path.clone(), true));
        assert_eq!(fs::read_to_string(&path).unwrap(), "second");
        let (path, _) =
            SessionFile::prepare(home.path(), URL, None).unwrap().save("third").unwrap();
        assert_eq!(path.file_name().unwrap(), "default@nexo.example.com_443.token");
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
        fs::create_dir_all(sessions.join("phone@nexo.example.com_443.token")).unwrap();
        let error = prepare(&home).unwrap_err();
        assert!(error.to_string().ends_with("phone@nexo.example.com_443.token"), "{error}");
        fs::remove_dir(sessions.join("phone@nexo.example.com_443.token")).unwrap();
        fs::set_permissions(&sessions, Permissions::from_mode(0o770)).unwrap();
        let error = crate::error::chain(&prepare(&home).unwrap_err());
        assert!(error.contains("chmod 700"), "{error}");
        fs::set_permissions(&sessions, Permissions::from_mode(0o700)).unwrap();
        prepare(&home).unwrap();
    }
}
