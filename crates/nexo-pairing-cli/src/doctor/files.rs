//! Looks at files, folders and the disk: who they belong to, who may read them, what is left.

use std::fs::{self, Metadata};
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, StatVfsMountFlags, access, statvfs};

use super::paths::{existing, folder_of, user, word};
use super::report::Finding;

/// Below this, a warning: a WAL and an upgrade need some room.
const LITTLE_SPACE: u64 = 16 << 20;

/// Below this, a failure.
const NO_SPACE: u64 = 1 << 20;

/// The folder of the database.
pub(super) fn folder(database: &Path) -> Finding {
    let name = "folder";
    let folder = folder_of(database);
    match fs::metadata(folder) {
        Ok(metadata) if !metadata.is_dir() => Finding::fail(
            name,
            format!("{} is no folder", folder.display()),
            "name another file with --db or pairing.storage.path",
        ),
        Ok(metadata) => existing_folder(folder, &metadata),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let above = existing(folder);
            if access(&above, Access::WRITE_OK | Access::EXEC_OK).is_ok() {
                Finding::ok(name, format!("{} is not there yet; it will be made", folder.display()))
            } else {
                Finding::fail(
                    name,
                    format!("{} is not there, and cannot be made", folder.display()),
                    format!("sudo install -d -m 700 -o {} {}", user(), word(folder)),
                )
            }
        }
        Err(error) => Finding::fail(
            name,
            format!("{} cannot be looked at: {error}", folder.display()),
            format!("ls -ld {}", word(folder)),
        ),
    }
}

fn existing_folder(folder: &Path, metadata: &Metadata) -> Finding {
    let name = "folder";
    let (shown, mode) = (folder.display(), metadata.mode() & 0o7777);
    let is_shared = mode & 0o1000 != 0 || folder.components().count() <= 2;
    let private = if is_shared {
        "put the database into a folder of its own: pairing.storage.path".to_owned()
    } else {
        format!("chmod 700 {}", word(folder))
    };
    if access(folder, Access::READ_OK | Access::WRITE_OK | Access::EXEC_OK).is_err() {
        let message = format!("{shown} belongs to user {} and cannot be used", metadata.uid());
        Finding::fail(name, message, as_owner(metadata.uid()))
    } else if mode & 0o022 != 0 && mode & 0o1000 == 0 {
        // Who can write here can put another database in place of this one.
        Finding::fail(name, format!("{shown} can be written by others (mode {mode:o})"), private)
    } else if metadata.uid() != user() && user() != 0 {
        let message = format!("{shown} belongs to user {}, not to this one", metadata.uid());
        Finding::warn(name, message, as_owner(metadata.uid()))
    } else if mode & 0o077 != 0 {
        Finding::warn(name, format!("{shown} is open to others (mode {mode:o})"), private)
    } else {
        Finding::ok(name, format!("{shown}, mode {mode:o}"))
    }
}

/// The database as a file. Beside a configuration one is expected.
pub(super) fn database(path: &Path, is_configured: bool) -> Finding {
    let name = "database";
    let shown = path.display();
    let look = || format!("ls -l {}", word(path));
    let metadata = match fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return if path.is_symlink() {
                Finding::warn(name, format!("{shown} is a link that leads nowhere"), look())
            } else if is_configured {
                Finding::warn(
                    name,
                    format!(
                        "{shown} is not there; a new one will be made, in which nobody is allowed or blocked"
                    ),
                    "if there was one before, name it with pairing.storage.path or --db",
                )
            } else {
                Finding::ok(name, format!("{shown} is not there yet; it will be made"))
            };
        }
        Err(error) => {
            return Finding::fail(name, format!("{shown} cannot be looked at: {error}"), look());
        }
    };
    if !metadata.is_file() {
        let hint = "name another file with --db or pairing.storage.path";
        return Finding::fail(name, format!("{shown} is no file"), hint);
    }
    let mode = metadata.mode() & 0o777;
    let owner = metadata.uid();
    // The service runs as the owner of the folder.
    let expected = fs::metadata(folder_of(path)).map_or(user(), |folder| folder.uid());
    if owner != expected && (expected == user() || user() == 0) {
        let message = format!("{shown} belongs to user {owner}, its folder to user {expected}");
        Finding::fail(name, message, format!("sudo chown {expected} {}", word(path)))
    } else if access(path, Access::READ_OK | Access::WRITE_OK).is_err() {
        let message = format!("{shown} belongs to user {owner} and cannot be used");
        Finding::fail(name, message, as_owner(owner))
    } else if owner != user() && user() != 0 {
        let message = format!("{shown} belongs to user {owner}, not to this one");
        Finding::warn(name, message, as_owner(owner))
    } else if mode & 0o077 != 0 {
        let message = format!("{shown} is open to others (mode {mode:o})");
        Finding::warn(name, message, format!("chmod 600 {}", word(path)))
    } else {
        Finding::ok(name, format!("{shown}, mode {mode:o}"))
    }
}

