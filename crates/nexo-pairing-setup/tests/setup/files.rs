//! Valid and invalid key files.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Command;

use nexo_pairing_setup::{KeyError, SetupCodeIssuer};
use rustix::process::geteuid;

use crate::support::{Keys, both, key_bytes, mode, names, write_key};

/// The error for an invalid file, which must be left unchanged.
fn refused(keys: &Keys) -> KeyError {
    let before = fs::symlink_metadata(keys.path()).unwrap();
    let error = keys.open().unwrap_err();
    let after = fs::symlink_metadata(keys.path()).unwrap();
    assert_eq!(before.len(), after.len());
    assert_eq!(before.permissions(), after.permissions());
    assert_eq!(names(keys.folder()).iter().filter(|name| name.ends_with(".tmp")).count(), 0);
    error
}

fn hint(error: &KeyError) -> String {
    error.hint().unwrap()
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

#[test]
fn a_key_is_created_once_with_its_folder_and_private() {
    let keys = Keys::new();
    let deep = keys.folder().join("state/secret");
    let path = deep.join("pairing.key");
    let options = keys.options();
    let issuer = SetupCodeIssuer::open_with(&path, options.clone()).unwrap();
    assert_eq!((mode(&path), fs::metadata(&path).unwrap().len()), (0o600, 32));
    assert_eq!((mode(&deep), mode(deep.parent().unwrap())), (0o700, 0o700));
    assert_eq!(names(&deep), ["pairing.key"], "nothing is left behind");
    let again = SetupCodeIssuer::open_with(&path, options).unwrap();
    assert_eq!(issuer.keys(), again.keys());
    for code in both(&issuer, None) {
        again.verify(&code.bootstrap_token).unwrap();
    }
    assert_ne!(Keys::new().open().unwrap().keys()[0].id, issuer.keys()[0].id);
}

#[test]
fn a_file_of_another_length_is_refused() {
    for length in [0, 31, 33, 4096] {
        let keys = Keys::holding(&vec![7; length]);
        let error = refused(&keys);
        assert!(matches!(error, KeyError::Length { length: found, .. } if found == length as u64));
        assert!(hint(&error).contains(&format!("mv {}", keys.path().display())));
        assert_eq!(fs::read(keys.path()).unwrap(), vec![7; length], "never overwritten");
    }
}

#[test]
fn a_file_that_others_can_access_is_refused() {
    for bits in [0o644, 0o640, 0o604, 0o620, 0o602, 0o610, 0o601, 0o666, 0o777] {
        let keys = Keys::holding(&key_bytes(0));
        set_mode(&keys.path(), bits);
        let error = refused(&keys);
        assert!(matches!(error, KeyError::Mode { mode, .. } if mode == bits), "{error}");
        assert!(error.to_string().contains(&format!("{bits:04o}")), "{error}");
        assert_eq!(hint(&error), format!("chmod 600 {}", keys.path().display()));
    }
    for bits in [0o600, 0o400, 0o700] {
        let keys = Keys::holding(&key_bytes(0));
        set_mode(&keys.path(), bits);
        keys.open().unwrap();
    }
}

#[test]
fn anything_but_a_regular_file_is_refused() {
    let keys = Keys::new();
    fs::create_dir(keys.path()).unwrap();
    let error = refused(&keys);
    assert!(matches!(error, KeyError::NotAFile { .. }), "{error}");
    assert!(hint(&error).contains("pairing.key/pairing.key"), "{}", hint(&error));

    let keys = Keys::new();
    assert!(Command::new("mkfifo").arg(keys.path()).status().unwrap().success());
    assert!(matches!(refused(&keys), KeyError::NotAFile { .. }), "a pipe, which does not block");

    let keys = Keys::new();
    let _socket = UnixListener::bind(keys.path()).unwrap();
    assert!(matches!(refused(&keys), KeyError::NotAFile { .. }), "a socket");
}

#[test]
fn a_symbolic_link_is_refused_whatever_its_target() {
    let keys = Keys::new();
    let target = keys.folder().join("elsewhere");
    symlink(&target, keys.path()).unwrap();
    for _ in 0..2 {
        let error = refused(&keys);
        assert!(matches!(error, KeyError::Symlink { .. }), "{error}");
        assert!(hint(&error).contains("secret_external") && hint(&error).contains("mv "));
        // First it is dangling, and no key is created at its target; then it leads to a valid key.
        write_key(&target, &key_bytes(0));
    }
}

#[test]
fn a_file_of_another_user_is_refused() {
    let keys = Keys::holding(&key_bytes(0));
    let us = geteuid().as_raw();
    let (path, owner) = if us == 0 {
        chown(keys.path(), Some(12_345), None).unwrap();
        (keys.path(), 12_345)
    } else {
        ("/etc/passwd".into(), 0)
    };
    let options = keys.options();
    let error = SetupCodeIssuer::open_with(&path, options).unwrap_err();
    assert!(matches!(error, KeyError::Owner { owner: found, .. } if found == owner), "{error}");
    let expected = match us {
        0 => format!("as root: chown 0 {}", path.display()),
        _ => "run it as the owner of the folder: sudo -u '#0' nexo-pair …".to_owned(),
    };
    assert_eq!(hint(&error), expected);
}

/// A service runs as its own user; root administers it.
#[test]
fn files_that_root_creates_for_a_service_belong_to_the_service() {
    if !geteuid().is_root() {
        println!("not tested: only root can act for another user");
        return;
    }
    const SERVICE: u32 = 12_345;
    let keys = Keys::new();
    chown(keys.folder(), Some(SERVICE), Some(SERVICE)).unwrap();
    let path = keys.folder().join("secret/pairing.key");
    let open = || SetupCodeIssuer::open_with(&path, keys.options());
    open().unwrap().rotate().unwrap();
    let mut made = vec![path.clone(), path.parent().unwrap().to_owned()];
    let ring = keys.folder().join("secret/pairing.key.d");
    made.extend(fs::read_dir(&ring).unwrap().map(|entry| entry.unwrap().path()));
    made.push(ring);
    assert_eq!(made.len(), 5, "{made:?}");
    for path in made {
        assert_eq!(fs::metadata(&path).unwrap().uid(), SERVICE, "{}", path.display());
    }
    // Root can still use it, and gets a hint to restore the owner.
    open().unwrap();
    chown(&path, Some(777), None).unwrap();
    let error = open().unwrap_err();
    assert_eq!(hint(&error), format!("as root: chown {SERVICE} {}", path.display()));
}

/// Runs `work` as a user other than root, in a folder of theirs: root can read everything.
#[cfg(target_os = "linux")]
fn unprivileged<T: Send>(keys: &Keys, work: impl FnOnce() -> T + Send) -> T {
    let nobody = rustix::process::Uid::from_raw(65_534);
    if geteuid().is_root() {
        chown(keys.folder(), Some(nobody.as_raw()), None).unwrap();
    }
    // Of this thread only.
    let work = || {
        if geteuid().is_root() {
            rustix::thread::set_thread_res_uid(nobody, nobody, nobody).unwrap();
        }
        work()
    };
    std::thread::scope(|scope| scope.spawn(work).join().unwrap())
}

#[cfg(target_os = "linux")]
#[test]
fn a_file_that_cannot_be_read_is_refused() {
    let keys = Keys::new();
    unprivileged(&keys, || {
        write_key(&keys.path(), &key_bytes(0));
        set_mode(&keys.path(), 0);
        let error = refused(&keys);
        assert!(matches!(error, KeyError::Permission { .. }), "{error}");
        assert_eq!(hint(&error), format!("as its owner: chmod 600 {}", keys.path().display()));
    });
}

#[cfg(target_os = "linux")]
#[test]
fn an_unreadable_file_of_another_user_is_an_owner_error_unless_it_is_external() {
    if !geteuid().is_root() {
        println!("not tested: only root can create a file of another user");
        return;
    }
    let keys = Keys::holding(&key_bytes(0));
    unprivileged(&keys, || {
        let error = refused(&keys);
        assert!(matches!(error, KeyError::Owner { owner: 0, .. }), "{error}");
        let error = keys.open_external().unwrap_err();
        assert!(matches!(error, KeyError::Permission { .. }), "{error}");
    });
}

#[test]
fn a_loop_of_links_to_an_external_key_is_not_a_link_to_replace() {
    let keys = Keys::new();
    symlink(keys.path(), keys.path()).unwrap();
    let error = keys.open_external().unwrap_err();
    assert!(matches!(error, KeyError::Io { .. }), "{error}");
    assert!(matches!(refused(&keys), KeyError::Symlink { .. }));
}

#[test]
fn a_folder_that_cannot_be_created_is_reported() {
    let keys = Keys::new();
    fs::write(keys.folder().join("file"), "").unwrap();
    let path = keys.folder().join("file/pairing.key");
    let error = SetupCodeIssuer::open_with(path, keys.options()).unwrap_err();
    assert_eq!(error.kind(), "key_file");
}

#[test]
fn an_external_key_may_look_like_a_mounted_secret() {
    let keys = Keys::new();
    let mount = keys.folder().join("..data");
    fs::create_dir(&mount).unwrap();
    write_key(&mount.join("pairing.key"), &key_bytes(0));
    symlink(mount.join("pairing.key"), keys.path()).unwrap();
    for bits in [0o440, 0o400, 0o444, 0o644, 0o600] {
        set_mode(&mount.join("pairing.key"), bits);
        keys.open_external().unwrap();
    }
    if geteuid().is_root() {
        chown(mount.join("pairing.key"), Some(12_345), None).unwrap();
        keys.open_external().unwrap();
    }
    assert_eq!(names(keys.folder()), ["..data", "pairing.key"], "nothing is written");
}

#[test]
fn an_external_key_is_neither_created_nor_changed() {
    let keys = Keys::new();
    let error = keys.open_external().unwrap_err();
    assert!(matches!(error, KeyError::Missing { .. }), "{error}");
    assert_eq!(names(keys.folder()), [""; 0]);
    for (bits, length) in [(0o620, 32), (0o602, 32), (0o600, 31)] {
        write_key(&keys.path(), &vec![7; length]);
        set_mode(&keys.path(), bits);
        let error = keys.open_external().unwrap_err();
        match error {
            KeyError::Mode { .. } => assert!(hint(&error).starts_with("chmod go-w ")),
            _ => assert!(matches!(error, KeyError::Length { .. }), "{error}"),
        }
    }
    write_key(&keys.path(), &key_bytes(0));
    let issuer = keys.open_external().unwrap();
    assert_eq!(issuer.rotate().unwrap_err().kind(), "external_key");
    assert_eq!(issuer.retire(issuer.keys()[0].id).unwrap_err().kind(), "external_key");
    assert_eq!(names(keys.folder()), ["pairing.key"]);
}

#[test]
fn sixteen_threads_that_create_the_key_at_once_agree() {
    for _ in 0..20 {
        let keys = Keys::new();
        let start = std::sync::Barrier::new(16);
        let ids = std::thread::scope(|scope| {
            let open = || {
                start.wait();
                keys.open().unwrap().keys()[0].id
            };
            let threads: Vec<_> = (0..16).map(|_| scope.spawn(open)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
        });
        assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
        assert_eq!(names(keys.folder()), ["pairing.key"]);
    }
}
