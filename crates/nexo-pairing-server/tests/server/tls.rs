//! TLS.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use nexo_pairing_server::{Server, ServerError, TlsError, TlsFiles};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::certificate::{Certificate, write};
use crate::support::{
    Running, World, claim, exchange, frame, is_closed, post, upgrade, websocket_answer,
};

async fn serve(world: &World, files: &TlsFiles) -> Result<Running, ServerError> {
    let mut options = world.options();
    options.tls = Some(files.clone());
    Server::bind(options).await.map(Running::run)
}

#[tokio::test]
async fn claims_are_accepted_over_tls_by_both_transports() {
    let world = World::new().await;
    let certificate = Certificate::new(&world, "tls");
    let server = serve(&world, &certificate.files).await.unwrap();
    let stream = certificate.connect(&server).await.unwrap();
    assert_eq!(exchange(stream, &post(&claim(&world.code()))).await.status, 200);

    let mut stream = certificate.connect(&server).await.unwrap();
    let sent = [upgrade().into_bytes(), frame(0x81, claim(&world.code()).as_bytes())].concat();
    stream.write_all(&sent).await.unwrap();
    let (told, close) = websocket_answer(&mut stream).await;
    assert!(told.unwrap()["session_token"].is_string());
    assert_eq!(close, Some(1000));
}

#[tokio::test]
async fn cleartext_is_rejected_with_tls() {
    let world = World::new().await;
    let certificate = Certificate::new(&world, "tls");
    let server = serve(&world, &certificate.files).await.unwrap();
    let mut stream = server.connect().await;
    stream.write_all(post(&claim(&world.code())).as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    assert!(!answer.starts_with(b"HTTP"));
    assert_eq!(world.live_sessions().await, 0);
}

#[tokio::test]
async fn a_connection_without_a_tls_handshake_is_dropped_in_time() {
    let world = World::new().await;
    let mut options = world.options();
    options.tls = Some(Certificate::new(&world, "tls").files);
    options.handshake_timeout = std::time::Duration::from_millis(300);
    let server = Running::start(options).await;
    assert!(is_closed(&mut server.connect().await).await);
}

#[tokio::test]
async fn a_valid_new_certificate_is_used_after_a_reload() {
    let world = World::new().await;
    let old = Certificate::new(&world, "tls");
    let server = serve(&world, &old.files).await.unwrap();
    fs::write(&old.files.cert, "nonsense").unwrap();
    server.handle.reload_tls().await.unwrap_err();
    old.connect(&server).await.unwrap();
    let new = Certificate::new(&world, "tls");
    old.connect(&server).await.unwrap();
    server.handle.reload_tls().await.unwrap();
    new.connect(&server).await.unwrap();
    old.connect(&server).await.unwrap_err();
}

async fn refused(world: &World, files: &TlsFiles) -> TlsError {
    match serve(world, files).await {
        Err(ServerError::Tls(error)) => error,
        Err(error) => panic!("{error}"),
        Ok(_) => panic!("it was taken"),
    }
}

#[tokio::test]
async fn an_invalid_file_is_named() {
    let world = World::new().await;
    let good = Certificate::new(&world, "good").files;
    let other = Certificate::new(&world, "other").files;
    let with = |cert: &PathBuf, key: &PathBuf| TlsFiles::new(cert.clone(), key.clone());
    let path = |name: &str| world.path(name);

    let error = refused(&world, &with(&path("none"), &good.key)).await;
    assert!(matches!(&error, TlsError::Read { path: wrong, .. } if *wrong == path("none")));
    let error = refused(&world, &with(&good.key, &good.key)).await;
    assert!(matches!(&error, TlsError::NoCertificate { path } if *path == good.key));
    let error = refused(&world, &with(&good.cert, &good.cert)).await;
    assert!(matches!(&error, TlsError::NoKey { path } if *path == good.cert));
    let error = refused(&world, &with(&good.cert, &other.key)).await;
    assert!(matches!(&error, TlsError::Mismatch { .. }), "{error}");
    let damaged = write(&world, "damaged", "CERTIFICATE", b"nonsense");
    let error = refused(&world, &with(&damaged, &good.key)).await;
    assert!(matches!(&error, TlsError::Unusable { path, .. } if *path == damaged), "{error:?}");
    let damaged = write(&world, "damaged", "PRIVATE KEY", b"nonsense");
    let error = refused(&world, &with(&good.cert, &damaged)).await;
    assert!(matches!(&error, TlsError::Unusable { path, .. } if *path == damaged), "{error:?}");
    fs::write(&damaged, "-----BEGIN CERTIFICATE-----\n").unwrap();
    let error = refused(&world, &with(&damaged, &good.key)).await;
    assert!(matches!(&error, TlsError::Pem { path, .. } if *path == damaged), "{error:?}");
}

#[tokio::test]
async fn a_key_may_be_readable_by_its_group_but_not_by_others() {
    let world = World::new().await;
    let files = Certificate::new(&world, "tls").files;
    for (mode, is_refused) in
        [(0o604, true), (0o620, true), (0o602, true), (0o640, false), (0o400, false)]
    {
        fs::set_permissions(&files.key, fs::Permissions::from_mode(mode)).unwrap();
        let served = serve(&world, &files).await;
        assert_eq!(served.is_err(), is_refused, "{mode:o}");
        if let Err(ServerError::Tls(error)) = served {
            assert!(error.hint().unwrap().starts_with("chmod g-w,o= "), "{error}");
        }
    }
}
