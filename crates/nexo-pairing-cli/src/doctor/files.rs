//! Checks the database as a file, its folder, the files beside it, and the disk.

use std::fs::{self, Metadata};
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, StatVfsMountFlags, access, statvfs};

use super::installation::Installation;
use super::paths::{existing, folder_of, user, word};
use super::report::Finding;

/// Free space below this is a warning, in bytes: a WAL and an upgrade need some.
const LOW_SPACE: u64 = 16 << 20;

/// Free space below this is a failure, in bytes.
const NO_SPACE: u64 = 1 << 20;

const OTHER_PATH: &str = "choose another file with --db or pairing.storage.path";

/// The folder of the database.
pub(super) fn folder(installation: &Installation) -> Vec<Finding> {
    installation.database().map(check_folder).into_iter().collect()
}

fn check_folder(database: &Path) -> Finding {
    let name = "folder";
    let folder = folder_of(database);
    let shown = folder.display();
    let metadata = match fs::metadata(folder) {
        Ok(metadata) if metadata.is_dir() => metadata,
        Ok(_) => return Finding::fail(name, format!("{shown} is not a folder"), OTHER_PATH),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return if access(existing(folder), Access::WRITE_OK | Access::EXEC_OK).is_ok() {
                Finding::ok(name, format!("{shown} does not exist yet; it will be created"))
            } else {
                Finding::fail(
                    name,
                    format!("{shown} does not exist, and cannot be created"),
                    format!("sudo install -d -m 700 -o {} {}", user(), word(folder)),
                )
            };
        }
        Err(error) => {
            let hint = format!("ls -ld {}", word(folder));
            return Finding::fail(name, format!("{shown} cannot be inspected: {error}"), hint);
        }
    };
    let mode = metadata.mode() & 0o7777;
    let is_shared = mode & 0o1000 != 0 || folder.components().count() <= 2;
    let private = if is_shared {
        "move the database to its own folder: pairing.storage.path".to_owned()
    } else {
        format!("chmod 700 {}", word(folder))
    };
    let needed = Access::READ_OK | Access::WRITE_OK | Access::EXEC_OK;
    if let Some(unusable) = unusable(name, folder, &metadata, needed) {
        unusable
    } else if mode & 0o022 != 0 && mode & 0o1000 == 0 {
        // Whoever can write here can replace the database.
        Finding::fail(name, format!("others can write to {shown} (mode {mode:o})"), private)
    } else {
        in_order(name, folder, &metadata, mode, private)
    }
}

/// The database as a file. If there is a configuration, it is expected to exist.
pub(super) fn database(installation: &Installation) -> Vec<Finding> {
    let is_configured = installation.config().is_some_and(|config| config.file().is_some());
    installation.database().map(|path| check_database(path, is_configured)).into_iter().collect()
}

fn check_database(path: &Path, is_configured: bool) -> Finding {
    let name = "database";
    let shown = path.display();
    let inspect = format!("ls -l {}", word(path));
    let metadata = match fs::metadata(path) {
        Ok(metadata) if metadata.is_file() => metadata,
        Ok(_) => return Finding::fail(name, format!("{shown} is not a file"), OTHER_PATH),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return if path.is_symlink() {
                Finding::warn(name, format!("{shown} is a dangling link"), inspect)
            } else if is_configured {
                let message = format!(
                    "{shown} does not exist; a new one will be created, in which nobody is allowed or \
                     blocked"
                );
                let hint = "if there was one before, set pairing.storage.path or --db to it";
                Finding::warn(name, message, hint)
            } else {
                Finding::ok(name, format!("{shown} does not exist yet; it will be created"))
            };
        }
        Err(error) => {
            return Finding::fail(name, format!("{shown} cannot be inspected: {error}"), inspect);
        }
    };
    let owner = metadata.uid();
    // The service runs as the owner of the folder.
    let expected = fs::metadata(folder_of(path)).map_or(user(), |folder| folder.uid());
    if owner != expected && (expected == user() || user() == 0) {
        let message = format!("{shown} belongs to user {owner}, its folder to user {expected}");
        Finding::fail(name, message, format!("sudo chown {expected} {}", word(path)))
    } else if let Some(unusable) =
        unusable(name, path, &metadata, Access::READ_OK | Access::WRITE_OK)
    {
        unusable
    } else {
        let private = format!("chmod 600 {}", word(path));
        in_order(name, path, &metadata, metadata.mode() & 0o777, private)
    }
}

