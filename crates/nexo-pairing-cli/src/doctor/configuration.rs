//! Checks the configuration, its key and its trusted proxies.

use std::fs;
use std::os::unix::fs::MetadataExt;

use nexo_pairing::config::{Config, Network};

use super::folders::wrong_owner;
use super::installation::Installation;
use super::paths::word;
use super::report::Finding;
use crate::issuer::existing_keys;

/// The configuration, and who can write to it.
pub(super) fn configuration(installation: &Installation) -> Vec<Finding> {
    let name = "configuration";
    vec![match &installation.config {
        Ok(config) => file(name, config),
        Err(error) => {
            let mut finding = Finding::error(name, error);
            let hint = || "correct it, and check again: nexo-pair config".to_owned();
            finding.hint.get_or_insert_with(hint);
            finding
        }
    }]
}

fn file(name: &'static str, config: &Config) -> Finding {
    let Some(file) = config.file() else {
        return Finding::ok(name, "there is no file: defaults and environment variables apply");
    };
    // Whoever can write to it can open the gate.
    let found = fs::metadata(file).ok().and_then(|metadata| {
        let message = format!("{} can be written by others", file.display());
        let is_open = metadata.mode() & 0o022 != 0;
        let open = is_open.then(|| (message, format!("chmod go-w {}", word(file))));
        open.or_else(|| wrong_owner(file, &metadata))
    });
    match found {
        Some((message, hint)) => Finding::warn(name, message, hint),
        None => Finding::ok(name, format!("read from {}", file.display())),
    }
}

/// The key that signs setup codes.
pub(super) async fn key(installation: &Installation) -> Vec<Finding> {
    let name = "key";
    let Some(config) = installation.config() else { return Vec::new() };
    let shown = config.secret_path().display();
    vec![match existing_keys(config).await.as_deref() {
        Ok([]) => {
            let message = format!("{shown} does not exist yet; `nexo-pair start` creates it");
            Finding::ok(name, message)
        }
        Ok([current]) => Finding::ok(name, format!("{shown} holds the key {}", current.id)),
        Ok([current, older @ ..]) => {
            let older = older.len();
            Finding::ok(name, format!("{shown} holds the key {}; {older} older", current.id))
        }
        Err(error) => Finding::error(name, error),
    }]
}

/// Networks that hold more than private addresses: any client in one can claim any address.
pub(super) fn trusted_proxies(installation: &Installation) -> Vec<Finding> {
    let is_wide = |network: &&Network| network.prefix() < if network.is_ipv6() { 7 } else { 8 };
    let networks = installation.config().map(Config::trusted_proxies).unwrap_or_default();
    let wide = networks.iter().find(is_wide).map(|network| {
        Finding::warn(
            "trusted_proxies",
            format!(
                "{network} contains more than proxies: anybody there can claim any client \
                 address, and so evade the limit on failed claims"
            ),
            "list only the proxies' addresses in pairing.trusted_proxies",
        )
    });
    wide.into_iter().collect()
}
