//! Checks who could replace a file: the owners and modes of the folders above it.

use std::collections::BTreeSet;
use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::installation::Installation;
use super::paths::{folder_of, real, user, word};
use super::report::Finding;

const NAME: &str = "folders";

/// The folders above the files that decide who is let in.
pub(super) fn folders(installation: &Installation) -> Vec<Finding> {
    let Some((config, database)) = installation.config().zip(installation.database()) else {
        return Vec::new();
    };
    let mut decisive = vec![config.secret_path(), database];
    decisive.extend(config.file());
    above(&decisive, database)
}

/// The folders above these files, each reported once. The folder of the database itself has its own check.
fn above(files: &[&Path], database: &Path) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut seen: BTreeSet<PathBuf> = database.parent().map(real).into_iter().collect();
    for file in files {
        for folder in real(file).ancestors().skip(1) {
            if !seen.insert(folder.to_owned()) {
                continue;
            }
            let Ok(metadata) = fs::metadata(folder) else { continue };
            findings.extend(look(folder, &metadata));
        }
    }
    if findings.is_empty() {
        let message = "only their owners can replace the configuration, the key and the database";
        findings.push(Finding::ok(NAME, message));
    }
    findings
}

fn look(folder: &Path, metadata: &Metadata) -> Option<Finding> {
    let (shown, mode) = (folder.display(), metadata.mode() & 0o7777);
    // In a folder like /tmp, users can only move their own files.
    let is_sticky = mode & 0o1000 != 0;
    let hint = || format!("chmod go-w {}", word(folder));
    if mode & 0o002 != 0 && !is_sticky {
        let message = format!(
            "everybody can write to {shown} (mode {mode:o}), and so replace the configuration, the key or \
             the database"
        );
        return Some(Finding::fail(NAME, message, hint()));
    }
    let gid = metadata.gid();
    // Members of root's group are as good as root.
    if mode & 0o020 != 0 && !is_sticky && gid != 0 {
        let message = format!("the group {gid} can write to {shown} (mode {mode:o})");
        return Some(Finding::warn(NAME, message, hint()));
    }
    None
}

/// The message and the hint if the owner of a file is not root, this user or, for root, the owner of the
/// folder.
pub(super) fn wrong_owner(file: &Path, metadata: &Metadata) -> Option<(String, String)> {
    let folder = fs::metadata(folder_of(file)).ok()?;
    let (owner, us) = (metadata.uid(), user());
    if owner == 0 || owner == us || us == 0 && owner == folder.uid() {
        return None;
    }
    let message = format!("{} belongs to user {owner}, who can change it", file.display());
    let hint = format!("sudo chown {} {}", if us == 0 { folder.uid() } else { us }, word(file));
    Some((message, hint))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::super::report::Status;
    use super::*;

    #[test]
    fn every_folder_above_is_checked_and_reported_once() {
        let home = tempfile::tempdir().unwrap();
        let (state, config) = (home.path().join("nexo/state"), home.path().join("nexo/config"));
        fs::create_dir_all(&state).unwrap();
        fs::create_dir(&config).unwrap();
        let link = home.path().join("link.yaml");
        symlink(config.join("pairing.yaml"), &link).unwrap();
        fs::write(config.join("pairing.yaml"), "").unwrap();
        let (database, key) =
            (state.join("pairing.db"), home.path().join("nexo/secret/pairing.key"));
        let found = || {
            let findings = above(&[&link, &key, &database], &database).into_iter();
            findings.map(|finding| (finding.status, finding.hint)).collect::<Vec<_>>()
        };
        let hint = |folder: &Path| Some(format!("chmod go-w {}", folder.display()));
        for (folder, mode, expected) in [
            (&config, 0o700, (Status::Ok, None)),
            (&config, 0o777, (Status::Fail, hint(&config))),
            (&config, 0o1777, (Status::Ok, None)),
            (
                &state.parent().unwrap().to_owned(),
                0o777,
                (Status::Fail, hint(state.parent().unwrap())),
            ),
        ] {
            let before = fs::metadata(folder).unwrap().permissions();
            fs::set_permissions(folder, fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(found(), [expected], "{folder:?} {mode:o}");
            fs::set_permissions(folder, before).unwrap();
        }
    }
}
