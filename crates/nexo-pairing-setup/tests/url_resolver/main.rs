//! The sources of the URL, and which URLs are accepted.
#![expect(clippy::unwrap_used, reason = "a test stops at the first failure")]

mod property;
mod table;
mod tunnel;

use std::error::Error;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use nexo_pairing_core::SystemClock;
use nexo_pairing_setup::url_resolver::{ResolveError, UrlInputs, UrlProblem, UrlSource, resolve};
use tempfile::TempDir;

fn no_source() -> UrlInputs {
    UrlInputs::new(SystemClock::shared())
}

fn flag(url: &str) -> UrlInputs {
    let mut inputs = no_source();
    inputs.flag = Some(url.to_owned());
    inputs
}

/// The message of an error with its causes, as it is printed.
fn message_of(error: &ResolveError) -> String {
    let cause = error.source().map(|cause| format!(": {cause}")).unwrap_or_default();
    format!("{error}{cause}")
}

/// A file with this content, mode 0600.
fn write(home: &TempDir, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
    let path = home.path().join(name);
    fs::write(&path, content).unwrap();
    fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
    path
}

fn tunnel(path: &Path) -> UrlInputs {
    let mut inputs = no_source();
    inputs.tunnel_file = Some(path.to_owned());
    inputs
}

#[test]
fn the_first_source_that_is_set_wins_and_is_named() {
    let home = TempDir::new().unwrap();
    let file = write(&home, "tunnel.url", "wss://file.example\n");
    let mut inputs = tunnel(&file);
    let source = |inputs: &UrlInputs| {
        let resolved = resolve(inputs).unwrap();
        (resolved.url, resolved.source.as_str(), resolved.source.to_string())
    };
    let expected = |url: &str, name: &'static str| (url.to_owned(), name, name.to_owned());
    let path = file.display().to_string();
    assert_eq!(source(&inputs), ("wss://file.example/pair".to_owned(), "tunnel.url", path));
    inputs.tunnel_url = Some("wss://variable.example".to_owned());
    assert_eq!(source(&inputs), expected("wss://variable.example/pair", "NEXO_TUNNEL_URL"));
    inputs.public_url = Some("wss://config.example".to_owned());
    assert_eq!(source(&inputs), expected("wss://config.example/pair", "pairing.public_url"));
    inputs.flag = Some("wss://flag.example".to_owned());
    assert_eq!(source(&inputs), expected("wss://flag.example/pair", "--public-url"));
}

#[test]
fn an_invalid_source_is_never_skipped() {
    let home = TempDir::new().unwrap();
    let mut inputs = tunnel(&write(&home, "tunnel.url", "wss://file.example"));
    inputs.tunnel_url = Some("ws://evil.example".to_owned());
    let error = resolve(&inputs).unwrap_err();
    assert!(message_of(&error).contains("from NEXO_TUNNEL_URL"), "{error}");
    assert_eq!(error.kind(), "insecure_url");
    inputs.public_url = Some(String::new());
    let error = resolve(&inputs).unwrap_err();
    assert_eq!(
        message_of(&error),
        "the URL `` from pairing.public_url cannot be used: it is empty"
    );
    assert_eq!(error.kind(), "invalid_url");
    inputs.flag = Some("ftp://h".to_owned());
    assert!(message_of(&resolve(&inputs).unwrap_err()).contains("`ftp://h` from --public-url"));
}

#[test]
fn an_empty_variable_counts_as_not_set() {
    let mut inputs = no_source();
    for empty in ["", " ", "\n"] {
        inputs.tunnel_url = Some(empty.to_owned());
        assert!(matches!(resolve(&inputs), Err(ResolveError::LoopbackOnly)), "{empty:?}");
    }
}

#[test]
fn without_any_source_the_gateway_is_loopback_only() {
    let error = resolve(&no_source()).unwrap_err();
    assert_eq!(error.kind(), "loopback_only");
    assert!(error.hint().contains("--public-url"), "{}", error.hint());
}

