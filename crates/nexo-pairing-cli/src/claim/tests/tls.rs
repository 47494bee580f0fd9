//! Claims by TLS: whose certificates are believed.

use std::sync::Arc;

use data_encoding::BASE64;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tempfile::NamedTempFile;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::PrivatePkcs8KeyDer;
use tokio_rustls::rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::*;

/// An authority that no system knows.
struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    fn file(&self) -> NamedTempFile {
        let mut file = NamedTempFile::new().unwrap();
        let der = BASE64.encode(self.0.der());
        writeln!(file, "-----BEGIN CERTIFICATE-----\n{der}\n-----END CERTIFICATE-----").unwrap();
        file
    }

    /// A server with a certificate for this name.
    fn server(&self, name: &str) -> Arc<ServerConfig> {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        let key = PrivatePkcs8KeyDer::from(key.serialize_der());
        let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key.into());
        Arc::new(config.unwrap())
    }
}

/// Answers a claim in a WebSocket by TLS, if it comes to that.
fn serving(config: Arc<ServerConfig>) -> Serve {
    Box::new(move |stream| {
        let stream = StreamOwned::new(ServerConnection::new(config).unwrap(), stream);
        let mut socket = tungstenite::accept(stream).ok()?;
        let claim = socket.read().unwrap();
        socket.send(SESSION.into()).unwrap();
        let _ = socket.read();
        serde_json::from_str(claim.to_text().unwrap()).unwrap()
    })
}

async fn claim_with(file: &NamedTempFile, code: &SetupCode) -> Result<Session, ClaimError> {
    let roots = Roots::with_file(file.path()).unwrap();
    claim(code, None, roots, &Patience::default()).await
}

#[tokio::test]
async fn an_authority_of_ones_own_is_believed_when_it_is_named() {
    let authority = Authority::new();
    let config = authority.server("127.0.0.1");
    let gateway = Fake::new(vec![serving(config.clone()), serving(config)]);
    let code = gateway.code("wss");

    let error = claim_at_once(&code).await.err().unwrap();
    assert!(matches!(error, ClaimError::Unreachable { step: Step::Tls, .. }), "{error:?}");
    assert!(error.hint().unwrap().contains("--ca-cert"));

    let session = claim_with(&authority.file(), &code).await.unwrap();
    assert_eq!(session.token.as_str(), "session-token-1");
    let claims = gateway.claims();
    assert!(claims[0].is_none(), "nobody was told the token");
    assert!(claims[1].is_some());
}

#[tokio::test]
async fn a_certificate_for_somebody_else_is_refused() {
    let authority = Authority::new();
    let gateway = Fake::new(vec![serving(authority.server("nexo.example.com"))]);
    let error = claim_with(&authority.file(), &gateway.code("wss")).await.err().unwrap();
    assert!(matches!(error, ClaimError::Unreachable { step: Step::Tls, .. }), "{error:?}");
    assert_eq!(gateway.claims(), [None]);
}

#[test]
fn a_file_without_certificates_is_refused() {
    let mut file = NamedTempFile::new().unwrap();
    let refused = |file: &NamedTempFile| Roots::with_file(file.path()).unwrap_err();
    assert_eq!(refused(&file).exit(), Exit::Usage);
    file.write_all(b"-----BEGIN CERTIFICATE-----\nnonsense\n").unwrap();
    assert_eq!(refused(&file).exit(), Exit::Usage);
    assert_eq!(Roots::with_file("/nonexistent".as_ref()).unwrap_err().exit(), Exit::Storage);
}
