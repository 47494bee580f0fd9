//! The certificate authorities to trust.

use std::io;
use std::sync::Arc;

use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

/// The certificate authorities to trust: those of the system, and additional ones.
///
/// Those of the system are loaded for each connection; `SSL_CERT_FILE` and `SSL_CERT_DIR` override
/// their location.
#[derive(Debug, Clone, Default)]
pub struct RootCertificates {
    own: Vec<CertificateDer<'static>>,
}

/// A PEM text without certificates, or with an invalid one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no valid PEM certificates")]
#[non_exhaustive]
pub struct RootCertificatesError;

impl RootCertificates {
    /// The authorities of the system.
    #[must_use]
    pub fn system() -> Self {
        Self::default()
    }

    /// Adds the authorities in a PEM text.
    ///
    /// # Errors
    ///
    /// [`RootCertificatesError`] when it has no certificate, or one that is not valid PEM.
    pub fn with_pem(mut self, pem: &[u8]) -> Result<Self, RootCertificatesError> {
        let own: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
        match own {
            Ok(own) if !own.is_empty() => {
                self.own.extend(own);
                Ok(self)
            }
            _ => Err(RootCertificatesError),
        }
    }

    /// Loads the authorities of the system and builds a TLS connector.
    pub(crate) async fn connector(&self) -> io::Result<TlsConnector> {
        let own = self.own.clone();
        let read = tokio::task::spawn_blocking(|| load(own));
        read.await.unwrap_or_else(|error| Err(error.into()))
    }
}

fn load(own: Vec<CertificateDer<'static>>) -> io::Result<TlsConnector> {
    let mut roots = RootCertStore::empty();
    let system = rustls_native_certs::load_native_certs();
    roots.add_parsable_certificates(system.certs);
    for certificate in own {
        roots.add(certificate).map_err(io::Error::other)?;
    }
    if roots.is_empty() {
        let why = system.errors.first().map(|error| format!(": {error}")).unwrap_or_default();
        return Err(io::Error::other(format!("this system has no root certificates{why}")));
    }
    let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?;
    let mut config = config.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsConnector::from(Arc::new(config)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_without_certificates_is_refused() {
        for pem in ["", "-----BEGIN CERTIFICATE-----\nnonsense\n"] {
            assert!(RootCertificates::system().with_pem(pem.as_bytes()).is_err(), "{pem}");
        }
    }
}
