//! The folder that a key lies in.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// The folder that a file is in.
pub(crate) fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// Who owns the folder that a file is in.
pub(crate) fn folder_owner(path: &Path) -> Option<u32> {
    fs::metadata(folder_of(path)).ok().map(|folder| folder.uid())
}
