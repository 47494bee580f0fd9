//! The PNG file of a setup code. Whoever reads it can use the code, so only its owner can.

use std::fs::Permissions;
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use crate::{CliError, Result};

/// A file to be written. It appears at its path complete, or not at all.
#[derive(Debug)]
pub(super) struct Image {
    path: PathBuf,
    temporary: NamedTempFile,
}

impl Image {
    /// Checks that the file can be written, before there is a code.
    pub(super) fn create(path: &Path) -> Result<Self> {
        let not_written = |source| failed(path, source);
        // The new file replaces the old one: a link would not be followed, and a device would be lost.
        match path.symlink_metadata() {
            Ok(metadata) if !metadata.is_file() => {
                let problem = "it exists and is not a regular file";
                return Err(not_written(io::Error::new(io::ErrorKind::AlreadyExists, problem)));
            }
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(not_written(error));
            }
            _ => {}
        }
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let private = Permissions::from_mode(0o600);
        let mut builder = tempfile::Builder::new();
        builder.prefix(".nexo-pair.").suffix(".png").permissions(private);
        let temporary = builder.tempfile_in(folder.unwrap_or(Path::new(".")));
        Ok(Self { path: path.to_owned(), temporary: temporary.map_err(not_written)? })
    }

    /// Writes it, and returns its path.
    pub(super) fn write(mut self, png: &[u8]) -> Result<PathBuf> {
        let written = self.temporary.write_all(png).and_then(|()| self.temporary.flush());
        written.map_err(|error| failed(&self.path, error))?;
        let persisted = self.temporary.persist(&self.path);
        persisted.map_err(|error| failed(&self.path, error.error))?;
        Ok(self.path)
    }
}

fn failed(path: &Path, source: io::Error) -> CliError {
    CliError::io(format!("write the QR code to {}", path.display()))(source)
}