/// A failure if this process cannot use what it needs.
fn unusable(
    name: &'static str,
    path: &Path,
    metadata: &Metadata,
    needed: Access,
) -> Option<Finding> {
    let owner = metadata.uid();
    let message = format!("{} belongs to user {owner} and cannot be used", path.display());
    access(path, needed).is_err().then(|| Finding::fail(name, message, as_owner(owner)))
}

/// Whether a usable file or folder belongs to this user, and to nobody else; `private` is the hint to
/// achieve that.
fn in_order(
    name: &'static str,
    path: &Path,
    metadata: &Metadata,
    mode: u32,
    private: String,
) -> Finding {
    let (shown, owner) = (path.display(), metadata.uid());
    if owner != user() && user() != 0 {
        let message = format!("{shown} belongs to user {owner}, not to this one");
        Finding::warn(name, message, as_owner(owner))
    } else if mode & 0o077 != 0 {
        Finding::warn(name, format!("{shown} is open to others (mode {mode:o})"), private)
    } else {
        Finding::ok(name, format!("{shown}, mode {mode:o}"))
    }
}

/// Files of other users are left alone: their service needs them.
fn as_owner(owner: u32) -> String {
    format!("run as its owner: sudo -u '#{owner}' nexo-pair doctor")
}

/// The files beside a database: those of SQLite and our lock, without which it cannot be used, and
/// quarantined WALs.
pub(super) fn beside(installation: &Installation) -> Vec<Finding> {
    installation.database_file().map(check_beside).unwrap_or_default()
}

fn check_beside(database: &Path) -> Vec<Finding> {
    let mut findings = Vec::new();
    // They are beside the file, not beside a link to it.
    let database = fs::canonicalize(database).unwrap_or_else(|_| database.to_owned());
    let Ok(owner) = fs::metadata(&database) else { return findings };
    let is_usable = |path: &Path| access(path, Access::READ_OK | Access::WRITE_OK).is_ok();
    for suffix in ["-wal", "-shm", ".lock"] {
        let mut path = database.clone().into_os_string();
        path.push(suffix);
        let path = PathBuf::from(path);
        let Ok(metadata) = fs::metadata(&path) else { continue };
        let shown = path.display();
        let message = if metadata.uid() != owner.uid() {
            let (uid, owner) = (metadata.uid(), owner.uid());
            format!("{shown} belongs to user {uid}, the database to user {owner}")
        } else if is_usable(&database) && !is_usable(&path) {
            format!("{shown} (mode {:o}) cannot be used", metadata.mode() & 0o777)
        } else {
            continue;
        };
        let (uid, gid, path) = (owner.uid(), owner.gid(), word(&path));
        let hint = format!("sudo chown {uid}:{gid} {path}; sudo chmod 600 {path}");
        findings.push(Finding::fail("beside", message, hint));
    }
    let quarantined = quarantined(&database);
    if let Some(first) = quarantined.first() {
        let words: Vec<String> = quarantined.iter().map(|path| word(path)).collect();
        findings.push(Finding::warn(
            "beside",
            format!(
                "{} holds the last writes to a database that was replaced; it is no longer read",
                first.display()
            ),
            format!("keep it with the old database, or: rm {}", words.join(" ")),
        ));
    }
    findings
}

/// The WALs, and their shared memory, that were moved aside when the database was replaced.
fn quarantined(database: &Path) -> Vec<PathBuf> {
    let name = database.file_name().unwrap_or_default().to_string_lossy();
    let is_one = |path: &PathBuf| {
        let other = path.file_name().unwrap_or_default().to_string_lossy();
        let rest = other.strip_prefix(&*name);
        rest.is_some_and(|rest| {
            rest.starts_with("-wal.replaced") || rest.starts_with("-shm.replaced")
        })
    };
    let Ok(entries) = fs::read_dir(folder_of(database)) else { return Vec::new() };
    let mut found: Vec<PathBuf> =
        entries.flatten().map(|entry| entry.path()).filter(is_one).collect();
    // A WAL comes first: it is what matters.
    found.sort_by(|a, b| b.cmp(a));
    found
}

