//! A certificate to serve with, and a client that trusts it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::Arc;

use data_encoding::BASE64;
use nexo_pairing_server::TlsFiles;
use rcgen::{CertifiedKey, generate_simple_self_signed};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use crate::support::{Running, World};

/// A certificate for `localhost`, in files.
#[derive(Clone)]
pub(crate) struct Certificate {
    pub(crate) files: TlsFiles,
    der: CertificateDer<'static>,
}

impl Certificate {
    /// Makes a new one under these names.
    pub(crate) fn new(world: &World, name: &str) -> Self {
        let CertifiedKey { cert, signing_key } =
            generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let files = TlsFiles::new(
            write(world, &format!("{name}.crt"), "CERTIFICATE", cert.der()),
            write(world, &format!("{name}.key"), "PRIVATE KEY", &signing_key.serialize_der()),
        );
        Self { files, der: cert.der().clone() }
    }

    /// Connects and trusts this certificate only.
    pub(crate) async fn connect(&self, server: &Running) -> std::io::Result<TlsStream<TcpStream>> {
        self.handshake(server.connect().await).await
    }

    /// The client's side of a handshake; trusts this certificate only.
    pub(crate) async fn handshake(
        &self,
        stream: TcpStream,
    ) -> std::io::Result<TlsStream<TcpStream>> {
        let mut roots = RootCertStore::empty();
        roots.add(self.der.clone()).unwrap();
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let name = ServerName::try_from("localhost").unwrap();
        TlsConnector::from(Arc::new(config)).connect(name, stream).await
    }
}

/// Writes a PEM file, mode 0600.
pub(crate) fn write(world: &World, name: &str, what: &str, der: &[u8]) -> PathBuf {
    let path = world.path(name);
    let pem = format!("-----BEGIN {what}-----\n{}\n-----END {what}-----\n", BASE64.encode(der));
    fs::write(&path, pem).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    path
}
