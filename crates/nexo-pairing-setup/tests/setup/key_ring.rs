//! Rotating, retiring and reloading keys.

use std::fs;
use std::os::unix::fs::symlink;

use nexo_pairing_setup::{KeyError, KeyId};

use crate::support::{Keys, both, key_bytes, mode, names, write_key};

#[test]
fn a_code_verifies_until_its_key_is_retired() {
    let keys = Keys::new();
    let issuer = keys.open().unwrap();
    let old = issuer.keys()[0].id;
    let before = both(&issuer, None);
    let new = issuer.rotate().unwrap();
    assert_ne!(old, new);
    let after = both(&issuer, None);
    let listed: Vec<_> = issuer.keys().iter().map(|key| (key.id, key.is_current)).collect();
    assert_eq!(listed, [(new, true), (old, false)]);
    for code in before.iter().chain(&after) {
        issuer.verify(&code.bootstrap_token).unwrap();
    }
    issuer.retire(old).unwrap();
    for code in &before {
        let error = issuer.verify(&code.bootstrap_token).unwrap_err();
        assert_eq!(error.kind(), "invalid_signature");
    }
    for code in &after {
        issuer.verify(&code.bootstrap_token).unwrap();
    }
    assert_eq!(names(keys.folder()), ["pairing.key", "pairing.key.d"]);
    assert_eq!(names(&keys.ring()), [".lock"]);
}

#[test]
fn the_files_of_the_ring_are_private() {
    let keys = Keys::new();
    let issuer = keys.open().unwrap();
    let old = issuer.keys()[0].clone();
    issuer.rotate().unwrap();
    assert_eq!(mode(&keys.ring()), 0o700);
    for file in [keys.path(), keys.ring().join(old.id.to_string()), keys.ring().join(".lock")] {
        assert_eq!(mode(&file), 0o600, "{}", file.display());
    }
    let kept = issuer.keys().into_iter().find(|key| key.id == old.id).unwrap();
    assert_eq!(kept.modified, old.modified, "when it was created, not when it was rotated out");
}

#[test]
fn another_process_sees_a_change_when_it_reloads() {
    let keys = Keys::new();
    let (server, operator) = (keys.open().unwrap(), keys.open().unwrap());
    assert!(!server.reload().unwrap());
    let old = server.keys()[0].id;
    operator.rotate().unwrap();
    let code = &both(&operator, None)[0];
    assert_eq!(server.verify(&code.bootstrap_token).unwrap_err().kind(), "invalid_signature");
    assert!(server.reload().unwrap());
    server.verify(&code.bootstrap_token).unwrap();
    assert!(!server.reload().unwrap());
    operator.retire(old).unwrap();
    assert!(server.reload().unwrap());
    assert_eq!(server.keys(), operator.keys());
}

#[test]
fn an_unreadable_ring_leaves_the_previous_one_in_use() {
    let keys = Keys::new();
    let issuer = keys.open().unwrap();
    let code = &both(&issuer, None)[0];
    fs::rename(keys.path(), keys.folder().join("away")).unwrap();
    assert!(matches!(issuer.reload().unwrap_err(), KeyError::Missing { .. }));
    assert!(!keys.path().exists(), "a reload creates no key");
    issuer.verify(&code.bootstrap_token).unwrap();
}

#[test]
fn the_current_key_and_an_unknown_one_cannot_be_retired() {
    let keys = Keys::new();
    let issuer = keys.open().unwrap();
    let current = issuer.keys()[0].id;
    let unknown = KeyId::parse("00000000").unwrap();
    for _ in 0..2 {
        let error = issuer.retire(issuer.keys()[0].id).unwrap_err();
        assert_eq!(error.kind(), "current_key");
        assert!(error.hint().unwrap().contains("keys rotate"));
        assert_eq!(issuer.retire(unknown).unwrap_err().kind(), "unknown_key");
        issuer.rotate().unwrap();
    }
    issuer.retire(current).unwrap();
    assert_eq!(issuer.retire(current).unwrap_err().kind(), "unknown_key");
}

