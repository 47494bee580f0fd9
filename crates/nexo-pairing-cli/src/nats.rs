//! The connection to the NATS servers in the configuration.

use nexo_pairing::config::Config;
use nexo_pairing::nats::{Bus, NatsOptions};

use crate::{CliError, Result};

/// Connects to NATS.
pub(crate) async fn connect(config: &Config) -> Result<Bus> {
    Ok(Bus::connect(options(config)?).await?)
}

/// The connection options in the configuration.
pub(crate) fn options(config: &Config) -> Result<NatsOptions> {
    let nats = config.nats();
    if nats.servers.is_empty() {
        return Err(CliError::no_bus());
    }
    let mut options = NatsOptions::new(nats.servers.iter().cloned())?;
    options.credentials_file.clone_from(&nats.credentials_file);
    options.nkey_file.clone_from(&nats.nkey_file);
    options.user = nats.user.clone().zip(nats.password_file.clone());
    options.token_file.clone_from(&nats.token_file);
    options.require_tls = nats.tls_required;
    options.ca_file.clone_from(&nats.tls_ca_file);
    options.client_certificate = nats.tls_cert_file.clone().zip(nats.tls_key_file.clone());
    Ok(options)
}
