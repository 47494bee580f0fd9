//! The file to which a tunnel writes its URL.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::Path;
use std::time::{Duration, SystemTime};

use nexo_pairing_core::ManualClock;
use nexo_pairing_setup::url_resolver::{
    ResolveError, TunnelFileProblem, UrlInputs, UrlSource, resolve,
};
use tempfile::TempDir;
use time::OffsetDateTime;

use crate::table::{SCHEME, answer};
use crate::{message_of, tunnel, write};

fn refused(path: &Path) -> TunnelFileProblem {
    match resolve(&tunnel(path)) {
        Err(ResolveError::TunnelFile { problem, .. }) => problem,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_tunnel_file_is_trimmed_and_empty_counts_as_absent() {
    let home = TempDir::new().unwrap();
    for content in ["wss://t.example", "wss://t.example\n", " \r\n\twss://t.example \r\n\n"] {
        assert_eq!(answer(&tunnel(&write(&home, "t", content))), "wss://t.example/pair");
    }
    let padded = format!("wss://t.example{}", " ".repeat(4096 - 15));
    // 4096 bytes are read. White space does not count towards the length of the URL.
    assert_eq!(answer(&tunnel(&write(&home, "t", padded))), "wss://t.example/pair");
    for content in ["", "\n", " \t\r\n", &" ".repeat(4096)] {
        let absent = resolve(&tunnel(&write(&home, "t", content)));
        assert!(matches!(absent, Err(ResolveError::LoopbackOnly)), "{content:?}");
    }
    let absent = resolve(&tunnel(&home.path().join("missing")));
    assert!(matches!(absent, Err(ResolveError::LoopbackOnly)));
}

#[test]
fn a_tunnel_file_with_anything_else_in_it_is_refused() {
    let home = TempDir::new().unwrap();
    for content in ["wss://a\nwss://b", "wss://a\r\nwss://b\r\n", "wss://a\rwss://b", "wss\n://a"] {
        let problem = refused(&write(&home, "t", content));
        assert!(matches!(problem, TunnelFileProblem::SeveralLines), "{content:?}: {problem}");
    }
    for length in [4097, 1 << 20] {
        for filler in [" ", "a"] {
            let problem = refused(&write(&home, "t", filler.repeat(length)));
            assert!(matches!(problem, TunnelFileProblem::TooLong { max: 4096 }), "{problem}");
        }
    }
    let problem = refused(&write(&home, "t", b"wss://\xff"));
    assert!(matches!(problem, TunnelFileProblem::NotUtf8), "{problem}");
    // A byte order mark is not white space.
    assert_eq!(answer(&tunnel(&write(&home, "t", "\u{feff}wss://h"))), SCHEME);
}

#[test]
fn a_tunnel_file_must_be_a_regular_file_of_ours_that_others_cannot_write() {
    let home = TempDir::new().unwrap();
    let path = write(&home, "t", "wss://t.example");
    for mode in [0o600, 0o400, 0o644, 0o640, 0o755] {
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        assert_eq!(answer(&tunnel(&path)), "wss://t.example/pair", "{mode:o}");
    }
    for mode in [0o620, 0o664, 0o602, 0o666, 0o777] {
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        let error = resolve(&tunnel(&path)).unwrap_err();
        let expected = format!(
            "the file {} cannot be used: others can write to it (mode {mode:04o})",
            path.display()
        );
        assert_eq!(message_of(&error), expected);
        assert_eq!(error.hint(), format!("chmod go-w {}", path.display()));
    }
    fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
    for (link, target) in [("link", path.as_path()), ("dangling", Path::new("/missing"))] {
        let link = home.path().join(link);
        symlink(target, &link).unwrap();
        assert!(matches!(refused(&link), TunnelFileProblem::Symlink));
    }
    assert!(matches!(refused(home.path()), TunnelFileProblem::NotAFile));
    let pipe = home.path().join("pipe");
    rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, rustix::fs::Mode::RUSR).unwrap();
    assert!(matches!(refused(&pipe), TunnelFileProblem::NotAFile));
    let socket = home.path().join("socket");
    let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    assert!(matches!(refused(&socket), TunnelFileProblem::NotAFile));
    let below = path.join("below");
    assert!(matches!(refused(&below), TunnelFileProblem::Io(_)));
    let hint = |path: &Path| resolve(&tunnel(path)).unwrap_err().hint();
    assert_eq!(hint(&below), format!("check its permissions: ls -la {}", below.display()));
    assert!(hint(&pipe).ends_with(&format!("rm {}", pipe.display())));
    // Only root can give a file away.
    if rustix::process::geteuid().is_root() {
        chown(&path, Some(12345), None).unwrap();
        let problem = refused(&path);
        assert_eq!(problem.to_string(), "it belongs to user 12345, not to 0");
        assert_eq!(hint(&path), format!("as root: chown 0 {}", path.display()));
    }
}

#[test]
fn the_age_of_a_tunnel_file_is_reported() {
    let home = TempDir::new().unwrap();
    let path = write(&home, "t", "wss://t.example");
    let age = |written: SystemTime| {
        File::open(&path).unwrap().set_modified(written).unwrap();
        let now = OffsetDateTime::from_unix_timestamp(1_800_000_000).unwrap();
        let mut inputs = UrlInputs::new(ManualClock::new(now));
        inputs.tunnel_file = Some(path.clone());
        match resolve(&inputs).unwrap().source {
            UrlSource::TunnelFile { age, path: file } => {
                assert_eq!(file, path);
                age
            }
            source => panic!("{source:?}"),
        }
    };
    let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
    assert_eq!(age(at(1_800_000_000)), Some(Duration::ZERO));
    assert_eq!(age(at(1_799_999_000)), Some(Duration::from_secs(1000)));
    assert_eq!(age(at(0)), Some(Duration::from_secs(1_800_000_000)));
    // The clock was set back.
    assert_eq!(age(at(1_800_000_001)), None);
    assert_eq!(age(at(15_000_000_000)), None);
}