#[test]
fn an_interrupted_rotation_does_no_harm() {
    let keys = Keys::new();
    let issuer = keys.open().unwrap();
    let current = issuer.keys()[0].id;
    // The old key has its second name, the new one was never created.
    fs::create_dir(keys.ring()).unwrap();
    fs::hard_link(keys.path(), keys.ring().join(current.to_string())).unwrap();
    fs::write(keys.ring().join(".new"), "half").unwrap();
    let issuer = keys.open().unwrap();
    assert_eq!(issuer.keys().len(), 1);
    assert_eq!(issuer.retire(current).unwrap_err().kind(), "current_key");
    issuer.rotate().unwrap();
    assert_eq!(issuer.keys().len(), 2);
    assert_eq!(names(&keys.ring()), [".lock".to_owned(), current.to_string()]);
}

#[test]
fn retiring_also_removes_the_temporary_file_of_a_killed_process() {
    let keys = Keys::new();
    let issuer = keys.open().unwrap();
    let first = issuer.keys()[0].id;
    // It was killed after it had linked the key.
    fs::hard_link(keys.path(), keys.folder().join(format!(".pairing.key.{first}.tmp"))).unwrap();
    issuer.rotate().unwrap();
    issuer.retire(first).unwrap();
    assert_eq!(names(keys.folder()), ["pairing.key", "pairing.key.d"]);
}

#[test]
fn foreign_files_in_the_ring_are_ignored_or_refused() {
    let keys = Keys::new();
    let issuer = keys.open().unwrap();
    let old = issuer.keys()[0].id;
    issuer.rotate().unwrap();
    let ring = keys.ring();
    for name in ["README", "0123abc", "0123ABCD", "0123abcd.bak"] {
        fs::write(ring.join(name), "ignored").unwrap();
    }
    assert!(!issuer.reload().unwrap());

    let wrong = ring.join("0123abcd");
    write_key(&wrong, &key_bytes(0));
    let error = issuer.reload().unwrap_err();
    let KeyError::Name { found, .. } = &error else { panic!("{error}") };
    let right = ring.join(found.to_string());
    let expected = format!("mv {} {}", wrong.display(), right.display());
    assert_eq!(error.hint().unwrap(), expected);
    fs::rename(&wrong, &right).unwrap();
    assert!(issuer.reload().unwrap());
    assert_eq!(issuer.keys().len(), 3);

    fs::remove_file(&right).unwrap();
    symlink(ring.join(old.to_string()), &right).unwrap();
    assert!(matches!(issuer.reload().unwrap_err(), KeyError::Symlink { .. }));
    fs::remove_file(&right).unwrap();
    write_key(&right, &[0; 31]);
    assert!(matches!(issuer.reload().unwrap_err(), KeyError::Length { .. }));
}

#[test]
fn a_key_that_disappears_while_the_ring_is_read_is_skipped() {
    let keys = Keys::new();
    keys.open().unwrap().rotate().unwrap();
    // Its name is listed, but opening it fails.
    symlink("nowhere", keys.ring().join("0123abcd")).unwrap();
    assert_eq!(keys.open_external().unwrap().keys().len(), 2);
}

#[test]
fn there_is_a_current_key_while_keys_rotate() {
    let keys = Keys::new();
    let issuer = keys.open().unwrap();
    let first = both(&issuer, None);
    std::thread::scope(|scope| {
        let rotating = scope.spawn(|| {
            for _ in 0..50 {
                issuer.rotate().unwrap();
            }
        });
        let mut opened = 0;
        // As external keys: it would fail rather than create one.
        while !rotating.is_finished() || opened == 0 {
            let other = keys.open_external().unwrap();
            for code in &first {
                other.verify(&code.bootstrap_token).unwrap();
            }
            opened += 1;
        }
    });
    assert_eq!(issuer.keys().len(), 51);
}

#[test]
fn an_unlistable_ring_is_an_error_and_not_an_empty_ring() {
    let keys = Keys::holding(&key_bytes(0));
    fs::write(keys.ring(), "").unwrap();
    let error = keys.open().unwrap_err();
    assert!(error.to_string().contains("pairing.key.d"), "{error}");
}
