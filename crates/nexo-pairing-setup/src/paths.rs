//! Paths: the folder of a file, who owns it, and how a hint writes a path.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// The folder of a file.
pub(crate) fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// The owner of the folder of a file.
pub(crate) fn folder_owner(path: &Path) -> Option<u32> {
    fs::metadata(folder_of(path)).ok().map(|folder| folder.uid())
}

/// The command for a file that belongs to another user. The owner of the folder keeps their files.
pub(crate) fn owner_hint(path: &Path, owner: u32, expected: u32) -> String {
    if folder_owner(path) == Some(owner) {
        format!("run it as the owner of the folder: sudo -u '#{owner}' nexo-pair …")
    } else {
        format!("as root: chown {expected} {}", quoted(path))
    }
}

/// A path quoted for a shell.
pub(crate) fn quoted(path: &Path) -> String {
    let mut path = path.display().to_string();
    if path.starts_with('-') {
        path.insert_str(0, "./");
    }
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-+,:@%".contains(c);
    if path.chars().all(is_plain) { path } else { format!("'{}'", path.replace('\'', r"'\''")) }
}
