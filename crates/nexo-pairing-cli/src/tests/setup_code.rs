//! Which setup code a command takes, and how it says that it has none.

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
async fn what_is_no_code_is_told_by_whose_fault_it_is() {
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
