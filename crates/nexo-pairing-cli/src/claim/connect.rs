//! Connects to the gateway that a setup code names, and to nobody else.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use hyper::Uri;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, lookup_host};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use super::{ClaimError, Deadline, MAX_ANSWER_BYTES, Step};
use crate::error::CliError;
use crate::text::{escaped, shell_word};

/// How long one address of a host is tried, so that there is time for the next.
const ADDRESS_LIMIT: Duration = Duration::from_secs(5);

/// The longest file of root certificates that is read, in bytes.
const MAX_ROOTS_BYTES: u64 = 4 << 20;

/// A connection, in the clear or not.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// Where a setup code leads.
#[derive(Debug)]
pub(super) struct Gateway {
    pub(super) uri: Uri,
    pub(super) is_websocket: bool,
    pub(super) is_tls: bool,
    /// Host and port, to be told.
    pub(super) peer: String,
    pub(super) host: String,
    pub(super) port: u16,
}

impl Gateway {
    pub(super) fn parse(url: &str) -> Result<Self, ClaimError> {
        let wrong = |rule| ClaimError::Url { rule };
        let uri: Uri = url.parse().map_err(|_| wrong("is invalid"))?;
        let (is_websocket, is_tls) = match uri.scheme_str() {
            Some("ws") => (true, false),
            Some("wss") => (true, true),
            Some("http") => (false, false),
            Some("https") => (false, true),
            _ => return Err(wrong("must begin with wss://, https://, ws:// or http://")),
        };
        let authority = uri.authority().ok_or(wrong("must have a host"))?;
        if authority.as_str().contains('@') {
            return Err(wrong("must not have a user name"));
        }
        let port = match authority.port() {
            Some(port) => port.as_u16(),
            None if authority.as_str() != authority.host() => {
                return Err(wrong("must have a port of 1 to 65535, or none"));
            }
            None => {
                if is_tls {
                    443
                } else {
                    80
                }
            }
        };
        let peer = format!("{}:{port}", authority.host());
        let host = authority.host().trim_matches(['[', ']']).to_owned();
        Ok(Self { is_websocket, is_tls, peer, host, port, uri })
    }

    /// Connects; by `tls`, where the code asks for it.
    pub(super) async fn connect(
        &self,
        tls: Option<&TlsConnector>,
        deadline: &Deadline,
    ) -> Result<Box<dyn Stream>, ClaimError> {
        let failed = |step| move |source| self.unreachable(step, source);
        let addresses = async {
            let found = lookup_host((self.host.as_str(), self.port)).await;
            found.map(Vec::from_iter).map_err(failed(Step::Resolve))
        };
        let addresses = deadline.within(Step::Resolve, addresses).await?;
        let stream = async {
            let mut error = io::Error::new(io::ErrorKind::NotFound, "it has no address");
            for address in addresses {
                match tokio::time::timeout(ADDRESS_LIMIT, TcpStream::connect(address)).await {
                    Ok(Ok(stream)) => return Ok(stream),
                    Ok(Err(cause)) => error = cause,
                    Err(late) => error = late.into(),
                }
            }
            Err(failed(Step::Connect)(error))
        };
        let stream = deadline.within(Step::Connect, stream).await?;
        let Some(tls) = tls else { return Ok(Box::new(stream)) };
        let name = ServerName::try_from(self.host.clone()).map_err(|_| ClaimError::Url {
            rule: "must have a host that a certificate can name",
        })?;
        let stream = async { tls.connect(name, stream).await.map_err(failed(Step::Tls)) };
        Ok(Box::new(deadline.within(Step::Tls, stream).await?))
    }

    fn unreachable(&self, step: Step, source: io::Error) -> ClaimError {
        ClaimError::Unreachable { step, peer: self.peer.clone(), source }
    }

    /// What the gateway says no with.
    pub(super) fn refused(&self, kind: &str, message: Option<&str>) -> ClaimError {
        ClaimError::refused(self.peer.clone(), kind, message)
    }

    /// What answered is no gateway.
    pub(super) fn bad_answer(&self, what: impl Into<String>) -> ClaimError {
        ClaimError::BadAnswer { peer: self.peer.clone(), what: what.into() }
    }

    pub(super) fn too_long(&self) -> ClaimError {
        self.bad_answer(format!("its answer has more than {MAX_ANSWER_BYTES} bytes"))
    }

    /// The answer did not come, or did not come to an end.
    pub(super) fn lost(&self, source: io::Error) -> ClaimError {
        ClaimError::Lost { peer: self.peer.clone(), source }
    }
}

/// Whose certificates are believed: the system's authorities, and perhaps one of the user's own.
#[derive(Debug, Default)]
pub(crate) struct Roots {
    own: Vec<CertificateDer<'static>>,
}

impl Roots {
    /// The system's authorities and those in this file, as PEM.
    pub(crate) fn with_file(file: &Path) -> Result<Self, CliError> {
        let name = shell_word(&escaped(&file.to_string_lossy()));
        let mut pem = Vec::new();
        let read =
            File::open(file).and_then(|file| file.take(MAX_ROOTS_BYTES).read_to_end(&mut pem));
        read.map_err(|source| CliError::Io { what: format!("read {name}"), source })?;
        let own: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
        match own {
            Ok(own) if !own.is_empty() => Ok(Self { own }),
            _ => Err(CliError::Usage(format!("{name} holds no certificates in PEM"))),
        }
    }

    /// Reads the system's authorities, and makes ready to connect by TLS.
    pub(super) async fn connector(self, gateway: &Gateway) -> Result<TlsConnector, ClaimError> {
        let read = tokio::task::spawn_blocking(|| self.load());
        let read = read.await.unwrap_or_else(|error| Err(error.into()));
        read.map_err(|source| gateway.unreachable(Step::Tls, source))
    }

    /// `SSL_CERT_FILE` and `SSL_CERT_DIR` say where the system's are, if they are set.
    fn load(self) -> io::Result<TlsConnector> {
        let mut roots = RootCertStore::empty();
        let system = rustls_native_certs::load_native_certs();
        roots.add_parsable_certificates(system.certs);
        for certificate in self.own {
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
}
