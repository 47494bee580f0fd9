//! The server's certificate and its key.

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

/// Where the certificate is, and its key.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TlsFiles {
    /// The certificate and those between it and its root, in this order, as PEM.
    pub cert: PathBuf,
    /// Its key, as PEM. Neither may others read it, nor anybody but its owner write it; its group
    /// may read it.
    pub key: PathBuf,
}

impl TlsFiles {
    /// The two files.
    #[must_use]
    pub fn new(cert: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Self {
        Self { cert: cert.into(), key: key.into() }
    }

    /// Reads them. Blocks.
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
        let mut config = config.map_err(|source| self.refused(source))?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }

    fn refused(&self, source: rustls::Error) -> TlsError {
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

/// The certificate in use, and where it was read.
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

    /// Reads the files again, for connections from now on. On an error what is in use stays.
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
    let ended = |error| TlsError::Read { path, source: io::Error::other(error) };
    spawn_blocking(move || files.load()).await.map_err(ended)?
}

/// What is wrong with the certificate or its key.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// A file cannot be read.
    #[error("failed to read {}", .path.display())]
    Read {
        /// The path.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Others may read the key, or its group may write it.
    #[error("the key {} must not be open to others (mode {mode:04o})", .path.display())]
    Mode {
        /// The path.
        path: PathBuf,
        /// The permission bits that it has.
        mode: u32,
    },
    /// A file is no PEM.
    #[error("{} is no PEM file: {reason}", .path.display())]
    Pem {
        /// The path.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// There is no certificate in the file.
    #[error("there is no certificate in {}", .path.display())]
    NoCertificate {
        /// The path.
        path: PathBuf,
    },
    /// There is no key in the file.
    #[error("there is no private key in {}", .path.display())]
    NoKey {
        /// The path.
        path: PathBuf,
    },
    /// The key is of another certificate.
    #[error("the key {} does not belong to the certificate {}", .key.display(), .cert.display())]
    Mismatch {
        /// The certificate.
        cert: PathBuf,
        /// The key.
        key: PathBuf,
    },
    /// A certificate or a key is of no kind that can be used.
    #[error("failed to use {}", .path.display())]
    Unusable {
        /// The path.
        path: PathBuf,
        /// What rustls said.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
}

impl TlsError {
    /// What the operator can do about it, where there is a command for it.
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
    // Room for all of it: a buffer that grows leaves copies behind.
    let room = metadata.len().min(MAX_FILE_BYTES) as usize + 1;
    let mut bytes = Zeroizing::new(Vec::with_capacity(room));
    file.take(MAX_FILE_BYTES).read_to_end(&mut bytes).map_err(failed)?;
    Ok(bytes)
}
