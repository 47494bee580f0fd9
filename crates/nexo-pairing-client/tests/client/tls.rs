//! Claims with TLS: trusted certificates.

use std::sync::Arc;

use data_encoding::BASE64;
use nexo_pairing_client::RootCertificates;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::PrivatePkcs8KeyDer;
use tokio_rustls::rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::*;

/// A certificate authority that no system trusts.
struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    fn pem(&self) -> String {
        let der = BASE64.encode(self.0.der());
        format!("-----BEGIN CERTIFICATE-----\n{der}\n-----END CERTIFICATE-----\n")
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

/// Answers a claim in a WebSocket over TLS, if the handshake succeeds.
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

async fn claim_with(pem: &str, code: &SetupCode) -> Result<ClaimedSession, ClientError> {
    let roots = RootCertificates::system().with_pem(pem.as_bytes()).unwrap();
    Client::new().with_root_certificates(roots).claim(&Claim::new(code)?).await
}

#[tokio::test]
async fn a_given_authority_is_trusted() {
    let authority = Authority::new();
    let config = authority.server("127.0.0.1");
    let gateway = Fake::new(vec![serving(config.clone()), serving(config)]);
    let code = gateway.code("wss");

    let error = claim_at_once(&code).await.err().unwrap();
    assert!(matches!(error, ClientError::Unreachable { step: Step::Tls, .. }), "{error:?}");

    let session = claim_with(&authority.pem(), &code).await.unwrap();
    assert_eq!(session.token.as_str(), "session-token-1");
    let claims = gateway.claims();
    assert!(claims[0].is_none(), "no token was sent");
    assert!(claims[1].is_some());
}

#[tokio::test]
async fn a_certificate_for_another_host_is_refused() {
    let authority = Authority::new();
    let gateway = Fake::new(vec![serving(authority.server("nexo.example.com"))]);
    let error = claim_with(&authority.pem(), &gateway.code("wss")).await.err().unwrap();
    assert!(matches!(error, ClientError::Unreachable { step: Step::Tls, .. }), "{error:?}");
    assert_eq!(gateway.claims(), [None]);
}
