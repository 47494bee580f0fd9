//! 0.1.8: its file is upgraded in place, and it can still use the file afterwards.

use std::fs;
use std::path::PathBuf;

use nexo_pairing_core::{Actor, Filter, Grant, NewRequest, UpsertOutcome};
use nexo_pairing_store::{Inspection, PairingStore};
use tempfile::TempDir;

use crate::old::Old;
use crate::support::{
    START, World, account, channel, everywhere, key, key_on, minutes, moment, names, options,
    unknown,
};

/// When the rows of the old file were written.
const THEN: i64 = 1_795_392_648;

/// `+1` on the account `personal`, as 0.1.8 passes it.
const ONE: [&str; 3] = ["whatsapp", "personal", "+1"];

/// A copy of the file that 0.1.8 wrote.
pub(crate) fn old_file() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pairing.db");
    fs::copy(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/pairing-0.1.8.db"), &path)
        .unwrap();
    (folder, path)
}

#[tokio::test]
async fn an_old_file_is_upgraded_with_all_its_grants() {
    let (_folder, path) = old_file();
    let (_, options) = options();
    for round in ["upgraded", "opened again"] {
        let store = PairingStore::open_with(&path, options.clone()).await.unwrap();
        let grants = store.list_allow(&Filter::all(), true).await.unwrap();
        let lines: Vec<String> = grants
            .iter()
            .map(|grant| {
                assert_eq!(grant.approved_at, moment(THEN), "{round}");
                assert_eq!((grant.expires_at, &grant.note), (None, &None), "{round}");
                let revoked = grant.revoked_at.map(|at| at.unix_timestamp());
                let (channel, account, sender) =
                    (&grant.channel, &grant.account_id, &grant.sender_id);
                format!("{channel} {account} {sender} {} {revoked:?}", grant.approved_via)
            })
            .collect();
        assert_eq!(
            lines,
            [
                "telegram cody_nexo_bot 1194292426 seed None",
                "telegram cody_nexo_bot @user_name seed None",
                "whatsapp personal +5491155556666 seed None",
                "whatsapp personal +573001112222 seed None",
                "whatsapp personal +573009998888 seed Some(1795392648)",
                "whatsapp work +14155550101 cli None",
                "whatsapp work +5491155556666 seed None",
            ],
            "{round}"
        );
        for grant in grants {
            let key =
                nexo_pairing_core::SenderKey::new(grant.channel, grant.account_id, grant.sender_id);
            assert_eq!(store.is_allowed(&key).await.unwrap(), grant.revoked_at.is_none());
        }
    }
}

#[tokio::test]
async fn the_requests_of_an_old_file_expire() {
    let (_folder, path) = old_file();
    let (clock, options) = options();
    clock.set(moment(THEN + 3599));
    let store = PairingStore::open_with(&path, options).await.unwrap();
    let pending = store.list_pending(&Filter::all()).await.unwrap();
    let codes: Vec<_> = pending.iter().map(|request| request.code.as_str()).collect();
    assert_eq!(codes, ["SKLFPMTQ", "MK7UM3HC"]);
    assert_eq!(pending[0].meta, serde_json::json!({ "push_name": "Ana" }));
    assert_eq!(pending[0].expires_at, moment(THEN + 3600));

    clock.set(moment(START));
    assert!(store.list_pending(&Filter::all()).await.unwrap().is_empty());
    assert_eq!(store.purge_expired().await.unwrap(), 2);
    assert_eq!(store.purge_expired().await.unwrap(), 0);
    let told = store.approve("SKLF-PMTQ", &Actor::cli(), Grant::unlimited()).await.unwrap_err();
    assert_eq!(told.kind(), "mistyped_code", "more than a day ago, and without a check character");
}

#[tokio::test]
async fn a_live_request_of_an_old_file_is_approved() {
    let (_folder, path) = old_file();
    let (clock, options) = options();
    clock.set(moment(THEN + 1800));
    let store = PairingStore::open_with(&path, options).await.unwrap();
    let approved = store.approve("sklf-pmtq", &Actor::cli(), Grant::unlimited()).await.unwrap();
    assert_eq!(approved.sender_id.as_str(), "+14155550100");
    assert!(store.is_allowed(&key("+14155550100")).await.unwrap());
    clock.set(moment(THEN + 3600));
    let told = store.approve("MK7UM3HC", &Actor::cli(), Grant::unlimited()).await.unwrap_err();
    assert_eq!(told.kind(), "expired");
}