/// What lies beside a database: SQLite's files and our lock, without which it cannot be used, and
/// what was put away.
pub(super) fn beside(database: &Path) -> Vec<Finding> {
    let mut findings = Vec::new();
    // They lie where the file is, not where a link to it is.
    let database = fs::canonicalize(database).unwrap_or_else(|_| database.to_owned());
    let Ok(owner) = fs::metadata(&database) else { return findings };
    let is_ours = access(&database, Access::READ_OK | Access::WRITE_OK).is_ok();
    for suffix in ["-wal", "-shm", ".lock"] {
        let mut path = database.clone().into_os_string();
        path.push(suffix);
        let path = PathBuf::from(path);
        let Ok(metadata) = fs::metadata(&path) else { continue };
        let is_usable = access(&path, Access::READ_OK | Access::WRITE_OK).is_ok();
        if metadata.uid() != owner.uid() || (is_ours && !is_usable) {
            let (shown, uid) = (path.display(), metadata.uid());
            let message = if metadata.uid() == owner.uid() {
                format!("{shown} (mode {:o}) cannot be used", metadata.mode() & 0o777)
            } else {
                format!("{shown} belongs to user {uid}, the database to user {}", owner.uid())
            };
            let hint = format!(
                "sudo chown {}:{} {path}; sudo chmod 600 {path}",
                owner.uid(),
                owner.gid(),
                path = word(&path)
            );
            findings.push(Finding::fail("beside", message, hint));
        }
    }
    let put_away = put_away(&database);
    if let Some(first) = put_away.first() {
        let words: Vec<String> = put_away.iter().map(|path| word(path)).collect();
        findings.push(Finding::warn(
            "beside",
            format!(
                "{} holds what was written last to a database that another was put in place of; \
                 nothing reads it any more",
                first.display()
            ),
            format!("keep it with the old database, or: rm {}", words.join(" ")),
        ));
    }
    findings
}

/// The WALs, with what belongs to them, that were put away when the database was replaced.
fn put_away(database: &Path) -> Vec<PathBuf> {
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

/// The room that is left where the database is, or will be.
pub(super) fn disk(database: &Path) -> Finding {
    let name = "disk";
    let folder = existing(folder_of(database));
    let hint = format!("df -h {0}; df -i {0}", word(&folder));
    match statvfs(&folder) {
        Err(error) => Finding::warn(name, format!("the room cannot be told: {error}"), hint),
        Ok(stat) => {
            let free = stat.f_bavail.saturating_mul(stat.f_frsize);
            let left = format!("{} MiB are left for {}", free >> 20, folder.display());
            if stat.f_flag.contains(StatVfsMountFlags::RDONLY) {
                let message = format!("the file system of {} is read-only", folder.display());
                Finding::fail(name, message, format!("findmnt -T {}", word(&folder)))
            } else if free < NO_SPACE || (stat.f_files > 0 && stat.f_favail == 0) {
                Finding::fail(name, left, hint)
            } else if free < LITTLE_SPACE {
                Finding::warn(name, left, hint)
            } else {
                Finding::ok(name, left)
            }
        }
    }
}

/// What is somebody's stays theirs: their service needs it.
fn as_owner(owner: u32) -> String {
    format!("run as its owner: sudo -u '#{owner}' nexo-pair doctor")
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::super::paths::Found;
    use super::super::report::Status;
    use super::*;

    fn set_mode(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn what_others_may_read_or_write_is_told_with_what_mends_it() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("state").join("pairing.db");
        let look =
            |path: &Path| (folder(path).status, database(path, false).status, Found::at(path));
        assert_eq!(look(&path), (Status::Ok, Status::Ok, Found::Nothing));
        fs::create_dir(path.parent().unwrap()).unwrap();
        fs::write(&path, "").unwrap();
        for (folder_mode, file_mode, expected) in [
            (0o700, 0o600, (Status::Ok, Status::Ok, Found::File)),
            (0o750, 0o640, (Status::Warn, Status::Warn, Found::File)),
            (0o770, 0o600, (Status::Fail, Status::Ok, Found::File)),
            (0o1777, 0o600, (Status::Warn, Status::Ok, Found::File)),
        ] {
            set_mode(path.parent().unwrap(), folder_mode);
            set_mode(&path, file_mode);
            assert_eq!(look(&path), expected, "{folder_mode:o} {file_mode:o}");
        }
        assert_eq!(look(path.parent().unwrap()).1, Status::Fail, "a folder is no database");
        assert_eq!(look(&path.join("below")).0, Status::Fail, "a file is no folder");
    }

    #[test]
    fn what_lies_beside_the_database_is_looked_at() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("pairing.db");
        let look = || {
            let findings = beside(&path).into_iter();
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
        for path in put_away(&path) {
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
    fn the_room_is_told_where_the_database_will_be() {
        let home = tempfile::tempdir().unwrap();
        let finding = disk(&home.path().join("a/b/c.db"));
        assert!(finding.message.contains(&home.path().display().to_string()));
    }
}