/// The free space for the database.
pub(super) fn disk(installation: &Installation) -> Vec<Finding> {
    installation.database().map(check_disk).into_iter().collect()
}

fn check_disk(database: &Path) -> Finding {
    let name = "disk";
    let folder = existing(folder_of(database));
    let (shown, hint) = (folder.display(), format!("df -h {0}; df -i {0}", word(&folder)));
    let stat = match statvfs(&folder) {
        Ok(stat) => stat,
        Err(error) => {
            return Finding::warn(name, format!("the free space is unknown: {error}"), hint);
        }
    };
    let free = stat.f_bavail.saturating_mul(stat.f_frsize);
    let left = format!("{} MiB are left for {shown}", free >> 20);
    if stat.f_flag.contains(StatVfsMountFlags::RDONLY) {
        let message = format!("the file system of {shown} is read-only");
        Finding::fail(name, message, format!("findmnt -T {}", word(&folder)))
    } else if free < NO_SPACE || (stat.f_files > 0 && stat.f_favail == 0) {
        Finding::fail(name, left, hint)
    } else if free < LOW_SPACE {
        Finding::warn(name, left, hint)
    } else {
        Finding::ok(name, left)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::super::report::Status;
    use super::*;

    fn set_mode(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn files_that_others_may_read_or_write_are_reported_with_a_hint() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("state").join("pairing.db");
        let look = |path: &Path| {
            (check_folder(path).status, check_database(path, false).status, path.is_file())
        };
        assert_eq!(look(&path), (Status::Ok, Status::Ok, false));
        fs::create_dir(path.parent().unwrap()).unwrap();
        fs::write(&path, "").unwrap();
        for (folder_mode, file_mode, expected) in [
            (0o700, 0o600, (Status::Ok, Status::Ok, true)),
            (0o750, 0o640, (Status::Warn, Status::Warn, true)),
            (0o770, 0o600, (Status::Fail, Status::Ok, true)),
            (0o1777, 0o600, (Status::Warn, Status::Ok, true)),
        ] {
            set_mode(path.parent().unwrap(), folder_mode);
            set_mode(&path, file_mode);
            assert_eq!(look(&path), expected, "{folder_mode:o} {file_mode:o}");
        }
        assert_eq!(look(path.parent().unwrap()).1, Status::Fail, "a folder is not a database");
        assert_eq!(look(&path.join("below")).0, Status::Fail, "a file is not a folder");
    }

    #[test]
    fn files_beside_the_database_are_checked() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("pairing.db");
        let look = || {
            let findings = check_beside(&path).into_iter();
            findings.map(|finding| (finding.status, finding.hint.unwrap())).collect::<Vec<_>>()
        };
        for suffix in ["", "-wal", "-shm", ".lock"] {
            fs::write(home.path().join(format!("pairing.db{suffix}")), "").unwrap();
        }
        assert_eq!(look(), []);
        fs::write(home.path().join("pairing.db-shm.replaced"), "").unwrap();
        fs::write(home.path().join("pairing.db-wal.replaced.1"), "").unwrap();
        let found = look();
        assert_eq!((found.len(), found[0].0), (1, Status::Warn));
        assert!(found[0].1.contains("wal.replaced.1 ") && found[0].1.contains("shm.replaced"));
        for path in quarantined(&path) {
            fs::remove_file(path).unwrap();
        }
        let lock = home.path().join("pairing.db.lock");
        // Root may use a file of any mode, and give it away; nobody else can do either.
        let owner = fs::metadata(&path).unwrap();
        if rustix::process::geteuid().is_root() {
            std::os::unix::fs::chown(&lock, Some(12_345), None).unwrap();
        } else {
            set_mode(&lock, 0o400);
        }
        let found = look();
        assert_eq!((found.len(), found[0].0), (1, Status::Fail));
        let chown = format!("sudo chown {}:{} ", owner.uid(), owner.gid());
        assert!(found[0].1.starts_with(&chown) && found[0].1.contains("pairing.db.lock"));
    }

    #[test]
    fn the_free_space_is_that_of_the_future_database() {
        let home = tempfile::tempdir().unwrap();
        let finding = check_disk(&home.path().join("a/b/c.db"));
        assert!(finding.message.contains(&home.path().display().to_string()));
    }
}
