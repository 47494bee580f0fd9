//! Keys compare by their bytes, under any collation of the database.

use nexo_pairing_core::{AccountScope, Actor, Grant, Target};

use crate::prelude::*;
use crate::testing::redemption;
use crate::world::{account, actor, channel, key, key_on, sender, unknown};

/// Ids that some collation treats as equal.
const ALIKE: [&str; 14] = [
    "ana",
    "Ana",
    "ANA",
    "ana ",
    " ana",
    "an\u{e1}",
    "ana\u{301}",
    "\u{430}na",
    "an\u{430}",
    "ana\u{200b}",
    "\u{ff41}na",
    "a%",
    "a_a",
    "1",
];

pub async fn senders_compare_by_bytes<S: Storage>(suite: &Suite<S>) {
    let world = World::new(suite).await;
    for id in ALIKE {
        assert!(!world.is_allowed(id).await, "{id:?} belongs to another sender");
        world.seed(id).await;
    }
    assert_eq!(world.allowed().await.len(), ALIKE.len());
    let mut sorted = ALIKE;
    sorted.sort_unstable();
    assert_eq!(world.allowed().await, sorted);
    for (number, id) in ALIKE.into_iter().enumerate() {
        let target = Target::new(channel(), AccountScope::All, sender(id));
        match number % 3 {
            0 => drop(world.store.revoke(&target, &Actor::cli()).await.unwrap()),
            1 => drop(world.store.block(&target, &Actor::cli(), None).await.unwrap()),
            _ => drop(world.store.forget(&target, &Actor::cli()).await.unwrap()),
        }
        for (other, id) in ALIKE.into_iter().enumerate() {
            assert_eq!(world.is_allowed(id).await, other > number, "{id:?} after {number}");
        }
    }
}

pub async fn strangers_compare_by_bytes<S: Storage>(suite: &Suite<S>) {
    for id in ALIKE {
        let world = World::new(suite).await;
        world.store.block(&key("ana").into(), &Actor::cli(), None).await.unwrap();
        if id != "ana" {
            world.code(id).await;
        }
        let expected: &[&str] = if id == "ana" { &[] } else { &[id] };
        assert_eq!(world.pending().await, expected);
    }
}

pub async fn accounts_compare_by_bytes<S: Storage>(suite: &Suite<S>) {
    let world = World::new(suite).await;
    for name in ["shop", "Shop", "SHOP", "sh_p", "sh-p"] {
        let ids = [sender("+1")];
        assert!(!world.store.is_allowed(&key_on(name, "+1")).await.unwrap(), "{name}");
        world.store.seed(&channel(), &account(name), &ids, &Actor::seed()).await.unwrap();
    }
    world.store.revoke(&key_on("Shop", "+1").into(), &Actor::cli()).await.unwrap();
    for name in ["shop", "SHOP", "sh_p", "sh-p"] {
        assert!(world.store.is_allowed(&key_on(name, "+1")).await.unwrap(), "{name}");
    }
}

pub async fn actors_compare_by_bytes<S: Storage>(suite: &Suite<S>) {
    let world = World::new(suite).await;
    let guess = async |name: &str| {
        let code = unknown(1);
        let guessed = world.store.approve(&code, &actor(name), Grant::unlimited()).await;
        guessed.unwrap_err().kind()
    };
    for _ in 0..5 {
        guess("console:ana").await;
    }
    assert_eq!(guess("console:ana").await, "locked_out");
    for name in ["console:Ana", "console:ana ", "console:an\u{e1}", "console:an_"] {
        assert_eq!(guess(name).await, "unknown_code", "{name}");
    }
}

pub async fn setup_codes_compare_by_bytes<S: Storage>(suite: &Suite<S>) {
    let world = World::new(suite).await;
    for nonce in ["abcdef", "ABCDEF", "abcdef ", "abc_ef", "abcd\u{e9}f", "abcde\u{301}f"] {
        let mut redemption = redemption(1, None);
        redemption.claims.nonce = nonce.to_owned();
        world.store.redeem(redemption).await.unwrap();
    }
    assert_eq!(world.live().await.len(), 6);
}