#[test]
fn listed_hosts_need_no_encryption() {
    let mut inputs = flag("ws://my.cool.host:9090");
    for (entry, url) in [
        ("my.cool.host", "ws://my.cool.host:9090"),
        (" My.Cool.Host. ", "ws://my.cool.host"),
        ("my.cool.host", "ws://my.cool.host."),
        ("bücher.example", "ws://xn--bcher-kva.example"),
        ("203.0.113.5", "http://203.0.113.5"),
        ("203.0.113.5", "ws://[::ffff:203.0.113.5]"),
        ("2001:db8::1", "ws://[2001:db8:0::1]"),
        ("[2001:db8::1]", "ws://[2001:db8::1]"),
        ("kitchen-pi.local", "ws://kitchen-pi.local"),
    ] {
        inputs.flag = Some(url.to_owned());
        inputs.ws_cleartext_allow = vec!["other.example".to_owned(), entry.to_owned()];
        let warnings = resolve(&inputs).unwrap().warnings;
        assert_eq!(warnings[0].kind(), "cleartext", "{entry} {url}");
        assert!(warnings[0].to_string().contains("can read the session token"));
    }
    for (entry, url) in [
        ("my.cool.host", "ws://your.cool.host"),
        ("cool.host", "ws://my.cool.host"),
        ("my.cool.host", "ws://my.cool.host.evil.com"),
        ("203.0.113.5", "ws://203.0.113.50"),
    ] {
        inputs.flag = Some(url.to_owned());
        inputs.ws_cleartext_allow = vec![entry.to_owned()];
        let error = resolve(&inputs).unwrap_err();
        assert_eq!(error.kind(), "insecure_url", "{entry} {url}");
    }
}

#[test]
fn listed_entries_that_are_not_hosts_are_reported() {
    let long = "a".repeat(1000);
    for entry in
        ["", "*", "*.lan", "http://kitchen", "kitchen:9090", "kitchen/pair", "a b", "a..b", &long]
    {
        let mut inputs = flag("wss://nexo.example.com");
        inputs.ws_cleartext_allow = vec![entry.to_owned()];
        let error = resolve(&inputs).unwrap_err();
        assert!(matches!(error, ResolveError::CleartextHost { .. }), "{entry}");
        assert!(
            message_of(&error).contains("ws_cleartext_allow") && message_of(&error).len() < 300
        );
    }
}

#[test]
fn user_information_is_never_shown() {
    for url in [
        "wss://user:s3cret@h",
        "wss://s3cret@h",
        "wss://user:s3cret@h:70000/#f",
        "wss://user:s3c/ret:s3cret@h",
        "wss://user:a@s3cret@h",
        "wss://user:s3cret＠h",
        "user:s3cret@h",
        "user:s3cret@h://x",
        "s3cret://@h",
        "s3cret x://@h",
        "mailto:s3cret@h",
        "wss://user:s3cret@h/\u{1b}[2J",
    ] {
        let error = resolve(&flag(url)).unwrap_err();
        let shown = format!("{} {error:?} {:?}", message_of(&error), flag(url));
        let is_scheme = url.starts_with("s3cret://");
        assert_eq!(shown.contains("s3cret"), is_scheme, "{shown}");
        assert!(!shown.contains('\u{1b}'), "{shown}");
    }
    assert!(format!("{:?}", flag("wss://user:s3cret@h/p")).contains("wss://…@h/p"));
    let error = resolve(&flag("wss://user:s3cret@h/p")).unwrap_err();
    assert_eq!(
        message_of(&error),
        "the URL `wss://…@h/p` from --public-url cannot be used: it contains user \
         information, before an `@`"
    );
}

#[test]
fn programs_can_match_on_the_problem() {
    match resolve(&flag("wss://h:0")) {
        Err(ResolveError::Invalid { origin, problem, value }) => {
            assert_eq!(
                (origin, problem, value.as_str()),
                (UrlSource::Flag, UrlProblem::Port, "wss://h:0")
            );
        }
        other => panic!("{other:?}"),
    }
}
