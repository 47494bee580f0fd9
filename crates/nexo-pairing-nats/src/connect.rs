//! Prepares a connection: reads the files that the options name, and sets up TLS and the back-off.

use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_nats::ConnectOptions;
use async_nats::rustls::crypto::ring::default_provider;
use async_nats::rustls::pki_types::pem::PemObject;
use async_nats::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use async_nats::rustls::{ClientConfig, RootCertStore};
use uuid::Uuid;

use crate::{NatsError, NatsOptions};

/// The longest file that is read, in bytes.
const MAX_FILE_BYTES: u64 = 4 << 20;

/// The longest pause between two attempts to connect.
const MAX_PAUSE: Duration = Duration::from_secs(1);

/// The interval of pings. After two pings without an answer the connection counts as broken: a server that
/// disappears silently is noticed within three intervals.
const PING_INTERVAL: Duration = Duration::from_secs(10);

/// How many messages and other commands are buffered for a connection.
const MAX_BUFFERED: usize = 2048;

/// Reads the files that the options name, on a blocking thread.
pub(crate) async fn prepare(options: &NatsOptions) -> Result<ConnectOptions, NatsError> {
    let options = options.clone();
    let prepared = tokio::task::spawn_blocking(move || {
        let connect = authenticated(&options)?
            .name(&options.name)
            .connection_timeout(options.connect_timeout)
            .subscription_capacity(options.subscription_capacity)
            .client_capacity(MAX_BUFFERED)
            .ping_interval(PING_INTERVAL)
            .reconnect_delay_callback(pause)
            .require_tls(options.require_tls)
            .tls_client_config(tls(&options)?);
        Ok(if options.wait_for_server { connect.retry_on_initial_connect() } else { connect })
    });
    let closed = |_| NatsError::Options("the runtime is shutting down");
    prepared.await.map_err(closed)?
}

fn authenticated(options: &NatsOptions) -> Result<ConnectOptions, NatsError> {
    let connect = ConnectOptions::new();
    #[cfg(feature = "nkeys")]
    if let Some(path) = &options.credentials_file {
        // The client's parser needs a newline at the end, which not every editor writes.
        let text = secret(path)? + "\n";
        return connect.credentials(&text).map_err(unusable(path));
    }
    #[cfg(feature = "nkeys")]
    if let Some(path) = &options.nkey_file {
        return Ok(connect.nkey(secret(path)?));
    }
    if let Some((user, path)) = &options.user {
        return Ok(connect.user_and_password(user.clone(), secret(path)?));
    }
    if let Some(path) = &options.token_file {
        return Ok(connect.token(secret(path)?));
    }
    Ok(connect)
}

/// The pause before an attempt, counted from 1: a few milliseconds at first, about a second after a few.
/// It is random, so that the clients of a server do not all return at once.
fn pause(attempt: usize) -> Duration {
    let doublings = u32::try_from(attempt.saturating_sub(1)).unwrap_or(u32::MAX).min(16);
    let longest = Duration::from_millis(10).saturating_mul(1 << doublings).min(MAX_PAUSE);
    let random = u32::from(Uuid::new_v4().as_bytes()[0]);
    longest / 2 + longest / 2 * random / 255
}

fn tls(options: &NatsOptions) -> Result<ClientConfig, NatsError> {
    // Explicit, because there is no default in a program with several.
    let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|_| NatsError::Options("no version of TLS is compiled in"))?
        .with_root_certificates(roots(options)?);
    let Some((certificate, key)) = &options.client_certificate else {
        return Ok(config.with_no_client_auth());
    };
    let chain = certificates(certificate)?;
    let key_pem = read(key)?;
    let private = PrivateKeyDer::from_pem_slice(key_pem.as_bytes()).map_err(unusable(key))?;
    config.with_client_auth_cert(chain, private).map_err(unusable(key))
}

fn roots(options: &NatsOptions) -> Result<RootCertStore, NatsError> {
    let mut roots = RootCertStore::empty();
    let Some(path) = &options.ca_file else {
        // Missing certificates are an error only if a server uses TLS.
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        return Ok(roots);
    };
    for certificate in certificates(path)? {
        roots.add(certificate).map_err(unusable(path))?;
    }
    Ok(roots)
}

fn certificates(path: &PathBuf) -> Result<Vec<CertificateDer<'static>>, NatsError> {
    let pem = read(path)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
    match found {
        Ok(found) if found.is_empty() => Err(unusable(path)("it has no PEM certificate")),
        found => found.map_err(unusable(path)),
    }
}

/// The text of a file without its last newline.
fn secret(path: &PathBuf) -> Result<String, NatsError> {
    let text = read(path)?;
    let text = text.trim_end_matches(['\r', '\n']);
    if text.is_empty() {
        return Err(unusable(path)("it is empty"));
    }
    Ok(text.to_owned())
}

fn read(path: &PathBuf) -> Result<String, NatsError> {
    let mut text = String::new();
    let read = std::fs::File::open(path)
        .and_then(|file| file.take(MAX_FILE_BYTES).read_to_string(&mut text));
    read.map_err(|error: io::Error| unusable(path)(error))?;
    Ok(text)
}

fn unusable<E: Into<Box<dyn std::error::Error + Send + Sync>>>(
    path: &Path,
) -> impl Fn(E) -> NatsError {
    move |source| NatsError::File { path: path.to_owned(), source: source.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_second() {
        assert!(pause(1) <= Duration::from_millis(10));
        for attempt in [8, 9, 100, usize::MAX] {
            let pause = pause(attempt);
            assert!(pause >= MAX_PAUSE / 2 && pause <= MAX_PAUSE, "{attempt}: {pause:?}");
        }
        assert!((1..50).any(|_| pause(50) != pause(50)), "all pauses are equal");
    }
}
