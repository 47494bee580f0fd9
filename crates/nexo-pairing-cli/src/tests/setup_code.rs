//! Where commands take a setup code from, and how they refuse it.

use nexo_pairing::setup_code::{SetupCodeFormat, TokenClaims, UnsignedSetupCode};
use time::OffsetDateTime;

use super::*;

/// The sample of `docs/protocol.md`.
const COMPACT: &[u8] = b"AICGWSOSHRNFUWS2LJNFUWS2LJNFUAAMIFXGCJ3TEBUVA2DPNZSQAEDOMV4G6LTFPBQW24DMMUXGG33NUWS2LJNFUWS2LJNFUWS2LJNFUU\n";

#[tokio::test]
async fn a_code_comes_from_a_pipe_a_file_or_an_argument() {
    let machine = Machine::new("{}");
    let file = machine.0.path().join("code.txt");
    std::fs::write(&file, COMPACT).unwrap();
    let code = str::from_utf8(COMPACT).unwrap();
    for (command, stdin) in [
        ("decode".to_owned(), COMPACT),
        ("decode --file -".to_owned(), COMPACT),
        (format!("decode --file {}", file.display()), b""),
        (format!("decode --code {code}"), b""),
    ] {
        let (exit, lines, error) = machine.run(&command, stdin).await;
        assert_eq!(exit, Exit::Done, "{command}: {error}");
        assert_eq!(lines[0]["url"], "wss://nexo.example.com/pair");
    }
    assert!(!machine.database().exists());
}

#[tokio::test]
async fn the_error_for_a_bad_code_shows_whose_fault_it_is() {
    let machine = Machine::new("{}");
    let folder = machine.0.path().display();
    for (command, stdin, exit, kind) in [
        ("decode", &b""[..], Exit::Usage, "usage"),
        ("decode", b"\xff\xfe", Exit::Usage, "usage"),
        (&format!("decode --file {folder}"), b"", Exit::Usage, "usage"),
        (&format!("decode --file {folder}/none"), b"", Exit::Storage, "io"),
        ("decode", b"eyJ1cmwi", Exit::Refused, "malformed"),
        ("decode --code nonsense", b"", Exit::Refused, "malformed"),
    ] {
        let (ended, lines, error) = machine.run(command, stdin).await;
        assert_eq!((ended, error["error"]["kind"].as_str()), (exit, Some(kind)), "{command}");
        assert!(lines.is_empty());
    }
}

#[tokio::test]
async fn a_claim_without_connecting_shows_the_contents_of_the_code() {
    let machine = Machine::new("{}");
    let (exit, claimed, _) = machine.run("claim --no-connect", COMPACT).await;
    assert_eq!((exit, claimed[0]["device_label"].as_str()), (Exit::Done, Some("Ana's iPhone")));
    assert_eq!(claimed, machine.run("decode", COMPACT).await.1);
}

#[tokio::test]
async fn an_expired_code_is_not_presented() {
    let machine = Machine::new("{}");
    let expires_at = OffsetDateTime::now_utc() - time::Duration::MINUTE;
    let claims = TokenClaims::new("companion-v1".into(), expires_at, "5a".repeat(16), None);
    // A connection would be refused, with another kind of error.
    let code = UnsignedSetupCode::new(SetupCodeFormat::V1, "ws://127.0.0.1:1", &claims).unwrap();
    let payload = code.sign_with(&[7; 32]).payload().unwrap();
    let (exit, _, error) = machine.run(&format!("claim --code {payload}"), b"").await;
    assert_eq!((exit, error["error"]["kind"].as_str()), (Exit::Refused, Some("expired")));
    assert!(error["error"]["hint"].as_str().unwrap().contains("clock"), "{error}");
}
