//! The server's certificate and private key.

use std::error::Error;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use tokio::task::spawn_blocking;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{self, ServerConfig};
use zeroize::Zeroizing;

/// The largest file that is read, in bytes.
const MAX_FILE_BYTES: u64 = 1024 * 1024;

/// The files of the certificate and its key.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TlsFiles {
    /// The certificate, followed by the intermediate certificates, as PEM.
    pub cert: PathBuf,
    /// Its private key, as PEM. Only its owner may write it, and only its owner and group may read it.
    pub key: PathBuf,
}

impl TlsFiles {
    /// These two files.
    #[must_use]
    pub fn new(cert: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Self {
        Self { cert: cert.into(), key: key.into() }
    }

    /// Reads both files. Blocks.
    pub(crate) fn load(&self) -> Result<Arc<ServerConfig>, TlsError> {
        let (cert, key) = (self.cert.as_path(), self.key.as_path());
        let chain = CertificateDer::pem_slice_iter(&read(cert, false)?)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|source| TlsError::pem(cert, &source))?;
        if chain.is_empty() {
            return Err(TlsError::NoCertificate { path: cert.to_owned() });
        }
        let secret = read(key, true)?;
        let secret = match PrivateKeyDer::from_pem_slice(&secret) {
            Err(rustls::pki_types::pem::Error::NoItemsFound) => {
                return Err(TlsError::NoKey { path: key.to_owned() });
            }
            secret => secret.map_err(|source| TlsError::pem(key, &source))?,
        };
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .and_then(|versions| versions.with_no_client_auth().with_single_cert(chain, secret));
        let mut config = config.map_err(|source| self.unusable(source))?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }

    fn unusable(&self, source: rustls::Error) -> TlsError {
        match source {
            rustls::Error::InconsistentKeys(_) => {
                TlsError::Mismatch { cert: self.cert.clone(), key: self.key.clone() }
            }
            rustls::Error::InvalidCertificate(_) => {
                TlsError::Unusable { path: self.cert.clone(), source: source.into() }
            }
            source => TlsError::Unusable { path: self.key.clone(), source: source.into() },
        }
    }
}

/// The certificate in use, and its files.
#[derive(Clone)]
pub(crate) struct Tls {
    files: TlsFiles,
    config: Arc<RwLock<Arc<ServerConfig>>>,
}

impl Tls {
    pub(crate) async fn load(files: TlsFiles) -> Result<Self, TlsError> {
        let config = load(files.clone()).await?;
        Ok(Self { files, config: Arc::new(RwLock::new(config)) })
    }

    /// Reloads the files for later connections. On an error, the previous certificate stays in use.
    pub(crate) async fn reload(&self) -> Result<(), TlsError> {
        let config = load(self.files.clone()).await?;
        *self.config.write().unwrap_or_else(PoisonError::into_inner) = config;
        Ok(())
    }

    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        let config = self.config.read().unwrap_or_else(PoisonError::into_inner);
        TlsAcceptor::from(Arc::clone(&config))
    }
}

async fn load(files: TlsFiles) -> Result<Arc<ServerConfig>, TlsError> {
    let path = files.cert.clone();
    let failed = |error| TlsError::Read { path, source: io::Error::other(error) };
    spawn_blocking(move || files.load()).await.map_err(failed)?
}

/// Why a certificate or its key cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// A file cannot be read.
    #[error("failed to read {}", .path.display())]
    Read {
        /// The path.
        path: PathBuf,
        /// The error of the operating system.
        #[source]
        source: io::Error,
    },
    /// The permissions of the key are too open.
    #[error("the key {} must not be open to others (mode {mode:04o})", .path.display())]
    Mode {
        /// The path.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// A file is not PEM.
    #[error("{} is not a PEM file: {reason}", .path.display())]
    Pem {
        /// The path.
        path: PathBuf,
        /// The reason.
        reason: String,
    },
    /// The file contains no certificate.
    #[error("there is no certificate in {}", .path.display())]
    NoCertificate {
        /// The path.
        path: PathBuf,
    },
    /// The file contains no private key.
    #[error("there is no private key in {}", .path.display())]
    NoKey {
        /// The path.
        path: PathBuf,
    },
    /// The key belongs to another certificate.
    #[error("the key {} does not belong to the certificate {}", .key.display(), .cert.display())]
    Mismatch {
        /// The certificate.
        cert: PathBuf,
        /// The key.
        key: PathBuf,
    },
    /// rustls cannot use the certificate or the key.
    #[error("failed to use {}", .path.display())]
    Unusable {
        /// The path.
        path: PathBuf,
        /// The error of rustls.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
}

impl TlsError {
    /// What the operator can do about it, if there is a simple remedy.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Mode { path, .. } => Some(format!("chmod g-w,o= {}", path.display())),
            Self::NoCertificate { .. } | Self::NoKey { .. } => {
                Some("the first file is the certificate with its chain, the second its key".into())
            }
            _ => None,
        }
    }

    fn pem(path: &Path, reason: &rustls::pki_types::pem::Error) -> Self {
        Self::Pem { path: path.to_owned(), reason: reason.to_string() }
    }
}

fn read(path: &Path, is_secret: bool) -> Result<Zeroizing<Vec<u8>>, TlsError> {
    let failed = |source| TlsError::Read { path: path.to_owned(), source };
    let file = File::open(path).map_err(failed)?;
    let metadata = file.metadata().map_err(failed)?;
    let mode = metadata.permissions().mode() & 0o7777;
    if is_secret && mode & 0o027 != 0 {
        return Err(TlsError::Mode { path: path.to_owned(), mode });
    }
    // Allocated once: a growing buffer would leave copies of the key in memory.
    let capacity = metadata.len().min(MAX_FILE_BYTES) as usize + 1;
    let mut bytes = Zeroizing::new(Vec::with_capacity(capacity));
    file.take(MAX_FILE_BYTES).read_to_end(&mut bytes).map_err(failed)?;
    Ok(bytes)
}