#[tokio::test]
async fn requests_of_0_1_8_are_seen_and_count() {
    let world = World::new().await;
    let old = Old::open(&world.path, START);
    assert_eq!(old.upsert(ONE, &unknown(1)).unwrap(), unknown(1));
    old.upsert(["whatsapp", "personal", "+2"], &unknown(2)).unwrap();
    let pending = world.store.list_pending(&Filter::all()).await.unwrap();
    assert_eq!(pending.len(), 2);
    assert_eq!(
        (pending[0].created_at, pending[0].expires_at),
        (moment(START), moment(START + 3600))
    );
    assert_eq!(world.message("+1").await, UpsertOutcome::AlreadyChallenged);
    world.pass(minutes(5));
    let again = world.message("+1").await;
    assert!(matches!(&again, UpsertOutcome::Repeated { code, .. } if code.as_str() == unknown(1)));

    let ours = world.code("+3").await;
    assert_eq!(world.message("+4").await, UpsertOutcome::PendingFull);
    assert_eq!(old.upsert(["whatsapp", "personal", "+4"], &unknown(4)), None, "and there");
    assert_eq!(old.upsert(["whatsapp", "personal", "+3"], &unknown(5)).unwrap(), ours);
    assert_eq!(old.list_pending().len(), 3);
    assert_eq!(world.approve(&unknown(1)).await.unwrap(), key("+1"));
    assert!(old.is_allowed(ONE));
}

#[tokio::test]
async fn a_request_refreshed_by_0_1_8_stays_alive() {
    let world = World::new().await;
    let old = Old::open(&world.path, START);
    old.upsert(ONE, &unknown(1)).unwrap();
    world.pass(minutes(50));
    let sql = "UPDATE pairing_pending SET created_at = ? WHERE sender_id = '+1'";
    old.connection.execute(sql, [START + 3000]).unwrap();
    world.pass(minutes(50));
    let pending = world.store.list_pending(&Filter::all()).await.unwrap();
    assert_eq!(pending[0].expires_at, moment(START + 6600));
}

#[tokio::test]
async fn changes_by_0_1_8_are_seen() {
    let world = World::new().await;
    let mut old = Old::open(&world.path, START);
    let code = world.code("+1").await;
    assert!(old.approve(&code));
    assert!(world.is_allowed("+1").await);
    assert!(!old.approve(&code));
    assert!(world.pending().await.is_empty());
    assert!(old.revoke("whatsapp", "+1"));
    assert!(!world.is_allowed("+1").await);
    assert!(world.allowed().await.is_empty());
    old.seed(ONE);
    assert!(world.is_allowed("+1").await);
    world.store.revoke(&everywhere("+1"), &Actor::cli()).await.unwrap();
    assert!(!old.is_allowed(ONE));
    assert_eq!(old.list_allow(), [("+1".to_owned(), Some(START))]);
}

#[tokio::test]
async fn rows_purged_by_0_1_8_are_gone() {
    let world = World::new().await;
    let request = NewRequest::new(key("+1")).with_ttl(minutes(120));
    world.store.upsert_pending(request).await.unwrap();
    let old = Old::open(&world.path, START + 3600);
    assert_eq!(old.purge(), 0);
    let old = Old::open(&world.path, START + 3601);
    assert_eq!(old.purge(), 1);
    assert!(world.pending().await.is_empty());
    world.code("+1").await;
}

#[tokio::test]
async fn a_block_holds_for_0_1_8_and_its_revivals_stay_blocked_here() {
    let world = World::new().await;
    world.seed("+1").await;
    world.store.block(&everywhere("+1"), &Actor::cli(), None).await.unwrap();
    let old = Old::open(&world.path, START);
    assert!(!old.is_allowed(ONE));
    old.seed(ONE);
    assert!(old.is_allowed(ONE), "it knows no blocks");
    assert!(!world.is_allowed("+1").await);
    assert_eq!(world.message("+1").await, UpsertOutcome::Blocked);
}

