//! The contents of a folder, to see whether a command changed it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// A file's content and modification time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileState {
    bytes: Vec<u8>,
    modified: SystemTime,
}

impl FileState {
    /// Its content.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// Every file below a folder, hidden ones too.
#[must_use]
pub fn files_below(folder: &Path) -> BTreeMap<PathBuf, FileState> {
    let mut files = BTreeMap::new();
    collect(folder, &mut files);
    files
}

fn collect(folder: &Path, files: &mut BTreeMap<PathBuf, FileState>) {
    for entry in fs::read_dir(folder).expect("the folder can be read") {
        let path = entry.expect("the folder can be read").path();
        let metadata = fs::symlink_metadata(&path).expect("the file is there");
        if metadata.is_dir() {
            collect(&path, files);
        } else {
            let bytes = fs::read(&path).expect("the file can be read");
            let modified = metadata.modified().expect("the system keeps the time");
            files.insert(path, FileState { bytes, modified });
        }
    }
}
