//! Opens the issuer of setup codes, whose keys are in a file.

use std::io::ErrorKind;

use nexo_pairing::config::Config;
use nexo_pairing::setup::KeyInfo;
use nexo_pairing::{IssuerOptions, SetupCodeIssuer};

use crate::{CliError, Result};

/// Opens the signing key, and creates it if it is missing.
pub(crate) async fn open_issuer(config: &Config) -> Result<SetupCodeIssuer> {
    let path = config.secret_path().to_owned();
    let options = IssuerOptions::default().with_secret_external(config.secret_external());
    Ok(blocking("open the key", move || SetupCodeIssuer::open_with(path, options)).await??)
}

/// The existing keys; none is created.
pub(crate) async fn existing_keys(config: &Config) -> Result<Vec<KeyInfo>> {
    match config.secret_path().symlink_metadata() {
        Err(error) if error.kind() == ErrorKind::NotFound && !config.secret_external() => {
            Ok(Vec::new())
        }
        _ => Ok(open_issuer(config).await?.keys()),
    }
}

/// Runs work that reads or writes files where it does not hold up other work.
pub(crate) async fn blocking<T: Send + 'static>(
    what: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| CliError::io(what)(error.into()))
}
