//! Connections with TLS.

use std::fs;

use data_encoding::BASE64;
use nexo_pairing_nats::{Bus, NatsError, NatsOptions};
use nexo_pairing_nats_server::NatsServer;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};

use crate::support::{options, within};

type Authority = CertifiedIssuer<'static, KeyPair>;

fn authority() -> Authority {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// Writes a certificate of `authority` for `name` and its key, as `<file>.pem` and `<file>.key`.
fn issue(authority: &Authority, name: &str, folder: &std::path::Path, file: &str) {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new([name.to_owned()]).unwrap();
    let certificate = params.signed_by(&key, authority).unwrap();
    fs::write(folder.join(format!("{file}.pem")), pem("CERTIFICATE", certificate.der())).unwrap();
    fs::write(folder.join(format!("{file}.key")), pem("PRIVATE KEY", &key.serialize_der()))
        .unwrap();
}

fn pem(what: &str, der: &[u8]) -> String {
    format!("-----BEGIN {what}-----\n{}\n-----END {what}-----\n", BASE64.encode(der))
}

/// A server with TLS, and its certificate authority, whose certificate is in `ca.pem`.
fn server(name: &str, ask_clients: bool) -> (NatsServer, Authority) {
    let authority = authority();
    let server = NatsServer::with(|folder| {
        issue(&authority, name, folder, "server");
        fs::write(folder.join("ca.pem"), pem("CERTIFICATE", authority.der())).unwrap();
        let file = |name: &str| folder.join(name).display().to_string();
        let (certificate, key, ca) = (file("server.pem"), file("server.key"), file("ca.pem"));
        let clients =
            if ask_clients { format!("ca_file: {ca:?}, verify: true") } else { String::new() };
        format!("tls {{ cert_file: {certificate:?}, key_file: {key:?}, {clients} }}")
    });
    (server, authority)
}

fn failed(bus: Result<Bus, NatsError>) -> String {
    match bus {
        Err(NatsError::Connect { source, .. }) => source.to_string(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn only_the_given_authority_is_trusted() {
    let (server, _) = server("127.0.0.1", false);
    // The server requires TLS, whatever the URL.
    for url in [server.url(), server.url().replace("nats://", "tls://")] {
        let mut options = NatsOptions::new([url]).unwrap();
        let unknown = failed(within(Bus::connect(options.clone())).await);
        assert!(unknown.contains("UnknownIssuer"), "{unknown}");
        options.ca_file = Some(server.path("ca.pem"));
        within(Bus::connect(options)).await.unwrap().flush().await.unwrap();
    }
}

#[tokio::test]
async fn a_certificate_for_another_name_is_refused() {
    let (server, _) = server("nats.example.com", false);
    let mut options = options(&server);
    options.ca_file = Some(server.path("ca.pem"));
    let error = failed(within(Bus::connect(options)).await);
    assert!(error.contains("not valid for name"), "{error}");
}

#[tokio::test]
async fn a_server_may_require_our_certificate() {
    let (server, authority) = server("127.0.0.1", true);
    let mut options = options(&server);
    options.ca_file = Some(server.path("ca.pem"));
    failed(within(Bus::connect(options.clone())).await);
    issue(&authority, "pairing", server.path("").as_path(), "client");
    options.client_certificate = Some((server.path("client.pem"), server.path("client.key")));
    within(Bus::connect(options)).await.unwrap().flush().await.unwrap();
}

#[tokio::test]
async fn a_connection_that_requires_tls_refuses_a_server_without_it() {
    let server = NatsServer::start();
    let mut required = options(&server);
    required.require_tls = true;
    required.connect_timeout = std::time::Duration::from_secs(1);
    failed(within(Bus::connect(required)).await);
    let by_url = NatsOptions::new([server.url().replace("nats://", "tls://")]).unwrap();
    failed(within(Bus::connect(by_url)).await);
}

#[tokio::test]
async fn a_file_without_a_certificate_is_named() {
    let server = NatsServer::start();
    let path = server.path("ca.pem");
    fs::write(&path, "nothing").unwrap();
    let mut options = options(&server);
    options.ca_file = Some(path.clone());
    let error = Bus::connect(options).await.unwrap_err();
    assert!(matches!(&error, NatsError::File { path: named, .. } if *named == path), "{error:?}");
}