/// An expired one-minute grant for `+1`.
async fn ended_grant(world: &World, is_purged: bool) {
    let code = world.code("+1").await;
    let grant = Grant::unlimited().with_expires_in(minutes(1));
    world.store.approve(&code, &Actor::cli(), grant).await.unwrap();
    world.pass(minutes(2));
    if is_purged {
        world.store.purge_expired().await.unwrap();
    }
    assert!(!world.is_allowed("+1").await);
}

#[tokio::test]
async fn a_grant_that_ended_has_ended_for_0_1_8() {
    let world = World::new().await;
    ended_grant(&world, true).await;
    let old = Old::open(&world.path, START + 120);
    assert!(!old.is_allowed(ONE));
    assert_eq!(old.list_allow(), [("+1".to_owned(), Some(START + 60))]);
}

#[tokio::test]
async fn a_grant_revived_by_0_1_8_is_permanent() {
    for is_purged in [true, false] {
        let world = World::new().await;
        ended_grant(&world, is_purged).await;
        let mut old = Old::open(&world.path, START + 120);
        old.upsert(ONE, &unknown(1)).unwrap();
        assert!(old.approve(&unknown(1)));
        let grant = world.store.list_allow(&Filter::all(), false).await.unwrap().remove(0);
        assert_eq!((grant.expires_at, grant.revoked_at), (None, None), "purged: {is_purged}");
        world.store.purge_expired().await.unwrap();
        assert!(world.is_allowed("+1").await && old.is_allowed(ONE));
    }
    let world = World::new().await;
    ended_grant(&world, true).await;
    Old::open(&world.path, START + 120).seed(ONE);
    assert!(world.is_allowed("+1").await);
}

#[tokio::test]
async fn temporary_grants_are_not_mistaken_for_revivals() {
    let world = World::new().await;
    for _ in 0..3 {
        ended_grant(&world, true).await;
        let grants = world.store.list_allow(&Filter::all(), true).await.unwrap();
        assert!(grants[0].expires_at.is_some() && grants[0].revoked_at.is_some());
    }
}

#[tokio::test]
async fn two_requests_with_one_code_do_not_stop_the_upgrade() {
    let (folder, path) = old_file();
    let old = Old::open(&path, START);
    for id in ["+7", "+8", "+9"] {
        let sql = "INSERT INTO pairing_pending(channel, account_id, sender_id, code, created_at)
            VALUES('whatsapp', 'shop', ?, 'SAMEKEYS', ?)";
        old.connection.execute(sql, rusqlite::params![id, START]).unwrap();
    }
    drop(old);
    let (_, options) = options();
    let store = PairingStore::open_with(&path, options).await.unwrap();
    let pending = store.list_pending(&Filter::all().with_account(account("shop"))).await.unwrap();
    assert_eq!(pending.len(), 1, "only one can be meant by it");
    let approved = store.approve("SAMEKEYS", &Actor::cli(), Grant::unlimited()).await.unwrap();
    assert_eq!(approved.sender_id, pending[0].sender_id);
    assert!(store.is_allowed(&key_on("shop", approved.sender_id.as_str())).await.unwrap());
    assert_eq!(names(folder.path())[0], "pairing.db");
}

#[tokio::test]
async fn an_old_process_with_the_file_open_keeps_working() {
    let (_folder, path) = old_file();
    let mut old = Old::open(&path, START);
    assert_eq!(old.purge(), 2);
    let (_, options) = options();
    let store = PairingStore::open_with(&path, options).await.unwrap();
    old.upsert(ONE, &unknown(1)).unwrap();
    assert!(old.approve(&unknown(1)));
    assert!(store.is_allowed(&key("+1")).await.unwrap());
    let ids = [key("+2").sender_id];
    store.seed(&channel(), &account("personal"), &ids, &Actor::seed()).await.unwrap();
    assert!(old.is_allowed(["whatsapp", "personal", "+2"]));
    let integrity: String =
        old.connection.query_row("PRAGMA integrity_check", (), |row| row.get(0)).unwrap();
    assert_eq!(integrity, "ok");
    assert_eq!(Inspection::of(&path).await.unwrap().problems, Vec::<String>::new());
}
