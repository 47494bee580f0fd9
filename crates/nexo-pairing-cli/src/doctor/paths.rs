//! Properties of paths that several checks need.

use std::fs;
use std::path::{Path, PathBuf};

use crate::text::shell_word;

/// The folder of a file.
pub(super) fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// The nearest existing folder, upwards.
pub(super) fn existing(folder: &Path) -> PathBuf {
    let found = folder.ancestors().find(|folder| folder.exists());
    found.filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new(".")).to_owned()
}

/// The path without links, as far as it exists.
pub(super) fn real(path: &Path) -> PathBuf {
    for above in path.ancestors() {
        if let Ok(real) = fs::canonicalize(above) {
            let rest = path.strip_prefix(above).unwrap_or(Path::new(""));
            return if rest.as_os_str().is_empty() { real } else { real.join(rest) };
        }
    }
    path.to_owned()
}

/// The path as one word for a shell.
pub(super) fn word(path: &Path) -> String {
    shell_word(&path.to_string_lossy())
}

/// The user of this process.
pub(super) fn user() -> u32 {
    rustix::process::geteuid().as_raw()
}
